package event

import "strings"

// Outcome is how a run ended.
type Outcome string

// The outcomes. Created is the end of a run that does not wait for the Job.
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
	QueueTimeout             Reason = "QueueTimeout"
	Timeout                  Reason = "Timeout"
	LockTimeout              Reason = "LockTimeout"
	LockLost                 Reason = "LockLost"
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
	OthersNotApplied         Reason = "OthersNotApplied"
	ReasonCancelled          Reason = "Cancelled"
)

// Class is the kind of end that a reason stands for, and the exit code of the program.
type Class int

// The classes. Fine is the end without a reason.
const (
	Fine        Class = 0
	JobFailed   Class = 1
	InputWrong  Class = 2
	ClusterSays Class = 3
	OurTimeout  Class = 4
	JobGone     Class = 5
	Interrupted Class = 130 // as a shell reports SIGINT
)

// ClassMeaning is a class in words.
type ClassMeaning struct {
	Class   Class
	Meaning string
}

// Classes are all classes; the README's table of exit codes is made from them.
var Classes = []ClassMeaning{
	{Fine, "succeeded (or created, rendered, valid)"},
	{JobFailed, "the Job failed; or the outputs or a file of the run could not be written"},
	{InputWrong, "an option or the manifest is invalid; no Job is left"},
	{ClusterSays, "the cluster cannot be reached, or refuses the run"},
	{OurTimeout, "a timeout of this run (`timeout`, `start-timeout`, `queue-timeout`, `lock-timeout`)"},
	{JobGone, "the Job was deleted or replaced by someone else"},
	{Interrupted, "cancelled"},
}

// ReasonMeaning is a reason with its class and one sentence.
type ReasonMeaning struct {
	Reason  Reason
	Class   Class
	Meaning string
}

// Reasons are all reasons; docs/reasons.md is made from them.
var Reasons = []ReasonMeaning{
	{BackoffLimitExceeded, JobFailed, "Containers exited with an error in more pods than backoffLimit allows."},
	{DeadlineExceeded, JobFailed, "The Job, or one of its pods, was active for longer than its activeDeadlineSeconds allows."},
	{PodFailurePolicy, JobFailed, "A rule of the Job's podFailurePolicy ended it."},
	{FailedIndexes, JobFailed, "Some indexes of an Indexed Job failed more often than backoffLimitPerIndex allows."},
	{MaxFailedIndexesExceeded, JobFailed, "More indexes of an Indexed Job failed than maxFailedIndexes allows."},
	{ImagePull, JobFailed, "An image cannot be pulled: it does not exist, or credentials are missing."},
	{InvalidImageName, JobFailed, "An image name is invalid."},
	{CreateContainerConfig, JobFailed, "A container cannot be created: a Secret, a ConfigMap or a key is missing, or its settings contradict each other."},
	{FailedMount, JobFailed, "A volume cannot be mounted."},
	{PodCreateRejected, JobFailed, "The API server refuses the Job's pods: quota, admission, a missing service account."},
	{Unschedulable, JobFailed, "No node can take one of the Job's pods."},
	{OOMKilled, JobFailed, "A container used more memory than its limit."},
	{ContainerExit, JobFailed, "A container exited with a code other than 0, or could not be started."},
	{Evicted, JobFailed, "A pod was evicted from its node."},
	{Preempted, JobFailed, "A pod was removed to make room for one of higher priority."},
	{NodeLost, JobFailed, "The node of a pod was lost or shut down."},
	{InvalidManifest, InputWrong, "The manifest is invalid."},
	{InvalidInput, InputWrong, "An option is invalid, or the name of the Job is taken."},
	{Forbidden, ClusterSays, "The cluster does not allow what the run needs: permissions, quota or admission."},
	{Unauthorized, ClusterSays, "The cluster rejects the credentials."},
	{APIUnreachable, ClusterSays, "The API server cannot be reached, or did not answer within api-timeout."},
	{LockLost, ClusterSays, "The lock was lost to another run, or deleted, while this run held it."},
	{OthersNotApplied, ClusterSays, "The Job succeeded, but what `others: after-success` applies then could not be applied."},
	{StartTimeout, OurTimeout, "No container started within start-timeout."},
	{QueueTimeout, OurTimeout, "The Job was suspended, mostly by a queue, for longer than queue-timeout."},
	{Timeout, OurTimeout, "The run did not end within timeout: the Job, or what comes before it."},
	{LockTimeout, OurTimeout, "The lock was not free within lock-timeout; nothing was created."},
	{JobDeleted, JobGone, "The Job was deleted by someone else before it ended."},
	{JobReplaced, JobGone, "The Job was deleted, and another one has taken its name."},
	{ReasonCancelled, Interrupted, "The run was cancelled."},
}

// Class is the class of the reason's row, and JobFailed without one: a Job's controller may set a reason of its own.
func (r Reason) Class() Class {
	for _, known := range Reasons {
		if known.Reason == r {
			return known.Class
		}
	}
	return JobFailed
}

// Cause says why something failed: a stable reason, the object that it concerns, one sentence, and what to do next.
// A *Cause is an error, so what fails before a Job exists is returned like any other error.
type Cause struct {
	Reason    Reason `json:"reason,omitempty"`
	Object    Ref    `json:"object,omitzero"`
	Container string `json:"container,omitempty"` // "" when the cause is not one container's
	ExitCode  *int32 `json:"exitCode,omitempty"`  // of that container
	Message   string `json:"message"`             // what failed, where and why: one sentence without a full stop
	Hint      string `json:"hint,omitempty"`      // the next command or the fix; may be empty
	Err       error  `json:"-"`                   // the underlying error, for errors.Is and debug output; may be nil
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
