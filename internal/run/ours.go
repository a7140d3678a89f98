package run

import (
	"context"
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// made reports whether this program made the Job: it has our label, a nonce, and no owner. A CronJob whose template was copied from
// a Job of ours makes Jobs with that label and that nonce, and owns them.
func made(j *batchv1.Job) bool {
	return j.Labels[event.ManagedByLabel] == event.ManagedBy && j.Annotations[cluster.NonceAnnotation] != "" && len(j.OwnerReferences) == 0
}

// ours reports whether a Secret or ConfigMap may be adopted: it has our label and owners, and each of these is a Job that this
// program made. A Job that is gone counts as one: the label says that it was. running is the name of an owner whose outcome is not decided, ""
// without one; while there is one, the content must stay as it is. The Job with the UID replaced is about to be deleted, and does
// not count.
func (r *runner) ours(ctx context.Context, o metav1.Object, replaced types.UID) (ours bool, running string, err error) {
	if o.GetLabels()[event.ManagedByLabel] != event.ManagedBy || len(o.GetOwnerReferences()) == 0 {
		return false, "", nil
	}
	for _, owner := range o.GetOwnerReferences() {
		if owner.APIVersion != batchv1.SchemeGroupVersion.String() || owner.Kind != "Job" {
			return false, "", nil
		}
		job, err := r.client.Jobs(o.GetNamespace()).Get(ctx, owner.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return false, "", err
		case job.UID != owner.UID, job.UID == replaced:
		case !made(job):
			return false, "", nil
		default:
			if _, over := decided(job); !over {
				running = job.Name
			}
		}
	}
	return true, running, nil
}

// whose says what an object shows of whom it belongs to, in brackets behind a blank; "" when it shows nothing.
func whose(o metav1.Object) string {
	var all []string
	for _, owner := range o.GetOwnerReferences() {
		all = append(all, fmt.Sprintf("its owner is %s %s", owner.Kind, owner.Name))
	}
	if by := o.GetLabels()[event.ManagedByLabel]; by != "" && by != event.ManagedBy {
		all = append(all, "it is managed by "+by)
	}
	for _, mark := range []struct{ words, key string }{{"made by ", event.RunURLAnnotation}, {"attempt ", event.AttemptAnnotation}, {"commit ", event.CommitAnnotation}, {"started by ", event.ActorAnnotation}} {
		if value := o.GetAnnotations()[mark.key]; value != "" {
			all = append(all, mark.words+event.Shorten(value, 100))
		}
	}
	if all == nil {
		return ""
	}
	return " (" + foreign(strings.Join(all, ", "), 300) + ")"
}

// foreign is what anybody may have written, for a sentence: in one line, so that nothing of it looks like a line of ours, and bounded.
func foreign(s string, limit int) string {
	return strings.Join(strings.Fields(event.Shorten(s, limit)), " ")
}
