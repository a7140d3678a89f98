package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
)

// NonceAnnotation holds a random text that tells our own Job from another one of the same name.
const NonceAnnotation = "kubernetes-job-action.planton.ai/nonce"

// FieldManager is the owner of the fields that Apply sets.
const FieldManager = "kubernetes-job-action"

// CreateJob creates the Job and answers with what the API server made of it. The answer to a create may be lost, or be unreadable, although the
// Job was created; a look, or the next try, then finds a Job of that name, and the nonce tells that it is ours. Another Job of that name gives an
// error that apierrors.IsAlreadyExists knows.
func (c *Client) CreateJob(ctx context.Context, job *batchv1.Job) (*batchv1.Job, error) {
	var created *batchv1.Job
	unanswered := false // a try may have created the Job, and nobody knows
	ref := event.Ref{Kind: "Job", Namespace: job.Namespace, Name: job.Name}
	err := c.Do(ctx, "create "+ref.String(), func(ctx context.Context) error {
		jobs := c.Jobs(job.Namespace)
		answer, err := jobs.Create(ctx, job, metav1.CreateOptions{FieldManager: FieldManager})
		kind := outage.KindOf(err)
		if (apierrors.IsAlreadyExists(err) || kind == outage.Other) && job.Annotations[NonceAnnotation] != "" {
			there, getErr := jobs.Get(ctx, job.Name, metav1.GetOptions{})
			switch {
			case getErr != nil && (outage.KindOf(getErr).Away() || !apierrors.IsNotFound(getErr) && kind != outage.Other):
				return getErr
			case getErr == nil && there.Annotations[NonceAnnotation] == job.Annotations[NonceAnnotation]:
				answer, err = there, nil
			}
		}
		unanswered = unanswered || kind == outage.Broken || kind == outage.Other || kind == outage.Busy && !apierrors.IsTooManyRequests(err)
		created = answer
		return err
	})
	if err == nil {
		return created, nil
	}
	var cause *event.Cause
	if unanswered && !apierrors.IsAlreadyExists(err) && errors.As(err, &cause) {
		look := fmt.Sprintf("The Job may have been created all the same: kubectl -n %s get job %s", job.Namespace, job.Name)
		cause.Hint = strings.TrimSpace(cause.Hint + " " + look)
	}
	return nil, err
}

// CronJob reads a CronJob.
func (c *Client) CronJob(ctx context.Context, namespace, name string) (*batchv1.CronJob, error) {
	var cronJob *batchv1.CronJob
	ref := event.Ref{Kind: "CronJob", Namespace: namespace, Name: name}
	err := c.Do(ctx, "read "+ref.String(), func(ctx context.Context) (err error) {
		cronJob, err = single[batchv1.CronJob](c, batchv1.GroupName, "cronjobs", namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	return cronJob, nil
}

// EnsureNamespace creates the Job's namespace when it is missing, and tells whether it did. It gets one fixed label: with those of the
// Job, a manifest could switch off what is enforced by labels of the namespace, as Pod Security is. Who may not create namespaces
// need not be allowed to see that this one exists: it is enough to be allowed to create the Job.
func (c *Client) EnsureNamespace(ctx context.Context, job *batchv1.Job) (created bool, err error) {
	name := job.Namespace
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{event.ManagedByLabel: event.ManagedBy}}}
	err = c.Do(ctx, fmt.Sprintf("create Namespace %s", name), func(ctx context.Context) error {
		_, err := c.Namespaces().Create(ctx, namespace, metav1.CreateOptions{FieldManager: FieldManager})
		created = err == nil
		switch {
		case apierrors.IsAlreadyExists(err):
			return nil
		case apierrors.IsForbidden(err):
			_, lookErr := c.Namespaces().Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsForbidden(lookErr) {
				// Who may create the Job is answered 404 where there is no namespace, whatever is answered elsewhere.
				_, lookErr = c.Jobs(name).Create(ctx, job, metav1.CreateOptions{FieldManager: FieldManager, DryRun: []string{metav1.DryRunAll}})
				if outage.KindOf(lookErr).Answered() && lookErr != nil && !apierrors.IsNotFound(lookErr) && !denied.MatchString(lookErr.Error()) {
					return nil
				}
			}
			if lookErr == nil || outage.KindOf(lookErr).Away() {
				return lookErr
			}
		}
		return err
	})
	return created, byManifest(err)
}

// byManifest is an error about what the manifest asks for: it proposes no permission.
func byManifest(err error) error {
	var cause *event.Cause
	if Denied(err) && errors.As(err, &cause) {
		cause.Hint = asked
	}
	return err
}

// AccessToApply is what Apply needs for the object. Without an error and without verbs, the cluster does not know its kind, yet.
func (c *Client) AccessToApply(ctx context.Context, obj *unstructured.Unstructured) (Access, error) {
	var access Access
	err := c.Do(ctx, "look up the kind "+obj.GetKind(), func(ctx context.Context) error {
		resource, namespace, err := c.locate(ctx, obj)
		if err == nil {
			access = Access{Group: resource.Group, Resource: resource.Resource, Verbs: []string{"create", "patch"},
				Name: obj.GetName(), Namespace: namespace, ClusterWide: namespace == "", Manifest: true}
		} else if meta.IsNoMatchError(err) {
			err = nil
		}
		return err
	})
	return access, err
}

// locate finds the resource of the object's kind, and the namespace that it goes into; "" when the kind has none.
func (c *Client) locate(ctx context.Context, obj *unstructured.Unstructured) (resource schema.GroupVersionResource, namespace string, err error) {
	gvk := obj.GroupVersionKind()
	found, err := c.discover(ctx, gvk)
	if err == nil && found.Namespaced {
		namespace = cmp.Or(obj.GetNamespace(), c.Namespace)
	}
	return gvk.GroupVersion().WithResource(found.Name), namespace, err
}

// discover asks for the kinds of the group and version, unless it knows the kind already. client-go's RESTMapper would ask for
// those of every group, and links the models of OpenAPI. The error of a kind that is not there is one that meta.IsNoMatchError
// knows; it is asked for again the next time, because what is applied may define it.
func (c *Client) discover(ctx context.Context, gvk schema.GroupVersionKind) (metav1.APIResource, error) {
	gv := gvk.GroupVersion()
	known, ok := c.kinds.Load(gvk)
	if !ok {
		path := "/apis/" + gv.String()
		if gv.Group == corev1.GroupName {
			path = "/api/" + gv.Version
		}
		var all metav1.APIResourceList
		if err := c.groups[corev1.GroupName].Get().AbsPath(path).Do(ctx).Into(&all); err != nil && !apierrors.IsNotFound(err) {
			return metav1.APIResource{}, err
		}
		for _, r := range all.APIResources {
			if !strings.Contains(r.Name, "/") { // no subresource
				c.kinds.Store(gv.WithKind(r.Kind), r)
			}
		}
		if known, ok = c.kinds.Load(gvk); !ok {
			return metav1.APIResource{}, &meta.NoKindMatchError{GroupKind: gvk.GroupKind(), SearchedVersions: []string{gv.Version}}
		}
	}
	return known.(metav1.APIResource), nil
}

// Apply makes the object in the cluster what the manifest says, by server-side apply. The fields of the manifest are taken from
// whoever managed them before: the file is what the user wants, and in CI nobody is there to settle a conflict. With dryRun the
// API server checks everything, admission included, and changes nothing. An object of a kind with namespaces that names none
// goes into that of the context.
func (c *Client) Apply(ctx context.Context, obj *unstructured.Unstructured, dryRun bool) error {
	gvk := obj.GroupVersionKind()
	ref := event.Ref{Kind: gvk.Kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}
	if ref.Name == "" {
		return &event.Cause{Reason: event.InvalidManifest, Object: ref, Message: fmt.Sprintf("cannot apply a %s without a name", gvk.Kind),
			Hint: "Set metadata.name; generateName cannot be applied."}
	}
	options := metav1.ApplyOptions{FieldManager: FieldManager, Force: true}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	return byManifest(c.Do(ctx, "apply "+ref.String(), func(ctx context.Context) error {
		resource, namespace, err := c.locate(ctx, obj)
		if err != nil {
			return err
		}
		var client dynamic.ResourceInterface = c.dynamic.Resource(resource)
		if namespace != "" {
			client = c.dynamic.Resource(resource).Namespace(namespace)
		}
		_, err = client.Apply(ctx, ref.Name, obj, options)
		return err
	}))
}
