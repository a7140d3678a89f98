package app

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
	"github.com/planton/kubernetes-job-action/internal/verdict"
)

type finished struct{ event.Finished }

func (f *finished) Event(e event.Event) error {
	if e, ok := e.(event.Finished); ok {
		f.Finished = e
	}
	return nil
}

// A termination message goes through two cleaners, and comes out without its escape sequences and with the secret masked that one splits.
func TestSecretSplitInATerminationMessage(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}}}
	pod.Status = corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: "see \x1b]8;;http://evil.example\ahere\x1b]8;;\a: hunter2\x1b]0;title\asecret"}}}}}
	sink := &finished{}
	f := report.New(sink)
	f.AddSecrets(event.Secret{Name: "password", Value: "hunter2secret"})
	if err := f.Event(verdict.Result(verdict.State{Job: &batchv1.Job{}, Pods: []*corev1.Pod{pod}}, verdict.Verdict{})); err != nil {
		t.Fatal(err)
	}
	if len(sink.Pods) != 1 || !strings.Contains(sink.Pods[0].Message, "see here: ***") || strings.ContainsAny(sink.Pods[0].Message, "\x1b\a]") {
		t.Errorf("%+v", sink.Pods)
	}
}
