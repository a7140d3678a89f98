package run

import (
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

// createOwned creates what is ours beside the Job, all at once. A pod needs far longer to start than these to be written,
// and every one of them has its owner from birth.
func (r *runner) createOwned(ctx context.Context) error {
	errs := make([]error, len(r.objects.Owned))
	var all sync.WaitGroup
	for i, o := range r.objects.Owned {
		all.Go(func() { errs[i] = r.createOne(ctx, o) })
	}
	all.Wait()
	for i, o := range r.objects.Owned {
		if errs[i] == nil {
			r.emit(event.Object{Object: refOf(o), Action: "created", Detail: "it goes with the Job"})
		}
	}
	return errors.Join(errs...)
}

func (r *runner) createOne(ctx context.Context, object runtime.Object) error {
	switch o := object.(type) {
	case *corev1.Secret:
		return own(ctx, r, r.client.CoreV1().Secrets(o.Namespace), o, func(a, b *corev1.Secret) bool {
			return a.Type == b.Type && equality.Semantic.DeepEqual(content(a), content(b))
		})
	case *corev1.ConfigMap:
		return own(ctx, r, r.client.CoreV1().ConfigMaps(o.Namespace), o, func(a, b *corev1.ConfigMap) bool {
			return maps.Equal(a.Data, b.Data) && equality.Semantic.DeepEqual(a.BinaryData, b.BinaryData)
		})
	default:
		return fmt.Errorf("a Job cannot own a %T", object)
	}
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

// own creates an object that belongs to the Job. One of the same name may be there already: from a create whose answer was
// lost, or from other Jobs, because the ConfigMaps of a KubernetesJob keep their names whatever the Job's suffix is. It is then
// shared when its content is the same, and takes our content when no other owner needs the old one any more.
func own[T interface {
	metav1.Object
	DeepCopy() T
}](ctx context.Context, r *runner, client typed[T], want T, same func(a, b T) bool) error {
	owner := *metav1.NewControllerRef(r.job, batchv1.SchemeGroupVersion.WithKind("Job"))
	// Several Jobs may share one object, so that none of them controls it; nor does its deletion hold up theirs.
	owner.Controller, owner.BlockOwnerDeletion = nil, nil
	want.SetOwnerReferences([]metav1.OwnerReference{owner})
	ref := refOf(want)

	try := func(ctx context.Context) error {
		_, err := client.Create(ctx, want, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			return backoff.Permanent(err)
		}
		there, err := client.Get(ctx, want.GetName(), metav1.GetOptions{})
		if err != nil {
			return raced(err)
		}
		owners := there.GetOwnerReferences()
		if slices.ContainsFunc(owners, func(o metav1.OwnerReference) bool { return o.UID == owner.UID }) {
			return nil
		}
		next := there
		if alike := same(there, want); alike && len(owners) == 0 {
			return nil // the user's own: it must not go with the Job
		} else if !alike {
			if err := r.unneeded(ctx, ref, owners); err != nil {
				return backoff.Permanent(err)
			}
			next, owners = want.DeepCopy(), nil
			next.SetResourceVersion(there.GetResourceVersion())
		}
		next.SetOwnerReferences(append(owners, owner))
		_, err = client.Update(ctx, next, metav1.UpdateOptions{})
		return raced(err)
	}
	return r.client.Do(ctx, "create "+ref.String(), func(ctx context.Context) error {
		// The nine tries take 3 to 5 s together; those who met once shall not meet again.
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

// unneeded returns an error unless everybody who owns the object is a Job that has ended.
func (r *runner) unneeded(ctx context.Context, ref event.Ref, owners []metav1.OwnerReference) error {
	taken := &event.Cause{Reason: event.InvalidInput, Object: ref,
		Message: fmt.Sprintf("%s exists already, with another content, and does not belong to a Job that has ended", ref),
		Hint:    "Give it another name in the manifest, or delete it."}
	if len(owners) == 0 {
		return taken
	}
	for _, o := range owners {
		if o.Kind != "Job" {
			return taken
		}
		job, err := r.client.BatchV1().Jobs(ref.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return err
		case job.UID == o.UID && !finished(job):
			taken.Message = fmt.Sprintf("%s exists already, with another content, which Job %s needs: it still runs", ref, o.Name)
			taken.Hint = "Wait until that Job has ended, or give it another name in the manifest."
			return taken
		}
	}
	return nil
}
