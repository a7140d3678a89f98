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
	case ending(job):
		return fmt.Sprintf("%s is ending, so it is left alone", ref), nil
	}
	err = remove(ctx, client, ref, uid, metav1.DeletePropagationBackground)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return fmt.Sprintf("%s is gone already", ref), nil
	case err != nil:
		return "", err
	}
	return fmt.Sprintf("%s deleted (%s)", ref, why), nil
}

// ending reports whether the outcome is decided, and only the last pods have yet to end (batch/v1, JobConditionType).
func ending(j *batchv1.Job) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
		return (c.Type == batchv1.JobSuccessCriteriaMet || c.Type == batchv1.JobFailureTarget) && c.Status == corev1.ConditionTrue
	})
}

// look reads the Job; nil when there is none of that name.
func look(ctx context.Context, client *cluster.Client, ref event.Ref) (*batchv1.Job, error) {
	var job *batchv1.Job
	err := client.Do(ctx, "look at "+ref.String(), func(ctx context.Context) (err error) {
		job, err = client.Jobs(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		return err
	})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return job, nil
}

// remove deletes the Job with this UID, and with it all that it owns. Without one of that name or UID, the error is one that
// apierrors.IsNotFound or IsConflict knows.
func remove(ctx context.Context, client *cluster.Client, ref event.Ref, uid types.UID, propagation metav1.DeletionPropagation) error {
	return client.Do(ctx, "delete "+ref.String(), func(ctx context.Context) error {
		return client.Jobs(ref.Namespace).Delete(ctx, ref.Name,
			metav1.DeleteOptions{PropagationPolicy: &propagation, Preconditions: metav1.NewUIDPreconditions(string(uid))})
	})
}

// heldAfter is how long an end is waited for before it is told what it waits for.
const heldAfter = 10 * time.Second

// holder says what keeps a Job from going. Kubernetes itself takes its two finalizers away.
func (r *runner) holder(ctx context.Context, job *batchv1.Job) event.Notice {
	ref := r.ref()
	n := event.Notice{Level: event.Warning, Message: fmt.Sprintf("%s is still there after %s: ", ref, event.Seconds(heldAfter))}
	finalizers := slices.DeleteFunc(slices.Clone(job.Finalizers), func(f string) bool {
		return f == metav1.FinalizerDeleteDependents || f == metav1.FinalizerOrphanDependents
	})
	if len(finalizers) > 0 && job.DeletionTimestamp != nil {
		n.Message += "its finalizers hold it (" + event.Shorten(strings.Join(finalizers, ", "), 300) + ")"
		n.Hint = event.See("Whoever has put them there takes them away; by force", event.Kubectl(ref.Namespace, `patch job %s --type=merge -p '{"metadata":{"finalizers":null}}'`, ref.Name))
		return n
	}
	n.Message += "its pods have not ended"
	n.Hint = event.See("They have until the end of their terminationGracePeriodSeconds, and longer on a node that is gone", showPods(ref))
	var names []string
	_ = r.client.Do(ctx, "list the pods of "+ref.String(), func(ctx context.Context) error { // without an answer they have no names
		pods, err := r.client.Pods(ref.Namespace).List(ctx, metav1.ListOptions{LabelSelector: watch.PodSelector(job)})
		if err == nil {
			for _, p := range pods.Items {
				if metav1.IsControlledBy(&p, job) {
					names = append(names, p.Name)
				}
			}
		}
		return err
	})
	if names != nil {
		n.Message += " (" + event.Shorten(strings.Join(names, ", "), 300) + ")"
	}
	return n
}

// showPods is the command that shows the pods of a Job.
func showPods(job event.Ref) string {
	return event.Kubectl(job.Namespace, "get pods -l job-name=%s", job.Name)
}
