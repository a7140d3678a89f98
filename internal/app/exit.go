package app

import "github.com/planton/kubernetes-job-action/internal/event"

// The exit codes, as README.md promises them.
const (
	exitOK          = 0   // succeeded, created, rendered, valid
	exitJobFailed   = 1   // the Job failed
	exitInvalid     = 2   // an option or the manifest is wrong; nothing was created
	exitCluster     = 3   // the cluster cannot be reached or refuses
	exitTimeout     = 4   // our own timeout
	exitVanished    = 5   // the Job was deleted or replaced by someone else
	exitInterrupted = 130 // cancelled, as a shell reports SIGINT
)

// exitCode maps how a run ended to the code that the process exits with.
func exitCode(f event.Finished) int {
	switch f.Outcome {
	case event.Succeeded, event.Created:
		return exitOK
	case event.TimedOut:
		return exitTimeout
	case event.Vanished:
		return exitVanished
	case event.Cancelled:
		return exitInterrupted
	}
	if f.Cause != nil {
		switch f.Cause.Reason {
		case event.InvalidInput, event.InvalidManifest:
			return exitInvalid
		case event.Forbidden, event.Unauthorized, event.APIUnreachable:
			return exitCluster
		case event.Timeout, event.StartTimeout:
			return exitTimeout
		case event.JobDeleted, event.JobReplaced:
			return exitVanished
		}
	}
	return exitJobFailed
}
