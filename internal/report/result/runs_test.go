package result

import (
	"testing"

	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/recorded"
)

// TestRuns: the files of the recorded runs are what the schema says.
func TestRuns(t *testing.T) {
	for _, run := range recorded.Runs(t) {
		t.Run(run.Name, func(t *testing.T) {
			text, _ := written(t, run.Events...)
			golden.Compare(t, run.Golden(".json"), string(text))
		})
	}
}
