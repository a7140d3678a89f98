package verdict

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/pods"
)

// Result makes the closing event of a run from its last State and Verdict; Tail is left to the caller, who has the lines.
// Times are the cluster's own: from the Job's startTime to its completionTime, or to the condition by which it failed. A Job
// that was ended by us or vanished has no such end, and its duration is how long it was followed. Pods are in the order of State.Pods.
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
	if w.job.Status.FailedIndexes != nil {
		f.FailedIndexes = *w.job.Status.FailedIndexes
	}
	f.StartedAt, f.CompletedAt = w.began(), w.completed()
	if f.Duration = f.CompletedAt.Sub(f.StartedAt); f.CompletedAt.IsZero() {
		f.Duration = w.Now.Sub(w.FollowedSince)
	}
	f.Duration = max(f.Duration, 0)
	for _, p := range w.Pods {
		f.Pods = append(f.Pods, w.podResult(p))
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
	if f := w.podFailure(p); f != nil {
		r.ExitCode = f.ExitCode
		if r.Reason == "" {
			r.Reason = string(f.Reason)
		}
	}
	if ended(p) && !end.IsZero() {
		r.EndedAt = &end
	}
	return r
}
