package app

import "github.com/planton/kubernetes-job-action/internal/event"

// The exit codes of the commands themselves; event.Classes has all of them in words.
const (
	exitOK        = int(event.Fine)
	exitJobFailed = int(event.JobFailed)
	exitInvalid   = int(event.InputWrong)
)

// exitCode is the exit code of a run that ended so. The outcome counts before the reason: when our own timeout ended the run, the reason
// may say what the Job was waiting for.
func exitCode(f event.Finished) int {
	switch f.Outcome {
	case event.Succeeded, event.Created:
		return exitOK
	case event.TimedOut:
		return int(event.OurTimeout)
	case event.Vanished:
		return int(event.JobGone)
	case event.Cancelled:
		return int(event.Interrupted)
	}
	if f.Cause != nil {
		return int(f.Cause.Reason.Class())
	}
	return exitJobFailed
}
