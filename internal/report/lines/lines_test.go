package lines

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

var (
	job = event.Ref{Kind: "Job", Namespace: "batch-jobs", Name: "import"}
	at  = time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)
)

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// After every event the file holds all that there was: what a kill leaves. The lines of the run before are gone with the first news.
func TestCompleteAtEveryMoment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "job.log")
	if err := os.WriteFile(path, []byte("of the run before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Open(path) // whoever reads the old file keeps it whole
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	first := &event.Stream{Pod: "import-0-x7k2p", Container: "main", Index: 0, Attempt: 1}
	again := &event.Stream{Pod: "import-3-b5c6d", Container: "main", Index: 3, Attempt: 2}
	lines := func(s *event.Stream, texts ...string) event.Lines {
		e := event.Lines{Stream: s}
		for i, text := range texts {
			e.Lines = append(e.Lines, event.Line{At: at.Add(time.Duration(i) * time.Millisecond), Text: text})
		}
		return e
	}
	f := report.New(&discard{}, New(path))
	f.AddSecrets(event.Secret{Value: "hunter2secret"})
	want := ""
	for _, step := range []struct {
		event event.Event
		adds  string
	}{
		{event.Notice{Message: "ours"}, ""},
		{event.Started{Job: job, UID: "0b1c", Pods: 12, Containers: 1, Indexed: true}, ""},
		{lines(first, "one", "two"), "2026-03-01T12:00:00.123Z [ 0] one\n2026-03-01T12:00:00.124Z [ 0] two\n"},
		{lines(again, "\x1b[31mred\x1b[0m hunter2secret", "10%\r100%"), "2026-03-01T12:00:00.123Z [ 3 attempt 2] red ***\n" +
			"2026-03-01T12:00:00.124Z [ 3 attempt 2] 10%\n2026-03-01T12:00:00.124Z [ 3 attempt 2] 100%\n"},
		{event.Gap{Stream: again, Why: "the log was\nrotated away"}, "! lines of container main of pod import-3-b5c6d may be lost: the log was rotated away\n"},
		{lines(again, "! lines of container main may be lost"), "2026-03-01T12:00:00.123Z [ 3 attempt 2] ! lines of container main may be lost\n"},
		{event.Finished{Outcome: event.Failed, Job: job, UID: "0b1c", Tail: []string{"one"}}, ""},
	} {
		if err := f.Event(step.event); err != nil {
			t.Fatal(err)
		}
		want += step.adds
		if diff := cmp.Diff(want, read(t, path)); diff != "" {
			t.Fatalf("after a %T (-want +got):\n%s", step.event, diff)
		}
	}
	old := make([]byte, 100)
	if n, _ := before.Read(old); string(old[:n]) != "of the run before\n" {
		t.Errorf("who had the file open reads %q", old[:n])
	}
}

// A run that ends before there is a Job leaves an empty file, and none of an earlier run.
func TestWithoutJob(t *testing.T) {
	path := filepath.Join(t.TempDir(), "job.log")
	if err := os.WriteFile(path, []byte("of the run before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(path).Event(event.Finished{Outcome: event.Failed}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "" {
		t.Errorf("the file holds %q", got)
	}
}

func TestErrors(t *testing.T) {
	err := New(filepath.Join(t.TempDir(), "nowhere", "job.log")).Event(event.Started{Job: job})
	if err == nil || !strings.Contains(err.Error(), "job.log cannot be written: no such file or directory") {
		t.Errorf("no folder: %v", err)
	}
}

// A file that was deleted while it was written is not there for whoever asked for it.
func TestDeletedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "job.log")
	r := New(path)
	if err := r.Event(event.Started{Job: job}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	err := r.Event(event.Finished{Outcome: event.Succeeded})
	if err == nil || !strings.Contains(err.Error(), "job.log was deleted while this run wrote to it") {
		t.Errorf("the error is %v", err)
	}
}

type discard struct{}

func (discard) Event(event.Event) error { return nil }
