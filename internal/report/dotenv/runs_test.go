package dotenv

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/recorded"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// log is a sink that is no file.
type log struct{}

func (log) Event(event.Event) error { return nil }

// TestRuns: the file of each recorded run, which GitLab takes.
func TestRuns(t *testing.T) {
	for _, run := range recorded.Runs(t) {
		path := filepath.Join(t.TempDir(), "job.env")
		run.Tell(t, report.Sink(log{}), New(path, func(event.Event) error { return nil }))
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse(string(content)); err != nil {
			t.Errorf("%s: %v", run.Name, err)
		}
		golden.Compare(t, run.Golden(".env"), string(content))
	}
}
