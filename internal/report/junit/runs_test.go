package junit

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/recorded"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// TestRuns: the reports of the recorded runs.
func TestRuns(t *testing.T) {
	for _, run := range recorded.Runs(t) {
		t.Run(run.Name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "junit.xml")
			w := writer{now: func() time.Time { return at }}
			var told []string
			run.Tell(t, keeper{&told}, report.NewDocument(path, w.content, func(e event.Event) error { t.Errorf("told %v", e); return nil }))
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			parsed(t, string(text))
			golden.Compare(t, run.Golden(".xml"), string(text))
		})
	}
}
