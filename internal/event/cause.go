package event

import "strings"

// Outcome is how a run ended.
type Outcome string

// The outcomes. Created is the end of a run that was told not to wait.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"
	TimedOut  Outcome = "timed-out"
	Cancelled Outcome = "cancelled"
	Vanished  Outcome = "vanished"
	Created   Outcome = "created"
)

// Reason is a stable code for what went wrong; scripts compare it.
type Reason string

// The reasons. Those that Kubernetes has a word for keep that word.
const (
	BackoffLimitExceeded     Reason = "BackoffLimitExceeded"
	DeadlineExceeded         Reason = "DeadlineExceeded"
	PodFailurePolicy         Reason = "PodFailurePolicy"
	FailedIndexes            Reason = "FailedIndexes"
	MaxFailedIndexesExceeded Reason = "MaxFailedIndexesExceeded"
	ImagePull                Reason = "ImagePull"
	InvalidImageName         Reason = "InvalidImageName"
	CreateContainerConfig    Reason = "CreateContainerConfig"
	FailedMount              Reason = "FailedMount"
	PodCreateRejected        Reason = "PodCreateRejected"
	Unschedulable            Reason = "Unschedulable"
	StartTimeout             Reason = "StartTimeout"
	Timeout                  Reason = "Timeout"
	OOMKilled                Reason = "OOMKilled"
	ContainerExit            Reason = "ContainerExit"
	Evicted                  Reason = "Evicted"
	Preempted                Reason = "Preempted"
	NodeLost                 Reason = "NodeLost"
	JobDeleted               Reason = "JobDeleted"
	JobReplaced              Reason = "JobReplaced"
	Forbidden                Reason = "Forbidden"
	Unauthorized             Reason = "Unauthorized"
	APIUnreachable           Reason = "ApiUnreachable"
	InvalidManifest          Reason = "InvalidManifest"
	InvalidInput             Reason = "InvalidInput"
	ReasonCancelled          Reason = "Cancelled"
)

// Cause says why something failed: a stable reason, the object that it concerns, one sentence, and what to do next.
// A *Cause is an error, so that what fails before a Job exists travels the ordinary way.
type Cause struct {
	Reason    Reason
	Object    Ref
	Container string // "" when the cause is not one container's
	ExitCode  *int32 // of that container
	Message   string // what failed, where and why, in one sentence, without a full stop
	Hint      string // the next command or the fix; may be empty
	Err       error  // the underlying error, for errors.Is and debug output; may be nil
}

// Error is the message and the hint.
func (c *Cause) Error() string {
	if c.Hint == "" {
		return c.Message
	}
	return strings.TrimSuffix(c.Message, ".") + ". " + c.Hint
}

// Unwrap gives the underlying error.
func (c *Cause) Unwrap() error { return c.Err }
