package run

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

const byForce = `Whoever has put them there takes them away; by force: kubectl -n ns patch job j --type=merge -p '{"metadata":{"finalizers":null}}'`

// TestDeletedIsGone: a Job is called deleted when it is gone, and its pods then have their grace.
func TestDeletedIsGone(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer any
		code   int
		why    string
		want   event.Event
	}{
		{"it was at work", metav1.Status{Status: metav1.StatusSuccess}, 200, "why", event.Object{Action: "deleted", Detail: "why; its pods may work on for up to 25 s"}},
		{"it had ended", metav1.Status{Status: metav1.StatusSuccess}, 200, "", event.Object{Action: "deleted"}},
		{"it was gone", apierrors.NewNotFound(jobsResource, "j").Status(), 404, "why", event.Object{Action: "deleted", Detail: "why; its pods may work on for up to 25 s"}},
		{"a finalizer holds it", goes(there("ours"), "example.com/hold"), 200, "why", event.Notice{Level: event.Warning, Message: "Job ns/j is being deleted, and still there: its finalizers hold it (example.com/hold)", Hint: byForce}},
		{"somebody waits for its pods", goes(there("ours")), 200, "", event.Notice{Level: event.Info, Message: "Job ns/j is being deleted, and still there"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := play(t, exchange{removeURL, test.code, test.answer})
				l.created = there("ours")
				l.created.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(25))
				l.cleanUp(func() error { return l.delete(t.Context()) }, test.why)
				if o, ok := test.want.(event.Object); ok {
					o.Object = l.ref()
					test.want = o
				}
				if diff := cmp.Diff([]event.Event{test.want}, told(l)); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestRemove: only a Job that is the very one, and of which nobody has decided yet how it ends, is deleted.
func TestRemove(t *testing.T) {
	const get, remove = "GET " + jobURL, "DELETE " + jobURL
	missing := apierrors.NewNotFound(jobsResource, "j").Status()
	conflict := apierrors.NewConflict(jobsResource, "j", errors.New("the UID is another")).Status()
	denied := apierrors.NewForbidden(jobsResource, "j", errors.New("no")).Status()
	deleted := there("ours")
	deleted.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	suspended, denial := there("ours"), there("ours", batchv1.JobComplete)
	suspended.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobSuspended, Status: "True"}}
	denial.Status.Conditions[0].Status = "False"
	patient := there("ours")
	patient.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(25))
	const gone, removed = "Job ns/j is gone already", "Job ns/j deleted (because)"
	for _, test := range []struct {
		name      string
		exchanges []exchange
		want      string
		reason    event.Reason // of the error; "" for none
		took      time.Duration
	}{
		{"it runs", []exchange{{get, 200, there("ours")}, {remove, 200, there("ours")}}, removed, "", 0},
		{"its pods have some time", []exchange{{get, 200, patient}, {remove, 200, metav1.Status{Status: metav1.StatusSuccess}}}, "Job ns/j deleted (because; its pods may work on for up to 25 s)", "", 0},
		{"a finalizer holds it", []exchange{{get, 200, there("ours")}, {remove, 200, goes(there("ours"), "example.com/hold")}}, "Job ns/j is being deleted (because); its finalizers hold it (example.com/hold). " + byForce, "", 0},
		{"somebody waits for its pods", []exchange{{get, 200, there("ours")}, {remove, 200, goes(there("ours"))}}, "Job ns/j is being deleted (because)", "", 0},
		{"it is suspended", []exchange{{get, 200, suspended}, {remove, 200, suspended}}, removed, "", 0},
		{"a condition is not true", []exchange{{get, 200, denial}, {remove, 200, denial}}, removed, "", 0},
		{"it is gone", []exchange{{get, 404, missing}}, gone, "", 0},
		{"it goes meanwhile", []exchange{{get, 200, there("ours")}, {remove, 404, missing}}, gone, "", 0},
		{"it is replaced meanwhile", []exchange{{get, 200, there("ours")}, {remove, 409, conflict}}, gone, "", 0},
		{"another has the name", []exchange{{get, 200, there("other")}}, "Job ns/j is another one of the same name, so it is left alone", "", 0},
		{"it is being deleted", []exchange{{get, 200, deleted}}, "Job ns/j is being deleted already", "", 0},
		{"it has succeeded", []exchange{{get, 200, there("ours", batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)}}, "Job ns/j has succeeded, so it is left alone", "", 0},
		{"it has failed", []exchange{{get, 200, there("ours", batchv1.JobFailed)}}, "Job ns/j has failed, so it is left alone", "", 0},
		{"it will succeed", []exchange{{get, 200, there("ours", batchv1.JobSuccessCriteriaMet)}}, "Job ns/j is ending, so it is left alone", "", 0},
		{"it will fail", []exchange{{get, 200, there("ours", batchv1.JobFailureTarget)}}, "Job ns/j is ending, so it is left alone", "", 0},
		{"the server is busy", []exchange{{get, 429, apierrors.NewTooManyRequests("busy", 3).Status()}, {get, 200, there("ours")}, {remove, 200, there("ours")}}, removed, "", 3 * time.Second},
		{"it may not be looked at", []exchange{{get, 403, denied}}, "", event.Forbidden, 0},
		{"it may not be deleted", []exchange{{get, 200, there("ours")}, {remove, 403, denied}}, "", event.Forbidden, 0},
		{"nobody answers", []exchange{{get, 0, nil}, {get, 0, nil}}, "", event.APIUnreachable, 40 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, p := play(t, test.exchanges...)
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
				defer cancel()
				got, err := Remove(ctx, r.client, r.ref(), "ours", "because")
				var cause *event.Cause
				if got != test.want || (err != nil) != (test.reason != "") || errors.As(err, &cause) && cause.Reason != test.reason {
					t.Errorf("got %q, %v, want %q, reason %q", got, err, test.want, test.reason)
				}
				if took := time.Since(begin); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
				if last := test.exchanges[len(test.exchanges)-1]; strings.HasPrefix(last.Want, http.MethodDelete) {
					var o metav1.DeleteOptions
					if err := decode(p.Sent(), &o); err != nil || o.Preconditions == nil || *o.Preconditions.UID != "ours" || *o.PropagationPolicy != metav1.DeletePropagationBackground {
						t.Errorf("deleted with %s", p.Sent())
					}
				}
			})
		})
	}
}
