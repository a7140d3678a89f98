package app

import (
	"testing"

	"github.com/planton/kubernetes-job-action/internal/event"
)

func TestExitCode(t *testing.T) {
	cause := func(r event.Reason) *event.Cause { return &event.Cause{Reason: r} }
	for _, c := range []struct {
		outcome event.Outcome
		cause   *event.Cause
		want    int
	}{
		{event.Succeeded, nil, 0},
		{event.Created, nil, 0},
		{event.Failed, cause(event.BackoffLimitExceeded), 1},
		{event.Failed, cause(event.DeadlineExceeded), 1},
		{event.Failed, cause(event.PodFailurePolicy), 1},
		{event.Failed, cause(event.FailedIndexes), 1},
		{event.Failed, cause(event.MaxFailedIndexesExceeded), 1},
		{event.Failed, cause(event.ImagePull), 1},
		{event.Failed, cause(event.InvalidImageName), 1},
		{event.Failed, cause(event.CreateContainerConfig), 1},
		{event.Failed, cause(event.FailedMount), 1},
		{event.Failed, cause(event.PodCreateRejected), 1},
		{event.Failed, cause(event.Unschedulable), 1},
		{event.Failed, cause(event.OOMKilled), 1},
		{event.Failed, cause(event.ContainerExit), 1},
		{event.Failed, cause(event.Evicted), 1},
		{event.Failed, nil, 1},
		{event.Failed, cause(event.InvalidManifest), 2},
		{event.Failed, cause(event.InvalidInput), 2},
		{event.Failed, cause(event.Forbidden), 3},
		{event.Failed, cause(event.Unauthorized), 3},
		{event.Failed, cause(event.APIUnreachable), 3},
		{event.Failed, cause(event.Timeout), 4},
		{event.Failed, cause(event.StartTimeout), 4},
		{event.TimedOut, cause(event.Timeout), 4},
		{event.TimedOut, cause(event.Unschedulable), 4},
		{event.Failed, cause(event.JobDeleted), 5},
		{event.Vanished, cause(event.JobReplaced), 5},
		{event.Cancelled, cause(event.ReasonCancelled), 130},
	} {
		if got := exitCode(event.Finished{Outcome: c.outcome, Cause: c.cause}); got != c.want {
			t.Errorf("%s, %v: exit code %d, want %d", c.outcome, c.cause, got, c.want)
		}
	}
}
