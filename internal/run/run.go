// Package run takes one rendered Job through its life: it creates the Job and what belongs to it, follows it to the Job's own
// verdict, reads the logs to their end, and cleans up. It is the only package that changes anything in the cluster.
package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/verdict"
)

// Sink takes the news of a run, one event at a time, in the order in which they happened. An error means that the user can
// no longer be told anything; the run then ends as if it had been cancelled.
type Sink interface {
	Event(event.Event) error
}

// Objects are what a run creates, in the order of creation.
type Objects struct {
	CreateNamespace bool                         // create the Job's namespace when it is missing
	Apply           []*unstructured.Unstructured // the user's own objects: applied, and never deleted
	Job             *batchv1.Job
	Owned           []runtime.Object // *corev1.Secret and *corev1.ConfigMap that live and die with the Job
}

// Options are the decisions of the user about a run. The words are those of the options of the same names.
type Options struct {
	Preflight     bool
	Wait          bool
	IfExists      string // replace-finished, replace, fail
	Cleanup       string // auto, always, on-success, never
	ManifestTTL   bool   // the manifest itself has a ttlSecondsAfterFinished
	OnCancel      string // delete, leave
	OnTimeout     string // delete, leave
	Logs          string // stream, on-failure, none
	LogContainers []string
	APITimeout    time.Duration
	Verdict       verdict.Options
}

// How long the steps at the end of a run may take. A CI runner kills a cancelled step 10 s after its first signal
// (actions/runner, ProcessInvoker.cs: 7.5 s to SIGTERM, 2.5 s more to SIGKILL), so what a cancelled run still does fits into that.
const (
	deleteLimit      = 5 * time.Second
	explainLimit     = time.Second
	drainLimit       = 30 * time.Second
	drainCancelLimit = 2 * time.Second
)

// heartbeat is how long nothing may be said before the state of the Job is.
const heartbeat = 30 * time.Second

// settle is how long changes of pods are gathered before they are judged together; changes of the Job are judged at once.
const settle = 50 * time.Millisecond

// Run creates the objects and follows the Job to its end. How it ended, refusals of the cluster included, is in the
// answer, which is also the last event that the sink gets. The error is the sink's alone.
// Cancelling ctx deletes the Job (see Options.OnCancel) and ends the run within seconds.
func Run(ctx context.Context, client *cluster.Client, objects Objects, o Options, sink Sink) (event.Finished, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &runner{client: client, objects: objects, options: o, sink: sink, abort: cancel, said: map[string]bool{}}
	client.OnConnection = r.connection
	client.OnWarning = func(text string) {
		r.emit(event.Notice{Level: event.Warning, Key: text, Message: "the API server warns: " + text})
	}
	finished := r.run(ctx)
	finished.Undeleted = r.undeleted
	r.emit(finished)
	return finished, r.broken
}

type runner struct {
	client  *cluster.Client
	objects Objects
	options Options
	abort   context.CancelFunc
	job     *batchv1.Job // as its creation answered
	unknown bool         // whether the Job was created

	undeleted bool // the Job may still run, and could not be deleted

	mu       sync.Mutex // serialises the sink: retries during creation report from other goroutines
	sink     Sink
	broken   error // the sink's first error
	lastSaid time.Time
	said     map[string]bool // keys of the notices that were sent
	outage   time.Time       // since when the API server has not answered; zero when it does
}

// emit hands one event to the sink.
func (r *runner) emit(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n, ok := e.(event.Notice); ok && n.Key != "" {
		if r.said[n.Key] {
			return
		}
		r.said[n.Key] = true
	}
	r.lastSaid = time.Now()
	if err := r.sink.Event(e); err != nil && r.broken == nil {
		r.broken = err
		r.abort()
	}
}

// connection reports an outage of the API server once, and its end once, whoever noticed it.
func (r *runner) connection(c event.Connection) {
	r.mu.Lock()
	since := r.outage
	if c.Err == nil {
		r.outage = time.Time{}
	} else if since.IsZero() {
		r.outage = c.Since
	}
	r.mu.Unlock()
	switch {
	case c.Err != nil && since.IsZero():
		r.emit(event.Notice{Level: event.Info, Message: fmt.Sprintf("the API server does not answer (%v); trying again for up to %s", c.Err, r.options.APITimeout)})
	case c.Err == nil && !since.IsZero():
		r.emit(event.Notice{Level: event.Info, Message: "the API server answers again after " + event.Seconds(time.Since(since))})
	}
}

// saidLast is when the user was last told something.
func (r *runner) saidLast() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastSaid
}

// silentSince is when the API server's outage began; zero without one.
func (r *runner) silentSince() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outage
}

func (r *runner) run(ctx context.Context) event.Finished {
	namespace := r.objects.Job.Namespace
	if err := r.prepare(ctx, namespace); err != nil {
		return r.refused(ctx, err)
	}
	job, err := r.create(ctx)
	if err == nil {
		r.job = job
	}
	if r.job == nil {
		return r.refused(ctx, err)
	}
	// From here on a signal deletes the Job at once, even while the terminal takes no output.
	deleted := make(chan error, 1)
	disarm := context.AfterFunc(ctx, func() { deleted <- r.deleteOnCancel(ctx) })
	r.emit(event.Object{Object: r.ref(), Action: "created", UID: string(r.job.UID)})
	if err == nil {
		err = r.createOwned(ctx)
	}
	if err != nil {
		if !disarm() {
			return r.cancelled(<-deleted)
		}
		r.cleanUp(r.delete(ctx), "the run could not be completed")
		return r.refused(ctx, err)
	}
	r.emit(r.started())
	if !r.options.Wait {
		if !disarm() {
			return r.cancelled(<-deleted)
		}
		return event.Finished{Outcome: event.Created, Job: r.ref(), UID: string(r.job.UID)}
	}
	l := newLoop(r)
	state, decision := l.follow(ctx)
	result := verdict.Result(state, decision)
	result.Tail = l.tail(decision)
	switch cancelled := !disarm(); {
	case cancelled && !decision.Decided:
		end := r.cancelled(<-deleted)
		result.Outcome, result.Cause = end.Outcome, end.Cause
	case cancelled:
		<-deleted
	default:
		r.finishJob(ctx, state, decision)
	}
	return result
}

// prepare makes what pods cannot be made without.
func (r *runner) prepare(ctx context.Context, namespace string) error {
	if r.options.Preflight {
		needs, err := r.needs(ctx)
		if err != nil {
			return err
		}
		notices, err := r.client.Preflight(ctx, namespace, needs)
		for _, n := range notices {
			r.emit(n)
		}
		if err != nil {
			return err
		}
	}
	// A run that is refused must not have changed the user's objects, which the Job of another run may be using.
	if len(r.objects.Apply) > 0 {
		switch old, err := r.look(ctx); {
		case apierrors.IsForbidden(err): // what is applied may grant it
		case err != nil:
			return err
		case old != nil:
			if err := allowed(r.options.IfExists, r.ref(), old); err != nil {
				return err
			}
		}
	}
	if r.objects.CreateNamespace {
		created, err := r.client.EnsureNamespace(ctx, r.objects.Job)
		if err != nil {
			return err
		}
		if created {
			r.emit(event.Object{Object: event.Ref{Kind: "Namespace", Name: namespace}, Action: "created", Detail: "it stays"})
		}
	}
	for _, obj := range r.objects.Apply {
		if err := r.client.Apply(ctx, obj, false); err != nil {
			return err
		}
		r.emit(event.Object{Object: event.Ref{Kind: obj.GetKind(), Namespace: obj.GetNamespace(), Name: obj.GetName()}, Action: "applied", Detail: "it stays"})
	}
	return nil
}

// needs are the permissions of the whole run. The error is that of a cluster which does not tell what it takes.
func (r *runner) needs(ctx context.Context) ([]cluster.Access, error) {
	verbs := []string{"create", "get", "delete"}
	if r.options.Wait {
		verbs = append(verbs, "list", "watch")
	}
	needs := []cluster.Access{{Group: batchv1.GroupName, Resource: "jobs", Verbs: verbs}}
	if !r.options.Wait && r.options.IfExists != "fail" {
		needs = append(needs, cluster.Access{Group: batchv1.GroupName, Resource: "jobs", Verbs: []string{"watch"}, Optional: true})
	}
	if r.options.Wait {
		needs = append(needs,
			cluster.Access{Resource: "pods", Verbs: []string{"list", "watch"}},
			cluster.Access{Resource: "events", Verbs: []string{"list", "watch"}, Optional: true})
		if r.options.Logs != "none" {
			needs = append(needs, cluster.Access{Resource: "pods/log", Verbs: []string{"get"}})
		}
	}
	owned := map[string]bool{}
	for _, o := range r.objects.Owned {
		resource := "configmaps"
		if _, secret := o.(*corev1.Secret); secret {
			resource = "secrets"
		}
		if !owned[resource] {
			owned[resource] = true
			// One of the same name is read, and written when it can be shared.
			needs = append(needs, cluster.Access{Resource: resource, Verbs: []string{"create", "get", "update"}})
		}
	}
	for _, obj := range r.objects.Apply {
		access, err := r.client.AccessToApply(ctx, obj)
		if err != nil {
			return nil, err
		}
		if access.Verbs != nil {
			needs = append(needs, access)
		}
	}
	if name := r.objects.Job.Namespace; r.objects.CreateNamespace {
		err := r.client.Do(ctx, "look at Namespace "+name, func(ctx context.Context) error {
			_, err := r.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
			return err
		})
		switch {
		case apierrors.IsNotFound(err):
			needs = append(needs, cluster.Access{Resource: "namespaces", Verbs: []string{"create"}, ClusterWide: true})
		case err != nil && !apierrors.IsForbidden(err): // who may not look at it may still work in it
			return nil, err
		}
	}
	return needs, nil
}

// create makes the Job, after it made room for it as IfExists says.
func (r *runner) create(ctx context.Context) (*batchv1.Job, error) {
	for {
		if len(r.objects.Owned) > 0 {
			if err := r.makeRoom(ctx); err != nil {
				return nil, err
			}
			if err := r.renewOwned(ctx); err != nil {
				return nil, err
			}
		}
		job, err := r.client.CreateJob(ctx, r.objects.Job)
		if err == nil {
			return job, nil
		}
		if ctx.Err() != nil {
			r.findUnanswered()
			return nil, err
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, err
		}
		if err := r.makeRoom(ctx); err != nil {
			return nil, err
		}
	}
}

// findUnanswered looks for the Job of a create whose answer was not awaited. It may have arrived, or be on its way still.
func (r *runner) findUnanswered() {
	ctx, cancel := context.WithTimeout(context.Background(), deleteLimit)
	defer cancel()
	want := r.objects.Job
	for {
		found, err := r.client.BatchV1().Jobs(want.Namespace).Get(ctx, want.Name, metav1.GetOptions{})
		if err == nil {
			if found.Annotations[cluster.NonceAnnotation] == want.Annotations[cluster.NonceAnnotation] {
				r.job = found
			}
			r.unknown = false
			return
		}
		if ctx.Err() == nil {
			r.unknown = !apierrors.IsNotFound(err)
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return
		}
	}
}

// look reads the Job that has the name; nil when there is none.
func (r *runner) look(ctx context.Context) (*batchv1.Job, error) { return look(ctx, r.client, r.ref()) }

// makeRoom removes the Job that has the name, when the user allows it, and waits until it and its pods are gone: two
// migrations must never run at the same time. Another run may have taken the name by then.
func (r *runner) makeRoom(ctx context.Context) error {
	ref := r.ref()
	old, err := r.look(ctx)
	if old == nil || err != nil {
		return err
	}
	if err := allowed(r.options.IfExists, ref, old); err != nil {
		return err
	}
	err = remove(ctx, r.client, ref, old.UID, metav1.DeletePropagationForeground)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err): // it is gone already, or its name is another Job's
		return nil
	case err != nil:
		return err
	}
	r.emit(event.Object{Object: ref, Action: "replaced", Detail: "the old one: " + state(old)})
	if limit := r.options.Verdict.StartTimeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, &event.Cause{Reason: event.StartTimeout, Object: ref,
			Message: fmt.Sprintf("%s was deleted to make room, but is still there after %s", ref, limit),
			Hint:    fmt.Sprintf("Its pods do not end: kubectl -n %s get pods -l job-name=%s", ref.Namespace, ref.Name)})
		defer cancel()
	}
	for deleted := old.UID; ; {
		if err := r.awaitDeletion(ctx, old); err != nil {
			return err
		}
		if old, err = r.look(ctx); err != nil || old == nil || old.UID != deleted {
			return err
		}
	}
}

// lookAgain is the pause between two looks at an object that cannot be watched.
const lookAgain = 500 * time.Millisecond

// awaitDeletion returns when a watch on the object said that it is gone, or a while after the watch ended or was refused.
func (r *runner) awaitDeletion(ctx context.Context, old *batchv1.Job) error {
	var changes <-chan watch.Event
	var pause <-chan time.Time
	w, err := r.client.BatchV1().Jobs(old.Namespace).Watch(ctx, metav1.ListOptions{
		FieldSelector: "metadata.name=" + old.Name, ResourceVersion: old.ResourceVersion})
	if err == nil {
		defer w.Stop()
		changes = w.ResultChan()
	} else {
		pause = time.After(lookAgain)
	}
	for {
		select {
		case e, ok := <-changes:
			switch {
			case e.Type == watch.Deleted:
				return nil
			case !ok || e.Type == watch.Error:
				changes, pause = nil, time.After(lookAgain)
			}
		case <-pause:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// allowed tells whether the old Job may be replaced.
func allowed(ifExists string, ref event.Ref, old *batchv1.Job) error {
	cause := &event.Cause{Reason: event.InvalidInput, Object: ref}
	switch {
	case ifExists == "replace":
		return nil
	case ifExists == "fail":
		cause.Message = fmt.Sprintf("%s exists already (%s)", ref, state(old))
		cause.Hint = "Give each run, and each job of a matrix, a name of its own with name-suffix, or say if-exists: replace-finished."
	case finished(old):
		return nil
	default:
		cause.Message = fmt.Sprintf("%s exists already and is still running", ref)
		cause.Hint = fmt.Sprintf("Wait for it (kubectl -n %s wait --for=condition=Complete job/%s), say if-exists: replace to end it, or give each run, and each job of a matrix, a name of its own with name-suffix.", ref.Namespace, ref.Name)
	}
	return cause
}

func finished(j *batchv1.Job) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
		return (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue
	})
}

// state is "succeeded", "failed" or "running", for sentences about an old Job.
func state(j *batchv1.Job) string {
	for _, c := range j.Status.Conditions {
		switch {
		case c.Status != corev1.ConditionTrue:
		case c.Type == batchv1.JobComplete:
			return "succeeded"
		case c.Type == batchv1.JobFailed:
			return "failed"
		}
	}
	return "running"
}

// started describes the Job that is followed from now on.
func (r *runner) started() event.Started {
	spec := r.job.Spec
	pods := 1
	if spec.Parallelism != nil {
		pods = int(*spec.Parallelism)
	}
	if spec.Completions != nil {
		pods = int(*spec.Completions)
	}
	containers := len(spec.Template.Spec.Containers) + len(spec.Template.Spec.InitContainers)
	return event.Started{
		Job:        r.ref(),
		UID:        string(r.job.UID),
		Cluster:    r.client.Server,
		Context:    r.client.Context,
		Pods:       pods,
		Indexed:    spec.CompletionMode != nil && *spec.CompletionMode == batchv1.IndexedCompletion,
		Containers: containers,
		CreatedAt:  r.job.CreationTimestamp.Time,
	}
}

func (r *runner) ref() event.Ref {
	return event.Ref{Kind: "Job", Namespace: r.objects.Job.Namespace, Name: r.objects.Job.Name}
}

// refused is the end of a run whose Job was not created, or was deleted again because it could not be completed.
func (r *runner) refused(ctx context.Context, err error) event.Finished {
	if ctx.Err() != nil {
		return r.cancelled(nil)
	}
	f := event.Finished{Outcome: event.Failed, Job: r.ref()}
	if !errors.As(err, &f.Cause) {
		f.Cause = cluster.Cause(err, "run "+r.ref().String())
	}
	return f
}

// cancelled is the end of a run that was told to stop. deletion is how the deletion of its Job went.
func (r *runner) cancelled(deletion error) event.Finished {
	f := event.Finished{Outcome: event.Cancelled, Job: r.ref(), Cause: &event.Cause{
		Reason: event.ReasonCancelled, Object: r.ref(), Message: "the run was cancelled"}}
	switch {
	case r.unknown:
		f.Cause.Message += "; whether " + r.ref().String() + " was created is not known"
		f.Cause.Hint = fmt.Sprintf("kubectl -n %s get job %s", r.ref().Namespace, r.ref().Name)
	case r.job == nil:
		f.Cause.Message += " before the Job was created"
	case r.options.OnCancel == "leave":
		f.Cause.Message += "; " + r.ref().String() + " goes on, as on-cancel says"
	default:
		r.cleanUp(deletion, "the run was cancelled")
	}
	if r.job != nil {
		f.UID = string(r.job.UID)
	}
	return f
}

// finishJob does with the Job what the options say for its end.
func (r *runner) finishJob(ctx context.Context, s verdict.State, v verdict.Verdict) {
	if s.Gone || s.ReplacedBy != "" || v.Outcome == event.Vanished {
		return
	}
	if v.DeleteJob {
		if r.options.OnTimeout == "delete" {
			r.cleanUp(r.delete(ctx), "this run ended before it did")
		} else {
			r.emit(event.Object{Object: r.ref(), Action: "kept", Detail: "it goes on, as on-timeout says"})
		}
		return
	}
	succeeded := v.Outcome == event.Succeeded
	if v.Outcome != event.Succeeded && v.Outcome != event.Failed || v.Cause != nil && v.Cause.Reason == event.APIUnreachable {
		return
	}
	switch o := r.options; {
	case o.Cleanup == "always", succeeded && o.Cleanup == "on-success", succeeded && o.Cleanup == "auto" && !o.ManifestTTL:
		r.cleanUp(r.delete(ctx), "")
	default:
		detail := "it stays"
		if ttl := r.objects.Job.Spec.TTLSecondsAfterFinished; ttl != nil {
			detail = "the cluster deletes it in " + event.Seconds(time.Duration(*ttl)*time.Second)
		}
		r.emit(event.Object{Object: r.ref(), Action: "kept", Detail: detail})
	}
}

// deleteOnCancel does with the Job what the options say for a run that was told to stop.
func (r *runner) deleteOnCancel(ctx context.Context) error {
	if r.options.OnCancel == "leave" {
		return nil
	}
	return r.delete(ctx)
}

// delete deletes the Job, and with it all that it owns. It does not wait for the pods to end. An outage of the API server is
// waited for, but no longer than deleteLimit once ctx is done.
func (r *runner) delete(ctx context.Context) error {
	deleting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(deleteLimit, func() {
			cancel(&event.Cause{Reason: event.APIUnreachable, Object: r.ref(), Message: "the API server did not answer within " + event.Seconds(deleteLimit)})
		})
	})()
	err := remove(deleting, r.client, r.ref(), r.job.UID, metav1.DeletePropagationBackground)
	// Another UID under the name is somebody else's Job: ours is gone.
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// cleanUp tells how the deletion of the Job went.
func (r *runner) cleanUp(err error, why string) {
	if err == nil {
		r.emit(event.Object{Object: r.ref(), Action: "deleted", Detail: why})
		return
	}
	r.undeleted = why != "" // else the Job has ended, and does no harm
	r.emit(event.Notice{Level: event.Warning,
		Message: fmt.Sprintf("%s could not be deleted: %v", r.ref(), err),
		Hint:    fmt.Sprintf("kubectl -n %s delete job %s", r.job.Namespace, r.job.Name)})
}
