package lines

import (
	"path/filepath"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/recorded"
)

// TestRuns: the lines of the recorded runs.
func TestRuns(t *testing.T) {
	for _, run := range recorded.Runs(t) {
		t.Run(run.Name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "job.log")
			run.Tell(t, discard{}, New(path))
			golden.Compare(t, run.Golden(".log"), read(t, path))
		})
	}
}
