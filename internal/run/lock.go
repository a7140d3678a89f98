package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// Lock is what a run holds from before its first change until its end, so that one run at a time works under a name.
type Lock struct {
	Name    string        // of the Lease in the Job's namespace; "" for no lock
	Timeout time.Duration // how long it is waited for; 0 for no limit
	Holder  string        // who holds it, in words for others: the address of the CI run
}

// A lock that is not renewed any more is free after leaseDuration: long enough for three failed renewals, so that a slow API server costs
// nobody the lock, and short enough to wait for after a kill.
const (
	leaseDuration = time.Minute
	renewEvery    = leaseDuration / 4
	lookAtLock    = 2 * time.Second // between two looks of a run that waits
)

// The annotations of a Lease, beside cluster.NonceAnnotation: that of the run which holds it. They name the last Job that was created
// under the lock. It outlives its run while its pods end, and longer when the run was killed, so the next holder waits for it. The nonce,
// which the Job has too, tells it from another one of the same name, and is known before the Job exists.
const (
	lockJobAnnotation      = "kubernetes-job-action.planton.ai/job"
	lockJobNonceAnnotation = "kubernetes-job-action.planton.ai/job-nonce"
)

// lock is a Lease that this run has, wants or had. One request at a time writes to it.
type lock struct {
	client *cluster.Client
	ref    event.Ref
	nonce  string // of this run
	job    string // its name
	holder string
	post   func(event.Fact)

	mu     sync.Mutex
	lease  *coordinationv1.Lease // as we wrote it; nil while it is not known to be ours
	unsure bool                  // a write may have reached the API server
	lost   error                 // to whom

	stop context.CancelFunc // ends the renewals
	kept sync.WaitGroup     // they have ended
	once sync.Once          // its release begins once
	over chan struct{}      // and is over when this is closed

	said string    // what was waited for when that was last told
	when time.Time // and when
}

// takeLock waits for the lock, and until nothing works any more of the Job that was created under it before. It is renewed from then on.
// ctx ends with r.lose, which is called when the lock is lost.
func (r *runner) takeLock(ctx context.Context) error {
	o, job := r.options.Lock, r.objects.Job
	k := &lock{client: r.client, ref: event.Ref{Kind: "Lease", Namespace: job.Namespace, Name: o.Name}, holder: o.Holder,
		job: job.Name, nonce: job.Annotations[cluster.NonceAnnotation], post: r.post, stop: func() {}, over: make(chan struct{})}
	r.lock = k
	waiting := ctx
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	before, err := k.take(waiting, r.makeNamespace)
	if err == nil {
		renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
		k.stop = stop
		k.kept.Go(func() { k.keep(renewing, r.lose) })
		err = k.awaitEnd(waiting, before, r)
	}
	switch {
	case err == nil:
		r.post(event.Notice{Level: event.Info, Message: fmt.Sprintf("lock %s taken", o.Name)})
	case timedOut(ctx) && k.said != "":
		return r.late(ctx, fmt.Sprintf("lock %s is not free: %s", o.Name, k.said), event.Kubectl(k.ref.Namespace, "get lease %s -o yaml", k.ref.Name))
	case waiting.Err() != nil && ctx.Err() == nil:
		return &event.Cause{Reason: event.LockTimeout, Object: k.ref, Err: err,
			Message: fmt.Sprintf("lock %s was not free within %s (lock-timeout): %s", o.Name, event.Seconds(o.Timeout), cmp.Or(k.said, fmt.Sprintf("the API server %s did not answer in time", r.client.Server))),
			Hint:    fmt.Sprintf("When nobody works under it any more, this takes it off: kubectl -n %s delete lease %s", k.ref.Namespace, k.ref.Name)}
	}
	return err
}

// makeNamespace makes the namespace that a Lease needs, when the run is to make it. It is the one thing that is made without the lock.
func (r *runner) makeNamespace(ctx context.Context) error {
	name := r.objects.Job.Namespace
	for _, o := range r.objects.Apply {
		if o.GroupVersionKind() == corev1.SchemeGroupVersion.WithKind("Namespace") && o.GetName() == name {
			return r.apply(ctx, o, false)
		}
	}
	if !r.objects.CreateNamespace {
		return &event.Cause{Reason: event.InvalidInput, Object: event.Ref{Kind: "Namespace", Name: name},
			Message: fmt.Sprintf("namespace %s does not exist, so it cannot hold a lock", name), Hint: "kubectl create namespace " + name}
	}
	return r.ensureNamespace(ctx)
}

// take waits until the lock is this run's. It answers with the Lease as it was before, nil for one that did not exist.
func (k *lock) take(ctx context.Context, makeNamespace func(context.Context) error) (before *coordinationv1.Lease, err error) {
	var seen string             // the state of the Lease
	var since, looked time.Time // since when it is the same, by our clock, and when it was last looked at
	made := false               // the namespace was
	for {
		lease, err := k.look(ctx)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		if lease == nil {
			ok, err := k.write(ctx, k.held(&coordinationv1.Lease{}))
			if apierrors.IsNotFound(err) && !made {
				made, err = true, makeNamespace(ctx)
			}
			if ok || err != nil {
				return nil, err
			}
			continue
		}
		if lease.Labels[event.ManagedByLabel] != event.ManagedBy {
			return nil, &event.Cause{Reason: event.InvalidInput, Object: k.ref,
				Message: fmt.Sprintf("%s exists already, and is no lock of this tool; it is %s", k.ref, holder(lease)), Hint: "Choose another name for the lock."}
		}
		// Whoever holds it says so by changing it; foreign time stamps say nothing (k8s.io/client-go/tools/leaderelection). While the API
		// server answers nobody, nobody can.
		if lease.ResourceVersion != seen || now.Sub(looked) > renewEvery {
			seen, since = lease.ResourceVersion, now
		}
		looked = now
		free := lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" || lease.Annotations[cluster.NonceAnnotation] == k.nonce
		expired := now.Sub(since) >= duration(lease)
		if free || expired {
			ok, err := k.write(ctx, k.held(lease))
			if err != nil {
				return nil, err
			}
			if ok {
				if !free {
					k.post(event.Notice{Level: event.Warning, Message: fmt.Sprintf("lock %s is taken over: it was %s, and not renewed for %s", k.ref.Name, holder(lease), event.Seconds(now.Sub(since)))})
				}
				return lease, nil
			}
			continue
		}
		silent := ""
		if d := now.Sub(since); d >= 2*renewEvery {
			silent = fmt.Sprintf(", who has not renewed it for %s; it is taken over after %s", event.Seconds(d), event.Seconds(duration(lease)))
		}
		k.tell(holder(lease), ago(lease)+silent)
		if err := pause(ctx, lookAtLock); err != nil {
			return nil, err
		}
	}
}

// awaitEnd waits until nothing works any more of the Job that the Lease names, as it was before it was taken, and then names ours in it.
func (k *lock) awaitEnd(ctx context.Context, before *coordinationv1.Lease, r *runner) error {
	if before == nil || before.Annotations[lockJobAnnotation] == "" || before.Annotations[lockJobNonceAnnotation] == k.nonce {
		return nil
	}
	for {
		what, err := r.atWork(ctx, before.Annotations[lockJobAnnotation], before.Annotations[lockJobNonceAnnotation])
		if err != nil {
			return err
		}
		if what == "" {
			return k.renew(ctx, k.name)
		}
		k.tell(what, "")
		if err := pause(ctx, lookAtLock); err != nil {
			return err
		}
	}
}

// atWork names what still works of a Job: the Job itself, or a pod of one that is gone; "" when nothing does. A Job that has the name of
// this run's is left to IfExists, unless that waits for its end. Whoever may write the Lease may have put anything there: what no Job can be
// called is no Job.
func (r *runner) atWork(ctx context.Context, name, nonce string) (string, error) {
	if len(validation.IsDNS1123Subdomain(name)) > 0 || len(validation.IsValidLabelValue(name)) > 0 { // its pods have it as a label
		return "", nil
	}
	ref := event.Ref{Kind: "Job", Namespace: r.objects.Job.Namespace, Name: name}
	job, err := look(ctx, r.client, ref)
	if err != nil {
		return "", err
	}
	if job != nil && job.Annotations[cluster.NonceAnnotation] == nonce && !finished(job) {
		if name == r.objects.Job.Name && r.options.IfExists != IfExistsReplaceFinished && r.options.IfExists != IfExistsSuffix {
			return "", nil
		}
		return fmt.Sprintf("%s, of the run before, is still running%s (kubectl -n %s delete job %s ends it)", ref, whose(job), ref.Namespace, ref.Name), nil
	}
	pods, err := working(ctx, r.client, ref)
	if err != nil {
		return "", err
	}
	for i := range pods {
		// Another Job that has taken the name since is not of this lock.
		if p := &pods[i]; job == nil || job.Annotations[cluster.NonceAnnotation] == nonce || !metav1.IsControlledBy(p, job) {
			return fmt.Sprintf("pod %s of %s, of the run before, is still ending", p.Name, ref), nil
		}
	}
	return "", nil
}

// nameUnderLock names the Job in the Lease, when that is not the one that this run set out to create.
func (r *runner) nameUnderLock(ctx context.Context, job, nonce string) error {
	if r.lock == nil {
		return nil
	}
	return r.lock.renew(ctx, func(lease *coordinationv1.Lease) {
		lease.Annotations = with(lease.Annotations, lockJobAnnotation, job)
		lease.Annotations[lockJobNonceAnnotation] = nonce
	})
}

// keep renews the lock until ctx is done or the lock is lost.
func (k *lock) keep(ctx context.Context, lose func(error)) {
	for {
		select {
		case <-time.After(renewEvery):
		case <-ctx.Done():
			return
		}
		err := k.renew(ctx, nil)
		var cause *event.Cause
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.As(err, &cause) && cause.Reason == event.LockLost:
			lose(cause)
			return
		default:
			k.post(event.Notice{Level: event.Warning, Key: "lock", Message: fmt.Sprintf("the lock is not renewed, and another run may take it over: %v", err)})
		}
	}
}

// renew writes the Lease again, with a change when that is not nil. A Lease that was deleted is made again.
func (k *lock) renew(ctx context.Context, change func(*coordinationv1.Lease)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for lease := k.lease; k.lost == nil; {
		lease = lease.DeepCopy()
		now := metav1.NowMicro()
		lease.Spec.RenewTime = &now
		if change != nil {
			change(lease)
		}
		if ok, err := k.write(ctx, lease); ok || err != nil {
			return err
		}
		there, err := k.look(ctx)
		switch {
		case err != nil:
			return err
		case there == nil:
			k.post(event.Notice{Level: event.Warning, Message: fmt.Sprintf("somebody has deleted %s; it is made again", k.ref)})
			lease.ResourceVersion, lease.UID = "", ""
		case there.Annotations[cluster.NonceAnnotation] == k.nonce:
			lease = there
		default:
			k.lease = nil
			k.lost = &event.Cause{Reason: event.LockLost, Object: k.ref,
				Message: fmt.Sprintf("lock %s was lost: it is now %s", k.ref.Name, holder(there)),
				Hint:    fmt.Sprintf("A run that is suspended, or cannot reach the cluster, for %s loses its lock; so does one whose Lease somebody deletes.", event.Seconds(leaseDuration))}
		}
	}
	return k.lost
}

// unlock begins to release the lock, once, and answers with a channel that is closed when that is over. left says that the Job goes on
// without the lock. It takes no longer than a deletion may, and less when that time has been used to find the Job.
func (r *runner) unlock(ctx context.Context, left bool) <-chan struct{} {
	k := r.lock
	if k == nil {
		none := make(chan struct{})
		close(none)
		return none
	}
	limit := r.limit()
	k.once.Do(func() {
		go func() {
			defer close(k.over)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
			defer cancel()
			released, err := k.release(ctx, left)
			switch {
			case err != nil:
				r.post(event.Notice{Level: event.Warning, Message: fmt.Sprintf("lock %s could not be released, and is free in %s: %v", k.ref.Name, event.Seconds(leaseDuration), err)})
			case released:
				r.post(event.Notice{Level: event.Info, Message: fmt.Sprintf("lock %s released", k.ref.Name)})
			}
		}()
	})
	return k.over
}

// Unlock releases the lock of a run that is gone, when it still holds it. The error is a *event.Cause.
func Unlock(ctx context.Context, client *cluster.Client, namespace, name, nonce string) (released bool, err error) {
	k := &lock{client: client, ref: event.Ref{Kind: "Lease", Namespace: namespace, Name: name}, nonce: nonce, unsure: true, stop: func() {}}
	return k.release(ctx, false)
}

// release leaves the Lease without a holder, for the next run. It is false when the lock is not, or no longer, this run's.
func (k *lock) release(ctx context.Context, left bool) (bool, error) {
	k.stop()
	k.kept.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lease == nil && !k.unsure {
		return false, nil
	}
	for lease := k.lease; ; lease = nil {
		if lease == nil {
			var err error
			if lease, err = k.look(ctx); lease == nil || err != nil || lease.Annotations[cluster.NonceAnnotation] != k.nonce {
				return false, err
			}
		}
		lease = lease.DeepCopy()
		lease.Spec.HolderIdentity = nil
		delete(lease.Annotations, cluster.NonceAnnotation)
		if left {
			delete(lease.Annotations, lockJobAnnotation)
			delete(lease.Annotations, lockJobNonceAnnotation)
		}
		if ok, err := k.write(ctx, lease); ok || err != nil {
			return ok, err
		}
	}
}

// held is the Lease with this run as its holder. Without another Job before, it names this run's.
func (k *lock) held(lease *coordinationv1.Lease) *coordinationv1.Lease {
	lease = lease.DeepCopy()
	now, seconds, transitions := metav1.NowMicro(), int32(leaseDuration/time.Second), int32(0)
	if t := lease.Spec.LeaseTransitions; t != nil {
		transitions = *t + 1
	}
	lease.Namespace, lease.Name = k.ref.Namespace, k.ref.Name
	lease.Labels = with(lease.Labels, event.ManagedByLabel, event.ManagedBy)
	lease.Annotations = with(lease.Annotations, cluster.NonceAnnotation, k.nonce)
	lease.Spec = coordinationv1.LeaseSpec{HolderIdentity: &k.holder, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now, LeaseTransitions: &transitions}
	if lease.Annotations[lockJobAnnotation] == "" {
		k.name(lease)
	}
	return lease
}

// name writes into the Lease which Job runs under it.
func (k *lock) name(lease *coordinationv1.Lease) {
	lease.Annotations = with(lease.Annotations, lockJobAnnotation, k.job)
	lease.Annotations[lockJobNonceAnnotation] = k.nonce
}

// look reads the Lease; nil when there is none.
func (k *lock) look(ctx context.Context) (*coordinationv1.Lease, error) {
	var lease *coordinationv1.Lease
	err := k.client.Do(ctx, "look at "+k.ref.String(), func(ctx context.Context) (err error) {
		lease, err = k.client.Leases(k.ref.Namespace).Get(ctx, k.ref.Name, metav1.GetOptions{})
		return err
	})
	return orNil(lease, err)
}

// write creates the Lease when it has no resource version, and updates it otherwise. It is false when somebody else was faster, or a
// lost answer makes it look so.
func (k *lock) write(ctx context.Context, lease *coordinationv1.Lease) (bool, error) {
	k.unsure = true
	creates := lease.ResourceVersion == ""
	var answer *coordinationv1.Lease
	err := k.client.Do(ctx, "write "+k.ref.String(), func(ctx context.Context) (err error) {
		if leases := k.client.Leases(k.ref.Namespace); creates {
			answer, err = leases.Create(ctx, lease, metav1.CreateOptions{FieldManager: cluster.FieldManager})
		} else {
			answer, err = leases.Update(ctx, lease, metav1.UpdateOptions{FieldManager: cluster.FieldManager})
		}
		return err
	})
	switch {
	case err == nil:
		k.lease = answer
		return true, nil
	case apierrors.IsConflict(err), creates && apierrors.IsAlreadyExists(err), !creates && apierrors.IsNotFound(err):
		return false, nil
	}
	return false, err
}

// tell says what is waited for: at once when that is new, then every heartbeat. detail changes with the time.
func (k *lock) tell(what, detail string) {
	if what == k.said && time.Since(k.when) < heartbeat {
		return
	}
	k.said, k.when = what, time.Now()
	k.post(event.Notice{Level: event.Info, Message: fmt.Sprintf("waits for lock %s, %s%s", k.ref.Name, what, detail)})
}

// holder is who holds the Lease, for the end of a sentence.
func holder(lease *coordinationv1.Lease) string {
	if h := lease.Spec.HolderIdentity; h != nil && *h != "" {
		return "held by " + foreign(*h, 300)
	}
	return "held by nobody"
}

// ago is since when the Lease is held, by the clock of its holder.
func ago(lease *coordinationv1.Lease) string {
	t := lease.Spec.AcquireTime
	if t == nil {
		return ""
	}
	return fmt.Sprintf(" since %s ago", event.Seconds(max(time.Since(t.Time), 0)))
}

// duration is how long the Lease is held without being renewed.
func duration(lease *coordinationv1.Lease) time.Duration {
	if s := lease.Spec.LeaseDurationSeconds; s != nil && *s > 0 {
		return time.Duration(*s) * time.Second
	}
	return leaseDuration
}

// pause lets some time pass between two looks.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// with is the map with one entry more.
func with(m map[string]string, key, value string) map[string]string {
	m = maps.Clone(m)
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}
