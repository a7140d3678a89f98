package verdict

import (
	"fmt"
	"iter"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/pods"
)

// view is a State made ready for the questions that are asked of it.
type view struct {
	State
	job          *batchv1.Job // never nil
	ref          event.Ref    // of the Job
	name         string       // "Job namespace/name", for messages
	external     string       // the controller that runs the Job, "" for Kubernetes' own
	suspended    bool
	patientSince time.Time // when our patience with what begins anew at each resumption began

	suspendedSince time.Time // when it was suspended, by our clock at the latest since we follow it

	podEvents  map[types.UID][]*corev1.Event // of the pods that have not ended and whose main containers do not run
	living     []*corev1.Pod                 // pods that may still do something: not ended, not being deleted
	heldUp     []*problem                    // what those of living wait for that run no main container
	working    int                           // living pods with a main or init container (no sidecar) at work
	running    int                           // living pods with a main container at work
	incomplete bool                          // the cause lacks a pod's state that is still on its way
	refused    *problem                      // the API server refuses new pods
}

func look(s State) *view {
	w := &view{State: s, job: s.Job, name: "the Job"}
	if w.job == nil {
		w.job = &batchv1.Job{}
	} else {
		w.ref = event.Ref{Kind: "Job", Namespace: w.job.Namespace, Name: w.job.Name}
		w.name = w.ref.String()
	}
	if m := w.job.Spec.ManagedBy; m != nil && *m != batchv1.JobControllerName {
		w.external = *m
	}
	w.Pods = slices.DeleteFunc(slices.Clone(s.Pods), func(p *corev1.Pod) bool { return p == nil })
	w.Events = slices.DeleteFunc(slices.Clone(s.Events), func(e *corev1.Event) bool { return e == nil || !Wants(e) })

	if w.Began.IsZero() {
		w.Began = s.FollowedSince
	}
	w.patientSince, w.suspendedSince = s.FollowedSince, s.FollowedSince
	for _, c := range w.job.Status.Conditions {
		if c.Type != batchv1.JobSuspended {
			continue
		}
		// Between the change of spec.suspend and the controller's answer the Job has not moved yet.
		w.suspended = c.Status == corev1.ConditionTrue
		if changed := c.LastTransitionTime.Time; changed.After(w.patientSince) {
			w.patientSince, w.suspendedSince = changed, changed
		}
	}
	w.suspended = w.suspended || w.job.Spec.Suspend != nil && *w.job.Spec.Suspend

	w.podEvents = map[types.UID][]*corev1.Event{}
	for _, p := range w.Pods {
		if ended(p) {
			continue
		}
		if main, _ := running(p); !main {
			w.podEvents[p.UID] = nil
		}
	}
	for _, e := range w.Events {
		if of, ok := w.podEvents[e.InvolvedObject.UID]; ok {
			w.podEvents[e.InvolvedObject.UID] = append(of, e)
		}
	}
	for _, p := range w.Pods {
		if w.GonePods[p.UID] || ended(p) || p.DeletionTimestamp != nil {
			continue
		}
		w.living = append(w.living, p)
		main, init := running(p)
		if main || init {
			w.working++
		}
		if main {
			w.running++
		} else {
			w.heldUp = append(w.heldUp, w.holdUp(p))
		}
	}
	w.refused = w.refusal()
	return w
}

// condition is the Job's condition of a type when its status is True.
func (w *view) condition(t batchv1.JobConditionType) *batchv1.JobCondition {
	for i, c := range w.job.Status.Conditions {
		if c.Type == t && c.Status == corev1.ConditionTrue {
			return &w.job.Status.Conditions[i]
		}
	}
	return nil
}

// succeeded is the condition by which the Job succeeded, nil while it has not.
func (w *view) succeeded() *batchv1.JobCondition {
	if c := w.condition(batchv1.JobComplete); c != nil || w.external != "" {
		return c
	}
	return w.condition(batchv1.JobSuccessCriteriaMet)
}

// failed is the condition by which the Job failed, nil while it has not.
func (w *view) failed() *batchv1.JobCondition {
	if c := w.condition(batchv1.JobFailed); c != nil {
		return c
	}
	return w.condition(batchv1.JobFailureTarget)
}

// decision is the condition by which the Job ended, nil while it has not, and since when that is decided: the final condition comes only when
// the last pod has ended.
func (w *view) decision() (c *batchv1.JobCondition, since time.Time) {
	c, first := w.failed(), w.condition(batchv1.JobFailureTarget)
	if c == nil {
		if c = w.succeeded(); c == nil {
			return nil, time.Time{}
		}
		first = w.condition(batchv1.JobSuccessCriteriaMet)
	}
	if first != nil {
		return c, first.LastTransitionTime.Time
	}
	return c, c.LastTransitionTime.Time
}

// wanted is the number of pods that the Job wants to succeed. A Job without completions, a work queue, wants its workers.
func (w *view) wanted() int32 {
	switch {
	case w.job.Spec.Completions != nil:
		return *w.job.Spec.Completions
	case w.job.Spec.Parallelism != nil:
		return *w.job.Spec.Parallelism
	default:
		return 1
	}
}

// workQueue tells whether the Job's pods share work among them: it is done when one has succeeded and all have ended.
func (w *view) workQueue() bool {
	return w.job.Spec.Completions == nil && w.job.Spec.Parallelism != nil && *w.job.Spec.Parallelism > 1
}

// parallel is the number of pods that the Job should have at this moment (manageJob in job_controller.go).
func (w *view) parallel() int {
	n := 1
	if w.job.Spec.Parallelism != nil {
		n = int(*w.job.Spec.Parallelism)
	}
	if w.job.Spec.Completions != nil {
		succeeded, _ := w.counts()
		n = min(n, int(*w.job.Spec.Completions)-succeeded)
	}
	return n
}

// counts are the Job's own, see Counts.
func (w *view) counts() (succeeded, failed int) { return Counts(w.job) }

// Counts are the pods of a Job that have ended: its own counters, with the pods that the controller has noted but not yet added
// (JobStatus.UncountedTerminatedPods). The condition that ends the Job may come with its last pods among these.
func Counts(job *batchv1.Job) (succeeded, failed int) {
	succeeded, failed = int(job.Status.Succeeded), int(job.Status.Failed)
	if u := job.Status.UncountedTerminatedPods; u != nil {
		succeeded += len(u.Succeeded)
		failed += len(u.Failed)
	}
	return succeeded, failed
}

// tally is "1 of 3 pods succeeded".
func (w *view) tally() string {
	succeeded, failed := w.counts()
	s := fmt.Sprintf("%d of %s succeeded", succeeded, plural(int(w.wanted()), "pod"))
	if w.workQueue() {
		s = plural(succeeded, "pod") + " succeeded"
	}
	if failed > 0 {
		s += fmt.Sprintf(", %d failed", failed)
	}
	return s
}

// started tells whether the Job has ever begun its work, for which init containers only prepare.
func (w *view) started() bool {
	succeeded, failed := w.counts()
	return succeeded > 0 || failed > 0 || w.job.Status.Ready != nil && *w.job.Status.Ready > 0 || w.worked()
}

// worked tells whether a main container was ever seen to run.
func (w *view) worked() bool {
	return slices.ContainsFunc(w.Pods, func(p *corev1.Pod) bool { return ended(p) || ran(p, event.Main) })
}

// workSucceeded tells whether nothing is missing for the success of the Job but that its controller counts its pods.
func (w *view) workSucceeded() bool {
	n := 0
	for _, p := range w.Pods {
		done := p.DeletionTimestamp == nil
		for c := range containers(p) {
			done = done && (c.kind != event.Main || c.status != nil && c.status.State.Terminated != nil && c.status.State.Terminated.ExitCode == 0)
		}
		if done {
			n++
		}
	}
	return n > 0 && n >= int(w.wanted())
}

// ran tells whether a container of one of the kinds was ever seen to run.
func ran(p *corev1.Pod, kinds ...event.ContainerKind) bool {
	for c := range containers(p) {
		if s := c.status; slices.Contains(kinds, c.kind) && s != nil &&
			(s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil) {
			return true
		}
	}
	return false
}

// prepared is when the last init container ended, the zero time when none has.
func (w *view) prepared() (last time.Time) {
	for _, p := range w.Pods {
		for c := range containers(p) {
			if c.kind != event.Init || c.status == nil {
				continue
			}
			for _, t := range []*corev1.ContainerStateTerminated{c.status.State.Terminated, c.status.LastTerminationState.Terminated} {
				if t != nil && t.FinishedAt.After(last) {
					last = t.FinishedAt.Time
				}
			}
		}
	}
	return last
}

// container is one container of a pod with its status; status is nil before the kubelet wrote one.
type container struct {
	kind   event.ContainerKind
	spec   *corev1.Container
	status *corev1.ContainerStatus
}

// String is `container "main"` or `init container "wait"`.
func (c container) String() string {
	switch c.kind {
	case event.Init:
		return fmt.Sprintf("init container %q", c.spec.Name)
	case event.Sidecar:
		return fmt.Sprintf("sidecar %q", c.spec.Name)
	default:
		return fmt.Sprintf("container %q", c.spec.Name)
	}
}

// containers are the pod's containers in the order in which they start.
func containers(p *corev1.Pod) iter.Seq[container] {
	return func(yield func(container) bool) {
		for i := range p.Spec.InitContainers {
			spec := &p.Spec.InitContainers[i]
			kind := event.Init
			if spec.RestartPolicy != nil && *spec.RestartPolicy == corev1.ContainerRestartPolicyAlways {
				kind = event.Sidecar
			}
			if !yield(container{kind, spec, status(p.Status.InitContainerStatuses, spec.Name)}) {
				return
			}
		}
		for i := range p.Spec.Containers {
			spec := &p.Spec.Containers[i]
			if !yield(container{event.Main, spec, status(p.Status.ContainerStatuses, spec.Name)}) {
				return
			}
		}
	}
}

func status(all []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

// running tells whether a main container and whether an init container (no sidecar) is at work.
func running(p *corev1.Pod) (main, init bool) {
	for c := range containers(p) {
		if c.status != nil && c.status.State.Running != nil {
			main = main || c.kind == event.Main
			init = init || c.kind == event.Init
		}
	}
	return main, init
}

func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func podCondition(p *corev1.Pod, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == t {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

func podRef(p *corev1.Pod) event.Ref {
	return event.Ref{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}
}

// named is "pod x", or "pod x (index 3)" in an Indexed Job.
func named(p *corev1.Pod) string {
	if i := pods.Index(p); i >= 0 {
		return fmt.Sprintf("pod %s (index %d)", p.Name, i)
	}
	return "pod " + p.Name
}

// deletedAt is when a pod's deletion was asked for; its time stamp says when its grace ends. Zero: it was not, or by force.
func deletedAt(p *corev1.Pod) time.Time {
	if p.DeletionTimestamp == nil || p.DeletionGracePeriodSeconds == nil {
		return time.Time{}
	}
	return p.DeletionTimestamp.Add(-time.Duration(*p.DeletionGracePeriodSeconds) * time.Second)
}

func plural(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case noun == "index":
		return fmt.Sprintf("%d indexes", n)
	default:
		return fmt.Sprintf("%d %ss", n, noun)
	}
}

// seen is when an event happened first and last, and how often. Events come in two shapes: the older one counts in the
// event itself, that of events.k8s.io (the scheduler's) in its series.
// An event began when the API server took it: the rest is what its writer says.
func seen(e *corev1.Event) (first, last time.Time, count int) {
	first, last, count = e.FirstTimestamp.Time, e.LastTimestamp.Time, int(e.Count)
	if first.IsZero() {
		first = e.EventTime.Time
	}
	if created := e.CreationTimestamp.Time; !created.IsZero() {
		first = created
		if count <= 1 {
			last = created
		}
	}
	if e.Series != nil {
		last, count = e.Series.LastObservedTime.Time, int(e.Series.Count)
	}
	if last.Before(first) {
		last = first
	}
	return first, last, max(count, 1)
}
