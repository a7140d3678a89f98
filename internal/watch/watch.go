// Package watch follows one Job, its pods and the Kubernetes events about them, and survives what happens to watches: they are
// closed, cut off and frozen, their resource version expires, the API server restarts, credentials are renewed.
//
// There are four watches: the Job (by name), its pods (by its selector), the events about the Job, and the
// events about pods in its namespace. client-go's Reflector is not used because it hides when a watch cannot be established,
// ends every watch after five to ten minutes, so that the number of requests grows with time, and cannot start at the resource
// version of a creation.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/gentype"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
)

const (
	// lifetime is how long the API server is asked to keep a watch open; it takes the client's word for it
	// (k8s.io/apiserver/pkg/endpoints/handlers/get.go, handleWatch). It is longer than a job on any runner lasts (GitHub: 5 days).
	// A connection that died silently is found by the health checks of HTTP/2 (cluster's pulse).
	lifetime = 7 * 24 * time.Hour
	// steady is how long a watch that brings nothing must last to count as one that works, which is an answer.
	steady = time.Second
	// grace is how long a watch that worked before may be refused: an API server that has just started refuses everybody until
	// its authorizer has read the cluster's roles and accounts.
	grace = 10 * time.Second
	// pageSize bounds the memory that a list takes; of events, each may have 1.5 MB, whatever it is about.
	pageSize  = 500
	eventPage = 20
	// mostHeld bounds the events that are kept until their pod is known. All pods of the namespace bring events.
	mostHeld = 1000
	// mostTold bounds what is known of the events that were told. Beyond it, some may be told again.
	mostTold = 10_000
	// mostText bounds the message of an event, and mostWord every other text in it.
	mostText = 2 << 10
	mostWord = 253
)

// Client makes the requests; cluster.Client is one.
type Client interface {
	Jobs(namespace string) *gentype.ClientWithList[*batchv1.Job, *batchv1.JobList]
	Pods(namespace string) *gentype.ClientWithList[*corev1.Pod, *corev1.PodList]
	Events(namespace string) *gentype.ClientWithList[*corev1.Event, *corev1.EventList]
}

// Follow tells out everything that happens to the Job, its pods and the events about them, until ctx is done (it then returns
// nil) or the API server refuses what cannot be done without (the error wraps client-go's). It blocks while out takes nothing,
// never closes out, and leaves no goroutine behind.
//
// job is the Job as its creation, or a look at it, answered: the watch on it begins at its resource version, and that state is
// not told again. Pods and events that are there at the first look are told like news.
//
//   - JobSeen, PodSeen: each new state once, in the order of the API server, for each object. Gone is told once for each UID, with
//     the last state, also when the deletion itself was missed. Nothing about a UID is told after it is gone. Pods come without
//     managedFields.
//   - JobSeen with another UID: a Job of the same name that is not ours; the Gone of ours comes before it.
//   - EventSeen: events about the Job or a pod that was told before, again whenever their count grows; reduced to what explains, see reduce.
//   - Notice: events may not be read; everything else goes on.
//
// The watches are not ordered among each other: the Job's end may be told before its last pod's.
//
// health learns what the requests say about the API server: every answer, and the failures of the watches on the Job and the pods,
// which are tried again for ever. A watch that was closed or cut off and comes back at once is no failure; one that ends at once, with
// nothing, is one.
func Follow(ctx context.Context, client Client, health *outage.Health, job *batchv1.Job, out chan<- event.Fact) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := &follower{out: out, job: job, about: map[types.UID]bool{job.UID: true}, told: map[types.UID]string{}}
	podsListed := make(chan struct{})
	ref := event.Ref{Kind: "Job", Namespace: job.Namespace, Name: job.Name}.String()

	jobs, pods, events := client.Jobs(job.Namespace), client.Pods(job.Namespace), client.Events(job.Namespace)
	listEvents := func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return events.List(ctx, o) }
	kinds := []*kind{{
		what:    ref,
		options: metav1.ListOptions{FieldSelector: "metadata.name=" + job.Name},
		list:    func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return jobs.List(ctx, o) },
		watch:   jobs.Watch,
		tell: func(ctx context.Context, o runtime.Object, gone bool) {
			f.send(ctx, event.JobSeen{Job: o.(*batchv1.Job), Gone: gone})
		},
		page:    pageSize,
		known:   map[types.UID]runtime.Object{job.UID: job},
		version: job.ResourceVersion,
		began:   true,
		needed:  true,
	}, {
		what:    "the pods of " + ref,
		options: metav1.ListOptions{LabelSelector: PodSelector(job)},
		list:    func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return pods.List(ctx, o) },
		watch:   pods.Watch,
		tell:    f.pod,
		page:    pageSize,
		known:   map[types.UID]runtime.Object{},
		listed:  sync.OnceFunc(func() { close(podsListed) }),
		needed:  true,
	}, {
		what:    "the events about " + ref,
		options: metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(job.UID)},
		list:    listEvents,
		watch:   events.Watch,
		tell:    f.event,
		page:    eventPage,
	}, {
		// One watch on all of the namespace's pods instead of one for each pod of the Job: the selector has no "one of".
		what:    "the events about the pods of " + ref,
		options: metav1.ListOptions{FieldSelector: "involvedObject.kind=Pod"},
		list:    listEvents,
		watch:   events.Watch,
		tell:    f.event,
		page:    eventPage,
		after:   podsListed,
	}}
	var all sync.WaitGroup
	for _, k := range kinds {
		k.health = health
		all.Go(func() {
			err := k.follow(ctx)
			switch {
			case err == nil:
			case !k.needed:
				f.send(ctx, event.Notice{Level: event.Info, Key: "access:events",
					Message: fmt.Sprintf("events cannot be read (%v), so failures may be explained less well", err)})
			default:
				cancel(err)
			}
		})
	}
	all.Wait()
	var refusal *refusal
	if errors.As(context.Cause(ctx), &refusal) {
		return refusal
	}
	return nil
}

// PodSelector selects the pods of a Job. With manualSelector it may select others too: a pod is the Job's when the Job controls it.
func PodSelector(job *batchv1.Job) string {
	selector, err := metav1.LabelSelectorAsSelector(job.Spec.Selector)
	if err != nil {
		selector = labels.Everything()
	}
	return selector.String()
}

// follower puts together what the watches bring.
type follower struct {
	out chan<- event.Fact
	job *batchv1.Job

	mu    sync.Mutex           // orders events after the pods that they are about
	about map[types.UID]bool   // the Job and all its pods that were told
	held  []*corev1.Event      // about pods that are not known, oldest first
	told  map[types.UID]string // resource versions of the events that were told
}

func (f *follower) send(ctx context.Context, e event.Fact) {
	select {
	case f.out <- e:
	case <-ctx.Done():
	}
}

// pod tells of a pod of the Job, and of the events that came before it. One that was told is told of until it
// is gone, whether the Job still controls it or has let go of it.
func (f *follower) pod(ctx context.Context, o runtime.Object, gone bool) {
	pod := o.(*corev1.Pod)
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.about[pod.UID]
	if !known && !metav1.IsControlledBy(pod, f.job) {
		return
	}
	f.send(ctx, event.PodSeen{Pod: pod, Gone: gone})
	if known {
		return
	}
	f.about[pod.UID] = true
	held := f.held
	f.held = nil
	for _, e := range held {
		f.place(ctx, e)
	}
}

// event tells of an event, or holds it until its pod is known. That an event expired is no news.
func (f *follower) event(ctx context.Context, o runtime.Object, gone bool) {
	e := o.(*corev1.Event)
	f.mu.Lock()
	defer f.mu.Unlock()
	if gone {
		delete(f.told, e.UID)
		return
	}
	f.place(ctx, reduce(e))
}

// reduce is what is kept of an event: what it is about, what it says, when and how often, and who says so. Whoever may create events in
// the namespace can put anything into them, as much as the API server takes.
func reduce(e *corev1.Event) *corev1.Event {
	cut := func(s string, most int) string { return strings.Clone(event.Shorten(s, most)) } // a part would hold on to the whole
	word := func(s string) string { return cut(s, mostWord) }
	r := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: word(e.Name), UID: types.UID(word(string(e.UID))), ResourceVersion: word(e.ResourceVersion), CreationTimestamp: e.CreationTimestamp},
		InvolvedObject: corev1.ObjectReference{Kind: word(e.InvolvedObject.Kind), UID: types.UID(word(string(e.InvolvedObject.UID))), FieldPath: word(e.InvolvedObject.FieldPath)},
		Type:           word(e.Type), Reason: word(e.Reason), Message: cut(e.Message, mostText),
		FirstTimestamp: e.FirstTimestamp, LastTimestamp: e.LastTimestamp, EventTime: e.EventTime, Count: e.Count,
		Source: corev1.EventSource{Component: word(e.Source.Component)}, ReportingController: word(e.ReportingController),
	}
	if e.Series != nil {
		r.Series = &corev1.EventSeries{Count: e.Series.Count, LastObservedTime: e.Series.LastObservedTime}
	}
	return r
}

func (f *follower) place(ctx context.Context, e *corev1.Event) {
	switch {
	case !f.about[e.InvolvedObject.UID]:
		if len(f.held) == mostHeld {
			f.held = f.held[1:]
		}
		f.held = append(f.held, e)
	case f.told[e.UID] != e.ResourceVersion:
		if len(f.told) == mostTold {
			clear(f.told)
		}
		f.told[e.UID] = e.ResourceVersion
		f.send(ctx, event.EventSeen{Event: e})
	}
}

// kind is one of the watches.
type kind struct {
	what    string
	options metav1.ListOptions // the selector
	page    int64              // how many objects a list asks for at once
	list    func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch   func(context.Context, metav1.ListOptions) (watch.Interface, error)
	tell    func(ctx context.Context, o runtime.Object, gone bool)
	known   map[types.UID]runtime.Object // last states, nil for what is gone; a nil map: every state is told
	version string                       // where the watch goes on; "" when it takes a list
	after   <-chan struct{}              // what has to happen first
	listed  func()                       // told when a list was complete
	needed  bool                         // the others only explain, and the run does without
	health  *outage.Health
	began   bool // it has a version already: a list must not be older
	worked  bool // a watch has worked once
}

// refusal is the error of a watch that the API server does not allow.
type refusal struct {
	what string
	err  error
}

func (r *refusal) Error() string { return fmt.Sprintf("cannot watch %s: %v", r.what, r.err) }
func (r *refusal) Unwrap() error { return r.err }

// follow lists and watches until ctx is done; the error is a *refusal.
func (k *kind) follow(ctx context.Context) error {
	if k.after != nil {
		select {
		case <-k.after:
		case <-ctx.Done():
			return nil
		}
	}
	pause := outage.Backoff()
	var refused time.Time // since when every try was refused
	renewed := false      // the credentials were, after the last success
	for ctx.Err() == nil {
		start := time.Now()
		wait := time.Duration(0)
		worked, err := k.once(ctx)
		if worked {
			pause.Reset()
		} else {
			wait = pause.NextBackOff()
		}
		kind := outage.KindOf(err)
		if err != nil && kind.Answered() {
			k.health.Answered()
		}
		switch {
		case err == nil:
			refused, renewed = time.Time{}, false
		case ctx.Err() != nil:
		case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
			k.version, refused = "", time.Time{}
		case kind != outage.Refusal:
			refused = time.Time{}
			if k.needed {
				k.health.Failed(start, err)
			}
			if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
				wait = max(wait, time.Duration(seconds)*time.Second)
			}
		case apierrors.IsUnauthorized(err) && !renewed:
			renewed = true // client-go mints a new token after a 401
		default:
			if refused.IsZero() {
				refused = start
			}
			if !k.worked || time.Since(refused) >= grace {
				return &refusal{k.what, err}
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return nil
}

// errEmpty is the error of a watch that ended at once and brought nothing. client-go makes one of a connection that breaks before the
// answer, or is not answered in time (Request.Watch in rest/request.go).
var errEmpty = fmt.Errorf("the watch ended at once: %w", io.ErrUnexpectedEOF)

// once makes a list when it takes one, and watches until the watch ends. worked tells whether the watch lasted a while or
// brought something. The error is that of a request, or errEmpty; a watch that worked and ended is none.
func (k *kind) once(ctx context.Context) (worked bool, err error) {
	if k.version == "" {
		if err := k.relist(ctx); err != nil {
			return false, err
		}
	}
	seconds := int64(lifetime / time.Second)
	o := k.options
	o.ResourceVersion, o.AllowWatchBookmarks, o.TimeoutSeconds = k.version, true, &seconds
	w, err := k.watch(ctx, o)
	if err != nil {
		return false, err
	}
	defer w.Stop()
	lasted := time.NewTimer(steady)
	defer lasted.Stop()
	for {
		select {
		case e, ok := <-w.ResultChan():
			switch {
			case !ok && worked:
				return true, nil
			case !ok:
				return false, errEmpty
			case e.Type == watch.Error:
				// Expired, or not readable: either way the version is of no use any more, and the list tells more.
				k.version = ""
				return worked, nil
			}
			worked = true
			k.works()
			if m, err := meta.Accessor(e.Object); err == nil {
				k.version = m.GetResourceVersion()
			}
			if e.Type != watch.Bookmark {
				k.seen(ctx, e.Object, e.Type == watch.Deleted)
			}
		case <-lasted.C:
			worked = true
			k.works()
		case <-ctx.Done():
			return worked, nil
		}
	}
}

// works notes an answer to a watch.
func (k *kind) works() {
	k.worked = true
	k.health.Answered()
}

// relist tells what is there now, and what is not any more.
func (k *kind) relist(ctx context.Context) error {
	o := k.options
	o.Limit = k.page
	if !k.began {
		// Any state will do for a start, the watch goes on from it: the API server answers from its cache.
		o.ResourceVersion = "0"
	}
	there := map[types.UID]bool{}
	var all []runtime.Object
	// A list has the order of names; attempts are numbered in the order in which they were created.
	tell := func() {
		slices.SortStableFunc(all, func(a, b runtime.Object) int {
			return a.(metav1.Object).GetCreationTimestamp().Compare(b.(metav1.Object).GetCreationTimestamp().Time)
		})
		for _, object := range all {
			k.seen(ctx, object, false)
		}
		all = nil
	}
	for more := true; more; {
		list, err := k.list(ctx, o)
		if err != nil {
			return err
		}
		objects, err := meta.ExtractListWithAlloc(list)
		if err != nil {
			return err
		}
		for _, object := range objects {
			m := object.(metav1.Object)
			m.SetManagedFields(nil) // a large part of it
			there[m.GetUID()] = true
		}
		l := list.(metav1.ListInterface)
		if more = l.GetContinue() != ""; !more {
			k.version = l.GetResourceVersion()
		}
		o.Continue, o.ResourceVersion = l.GetContinue(), ""
		if all = append(all, objects...); k.known == nil { // else all are held anyway
			tell()
		}
	}
	// Ours is told to be gone before another of its name is told to be there.
	k.missed(ctx, there)
	tell()
	k.began = true
	if k.listed != nil {
		k.listed()
	}
	return nil
}

// missed tells the deletion of what was known and is not there any more.
func (k *kind) missed(ctx context.Context, there map[types.UID]bool) {
	for uid, last := range k.known {
		if last != nil && !there[uid] {
			k.known[uid] = nil
			k.tell(ctx, last, true)
		}
	}
}

// seen tells a state, unless it was told before or the object is gone.
func (k *kind) seen(ctx context.Context, object runtime.Object, gone bool) {
	m, err := meta.Accessor(object)
	if err != nil {
		return
	}
	if k.known != nil {
		last, known := k.known[m.GetUID()]
		if known && last == nil {
			return
		}
		if known && !gone && last.(metav1.Object).GetResourceVersion() == m.GetResourceVersion() {
			return
		}
		m.SetManagedFields(nil)
		if k.known[m.GetUID()] = object; gone {
			k.known[m.GetUID()] = nil
		}
	}
	k.tell(ctx, object, gone)
}
