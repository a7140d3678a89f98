package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

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
	if w.workQueue() {
		p.Wanted = 0
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
	switch problem, init := w.problem(), w.longestInit(); {
	case w.suspended && w.queue() != "":
		p.Note = fmt.Sprintf("it waits in the Kueue queue %q", w.queue())
	case w.suspended:
	case problem != nil:
		p.Note = clean(problem.Message, maxQuote)
	case init != nil:
		p.Note = w.worksFor(init)
	case w.running == 0 && len(w.heldUp) == 0 && failed > 0 && w.retries():
		p.Note = "Kubernetes waits before the next attempt"
	}
	return p
}

// longestInit is the init container that has worked for longest, nil when none has for a while.
func (w *view) longestInit() *problem {
	var longest *problem
	for _, held := range w.heldUp {
		if held.init != "" && w.Now.Sub(held.since) >= LingerGrace && (longest == nil || held.since.Before(longest.since)) {
			longest = held
		}
	}
	return longest
}

// worksFor says for how long an init container has worked, and whether it says what it does.
func (w *view) worksFor(init *problem) string {
	s := fmt.Sprintf("%s has been running for %s", init.init, event.Seconds(w.Now.Sub(init.since)))
	if init.mute != "" {
		s += " and has written nothing to its log"
	}
	return s
}

// retries tells whether Kubernetes makes another pod for one that has failed.
func (w *view) retries() bool {
	succeeded, failed := w.counts()
	if w.workQueue() && succeeded > 0 { // see warnings
		return false
	}
	return w.failed() == nil && w.external == "" && failed <= int(w.backoffLimit())
}

func (w *view) queue() string { return clean(w.job.Labels[event.QueueLabel], 253) }

// notices are what a user should hear while it happens. Each is sent once, by its key.
func (w *view) notices(v *Verdict) []event.Notice {
	var all []event.Notice
	if w.external != "" {
		all = append(all, event.Notice{
			Level: event.Info, Key: "managed-by",
			Message: fmt.Sprintf("%s is run by the controller %q, not by Kubernetes' own; its pods may be in another cluster, and fail-fast does not apply", w.name, clean(w.external, 253)),
		})
	}
	if w.suspended && !v.Decided {
		waits, hint := w.waitsToResume()
		n := event.Notice{Level: event.Info, Key: "suspended", Message: w.name + " " + waits, Hint: hint}
		if w.queue() != "" {
			n.Key = "queued"
		}
		all = append(all, n)
	}
	if !v.Decided {
		all = append(all, w.attemptNotices()...)
		for _, p := range w.living {
			l := w.lingers(p)
			if l == nil {
				continue
			}
			if due := w.after(l.end.FinishedAt.Time, LingerGrace); w.Now.Before(due) {
				v.next(due)
			} else {
				all = append(all, l.notice())
			}
		}
		for _, held := range w.heldUp {
			if held.init == "" {
				continue
			}
			if due := held.since.Add(SilentGrace); w.Now.Before(due) {
				v.next(due)
			} else if held.mute != "" { // of many pods alike, the first is told of
				all = append(all, event.Notice{Level: event.Info, Key: "silent/" + held.mute, Message: w.worksFor(held), Hint: silentHint})
			}
		}
	}
	if v.Outcome == event.Succeeded && !v.DeleteJob && w.wanted() == 0 && len(w.Pods) == 0 {
		all = append(all, event.Notice{Level: event.Warning, Key: "no-pods", Message: w.name + " succeeded without running anything",
			Hint: "Its completions are 0."})
	}
	if w.job.DeletionTimestamp != nil && !v.Decided {
		n := event.Notice{Level: event.Warning, Key: "deleting", Message: w.name + " is being deleted by someone"}
		if why, hint := Holders(w.job); why != "" {
			n.Message, n.Hint = n.Message+"; "+why, hint
		}
		all = append(all, n)
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

// waitsToResume says in words what a suspended Job waits for, and how it goes on.
func (w *view) waitsToResume() (waits, hint string) {
	if queue := w.queue(); queue != "" {
		return fmt.Sprintf("waits in the Kueue queue %q until Kueue admits it", queue), event.See("See why it does not", event.Kubectl(w.ref.Namespace, "get workloads,localqueues"))
	}
	how := "Leave suspend out of the manifest, or resume it in time"
	if w.job.Generation > 1 { // PrepareForUpdate in pkg/registry/batch/job/strategy.go counts the changes of its spec
		how = "Somebody has changed it since it was created; resume it in time"
	}
	return "is suspended and waits until somebody resumes it",
		event.See(how, event.Kubectl(w.ref.Namespace, `patch job %s -p '{"spec":{"suspend":false}}'`, w.ref.Name))
}

// The pauses before the next pod (DefaultJobPodFailureBackOff and MaxJobPodFailureBackOff in pkg/controller/job/job_controller.go).
const (
	firstPause = 10 * time.Second
	lastPause  = 10 * time.Minute
)

// attemptNotices tell of the attempts that failed and will be made again. Of a Job with many pods the first few do.
func (w *view) attemptNotices() (all []event.Notice) {
	limit := int(w.backoffLimit())
	own, _ := w.failures()
	if !w.retries() || w.job.Spec.BackoffLimitPerIndex != nil || w.job.Spec.PodFailurePolicy != nil {
		return nil
	}
	failed, pause := 0, firstPause
	for _, f := range own {
		if w.ending(f.pod) {
			continue
		}
		if failed += f.attempts; failed > limit || len(all) == 10 {
			break
		}
		n := event.Notice{Level: event.Info, Key: fmt.Sprintf("attempt/%s/%d", f.pod.UID, f.attempts),
			Message: fmt.Sprintf("attempt %d of %d failed (%s); Kubernetes tries again in about %s", failed, limit+1, f.Message, event.Seconds(pause))}
		if f.pod.Spec.RestartPolicy != corev1.RestartPolicyNever && !ended(f.pod) && !w.GonePods[f.pod.UID] {
			n.Message = fmt.Sprintf("attempt %d of %d failed (%s); the container is started again in its pod", failed, limit+1, f.Message)
		}
		if l := w.lingers(f.pod); l != nil && f.pod.DeletionTimestamp == nil {
			n.Message = fmt.Sprintf("attempt %d of %d failed (%s); %s", failed, limit+1, f.Message, l)
		}
		if failed == 1 {
			n.Hint = "What must not run twice, such as a migration, wants backoffLimit: 0."
		}
		all = append(all, n)
		pause = min(2*pause, lastPause)
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

// warnings are what may have left the work incomplete although it is not the cause, or there is none.
func (w *view) warnings(cause *event.Cause) []event.Cause {
	all := w.memoryKills(cause)
	if w.succeeded() == nil {
		return all
	}
	for _, p := range w.Pods {
		if c := w.askedToStop(p); c != nil {
			all = append(all, *c)
		}
	}
	// Once a worker has succeeded, no other one is replaced (manageJob in pkg/controller/job/job_controller.go). Pods beyond the workers
	// took the places of those that had failed before.
	if own, _ := w.failures(); w.workQueue() {
		replaced := max(0, len(w.Pods)-w.parallel())
		for _, f := range own[min(replaced, len(own)):] {
			f.Message += "; it was not replaced, because other workers had succeeded"
			f.Hint = "What it had taken from the queue may be undone."
			f.Message = clean(f.Message, maxMessage)
			all = append(all, f.Cause)
		}
	}
	return all
}

// askedToStop is a pod that was told to stop while it worked, and whose containers then exited with 0, so that it counts as succeeded.
func (w *view) askedToStop(p *corev1.Pod) *event.Cause {
	if p.Status.Phase != corev1.PodSucceeded {
		return nil
	}
	var last time.Time // when the work ended
	for c := range containers(p) {
		if c.kind == event.Main && c.status != nil && c.status.State.Terminated != nil && c.status.State.Terminated.FinishedAt.After(last) {
			last = c.status.State.Terminated.FinishedAt.Time
		}
	}
	// Time stamps have whole seconds.
	reason, why, told := event.Evicted, "", false
	for _, e := range w.Events {
		first, _, _ := seen(e)
		first = first.Truncate(time.Second)
		if e.InvolvedObject.UID != p.UID || !Stops(e) || e.Reason == "Unhealthy" || first.After(last) {
			continue
		}
		switch {
		case e.Reason == "Evicted":
			why = "was evicted (" + quote(e.Message) + ")"
		case e.Reason != "Killing":
			reason, why = event.Preempted, "was preempted ("+quote(e.Message)+")"
		default:
			told = told || stopsWork(p, e) && first.Before(w.succeeded().LastTransitionTime.Time)
		}
	}
	for c := range containers(p) {
		if said := w.killedFor(p, c); c.kind == event.Main && said != "" && why == "" {
			reason, why = event.ContainerExit, "was stopped by the kubelet ("+said+")"
		}
	}
	deleted := deletedAt(p)
	switch c := podCondition(p, corev1.DisruptionTarget); {
	case why != "":
	case c != nil && c.Status == corev1.ConditionTrue:
		why = "was evicted (" + quote(c.Message) + ")"
	case told, !deleted.IsZero() && !deleted.After(last) && deleted.Before(w.succeeded().LastTransitionTime.Time):
		why = "was deleted"
	default:
		return nil
	}
	return &event.Cause{Reason: reason, Object: podRef(p),
		Message: clean(named(p)+" "+why+" while it worked, and then ended with code 0: its work may be incomplete", maxMessage),
		Hint:    "Let the program exit with another code than 0 when it is told to stop (SIGTERM) before it is done."}
}

// stopsWork tells whether an event is about the end of a main container: sidecars are stopped behind them.
func stopsWork(p *corev1.Pod, e *corev1.Event) bool {
	for c := range containers(p) {
		if c.kind == event.Main && concerns(e, c) {
			return true
		}
	}
	return false
}

// memoryKills are those that are not the cause: of a process beside the main one, which leaves the container's exit
// code at 0 (kubernetes#131530), of a run that was restarted, or of a sidecar.
func (w *view) memoryKills(cause *event.Cause) []event.Cause {
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
