package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

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
	if apierrors.IsNotFound(err) && r.bringsNamespace(namespace) {
		// The API server checks namespaced objects only in a namespace that exists.
		r.post(event.Notice{Level: event.Warning,
			Message: fmt.Sprintf("namespace %s does not exist yet, so what goes into it could not be checked by the API server", namespace),
			Hint:    fmt.Sprintf("kubectl create namespace %s, then check again.", namespace)})
		return nil
	}
	if err != nil && !apierrors.IsForbidden(err) { // who may not look at namespaces may still work in one
		return err
	}
	open, err := r.rehearse(ctx, objects.Apply, objects.After)
	refused := []error{err}
	for _, q := range open {
		if forbids(q.err) && !r.unsettled(q.err) { // a run tries it, but nothing in the file promises another answer
			refused = append(refused, q.err)
			continue
		}
		if !apierrors.IsAlreadyExists(q.err) {
			r.post(event.Notice{Level: event.Warning, Message: fmt.Sprintf("%s could not be checked yet: what the file applies may change the answer (%v)", q.of, q.err)})
			continue
		}
		var old *batchv1.Job
		if err := client.Do(ctx, "look at the Job", func(ctx context.Context) (err error) {
			old, err = client.Jobs(namespace).Get(ctx, r.objects.Job.Name, metav1.GetOptions{})
			return err
		}); err != nil {
			return err
		}
		r.post(event.Notice{Level: event.Warning, Message: fmt.Sprintf("%s exists already (%s); if-exists decides what a run does with it", r.ref(), state(old))})
	}
	return joined(refused)
}

// question is an object about which a rehearsal leaves open whether the run's own request will be refused.
type question struct {
	of  event.Ref
	err error
}

// rehearse has the API server check, admission included, what is yet to be applied, before the Job and after it, the helpers and the Job.
// All that is refused is told at once, in one error. What may be answered otherwise when its time has come is left open.
func (r *runner) rehearse(ctx context.Context, apply, after []*unstructured.Unstructured) (open []question, err error) {
	var refused []error
	// try is false when the API server cannot be asked any more.
	try := func(of event.Ref, heals func(error) bool, err error) bool {
		var cause *event.Cause
		switch {
		case err == nil:
		case heals(err):
			open = append(open, question{of, err})
		default:
			refused = append(refused, err)
			return errors.As(err, &cause) && (cause.Reason == event.InvalidManifest || cause.Reason == event.InvalidInput || cause.Reason == event.Forbidden)
		}
		return true
	}
	for _, o := range slices.Concat(apply, after) {
		if !try(applied(o), func(err error) bool { return defines(apply, o) || r.mayHeal(err, apply, true) }, r.apply(ctx, o, true)) {
			return nil, joined(refused)
		}
	}
	heals := func(err error) bool { return r.mayHeal(err, apply, false) }
	for _, o := range r.objects.Owned {
		if !try(refOf(o), heals, r.placed(o, refOf(o), r.helper(o).try(ctx))) {
			return nil, joined(refused)
		}
	}
	try(r.ref(), heals, r.placed(r.objects.Job, r.ref(), r.client.Do(ctx, "check "+r.ref().String(), func(ctx context.Context) error {
		_, err := r.client.Jobs(r.objects.Job.Namespace).Create(ctx, r.objects.Job, dryRun)
		return err
	})))
	return open, joined(refused)
}

// joined is one error that tells of all, nil for none. It has the reason of the first, and each hint once.
func joined(errs []error) error {
	errs = slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	var all event.Cause
	var messages, hints []string
	for i, err := range errs {
		cause := cluster.Cause(err, "make an object")
		if i == 0 {
			all = *cause
		}
		messages = append(messages, cause.Message)
		if cause.Hint != "" && !slices.Contains(hints, cause.Hint) {
			hints = append(hints, cause.Hint)
		}
	}
	all.Message, all.Hint, all.Err = strings.Join(messages, "; "), strings.Join(hints, "\n"), errors.Join(errs...)
	return &all
}

// apply applies one of the user's own objects.
func (r *runner) apply(ctx context.Context, o *unstructured.Unstructured, dryRun bool) error {
	return r.placed(o, applied(o), r.client.Apply(ctx, o, dryRun))
}

func applied(o *unstructured.Unstructured) event.Ref {
	return event.Ref{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
}

// mayHeal tells whether a rehearsal failed for what does not matter, or what is yet to be applied may change: more than the API server
// finds wrong with the fields, and rights that nothing grants, cannot be known before. theirs says that the error is about one of these.
func (r *runner) mayHeal(err error, apply []*unstructured.Unstructured, theirs bool) bool {
	var status apierrors.APIStatus
	switch {
	case apierrors.IsAlreadyExists(err), unrehearsed(err):
		return true
	case len(apply) == 0:
		return false
	case cluster.Denied(err):
		return slices.ContainsFunc(apply, func(o *unstructured.Unstructured) bool {
			return o.GroupVersionKind().Group == "rbac.authorization.k8s.io"
		})
	case apierrors.IsNotFound(err) && errors.As(err, &status):
		if d := status.Status().Details; d != nil && d.Kind == "namespaces" {
			return r.bringsNamespace(d.Name)
		}
		return theirs // a RoleBinding's Role, for one
	}
	if errors.As(err, &status) && strings.Contains(status.Status().Message, " quota: ") { // plugin/resourcequota of the apiserver, controller.go
		return r.unsettled(err)
	}
	return forbids(err) // a policy or a webhook may look at anything
}

// forbids tells whether the API server, or its admission, does not allow what was asked for.
func forbids(err error) bool {
	var cause *event.Cause
	return errors.As(err, &cause) && cause.Reason == event.Forbidden
}

// bringsNamespace tells whether the run makes the namespace, or the user's objects do.
func (r *runner) bringsNamespace(name string) bool {
	return r.objects.CreateNamespace && name == r.objects.Job.Namespace || slices.ContainsFunc(r.objects.Apply, func(o *unstructured.Unstructured) bool {
		return o.GroupVersionKind().GroupKind() == schema.GroupKind{Kind: "Namespace"} && o.GetName() == name
	})
}

// defines tells whether a CustomResourceDefinition among the objects defines the kind of another one.
func defines(objects []*unstructured.Unstructured, other *unstructured.Unstructured) bool {
	return slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool {
		group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
		return o.GroupVersionKind().GroupKind() == schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"} &&
			other.GroupVersionKind().GroupKind() == schema.GroupKind{Group: group, Kind: kind}
	})
}

// unsettled tells whether an error may be that of an API server which does not know yet what was applied: limits, rights, rules, or a
// namespace's labels.
func (r *runner) unsettled(err error) bool {
	return forbids(err) && slices.ContainsFunc(r.objects.Apply, func(o *unstructured.Unstructured) bool {
		switch gk := o.GroupVersionKind().GroupKind(); gk.Group {
		case "":
			return gk.Kind == "ResourceQuota" || gk.Kind == "LimitRange" || gk.Kind == "Namespace"
		case "admissionregistration.k8s.io", "rbac.authorization.k8s.io":
			return true
		}
		return false
	})
}

// settled is how long the cluster has to take in what was applied: a new kind is served, and known to all API servers, some seconds
// after its definition, and a controller reads a quota's limits.
const settled = 10 * time.Second

// untilSettled repeats what fails, while its error lags behind what was applied.
func untilSettled(ctx context.Context, lags func(error) bool, do func() error) error {
	for begin := time.Now(); ; {
		err := do()
		if err == nil || !lags(err) || time.Since(begin) >= settled {
			return err
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return err
		}
	}
}

// unrehearsed tells whether an admission webhook is too old to be asked by a dry run (apiserver, pkg/admission/plugin/webhook/errors,
// NewDryRunUnsupportedErr).
func unrehearsed(err error) bool {
	return apierrors.IsBadRequest(err) && strings.Contains(err.Error(), "does not support dry run")
}

// maxProblems is how many problems of one object are told.
const maxProblems = 100

// placed tells, field by field and with its place, what the API server finds wrong with an object, when that is what the error says.
func (r *runner) placed(o runtime.Object, of event.Ref, err error) error {
	var cause *event.Cause
	var status apierrors.APIStatus
	err = cluster.In(err, cmp.Or(of.Namespace, r.client.Namespace))
	if r.objects.Place == nil || !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return err
	}
	if errors.As(err, &cause) && cause.Reason != event.InvalidManifest { // an admission policy denies it
		return err
	}
	var findings []event.Finding
	for _, c := range status.Status().Details.Causes {
		if f := r.objects.Place(o, c.Field, c.Message); c.Message != "" && !slices.Contains(findings, f) {
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
