package result

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/recorded"
	lines "github.com/planton/kubernetes-job-action/internal/report/json"
)

// without is a line, or a file, without the moment at which it was written.
func without(t *testing.T, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	before, rest, _ := bytes.Cut(b.Bytes(), []byte(`"at":"`))
	_, after, _ := bytes.Cut(rest, []byte(`",`))
	return string(before) + string(after)
}

// The file holds what the line started says from then on, and at the end what the line finished says.
func TestRuns(t *testing.T) {
	for _, run := range recorded.Runs(t) {
		path := filepath.Join(t.TempDir(), "result.json")
		sink, want := New(path), ""
		for i, e := range run.Events {
			if err := sink.Event(e); err != nil {
				t.Fatal(err)
			}
			switch e.(type) {
			case event.Started, event.Finished:
				want = without(t, run.Lines[i])
			}
			text, err := os.ReadFile(path)
			if want == "" {
				if !os.IsNotExist(err) {
					t.Fatalf("%s: before the Job exists, the file holds %s, %v", run.Name, text, err)
				}
				continue
			}
			if err != nil || without(t, text) != want {
				t.Fatalf("%s: after %T, the file holds\n%s, %v, want\n%s", run.Name, e, text, err, want)
			}
		}
	}
}

// For a reader, the file has lines of its own: it is indented, and ends with a line break.
func TestIsIndented(t *testing.T) {
	path := filepath.Join(t.TempDir(), "result.json")
	if err := New(path).Event(event.Finished{Outcome: event.Succeeded}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(text, []byte("\n  \"status\": \"succeeded\",\n")) || !bytes.HasSuffix(text, []byte("\n}\n")) {
		t.Errorf("%s, %v", text, err)
	}
	if e, err := lines.Decode(text); err != nil || e.(event.Finished).Outcome != event.Succeeded {
		t.Errorf("it is read as %+v, %v", e, err)
	}
}
