package verdict

import (
	"iter"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Starts are when the containers of a pod started, as far as its state knows: the kubelet keeps the last two runs of each.
func Starts(p *corev1.Pod) iter.Seq2[Output, time.Time] {
	return func(yield func(Output, time.Time) bool) {
		for c := range containers(p) {
			if first, _ := c.worked(); !first.IsZero() && !yield(Output{p.UID, c.spec.Name}, first) {
				return
			}
		}
	}
}

// worked is when a container started first, and when it ended, as far as its state knows; zero when it has not.
func (c container) worked() (first, end time.Time) {
	if c.status == nil {
		return first, end
	}
	for _, s := range []corev1.ContainerState{c.status.LastTerminationState, c.status.State} {
		var start time.Time
		if s.Running != nil {
			start = s.Running.StartedAt.Time
		}
		if s.Terminated != nil {
			start = s.Terminated.StartedAt.Time
		}
		// One that could not be started has the beginning of Unix's time (pkg/kubelet/kuberuntime, toKubeContainerStatus).
		if first.IsZero() && start.Unix() > 0 {
			first = start
		}
	}
	if t := c.status.State.Terminated; t != nil && t.FinishedAt.Unix() > 0 {
		end = t.FinishedAt.Time
	}
	return first, end
}

// step is what a pod is at, and with it its Job. Of several pods, that with the highest counts.
type step int

const (
	none step = iota // no pod is at work, or on its way to it
	toNode
	toPull
	toInit
	toRun
)

// span is a time that a pod was at one step.
type span struct {
	step     step
	from, to time.Time
}

// spans are the steps of a pod from its creation to its end, without gaps. Time stamps come from several clocks, with the resolution of a
// second, so none is taken to be before the one that it must follow. The last step is none: the containers have ended.
func (w *view) spans(p *corev1.Pod) []span {
	at := p.CreationTimestamp.Time
	if at.IsZero() {
		return nil
	}
	var all []span
	is, end := toNode, w.podEnd(p)
	next := func(s step, t time.Time) {
		if t.After(end) {
			t = end
		}
		if t.After(at) {
			all = append(all, span{is, at, t})
			at = t
		}
		is = s
	}
	if c := podCondition(p, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionTrue && !c.LastTransitionTime.IsZero() {
		next(toPull, c.LastTransitionTime.Time)
	} else if p.Spec.NodeName != "" {
		next(toPull, w.startOf(p))
	}
	var last time.Time
	begun, working := time.Time{}, false
	for c := range containers(p) {
		first, ends := c.worked()
		if known, ok := w.Starts[Output{p.UID, c.spec.Name}]; ok && (first.IsZero() || known.Before(first)) {
			first = known
		}
		if c.kind == event.Sidecar {
			continue
		}
		if ends.After(last) {
			last = ends
		}
		switch {
		case c.kind == event.Init && !first.IsZero():
			next(toInit, first)
			if !ends.IsZero() {
				next(toPull, ends)
			}
		case c.kind == event.Main:
			if !first.IsZero() && (begun.IsZero() || first.Before(begun)) {
				begun = first
			}
			working = working || ends.IsZero()
		}
	}
	if !begun.IsZero() {
		next(toRun, begun)
	}
	if !last.IsZero() && (ended(p) || !working) {
		next(none, last)
	}
	next(none, end)
	return all
}

// startOf is when the kubelet took the pod, its creation when that is not known.
func (w *view) startOf(p *corev1.Pod) time.Time {
	if p.Status.StartTime != nil {
		return p.Status.StartTime.Time
	}
	return p.CreationTimestamp.Time
}

// podEnd is when a pod ended: by the last time stamp of one that has, for no field says it. Ready becomes false with the phase
// (pkg/kubelet/status/generate.go). A pod that was deleted at work ended with its grace at the latest; any other goes on until the Job's end.
func (w *view) podEnd(p *corev1.Pod) (end time.Time) {
	if !ended(p) {
		end = w.until()
		if d := p.DeletionTimestamp; d != nil && w.GonePods[p.UID] && d.Time.Before(end) {
			end = d.Time
		}
		return end
	}
	end = p.CreationTimestamp.Time
	for c := range containers(p) {
		if _, ends := c.worked(); ends.After(end) {
			end = ends
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type != corev1.PodReadyToStartContainers && c.LastTransitionTime.After(end) { // that one is the sandbox's, which may stay longer
			end = c.LastTransitionTime.Time
		}
	}
	return end
}

// until is when the Job ended, by the cluster's clock; now when it has not. Our clock may not be the cluster's: when the following began with the
// Job, as much time has passed by both. Else now is not before what is known to have happened since the following began.
func (w *view) until() time.Time {
	created := w.job.CreationTimestamp.Time
	end := w.completed()
	if end.IsZero() {
		end = w.Now
		if !w.Joined || w.FollowedSince.Before(created) {
			end = created.Add(w.Now.Sub(w.FollowedSince))
		}
	}
	if end.Before(created) {
		return created
	}
	return end
}

// podTimes are the parts of a pod's time.
func podTimes(spans []span) (t event.Times) {
	for _, s := range spans {
		d := s.to.Sub(s.from)
		switch s.step {
		case toNode:
			t.Node += d
		case toPull:
			t.Pull += d
		case toInit:
			t.Init += d
		case toRun:
			t.Run += d
		default:
			t.End += d
		}
	}
	return t
}

// jobTimes are the parts of the Job's time, from the spans of its pods. A moment in which no pod is at a step belongs to the queue while the Job
// is suspended or another pod is still to come, as between two attempts; then to the end.
func (w *view) jobTimes(pods [][]span) (t event.Times) {
	from, until := w.job.CreationTimestamp.Time, w.until()
	if from.IsZero() {
		return t
	}
	var suspended, resumed, newest time.Time
	for _, c := range w.job.Status.Conditions {
		if c.Type != batchv1.JobSuspended {
			continue
		}
		if c.Status == corev1.ConditionTrue {
			suspended = c.LastTransitionTime.Time
		} else {
			resumed = c.LastTransitionTime.Time
		}
	}
	type edge struct {
		at   time.Time
		step step
		n    int
	}
	edges := []edge{{at: until}}
	edgeAt := func(at time.Time, s step, n int) {
		switch {
		case at.Before(from):
			at = from
		case at.After(until):
			at = until
		}
		edges = append(edges, edge{at, s, n})
	}
	for _, spans := range pods {
		for _, s := range spans {
			if s.step != none {
				edgeAt(s.from, s.step, 1)
				edgeAt(s.to, s.step, -1)
			}
		}
		if len(spans) > 0 && !spans[0].from.Before(resumed) && spans[0].from.After(newest) {
			newest = spans[0].from
		}
	}
	for _, at := range []time.Time{suspended, resumed, newest} {
		edgeAt(at, none, 0)
	}
	slices.SortFunc(edges, func(a, b edge) int { return a.at.Compare(b.at) })
	at := map[step]int{} // how many pods are at each step
	for _, e := range edges {
		d := e.at.Sub(from)
		switch {
		case at[toRun] > 0:
			t.Run += d
		case at[toInit] > 0:
			t.Init += d
		case at[toPull] > 0:
			t.Pull += d
		case at[toNode] > 0:
			t.Node += d
		case newest.IsZero(), from.Before(newest), !suspended.IsZero() && !from.Before(suspended):
			t.Queue += d
		default:
			t.End += d
		}
		from = e.at
		at[e.step] += e.n
	}
	return t
}
