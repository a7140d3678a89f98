package cluster

import (
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
	"k8s.io/client-go/dynamic"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
)

// NonceAnnotation holds a random text that tells our own Job from another one of the same name.
const NonceAnnotation = "kubernetes-job-action.planton.ai/nonce"

// FieldManager is the owner of the fields that Apply sets.
const FieldManager = "kubernetes-job-action"

// CreateJob creates the Job and answers with what the API server made of it. The answer to a create may be lost although the Job
// was created; the next try then finds a Job of that name, and the nonce tells that it is ours. Another Job of that name gives an
// error that apierrors.IsAlreadyExists knows.
func (c *Client) CreateJob(ctx context.Context, job *batchv1.Job) (*batchv1.Job, error) {
	var created *batchv1.Job
	unanswered := false // a try may have created the Job, and nobody knows
	ref := event.Ref{Kind: "Job", Namespace: job.Namespace, Name: job.Name}
	err := c.Do(ctx, "create "+ref.String(), func(ctx context.Context) error {
		jobs := c.BatchV1().Jobs(job.Namespace)
		answer, err := jobs.Create(ctx, job, metav1.CreateOptions{FieldManager: FieldManager})
		if apierrors.IsAlreadyExists(err) && job.Annotations[NonceAnnotation] != "" {
			there, getErr := jobs.Get(ctx, job.Name, metav1.GetOptions{})
			switch {
			case getErr != nil && !apierrors.IsNotFound(getErr):
				return getErr
			case getErr == nil && there.Annotations[NonceAnnotation] == job.Annotations[NonceAnnotation]:
				answer, err = there, nil
			}
		}
		kind := outage.KindOf(err)
		unanswered = unanswered || kind == outage.Broken || kind == outage.Busy && !apierrors.IsTooManyRequests(err)
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
		cronJob, err = c.BatchV1().CronJobs(namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	return cronJob, nil
}

// EnsureNamespace creates the Job's namespace, with its labels, when it is missing, and tells whether it did. Who may not create
// namespaces need not be allowed to see that this one exists: it is enough to be allowed to create the Job.
func (c *Client) EnsureNamespace(ctx context.Context, job *batchv1.Job) (created bool, err error) {
	name := job.Namespace
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: job.Labels}}
	err = c.Do(ctx, fmt.Sprintf("create Namespace %s", name), func(ctx context.Context) error {
		_, err := c.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{FieldManager: FieldManager})
		created = err == nil
		switch {
		case apierrors.IsAlreadyExists(err):
			return nil
		case apierrors.IsForbidden(err):
			_, lookErr := c.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsForbidden(lookErr) {
				// Who may create the Job is answered 404 where there is no namespace, whatever is answered elsewhere.
				_, lookErr = c.BatchV1().Jobs(name).Create(ctx, job, metav1.CreateOptions{FieldManager: FieldManager, DryRun: []string{metav1.DryRunAll}})
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
	return created, err
}

// AccessToApply is what Apply needs for the object. Without an error and without verbs, the cluster does not know its kind, yet.
func (c *Client) AccessToApply(ctx context.Context, obj *unstructured.Unstructured) (Access, error) {
	var access Access
	err := c.Do(ctx, "look up the kind "+obj.GetKind(), func(context.Context) error {
		mapping, namespace, err := c.locate(obj)
		if err == nil {
			access = Access{Group: mapping.Resource.Group, Resource: mapping.Resource.Resource, Verbs: []string{"create", "patch"},
				Name: obj.GetName(), Namespace: namespace, ClusterWide: namespace == ""}
		} else if meta.IsNoMatchError(err) {
			err = nil
		}
		return err
	})
	return access, err
}

// locate finds the resource of the object's kind, and the namespace that it goes into; "" when the kind has none.
func (c *Client) locate(obj *unstructured.Unstructured) (*meta.RESTMapping, string, error) {
	gvk := obj.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	switch {
	case err != nil:
		return nil, "", err
	case mapping.Scope.Name() != meta.RESTScopeNameNamespace:
		return mapping, "", nil
	case obj.GetNamespace() == "":
		return mapping, c.Namespace, nil
	}
	return mapping, obj.GetNamespace(), nil
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
	return c.Do(ctx, "apply "+ref.String(), func(ctx context.Context) error {
		mapping, namespace, err := c.locate(obj)
		if err != nil {
			return err
		}
		var resource dynamic.ResourceInterface = c.Dynamic.Resource(mapping.Resource)
		if namespace != "" {
			resource = c.Dynamic.Resource(mapping.Resource).Namespace(namespace)
		}
		_, err = resource.Apply(ctx, ref.Name, obj, options)
		return err
	})
}
