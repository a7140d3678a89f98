package run

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// runner does to the cluster what a run takes. It works beside the loop, one step at a time, and leaves what it did in the inbox.
type runner struct {
	client  *cluster.Client
	objects Objects
	options Options
	*inbox
	lock    *lock        // nil without one
	lose    func(error)  // called when the lock is lost
	lost    chan error   // why, for the loop
	created *batchv1.Job // the Job as its creation answered; nil before
	unknown bool         // whether the Job was created
	stop    func() bool  // keeps a signal from deleting the Job, see disarm
	deleted chan error   // how the deletion that a signal began went
}

// newRunner makes a runner, whose client leaves in the inbox what it meets.
func newRunner(client *cluster.Client, objects Objects, o Options) *runner {
	r := &runner{client: client, objects: objects, options: o, inbox: newInbox(), lost: make(chan error, 1), deleted: make(chan error, 1)}
	client.Health.Tell = func(c event.Connection) { r.post(c) }
	client.OnWarning = func(text string) {
		r.post(event.Notice{Level: event.Warning, Key: text, Message: "the API server warns: " + text})
	}
	return r
}

// create makes everything. When it fails with created set, the Job has to go again.
func (r *runner) create(ctx context.Context) error {
	making, end := context.WithCancelCause(ctx)
	defer end(nil)
	r.lose = func(err error) {
		end(err)
		r.lost <- err
	}
	if err := r.prepare(making, r.objects.Job.Namespace); err != nil {
		return err
	}
	err := r.createJob(making)
	if r.created == nil {
		return err
	}
	// From here on a signal deletes the Job at once, even while the terminal takes no output.
	r.stop = context.AfterFunc(ctx, func() { r.deleted <- r.deleteOnCancel(ctx) })
	r.post(event.Object{Object: r.ref(), Action: "created", UID: string(r.created.UID)})
	if err != nil {
		return err
	}
	return r.createOwned(making)
}

// disarm keeps a signal from deleting the Job from now on. It is false when one has come: its deletion is on its way then.
func (r *runner) disarm(ctx context.Context) bool {
	if !r.stop() {
		return false
	}
	if ctx.Err() != nil { // a context is done a moment before its functions run, and this one does not any more
		go func() { r.deleted <- r.deleteOnCancel(ctx) }()
		return false
	}
	return true
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
			r.post(n)
		}
		if err != nil {
			return err
		}
	}
	if r.options.Lock.Name != "" {
		if err := r.takeLock(ctx); err != nil {
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
		if err := r.rehearse(ctx, nil); err != nil && !r.mayHeal(err) {
			return err
		}
	}
	if r.objects.CreateNamespace {
		if err := r.ensureNamespace(ctx); err != nil {
			return err
		}
	}
	for _, obj := range r.objects.Apply {
		if err := r.apply(ctx, obj, false); err != nil {
			return err
		}
		r.post(event.Object{Object: applied(obj), Action: "applied", Detail: "it stays"})
	}
	return nil
}

func (r *runner) ensureNamespace(ctx context.Context) error {
	created, err := r.client.EnsureNamespace(ctx, r.objects.Job)
	if created {
		r.post(event.Object{Object: event.Ref{Kind: "Namespace", Name: r.objects.Job.Namespace}, Action: "created", Detail: "it stays"})
	}
	return err
}

// needs are the permissions of the whole run. The error is that of a cluster which does not tell what it takes.
func (r *runner) needs(ctx context.Context) ([]cluster.Access, error) {
	verbs := []string{"create", "get", "delete"}
	if r.options.Wait {
		verbs = append(verbs, "list", "watch")
	}
	needs := []cluster.Access{{Group: batchv1.GroupName, Resource: "jobs", Verbs: verbs}}
	if !r.options.Wait && r.options.IfExists != IfExistsFail {
		needs = append(needs, cluster.Access{Group: batchv1.GroupName, Resource: "jobs", Verbs: []string{"watch"}, Optional: true})
	}
	if r.options.Wait {
		needs = append(needs,
			cluster.Access{Resource: "pods", Verbs: []string{"list", "watch"}},
			cluster.Access{Resource: "events", Verbs: []string{"list", "watch"}, Optional: true})
		if r.options.Logs != LogsNone {
			needs = append(needs, cluster.Access{Resource: "pods/log", Verbs: []string{"get"}})
		}
	}
	if lock := r.options.Lock.Name; lock != "" {
		needs = append(needs,
			cluster.Access{Group: coordinationv1.GroupName, Resource: "leases", Verbs: []string{"create"}},
			cluster.Access{Group: coordinationv1.GroupName, Resource: "leases", Verbs: []string{"get", "update"}, Name: lock},
			// What the run before has left is waited for.
			cluster.Access{Group: batchv1.GroupName, Resource: "jobs", Verbs: []string{"get"}},
			cluster.Access{Resource: "pods", Verbs: []string{"list"}})
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
			_, err := r.client.Namespaces().Get(ctx, name, metav1.GetOptions{})
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

// createJob makes the Job, after it made room for it as IfExists says.
func (r *runner) createJob(ctx context.Context) error {
	for {
		if len(r.objects.Owned) > 0 {
			if err := r.makeRoom(ctx); err != nil {
				return err
			}
			if err := r.renewOwned(ctx); err != nil {
				return err
			}
		}
		job, err := r.client.CreateJob(ctx, r.objects.Job)
		if err == nil {
			r.created = job
			return nil
		}
		if ctx.Err() != nil {
			r.findUnanswered()
			return err
		}
		if !apierrors.IsAlreadyExists(err) {
			return r.placed(r.ref(), err)
		}
		if err := r.makeRoom(ctx); err != nil {
			return err
		}
	}
}

// findUnanswered looks for the Job of a create whose answer was not awaited. It may have arrived, or be on its way still.
func (r *runner) findUnanswered() {
	ctx, cancel := context.WithTimeout(context.Background(), deleteLimit)
	defer cancel()
	want := r.objects.Job
	for {
		found, err := r.client.Jobs(want.Namespace).Get(ctx, want.Name, metav1.GetOptions{})
		if err == nil {
			if found.Annotations[cluster.NonceAnnotation] == want.Annotations[cluster.NonceAnnotation] {
				r.created = found
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
	r.post(event.Object{Object: ref, Action: "replaced", Detail: "the old one: " + state(old)})
	if limit := r.options.Verdict.StartTimeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, &event.Cause{Reason: event.StartTimeout, Object: ref,
			Message: fmt.Sprintf("%s was deleted to make room, but is still there after %s", ref, event.Seconds(limit)),
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
	w, err := r.client.Jobs(old.Namespace).Watch(ctx, metav1.ListOptions{
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
func allowed(ifExists IfExists, ref event.Ref, old *batchv1.Job) error {
	cause := &event.Cause{Reason: event.InvalidInput, Object: ref}
	switch {
	case ifExists == IfExistsReplace:
		return nil
	case ifExists == IfExistsFail:
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
	spec := r.created.Spec
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
		UID:        string(r.created.UID),
		Cluster:    r.client.Server,
		Context:    r.client.Context,
		Pods:       pods,
		Indexed:    spec.CompletionMode != nil && *spec.CompletionMode == batchv1.IndexedCompletion,
		Containers: containers,
		CreatedAt:  r.created.CreationTimestamp.Time,
	}
}

func (r *runner) ref() event.Ref {
	return event.Ref{Kind: "Job", Namespace: r.objects.Job.Namespace, Name: r.objects.Job.Name}
}
