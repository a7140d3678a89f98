package github

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/actionsrunner"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// unwritable are files that not even root can write, by what is wrong with them.
func unwritable(t *testing.T) map[string]string {
	dir := t.TempDir()
	return map[string]string{"no such file or directory": filepath.Join(dir, "no", "file"), "is a directory": dir}
}

func TestCheckOutputs(t *testing.T) {
	check := func(path string) error {
		return CheckOutputs(func(name string) string {
			if name != "GITHUB_OUTPUT" {
				t.Errorf("%s was looked up", name)
			}
			return path
		})
	}
	if err := check(""); err != nil {
		t.Errorf("without a runner: %v", err)
	}
	path := filepath.Join(t.TempDir(), "output")
	for range 2 { // the runner makes the file; what is in it stays
		if err := check(path); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "" && string(got) != "a=b\n" {
			t.Errorf("%q, %v", got, err)
		}
		if err := os.WriteFile(path, []byte("a=b\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for want, path := range unwritable(t) {
		if err := check(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestSaveState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	save := func(path, value string) error {
		return SaveState(func(string) string { return path }, "job", value)
	}
	for _, value := range []string{"first", "a\njob<<X\nforged\nX\nb=c"} {
		if err := save(path, value); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := actionsrunner.Values(string(text)); err != nil || len(got) != 1 || got["job"] != value {
			t.Errorf("the runner reads %q, %v, want %q", got, err, value)
		}
	}
	text, _ := os.ReadFile(path)
	first, rest, _ := strings.Cut(strings.TrimPrefix(string(text), "job<<"), "\n")
	if len(first) < 26 || strings.Contains(rest, "job<<"+first) {
		t.Errorf("a delimiter can be known:\n%s", text)
	}
	if err := save("", "v"); err != nil {
		t.Errorf("without a runner: %v", err)
	}
	for want, path := range unwritable(t) {
		if err := save(path, "v"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// A script may have written to the files before, and forgotten the end of its last line.
func TestUnendedLineBefore(t *testing.T) {
	for before, want := range map[string]string{"": "", "x=y": "x=y\n", "x=y\n": "x=y\n"} {
		s := newStep(t, report.Options{Summary: true})
		for _, file := range []string{"GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"} {
			if err := os.WriteFile(s.env[file], []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s.tell(t, begun, event.Finished{Outcome: event.Succeeded, Job: job, UID: "0b1c"})
		if got := s.file(t, "GITHUB_OUTPUT"); !strings.HasPrefix(got, want+"job-name<<") {
			t.Errorf("behind %q, the outputs are %q", before, got)
		}
		if got := s.file(t, "GITHUB_STEP_SUMMARY"); !strings.HasPrefix(got, want+"### ") {
			t.Errorf("behind %q, the summary is %q", before, got)
		}
	}
}
