// Package verdict decides how a run stands: from the last states of the Job and its pods, their events and a clock value, it
// computes the outcome, the cause and the hint. It does no I/O and reads no clock, so the same State always gives the same
// Verdict.
//
// # Who decides
//
// The Job decides; pods and events only explain. A run ends when
//   - the Job has the condition Complete or Failed with status True, for any reason. SuccessCriteriaMet and FailureTarget count
//     already: the controller never takes them back, it only waits for terminating pods and for its own counting before it
//     adds the final condition with the same reason and message (syncJob and enactJobFinished in
//     k8s.io/kubernetes/pkg/controller/job/job_controller.go). The API server itself protects FailureTarget, Failed and
//     Complete from everybody (ValidateJobStatusUpdate in pkg/apis/batch/validation/validation.go) but not SuccessCriteriaMet,
//     which therefore counts only when Kubernetes' own controller runs the Job (spec.managedBy);
//   - the Job is gone or replaced before that, or is being deleted and nothing of it works any more (outcome vanished). When a condition above was seen, that stands;
//   - our own patience ends: fail-fast, start-timeout, timeout.
//
// A later State never changes the outcome that the Job decided. Job and pods are watched apart, so a pod's last state may come
// after the condition that it led to: Incomplete says so, and deciding again a moment later gives the better cause. A complete
// cause is kept: the deletion of the pods that follows takes information away.
//
// # Which reason
//
// The reason is the most specific thing that somebody can act on. Rules of the Job keep their own word, whatever the container
// did: DeadlineExceeded, PodFailurePolicy, FailedIndexes, MaxFailedIndexesExceeded. The back-off limit is only the sum of its
// failures, so the last failure speaks for it: OOMKilled, Evicted, Preempted, NodeLost, a pod's own DeadlineExceeded, or
// Unschedulable for a pod that its node refused. A container that just exited is ContainerExit when it was the only attempt
// and BackoffLimitExceeded when several attempts failed. Message, container and exit code name the container in all of them.
// A reason of the Job that is not known here is handed on as it is.
//
// # Patience
//
// Patience is measured by our clock. timeout counts from the beginning of the run, whatever the Job does meanwhile.
// queue-timeout is for the time that the Job is suspended at a stretch, mostly by a queue. start-timeout begins anew when a Job is
// resumed, as activeDeadlineSeconds does (syncJob resets startTime), and means: no main container of the Job has started, none of
// its init containers works, and it did not yet succeed or fail in anything. It begins anew when an init container ends.
//
// Fail-fast ends a run only while nothing makes progress: no container works, and every living pod is held up by something
// that nobody but a person can change, longer than its grace. What only an event says is asked of the cluster first, see Claim: events
// explain, they do not decide, because whoever may create them can write anything into them. A pod that waits for something else, a capacity or a registry
// that may come back, keeps the run alive until start-timeout. Graces begin with the cluster's own time stamp of the trouble.
package verdict

import (
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// The graces of fail-fast. InvalidImageName and ErrImageNeverPull have none: they are the kubelet's own, final answers.
const (
	// PullGrace is the time from the first refused pull of an image to the end of the run. The pull must have failed twice
	// at least, so never the first back-off decides (the kubelet tries again after 10 s, then 20 s, …).
	PullGrace = 20 * time.Second
	// ConfigGrace is for missing Secrets, ConfigMaps, keys, claims, and volumes that cannot be mounted. It covers helpers that
	// are created right after the Job.
	ConfigGrace = 15 * time.Second
	// CreateGrace is for pods that the API server refuses: quota, admission, service account.
	CreateGrace = 10 * time.Second
)

// State is everything that is known about the followed Job at one moment. Nothing in it is changed by this package.
type State struct {
	Job           *batchv1.Job         // the last state that was seen; nil before the first
	Gone          bool                 // the Job object was deleted
	Missed        bool                 // and what it came to before that was not seen, nor its deletion: a watch was interrupted
	ReplacedBy    types.UID            // UID of another Job under the same name, "" without one
	Pods          []*corev1.Pod        // last states of all pods of the Job, deleted ones included, in order of creation
	GonePods      map[types.UID]bool   // the pods among them whose objects were deleted
	Events        []*corev1.Event      // events about the Job and its pods
	Answers       map[Claim]Answer     // what the cluster said to the Questions of an earlier Verdict
	Starts        map[Output]time.Time // the first start of each container that was seen to start, for Result; see the function Starts
	Past          []*corev1.Event      // what else Kubernetes said, for Result: not only what Wants keeps
	Silent        map[Output]bool      // of the running containers whose log is open, those that have written nothing to it
	Now           time.Time            // our clock
	Began         time.Time            // when the run began, by our clock; zero: with the following
	FollowedSince time.Time            // when the following began, by our clock
	Joined        bool                 // that was not when the Job was created
	Options       Options
}

// Output names a container of a pod as one that writes.
type Output struct {
	Pod       types.UID
	Container string
}

// Options is our own patience with the Job. A zero duration means without limit.
type Options struct {
	FailFast     bool          // end the run when what holds the pods up cannot heal by itself
	Timeout      time.Duration // for the whole run
	StartTimeout time.Duration // for the first container to start
	QueueTimeout time.Duration // for the Job to be admitted by a queue, or resumed
	// MainContainer is the container whose end decides, while others of its pod go on; "" when all of them are waited for.
	MainContainer string
	ResultFrom    ResultFrom
}

// ResultFrom says what the result of a Job is, see event.Finished.
type ResultFrom string

// Where a result can come from.
const (
	ResultFromNone               ResultFrom = "none"
	ResultFromTerminationMessage ResultFrom = "termination-message"
)

// Verdict is the answer to a State.
type Verdict struct {
	Decided        bool           // the run is over
	Outcome        event.Outcome  // "" until Decided
	Cause          *event.Cause   // nil until Decided, and when the Job succeeded
	DeleteJob      bool           // we ended it, not the Job itself: the option on-timeout applies
	CausePod       string         // the pod whose last lines belong to the cause; "" when it is not one container's
	CauseContainer string         // in CausePod
	Ask            []Question     // what would end the run, if only the cluster confirmed it: decide again with its Answers
	Incomplete     bool           // the Job's condition came before the state of the pod that explains it: decide again soon
	Warnings       []event.Cause  // what a user should know although it did not decide
	Notices        []event.Notice // all keyed: the caller sends each key once
	Progress       event.Progress
	Next           time.Time // when the clock alone may change this answer, by our clock; zero: never
}

// Decide gives the Verdict of a State. It accepts any State, also one that no cluster would give.
func Decide(s State) Verdict {
	w := look(s)
	var v Verdict
	if !w.ended(&v) && !(w.goes() && w.mainEnds(&v)) && !w.vanished(&v) {
		w.impatient(&v)
	}
	if v.Cause != nil {
		v.Cause.Message, v.Cause.Hint = clean(v.Cause.Message, maxMessage), clean(v.Cause.Hint, maxMessage)
	}
	v.Warnings = w.warnings(v.Cause)
	v.Progress = w.progress()
	v.Notices = w.notices(&v)
	for i := range v.Notices {
		n := &v.Notices[i]
		n.Message, n.Hint = clean(n.Message, maxMessage), clean(n.Hint, maxMessage)
	}
	return v
}

// ended decides by the Job's own conditions.
func (w *view) ended(v *Verdict) bool {
	if w.succeeded() != nil {
		v.Decided, v.Outcome = true, event.Succeeded
		return true
	}
	c := w.failed()
	if c == nil {
		return false
	}
	v.Decided, v.Outcome = true, event.Failed
	v.Cause = w.jobFailure(c)
	v.Incomplete = w.incomplete
	w.point(v)
	return true
}

// goes tells whether somebody has deleted the Job, be it there or not.
func (w *view) goes() bool {
	return w.Gone || w.ReplacedBy != "" || w.job.DeletionTimestamp != nil
}

// vanished decides for a Job that is no longer there and had not finished. One that is held while it is being deleted counts too, when its pods
// have ended: the controller does not count any more what they did.
func (w *view) vanished(v *Verdict) bool {
	switch {
	case w.ReplacedBy != "":
		v.Cause = &event.Cause{
			Reason: event.JobReplaced, Object: w.ref,
			Message: fmt.Sprintf("%s was deleted before it finished, and another Job was created under its name (UID %s instead of %s)", w.name, w.ReplacedBy, w.job.UID),
			Hint:    "Probably another run of the same workflow did that: give each run, and each job of a matrix, its own Job with name-suffix, or let one run wait for the other with a concurrency group.",
		}
	case w.Gone:
		v.Cause = &event.Cause{
			Reason: event.JobDeleted, Object: w.ref,
			Message: fmt.Sprintf("%s was deleted by someone else before it finished (%s)", w.name, w.tally()),
			Hint:    "Look for another run, a clean-up job or a person that deletes Jobs in this namespace; the audit log of the cluster knows who it was.",
		}
		ttl := w.job.Spec.TTLSecondsAfterFinished
		due := ttl != nil && w.Now.Sub(w.FollowedSince) >= time.Duration(*ttl)*time.Second
		if w.Missed || due {
			v.Cause.Message = fmt.Sprintf("%s was deleted before it was seen to finish (%s)", w.name, w.tally())
			v.Cause.Hint = "Its deletion itself was not seen, so the Job may have ended: another run that follows it (if-exists: attach), or a clean-up, may have deleted it then."
		}
		if due {
			v.Cause.Hint = fmt.Sprintf("Its ttlSecondsAfterFinished of %d s may have removed it while the cluster could not be reached: a longer one leaves time to see the end.", *ttl)
		}
	case w.job.DeletionTimestamp != nil && w.unended() == 0:
		if due := w.after(w.lastEnd(), LingerGrace); w.Now.Before(due) {
			v.next(due)
			return false
		}
		v.Cause = &event.Cause{
			Reason: event.JobDeleted, Object: w.ref,
			Message: fmt.Sprintf("%s is being deleted by someone, and does not finish any more (%s)", w.name, w.tally()),
			Hint:    event.See("See what holds its pods, such as finalizers", event.Kubectl(w.ref.Namespace, "get pods -l job-name=%s -o yaml", w.ref.Name)),
		}
		if why, hint := Holders(w.job); why != "" {
			v.Cause.Message, v.Cause.Hint = v.Cause.Message+"; "+why, hint
		}
	default:
		return false
	}
	if names, end := w.orphans(); names != "" {
		v.Cause.Message += "; it was deleted without its pods, and these go on: " + names
		v.Cause.Hint = event.See("Nobody counts or replaces them any more; this ends them", end)
	}
	v.Decided, v.Outcome = true, event.Vanished
	return true
}

// mostNamed is how many pods a cause names one by one.
const mostNamed = 10

// orphans are the names of the pods that go on without their Job, and the command that ends them; "" when there are none. Whoever deletes a Job
// may leave its pods (kubectl delete --cascade=orphan), and its last state says so.
func (w *view) orphans() (names, end string) {
	if !slices.Contains(w.job.Finalizers, metav1.FinalizerOrphanDependents) || len(w.living) == 0 {
		return "", ""
	}
	var all []string
	for _, p := range w.living {
		all = append(all, p.Name)
	}
	if more := len(all) - mostNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:mostNamed], ", "), more),
			event.Kubectl(w.ref.Namespace, "delete pods -l "+batchv1.ControllerUidLabel+"=%s", string(w.job.UID))
	}
	return strings.Join(all, ", "), event.Kubectl(w.ref.Namespace, "delete pod"+strings.Repeat(" %s", len(all)), all...)
}

// lastEnd is when the last container of a Job that is being deleted ended, or when its deletion began.
func (w *view) lastEnd() time.Time {
	last := w.job.DeletionTimestamp.Time
	for _, p := range w.Pods {
		for c := range containers(p) {
			if _, end := c.worked(); end.After(last) {
				last = end
			}
		}
	}
	return last
}

// Holders says which finalizers hold a Job that is being deleted, and how it goes by force; "" when none of others does.
func Holders(job *batchv1.Job) (message, hint string) {
	others := slices.DeleteFunc(slices.Clone(job.Finalizers), func(f string) bool { // Kubernetes itself takes its two away
		return f == metav1.FinalizerDeleteDependents || f == metav1.FinalizerOrphanDependents
	})
	if len(others) == 0 {
		return "", ""
	}
	return "its finalizers hold it (" + event.Shorten(strings.Join(others, ", "), 300) + ")", event.See("Whoever has put them there takes them away; by force",
		event.Kubectl(job.Namespace, `patch job %s --type=merge -p '{"metadata":{"finalizers":null}}'`, job.Name))
}

// impatient decides by our own patience, or says when it could.
func (w *view) impatient(v *Verdict) {
	o := w.Options
	if w.mainEnds(v) {
		return
	}
	if o.FailFast && !w.suspended {
		if cause, due := w.stuck(); cause != nil {
			if !w.Now.Before(due) {
				w.end(v, event.Failed, cause)
				return
			}
			v.next(due)
		}
		switch p, due, ask := w.hopeless(); {
		case p == nil:
		case w.Now.Before(due):
			v.next(due)
		case len(ask) > 0:
			v.Ask = ask
		default:
			w.end(v, event.Failed, &p.Cause)
			return
		}
	}
	for _, limit := range []struct {
		of    time.Duration
		since time.Time
		holds bool
		cause func() *event.Cause
	}{
		{o.QueueTimeout, w.suspendedSince, w.suspended, w.queueTimeout},
		{o.StartTimeout, w.after(w.prepared(), 0), !w.suspended && w.working == 0 && !w.started(), w.startTimeout},
		{o.Timeout, w.Began, true, w.timeout},
	} {
		if limit.of == 0 || !limit.holds {
			continue
		}
		if due := limit.since.Add(limit.of); w.Now.Before(due) {
			v.next(due)
			continue
		}
		w.end(v, event.TimedOut, limit.cause())
		return
	}
}

// end ends the run before the Job has ended.
func (w *view) end(v *Verdict, outcome event.Outcome, cause *event.Cause) {
	v.Decided, v.Outcome, v.DeleteJob, v.Cause, v.Ask = true, outcome, true, cause, nil
	w.point(v)
}

func (v *Verdict) next(t time.Time) {
	if v.Next.IsZero() || t.Before(v.Next) {
		v.Next = t
	}
}

// point tells whose last lines belong to the cause. When the time is over, and no attempt failed, they are those of the only container at work.
func (w *view) point(v *Verdict) {
	v.Next = time.Time{}
	if v.Cause.Reason == event.Timeout && len(w.living) == 1 {
		v.CausePod, v.CauseContainer = w.atWork(w.living[0])
	}
	if v.Cause.ExitCode != nil && v.Cause.Object.Kind == "Pod" {
		v.CausePod, v.CauseContainer = v.Cause.Object.Name, v.Cause.Container
	}
}

// atWork names the pod's only container at work, sidecars left out; "" for none or several.
func (w *view) atWork(p *corev1.Pod) (pod, name string) {
	for c := range containers(p) {
		if c.kind == event.Sidecar || c.status == nil || c.status.State.Running == nil {
			continue
		}
		if name != "" {
			return "", ""
		}
		pod, name = p.Name, c.spec.Name
	}
	return pod, name
}

func (w *view) startTimeout() *event.Cause {
	what := "container"
	if slices.ContainsFunc(w.Pods, func(p *corev1.Pod) bool { return ran(p, event.Init, event.Sidecar) }) {
		what = "main container"
	}
	c := &event.Cause{
		Reason: event.StartTimeout, Object: w.ref,
		Message: fmt.Sprintf("%s started no %s within %s (start-timeout)", w.name, what, brief(w.Options.StartTimeout)),
		Hint:    event.See("See what it waits for", event.Kubectl(w.ref.Namespace, "describe job %s", w.ref.Name)) + "; or give it more time with start-timeout.",
	}
	if p := w.problem(); p != nil {
		c.Reason, c.Object, c.Container, c.Hint = p.Reason, p.Object, p.Container, p.Hint
		c.Message += ": " + p.Message
	} else {
		c.Message += ": " + w.progress().String()
	}
	w.podless(c)
	return c
}

// podless says, in the cause of a run that was out of patience, that the Job can have no pods.
func (w *view) podless(c *event.Cause) {
	if n := w.job.Spec.Parallelism; n != nil && *n == 0 {
		c.Message += "; the Job's parallelism is 0, so it has no pods"
		c.Hint = event.See("Raise it", event.Kubectl(w.ref.Namespace, `patch job %s -p '{"spec":{"parallelism":1}}'`, w.ref.Name))
	}
}

func (w *view) queueTimeout() *event.Cause {
	waits, hint := w.waitsToResume()
	return &event.Cause{Reason: event.QueueTimeout, Object: w.ref, Hint: hint,
		Message: fmt.Sprintf("%s within %s (queue-timeout): it %s", w.name+" was not resumed", brief(w.Options.QueueTimeout), waits)}
}

func (w *view) timeout() *event.Cause {
	c := &event.Cause{
		Reason: event.Timeout, Object: w.ref,
		Message: fmt.Sprintf("%s did not finish within %s (timeout): %s", w.name, brief(w.Options.Timeout), w.progress()),
		Hint:    "Give it more time with timeout, or find out in its log what took so long.",
	}
	switch p, init := w.problem(), w.longestInit(); {
	case w.workSucceeded():
		c.Message += "; its work has succeeded, and Kubernetes has not counted it yet"
		c.Hint = "Give it more time with timeout. Whoever runs it again does the work again."
	case w.suspended:
		if w.queue() == "" {
			c.Message += ", and nobody has resumed it"
		}
		_, c.Hint = w.waitsToResume()
	case p != nil:
		c.Hint = p.Hint
	case init != nil:
		c.Hint = init.Hint
	case !w.worked(): // there is no log
		c.Hint = "Give it more time with timeout."
	}
	w.attempts(c)
	for _, p := range w.living {
		if l := w.lingers(p); l != nil {
			c.Message += "; " + l.ended()
			c.Hint = lingerHint
			break
		}
	}
	w.podless(c)
	return c
}
