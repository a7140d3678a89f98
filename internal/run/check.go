package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// dryRun has the API server do everything but keep the object.
var dryRun = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}

// check is what Check does, beside the loop.
func (r *runner) check(ctx context.Context) error {
	client, objects, namespace := r.client, r.objects, r.objects.Job.Namespace
	err := client.Do(ctx, "look at namespace "+namespace, func(ctx context.Context) error {
		_, err := client.Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		return err
	})
	if apierrors.IsNotFound(err) && objects.CreateNamespace {
		// The API server checks namespaced objects only in a namespace that exists.
		r.post(event.Notice{Level: event.Warning,
			Message: fmt.Sprintf("namespace %s does not exist yet, so what goes into it could not be checked by the API server", namespace),
			Hint:    fmt.Sprintf("kubectl create namespace %s, then check again.", namespace)})
		return nil
	}
	if err != nil && !apierrors.IsForbidden(err) { // who may not look at namespaces may still work in one
		return err
	}
	err = r.rehearse(ctx, objects.Apply)
	if apierrors.IsAlreadyExists(err) {
		var old *batchv1.Job
		if err := client.Do(ctx, "look at the Job", func(ctx context.Context) (err error) {
			old, err = client.Jobs(namespace).Get(ctx, r.objects.Job.Name, metav1.GetOptions{})
			return err
		}); err != nil {
			return err
		}
		r.post(event.Notice{Level: event.Warning, Message: fmt.Sprintf("%s exists already (%s); if-exists decides what a run does with it", r.ref(), state(old))})
		return nil
	}
	return err
}

// rehearse has the API server check, admission included, what is applied, the helpers and the Job. All that is invalid is told at
// once; any other answer ends it.
func (r *runner) rehearse(ctx context.Context, apply []*unstructured.Unstructured) error {
	var tries []func() error
	for _, o := range apply {
		tries = append(tries, func() error { return r.apply(ctx, o, true) })
	}
	for _, o := range r.objects.Owned {
		tries = append(tries, func() error { return r.placed(refOf(o), r.helper(o).try(ctx)) })
	}
	tries = append(tries, func() error {
		return r.placed(r.ref(), r.client.Do(ctx, "check "+r.ref().String(), func(ctx context.Context) error {
			_, err := r.client.Jobs(r.objects.Job.Namespace).Create(ctx, r.objects.Job, dryRun)
			return err
		}))
	})
	var invalid []error
	for _, try := range tries {
		err := try()
		var cause *event.Cause
		if errors.As(err, &cause) && cause.Reason == event.InvalidManifest {
			invalid = append(invalid, err)
		} else if err != nil {
			return cmp.Or(joined(invalid), err)
		}
	}
	return joined(invalid)
}

// joined is one error for all of them, nil for none.
func joined(errs []error) error {
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	return &event.Cause{Reason: event.InvalidManifest, Message: strings.ReplaceAll(errors.Join(errs...).Error(), "\n", "; ")}
}

// apply applies one of the user's own objects.
func (r *runner) apply(ctx context.Context, o *unstructured.Unstructured, dryRun bool) error {
	return r.placed(applied(o), r.client.Apply(ctx, o, dryRun))
}

func applied(o *unstructured.Unstructured) event.Ref {
	return event.Ref{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
}

// mayHeal tells whether the rehearsal of a Job failed for what does not matter, or is different once the user's own objects are applied.
func (r *runner) mayHeal(err error) bool {
	brings := func(is func(o *unstructured.Unstructured) bool) bool { return slices.ContainsFunc(r.objects.Apply, is) }
	var cause *event.Cause
	switch {
	case apierrors.IsAlreadyExists(err), cluster.Denied(err), unrehearsed(err):
		return true
	case apierrors.IsNotFound(err):
		return r.objects.CreateNamespace || brings(func(o *unstructured.Unstructured) bool {
			return o.GetKind() == "Namespace" && o.GetName() == r.objects.Job.Namespace
		})
	case errors.As(err, &cause) && cause.Reason == event.Forbidden:
		return brings(func(o *unstructured.Unstructured) bool {
			return o.GetKind() == "ResourceQuota" || o.GroupVersionKind().Group == "admissionregistration.k8s.io"
		})
	}
	return false
}

// unrehearsed tells whether an admission webhook is too old to be asked by a dry run (apiserver, pkg/admission/plugin/webhook/errors,
// NewDryRunUnsupportedErr).
func unrehearsed(err error) bool {
	return apierrors.IsBadRequest(err) && strings.Contains(err.Error(), "does not support dry run")
}

// maxProblems is how many problems of one object are told.
const maxProblems = 100

// placed tells, field by field and with its place, what the API server finds wrong with an object, when that is what the error says.
func (r *runner) placed(of event.Ref, err error) error {
	var cause *event.Cause
	var status apierrors.APIStatus
	if r.objects.Place == nil || !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return err
	}
	if errors.As(err, &cause) && cause.Reason != event.InvalidManifest { // an admission policy denies it
		return err
	}
	var findings []event.Finding
	for _, c := range status.Status().Details.Causes {
		if f := r.objects.Place(of, c.Field, c.Message); c.Message != "" && !slices.Contains(findings, f) {
			findings = append(findings, f)
		}
	}
	if len(findings) == 0 {
		return err
	}
	event.SortFindings(findings)
	for _, f := range findings[:min(len(findings), maxProblems)] {
		r.post(f)
	}
	things := fmt.Sprintf("%d problems", len(findings))
	if len(findings) == 1 {
		things = "one problem"
	}
	return &event.Cause{Reason: event.InvalidManifest, Object: of, Message: fmt.Sprintf("the API server finds %s in %s", things, of), Err: err}
}
