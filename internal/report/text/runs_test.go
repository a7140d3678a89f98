package text

import (
	"bytes"
	"testing"
	"time"

	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/recorded"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// TestRuns: what users see of the recorded runs, on a pipe and in the logs of CI systems.
func TestRuns(t *testing.T) {
	for _, run := range recorded.Runs(t) {
		for ending, format := range map[string]report.Format{".text": report.FormatText, ".gitlab": report.FormatGitLab, ".buildkite": report.FormatBuildkite, ".azure": report.FormatAzure} {
			t.Run(run.Name+ending, func(t *testing.T) {
				var both bytes.Buffer
				r := New(margin{&both, "out"}, margin{&both, "err"}, noCI, report.Options{Format: format}, format != report.FormatText)
				seconds := 0
				r.now = func() time.Time { seconds++; return at.Add(time.Duration(seconds) * time.Second) }
				run.Tell(t, r)
				golden.Compare(t, run.Golden(ending), both.String())
			})
		}
	}
}
