package verdict

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// failure is why one pod failed, or why one of its containers did although the pod still lives.
type failure struct {
	event.Cause
	pod      *corev1.Pod
	at       time.Time
	attempts int // failed runs: 1, or more for a container that was restarted in place
}

// failedRuns is how many runs failed in all.
func failedRuns(all []*failure) (n int) {
	for _, f := range all {
		n += f.attempts
	}
	return n
}

// jobFailure says why the Job failed, from the condition that says that it did.
func (w *view) jobFailure(c *batchv1.JobCondition) *event.Cause {
	switch c.Reason {
	case batchv1.JobReasonPodFailurePolicy:
		return w.policyFailure(c)
	case batchv1.JobReasonDeadlineExceeded:
		return w.deadlineFailure()
	case batchv1.JobReasonFailedIndexes:
		return w.indexFailure(event.FailedIndexes)
	case batchv1.JobReasonMaxFailedIndexesExceeded:
		return w.indexFailure(event.MaxFailedIndexesExceeded)
	case batchv1.JobReasonBackoffLimitExceeded:
		return w.backoffFailure()
	}
	cause := &event.Cause{
		Reason: event.Reason(clean(c.Reason, 64)), Object: w.ref,
		Message: w.name + " failed",
		Hint:    w.describe("job", w.ref.Name),
	}
	if cause.Reason == "" {
		cause.Reason = event.Reason(batchv1.JobFailed)
	}
	if said := quote(c.Message); said != "" {
		cause.Message += ": " + said
	}
	if f := w.lastFailure(); f != nil {
		cause.Container, cause.ExitCode = f.Container, f.ExitCode
		cause.Object = f.Object
		cause.Message += "; " + f.Message
		cause.Hint = f.Hint
	}
	return cause
}

func (w *view) backoffLimit() int32 {
	if limit := w.job.Spec.BackoffLimit; limit != nil {
		return *limit
	}
	return 6 // SetDefaults_Job in pkg/apis/batch/v1/defaults.go
}

func (w *view) backoffFailure() *event.Cause {
	limit := w.backoffLimit()
	_, failed := w.counts()
	all, consequences := w.failures()
	if len(all) == 0 {
		all = consequences
	}
	attempts := failedRuns(all)
	// failed goes beyond what reached the limit: the controller counts the pods that it ends then, too.
	enough := min(failed, int(limit)+1)
	w.incomplete = attempts < enough
	attempts = max(attempts, enough)
	if len(all) == 0 {
		return &event.Cause{
			Reason: event.BackoffLimitExceeded, Object: w.ref,
			Message: fmt.Sprintf("%s failed more often than its back-off limit of %d allows (%s); its pods were gone before they could be looked at", w.name, limit, plural(failed, "failed pod")),
			Hint:    w.describe("job", w.ref.Name),
		}
	}
	cause := all[len(all)-1].Cause
	if attempts > 1 || limit > 0 {
		cause.Message += fmt.Sprintf(" (%s, back-off limit %d)", plural(attempts, "attempt"), limit)
	}
	if cause.Reason == event.ContainerExit && attempts > 1 {
		cause.Reason = event.BackoffLimitExceeded
	}
	return &cause
}

func (w *view) deadlineFailure() *event.Cause {
	cause := &event.Cause{
		Reason: event.DeadlineExceeded, Object: w.ref,
		Message: fmt.Sprintf("%s was active longer than its deadline", w.name),
		Hint:    "Raise activeDeadlineSeconds, or find out in its log what took so long.",
	}
	if d := w.job.Spec.ActiveDeadlineSeconds; d != nil {
		cause.Message += fmt.Sprintf(" of %d s (activeDeadlineSeconds)", *d)
	}
	if p := w.neverStarted(); p != nil {
		cause.Message += ": " + p.Message
		cause.Hint = p.Hint
		return cause
	}
	cause.Message += ": " + w.tally()
	if f := w.lastFailure(); f != nil && f.Reason != event.ContainerExit {
		cause.Message += "; " + f.Message
	}
	return cause
}

// neverStarted is what held up the Job from its beginning to its deadline, nil when it worked at some time or nothing is known.
func (w *view) neverStarted() *problem {
	// The controller deletes the pods now and counts them as failed, so its counts say nothing about that.
	if succeeded, _ := w.counts(); succeeded > 0 || w.worked() {
		return nil
	}
	for _, p := range w.Pods {
		if held := w.holdUp(p); held.Message != "" {
			return held
		}
	}
	return w.refused
}

func (w *view) indexFailure(reason event.Reason) *event.Cause {
	indexes := ""
	if w.job.Status.FailedIndexes != nil {
		indexes = *w.job.Status.FailedIndexes
	}
	cause := &event.Cause{Reason: reason, Object: w.ref, Hint: w.describe("job", w.ref.Name)}
	n := countIndexes(indexes)
	cause.Message = fmt.Sprintf("%d of %s failed (%s)", n, plural(int(w.wanted()), "index"), clean(indexes, 100))
	w.incomplete = true
	if n == 0 {
		cause.Message = "indexes of " + w.name + " failed"
	}
	if limit := w.job.Spec.MaxFailedIndexes; limit != nil && reason == event.MaxFailedIndexesExceeded {
		cause.Message += fmt.Sprintf(", more than maxFailedIndexes allows (%d)", *limit)
	}
	if all, _ := w.failures(); len(all) > 0 {
		f := all[0]
		w.incomplete = false
		cause.Object, cause.Container, cause.ExitCode, cause.Hint = f.Object, f.Container, f.ExitCode, f.Hint
		cause.Message += ": " + f.Message
	}
	return cause
}

// countIndexes counts what JobStatus.FailedIndexes writes: "1,3-5,7".
func countIndexes(s string) int {
	n := 0
	for part := range strings.SplitSeq(s, ",") {
		first, last, span := strings.Cut(part, "-")
		a, err := strconv.Atoi(first)
		if err != nil {
			continue
		}
		b := a
		if span {
			if b, err = strconv.Atoi(last); err != nil || b < a {
				b = a
			}
		}
		n += b - a + 1
	}
	return n
}

// The messages of matchPodFailurePolicy in pkg/controller/job/pod_failure_policy.go.
var (
	policyExit      = regexp.MustCompile(`^Container (\S+) for pod (\S+)/(\S+) failed with exit code (-?\d+) matching \S+ rule at index (\d+)$`)
	policyCondition = regexp.MustCompile(`^Pod (\S+)/(\S+) has condition (\S+) matching \S+ rule at index (\d+)$`)
)

func (w *view) policyFailure(c *batchv1.JobCondition) *event.Cause {
	cause := &event.Cause{
		Reason: event.PodFailurePolicy, Object: w.ref,
		Message: fmt.Sprintf("the podFailurePolicy of %s failed it: %s", w.name, quote(c.Message)),
		Hint:    event.See("The policy ends the Job without further attempts", event.Kubectl(w.ref.Namespace, "get job %s -o jsonpath='{.spec.podFailurePolicy}'", w.ref.Name)),
	}
	if m := policyExit.FindStringSubmatch(c.Message); m != nil {
		code, _ := strconv.ParseInt(m[4], 10, 32)
		exit := int32(code)
		cause.Object = event.Ref{Kind: "Pod", Namespace: m[2], Name: m[3]}
		cause.Container, cause.ExitCode = m[1], &exit
		pod := "pod " + m[3]
		for _, p := range w.Pods {
			if p.Name == m[3] {
				pod = named(p)
			}
		}
		meaning, hint := exitMeaning(exit)
		cause.Message = fmt.Sprintf("container %q of %s exited with code %d%s", m[1], pod, exit, comma(meaning))
		for _, p := range w.Pods {
			if f := w.containerFailure(p); p.Name == m[3] && f != nil && f.Container == m[1] {
				cause.Message = f.Message
			}
		}
		cause.Message += fmt.Sprintf("; %s fails the Job for that", w.rule(m[5]))
		if hint != "" {
			cause.Hint = hint
		}
	} else if m := policyCondition.FindStringSubmatch(c.Message); m != nil {
		cause.Object = event.Ref{Kind: "Pod", Namespace: m[1], Name: m[2]}
		cause.Message = fmt.Sprintf("pod %s has the condition %s; %s fails the Job for that", m[2], m[3], w.rule(m[4]))
		for _, p := range w.Pods {
			if p.Name != m[2] {
				continue
			}
			if f := w.podFailure(p); f != nil {
				cause.Container, cause.ExitCode, cause.Hint = f.Container, f.ExitCode, f.Hint
				cause.Message = fmt.Sprintf("%s; %s fails the Job for its condition %s", f.Message, w.rule(m[4]), m[3])
			}
		}
	}
	return cause
}

// rule is "podFailurePolicy.rules[0] (exit codes 42, 43)".
func (w *view) rule(index string) string {
	s := "podFailurePolicy.rules[" + index + "]"
	i, err := strconv.Atoi(index)
	if err != nil || w.job.Spec.PodFailurePolicy == nil || i >= len(w.job.Spec.PodFailurePolicy.Rules) {
		return s
	}
	on := w.job.Spec.PodFailurePolicy.Rules[i].OnExitCodes
	if on == nil {
		return s
	}
	var codes []string
	for _, v := range on.Values {
		codes = append(codes, strconv.Itoa(int(v)))
	}
	not := ""
	if on.Operator == batchv1.PodFailurePolicyOnExitCodesOpNotIn {
		not = "other than "
	}
	return fmt.Sprintf("%s (exit codes %s%s)", s, not, clean(strings.Join(codes, ", "), 60))
}

// failures are those of all pods, the oldest first. What became of pods that were deleted because the Job had failed already
// stands apart: mostly it is only a consequence, but a container that is restarted in place fails in a pod that is then
// deleted, perhaps within the same second.
func (w *view) failures() (own, consequences []*failure) {
	_, ended := w.decision()
	for _, p := range w.Pods {
		f := w.podFailure(p)
		if f == nil {
			continue
		}
		deleted := deletedAt(p)
		if ended.IsZero() || deleted.IsZero() || deleted.Before(ended) || f.at.Before(deleted) {
			own = append(own, f)
		} else {
			consequences = append(consequences, f)
		}
	}
	slices.SortStableFunc(own, func(a, b *failure) int { return a.at.Compare(b.at) })
	slices.SortStableFunc(consequences, func(a, b *failure) int { return a.at.Compare(b.at) })
	return own, consequences
}

// lastFailure is nil when no pod has failed by itself.
func (w *view) lastFailure() *failure {
	if own, _ := w.failures(); len(own) > 0 {
		return own[len(own)-1]
	}
	return nil
}

// aboutJob is a command about the Job or one of its pods.
var aboutJob = regexp.MustCompile(`(?:: )?kubectl (?:-n \S+ )?(?:logs|describe pod|describe job|get job|patch job) [a-z0-9.-]*[a-z0-9](?: -\w \S*[^\s;.])*`)

// Deleted takes from the hint of a cause what cannot be done when the run has deleted its Job: to look at the Job, its pods and their logs. keeps
// is what would have kept it, as "cleanup: never". The cause may be nil.
func Deleted(c *event.Cause, keeps string) {
	if c == nil || !aboutJob.MatchString(c.Hint) {
		return
	}
	hint := aboutJob.ReplaceAllString(c.Hint, "")
	hint = strings.TrimPrefix(hint, "See more")
	hint = strings.Replace(hint, "See what it waits for; or give", "Give", 1)
	if hint != "" {
		hint = strings.TrimSuffix(hint, ".") + ". "
	}
	c.Hint = hint + "The Job was deleted; it stays for a look with " + keeps + "."
}

// Attempts says, in the cause of a run that ends before its Job, what the Job's attempts died of, if any did.
func Attempts(s State, c *event.Cause) { look(s).attempts(c) }

func (w *view) attempts(c *event.Cause) {
	own, _ := w.failures()
	own = slices.DeleteFunc(own, func(f *failure) bool { return w.ending(f.pod) })
	if len(own) == 0 {
		return
	}
	last, n := own[len(own)-1], failedRuns(own)
	c.Object, c.Container, c.ExitCode, c.Hint = last.Object, last.Container, last.ExitCode, last.Hint
	if n == 1 {
		c.Message += "; one attempt failed: " + last.Message
	} else {
		c.Message += fmt.Sprintf("; %d attempts failed, the last one: %s", n, last.Message)
	}
}

// podFailure says why a pod failed, nil when it did not. What the cluster did to the pod comes before what its containers made
// of that: an evicted container ends by SIGKILL, but that is not why.
func (w *view) podFailure(p *corev1.Pod) *failure {
	if p.Status.Phase == corev1.PodSucceeded {
		return nil
	}
	f := w.containerFailure(p)
	taken := w.takenAway(p)
	if taken == nil && f != nil && w.deletedAtWork(p, f) {
		taken = w.newFailure(p, event.Evicted, named(p)+" was deleted while it ran", deletedHint)
	}
	if taken != nil {
		if f != nil {
			taken.at = f.at
			taken.Container, taken.ExitCode = f.Container, f.ExitCode
		}
		return taken
	}
	if f == nil && p.Status.Phase != corev1.PodFailed && (w.GonePods[p.UID] || p.DeletionTimestamp != nil) {
		f = w.newFailure(p, event.Evicted, named(p)+" was deleted while it ran", deletedHint)
		f.at = deletedAt(p)
		if c, since := w.decision(); c != nil && !f.at.Before(since) { // the controller deletes what still works then
			f.Reason, f.Message, f.Hint = event.Reason(c.Reason), named(p)+" was ended with its Job", w.describePod(p)
		}
	}
	if f == nil && p.Status.Phase == corev1.PodFailed {
		f = w.newFailure(p, event.ContainerExit, named(p)+" failed", "")
		if said := quote(strings.TrimPrefix(p.Status.Reason+": "+p.Status.Message, ": ")); said != "" {
			f.Message += ": " + said
		}
	}
	return f
}

// deletedAtWork tells whether a container failed because somebody had deleted its pod. The Job's own controller deletes pods too: with the
// Job, when its outcome is decided, and when it is suspended.
func (w *view) deletedAtWork(p *corev1.Pod, f *failure) bool {
	deleted := deletedAt(p)
	if f.Reason != event.ContainerExit || deleted.IsZero() || f.at.Before(deleted) || w.Gone || w.job.DeletionTimestamp != nil {
		return false
	}
	if slices.ContainsFunc(w.job.Status.Conditions, func(c batchv1.JobCondition) bool { return c.Type == batchv1.JobSuspended }) {
		return false
	}
	c, since := w.decision()
	return c == nil || deleted.Before(since)
}

// ending tells whether a pod was told to stop and has not: it may still succeed.
func (w *view) ending(p *corev1.Pod) bool {
	return p.DeletionTimestamp != nil && !w.GonePods[p.UID] && !ended(p)
}

func (w *view) newFailure(p *corev1.Pod, reason event.Reason, message, hint string) *failure {
	f := &failure{pod: p, attempts: 1, at: p.CreationTimestamp.Time}
	if hint == "" {
		hint = w.describePod(p)
	}
	f.Cause = event.Cause{Reason: reason, Object: podRef(p), Message: message, Hint: hint}
	return f
}

// takenAway tells whether the cluster ended the pod, and why.
func (w *view) takenAway(p *corev1.Pod) *failure {
	node := ""
	if p.Spec.NodeName != "" {
		node = " " + p.Spec.NodeName
	}
	said := quote(p.Status.Message)
	switch reason := p.Status.Reason; {
	case p.Status.Phase != corev1.PodFailed:
	case reason == "Evicted": // pkg/kubelet/eviction
		return w.newFailure(p, event.Evicted, fmt.Sprintf("%s was evicted from node%s: %s", named(p), node, said), evictionHint(said))
	case reason == "DeadlineExceeded": // pkg/kubelet/active_deadline.go
		return w.newFailure(p, event.DeadlineExceeded, fmt.Sprintf("%s was active longer than its own deadline%s", named(p), podDeadline(p)),
			"Raise activeDeadlineSeconds of the pod template, or find out in its log what took so long.")
	case reason == "NodeLost": // pkg/util/node, for pods of a node that does not answer
		return w.newFailure(p, event.NodeLost, fmt.Sprintf("node%s, on which %s ran, was lost", node, named(p)), nodeHint(p))
	case reason == "Terminated" || reason == "NodeShutdown" || reason == "Shutdown": // pkg/kubelet/nodeshutdown
		return w.newFailure(p, event.NodeLost, fmt.Sprintf("%s was ended because node%s was shut down", named(p), node), movedHint)
	case reason == "Preempting": // pkg/kubelet/preemption
		return w.newFailure(p, event.Preempted, fmt.Sprintf("%s was ended to make room on node%s for a critical pod", named(p), node), movedHint)
	case strings.HasPrefix(reason, "OutOf"), reason == "NodeAffinity", reason == "UnexpectedAdmissionError", reason == "AppArmor": // pkg/kubelet/lifecycle
		return w.newFailure(p, event.Unschedulable, fmt.Sprintf("node%s refused %s (%s): %s", node, named(p), reason, said), "")
	}
	c := podCondition(p, corev1.DisruptionTarget)
	if c == nil || c.Status != corev1.ConditionTrue || p.Status.Phase != corev1.PodFailed && p.DeletionTimestamp == nil && !w.GonePods[p.UID] {
		return nil
	}
	switch c.Reason {
	case corev1.PodReasonPreemptionByScheduler: // pkg/scheduler/framework/preemption
		return w.newFailure(p, event.Preempted, fmt.Sprintf("%s was preempted on node%s by a pod of higher priority", named(p), node),
			"Give the Job a priorityClassName of its own, or a higher backoffLimit, or a podFailurePolicy that ignores DisruptionTarget.")
	case "DeletionByTaintManager": // pkg/controller/tainteviction
		return w.newFailure(p, event.NodeLost, fmt.Sprintf("%s was removed from node%s, which is unreachable, not ready or otherwise tainted NoExecute", named(p), node), nodeHint(p))
	case "DeletionByPodGC": // pkg/controller/podgc
		if p.Status.StartTime == nil { // no kubelet has taken it
			return w.newFailure(p, event.NodeLost, fmt.Sprintf("%s was removed because node%s does not exist", named(p), node), cmp.Or(w.nodeNameHint(p), movedHint))
		}
		return w.newFailure(p, event.NodeLost, fmt.Sprintf("%s was removed because node%s no longer exists", named(p), node), movedHint)
	case "EvictionByEvictionAPI": // pkg/registry/core/pod/storage/eviction.go
		return w.newFailure(p, event.Evicted, fmt.Sprintf("%s was evicted from node%s through the API, as when a node is drained", named(p), node), movedHint)
	default:
		return w.newFailure(p, event.Evicted, fmt.Sprintf("%s was ended by the cluster (%s): %s", named(p), quote(c.Reason), quote(c.Message)), movedHint)
	}
}

const deletedHint = "Somebody deleted it, or a controller that frees nodes. The program is not to blame: run it again, or let the Job survive this with a higher backoffLimit."

const movedHint = "The program is not to blame: run it again, or let the Job survive this with a higher backoffLimit or a podFailurePolicy that ignores DisruptionTarget."

// nodeNameHint is for a pod whose node the template names; "" when a scheduler has chosen it.
func (w *view) nodeNameHint(p *corev1.Pod) string {
	if p.Spec.NodeName != w.job.Spec.Template.Spec.NodeName {
		return ""
	}
	return "Correct nodeName of the pod template, or leave it out, so that a scheduler chooses: kubectl get nodes"
}

func nodeHint(p *corev1.Pod) string {
	if p.Spec.NodeName == "" {
		return movedHint
	}
	return event.See("Look at the node", event.Kubectl("", "describe node %s", p.Spec.NodeName)) + ". " + movedHint
}

// evictionHint reads the messages of pkg/kubelet/eviction/helpers.go.
func evictionHint(said string) string {
	switch {
	case strings.Contains(said, "EmptyDir volume"):
		return "Raise the sizeLimit of that emptyDir volume, or write less to it."
	case strings.Contains(said, "ephemeral"):
		return "Write less to the container's file system and log, or raise requests and limits of ephemeral-storage."
	case strings.Contains(said, "memory"):
		return "Raise resources.requests.memory to what the pod really needs: pods above their request go first."
	default:
		return "Raise the resources.requests of the pod, so that others go first, or free the node."
	}
}

func podDeadline(p *corev1.Pod) string {
	if p.Spec.ActiveDeadlineSeconds == nil {
		return ""
	}
	return fmt.Sprintf(" of %d s (activeDeadlineSeconds of the pod)", *p.Spec.ActiveDeadlineSeconds)
}

// containerFailure is the failure of the container of p that failed first; sidecars are not work.
func (w *view) containerFailure(p *corev1.Pod) *failure {
	var first *failure
	for c := range containers(p) {
		if c.kind == event.Sidecar || c.status == nil {
			continue
		}
		t := c.status.State.Terminated
		runs := int(c.status.RestartCount)
		if t == nil {
			t = c.status.LastTerminationState.Terminated
		}
		if c.status.State.Running == nil {
			runs++
		}
		if t == nil || t.ExitCode == 0 {
			continue
		}
		if first != nil && !t.FinishedAt.Time.Before(first.at) {
			continue
		}
		first = w.exit(p, c, t)
		first.attempts = max(runs, 1)
	}
	return first
}

// exit puts one end of a container into words.
func (w *view) exit(p *corev1.Pod, c container, t *corev1.ContainerStateTerminated) *failure {
	code := t.ExitCode
	who := c.String() + " of " + named(p)
	said := quote(t.Message)
	meaning, hint := exitMeaning(code)
	if hint == "" && !w.GonePods[p.UID] {
		hint = event.See("The last lines of its log say why", event.Kubectl(p.Namespace, "logs %s -c %s", p.Name, c.spec.Name))
	}
	f := w.newFailure(p, event.ContainerExit, fmt.Sprintf("%s exited with code %d%s", who, code, comma(meaning)), hint)
	switch {
	case t.Reason == "OOMKilled":
		f.Reason = event.OOMKilled
		f.Message, f.Hint = outOfMemory(who, c, code)
	case t.Reason == "StartError" || t.Reason == "ContainerCannotRun": // containerd's and dockerd's words
		f.Message = fmt.Sprintf("%s could not be started (exit code %d): %s", who, code, strings.TrimSuffix(tail(said, "unable to start container process: "), ": unknown"))
		f.Hint = startHint(said)
		if f.Hint == "" {
			f.Hint = w.describePod(p)
		}
	case t.Reason == "ContainerStatusUnknown": // pkg/kubelet/container/runtime.go
		f.Reason = event.NodeLost
		f.Message = fmt.Sprintf("nobody saw how %s ended (the kubelet reports code %d): it was gone when the kubelet looked for it", who, code)
		f.Hint = "The node or its container runtime was restarted, or the pod was removed by force. " + movedHint
	}
	if own := ownMessage(c, t); own != "" {
		f.Message += ": " + own
	}
	if killed := w.killing(p, c); killed != "" {
		f.Message += "; " + killed
		f.Hint = w.describePod(p)
	}
	f.Container, f.ExitCode, f.at = c.spec.Name, &code, t.FinishedAt.Time
	return f
}

// fallbackLines is how many lines of a termination message count as the program's own where the kubelet would put the log's end there.
const fallbackLines = 5

// ownMessage is what the program wrote into its termination message. With FallbackToLogsOnError, the kubelet puts the end of the log
// there when the program wrote nothing (up to 80 lines, getTerminationMessage in pkg/kubelet/kuberuntime/kuberuntime_container.go);
// that stands in the log already. What the runtime says in the place of a program that did not run is not the program's.
func ownMessage(c container, t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason == "StartError", t.Reason == "ContainerCannotRun", t.Reason == "ContainerStatusUnknown":
		return ""
	case c.spec.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError && strings.Count(strings.TrimSpace(t.Message), "\n") >= fallbackLines:
		return ""
	}
	return quote(t.Message)
}

// killing is why the kubelet stopped a container, by its event: a probe or a hook that failed. "" when it did not, or only because the
// pod was deleted.
func (w *view) killing(p *corev1.Pod, c container) string {
	if why := w.killedFor(p, c); why != "" {
		return "the kubelet stopped it: " + why
	}
	return ""
}

// killedFor is what the kubelet says about that. A pod whose last container fails its probe, and is not restarted, is ended as a whole: then its
// end has no reason of its own (computePodActions in pkg/kubelet/kuberuntime/kuberuntime_manager.go), and the probe's event alone has.
func (w *view) killedFor(p *corev1.Pod, c container) string {
	probe, stopped := "", time.Time{}
	for _, e := range w.Events {
		if e.InvolvedObject.UID != p.UID || !concerns(e, c) {
			continue
		}
		switch first, _, _ := seen(e); {
		case e.Reason == "Unhealthy":
			probe = quote(e.Message)
		case e.Reason == "Killing" && !strings.HasPrefix(e.Message, "Stopping container"):
			return quote(e.Message)
		case e.Reason == "Killing":
			stopped = first
		}
	}
	if deleted := deletedAt(p); stopped.IsZero() || !deleted.IsZero() && !deleted.After(stopped) {
		return ""
	}
	return probe
}

func outOfMemory(who string, c container, code int32) (message, hint string) {
	limit, ok := c.spec.Resources.Limits[corev1.ResourceMemory]
	if !ok {
		return fmt.Sprintf("%s was killed for lack of memory (exit code %d); it has no memory limit of its own", who, code),
			"The pod's limit or the node's memory was used up: set resources.requests.memory and resources.limits.memory to what it needs."
	}
	return fmt.Sprintf("%s was killed because it used more than its memory limit of %s (exit code %d)", who, limit.String(), code),
		"Raise resources.limits.memory of the container, or find out what needs that much."
}

// oneWord is a program's name with a blank in it, as runc quotes it.
var oneWord = regexp.MustCompile(`exec: "[^"]*\s[^"]*"|stat /[^:]*\s[^:]*: no such file`)

// startHint reads what runc says when a process cannot be started.
func startHint(said string) string {
	switch {
	case oneWord.MatchString(said) && (strings.Contains(said, "executable file not found") || strings.Contains(said, "no such file or directory")):
		return `The command is one word with blanks in it: write one element for each word, or ["sh", "-c", "…"]; with container-command, one line for each.`
	case strings.Contains(said, "executable file not found"), strings.Contains(said, "no such file or directory"):
		return "The image has no such command: check command and args of the container, and that the first line of a script names an interpreter that the image has."
	case strings.Contains(said, "permission denied"):
		return "The command is not executable for the container's user: chmod +x it in the image, or check runAsUser."
	case strings.Contains(said, "exec format error"):
		return "The binary was built for another platform than the node's, or it is a script without a first line like #!/bin/sh."
	default:
		return ""
	}
}

// tail is what follows the last appearance of mark, or everything.
func tail(s, mark string) string {
	if i := strings.LastIndex(s, mark); i >= 0 {
		return s[i+len(mark):]
	}
	return s
}

func comma(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

func (w *view) describe(kind, name string) string {
	if command := event.Kubectl(w.ref.Namespace, "describe "+kind+" %s", name); command != "" {
		return "See more: " + command
	}
	return ""
}

// describePod is the next command for a pod that is still there.
func (w *view) describePod(p *corev1.Pod) string {
	if w.GonePods[p.UID] || p.Name == "" {
		return ""
	}
	return w.describe("pod", p.Name)
}
