package run

import (
	"testing"
	"testing/synctest"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/verdict"
)

// TestUncountedPods: SuccessCriteriaMet comes with the pod among the uncounted (job_controller.go, trackJobStatusAndRemoveFinalizers), so
// succeeded is still 0. The pods must be listed once more, or the log of a pod that was never seen is lost.
func TestUncountedPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, server := play(t)
		r.job = there("ours")
		r.job.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
		l := newLoop(r)
		j := there("ours", batchv1.JobSuccessCriteriaMet)
		j.Spec.Selector = r.job.Spec.Selector
		j.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Succeeded: []types.UID{"p"}}
		l.take(event.JobSeen{Job: j})
		if v := verdict.Decide(l.state()); v.Outcome != event.Succeeded {
			t.Fatal(v)
		}
		server.left = []exchange{{"GET /api/v1/namespaces/ns/pods?labelSelector=a%3Db", 200, &corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}}}
		l.refreshPods(t.Context()) // what is left is an error
	})
}

// TestEventsAreKept: what the verdict reads reaches it, and nothing else is kept.
func TestEventsAreKept(t *testing.T) {
	r, _ := play(t)
	r.job = there("ours")
	l := newLoop(r)
	for _, reason := range []string{"Scheduled", "Pulling", "Pulled", "Created", "Started", "FailedMount", "SuccessfulCreate"} {
		e := &corev1.Event{ObjectMeta: metav1.ObjectMeta{UID: types.UID(reason)}, Reason: reason}
		l.take(event.EventSeen{Event: e})
		if kept := l.events[e.UID] != nil; kept != verdict.Wants(e) {
			t.Errorf("%s is kept: %t", reason, kept)
		}
	}
}
