package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

const (
	// LingerGrace is how long containers may go on after the end of their pod's work, before that counts as a hang.
	LingerGrace = 15 * time.Second
	// MainGrace is how long the rest of a pod has to end by itself when the end of one container decides.
	MainGrace = 2 * time.Second
	// SilentGrace is how long an init container may work without a word before it is told that it does.
	SilentGrace = 20 * time.Second
)

// defaultContainer names the container that kubectl takes for the pod's main one
// (https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-kubernetes-io-default-container).
const defaultContainer = "kubectl.kubernetes.io/default-container"

// lingering is a pod whose work has ended while other containers, mostly classic sidecars, keep it and its Job from ending.
type lingering struct {
	pod   *corev1.Pod
	work  container // has ended for good
	end   *corev1.ContainerStateTerminated
	still []string // names of the containers that run on
}

// lingers finds the container of a pod that has ended for good while others run: the one that is named, the pod's default
// container, one that failed, or the first one that ended. Of a pod that was deleted, others ran until then.
func (w *view) lingers(p *corev1.Pod) *lingering {
	var found *lingering
	var still []string
	for c := range containers(p) {
		if c.kind != event.Main || c.status == nil {
			continue
		}
		t := c.status.State.Terminated
		switch {
		case c.status.State.Running != nil, t != nil && stopped(p, t):
			still = append(still, c.spec.Name)
			continue
		case t == nil, p.Spec.RestartPolicy != corev1.RestartPolicyNever && t.ExitCode != 0, len(c.spec.RestartPolicyRules) > 0:
			continue // it is restarted
		}
		name := c.spec.Name
		if found == nil || name == w.Options.MainContainer || found.work.spec.Name != w.Options.MainContainer &&
			(name == p.Annotations[defaultContainer] || found.work.spec.Name != p.Annotations[defaultContainer] && found.end.ExitCode == 0 && t.ExitCode != 0) {
			found = &lingering{pod: p, work: c, end: t}
		}
	}
	if found == nil || len(still) == 0 || slices.Contains(still, cmp.Or(w.Options.MainContainer, p.Annotations[defaultContainer])) {
		return nil
	}
	found.still = still
	return found
}

// stopped tells whether a container ended when its pod had been told to stop.
func stopped(p *corev1.Pod, t *corev1.ContainerStateTerminated) bool {
	deleted := deletedAt(p)
	return !deleted.IsZero() && !t.FinishedAt.Time.Before(deleted)
}

// String is `"proxy" runs on and keeps pod x from ending`.
func (l *lingering) String() string {
	runs := "runs on and keeps"
	if len(l.still) > 1 {
		runs = "run on and keep"
	}
	return fmt.Sprintf(`"%s" %s %s and its Job from ending`, strings.Join(l.still, `", "`), runs, named(l.pod))
}

const silentHint = "Its command may wait for something that does not come, such as a service that cannot be reached from the pod: let it say what it waits for, and give up after a while."

const lingerHint = "Make what serves the work a native sidecar (an init container with restartPolicy: Always), which ends with it, or name the container that counts with main-container."

// ended says that the work has ended, and who is still there.
func (l *lingering) ended() string {
	return fmt.Sprintf("%s has ended with code %d, but %s", l.work, l.end.ExitCode, l)
}

func (l *lingering) notice() event.Notice {
	return event.Notice{Level: event.Warning, Key: "lingers/" + strings.Join(l.still, ","), // of many pods alike, the first is told of
		Message: l.ended(), Hint: lingerHint}
}

// mainEnds decides by the end of main-container, for pods that others of their containers keep from ending. Of several runs that follow the
// Job, one is the first to end it for that.
func (w *view) mainEnds(v *Verdict) bool {
	name := w.Options.MainContainer
	if name == "" {
		return false
	}
	done, lingers, pods := 0, false, w.living
	if w.goes() {
		pods = w.Pods
	}
	for _, p := range w.Pods {
		if c := status(p.Status.ContainerStatuses, name); p.Status.Phase == corev1.PodSucceeded && (c == nil || c.State.Terminated == nil || !stopped(p, c.State.Terminated)) {
			done++
		}
	}
	for _, p := range pods {
		l := w.lingers(p)
		if l == nil || l.work.spec.Name != name {
			continue
		}
		if due := w.after(l.end.FinishedAt.Time, MainGrace); !w.goes() && w.Now.Before(due) {
			v.next(due)
			continue
		}
		if l.end.ExitCode != 0 {
			w.end(v, event.Failed, &w.exit(p, l.work, l.end).Cause)
			return true
		}
		if lingers = true; p.Status.Phase != corev1.PodSucceeded { // else it counts already
			done++
		}
	}
	if !lingers || done < int(w.wanted()) {
		return false
	}
	v.Decided, v.Outcome, v.DeleteJob, v.Next = true, event.Succeeded, true, time.Time{}
	return true
}

// stuck is the failure that fail-fast ends the run for, and when: the work of every living pod has failed, other containers alone keep the
// pods, and no attempt is left.
func (w *view) stuck() (*event.Cause, time.Time) {
	_, failed := w.counts()
	if len(w.living) == 0 || w.job.Spec.BackoffLimitPerIndex != nil || failed < int(w.backoffLimit()) || int(w.job.Status.Active) > len(w.living) {
		return nil, time.Time{}
	}
	var cause *event.Cause
	var due time.Time
	for _, p := range w.living {
		l := w.lingers(p)
		if l == nil || l.end.ExitCode == 0 {
			return nil, time.Time{}
		}
		if end := w.after(l.end.FinishedAt.Time, LingerGrace); end.After(due) {
			due = end
		}
		if cause == nil {
			cause = &w.exit(p, l.work, l.end).Cause
			cause.Message += "; " + l.String()
			cause.Hint = lingerHint
		}
	}
	return cause, due
}
