package run

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// TestMakeRoom replaces a Job that has ended.
func TestMakeRoom(t *testing.T) {
	const create = "POST " + jobsURL + "?fieldManager=kubernetes-job-action"
	const watch = "GET " + jobsURL + "?fieldSelector=metadata.name%3Dj&resourceVersion=7&watch=true"
	const get, remove = "GET " + jobURL, "DELETE " + jobURL
	exists := apierrors.NewAlreadyExists(jobsResource, "j").Status()
	missing := apierrors.NewNotFound(jobsResource, "j").Status()
	denied := apierrors.NewForbidden(jobsResource, "j", errors.New("no")).Status()
	conflict := apierrors.NewConflict(jobsResource, "j", errors.New("the UID is another")).Status()
	expired := map[string]any{"type": "ERROR", "object": apierrors.NewResourceExpired("too old").Status()}
	gone := map[string]any{"type": "DELETED", "object": there("old")}
	old, rival := there("old", batchv1.JobComplete), there("rival")
	for _, test := range []struct {
		name      string
		exchanges []exchange
		took      time.Duration
		want      string // of the error; "" for none
	}{
		{"watched", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 200, gone}, {get, 404, missing}, {create, 201, there("ours")}}, 0, ""},
		{"nobody may watch", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old},
			{watch, 403, denied}, {get, 200, old}, {watch, 403, denied}, {get, 200, old}, {watch, 403, denied}, {get, 404, missing}, {create, 201, there("ours")}}, 3 * lookAgain, ""},
		{"the watch ends", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 200, expired}, {get, 404, missing}, {create, 201, there("ours")}}, lookAgain, ""},
		{"a rival takes the name", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 200, gone}, {get, 200, rival},
			{create, 409, exists}, {get, 200, rival}}, 0, "Job ns/j exists already and is still running"},
		{"a rival was faster", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 409, conflict},
			{create, 409, exists}, {get, 200, rival}}, 0, "Job ns/j exists already and is still running"},
		{"a rival took the name, and has ended", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 200, gone}, {get, 200, there("rival", batchv1.JobFailed)},
			{create, 409, exists}, {get, 200, there("rival", batchv1.JobFailed)}, {remove, 200, old}, {watch, 200, gone}, {get, 404, missing}, {create, 201, there("ours")}}, 0, ""},
		{"it does not end", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 403, denied}, {get, 200, old},
			{watch, 403, denied}, {get, 200, old}, {watch, 403, denied}, {get, 200, old}, {watch, 403, denied}}, 1700 * time.Millisecond, "was deleted to make room, but is still there after 1.7s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := play(t, test.exchanges...)
				r.options.IfExists = "replace-finished"
				r.options.Verdict.StartTimeout = 1700 * time.Millisecond
				begin := time.Now()
				got, err := r.create(t.Context())
				switch {
				case test.want == "" && (err != nil || got.UID != "ours"):
					t.Errorf("got %v, %v", got, err)
				case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
					t.Errorf("got %v, want %q", err, test.want)
				}
				if took := time.Since(begin); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
			})
		})
	}
}
