package github

import (
	"fmt"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/recorded"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// TestRuns: what the runner gets of the recorded runs: the log, the outputs and the summary.
func TestRuns(t *testing.T) {
	for _, run := range recorded.Runs(t) {
		t.Run(run.Name, func(t *testing.T) {
			s := newStep(t, report.Options{Summary: true})
			drawn := 0
			s.draw = func() string { drawn++; return fmt.Sprintf("RANDOM%d", drawn) }
			s.bracket.Draw = s.draw
			run.Tell(t, s.Reporter)
			golden.Compare(t, run.Golden(".log"), s.log.String())
			golden.Compare(t, run.Golden(".output"), s.file(t, "GITHUB_OUTPUT"))
			page := s.file(t, "GITHUB_STEP_SUMMARY")
			golden.Compare(t, run.Golden(".summary.md"), page)
			for _, wrong := range markup(page) {
				t.Error(wrong)
			}
		})
	}
}
