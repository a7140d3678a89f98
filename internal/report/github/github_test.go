package github

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/actionsrunner"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

var (
	job    = event.Ref{Kind: "Job", Namespace: "batch-jobs", Name: "data-migration"}
	at     = time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)
	code   = int32(3)
	stream = &event.Stream{Namespace: job.Namespace, Pod: "data-migration-x7k2p", Container: "migrate", Kind: event.Main, Index: -1, Attempt: 1}
	begun  = event.Started{Job: job, UID: "0b1c", Cluster: "https://10.0.0.1:6443", Context: "kind-dev", Pods: 1, Containers: 1}
)

func line(texts ...string) event.Lines {
	e := event.Lines{Stream: stream}
	for _, t := range texts {
		e.Lines = append(e.Lines, event.Line{At: at, Text: t})
	}
	return e
}

// step is one step of a workflow: the environment and the files that a runner gives it, and the log.
type step struct {
	*Reporter
	log bytes.Buffer
	env map[string]string
}

func newStep(t *testing.T, o report.Options) *step {
	t.Helper()
	dir := t.TempDir()
	s := &step{env: map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": "/github/workspace",
		"GITHUB_OUTPUT": filepath.Join(dir, "output"), "GITHUB_STEP_SUMMARY": filepath.Join(dir, "summary"),
	}}
	s.Reporter = New(&s.log, func(name string) string { return s.env[name] }, o)
	return s
}

func (s *step) tell(t *testing.T, events ...event.Event) {
	t.Helper()
	for _, e := range events {
		if err := report.New(s.Reporter).Event(e); err != nil {
			t.Fatalf("%T: %v", e, err)
		}
	}
}

func (s *step) file(t *testing.T, variable string) string {
	t.Helper()
	content, err := os.ReadFile(s.env[variable])
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func (s *step) outputs(t *testing.T) map[string]string {
	t.Helper()
	got, err := actionsrunner.Values(s.file(t, "GITHUB_OUTPUT"))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (s *step) play() *actionsrunner.Log {
	var r actionsrunner.Log
	r.Play(s.log.String())
	return &r
}

// attacks are lines of a container that would be obeyed if they were printed as they are.
var attacks = []string{
	"::error::fake",
	"  \t::warning::fake",
	"\u00a0::error::fake",
	"\u200b::error::fake",
	"\x00::error::fake",
	"\x1b[0m::error::fake",
	"progress\r::error::fake",
	"progress\r\n::add-mask::e",
	"x##[error]fake",
	"x##\u200b[error]fake",
	"##[group]fake",
	"##[add-mask]e",
	"##vso[task.setvariable variable=x]y",
	"::set-env name=a::b",
	"::set-output name=status::succeeded",
	"::add-mask::e",
	"::add-path::/tmp",
	"::add-matcher::/tmp/x.json",
	"::stop-commands::x",
	"::stop-commands::",
	"::x::",
	"::endgroup::",
	"::ABCDEFGHIJKLMNOPQRSTUVWXYZ::",
	"::::",
	"::GROUP::fake",
	"::debug::fake",
}

// Whatever a container writes, and whatever the cluster quotes in messages, the runner obeys our commands and no other.
func TestNothingHostileIsObeyed(t *testing.T) {
	for _, options := range []report.Options{{}, {Timestamps: true}} {
		s := newStep(t, options)
		s.env["RUNNER_DEBUG"] = "1"
		if err := s.AddMasks([]string{"::error::fake", "100%\x0a25"}); err != nil {
			t.Fatal(err)
		}
		s.tell(t, begun)
		var all string
		for _, a := range attacks {
			all += a + "\n"
			s.tell(t, line(a), line("x", a, a+"\n"+a),
				event.Attempt{Pod: "p", Index: -1, Message: a}, event.Attempt{Pod: "p", Index: -1, Message: "x\n" + a + "\r" + a},
				event.Object{Object: event.Ref{Kind: a, Name: a}, Action: "kept", Detail: a},
				event.Progress{Note: a, Waiting: []event.Waiting{{Pods: 1, For: a}}},
				event.Gap{Stream: stream, Why: a},
				event.Finding{Level: event.Warning, File: a, Line: 1, Column: 1, Path: a, Message: a, Suggestion: a},
				event.Finding{Level: event.Error, File: "a,line=7::x", Line: 1, Column: 1, Message: a},
				event.Notice{Level: event.Debug, Message: a}, event.Notice{Level: event.Info, Message: a, Hint: a}, event.Notice{Level: event.Error, Message: a, Hint: a})
		}
		s.tell(t, event.Finished{Outcome: event.Failed, Job: job, UID: "0b1c", Tail: attacks,
			Cause:    &event.Cause{Reason: event.Reason(attacks[0]), Message: all, Hint: all},
			Warnings: []event.Cause{{Message: all, Hint: all}}})

		r := s.play()
		if r.Stopped {
			t.Error("commands stay stopped at the end")
		}
		kinds := map[string]int{}
		for _, c := range r.Obeyed {
			kinds[c.Name]++
			for p := range c.Properties {
				if !slices.Contains([]string{"file", "line", "col", "title"}, p) {
					t.Errorf("property %q of %v is none of ours", p, c)
				}
			}
			if c.Properties["line"] == "7" {
				t.Errorf("%v: a file name set the line", c)
			}
		}
		want := map[string]int{"add-mask": 2, "warning": maxUnderway + 1, "error": maxAnnotations, "debug": len(attacks), "group": 1, "endgroup": 1}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("obeyed commands (-want +got):\n%s", diff)
		}
		if masks := r.All("add-mask"); masks[0].Data != "::error::fake" || masks[1].Data != "100%\n25" {
			t.Errorf("masks %q are not the ones that were given", masks)
		}
		if strings.Contains(s.log.String(), "##[") || strings.Contains(s.log.String(), "##vso[") {
			t.Error("the log still holds ##[ or ##vso[, which its viewer reads")
		}
		for _, want := range []string{"x## [error]fake", "::error::fake", "::stop-commands::x", "::x::"} {
			if !slices.ContainsFunc(r.Shown, func(l string) bool { return strings.HasSuffix(l, want) }) {
				t.Errorf("the line %q is not shown", want)
			}
		}
	}
}

// A container that saw an earlier token cannot use it again: each stop has its own.
func TestTokensAreFresh(t *testing.T) {
	s := newStep(t, report.Options{})
	s.tell(t, begun, line("a"), event.Notice{Level: event.Warning, Message: "w"})
	first := token(t, s.log.String())
	s.log.Reset()
	s.tell(t, line("::"+first+"::", "::error::fake"), event.Notice{Level: event.Warning, Message: "w2"})
	if second := token(t, s.log.String()); second == first || len(second) < 26 {
		t.Errorf("tokens %q and %q: want two, of 130 bits each", first, second)
	}
	if r := s.play(); len(r.All("error")) != 0 || len(r.All("warning")) != 1 {
		t.Errorf("obeyed %v", r.Obeyed)
	}
}

func token(t *testing.T, log string) string {
	t.Helper()
	_, rest, ok := strings.Cut(log, "::stop-commands::")
	if !ok {
		t.Fatalf("no stop-commands in %q", log)
	}
	token, _, _ := strings.Cut(rest, "\n")
	return token
}

// A long run of lines costs one pair of commands only, so that the log stays readable.
func TestCommandsStayStoppedBetweenLines(t *testing.T) {
	s := newStep(t, report.Options{})
	s.tell(t, begun, line("a"), event.Attempt{Pod: "p", Index: -1, Message: "m"}, line("b"), event.Progress{}, line("c"), event.Object{Object: job, Action: "kept"})
	if n := strings.Count(s.log.String(), "stop-commands"); n != 1 {
		t.Errorf("commands were stopped %d times, want once:\n%s", n, &s.log)
	}
}

// The delimiter of an output cannot be forged, and one that is in the value is not used.
func TestOutputsCannotBeForged(t *testing.T) {
	s := newStep(t, report.Options{})
	drawn := 0
	s.draw = func() string {
		if drawn++; drawn%2 == 1 {
			return "FORGED"
		}
		return fmt.Sprintf("UNIQUE%d", drawn)
	}
	tail := []string{"FORGED", "status=succeeded", "status<<X", "succeeded", "X", "_GitHubActionsFileCommandDelimeter_"}
	s.tell(t, begun)
	s.tell(t, event.Finished{Outcome: event.Failed, Job: job, UID: "0b1c", Tail: tail, Cause: &event.Cause{Reason: event.ContainerExit, Message: "m\nstatus=succeeded"}})
	got := s.outputs(t)
	for name, want := range map[string]string{"status": "failed", "log-tail": strings.Join(tail, "\n"), "message": "m\nstatus=succeeded", "exit-code": "", "job-name": "data-migration", "job_name": "data-migration"} {
		if value, set := got[name]; !set || value != want {
			t.Errorf("output %s is %q (set: %v), want %q", name, value, set, want)
		}
	}
	if len(got) != len(report.OutputDocs) {
		t.Errorf("%d outputs, want the %d that are documented: %v", len(got), len(report.OutputDocs), got)
	}
}

func TestOutputsAreSetEarly(t *testing.T) {
	s := newStep(t, report.Options{})
	s.tell(t, begun)
	want := map[string]string{"job-name": "data-migration", "job_name": "data-migration", "namespace": "batch-jobs", "job-uid": "0b1c"}
	if diff := cmp.Diff(want, s.outputs(t)); diff != "" {
		t.Errorf("outputs of a started Job (-want +got):\n%s", diff)
	}
	s.tell(t, event.Finished{Outcome: event.Succeeded, Job: job, UID: "0b1c"})
	if n := strings.Count(s.file(t, "GITHUB_OUTPUT"), "job-uid<<"); n != 1 {
		t.Errorf("job-uid was written %d times, want once", n)
	}
}

// Outputs that cannot be written are an error, but only at the end: the Job goes on. A summary is not worth that.
func TestFilesThatCannotBeWritten(t *testing.T) {
	s := newStep(t, report.Options{Summary: true})
	s.env["GITHUB_OUTPUT"] = filepath.Join(t.TempDir(), "no", "such", "folder")
	s.tell(t, begun, line("x"))
	finished := event.Finished{Outcome: event.Succeeded, Job: job, UID: "0b1c"}
	if err := s.Event(finished); err == nil || !strings.Contains(err.Error(), "outputs") {
		t.Errorf("the end without outputs is %v, want an error that says so", err)
	}
	if !strings.Contains(s.log.String(), "succeeded") {
		t.Error("the verdict is not in the log")
	}

	s = newStep(t, report.Options{Summary: true})
	s.env["GITHUB_STEP_SUMMARY"] = filepath.Join(t.TempDir(), "no", "such", "folder")
	s.tell(t, begun, finished)
	if w := s.play().All("warning"); len(w) != 1 || !strings.Contains(w[0].Data, "summary") {
		t.Errorf("warnings %v, want one about the summary", w)
	}
}

func TestWithoutARunner(t *testing.T) {
	s := newStep(t, report.Options{Summary: true})
	clear(s.env)
	s.env["RUNNER_DEBUG"] = "1"
	if err := s.AddMasks([]string{"hunter2!"}); err != nil {
		t.Fatal(err)
	}
	s.tell(t, begun, event.Finished{Outcome: event.Succeeded, Job: job, UID: "0b1c"})
	if strings.Contains(s.log.String(), "hunter2!") {
		t.Error("a secret is printed where no runner hides it")
	}
	if d := s.play().All("debug"); len(d) != 3 || !strings.Contains(d[0].Data, "GITHUB_OUTPUT is not set") {
		t.Errorf("debug messages %v", d)
	}
}

func TestMasksComeFirst(t *testing.T) {
	s := newStep(t, report.Options{})
	f := report.New(s)
	f.AddSecrets(event.Secret{Value: "hunter2!", Credential: true})
	for _, e := range []event.Event{begun, line("the password is hunter2!")} {
		if err := f.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	first, rest, _ := strings.Cut(s.log.String(), "\n")
	if !strings.HasPrefix(first, "::add-mask::") {
		t.Errorf("the log begins with %q", first)
	}
	if _, shown, _ := strings.Cut(rest, "::stop-commands::"); strings.Contains(shown, "hunter2!") || !strings.Contains(shown, "the password is ***") {
		t.Errorf("shown: %q", shown)
	}
}

func TestAnnotations(t *testing.T) {
	s := newStep(t, report.Options{})
	for i := range 15 {
		s.tell(t, event.Finding{Level: event.Error, File: "k8s/job.yaml", Line: i + 1, Column: 2, Path: "spec", Message: "wrong"})
	}
	s.tell(t, event.Finding{Level: event.Warning, File: "../outside.yaml", Line: 1, Message: "w"},
		event.Finding{Level: event.Warning, File: "/github/workspace/a,b.yaml", Line: 1, Message: "w"},
		event.Finding{Level: event.Warning, File: "manifest-content", Line: 1, Message: strings.Repeat("é", 5000)},
		event.Finished{Outcome: event.Failed, Cause: &event.Cause{Reason: event.InvalidManifest, Message: "fix these 15 problems first", Hint: "Fix them."}})
	r := s.play()
	errs := r.All("error")
	if len(errs) != maxAnnotations {
		t.Fatalf("%d errors are annotated, want %d", len(errs), maxAnnotations)
	}
	want := actionsrunner.Command{Name: "error", Properties: map[string]string{"file": "k8s/job.yaml", "line": "1", "col": "2"}, Data: "k8s/job.yaml:1:2: spec: wrong"}
	if diff := cmp.Diff(want, errs[0]); diff != "" {
		t.Errorf("first error (-want +got):\n%s", diff)
	}
	want = actionsrunner.Command{Name: "error", Properties: map[string]string{"title": "Kubernetes Job failed: InvalidManifest"}, Data: "fix these 15 problems first\n→ Fix them."}
	if diff := cmp.Diff(want, errs[maxAnnotations-1]); diff != "" {
		t.Errorf("last error (-want +got):\n%s", diff)
	}
	if !slices.Contains(r.Shown, "! error: k8s/job.yaml:15:2: spec: wrong") {
		t.Errorf("the 15th problem is not shown: %q", r.Shown)
	}
	var files []string
	for _, w := range r.All("warning") {
		files = append(files, w.Properties["file"])
		if len(w.Data) > maxMessage {
			t.Errorf("a message of %d bytes", len(w.Data))
		}
	}
	if diff := cmp.Diff([]string{"", "a,b.yaml", ""}, files); diff != "" {
		t.Errorf("files of the warnings (-want +got):\n%s", diff)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriteErrorsAreReturned(t *testing.T) {
	s := newStep(t, report.Options{})
	s.stdout = brokenPipe{}
	for _, e := range []event.Event{begun, line("x"), event.Notice{Level: event.Warning}, event.Finished{Outcome: event.Succeeded, Job: job, UID: "0b1c"}} {
		if err := s.Event(e); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%T: %v", e, err)
		}
	}
	if got := s.outputs(t)["status"]; got != "succeeded" {
		t.Errorf("status is %q although only the log is broken", got)
	}
}

func FuzzReports(f *testing.F) {
	const secret = "Hunter2!secret"
	for _, a := range attacks {
		f.Add(a, false)
	}
	f.Add("Hunter2!\x1b[31m\x1b[Ksecret", true)
	f.Fuzz(func(t *testing.T, text string, timestamps bool) {
		s := newStep(t, report.Options{Timestamps: timestamps, Summary: true})
		fan := report.New(s.Reporter)
		fan.AddSecrets(event.Secret{Value: secret})
		named := &event.Stream{Namespace: text, Pod: text, Container: text, Index: -1, Attempt: 1}
		for _, e := range []event.Event{event.Started{Job: job, UID: "0b1c", Pods: 2, Containers: 2}, line(text, text+secret), event.Lines{Stream: named, Lines: []event.Line{{Text: text}, {Text: secret}}},
			event.Attempt{Pod: text, Index: -1, Message: text}, line("x" + text), event.Gap{Stream: named, Why: text}, event.Object{Object: event.Ref{Kind: text, Name: text}, Action: text},
			event.Notice{Level: event.Warning, Message: text + secret}, event.Notice{Level: event.Info, Message: text, Hint: text + "\n" + text},
			event.Finding{Level: event.Error, File: text, Line: 1, Path: text, Message: text},
			event.Finished{Outcome: event.Failed, Job: event.Ref{Kind: "Job", Namespace: text, Name: text}, UID: text, FailedIndexes: text, Tail: []string{text, secret, text + secret}, Trace: []string{text, secret, text + secret, "main.sh: line 1: " + secret},
				Cause: &event.Cause{Reason: event.Reason(text), Message: text + secret, Hint: text}, Pods: []event.PodResult{{Name: text, Node: text, Phase: text, Reason: text, Message: text, Tail: []string{text, secret}, CreatedAt: &at, Times: event.Times{Run: 1}},
					{Name: text, Phase: "Failed", Container: text, Tail: []string{text}, CreatedAt: &at, Times: event.Times{Pull: 1, End: 1}}}}} {
			if err := fan.Event(e); err != nil {
				t.Fatal(err)
			}
		}
		r := s.play()
		for _, c := range r.Obeyed {
			if !slices.Contains([]string{"warning", "error", "group", "endgroup"}, c.Name) {
				t.Errorf("the runner obeyed %q of %q", c, s.log.String())
			}
		}
		if len(r.All("warning")) > 2 || len(r.All("error")) < 2 || len(r.All("error")) > 2+2 || r.Stopped {
			t.Errorf("the runner obeyed %q of %q", r.Obeyed, s.log.String())
		}
		outputs := s.outputs(t)
		if len(outputs) != len(report.OutputDocs) || outputs["status"] != "failed" {
			t.Errorf("outputs %q", outputs)
		}
		for _, wrong := range markup(s.file(t, "GITHUB_STEP_SUMMARY")) {
			t.Error(wrong)
		}
		for name, shown := range map[string]string{"log": s.log.String(), "outputs": s.file(t, "GITHUB_OUTPUT"), "summary": html.UnescapeString(s.file(t, "GITHUB_STEP_SUMMARY"))} {
			if strings.Contains(shown, secret) || strings.ContainsAny(strings.ReplaceAll(shown, "\x1b[", ""), "\x1b\r\x00") {
				t.Errorf("the secret or a control character is in the %s: %q", name, shown)
			}
		}
	})
}

func BenchmarkLines(b *testing.B) {
	const size = 256
	texts := make([]string, size)
	for i := range texts {
		texts[i] = strings.Repeat("0123456789", 9) + "012345678"
	}
	batch := line(texts...)
	r := New(io.Discard, func(string) string { return "" }, report.Options{})
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Event(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*size/b.Elapsed().Seconds(), "lines/s")
}
