package run

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilrand "k8s.io/apimachinery/pkg/util/rand"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// answer is what a run does about a Job that has its name.
type answer string

// The answers, beside an error.
const (
	replaces answer = "replace" // it goes, or is waited for while it does
	follows  answer = "follow"  // this run does what follows a creation with it
	reports  answer = "report"  // it has succeeded, and that is this run's outcome
	renames  answer = "rename"  // this run's Job gets another name
)

// Joins tells whether a Job that another run has made may be the one of this run.
func (i IfExists) Joins() bool { return i == IfExistsAttach || i == IfExistsKeepSucceeded }

// answerTo is what IfExists says to the old Job. The error is that of one that has to stay, or about which too little can be known. A
// Job whose outcome is decided counts as finished: it is no work that goes on. Only attach follows a success to the end of its last pods.
func (r *runner) answerTo(ctx context.Context, old *batchv1.Job) (answer, error) {
	ref, ifExists := r.ref(), r.options.IfExists
	if ifExists == IfExistsSuffix {
		return renames, nil
	}
	err := allowed(ifExists, ref, old)
	succeeded, over := decided(old)
	if !ifExists.Joins() || !made(old) || old.DeletionTimestamp != nil || over && (!succeeded || finished(old) && ifExists == IfExistsAttach) {
		return replaces, err
	}
	differs, compareErr := r.differs(ctx, old)
	switch {
	case compareErr != nil:
		return "", compareErr
	case differs == "" && succeeded && ifExists == IfExistsKeepSucceeded:
		return reports, nil
	case differs == "":
		return follows, nil
	case err == nil:
		return replaces, nil
	}
	return "", &event.Cause{Reason: event.InvalidInput, Object: ref,
		Message: fmt.Sprintf("%s exists already, is still running, and is another one: %s%s", ref, differs, whose(old)),
		Hint:    fmt.Sprintf("Wait for its end (kubectl -n %s get job %s --watch), or give each manifest a name of its own (name, name-suffix).", ref.Namespace, ref.Name)}
}

// allowed tells whether the old Job may be replaced. One that this program did not make is replaced only when the user says so. One that is
// being deleted is in nobody's way for long.
func allowed(ifExists IfExists, ref event.Ref, old *batchv1.Job) error {
	cause := &event.Cause{Reason: event.InvalidInput, Object: ref}
	_, over := decided(old)
	switch {
	case ifExists == IfExistsReplace, old.DeletionTimestamp != nil:
		return nil
	case !made(old):
		cause.Message = fmt.Sprintf("%s exists already (%s), and this program did not make it%s", ref, state(old), whose(old))
		cause.Hint = "Give this Job another name (name, name-suffix), or say if-exists: replace to delete that one with its pods and their logs."
	case ifExists == IfExistsFail:
		cause.Message = fmt.Sprintf("%s %s", ref, existing(old))
		cause.Hint = "Give each run, and each job of a matrix, a name of its own with name-suffix, or say if-exists: replace-finished."
	case !over:
		cause.Message = fmt.Sprintf("%s exists already and is still running%s", ref, whose(old))
		cause.Hint = fmt.Sprintf("Wait for its end (kubectl -n %s get job %s --watch), say if-exists: attach to follow it when it runs the same manifest, or replace to end it, or give each run, and each job of a matrix, a name of its own with name-suffix.", ref.Namespace, ref.Name)
	default:
		return nil
	}
	return cause
}

// decided tells whether the outcome of a Job is decided, and whether that is a success; its last pods may still be ending. As in package
// verdict, a success that another controller only announces does not count.
func decided(j *batchv1.Job) (succeeded, over bool) {
	for _, c := range j.Status.Conditions {
		switch {
		case c.Status != corev1.ConditionTrue:
		case c.Type == batchv1.JobComplete, c.Type == batchv1.JobSuccessCriteriaMet && !external(j):
			succeeded, over = true, true
		case c.Type == batchv1.JobFailed, c.Type == batchv1.JobFailureTarget:
			over = true
		}
	}
	return succeeded, over
}

// external tells whether another controller than Kubernetes' own runs a Job.
func external(j *batchv1.Job) bool {
	return j.Spec.ManagedBy != nil && *j.Spec.ManagedBy != batchv1.JobControllerName
}

// differs says in what the work of an old Job of ours is not that of this run; "" when it is the same work.
func (r *runner) differs(ctx context.Context, old *batchv1.Job) (string, error) {
	was, is := old.Annotations, r.objects.Job.Annotations
	switch key := event.OnceKeyAnnotation; {
	case was[event.ManifestHashAnnotation] != is[event.ManifestHashAnnotation] || is[event.ManifestHashAnnotation] == "":
		return "its manifest, or what the options make of it, differs", nil
	case r.options.IfExists == IfExistsKeepSucceeded && was[key] != is[key]:
		return fmt.Sprintf("it has %s, and this run has %s", onceKey(old), onceKey(r.objects.Job)), nil
	}
	for _, o := range r.objects.Owned {
		if want, ok := o.(*corev1.Secret); ok {
			if differs, err := r.secretDiffers(ctx, old, want, true); differs != "" || err != nil {
				return differs, err
			}
		}
	}
	for _, o := range slices.Concat(r.objects.Apply, r.objects.After) {
		if want := asSecret(o); want != nil {
			want.Namespace = cmp.Or(want.Namespace, r.client.Namespace)
			if differs, err := r.secretDiffers(ctx, old, want, false); differs != "" || err != nil {
				return differs, err
			}
		}
	}
	return "", nil
}

// secretDiffers compares the content of a Secret with what is there. Nothing of it is in the manifest's hash, where guesses at it could be
// tried. What is not there, or may not be read, cannot be compared: neither to do the work again nor to leave it would be sure to be right.
// One that goes with a running Job is made a moment after it, and by this run when the one that made the Job was killed in between.
func (r *runner) secretDiffers(ctx context.Context, old *batchv1.Job, want *corev1.Secret, owned bool) (string, error) {
	ref := refOf(want)
	_, over := decided(old)
	unknown := func(why string, err error) error {
		return &event.Cause{Reason: event.InvalidInput, Object: r.ref(), Err: err,
			Message: fmt.Sprintf("%s exists already (%s)%s, and whether it does the same as this run is not known: %s %s", r.ref(), state(old), whose(old), ref, why),
			Hint:    event.See("To run again all the same, delete the Job", event.Kubectl(old.Namespace, "delete job %s", old.Name))}
	}
	for begin := time.Now(); ; {
		var there *corev1.Secret
		err := r.client.Do(ctx, "look at "+ref.String(), func(ctx context.Context) (err error) {
			there, err = r.client.Secrets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
			return err
		})
		switch {
		case err == nil && owned && (r.helper(want).(shared[*corev1.Secret])).same(there, want), err == nil && !owned && holds(there, want):
			return "", nil
		case err == nil:
			return fmt.Sprintf("%s has another content", ref), nil
		case cluster.Denied(err):
			return "", unknown("may not be read (it takes get on secrets)", err)
		case !apierrors.IsNotFound(err):
			return "", err
		case !owned || over:
			return "", unknown("is gone", err)
		case time.Since(begin) >= settled:
			return "", nil
		}
		if err := pause(ctx, lookAgain); err != nil {
			return "", err
		}
	}
}

// asSecret is a Secret of the user's file; nil for every other object.
func asSecret(o *unstructured.Unstructured) *corev1.Secret {
	var s corev1.Secret
	if o.GroupVersionKind() != corev1.SchemeGroupVersion.WithKind("Secret") || runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &s) != nil {
		return nil
	}
	return &s
}

// holds tells whether a Secret has what an apply of another one would write into it.
func holds(there, want *corev1.Secret) bool {
	for key, value := range content(want) {
		if is, ok := there.Data[key]; !ok || string(is) != string(value) {
			return false
		}
	}
	return true
}

// join makes the Job of another run the one of this run, unless the lock is lost.
func (r *runner) join(ctx context.Context, old *batchv1.Job, a answer) error {
	if err := r.nameUnderLock(ctx, old.Name, old.Annotations[cluster.NonceAnnotation]); err != nil {
		return err
	}
	r.created, r.joined, r.reported = old, true, a == reports
	return nil
}

// rename gives this run's Job another name, because its own is taken, as why says.
func (r *runner) rename(ctx context.Context, why string) error {
	was := r.ref()
	objects, err := r.objects.Rename(utilrand.String(5)) // as long as what the API server generates
	if err != nil {
		return err
	}
	r.objects = objects
	r.post(event.Notice{Level: event.Info, Message: fmt.Sprintf("%s %s, so the Job of this run is called %s, as if-exists: suffix says", was, why, r.ref().Name)})
	return r.nameUnderLock(ctx, r.objects.Job.Name, r.objects.Job.Annotations[cluster.NonceAnnotation])
}

// existing says that a Job is there, and whose.
func existing(job *batchv1.Job) string {
	return fmt.Sprintf("exists already (%s)%s", state(job), whose(job))
}

// success says when a Job succeeded, and for whom.
func success(job *batchv1.Job) string {
	text := "has succeeded already"
	if t := job.Status.CompletionTime; t != nil {
		text += ", at " + t.UTC().Format(time.RFC3339)
	}
	if job.Annotations[event.OnceKeyAnnotation] != "" {
		text += ", for " + onceKey(job)
	}
	return text + whose(job)
}

// onceKey names the key of a Job, for a sentence.
func onceKey(job *batchv1.Job) string {
	if key := job.Annotations[event.OnceKeyAnnotation]; key != "" {
		return "the once-key " + foreign(key, 100)
	}
	return "no once-key"
}
