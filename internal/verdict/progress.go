package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// queueLabel is Kueue's: it keeps a Job that carries it suspended until its queue admits it
// (https://kueue.sigs.k8s.io/docs/reference/labels-and-annotations/).
const queueLabel = "kueue.x-k8s.io/queue-name"

// progress is the Job in numbers. Succeeded and Failed are the Job's own counters, so that they agree with its verdict.
func (w *view) progress() event.Progress {
	succeeded, failed := w.counts()
	p := event.Progress{
		Wanted:    int(w.wanted()),
		Succeeded: succeeded,
		Failed:    failed,
		Running:   w.running,
		Suspended: w.suspended,
	}
	if len(w.Pods) == 0 && w.job.Status.Ready != nil { // another controller's pods may be in another cluster
		p.Running = int(*w.job.Status.Ready)
	}
	if !w.FollowedSince.IsZero() {
		p.Elapsed = max(0, w.Now.Sub(w.FollowedSince))
	}
	group := func(what string, since time.Time) {
		i := slices.IndexFunc(p.Waiting, func(g event.Waiting) bool { return g.For == what })
		if i < 0 {
			i = len(p.Waiting)
			p.Waiting = append(p.Waiting, event.Waiting{For: what})
		}
		p.Waiting[i].Pods++
		if !since.IsZero() {
			p.Waiting[i].Long = max(p.Waiting[i].Long, w.Now.Sub(since))
		}
	}
	for _, held := range w.heldUp {
		group(held.what, held.since)
	}
	for _, pod := range w.Pods {
		if pod.DeletionTimestamp != nil && !w.GonePods[pod.UID] && !ended(pod) {
			group("terminating", deletedAt(pod))
		}
	}
	slices.SortStableFunc(p.Waiting, func(a, b event.Waiting) int { return cmp.Compare(b.Pods, a.Pods) })
	switch problem := w.problem(); {
	case w.suspended && w.queue() != "":
		p.Note = fmt.Sprintf("it waits in the Kueue queue %q", w.queue())
	case w.suspended:
	case problem != nil:
		p.Note = clean(problem.Message, maxQuote)
	}
	return p
}

func (w *view) queue() string { return clean(w.job.Labels[queueLabel], 253) }

// notices are what a user should hear while it happens. Each is sent once, by its key.
func (w *view) notices(v Verdict) []event.Notice {
	var all []event.Notice
	if w.external != "" {
		all = append(all, event.Notice{
			Level: event.Info, Key: "managed-by",
			Message: fmt.Sprintf("%s is run by the controller %q, not by Kubernetes' own; its pods may be in another cluster, and fail-fast does not apply", w.name, clean(w.external, 253)),
		})
	}
	if w.suspended && !v.Decided {
		n := event.Notice{
			Level: event.Info, Key: "suspended",
			Message: fmt.Sprintf("%s is suspended and waits until somebody resumes it; this time counts for no timeout", w.name),
			Hint:    event.Kubectl(w.ref.Namespace, `patch job %s -p '{"spec":{"suspend":false}}'`, w.ref.Name),
		}
		if queue := w.queue(); queue != "" {
			n.Key = "queued"
			n.Message = fmt.Sprintf("%s waits in the Kueue queue %q until Kueue admits it; this time counts for no timeout", w.name, queue)
			n.Hint = event.Kubectl(w.ref.Namespace, "get workloads,localqueues")
		}
		all = append(all, n)
	}
	if w.job.DeletionTimestamp != nil && !v.Decided {
		all = append(all, event.Notice{
			Level: event.Warning, Key: "deleting",
			Message: fmt.Sprintf("%s is being deleted by someone", w.name),
		})
	}
	if n := w.unended(); v.Decided && !v.DeleteJob && v.Outcome != event.Vanished && n > 0 {
		all = append(all, event.Notice{
			Level: event.Info, Key: "terminating",
			Message: fmt.Sprintf("the Job's verdict is in; %s still ending and not waited for", areStill(n)),
		})
	}
	for _, c := range v.Warnings {
		all = append(all, event.Notice{
			Level: event.Warning, Key: fmt.Sprintf("warning/%s/%s/%s", c.Reason, c.Object.Name, c.Container),
			Message: c.Message, Hint: c.Hint,
		})
	}
	return all
}

func areStill(n int) string {
	if n == 1 {
		return "1 pod is"
	}
	return fmt.Sprintf("%d pods are", n)
}

// unended counts pods that still exist and have not ended.
func (w *view) unended() (n int) {
	for _, p := range w.Pods {
		if !w.GonePods[p.UID] && !ended(p) {
			n++
		}
	}
	return n
}

// warnings are the memory kills that are not the cause: of a process beside the main one, which leaves the container's exit
// code at 0 (kubernetes#131530), of a run that was restarted, or of a sidecar.
func (w *view) warnings(cause *event.Cause) []event.Cause {
	var all []event.Cause
	for _, p := range w.Pods {
		for c := range containers(p) {
			if c.status == nil {
				continue
			}
			t := c.status.State.Terminated
			if t == nil || t.Reason != "OOMKilled" {
				t = c.status.LastTerminationState.Terminated
			}
			if t == nil || t.Reason != "OOMKilled" {
				continue
			}
			if cause != nil && cause.Object == podRef(p) && cause.Container == c.spec.Name {
				continue
			}
			code := t.ExitCode
			warning := event.Cause{Reason: event.OOMKilled, Object: podRef(p), Container: c.spec.Name, ExitCode: &code}
			who := c.String() + " of " + named(p)
			warning.Message, warning.Hint = outOfMemory(who, c, code)
			if code == 0 {
				warning.Message = fmt.Sprintf("a process in %s was killed for lack of memory, although the container exited with code 0%s", who, memoryLimit(c))
				warning.Hint = "Its work may be incomplete: raise resources.limits.memory, or let the program fail when its child does."
			}
			warning.Message, warning.Hint = clean(warning.Message, maxMessage), clean(warning.Hint, maxMessage)
			all = append(all, warning)
		}
	}
	return all
}

func memoryLimit(c container) string {
	if limit, ok := c.spec.Resources.Limits[corev1.ResourceMemory]; ok {
		return fmt.Sprintf(" (memory limit %s)", limit.String())
	}
	return ""
}
