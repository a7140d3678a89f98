package run

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// check is what Check does, beside the loop.
func (r *runner) check(ctx context.Context) error {
	client, objects, namespace := r.client, r.objects, r.objects.Job.Namespace
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
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
	for _, o := range objects.Apply {
		if err := client.Apply(ctx, o, true); err != nil {
			return err
		}
	}
	for _, o := range objects.Owned {
		err := client.Do(ctx, "check "+refOf(o).String(), func(ctx context.Context) (err error) {
			switch o := o.(type) {
			case *corev1.Secret:
				_, err = client.Secrets(namespace).Create(ctx, o, dryRun)
			case *corev1.ConfigMap:
				_, err = client.ConfigMaps(namespace).Create(ctx, o, dryRun)
			}
			return err
		})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	job := objects.Job
	err = client.Do(ctx, "check Job "+namespace+"/"+job.Name, func(ctx context.Context) error {
		_, err := client.Jobs(namespace).Create(ctx, job, dryRun)
		return err
	})
	if apierrors.IsAlreadyExists(err) {
		var old *batchv1.Job
		if err := client.Do(ctx, "look at the Job", func(ctx context.Context) (err error) {
			old, err = client.Jobs(namespace).Get(ctx, job.Name, metav1.GetOptions{})
			return err
		}); err != nil {
			return err
		}
		r.post(event.Notice{Level: event.Warning, Message: fmt.Sprintf("Job %s/%s exists already (%s); if-exists decides what a run does with it", namespace, job.Name, state(old))})
		return nil
	}
	return err
}
