package text

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/recorded"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// TestRuns: what users see of the recorded runs, on a pipe and in the logs of CI systems.
func TestRuns(t *testing.T) {
	for _, run := range recorded.Runs(t) {
		for ending, format := range map[string]report.Format{".text": report.FormatText, ".gitlab": report.FormatGitLab, ".buildkite": report.FormatBuildkite, ".azure": report.FormatAzure} {
			t.Run(run.Name+ending, func(t *testing.T) {
				var both bytes.Buffer
				r := New(margin{&both, "out"}, margin{&both, "err"}, noCI, report.Options{Format: format}, format != report.FormatText)
				seconds := 0
				r.now = func() time.Time { seconds++; return at.Add(time.Duration(seconds) * time.Second) }
				run.Tell(t, r)
				golden.Compare(t, run.Golden(ending), both.String())
			})
		}
	}
}

// TestTerminal: what a terminal gets of the recorded runs, one of 80 columns, or of 200 for many pods. The pictures of the documentation show it.
func TestTerminal(t *testing.T) {
	for _, run := range recorded.Runs(t) {
		t.Run(run.Name, func(t *testing.T) {
			var terminal bytes.Buffer
			columns := 80
			r := New(&terminal, &terminal, noCI, report.Options{}, true)
			r.Live(func() int { return columns }, true)
			run.Events = everySecond(t, run)
			for _, e := range run.Events {
				if s, ok := e.(event.Started); ok && s.Pods > 1 {
					columns = 200
				}
			}
			run.Tell(t, r)
			golden.Compare(t, run.Golden(".ansi"), terminal.String())
		})
	}
}

// everySecond are the events of a run with the state of the Job each second, as the run tells it to a terminal. A recorded run has it now and then;
// what it had not before that follows from the news about its pods.
func everySecond(t *testing.T, run recorded.Run) (all []event.Event) {
	t.Helper()
	var begun, last, changed time.Time
	state := event.Progress{Wanted: 1}
	is := func(running int, waits string) {
		if state.Running, state.Waiting = running, nil; waits != "" {
			state.Waiting = []event.Waiting{{Pods: 1, For: waits}}
		}
	}
	for i, e := range run.Events {
		var line struct{ At time.Time }
		if err := json.Unmarshal(run.Lines[i], &line); err != nil {
			t.Fatal(err)
		}
		for ; !begun.IsZero() && line.At.Sub(last) > time.Second; all = append(all, state) {
			last = last.Add(time.Second)
			state.Elapsed = last.Sub(begun)
			state.Waiting = append([]event.Waiting(nil), state.Waiting...)
			for i := range state.Waiting {
				state.Waiting[i].Long += last.Sub(changed)
			}
			changed = last
		}
		switch e := e.(type) {
		case event.Started:
			begun, last, state.Wanted = line.At, line.At, e.Pods
			is(0, "being scheduled")
		case event.Progress:
			state, last = e, line.At
		case event.Attempt:
			switch {
			case state.Wanted > 1: // which is counted often
			case strings.HasPrefix(e.Message, "scheduled"):
				is(0, "creating container")
			case strings.Contains(e.Message, " runs"):
				is(1, "")
			default:
				is(0, "")
			}
		}
		changed, all = line.At, append(all, e)
	}
	return all
}
