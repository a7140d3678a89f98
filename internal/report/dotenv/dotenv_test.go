package dotenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

var (
	job  = event.Ref{Kind: "Job", Namespace: "batch-jobs", Name: "data-migration"}
	at   = time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)
	code = int32(3)
)

var name = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// parse plays GitLab (parse_dotenv_artifact_service.rb, and the lowest of its limits).
func parse(file string) (map[string]string, error) {
	if len(file) >= 5120 {
		return nil, errors.New("Dotenv Artifact Too Big")
	}
	variables := map[string]string{}
	for line := range strings.Lines(file) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			return nil, fmt.Errorf("Invalid Format: %q", line)
		}
		if key = strings.TrimSpace(key); !name.MatchString(key) {
			return nil, fmt.Errorf("Key is invalid: %q", key)
		}
		variables[key] = strings.TrimSpace(value)
	}
	if len(variables) > 20 {
		return nil, errors.New("Dotenv files cannot have more than 20 variables")
	}
	return variables, nil
}

// written is what GitLab reads after the events, and the notices.
func written(t *testing.T, events ...event.Event) (map[string]string, []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "job.env")
	var notices []string
	r := New(path, func(e event.Event) error {
		notices = append(notices, e.(event.Notice).Message)
		return nil
	})
	for _, e := range events {
		if err := r.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, notices
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(string(content))
	if err != nil {
		t.Fatalf("GitLab refuses the file: %v\n%s", err, content)
	}
	return got, notices
}

var started = event.Started{Job: job, UID: "0b1c", Pods: 1, Containers: 1}

func failed() event.Finished {
	return event.Finished{Outcome: event.Failed, Job: job, UID: "0b1c", Attempts: 1, Failed: 1, StartedAt: at, CompletedAt: at.Add(4200 * time.Millisecond), Duration: 4200 * time.Millisecond,
		Cause: &event.Cause{Reason: event.ContainerExit, ExitCode: &code, Message: `container "migrate" exited with code 3; a=b # c`},
		Pods:  []event.PodResult{{Name: "data-migration-x7k2p", Phase: "Failed", ExitCode: &code}},
		Tail:  []string{"panic: no database", "exit"}}
}

// What later jobs get, at each point of a run.
func TestFile(t *testing.T) {
	known := map[string]string{"KUBERNETES_JOB_NAME": "data-migration", "KUBERNETES_JOB_NAMESPACE": "batch-jobs", "KUBERNETES_JOB_UID": "0b1c"}
	got, notices := written(t, event.Object{Object: job, Action: "created"}, started, event.Lines{})
	if diff := cmp.Diff(known, got); diff != "" || notices != nil {
		t.Errorf("while it runs (-want +got):\n%s\nnotices %q", diff, notices)
	}

	got, notices = written(t, started, failed())
	want := map[string]string{
		"KUBERNETES_JOB_NAME": "data-migration", "KUBERNETES_JOB_NAMESPACE": "batch-jobs", "KUBERNETES_JOB_UID": "0b1c",
		"KUBERNETES_JOB_STATUS": "failed", "KUBERNETES_JOB_REASON": "ContainerExit", "KUBERNETES_JOB_EXIT_CODE": "3",
		"KUBERNETES_JOB_MESSAGE":  `container "migrate" exited with code 3; a=b # c`,
		"KUBERNETES_JOB_ATTEMPTS": "1", "KUBERNETES_JOB_SUCCEEDED": "0", "KUBERNETES_JOB_FAILED": "1", "KUBERNETES_JOB_FAILED_INDEXES": "",
		"KUBERNETES_JOB_STARTED_AT": "2026-03-01T12:00:00Z", "KUBERNETES_JOB_COMPLETED_AT": "2026-03-01T12:00:04Z", "KUBERNETES_JOB_DURATION_SECONDS": "4.2",
		"KUBERNETES_JOB_QUEUE_SECONDS": "0", "KUBERNETES_JOB_PULL_SECONDS": "0", "KUBERNETES_JOB_RUN_SECONDS": "0", "KUBERNETES_JOB_RESULT": "",
		"KUBERNETES_JOB_PODS": `[{"name":"data-migration-x7k2p","phase":"Failed","exitCode":3,"restarts":0}]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after a failure (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"the dotenv file leaves out log-tail (several lines)"}, notices); diff != "" {
		t.Error(diff)
	}

	// A run that could not begin: nothing of an earlier one is left in the file.
	got, notices = written(t, event.Finished{Outcome: event.Failed, Cause: &event.Cause{Reason: event.Forbidden, Message: "cannot create jobs"}})
	if got["KUBERNETES_JOB_STATUS"] != "failed" || got["KUBERNETES_JOB_REASON"] != "Forbidden" || got["KUBERNETES_JOB_NAME"] != "" || len(got) != 20 || notices != nil {
		t.Errorf("without a Job: %q, notices %q", got, notices)
	}
}

// What does not fit is left out and named, and what GitLab would change is not handed over.
func TestWhatDoesNotFit(t *testing.T) {
	for text, c := range map[string]struct {
		change func(*event.Finished)
		left   []string // outputs
		notice string
	}{
		"one line of log": {func(f *event.Finished) { f.Tail = []string{"done"} }, nil, ""},
		"a message in lines": {func(f *event.Finished) { f.Tail, f.Cause.Message = nil, "first\nKUBERNETES_JOB_STATUS=succeeded" }, []string{"message"},
			"the dotenv file leaves out message (several lines)"},
		"a carriage return": {func(f *event.Finished) { f.Tail, f.Cause.Message = nil, "first\rKUBERNETES_JOB_STATUS=succeeded" }, []string{"message"},
			"the dotenv file leaves out message (several lines)"},
		"a variable": {func(f *event.Finished) { f.Tail, f.Cause.Message = []string{"${CI_JOB_TOKEN}"}, "see $CI_JOB_TOKEN" }, []string{"message", "log-tail"},
			"the dotenv file leaves out message (GitLab would expand a variable in it), log-tail (GitLab would expand a variable in it)"},
		"a variable as Windows writes it": {func(f *event.Finished) { f.Tail, f.Cause.Message = nil, "see %CI_JOB_TOKEN%" }, []string{"message"},
			"the dotenv file leaves out message (GitLab would expand a variable in it)"},
		"per cent": {func(f *event.Finished) { f.Tail, f.Cause.Message = nil, "100% of the 50% are used" }, nil, ""},
		"many pods": {func(f *event.Finished) {
			f.Tail = nil
			for i := range 100 {
				f.Pods = append(f.Pods, event.PodResult{Name: fmt.Sprintf("data-migration-%d", i), Phase: "Succeeded"})
			}
		}, []string{"pods"}, "the dotenv file leaves out pods (too long)"},
		"a long message and many pods": {func(f *event.Finished) {
			f.Tail = []string{strings.Repeat("t", 4000)}
			f.Cause.Message = strings.Repeat("m", 3000)
			for i := range 50 {
				f.Pods = append(f.Pods, event.PodResult{Name: fmt.Sprintf("data-migration-%d", i), Phase: "Succeeded"})
			}
		}, []string{"pods", "log-tail"}, ""},
	} {
		t.Run(text, func(t *testing.T) {
			f := failed()
			c.change(&f)
			f = bordered(t, f)
			got, notices := written(t, started, f)
			outputs, _ := report.Outputs(f)
			for _, o := range outputs {
				value, there := got[Variable(o.Name)]
				left := false
				for _, name := range c.left {
					left = left || name == o.Name
				}
				if there == left && o.Name != "job_name" || there && value != o.Value && o.Name != "job_name" {
					t.Errorf("%s: %q, %v; the output is %q", o.Name, value, there, o.Value)
				}
			}
			if c.notice != "" && strings.Join(notices, "") != c.notice || (len(c.left) == 0) != (len(notices) == 0) {
				t.Errorf("notices %q, want %q", notices, c.notice)
			}
		})
	}
}

// bordered is f as sinks get it.
func bordered(t *testing.T, f event.Finished) event.Finished {
	t.Helper()
	var kept keeper
	if err := report.New(&kept).Event(f); err != nil {
		t.Fatal(err)
	}
	return kept.last.(event.Finished)
}

type keeper struct{ last event.Event }

func (k *keeper) Event(e event.Event) error { k.last = e; return nil }

// A file that is exactly as large as GitLab allows.
func TestLimit(t *testing.T) {
	for _, c := range []struct {
		length int
		fits   bool
	}{{limit - 1, true}, {limit, false}} {
		value := strings.Repeat("x", c.length-len("KUBERNETES_JOB_MESSAGE=\n"))
		content, left := format([]report.Output{{Name: "message", Value: value}})
		if (len(left) == 0) != c.fits || c.fits != (len(content) == c.length) {
			t.Errorf("a line of %d bytes: %d bytes are written, left out %.60q", c.length, len(content), left)
		}
	}
}

func TestErrors(t *testing.T) {
	finished := failed()
	r := New(filepath.Join(t.TempDir(), "nowhere", "job.env"), func(event.Event) error { t.Error("told"); return nil })
	for _, e := range []event.Event{started, finished} {
		if err := r.Event(e); err == nil || !strings.Contains(err.Error(), "job.env cannot be written") {
			t.Errorf("%T: %v", e, err)
		}
	}
	epipe := errors.New("broken pipe")
	r = New(filepath.Join(t.TempDir(), "job.env"), func(event.Event) error { return epipe })
	if err := r.Event(finished); !errors.Is(err, epipe) {
		t.Errorf("the notice cannot be told: %v", err)
	}
}

// All outputs have names of their own, and are no more than GitLab takes.
func TestVariables(t *testing.T) {
	seen := map[string]string{}
	for _, o := range report.OutputDocs {
		v := Variable(o.Name)
		if other, twice := seen[v]; twice || !name.MatchString(v) {
			t.Errorf("%s of %s is the name of %q too, or none", v, o.Name, other)
		}
		seen[v] = o.Name
	}
}

// TestVariablesAreLimited: GitLab refuses a file with too many variables, so the longest are left out.
func TestVariablesAreLimited(t *testing.T) {
	outputs := []report.Output{{Name: "long", Value: "xxx"}}
	for i := range variables {
		outputs = append(outputs, report.Output{Name: fmt.Sprint("o-", i), Value: "x"})
	}
	content, left := format(outputs)
	if n := strings.Count(string(content), "\n"); n != variables || len(left) != 1 || left[0] != "long (more variables than GitLab takes)" {
		t.Errorf("%d variables, left out: %v", n, left)
	}
}
