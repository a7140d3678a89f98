package text

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/planton/kubernetes-job-action/internal/actionsrunner"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/report"
)

var (
	job  = event.Ref{Kind: "Job", Namespace: "batch-jobs", Name: "data-migration"}
	at   = time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)
	code = int32(3)
)

func noCI(string) string { return "" }

func line(s *event.Stream, texts ...string) event.Lines {
	e := event.Lines{Stream: s}
	for _, t := range texts {
		e.Lines = append(e.Lines, event.Line{At: at, Text: t})
	}
	return e
}

func succeeded() []event.Event {
	s := &event.Stream{Namespace: job.Namespace, Pod: "data-migration-x7k2p", Container: "migrate", Kind: event.Main, Index: -1, Attempt: 1}
	return []event.Event{
		event.Object{Object: event.Ref{Kind: "Namespace", Name: "batch-jobs"}, Action: "created", Detail: "it stays"},
		event.Object{Object: job, Action: "created"},
		event.Object{Object: event.Ref{Kind: "Secret", Namespace: "batch-jobs", Name: "data-migration-env-secrets"}, Action: "created"},
		event.Started{Job: job, UID: "0b1c", Cluster: "https://10.0.0.1:6443", Context: "kind-dev", Pods: 1, Containers: 1},
		event.Attempt{Pod: s.Pod, Index: -1, Message: "scheduled on node-1"},
		event.Progress{Wanted: 1, Waiting: []event.Waiting{{Pods: 1, For: "pulling image", Long: 30 * time.Second}}, Elapsed: 31 * time.Second, Heartbeat: true},
		event.Attempt{Pod: s.Pod, Index: -1, Message: "container migrate runs"},
		line(s, "1/u create_users (12ms)", "\x1b[32mok\x1b[0m", "\x1b[2J 10%\r 100%\r", "nul \x00"),
		event.Notice{Level: event.Info, Message: "the API server does not answer"},
		event.Notice{Level: event.Debug, Message: "not for everybody"},
		event.Object{Object: job, Action: "deleted"},
		event.Finished{Outcome: event.Succeeded, Job: job, UID: "0b1c", Attempts: 1, Succeeded: 1, StartedAt: at, CompletedAt: at.Add(4200 * time.Millisecond),
			Duration: 4200 * time.Millisecond, Pods: []event.PodResult{{Name: s.Pod, Phase: "Succeeded"}}, Tail: []string{"stands above"}},
	}
}

func failed() []event.Event {
	s := &event.Stream{Namespace: job.Namespace, Pod: "data-migration-3-x7k2p", Container: "migrate", Kind: event.Main, Index: 3, Attempt: 1}
	again := *s
	again.Attempt = 2
	return []event.Event{
		event.Finding{Level: event.Warning, File: "job.yaml", Line: 12, Column: 7, Path: "spec.image", Message: "the tag latest moves", Suggestion: "name a version"},
		event.Finding{Level: event.Error, File: "job.yaml", Line: 3, Column: 1, Path: "spec.envv", Message: "unknown field", Suggestion: "did you mean env?"},
		event.Started{Job: job, UID: "0b1c", Cluster: "https://10.0.0.1:6443", Pods: 12, Containers: 1, Indexed: true},
		line(s, "first attempt"),
		event.Attempt{Pod: s.Pod, Index: 3, Message: "container migrate runs"},
		line(&again, "second attempt"),
		event.Gap{Stream: s, After: at, Until: at.Add(time.Second), Why: "the log was rotated away"},
		event.Finished{Outcome: event.Failed, Job: job, UID: "0b1c", Attempts: 2, Failed: 2, FailedIndexes: "3",
			Cause: &event.Cause{Reason: event.FailedIndexes, Object: job, Container: "migrate", ExitCode: &code,
				Message: "container \"migrate\" of pod data-migration-3-x7k2p exited with code 3\n\x1b[1;31mand wrote this", Hint: "Look at the log.\nThen mend it."},
			Warnings: []event.Cause{{Reason: event.OOMKilled, Message: "container proxy was OOM-killed", Hint: "Raise its limit."}}},
	}
}

func unstreamed() []event.Event {
	return []event.Event{
		event.Finished{Outcome: event.Failed, Job: job, UID: "0b1c", Tail: []string{"panic: \x1b[31mno database", "exit"},
			Cause: &event.Cause{Reason: event.ContainerExit, Message: "container x exited with code 3"}},
	}
}

// refused ends while a section is open.
func refused() []event.Event {
	return []event.Event{
		event.Object{Object: event.Ref{Kind: "Namespace", Name: "batch-jobs"}, Action: "created", Detail: "it stays"},
		event.Finished{Outcome: event.Failed, Job: job, Cause: &event.Cause{Reason: event.Forbidden, Message: "cannot create jobs", Hint: "Grant it."}},
	}
}

// earlier leaves the work to another run.
func earlier() []event.Event {
	return []event.Event{event.Finished{Outcome: event.Succeeded, Job: job, UID: "0b1c", Attempts: 1, Succeeded: 1, Duration: time.Second,
		Earlier: "has succeeded already, at 2026-03-01T11:00:01Z (started by mona): nothing runs again"}}
}

// The golden files hold what a user sees; standard output and standard error are told apart by their margins.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name    string
		events  []event.Event
		options report.Options
		color   bool
	}{
		{"succeeded", succeeded(), report.Options{}, false},
		{"succeeded-timestamps", succeeded(), report.Options{Timestamps: true}, false},
		{"failed", failed(), report.Options{}, false},
		{"failed-color", failed(), report.Options{}, true},
		{"unstreamed", unstreamed(), report.Options{}, false},
		{"earlier", earlier(), report.Options{}, false},
		{"succeeded-sections", succeeded(), report.Options{Format: report.FormatGitLab}, true},
		{"failed-sections", failed(), report.Options{Format: report.FormatGitLab}, false},
		{"refused-sections", refused(), report.Options{Format: report.FormatGitLab}, false},
		{"succeeded-buildkite", succeeded(), report.Options{Format: report.FormatBuildkite}, true},
		{"failed-buildkite", failed(), report.Options{Format: report.FormatBuildkite}, false},
		{"refused-buildkite", refused(), report.Options{Format: report.FormatBuildkite}, false},
		{"succeeded-azure", succeeded(), report.Options{Format: report.FormatAzure}, true},
		{"failed-azure", failed(), report.Options{Format: report.FormatAzure}, false},
		{"refused-azure", refused(), report.Options{Format: report.FormatAzure}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var both bytes.Buffer
			r := New(margin{&both, "out"}, margin{&both, "err"}, noCI, c.options, c.color)
			seconds := 0
			r.now = func() time.Time { seconds++; return at.Add(time.Duration(seconds) * time.Second) }
			f := report.New(r)
			for _, e := range c.events {
				if err := f.Event(e); err != nil {
					t.Fatal(err)
				}
			}
			golden.Compare(t, "testdata/"+c.name+".golden", both.String())
		})
	}
}

// margin writes each line behind a name, escape characters made visible.
type margin struct {
	w    io.Writer
	name string
}

func (m margin) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		fmt.Fprintf(m.w, "%s| %s", m.name, strings.NewReplacer("\x1b", "ESC", "\r", "CR").Replace(line))
	}
	return len(p), nil
}

// counter counts system calls, and fails when told to.
type counter struct {
	calls, bytes int
	err          error
}

func (c *counter) Write(p []byte) (int, error) {
	c.calls++
	c.bytes += len(p)
	return len(p), c.err
}

func TestOneWritePerBatch(t *testing.T) {
	var out, ours counter
	r := New(&out, &ours, noCI, report.Options{}, false)
	batch := line(&event.Stream{Index: -1, Attempt: 1}, make([]string, 1000)...)
	if err := r.Event(batch); err != nil {
		t.Fatal(err)
	}
	if out.calls != 1 || out.bytes != 1000 || ours.calls != 0 {
		t.Errorf("%d writes with %d bytes and %d to standard error; want 1, 1000 and 0", out.calls, out.bytes, ours.calls)
	}
	if n := testing.AllocsPerRun(10, func() {
		if err := r.Event(batch); err != nil {
			t.Error(err)
		}
	}); n > 2 {
		t.Errorf("a batch of 1000 lines costs %v allocations", n)
	}
}

func TestWriteErrorsAreReturned(t *testing.T) {
	epipe := errors.New("broken pipe")
	r := New(&counter{err: epipe}, &counter{}, noCI, report.Options{}, false)
	if err := r.Event(line(&event.Stream{}, "x")); !errors.Is(err, epipe) {
		t.Errorf("a line: %v, want %v", err, epipe)
	}
	if err := r.Event(event.Notice{Level: event.Info, Message: "x"}); err != nil {
		t.Errorf("a notice goes to the other stream: %v", err)
	}
}

func BenchmarkLines(b *testing.B) {
	const size = 256
	texts := make([]string, size)
	for i := range texts {
		texts[i] = strings.Repeat("0123456789", 9) + "012345678"
	}
	batch := line(&event.Stream{Index: -1, Attempt: 1}, texts...)
	r := New(io.Discard, io.Discard, noCI, report.Options{}, false)
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Event(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*size/b.Elapsed().Seconds(), "lines/s")
}

// ci are CI systems: how the environment names them, and whether they would obey something in a line.
var ci = map[string]struct {
	env  map[string]string
	obey *regexp.Regexp
}{
	"Azure":     {map[string]string{"TF_BUILD": "True"}, regexp.MustCompile(`(?i)##(vso)?\[`)},
	"TeamCity":  {map[string]string{"TEAMCITY_VERSION": "2026.1"}, regexp.MustCompile(`(?i)##teamcity\[`)},
	"Buildkite": {map[string]string{"BUILDKITE": "true"}, regexp.MustCompile(`^\s*(---|\+\+\+|~~~|\^\^\^)`)},
	"GitHub":    {map[string]string{"GITHUB_ACTIONS": "true"}, nil}, // played by actionsrunner
	"none":      {nil, nil},
}

var commands = []string{
	"##vso[task.setvariable variable=x]y", "text ##[error]v1", "##\u200bvso[x]y", "##VSO[x]y", "###[error]x", "#\x1b[K#[error]x", "##\x1b[31mvso[x]y",
	"##teamcity[buildStatus text='x']", "--- group", "+++ group", "~~~ group", "^^^ +++", "\x1b[31m--- group", "  --- group", "x\r--- group",
	"::error::x", "\u00a0::set-output name=status::succeeded", "\u200b::stop-commands::gone", "x\r::error::y", "\x1b[0m::add-mask::e", ":\u200b:error::x",
}

// What counts is where the program runs, not the format that was asked for: nothing that a container, the cluster or the manifest
// writes is a command there.
func TestNothingHostileIsObeyed(t *testing.T) {
	for name, system := range ci {
		for _, timestamps := range []bool{false, true} {
			var out, ours bytes.Buffer
			r := New(&out, &ours, func(v string) string { return system.env[v] }, report.Options{Format: report.FormatText, Timestamps: timestamps}, timestamps)
			f := report.New(r)
			hostile(t, f, commands...)
			check(t, name, out.String(), ours.String())
			if name == "none" && !timestamps && !strings.HasPrefix(out.String(), "##vso[task.setvariable variable=x]y\n") {
				t.Errorf("where nobody reads commands, a line becomes %.40q", out.String())
			}
		}
	}
}

// hostile reports each text as every kind of news.
func hostile(t testing.TB, f *report.Fanout, texts ...string) {
	t.Helper()
	tell := func(e event.Event) {
		if err := f.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	s := &event.Stream{Pod: "data-migration-x7k2p", Container: "migrate", Index: -1, Attempt: 1}
	for _, a := range texts {
		tell(line(s, a))
	}
	tell(event.Started{Job: job, UID: "0b1c", Pods: 1, Containers: 2})
	for _, a := range texts {
		named := &event.Stream{Pod: a, Container: a, Index: -1, Attempt: 1}
		for _, e := range []event.Event{line(s, a, "x"+a), line(named, a), event.Attempt{Pod: a, Index: -1, Message: "x\n" + a},
			event.Object{Object: event.Ref{Kind: a, Name: a}, Action: a, Detail: "x\n" + a}, event.Progress{Note: "x\n" + a, Waiting: []event.Waiting{{Pods: 1, For: a}}},
			event.Gap{Stream: named, Why: "x\n" + a}, event.Finding{Level: event.Error, File: a, Line: 1, Path: a, Message: "x\n" + a, Suggestion: a},
			event.Notice{Level: event.Warning, Message: a + "\n" + a, Hint: a + "\n" + a}} {
			tell(e)
		}
	}
	all := strings.Join(texts, "\n")
	tell(event.Finished{Outcome: event.Failed, Job: job, UID: "0b1c", Tail: texts, FailedIndexes: texts[0], Cause: &event.Cause{Reason: event.Reason(all), Message: all, Hint: all},
		Warnings: []event.Cause{{Message: all, Hint: all}}, Pods: []event.PodResult{{Name: all, Node: all}}})
}

// check finds what the system would obey.
func check(t testing.TB, name string, logs ...string) {
	t.Helper()
	for _, log := range logs {
		if name == "GitHub" {
			var r actionsrunner.Log
			r.Play(log)
			if len(r.Obeyed) > 0 || r.Stopped {
				t.Errorf("GitHub's runner obeys %v of %q (stopped at the end: %t)", r.Obeyed, log, r.Stopped)
			}
		} else if obey := ci[name].obey; obey != nil {
			for l := range strings.Lines(log) {
				if obey.MatchString(colour.ReplaceAllString(l, "")) {
					t.Errorf("%s obeys %q", name, l)
				}
			}
		}
	}
}

func FuzzText(f *testing.F) {
	for _, c := range append(commands, attacks...) {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, system := range ci {
			var out, ours bytes.Buffer
			fan := report.New(New(&out, &ours, func(v string) string { return system.env[v] }, report.Options{}, false))
			fan.AddSecrets(event.Secret{Value: "Hunter2!secret"})
			hostile(t, fan, text, text+"Hunter2!secret", "Hunter2!"+text)
			check(t, name, out.String(), ours.String())
			if strings.Contains(out.String()+ours.String(), "Hunter2!secret") {
				t.Errorf("the secret is in %q, %q", &out, &ours)
			}
		}
	})
}
