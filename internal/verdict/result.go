package verdict

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/pods"
)

// Result makes the closing event of a run from its last State and Verdict; the Tails are left to the caller, who has the lines.
// Times are the cluster's own: from the Job's creation to its completionTime, or to the condition by which it failed. A Job
// that was ended by us or vanished has no such end, and ends now. Its startTime begins anew when it is resumed. Pods are in the order of State.Pods.
func Result(s State, v Verdict) event.Finished {
	w := look(s)
	f := event.Finished{
		Outcome:  v.Outcome,
		Cause:    v.Cause,
		Job:      w.ref,
		UID:      string(w.job.UID),
		Warnings: v.Warnings,
	}
	f.Succeeded, f.Failed = w.counts()
	f.Attempts = max(len(w.Pods), f.Succeeded+f.Failed)
	// The controller counts every unended pod of a failed Job as failed, but a moment after it set FailureTarget
	// (trackJobStatusAndRemoveFinalizers). A podFailurePolicy may leave pods out of the count.
	if w.failed() != nil && w.condition(batchv1.JobFailed) == nil && w.job.Spec.PodFailurePolicy == nil {
		failed := 0
		for _, p := range w.Pods {
			if p.Status.Phase != corev1.PodSucceeded {
				failed++
			}
		}
		f.Failed = max(f.Failed, failed)
	}
	// A Job that did not end on its own is left a moment before its controller has counted its last pods.
	if w.completed().IsZero() {
		ended := map[corev1.PodPhase]int{}
		for _, p := range w.Pods {
			ended[p.Status.Phase]++
		}
		f.Succeeded = max(f.Succeeded, ended[corev1.PodSucceeded])
		if w.job.Spec.PodFailurePolicy == nil {
			f.Failed = max(f.Failed, ended[corev1.PodFailed])
		}
	}
	if w.job.Status.FailedIndexes != nil {
		f.FailedIndexes = *w.job.Status.FailedIndexes
	}
	f.StartedAt, f.CompletedAt = w.began(), w.completed()
	if created := w.job.CreationTimestamp.Time; !created.IsZero() {
		f.Duration = w.until().Sub(created)
	}
	if !f.CompletedAt.IsZero() { // another controller may have another clock
		f.Duration = max(f.Duration, f.CompletedAt.Sub(f.StartedAt))
	}
	var numbers pods.Numbering
	spans := make([][]span, 0, len(w.Pods))
	for _, p := range w.Pods {
		r, steps := w.podResult(p), w.spans(p)
		_, r.Attempt = numbers.Of(p)
		r.Times = podTimes(steps)
		f.Pods, spans = append(f.Pods, r), append(spans, steps)
	}
	f.Times = w.jobTimes(spans)
	f.Events = w.past()
	if w.Options.ResultFrom == ResultFromTerminationMessage {
		var problems []string
		f.Result, problems = w.result()
		for _, problem := range problems {
			f.Warnings = append(slices.Clip(f.Warnings), event.Cause{Object: w.ref, Message: problem})
		}
	}
	return f
}

func (w *view) began() time.Time {
	switch {
	case w.job.Status.StartTime != nil:
		return w.job.Status.StartTime.Time
	case !w.job.CreationTimestamp.IsZero():
		return w.job.CreationTimestamp.Time
	default:
		return w.FollowedSince
	}
}

func (w *view) completed() time.Time {
	if w.job.Status.CompletionTime != nil {
		return w.job.Status.CompletionTime.Time
	}
	c := w.succeeded()
	if c == nil {
		c = w.failed()
	}
	if c != nil && !c.LastTransitionTime.IsZero() {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

func (w *view) podResult(p *corev1.Pod) event.PodResult {
	r := event.PodResult{
		Name:   p.Name,
		Node:   p.Spec.NodeName,
		Phase:  string(p.Status.Phase),
		Reason: clean(p.Status.Reason, 64),
	}
	if i := pods.Index(p); i >= 0 {
		r.Index = &i
	}
	if p.Status.StartTime != nil {
		r.StartedAt = &p.Status.StartTime.Time
	}
	var end time.Time
	for c := range containers(p) {
		if c.status == nil {
			continue
		}
		if c.kind != event.Sidecar {
			r.Restarts += c.status.RestartCount
		}
		t := c.status.State.Terminated
		if t == nil {
			if waits := c.status.State.Waiting; waits != nil && r.Reason == "" && !ended(p) {
				r.Reason = clean(waits.Reason, 64)
			}
			continue
		}
		if t.FinishedAt.After(end) {
			end = t.FinishedAt.Time
		}
		if c.kind == event.Main && r.ExitCode == nil {
			code := t.ExitCode
			r.ExitCode = &code
		}
		if t.Reason == "OOMKilled" && r.Reason == "" {
			r.Reason = t.Reason
		}
	}
	if !p.CreationTimestamp.IsZero() {
		r.CreatedAt = &p.CreationTimestamp.Time
	}
	if f := w.podFailure(p); f != nil {
		r.ExitCode = f.ExitCode
		r.Container, r.Message = f.Container, clean(f.Message, maxMessage)
		if r.Reason == "" {
			r.Reason = string(f.Reason)
		}
	}
	if ended(p) && !end.IsZero() {
		r.EndedAt = &end
	}
	return r
}

// past is what Kubernetes said, oldest first.
func (w *view) past() (all []event.Past) {
	named := map[types.UID]event.Ref{w.job.UID: w.ref}
	for _, p := range w.Pods {
		named[p.UID] = podRef(p)
	}
	for _, e := range w.Past {
		if e == nil {
			continue
		}
		of, known := named[e.InvolvedObject.UID]
		if !known {
			continue
		}
		_, last, count := seen(e)
		all = append(all, event.Past{At: last, Object: of, Type: clean(e.Type, 64), Reason: clean(e.Reason, 64), Message: clean(e.Message, maxMessage), Count: count})
	}
	slices.SortStableFunc(all, func(a, b event.Past) int { return a.At.Compare(b.At) })
	return all
}

// maxResult is how long a result may be, in bytes. A container's termination message is short, but a Job may have any number of pods.
const maxResult = 256 << 10

// mayBeCut tells whether a container's termination message may have been longer, as it has all the bytes that Kubernetes keeps of one, silently: the last
// 4096 of the file, or 2048 of the log when that stands for it (pkg/kubelet/container/runtime.go), and of these the first when the containers
// of the pod share 12 KiB (pkg/kubelet/status/status_manager.go, normalizeStatus).
func mayBeCut(p *corev1.Pod, c *corev1.Container, t *corev1.ContainerStateTerminated) bool {
	kept := min(4<<10, 12<<10/(len(p.Spec.Containers)+len(p.Spec.InitContainers)+len(p.Spec.EphemeralContainers)))
	fromLog := c.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError && t.ExitCode != 0
	return len(t.Message) >= kept || fromLog && len(t.Message) == 2<<10
}

// result is the termination message of the main container, nil when there is none; problems are what is missing of it. That of an index,
// or of a Job without indexes, is that of the pod that succeeded, or else of the last one that has a message. A Job that wants several pods
// to succeed has an array: by index, or of the pods that succeeded, in the order of their creation.
func (w *view) result() (result *string, problems []string) {
	short := false
	full := map[*string]string{} // what is wrong with a message that may have been cut
	indexed := w.job.Spec.CompletionMode != nil && *w.job.Spec.CompletionMode == batchv1.IndexedCompletion
	several := w.wanted() > 1
	messages := []*string{nil}
	if several && indexed {
		n := int(w.wanted())
		short = n > maxResult/len("null,")
		messages = make([]*string, min(n, maxResult/len("null,")))
	} else if several {
		messages = nil
	}
	succeeded := make([]bool, len(messages))
	for _, p := range w.Pods {
		message, problem := w.message(p)
		if problem != "" {
			full[message] = problem
		}
		if several && !indexed {
			if p.Status.Phase == corev1.PodSucceeded {
				messages = append(messages, message)
			}
			continue
		}
		i := 0
		if several {
			i = pods.Index(p)
		}
		if i < 0 || i >= len(messages) || succeeded[i] {
			continue
		}
		if succeeded[i] = p.Status.Phase == corev1.PodSucceeded; succeeded[i] || message != nil {
			messages[i] = message
		}
	}
	for _, m := range messages {
		if problem := full[m]; problem != "" {
			problems = append(problems, problem)
			break // one is enough to know
		}
	}
	if !several {
		if m := messages[0]; m != nil && len(*m) > maxResult {
			cut := event.Shorten(*m, maxResult)
			return &cut, problems
		}
		return messages[0], problems
	}
	room := maxResult - len("[]") - len(messages)*len("null,")
	for i, m := range messages {
		if m == nil {
			continue
		}
		text, err := json.Marshal(*m)
		if more := len(text) - len("null"); err != nil || more > room {
			messages[i], short = nil, true
		} else {
			room -= more
		}
	}
	all, err := json.Marshal(messages)
	if err != nil || len(messages) == 0 {
		all = []byte("[]")
	}
	text := string(all)
	if short {
		problems = append(problems, fmt.Sprintf("the result is not complete: of the termination messages, only %d KiB fit; null stands for the others", maxResult>>10))
	}
	return &text, problems
}

// message is the termination message of a pod's main container: that of the option main-container, or the first, without the ends
// of lines behind it, as a shell's $(…) gives the output of a program: echo writes one, and no CI system compares or keeps it well. Nil without one; problem
// says that there may have been more.
func (w *view) message(p *corev1.Pod) (text *string, problem string) {
	for c := range containers(p) {
		if c.kind != event.Main || c.spec.Name != cmp.Or(w.Options.MainContainer, p.Spec.Containers[0].Name) || c.status == nil {
			continue
		}
		for _, s := range []corev1.ContainerState{c.status.State, c.status.LastTerminationState} {
			if s.Terminated == nil {
				continue
			}
			if text := strings.TrimRight(s.Terminated.Message, "\r\n"); text != "" {
				if mayBeCut(p, c.spec, s.Terminated) {
					problem = fmt.Sprintf("the result may not be complete: the termination message of pod %s has all the %d bytes that Kubernetes keeps of one", p.Name, len(s.Terminated.Message))
				}
				return &text, problem
			}
		}
	}
	return nil, ""
}
