// Package logs follows the output of every container run of a Job's pods: each line exactly once, in order per container,
// live, whatever happens to the connection, the kubelet or the log file in between. What cannot be had any more is said with
// an event.Gap.
//
// One run of a container (a container id) is one event.Stream. A container has one reader for all its runs: one goroutine, and a
// second one that reads ahead by one batch. The end of an answer never means that the run has ended: the pod's status says that.
// Then the rest is read without follow, from the place up to which lines were delivered, and only then the run is done.
//
// Four things are known about the kubelet's side, and rule the details (k8s.io/cri-client/pkg/logs, pkg/kubelet):
//   - sinceTime filters lines by their time stamps, in whole seconds; so an answer overlaps with what was delivered.
//   - A follower may sit at the end of a file that was rotated away and say nothing, while the container writes on.
//   - The API server ends its answer in good order when the kubelet's answer breaks off (StreamObject in
//     k8s.io/apiserver ignores the error), so an orderly end proves nothing.
//   - A log is asked for by the container's name, and the kubelet knows of a restart before anybody else (validateContainerLogStatus
//     in pkg/kubelet/kubelet_pods.go), so an answer may be the next run's.
package logs

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
	"github.com/planton/kubernetes-job-action/internal/pods"
)

// Opener opens the log of one container of a pod, as client-go's Pods(namespace).GetLogs(pod, o).Stream(ctx) does. When ctx
// ends, reading must end too. Errors are client-go's, so that apierrors can tell them apart.
type Opener func(ctx context.Context, namespace, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error)

// Options are what a Follower needs.
type Options struct {
	Open       Opener
	Out        chan<- event.Fact // receives Lines, Gap, Notice and Drained; whoever reads it slowly slows the reading of logs
	Streams    int               // containers that are read at once; 0 means 64
	Containers []string          // names of the containers to follow; empty means all
	Health     *outage.Health    // hears what every request says about the API server; may be nil
	// Outage tells whether the API server is out of reach, and whether that is still waited for; nil: never.
	Outage func() (away, waited bool)
}

// Follower follows the containers of the pods that it is shown.
type Follower struct {
	Options
	ctx  context.Context // ends with Close
	stop context.CancelFunc
	work context.Context // ends with Close, and when the time for draining is over
	halt context.CancelFunc
	jobs sync.WaitGroup // goroutines that end with work
	last sync.WaitGroup // the one that drains

	opened atomic.Bool // a log was, once

	mu         sync.Mutex
	numbering  pods.Numbering
	versions   map[string]string        // the last states of pods, by UID
	containers map[[2]string]*container // by the pod's UID and the container's name
	waiting    []*container             // for a place, in order of appearance
	reading    int                      // containers that have a place
	following  int                      // those of them whose place is for following
	draining   bool
	closed     bool
	forbidden  bool
	announced  bool          // that containers wait for a place
	drained    chan struct{} // closed when everything is read while draining
}

// New makes a Follower that works until Close or until ctx is done.
func New(ctx context.Context, o Options) *Follower {
	if o.Streams == 0 {
		o.Streams = 64
	}
	f := &Follower{Options: o, versions: map[string]string{}, containers: map[[2]string]*container{}, drained: make(chan struct{})}
	f.ctx, f.stop = context.WithCancel(ctx)
	f.work, f.halt = context.WithCancel(f.ctx)
	return f
}

// Observe tells the state of a pod; gone says that it was deleted and that this was its last state. It never blocks. Pods
// must be shown in the order in which they were created, where that is known: their attempts are numbered by it.
func (f *Follower) Observe(pod *corev1.Pod, gone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	index, attempt := f.numbering.Of(pod)
	if f.closed {
		return
	}
	base := event.Stream{Namespace: pod.Namespace, Pod: pod.Name, PodUID: string(pod.UID), Index: index, Attempt: attempt}
	// The event of a deletion has a version of its own. Without it, nobody has seen what the pod did last.
	missed := gone && pod.ResourceVersion != "" && f.versions[base.PodUID] == pod.ResourceVersion
	f.versions[base.PodUID] = pod.ResourceVersion
	for _, s := range pod.Status.InitContainerStatuses {
		base.Kind = event.Init
		policy := restartPolicy(pod, pod.Spec.InitContainers, s.Name)
		if policy == corev1.RestartPolicyAlways {
			base.Kind = event.Sidecar
		}
		f.observe(base, s, policy, gone)
	}
	for _, s := range pod.Status.ContainerStatuses {
		base.Kind = event.Main
		f.observe(base, s, restartPolicy(pod, pod.Spec.Containers, s.Name), gone)
	}
	if missed && pod.Spec.NodeName != "" {
		base.Kind = event.Main
		for _, s := range pod.Spec.Containers {
			f.unseen(base, s.Name)
		}
	}
	f.admit()
}

// unseen notes a container of a deleted pod that may have run, although it was not seen to.
func (f *Follower) unseen(base event.Stream, name string) {
	base.Container = name
	key := [2]string{base.PodUID, name}
	if c := f.containers[key]; c != nil && len(c.runs) > 0 || len(f.Containers) > 0 && !slices.Contains(f.Containers, name) {
		return
	}
	if f.containers[key] == nil {
		f.containers[key] = newContainer(f, len(f.containers)+1)
	}
	f.update(f.containers[key], base, name, 0, state{ended: true, gone: true})
}

// Silent tells whether the log of a container's present run is open and has brought nothing yet. What a program has written without the end
// of the line is in no log.
func (f *Follower) Silent(podUID, container string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[[2]string{podUID, container}]
	return c != nil && !c.silent.IsZero() && time.Since(c.silent) >= behind
}

// restartPolicy is a container's own restart policy, or its pod's. A Job's pod never has Always, so an init container that has
// it is a sidecar. A container with restart rules has a policy of its own, even if it is Never, and may be started again.
func restartPolicy(pod *corev1.Pod, containers []corev1.Container, name string) corev1.RestartPolicy {
	for _, c := range containers {
		switch {
		case c.Name != name:
		case len(c.RestartPolicyRules) > 0:
			return corev1.RestartPolicyOnFailure
		case c.RestartPolicy != nil:
			return corev1.RestartPolicy(*c.RestartPolicy)
		}
	}
	return pod.Spec.RestartPolicy
}

// observe looks at one container of a pod. A container has up to two runs that can be read: the current one, and the one
// before it, which the kubelet calls previous and keeps in lastState.
func (f *Follower) observe(base event.Stream, s corev1.ContainerStatus, policy corev1.RestartPolicy, gone bool) {
	if len(f.Containers) > 0 && !slices.Contains(f.Containers, s.Name) {
		return
	}
	base.Container = s.Name
	key := [2]string{base.PodUID, s.Name}
	c := f.containers[key]
	if c == nil {
		c = newContainer(f, len(f.containers)+1)
		f.containers[key] = c
	}
	var current, previous string
	var now state
	var started time.Time // of the current run
	switch t := s.State.Terminated; {
	case s.State.Running != nil:
		started = s.State.Running.StartedAt.Time
		current, now = cmp.Or(s.ContainerID, nameless(s)), state{restarts: policy != corev1.RestartPolicyNever, gone: gone}
	case t != nil && ran(t):
		started = t.StartedAt.Time
		current, now = cmp.Or(t.ContainerID, s.ContainerID, nameless(s)), ended(t, policy, gone)
	}
	restart := int(s.RestartCount)
	if t := s.LastTerminationState.Terminated; t != nil && ran(t) && t.ContainerID != "" && t.ContainerID != current {
		previous = t.ContainerID
		was := ended(t, policy, gone)
		was.previous = true
		if started.After(was.at) {
			was.until = started
		} else if !was.at.IsZero() {
			was.until = was.at.Add(2 * behind)
		}
		if current == "" {
			restart++ // it counts the run that is due
		}
		f.update(c, base, previous, max(restart-1, 0), was)
	}
	if current != "" {
		f.update(c, base, current, restart, now)
	}
	for _, r := range c.runs {
		now := r.now
		switch id := r.stream.ContainerID; {
		case current == "" && previous == "": // its id is unknown after the node was started anew
			now.ended, now.gone = now.ended || s.State.Terminated != nil, now.gone || gone
		case id != current && id != previous:
			now.ended, now.replaced, now.gone = true, true, now.gone || gone
		}
		c.set(r, now)
	}
}

// ran tells whether a terminated container has run. The kubelet reports a container that it could not start with a start in
// 1970, and one of which it knows nothing (ContainerStatusUnknown) without start and without id.
func ran(t *corev1.ContainerStateTerminated) bool {
	return t.Reason != "StartError" && (t.StartedAt.Unix() > 0 || t.StartedAt.IsZero() && t.ContainerID != "")
}

// nameless stands for the id of a container run that has none: kwok's do not.
func nameless(s corev1.ContainerStatus) string { return fmt.Sprintf("%s#%d", s.Name, s.RestartCount) }

func ended(t *corev1.ContainerStateTerminated, policy corev1.RestartPolicy, gone bool) state {
	restarts := policy == corev1.RestartPolicyAlways || policy == corev1.RestartPolicyOnFailure && t.ExitCode != 0
	return state{ended: true, restarts: restarts, gone: gone, at: t.FinishedAt.Time}
}

// update notes the state of a run, which is new when its id is.
func (f *Follower) update(c *container, stream event.Stream, id string, restart int, now state) {
	for _, r := range c.runs {
		if r.stream.ContainerID == id {
			c.set(r, now)
			return
		}
	}
	stream.ContainerID, stream.Restart = id, restart
	c.runs = append(c.runs, &run{&stream, now})
	if !c.queued {
		c.queued = true
		f.waiting = append(f.waiting, c)
	}
}

// admit gives free places to waiting containers, in order. An eighth of the places is for what can be read to its end: containers
// that run may do so for ever, and must not keep the others from being read while their pods exist.
func (f *Follower) admit() {
	if f.forbidden {
		f.waiting = nil
	}
	f.waiting = slices.DeleteFunc(f.waiting, func(c *container) bool {
		follow := c.follows()
		if f.closed || f.reading == f.Streams || follow && f.following >= f.places() {
			return false
		}
		f.reading++
		if follow {
			f.following++
		}
		f.jobs.Go(func() {
			c.read(f.work, follow)
			f.release(c, follow)
		})
		return true
	})
	if !f.announced && !f.draining && !f.closed && len(f.queue()) > 0 {
		f.announced = true
		f.jobs.Go(f.announce)
	}
	if f.draining && f.reading+len(f.waiting) == 0 && !f.closed {
		f.closed = true
		close(f.drained)
	}
}

func (f *Follower) release(c *container, followed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading--
	if followed {
		f.following--
	}
	if c.at < len(c.runs) {
		f.waiting = append(f.waiting, c)
	} else {
		c.queued, c.past = false, history{} // the rest is needed to know its runs again
	}
	f.admit()
}

// places are how many containers can be followed at once.
func (f *Follower) places() int { return f.Streams - f.Streams/8 }

// queue are the running containers that wait for a place, by name.
func (f *Follower) queue() (names []string) {
	for _, c := range f.waiting {
		if c.follows() {
			stream := c.runs[c.at].stream
			names = append(names, stream.Container+" of "+stream.Pod)
		}
	}
	return names
}

// announce says once which containers wait for a place, after a moment in which the others of a burst of pods come.
func (f *Follower) announce() {
	select {
	case <-time.After(behind):
	case <-f.work.Done():
		return
	}
	f.mu.Lock()
	names, closed := f.queue(), f.closed || f.draining
	f.announced = len(names) > 0
	f.mu.Unlock()
	if len(names) == 0 || closed {
		return
	}
	if n := len(names) - 5; n > 0 {
		names = append(names[:5], fmt.Sprintf("and %d more", n))
	}
	f.send(f.work, event.Notice{
		Level: event.Warning, Key: "logs-waiting",
		Message: fmt.Sprintf("%d containers are followed at once; the output of these comes when others have ended: %s", f.places(), strings.Join(names, ", ")),
		Hint:    "choose fewer containers with log-containers; what a node rotates away meanwhile is lost without a word",
	})
}

// Drain reads every log to its end, for at most limit, which begins anew after an outage; what is unread then, or when an outage is not
// waited for any more, is given up with a Gap.
// Then event.Drained is sent once, and pods are not looked at any more. Containers that still run are read up to now. It does not wait,
// and must be called once at most.
func (f *Follower) Drain(limit time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.draining = true
	for _, c := range f.containers {
		c.wake()
	}
	f.admit()
	f.last.Go(func() {
		why := "the log could not be read to its end within " + event.Seconds(limit) + " after the Job's end"
		for left := limit; left > 0; {
			select {
			case <-f.drained:
				left = 0
			case <-time.After(min(left, time.Second)):
				left -= time.Second
				if away, waited := f.outage(); waited {
					left = limit
				} else if away {
					left, why = 0, "the API server does not answer, and is not waited for any more"
				}
			case <-f.ctx.Done():
				return
			}
		}
		f.abandon(why)
		f.send(f.ctx, event.Drained{})
	})
}

func (f *Follower) outage() (away, waited bool) {
	if f.Outage == nil {
		return false, false
	}
	return f.Outage()
}

// abandon ends all reading, and says what is lost by that.
func (f *Follower) abandon(why string) {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.halt()
	f.jobs.Wait()
	if f.forbidden {
		return
	}
	for _, c := range slices.SortedFunc(maps.Values(f.containers), func(a, b *container) int { return a.number - b.number }) {
		for c.at < len(c.runs) && f.ctx.Err() == nil {
			c.giveUp(f.ctx, why)
		}
	}
}

// Close stops everything and waits until it has.
func (f *Follower) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.stop()
	f.jobs.Wait()
	f.last.Wait()
}

// send fails when ctx ends before e is received.
func (f *Follower) send(ctx context.Context, e event.Fact) error {
	select {
	case f.Out <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// forbid ends everything when the first answer is that logs may not be read: it would be the same for every other pod.
func (f *Follower) forbid(ctx context.Context, err error) {
	f.mu.Lock()
	first := !f.forbidden
	f.forbidden = true
	f.mu.Unlock()
	if first {
		f.send(ctx, event.Notice{
			Level: event.Warning, Key: "logs-forbidden", // the run goes on
			Message: "logs cannot be shown: " + err.Error(),
			Hint:    `Allow the verb "get" on "pods/log" in the Job's namespace for this user.`,
		})
	}
}
