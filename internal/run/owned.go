package run

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// helper is a Secret or a ConfigMap that the run brings beside the Job.
type helper interface {
	try(ctx context.Context) error
	survey(ctx context.Context, replaced types.UID) (stale bool, err error)
	renew(ctx context.Context) (event.Fact, error)
	own(ctx context.Context) (event.Fact, error)
}

func (r *runner) helper(object runtime.Object) helper {
	switch o := object.(type) {
	case *corev1.Secret:
		return shared[*corev1.Secret]{r, r.client.Secrets(o.Namespace), o,
			func(a, b *corev1.Secret) bool {
				return a.Type == b.Type && equality.Semantic.DeepEqual(content(a), content(b))
			},
			func(there *corev1.Secret) { there.Type, there.Data = o.Type, content(o) }}
	case *corev1.ConfigMap:
		return shared[*corev1.ConfigMap]{r, r.client.ConfigMaps(o.Namespace), o,
			func(a, b *corev1.ConfigMap) bool {
				return maps.Equal(a.Data, b.Data) && equality.Semantic.DeepEqual(a.BinaryData, b.BinaryData)
			},
			func(there *corev1.ConfigMap) { there.Data, there.BinaryData = o.Data, o.BinaryData }}
	default:
		panic(fmt.Sprintf("a Job cannot own a %T", object))
	}
}

// withOwned does something with all helpers at once; i is the number of each. The errors are in their order.
func (r *runner) withOwned(do func(i int, h helper) error) error {
	errs := make([]error, len(r.objects.Owned))
	var all sync.WaitGroup
	for i, o := range r.objects.Owned {
		all.Go(func() { errs[i] = r.placed(o, refOf(o), do(i, r.helper(o))) })
	}
	all.Wait()
	return joined(errs)
}

// tellOwned does something with all helpers at once, and tells in their order what it did.
func (r *runner) tellOwned(do func(helper) (event.Fact, error)) error {
	news := make([]event.Fact, len(r.objects.Owned))
	err := r.withOwned(func(i int, h helper) (err error) {
		news[i], err = do(h)
		return err
	})
	for _, n := range news {
		if n != nil {
			r.post(n)
		}
	}
	return err
}

// surveyOwned looks at what has the names of the helpers, see shared.survey, and changes nothing.
func (r *runner) surveyOwned(ctx context.Context, replaced types.UID) (stale bool, err error) {
	found := make([]bool, len(r.objects.Owned))
	err = r.withOwned(func(i int, h helper) (err error) {
		found[i], err = h.survey(ctx, replaced)
		return err
	})
	return slices.Contains(found, true), err
}

// renewOwned gives the helpers that earlier Jobs have left behind our content. The Job must not exist yet, as its pods would see
// the old one.
func (r *runner) renewOwned(ctx context.Context) error {
	return r.tellOwned(func(h helper) (event.Fact, error) { return h.renew(ctx) })
}

// createOwned creates the helpers. A pod needs far longer to start than these to be written, and every one of them has its owner
// from birth.
func (r *runner) createOwned(ctx context.Context) error {
	return r.tellOwned(func(h helper) (news event.Fact, err error) {
		err = untilSettled(ctx, r.unsettled, func() error {
			news, err = h.own(ctx)
			return err
		})
		return news, err
	})
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
	Get(context.Context, string, metav1.GetOptions) (T, error)
	Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (T, error)
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
	same func(a, b T) bool // whether the content is equal
	fill func(there T)     // gives one that is there our content
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

// survey tells whether there is one with another content. It is an error when that must stay, or when the API server would not take
// the change. Who may not read it cannot tell.
func (s shared[T]) survey(ctx context.Context, replaced types.UID) (stale bool, err error) {
	err = s.retry(ctx, "look at", func(ctx context.Context) error {
		there, err := s.api.Get(ctx, s.want.GetName(), metav1.GetOptions{})
		if cluster.Denied(err) {
			return nil
		}
		if stale, err = s.stale(ctx, there, err, replaced); err != nil || !stale {
			return backoff.Permanent(err)
		}
		err = s.change(ctx, there, s.fill, metav1.PatchOptions{DryRun: dryRun.DryRun})
		if unrehearsed(err) {
			return nil
		}
		return raced(err)
	})
	return stale, err
}

// renew changes the content of one that is there with another content, when no other owner needs that any more. Who may not read it
// waits for the end of one that goes with its Job.
func (s shared[T]) renew(ctx context.Context) (news event.Fact, err error) {
	err = s.retry(ctx, "update", func(ctx context.Context) error {
		there, err := s.api.Get(ctx, s.want.GetName(), metav1.GetOptions{})
		if cluster.Denied(err) {
			if _, tryErr := s.api.Create(ctx, s.want, dryRun); !apierrors.IsAlreadyExists(tryErr) {
				return nil
			}
			return err
		}
		stale, err := s.stale(ctx, there, err, "")
		if err != nil || !stale {
			return backoff.Permanent(err)
		}
		if err := s.change(ctx, there, s.fill, metav1.PatchOptions{}); err != nil {
			return raced(err)
		}
		news = event.Object{Object: refOf(s.want), Action: "updated", Detail: "an earlier Job has left it behind"}
		return nil
	})
	return news, err
}

// stale takes the answer to a look at the object, and tells whether that has another content, which nobody needs any more.
func (s shared[T]) stale(ctx context.Context, there T, err error, replaced types.UID) (bool, error) {
	if apierrors.IsNotFound(err) || err == nil && s.same(there, s.want) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	ours, running, err := s.ours(ctx, there, replaced)
	switch {
	case err != nil:
		return false, err
	case !ours:
		return false, taken(refOf(there), there)
	case running != "":
		return false, needed(refOf(there), running)
	}
	return true, nil
}

// change changes an object, as it was read, in what do does to it and in nothing else; fields that this program does not know stay.
// When another has changed it since, the error is a conflict.
func (s shared[T]) change(ctx context.Context, there T, do func(T), o metav1.PatchOptions) error {
	was, next := there.DeepCopy(), there.DeepCopy()
	was.SetResourceVersion("") // so that the patch has the version
	do(next)
	before, err := json.Marshal(was)
	if err != nil {
		return err
	}
	after, err := json.Marshal(next)
	if err != nil {
		return err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, s.want)
	if err != nil {
		return err
	}
	_, err = s.api.Patch(ctx, there.GetName(), types.StrategicMergePatchType, patch, o)
	return err
}

// own creates one that belongs to the Job. It may be there already: from a create whose answer was lost, or from other Jobs of ours,
// which share it then. Somebody else's with the same content serves as well, and stays as it is.
func (s shared[T]) own(ctx context.Context) (news event.Fact, err error) {
	ref := refOf(s.want)
	owner := *metav1.NewControllerRef(s.created, batchv1.SchemeGroupVersion.WithKind("Job"))
	// Several Jobs may share one object, so that none of them controls it; nor does its deletion hold up theirs.
	owner.Controller, owner.BlockOwnerDeletion = nil, nil
	s.want.SetOwnerReferences([]metav1.OwnerReference{owner})
	done := func(action, detail string) error {
		news = event.Object{Object: ref, Action: action, Detail: detail}
		return nil
	}
	err = s.retry(ctx, "create", func(ctx context.Context) error {
		_, err := s.api.Create(ctx, s.want, metav1.CreateOptions{})
		switch {
		case err == nil:
			return done("created", "it goes with the Job")
		case !apierrors.IsAlreadyExists(err):
			return backoff.Permanent(err)
		}
		there, err := s.api.Get(ctx, s.want.GetName(), metav1.GetOptions{})
		switch {
		case cluster.Denied(err): // it may be on its way out, with its Job
			return err
		case err != nil:
			return raced(err)
		}
		same := s.same(there, s.want)
		owned := slices.ContainsFunc(there.GetOwnerReferences(), func(o metav1.OwnerReference) bool { return o.UID == owner.UID })
		switch {
		case owned && same && s.joined: // the run that created the Job has made it
			return nil
		case owned && same:
			return done("created", "it goes with the Job")
		case owned: // another run has joined the Job, and its content was there first
			return backoff.Permanent(needed(ref, ""))
		}
		ours, running, err := s.ours(ctx, there, "")
		switch {
		case err != nil:
			return backoff.Permanent(err)
		case !ours && same:
			news = found(ref, there)
			return nil
		case !ours:
			return backoff.Permanent(taken(ref, there))
		case !same: // another run has changed it since it was renewed
			return backoff.Permanent(needed(ref, running))
		}
		if err := s.change(ctx, there, func(t T) { t.SetOwnerReferences(append(t.GetOwnerReferences(), owner)) }, metav1.PatchOptions{}); err != nil {
			return raced(err)
		}
		return done("adopted", "it goes with the last Job that owns it")
	})
	return news, err
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

// taken is the error of one that is there, with another content, and must not be changed.
func taken(ref event.Ref, there metav1.Object) *event.Cause {
	return &event.Cause{Reason: event.InvalidInput, Object: ref,
		Message: fmt.Sprintf("%s exists already, with another content, and does not belong to a Job of this program that has ended%s", ref, whose(there)),
		Hint:    event.See("Give the Job, or what the manifest names, another name, or delete it if nobody needs it", event.Kubectl(ref.Namespace, "delete "+strings.ToLower(ref.Kind)+" %s", ref.Name))}
}

// needed is the error of one with another content that another run needs: that of the running Job, or that of none, when the run has
// changed it just now.
func needed(ref event.Ref, running string) *event.Cause {
	if running == "" {
		return &event.Cause{Reason: event.InvalidInput, Object: ref, Message: fmt.Sprintf("another run has given %s another content at the same time", ref),
			Hint: "Run again, or give it another name in the manifest."}
	}
	return &event.Cause{Reason: event.InvalidInput, Object: ref,
		Message: fmt.Sprintf("%s exists already, with another content, which Job %s needs: it still runs", ref, running),
		Hint:    "Wait until that Job has ended, or give it another name in the manifest."}
}

// found says that one with our content was there and is somebody else's. A Secret that stays is worth a warning: it was meant to
// go with the Job.
func found(ref event.Ref, there metav1.Object) event.Notice {
	n := event.Notice{Level: event.Info, Message: fmt.Sprintf("%s was there already, with this content, and is not ours%s: it is used, and stays as it is", ref, whose(there))}
	if ref.Kind == "Secret" {
		n.Level, n.Hint = event.Warning, "It is not deleted with the Job. If nobody else needs it, delete it."
	}
	return n
}
