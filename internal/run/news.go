package run

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/pods"
)

// fewPods is how many pods a Job may have until only their failures are told one by one.
const fewPods = 8

// news tells in words what changed about a pod; before is nil when it was not seen yet.
func news(before, now *corev1.Pod, gone, failuresOnly bool) []event.Event {
	index := pods.Index(now)
	var out []event.Event
	say := func(format string, a ...any) {
		out = append(out, event.Attempt{Pod: now.Name, Index: index, Message: fmt.Sprintf(format, a...)})
	}
	old := map[string]corev1.ContainerStatus{}
	if before != nil {
		for _, c := range statuses(before) {
			old[c.Name] = c
		}
	}
	if !failuresOnly && now.Spec.NodeName != "" && (before == nil || before.Spec.NodeName == "") {
		say("scheduled on %s", now.Spec.NodeName)
	}
	for _, c := range statuses(now) {
		was := old[c.Name]
		last := c.LastTerminationState.Terminated
		if c.RestartCount > was.RestartCount && last != nil && was.State.Terminated == nil && !equality.Semantic.DeepEqual(last, was.LastTerminationState.Terminated) {
			say("%s", ended(c.Name, last))
		}
		switch {
		case c.State.Running != nil && (was.State.Running == nil || c.RestartCount > was.RestartCount):
			if c.RestartCount > 0 {
				say("container %s runs again (restart %d)", c.Name, c.RestartCount)
			} else if !failuresOnly {
				say("container %s runs", c.Name)
			}
		case c.State.Terminated != nil && (was.State.Terminated == nil || c.RestartCount > was.RestartCount):
			if t := c.State.Terminated; !failuresOnly || t.ExitCode != 0 {
				say("%s", ended(c.Name, t))
			}
		}
	}
	if gone && now.Status.Phase != corev1.PodSucceeded && now.Status.Phase != corev1.PodFailed {
		say("was deleted while it was %s", phase(now))
	}
	return out
}

// statuses are those of all containers, in the order in which they start.
func statuses(p *corev1.Pod) []corev1.ContainerStatus {
	return append(append([]corev1.ContainerStatus(nil), p.Status.InitContainerStatuses...), p.Status.ContainerStatuses...)
}

func ended(container string, t *corev1.ContainerStateTerminated) string {
	s := fmt.Sprintf("container %s exited with code %d", container, t.ExitCode)
	if t.Reason != "" && t.Reason != "Completed" && t.Reason != "Error" {
		s += " (" + t.Reason + ")"
	}
	return s
}

func phase(p *corev1.Pod) string {
	if p.Status.Phase == corev1.PodRunning {
		return "running"
	}
	return "waiting"
}
