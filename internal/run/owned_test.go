package run

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// TestOwnTogether renews and owns a ConfigMap that other runs change, or the garbage collector deletes, at the same time.
func TestOwnTogether(t *testing.T) {
	const create, get, put = "POST /api/v1/namespaces/ns/configmaps", "GET /api/v1/namespaces/ns/configmaps/note", "PUT /api/v1/namespaces/ns/configmaps/note"
	const getJob = "GET /apis/batch/v1/namespaces/ns/jobs/other"
	resource := schema.GroupResource{Resource: "configmaps"}
	exists := apierrors.NewAlreadyExists(resource, "note").Status()
	missing := apierrors.NewNotFound(resource, "note").Status()
	conflict := apierrors.NewConflict(resource, "note", errors.New("it has been modified")).Status()
	note := func(version, text string, owners ...string) *corev1.ConfigMap {
		m := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "note", ResourceVersion: version}, Data: map[string]string{"note": text}}
		for _, o := range owners {
			m.OwnerReferences = append(m.OwnerReferences, metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: "other", UID: types.UID(o)})
		}
		return m
	}
	other := func(uid types.UID, conditions ...batchv1.JobConditionType) *batchv1.Job {
		j := job(conditions...)
		j.TypeMeta, j.Name, j.UID = metav1.TypeMeta{Kind: "Job", APIVersion: "batch/v1"}, "other", uid
		return j
	}
	var always []exchange
	for range 9 {
		always = append(always, exchange{create, 409, exists}, exchange{get, 200, note("1", "hello", "a")}, exchange{put, 409, conflict})
	}
	for _, test := range []struct {
		name      string
		exchanges []exchange
		version   string // of the last request's body
		owners    string
		want      string // of the error; "" for none
	}{
		{"changed by another run", []exchange{{create, 409, exists}, {get, 200, note("1", "hello", "a")}, {put, 409, conflict},
			{create, 409, exists}, {get, 200, note("2", "hello", "a", "b")}, {put, 200, note("3", "hello")}}, "2", "a b ours", ""},
		{"deleted before the look", []exchange{{create, 409, exists}, {get, 404, missing}, {create, 201, note("3", "hello")}}, "", "ours", ""},
		{"deleted and made again before the look", []exchange{{create, 409, exists}, {get, 404, missing}, {create, 409, exists},
			{get, 200, note("2", "hello", "b")}, {put, 200, note("3", "hello")}}, "2", "b ours", ""},
		{"always changed", always, "1", "a ours", "it was changed by someone else at the same time"},
		{"changed by a run that still needs it", []exchange{{create, 409, exists}, {get, 200, note("2", "new", "b")}, {getJob, 200, other("b")}}, "", "",
			"ConfigMap ns/note exists already, with another content, which Job other needs: it still runs"},
		{"changed by a run that has ended since", []exchange{{create, 409, exists}, {get, 200, note("2", "new", "b")}, {getJob, 200, other("b", batchv1.JobComplete)}}, "", "",
			"ConfigMap ns/note exists already, with another content"},
		{"renewed: there is none", []exchange{{get, 404, missing}}, "", "", ""},
		{"renewed: it has our content", []exchange{{get, 200, note("1", "hello")}}, "", "", ""},
		{"renewed: nobody needs the old content", []exchange{{get, 200, note("1", "old", "a", "gone")}, {getJob, 200, other("a", batchv1.JobFailed)}, {getJob, 404, missing},
			{put, 200, note("2", "hello")}}, "1", "a gone", ""},
		{"renewed: changed by another run", []exchange{{get, 200, note("1", "old", "a")}, {getJob, 200, other("a", batchv1.JobComplete)}, {put, 409, conflict},
			{get, 200, note("2", "new", "b")}, {getJob, 200, other("b")}}, "", "", "ConfigMap ns/note exists already, with another content, which Job other needs: it still runs"},
		{"renewed: deleted after the look", []exchange{{get, 200, note("1", "old", "a")}, {getJob, 200, other("a", batchv1.JobComplete)}, {put, 404, missing}, {get, 404, missing}}, "", "", ""},
		{"renewed: the user's own", []exchange{{get, 200, note("1", "old")}}, "", "", "does not belong to a Job that has ended"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, server := play(t, test.exchanges...)
				r.created = job()
				r.created.UID = "ours"
				r.objects.Owned = []runtime.Object{note("", "hello")}
				write := r.createOwned
				if strings.HasPrefix(test.name, "renewed: ") {
					write = r.renewOwned
				}
				err := write(t.Context())
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				last := &corev1.ConfigMap{}
				if body := server.Sent(); len(body) > 0 {
					if err := decode(body, last); err != nil {
						t.Fatal(err)
					}
				}
				var owners []string
				for _, o := range last.OwnerReferences {
					owners = append(owners, string(o.UID))
				}
				if diff := cmp.Diff(test.version+": "+test.owners, last.ResourceVersion+": "+strings.Join(owners, " ")); diff != "" {
					t.Error("the last request (-want +got):\n" + diff)
				}
			})
		})
	}
}
