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
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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
	lock     *lock         // nil without one
	lose     func(error)   // called when the lock is lost
	lost     chan error    // why, for the loop
	created  *batchv1.Job  // the Job as its creation answered, or the one of another run that was joined; nil before
	joined   bool          // another run has created it
	reported bool          // it has succeeded already, and nothing is done with it
	held     *batchv1.Job  // the Job as its deletion left it, when finalizers hold it
	unknown  bool          // whether the Job was created
	searched time.Duration // how long it took to find that out
	leaves   bool          // a signal leaves the Job alone: on-cancel says so, and its helpers are there
	stop     func() bool   // keeps a signal from deleting the Job, see disarm
	deleted  chan error    // how the deletion that a signal began went
}

// newRunner makes a runner, whose client leaves in the inbox what it meets.
func newRunner(client *cluster.Client, objects Objects, o Options) *runner {
	r := &runner{client: client, objects: objects, options: o, inbox: newInbox(), lost: make(chan error, 1), deleted: make(chan error, 1)}
	client.Health.Tell = func(c event.Connection) { r.post(c) }
	client.OnWarning = func(text string) {
		r.post(event.Notice{Level: event.Warning, Key: text, Message: "the API server warns: " + text})
	}
	client.OnSecret = func(s event.Secret) { r.post(s) }
	client.HearPlugin(func(program, line string) {
		r.post(event.Notice{Level: event.Info, Key: program + ": " + line, Message: fmt.Sprintf("the credential plugin %s says: %s", program, line)})
	})
	return r
}

// create makes everything. When it fails with created set, the Job has to go again. ctx ends with a signal, inTime with timeout too.
func (r *runner) create(ctx, inTime context.Context) error {
	making, end := context.WithCancelCause(inTime)
	defer end(nil)
	r.lose = func(err error) {
		end(err)
		r.lost <- err
	}
	if err := r.prepare(making, r.objects.Job.Namespace); err != nil {
		return err
	}
	var err error
	if r.created == nil {
		err = untilSettled(making, r.unsettled, func() error { return r.createJob(making) })
	}
	if r.created == nil || r.reported {
		return err
	}
	r.leaves = r.options.OnCancel == UnfinishedLeave && (r.joined || len(r.objects.Owned) == 0)
	// From here on a signal deletes the Job at once, even while the terminal takes no output.
	r.stop = context.AfterFunc(ctx, func() { r.deleted <- r.deleteOnCancel(ctx) })
	news := event.Object{Object: r.ref(), Action: "created", UID: string(r.created.UID)}
	if r.joined {
		news.Action, news.Detail = "attached", "it is running"+whose(r.created)
		if _, over := decided(r.created); over {
			news.Detail = "it has succeeded, and its last pods are ending" + whose(r.created)
		}
	}
	r.post(news)
	if err != nil {
		return err
	}
	if err := r.createOwned(making); err != nil {
		return err
	}
	// Without its helpers our own Job could only wait for them, so that nothing is left alone before they are there.
	if r.options.OnCancel == UnfinishedLeave && r.stop() {
		r.leaves = true
		r.stop = context.AfterFunc(ctx, func() { r.deleted <- r.deleteOnCancel(ctx) })
	}
	return nil
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
	applies := len(r.objects.Apply) > 0 || len(r.objects.After) > 0
	if applies || r.options.IfExists.Joins() {
		if _, _, err := r.survey(ctx); r.created != nil || err != nil && !r.mayHeal(err, r.objects.Apply, false) {
			return err
		}
	}
	if applies {
		if _, err := r.rehearse(ctx, r.objects.Apply, r.objects.After); err != nil {
			return err
		}
	}
	if r.objects.CreateNamespace {
		if err := r.ensureNamespace(ctx); err != nil {
			return err
		}
	}
	for _, obj := range r.objects.Apply {
		lags := func(err error) bool {
			return (meta.IsNoMatchError(err) || apierrors.IsNotFound(err)) && defines(r.objects.Apply, obj)
		}
		if err := untilSettled(ctx, lags, func() error { return r.apply(ctx, obj, false) }); err != nil {
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
	job, oneTime := r.objects.Job.Name, r.objects.OneTime
	if r.options.IfExists == IfExistsSuffix { // it may get any name
		job, oneTime = "", true
	}
	verbs := []string{"get", "delete"}
	if r.options.Wait {
		verbs = append(verbs, "list", "watch") // with a field selector of the name, which RBAC takes for it
	}
	needs := []cluster.Access{{Group: batchv1.GroupName, Resource: "jobs", Verbs: []string{"create"}},
		{Group: batchv1.GroupName, Resource: "jobs", Verbs: verbs, Name: job, OneTime: oneTime}}
	if !r.options.Wait { // those of an earlier Job of the name
		needs = append(needs, cluster.Access{Resource: "pods", Verbs: []string{"list"}})
	}
	if !r.options.Wait && r.options.IfExists != IfExistsFail {
		needs = append(needs, cluster.Access{Group: batchv1.GroupName, Resource: "jobs", Verbs: []string{"watch"}, Name: job, OneTime: oneTime, Optional: true})
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
			cluster.Access{Group: batchv1.GroupName, Resource: "jobs", Verbs: []string{"get"}}) // the run before may have had another name
	}
	created := map[string]bool{}
	for _, o := range r.objects.Owned {
		resource := "configmaps"
		if _, secret := o.(*corev1.Secret); secret {
			resource = "secrets"
		}
		if !created[resource] {
			created[resource] = true
			needs = append(needs, cluster.Access{Resource: resource, Verbs: []string{"create"}})
		}
		// One that an earlier Job has left behind is read and changed. A Secret has the Job's name in its own, so when that
		// is new each time, none can be there.
		switch name := o.(metav1.Object).GetName(); {
		case resource == "configmaps" || !oneTime:
			needs = append(needs, cluster.Access{Resource: resource, Verbs: []string{"get", "patch"}, Name: name})
		case r.options.IfExists.Joins(): // it is compared
			needs = append(needs, cluster.Access{Resource: resource, Verbs: []string{"get"}, Name: name, OneTime: true})
		}
	}
	for _, obj := range slices.Concat(r.objects.Apply, r.objects.After) {
		access, err := r.client.AccessToApply(ctx, obj)
		if err != nil {
			return nil, err
		}
		if access.Verbs != nil {
			if r.options.IfExists.Joins() && asSecret(obj) != nil { // it is compared
				access.Verbs = append(access.Verbs, "get")
			}
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
			needs = append(needs, cluster.Access{Resource: "namespaces", Verbs: []string{"create"}, ClusterWide: true, Manifest: true})
		case err != nil && !apierrors.IsForbidden(err): // who may not look at it may still work in it
			return nil, err
		}
	}
	return needs, nil
}

// createJob makes the Job, after it made room for it as IfExists says.
func (r *runner) createJob(ctx context.Context) error {
	for held := false; ; {
		if held || len(r.objects.Owned) > 0 {
			if err := r.makeRoom(ctx, false, held); err != nil || r.created != nil {
				return err
			}
		}
		// A name is free when no Job has it, which only the create itself can say, and nothing works any more of those that had it.
		pods, err := working(ctx, r.client, r.ref())
		if err != nil {
			return err
		}
		if held = len(pods) > 0; held && r.options.IfExists == IfExistsSuffix {
			held = false
			old, err := r.look(ctx)
			if err != nil {
				return err
			}
			why := "is gone, and its pods have not ended (" + podNames(pods) + ")"
			if old != nil {
				why = existing(old)
			}
			if err := r.rename(ctx, why); err != nil {
				return err
			}
			continue
		}
		if held {
			continue
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
			return r.placed(r.objects.Job, r.ref(), err)
		}
		// The API server says that last, when it would take the Job otherwise.
		if err := r.makeRoom(ctx, true, false); err != nil || r.created != nil {
			return err
		}
	}
}

// findUnanswered looks for the Job of a create whose answer was not awaited. It may have arrived, or be on its way still.
func (r *runner) findUnanswered() {
	ctx, cancel := context.WithTimeout(context.Background(), deleteLimit)
	defer cancel()
	want := r.objects.Job
	begin := time.Now()
	defer func() { r.searched = time.Since(begin) }()
	r.unknown = true // as long as nobody answers
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

// survey looks at what has the names of the Job and its helpers, and changes nothing: the Job of that name, nil when there is none,
// and whether a helper is there with another content. It is an error when one of them must stay. When the Job is joined, nothing else
// matters; when it gets out of its way, another name is looked at.
func (r *runner) survey(ctx context.Context) (old *batchv1.Job, stale bool, err error) {
	if old, err = r.look(ctx); err != nil {
		return nil, false, err
	}
	var replaced types.UID
	if old != nil {
		a, err := r.answerTo(ctx, old)
		switch {
		case err != nil:
			return nil, false, err
		case a == follows, a == reports:
			return old, false, r.join(ctx, old, a)
		case a == renames:
			if err := r.rename(ctx, existing(old)); err != nil {
				return nil, false, err
			}
			return r.survey(ctx)
		}
		replaced = old.UID
	}
	stale, err = r.surveyOwned(ctx, replaced)
	return old, stale, err
}

// makeRoom removes the Job that has the name, waits for the pods of earlier ones when the name is held by some, and gives the helpers
// that these have left behind our content, when it may. Before it changes anything, it has the API server check whether it would take
// the new ones, unless that is accepted.
func (r *runner) makeRoom(ctx context.Context, accepted, held bool) error {
	old, stale, err := r.survey(ctx)
	if err != nil || r.created != nil || old == nil && !stale && !held {
		return err
	}
	if !accepted {
		if _, err := r.rehearse(ctx, nil, nil); err != nil {
			return err
		}
	}
	if err := r.replace(ctx, old); err != nil {
		return err
	}
	return r.renewOwned(ctx)
}

// replace waits until the old Job, nil for none, and the pods of all Jobs that had the name are gone: two migrations must never run at
// the same time. It deletes the Job, unless that is being deleted already; one whose outcome is decided may end first, unless it may be
// replaced at any time. Another run may have taken the name by then.
func (r *runner) replace(ctx context.Context, old *batchv1.Job) error {
	ref := r.ref()
	waiting := ctx
	tooLong := &event.Cause{Reason: event.StartTimeout, Object: ref, Hint: event.See("Its pods do not end", showPods(ref))}
	if limit := r.options.Verdict.StartTimeout; limit > 0 {
		tooLong.Message = fmt.Sprintf("%s has to go first, but is still there after %s", ref, event.Seconds(limit))
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeoutCause(ctx, limit, tooLong)
		defer cancel()
	}
	say := func(message string) {
		r.post(event.Notice{Level: event.Info, Key: "replace/" + message, Message: ref.String() + message})
	}
	begin, next := time.Now(), heldAfter
	removed := false
	for old != nil {
		uid := old.UID
		_, over := decided(old)
		switch {
		case removed:
		case old.DeletionTimestamp != nil:
			say(" is being deleted; waiting until it is gone" + whose(old))
		case over && !finished(old) && r.options.IfExists != IfExistsReplace:
			say(" is ending; waiting for its last pods" + whose(old))
		default:
			_, err := remove(ctx, r.client, ref, uid, metav1.DeletePropagationForeground)
			switch {
			case apierrors.IsNotFound(err): // its pods may be there
				return r.awaitPods(ctx, waiting, begin)
			case apierrors.IsConflict(err): // its name is another Job's
				return nil
			case err != nil:
				return err
			}
			removed = true
			r.post(event.Object{Object: ref, Action: "replaced", Detail: "the old one: " + state(old) + whose(old)})
		}
		err := r.awaitEnd(waiting, old, time.After(next-time.Since(begin)))
		if err != nil && timedOut(ctx) {
			return r.late(ctx, fmt.Sprintf("an earlier %s is still there", ref), showPods(ref))
		}
		if err != nil {
			return err
		}
		if old, err = r.look(waiting); err != nil || old != nil && old.UID != uid {
			return err
		}
		if waited := time.Since(begin); old != nil && waited >= next {
			if next == heldAfter {
				why, hint := r.holder(waiting, old)
				r.post(event.Notice{Level: event.Warning, Message: fmt.Sprintf("%s is still there after %s: %s", ref, event.Seconds(heldAfter), why), Hint: hint})
				tooLong.Message, tooLong.Hint = tooLong.Message+": "+why, hint
			} else {
				r.post(event.Notice{Level: event.Info, Message: fmt.Sprintf("%s is still there after %s", ref, event.Seconds(waited))})
			}
			next = waited + heartbeat
		}
	}
	return r.awaitPods(ctx, waiting, begin)
}

// awaitPods waits until nothing works any more of the Jobs that had the name: the Job's object goes at once when it is not deleted in the
// foreground, and its pods have their grace. It is over too when another run has taken the name. begin is when the wait began, which ends
// with waiting.
func (r *runner) awaitPods(ctx, waiting context.Context, begin time.Time) error {
	ref := r.ref()
	var said time.Time
	var names string
	for {
		pods, err := working(waiting, r.client, ref)
		var job *batchv1.Job
		if err == nil && len(pods) > 0 {
			names = podNames(pods)
			job, err = r.look(waiting)
		}
		switch {
		case err == nil && (len(pods) == 0 || job != nil):
			return nil
		case err == nil && said.IsZero():
			said = time.Now()
			r.post(event.Notice{Level: event.Info, Message: fmt.Sprintf("an earlier %s is gone, and its pods have not ended; waiting for %s", ref, names)})
		case err == nil && time.Since(said) >= heartbeat:
			said = time.Now()
			r.post(event.Notice{Level: event.Info, Message: fmt.Sprintf("still waiting, for %s now, for the pods of an earlier %s to end: %s", event.Seconds(time.Since(begin)), ref, names)})
		}
		if err == nil {
			err = pause(waiting, lookAgain)
		}
		switch {
		case err == nil:
		case names != "" && timedOut(ctx):
			return r.late(ctx, fmt.Sprintf("the pods of an earlier %s have not ended (%s)", ref, names), showPods(ref))
		case names != "" && waiting.Err() != nil && ctx.Err() == nil:
			return &event.Cause{Reason: event.StartTimeout, Object: ref, Err: err,
				Message: fmt.Sprintf("the pods of an earlier %s have not ended after %s (%s)", ref, event.Seconds(time.Since(begin)), names),
				Hint:    event.See("They have until the end of their terminationGracePeriodSeconds, and longer on a node that is gone; pods that nobody deletes work on", showPods(ref))}
		default:
			return err
		}
	}
}

// lookAgain is the pause between two looks at an object that cannot be watched.
const lookAgain = 500 * time.Millisecond

// awaitEnd returns when a watch on the Job said that it is gone or has finished, or a while after the watch ended or was refused, or
// when wake does.
func (r *runner) awaitEnd(ctx context.Context, old *batchv1.Job, wake <-chan time.Time) error {
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
			job, _ := e.Object.(*batchv1.Job)
			switch {
			case e.Type == watch.Deleted, job != nil && finished(job) && !finished(old):
				return nil
			case !ok || e.Type == watch.Error:
				changes, pause = nil, time.After(lookAgain)
			}
		case <-pause:
			return nil
		case <-wake:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func finished(j *batchv1.Job) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
		return (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue
	})
}

// state is "succeeded", "failed" or "running", for sentences about an old Job.
func state(j *batchv1.Job) string {
	switch succeeded, over := decided(j); {
	case succeeded:
		return "succeeded"
	case over:
		return "failed"
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
		Alone:      !r.options.Wait,
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
