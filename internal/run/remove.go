package run

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/verdict"
	"github.com/planton/kubernetes-job-action/internal/watch"
)

// Remove deletes the Job of a run that is gone, unless the Job has ended or is about to, or is another one of the same name. It
// does not wait for the pods to end. It returns one sentence about what became of the Job; why is the reason that it gives for a
// deletion. The error is a *event.Cause.
func Remove(ctx context.Context, client *cluster.Client, ref event.Ref, uid types.UID, why string) (string, error) {
	job, err := look(ctx, client, ref)
	switch {
	case err != nil:
		return "", err
	case job == nil:
		return fmt.Sprintf("%s is gone already", ref), nil
	case job.UID != uid:
		return fmt.Sprintf("%s is another one of the same name, so it is left alone", ref), nil
	case job.DeletionTimestamp != nil:
		return fmt.Sprintf("%s is being deleted already", ref), nil
	case finished(job):
		return fmt.Sprintf("%s has %s, so it is left alone", ref, state(job)), nil
	}
	if _, over := decided(job); over {
		return fmt.Sprintf("%s is ending, so it is left alone", ref), nil
	}
	held, err := remove(ctx, client, ref, uid, metav1.DeletePropagationBackground)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return fmt.Sprintf("%s is gone already", ref), nil
	case err != nil:
		return "", err
	case held != nil:
		told := fmt.Sprintf("%s is being deleted (%s)", ref, why)
		if by, hint := verdict.Holders(held); by != "" {
			told += "; " + by + ". " + hint
		}
		return told, nil
	}
	return fmt.Sprintf("%s deleted (%s)", ref, grace(why, job)), nil
}

// look reads the Job; nil when there is none of that name.
func look(ctx context.Context, client *cluster.Client, ref event.Ref) (*batchv1.Job, error) {
	var job *batchv1.Job
	err := client.Do(ctx, "look at "+ref.String(), func(ctx context.Context) (err error) {
		job, err = client.Jobs(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		return err
	})
	return orNil(job, err)
}

// orNil is the answer to a look at an object: nil, without an error, when there is none.
func orNil[T any](found *T, err error) (*T, error) {
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return found, nil
}

// remove deletes the Job with this UID, and with it all that it owns. Held is the Job that is there until its finalizers are taken away, nil
// when it is gone. Without one of that name or UID, the error is one that apierrors.IsNotFound or IsConflict knows.
func remove(ctx context.Context, client *cluster.Client, ref event.Ref, uid types.UID, propagation metav1.DeletionPropagation) (held *batchv1.Job, err error) {
	err = client.Do(ctx, "delete "+ref.String(), func(ctx context.Context) (err error) {
		held, err = client.DeleteJob(ctx, ref.Namespace, ref.Name,
			metav1.DeleteOptions{PropagationPolicy: &propagation, Preconditions: metav1.NewUIDPreconditions(string(uid))})
		return err
	})
	if held != nil && held.DeletionTimestamp == nil {
		held = nil
	}
	return held, err
}

// grace adds to why a Job was deleted how long its pods have to end.
func grace(why string, job *batchv1.Job) string {
	if s := job.Spec.Template.Spec.TerminationGracePeriodSeconds; s != nil && *s > 0 {
		why += "; its pods may work on for up to " + event.Seconds(time.Duration(*s)*time.Second)
	}
	return why
}

// heldAfter is how long an end is waited for before it is told what it waits for.
const heldAfter = 10 * time.Second

// holder says what keeps a Job from going, and what to do about it.
func (r *runner) holder(ctx context.Context, job *batchv1.Job) (why, hint string) {
	ref := r.ref()
	if why, hint := verdict.Holders(job); hint != "" && job.DeletionTimestamp != nil {
		return why, hint
	}
	why = "its pods have not ended"
	hint = event.See("They have until the end of their terminationGracePeriodSeconds, and longer on a node that is gone", showPods(ref))
	if own, err := r.listPods(ctx, job); err == nil && len(own) > 0 { // without an answer they have no names
		why += " (" + podNames(own) + ")"
	}
	return why, hint
}

// listPods lists the pods of a Job, in the order of the API server's answer.
func (r *runner) listPods(ctx context.Context, job *batchv1.Job) ([]corev1.Pod, error) {
	var pods *corev1.PodList
	err := r.client.Do(ctx, "list the pods of "+r.ref().String(), func(ctx context.Context) (err error) {
		pods, err = r.client.Pods(job.Namespace).List(ctx, metav1.ListOptions{LabelSelector: watch.PodSelector(job)})
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return !metav1.IsControlledBy(&p, job) }), nil
}

// working lists the pods of a Job, and of those that had its name before, which have not ended.
func working(ctx context.Context, client *cluster.Client, job event.Ref) ([]corev1.Pod, error) {
	var pods *corev1.PodList
	err := client.Do(ctx, "list the pods of "+job.String(), func(ctx context.Context) (err error) {
		pods, err = client.Pods(job.Namespace).List(ctx, metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job.Name,
			FieldSelector: "status.phase!=Succeeded,status.phase!=Failed"})
		return err
	})
	if err != nil {
		return nil, err
	}
	// Whoever copies a template with its labels into a Deployment has pods with that label too.
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
		c := metav1.GetControllerOf(&p)
		return c != nil && (c.Kind != "Job" || c.Name != job.Name)
	}), nil
}

// podNames are the names of some pods, for a sentence.
func podNames(pods []corev1.Pod) string {
	var names []string
	for _, p := range pods {
		names = append(names, p.Name)
	}
	return event.Shorten(strings.Join(names, ", "), 300)
}

// showPods is the command that shows the pods of a Job.
func showPods(job event.Ref) string {
	return event.Kubectl(job.Namespace, "get pods -l job-name=%s", job.Name)
}
