package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// helper is a Secret or a ConfigMap that is ours beside the Job.
type helper interface {
	try(ctx context.Context) error
	renew(ctx context.Context) error
	own(ctx context.Context) error
}

func (r *runner) helper(object runtime.Object) helper {
	switch o := object.(type) {
	case *corev1.Secret:
		return shared[*corev1.Secret]{r, r.client.Secrets(o.Namespace), o, func(a, b *corev1.Secret) bool {
			return a.Type == b.Type && equality.Semantic.DeepEqual(content(a), content(b))
		}}
	case *corev1.ConfigMap:
		return shared[*corev1.ConfigMap]{r, r.client.ConfigMaps(o.Namespace), o, func(a, b *corev1.ConfigMap) bool {
			return maps.Equal(a.Data, b.Data) && equality.Semantic.DeepEqual(a.BinaryData, b.BinaryData)
		}}
	default:
		panic(fmt.Sprintf("a Job cannot own a %T", object))
	}
}

// withOwned does something with all helpers at once; the errors are in their order.
func (r *runner) withOwned(do func(helper) error) []error {
	errs := make([]error, len(r.objects.Owned))
	var all sync.WaitGroup
	for i, o := range r.objects.Owned {
		all.Go(func() { errs[i] = do(r.helper(o)) })
	}
	all.Wait()
	return errs
}

// renewOwned gives the helpers that earlier Jobs have left behind our content. The Job must not exist yet, as its pods would see
// the old one.
func (r *runner) renewOwned(ctx context.Context) error {
	return errors.Join(r.withOwned(func(h helper) error { return h.renew(ctx) })...)
}

// createOwned creates the helpers. A pod needs far longer to start than these to be written, and every one of them has its owner
// from birth.
func (r *runner) createOwned(ctx context.Context) error {
	errs := r.withOwned(func(h helper) error { return h.own(ctx) })
	for i, o := range r.objects.Owned {
		if errs[i] = r.placed(refOf(o), errs[i]); errs[i] == nil {
			r.post(event.Object{Object: refOf(o), Action: "created", Detail: "it goes with the Job"})
		}
	}
	return errors.Join(errs...)
}

// refOf names a Secret or a ConfigMap.
func refOf(o any) event.Ref {
	kind := "ConfigMap"
	if _, ok := o.(*corev1.Secret); ok {
		kind = "Secret"
	}
	m := o.(metav1.Object)
	return event.Ref{Kind: kind, Namespace: m.GetNamespace(), Name: m.GetName()}
}

// content is a Secret's data as the API server keeps it: stringData becomes data.
func content(s *corev1.Secret) map[string][]byte {
	data := maps.Clone(s.Data)
	for k, v := range s.StringData {
		if data == nil {
			data = map[string][]byte{}
		}
		data[k] = []byte(v)
	}
	return data
}

// typed is what the clients of Secrets and ConfigMaps have in common.
type typed[T any] interface {
	Create(context.Context, T, metav1.CreateOptions) (T, error)
	Update(context.Context, T, metav1.UpdateOptions) (T, error)
	Get(context.Context, string, metav1.GetOptions) (T, error)
}

// shared is a helper that other Jobs may own too, because the ConfigMaps of a KubernetesJob keep their names whatever the Job's
// suffix is.
type shared[T interface {
	metav1.Object
	DeepCopy() T
}] struct {
	*runner
	api  typed[T]
	want T
	same func(a, b T) bool
}

// try has the API server check one. Whether it can be shared is a matter of the run.
func (s shared[T]) try(ctx context.Context) error {
	err := s.client.Do(ctx, "check "+refOf(s.want).String(), func(ctx context.Context) error {
		_, err := s.api.Create(ctx, s.want, dryRun)
		return err
	})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// renew changes the content of one that is there with another content, when no other owner needs that any more.
func (s shared[T]) renew(ctx context.Context) error {
	return s.retry(ctx, "look at", func(ctx context.Context) error {
		there, err := s.api.Get(ctx, s.want.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && s.same(there, s.want) {
			return nil
		}
		if err != nil {
			return backoff.Permanent(err)
		}
		if err := s.unneeded(ctx, refOf(there), there.GetOwnerReferences()); err != nil {
			return backoff.Permanent(err)
		}
		next := s.want.DeepCopy()
		next.SetResourceVersion(there.GetResourceVersion())
		next.SetOwnerReferences(there.GetOwnerReferences())
		_, err = s.api.Update(ctx, next, metav1.UpdateOptions{})
		return raced(err)
	})
}

// own creates one that belongs to the Job. It may be there already: from a create whose answer was lost, or from other Jobs. It is
// shared then.
func (s shared[T]) own(ctx context.Context) error {
	owner := *metav1.NewControllerRef(s.created, batchv1.SchemeGroupVersion.WithKind("Job"))
	// Several Jobs may share one object, so that none of them controls it; nor does its deletion hold up theirs.
	owner.Controller, owner.BlockOwnerDeletion = nil, nil
	s.want.SetOwnerReferences([]metav1.OwnerReference{owner})
	return s.retry(ctx, "create", func(ctx context.Context) error {
		_, err := s.api.Create(ctx, s.want, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			return backoff.Permanent(err)
		}
		there, err := s.api.Get(ctx, s.want.GetName(), metav1.GetOptions{})
		if err != nil {
			return raced(err)
		}
		owners := there.GetOwnerReferences()
		if slices.ContainsFunc(owners, func(o metav1.OwnerReference) bool { return o.UID == owner.UID }) {
			return nil
		}
		if !s.same(there, s.want) { // another run has changed it since it was renewed
			return backoff.Permanent(cmp.Or(s.unneeded(ctx, refOf(there), owners), error(taken(refOf(there)))))
		}
		if len(owners) == 0 {
			return nil // the user's own: it must not go with the Job
		}
		there.SetOwnerReferences(append(owners, owner))
		_, err = s.api.Update(ctx, there, metav1.UpdateOptions{})
		return raced(err)
	})
}

// retry repeats what has met other runs that change the object. The nine tries take 3 to 5 s together; those who met once shall
// not meet again.
func (s shared[T]) retry(ctx context.Context, what string, try func(context.Context) error) error {
	return s.client.Do(ctx, what+" "+refOf(s.want).String(), func(ctx context.Context) error {
		again := backoff.NewExponentialBackOff(backoff.WithInitialInterval(15*time.Millisecond), backoff.WithMultiplier(2),
			backoff.WithRandomizationFactor(1./3), backoff.WithMaxElapsedTime(0))
		return backoff.Retry(func() error { return try(ctx) }, backoff.WithContext(backoff.WithMaxRetries(again, 8), ctx))
	})
}

// raced leaves an error to be tried again when, between the look at an object and its change, another run has changed it or the
// garbage collector has deleted it.
func raced(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return err
	}
	return backoff.Permanent(err)
}

func taken(ref event.Ref) *event.Cause {
	return &event.Cause{Reason: event.InvalidInput, Object: ref,
		Message: fmt.Sprintf("%s exists already, with another content, and does not belong to a Job that has ended", ref),
		Hint:    "Give it another name in the manifest, or delete it."}
}

// unneeded returns an error unless everybody who owns the object is a Job that has ended.
func (r *runner) unneeded(ctx context.Context, ref event.Ref, owners []metav1.OwnerReference) error {
	if len(owners) == 0 {
		return taken(ref)
	}
	for _, o := range owners {
		if o.Kind != "Job" {
			return taken(ref)
		}
		job, err := r.client.Jobs(ref.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return err
		case job.UID == o.UID && !finished(job):
			needed := taken(ref)
			needed.Message = fmt.Sprintf("%s exists already, with another content, which Job %s needs: it still runs", ref, o.Name)
			needed.Hint = "Wait until that Job has ended, or give it another name in the manifest."
			return needed
		}
	}
	return nil
}
