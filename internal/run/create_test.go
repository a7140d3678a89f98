package run

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

const (
	jobsURL = "/apis/batch/v1/namespaces/ns/jobs"
	jobURL  = jobsURL + "/j"
)

var jobsResource = schema.GroupResource{Group: "batch", Resource: "jobs"}

// there is a Job as the API server answers with it.
func there(uid types.UID, conditions ...batchv1.JobConditionType) *batchv1.Job {
	j := job(conditions...)
	j.TypeMeta, j.UID, j.ResourceVersion = metav1.TypeMeta{Kind: "Job", APIVersion: "batch/v1"}, uid, "7"
	return j
}

// TestRefusedBeforeApplying: no object of the user's is applied for a Job that may not be created.
func TestRefusedBeforeApplying(t *testing.T) {
	missing := apierrors.NewNotFound(jobsResource, "j").Status()
	denied := apierrors.NewForbidden(jobsResource, "j", errors.New("no")).Status()
	const applying = `cannot apply`
	for _, test := range []struct {
		name string
		look exchange
		want string
	}{
		{"it is running", exchange{"GET " + jobURL, 200, there("old")}, "exists already and is still running"},
		{"it has ended", exchange{"GET " + jobURL, 200, there("old", batchv1.JobComplete)}, applying},
		{"there is none, or no namespace", exchange{"GET " + jobURL, 404, missing}, applying},
		{"nobody may look", exchange{"GET " + jobURL, 403, denied}, applying},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := play(t, test.look)
				// Without a name it is refused by the client itself.
				r.objects.Apply = []*unstructured.Unstructured{{Object: map[string]any{"apiVersion": "v1", "kind": "Secret"}}}
				if err := r.prepare(t.Context(), "ns"); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
			})
		})
	}
}
