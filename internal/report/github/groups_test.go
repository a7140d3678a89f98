package github

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// seen is the log as its viewer shows it at first, after the start of the run: groups are folded, and shown as "▸ title".
func seen(s *step) (lines []string) {
	folded := false
	for line := range strings.Lines(s.log.String()) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "::group::"):
			folded = true
			lines = append(lines, "▸ "+strings.TrimPrefix(line, "::group::"))
		case line == "::endgroup::":
			folded = false
		case folded || strings.HasPrefix(line, "::stop-commands::") || len(line) == 30 && strings.HasPrefix(line, "::"):
		default:
			lines = append(lines, line)
		}
	}
	return lines
}

func TestAttemptsInGroups(t *testing.T) {
	from := func(pod string, index, attempt, restart int, text string) event.Lines {
		return event.Lines{Stream: &event.Stream{Namespace: job.Namespace, Pod: pod, Container: "migrate", Kind: event.Main, Index: index, Attempt: attempt, Restart: restart}, Lines: []event.Line{{At: at, Text: text}}}
	}
	failed := event.Finished{Outcome: event.Failed, Job: job, UID: "u", Cause: &event.Cause{Reason: event.ContainerExit, Message: "it failed"}, Tail: []string{"the last line"}}
	fine := event.Finished{Outcome: event.Succeeded, Job: job, UID: "u", Tail: []string{"the last line"}}
	parallel, two := begun, begun
	parallel.Pods, two.Containers = 3, 2
	const verdict, good = "::error title=Kubernetes Job failed%3A ContainerExit::Job batch-jobs/data-migration failed: it failed", "✓ Job batch-jobs/data-migration succeeded"
	last := []string{"· last lines of the container that decided:", "│ the last line", verdict}
	for _, c := range []struct {
		name    string
		started event.Started
		events  []event.Event
		want    []string
	}{
		{"a single attempt is open, and not said twice", begun, []event.Event{from("a", -1, 1, 0, "one"), from("a", -1, 1, 0, "the last line"), failed}, []string{"one", "the last line", verdict}},
		{"later attempts are folded, and the last lines stand open", begun,
			[]event.Event{from("a", -1, 1, 0, "one"), event.Attempt{Pod: "a", Index: -1, Message: "failed"}, from("b", -1, 2, 0, "two"), from("b", -1, 2, 0, "too"), event.Attempt{Pod: "b", Index: -1, Message: "failed"}, from("c", -1, 3, 0, "the last line"), failed},
			append([]string{"one", "· pod a: failed", "▸ Attempt 2: pod b", "· pod b: failed", "▸ Attempt 3: pod c"}, last...)},
		{"after a success they need not", begun, []event.Event{from("a", -1, 1, 0, "one"), from("b", -1, 2, 0, "the last line"), fine}, []string{"one", "▸ Attempt 2: pod b", good}},
		{"news end a group, counts that come while it is silent do not", begun,
			[]event.Event{from("b", -1, 2, 0, "two"), event.Progress{Heartbeat: true, Running: 1}, from("b", -1, 2, 0, "two"), event.Notice{Level: event.Debug, Message: "d"}, event.Notice{Level: event.Warning, Message: "w"}, from("b", -1, 2, 0, "two"), event.Object{Object: job, Action: "kept"}, failed},
			append([]string{"▸ Attempt 2: pod b", "::warning::w", "▸ Attempt 2: pod b", "· Job batch-jobs/data-migration kept"}, last...)},
		{"lines of the first attempt that come late are open", begun, []event.Event{from("b", -1, 2, 0, "two"), from("a", -1, 1, 0, "late"), failed}, append([]string{"▸ Attempt 2: pod b", "late"}, last...)},
		{"restarts in place", begun, []event.Event{from("a", -1, 1, 0, "one"), from("a", -1, 1, 1, "two"), failed}, append([]string{"one", "▸ Restart 1: pod a"}, last...)},
		{"but not beside another container", two, []event.Event{from("a", -1, 1, 0, "one"), from("a", -1, 1, 1, "two"), failed}, append([]string{"[migrate] one", "[migrate restart 1] two"}, last...)},
		{"pods side by side have prefixes", parallel, []event.Event{from("j-a", 0, 1, 0, "one"), from("j-b", 1, 2, 0, "two"), failed}, append([]string{"[0] one", "[1 attempt 2] two"}, last...)},
		{"output that was not shown", begun, []event.Event{failed}, last},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStep(t, report.Options{})
			s.tell(t, c.started)
			s.log.Reset()
			s.tell(t, c.events...)
			if diff := cmp.Diff(append(c.want, "▸ Outputs"), seen(s)); diff != "" {
				t.Errorf("what is seen (-want +got):\n%s", diff)
			}
			r := s.play()
			if len(r.All("group")) != len(r.All("endgroup")) || r.Stopped {
				t.Errorf("%d groups begin and %d end; commands stopped: %v", len(r.All("group")), len(r.All("endgroup")), r.Stopped)
			}
		})
	}
}

// The verdict is the first error at the end of a run, then places, then failures, the most frequent first; and it is always there.
func TestMostTellingAnnotationsFirst(t *testing.T) {
	f := event.Finished{Outcome: event.Failed, Job: job, UID: "u", Attempts: 40, Cause: &event.Cause{Reason: event.FailedIndexes, Message: "many failed"}, Tail: []string{"main.sh: line 3: x: not found"}, Trace: []string{"main.sh: line 3: x: not found"}}
	for i := range 40 {
		f.Pods = append(f.Pods, broke(ran(fmt.Sprintf("j-%d-x", i), i, 1, 0, 0, time.Second), int32(1+i%7), "no rows"))
		f.Warnings = append(f.Warnings, event.Cause{Message: "warning of the end"})
	}
	s := newStep(t, report.Options{})
	s.env["GITHUB_WORKSPACE"] = workspace(t, "main.sh")
	started := begun
	started.Pods = 40
	s.tell(t, started)
	for range 20 {
		s.tell(t, event.Notice{Level: event.Warning, Message: "on the way"})
	}
	s.tell(t, f)
	var got []string
	for _, c := range s.play().All("error") {
		got = append(got, c.Properties["file"]+" "+c.Data)
	}
	want := []string{" Job batch-jobs/data-migration failed: many failed", "main.sh x: not found", " 6 of 40 indexes failed alike (0,7,14,21,28,35): no rows",
		" 6 of 40 indexes failed alike (1,8,15,22,29,36): no rows", " 6 of 40 indexes failed alike (2,9,16,23,30,37): no rows", " 6 of 40 indexes failed alike (3,10,17,24,31,38): no rows"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	end := 0
	for _, c := range s.play().All("warning") {
		if c.Data == "warning of the end" {
			end++
		}
	}
	if all := len(s.play().All("warning")); all != maxAnnotations || end != maxAnnotations-maxUnderway {
		t.Errorf("%d warnings are annotated, %d of the end; want %d and %d", all, end, maxAnnotations, maxAnnotations-maxUnderway)
	}

	s = newStep(t, report.Options{})
	for range 20 {
		s.tell(t, event.Notice{Level: event.Error, Message: "on the way"})
	}
	s.tell(t, begun, f)
	errs := s.play().All("error")
	if len(errs) != maxAnnotations || !strings.HasSuffix(errs[maxAnnotations-1].Data, "many failed") {
		t.Errorf("after many errors, the last of %d is %q, want the verdict", len(errs), errs[len(errs)-1].Data)
	}

	s = newStep(t, report.Options{})
	f.Pods = f.Pods[:1]
	s.tell(t, begun, f)
	if n := len(s.play().All("error")); n != 1 {
		t.Errorf("one pod that failed has %d errors, want the verdict alone", n)
	}
}

func TestAnatomy(t *testing.T) {
	if got := anatomy(event.Times{}); got != "" {
		t.Errorf("unknown times are %q", got)
	}
	for _, times := range []event.Times{{Run: 1}, {Queue: time.Hour, End: 1}, {Queue: 1, Node: 1, Pull: 1, Init: 1, Run: 1, End: 1}, {Node: 7, Pull: 11, Run: 13}, {Queue: 1<<63 - 1, Run: 1<<63 - 1}} {
		bar, words, _ := strings.Cut(anatomy(times), "<br>\n")
		if n := len([]rune(bar)); n != shareWidth {
			t.Errorf("%v: %d squares, want %d", times, n, shareWidth)
		}
		for _, s := range stages(times) {
			if strings.Contains(strings.ReplaceAll(words, "\u00a0", " "), s.name) != (s.long > 0) {
				t.Errorf("%v: %s is in %q, or is not", times, s.name, words)
			}
		}
	}
	want := "🟨🟨🟨🟨🟨🟨🟦🟦🟦🟦🟦🟦🟦🟦🟦🟦🟦🟦🟦🟦🟦🟦🟦🟦🟦<br>\n🟨 image pull 30 s (25 %) · 🟦 run 1 min 30 s (75 %)\n"
	if got := anatomy(event.Times{Pull: 30 * time.Second, Run: 90 * time.Second}); strings.ReplaceAll(got, "\u00a0", " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTimeline(t *testing.T) {
	pods := func(n int) (all []event.PodResult) {
		for i := range n {
			p := ran(fmt.Sprintf("j-%d-x", i), i, 1, time.Duration(i)*time.Second, time.Second, 5*time.Second)
			if i%50 == 7 {
				p = broke(p, 1)
			}
			all = append(all, p)
		}
		return all
	}
	if got := timeline(pods(1), true); got != "" {
		t.Errorf("one pod has the timeline %q", got)
	}
	if got := timeline(make([]event.PodResult, 5), true); got != "" {
		t.Errorf("pods of no known times have the timeline %q", got)
	}
	if got := timeline(pods(maxBars), false); strings.Count(got, "  section") != maxBars || len(got) > maxMermaid {
		t.Errorf("%d pods have a diagram of %d rows and %d characters", maxBars, strings.Count(got, "  section"), len(got))
	}
	got := timeline(pods(2000), false)
	if strings.Contains(got, "mermaid") || strings.Count(got, "│") != 2*maxBars || strings.Count(got, "✗") != 40 || !strings.Contains(got, "Timeline of 100 of 2000 pods") {
		t.Errorf("2000 pods have the timeline\n%s", got)
	}
	if !strings.Contains(got, "index 19") {
		t.Error("the timeline of 2000 pods has none of the last 100")
	}
	var long []event.PodResult
	for _, p := range pods(maxBars) {
		p.Times = event.Times{Queue: time.Hour, Node: time.Hour, Pull: time.Hour, Init: time.Hour, Run: time.Hour, End: time.Hour}
		p.CreatedAt = pointer(time.Date(290000000, 1, 1, 0, 0, 0, 0, time.UTC))
		long = append(long, p)
	}
	if got := timeline(long, false); len(got) > maxMermaid {
		t.Errorf("a diagram of %d characters", len(got))
	}
}

// Only names that are names stand in commands, and only of what is there.
func TestHeadlineOfAnEarlierSuccess(t *testing.T) {
	f := event.Finished{Outcome: event.Succeeded, Job: event.Ref{Kind: "Job", Namespace: "ns", Name: "j"}, UID: "u", Duration: time.Second, Earlier: "has succeeded already (started by <b>mona): nothing runs again"}
	if page := summary(event.Started{}, f, nil, nil, false); !strings.HasPrefix(page, "### ✅ Job ns/j has succeeded already (started by &#60;b&#62;mona)&#58; nothing runs again\n") {
		t.Errorf("got %s", page)
	}
}

func TestCommandsToLookFurther(t *testing.T) {
	p := broke(ran("j-x", -1, 1, 0, 0, time.Second), 1)
	gone := p
	gone.Phase, gone.Name = "Running", "j-y"
	f := event.Finished{Outcome: event.Failed, Job: job, UID: "u", Cause: &event.Cause{Message: "container of pod j-x failed", Hint: "see: kubectl -n batch-jobs logs j-x -c migrate"}, Pods: []event.PodResult{gone, broke(ran("j-z", -1, 1, 0, 0, 1), 1), p}}
	want := []string{"kubectl -n batch-jobs describe pod j-x", "kubectl -n batch-jobs describe job data-migration"}
	lines := func(s string) (all []string) {
		for line := range strings.Lines(s) {
			if strings.HasPrefix(line, "kubectl") {
				all = append(all, strings.TrimSpace(line))
			}
		}
		return all
	}
	if diff := cmp.Diff(want, lines(commands(f, true))); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if got := commands(f, false); got != "" {
		t.Errorf("a Job that is gone has the commands %q", got)
	}
	f.Pods = nil
	f.Job.Name = "x; rm -rf /"
	if got := commands(f, true); got != "" {
		t.Errorf("a name that is none is in %q", got)
	}
	created := event.Finished{Outcome: event.Created, Job: job, UID: "u"}
	if got := lines(commands(created, true)); !slices.Contains(got, "kubectl -n batch-jobs logs --follow job/data-migration") {
		t.Errorf("a Job that was created has the commands %q", got)
	}
	// The reporter knows whether the Job is there from what the run has done with it.
	for action, want := range map[string]bool{"kept": true, "deleted": false} {
		s := newStep(t, report.Options{Summary: true})
		f.Job = job
		s.tell(t, begun, event.Object{Object: job, Action: action}, f)
		if got := strings.Contains(s.file(t, "GITHUB_STEP_SUMMARY"), "describe job"); got != want {
			t.Errorf("a Job that is %s has commands: %v", action, got)
		}
	}
	// One that could not be followed, as timeout was over, may be there too.
	s := newStep(t, report.Options{Summary: true})
	f.Outcome = event.TimedOut
	s.tell(t, event.Object{Object: job, Action: "created", UID: "u"}, event.Object{Object: job, Action: "kept"}, f)
	if !strings.Contains(s.file(t, "GITHUB_STEP_SUMMARY"), "describe job") {
		t.Error("a Job that was left before it was followed has no commands")
	}
	s = newStep(t, report.Options{Summary: true})
	f.Outcome = event.Vanished
	s.tell(t, begun, f)
	if strings.Contains(s.file(t, "GITHUB_STEP_SUMMARY"), "describe job") {
		t.Error("a Job that somebody has deleted has commands")
	}
}
