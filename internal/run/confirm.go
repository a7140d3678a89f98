package run

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/verdict"
)

// askAgain is how long the answers of the cluster hold, and mostAnswers how many claims are asked about in that time, or a few more: events are
// written by anybody, and as many as they like.
const (
	askAgain    = 15 * time.Second
	mostAnswers = 100
)

// old tells whether the answers may not be so any more.
func (l *loop) old(now time.Time) bool {
	return len(l.answers) > 0 && now.Sub(l.learned) >= askAgain
}

// confirm asks the cluster whether what events say is so, and tells when it is not, or when that cannot be found out.
func (r *runner) confirm(ctx context.Context, questions []verdict.Question) map[verdict.Claim]verdict.Answer {
	answers := map[verdict.Claim]verdict.Answer{}
	for _, q := range questions {
		var a verdict.Answer
		if q.Object.Kind == "Pod" {
			a = r.tryPod(ctx)
		} else {
			a = r.missing(ctx, q.Claim)
		}
		answers[q.Claim] = a
		switch key := fmt.Sprintf("claim/%s/%s", q.Object, q.Key); {
		case ctx.Err() != nil:
		case !a.Known:
			r.post(event.Notice{Level: event.Warning, Key: key + "/unknown", Message: fmt.Sprintf("an event says: %s; whether that is so cannot be found out (%s), so the run goes on until start-timeout or timeout", q.Says, a.Said),
				Hint: "Events can be written by many, so they do not end a run. docs/security.md lists the permissions that fail-fast needs to ask the cluster."})
		case !a.True:
			r.post(event.Notice{Level: event.Info, Key: key, Message: fmt.Sprintf("an event says: %s; the cluster does not confirm it, so the run goes on", q.Says)})
		}
	}
	return answers
}

// tryPod finds out whether the API server would take a further pod of the Job.
func (r *runner) tryPod(ctx context.Context) verdict.Answer {
	// The API server has added the controller's labels to the template (pkg/registry/batch/job/strategy.go, generateSelector).
	template := r.created.Spec.Template
	controller := true // a policy may forbid pods without one
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: r.created.Name + "-", Namespace: r.created.Namespace,
		Labels: template.Labels, Annotations: template.Annotations, Finalizers: template.Finalizers, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job", Name: r.created.Name, UID: r.created.UID, Controller: &controller}}}, Spec: *template.Spec.DeepCopy()}
	err := r.client.Do(ctx, "try a pod of "+r.ref().String(), func(ctx context.Context) error {
		_, err := r.client.Pods(pod.Namespace).Create(ctx, pod, dryRun)
		return err
	})
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return verdict.Answer{Known: true}
	case errors.As(err, &status) && !cluster.Denied(err) && refuses(status.Status()):
		return verdict.Answer{Known: true, True: true, Said: status.Status().Message}
	}
	return verdict.Answer{Said: reason(err)}
}

// refuses tells whether an answer is about the pod. A webhook with side effects is not called for a rehearsal: then nobody knows
// (k8s.io/apiserver/pkg/admission/plugin/webhook/errors, NewDryRunUnsupportedErr). Webhooks choose the code of a denial.
func refuses(s metav1.Status) bool {
	switch s.Code {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusUnprocessableEntity:
		return !strings.Contains(s.Message, "does not support dry run")
	}
	return strings.Contains(s.Message, "denied the request")
}

// missing finds out whether a Secret or ConfigMap, or its key, is not there.
func (r *runner) missing(ctx context.Context, c verdict.Claim) verdict.Answer {
	has := false
	err := r.client.Do(ctx, "look at "+c.Object.String(), func(ctx context.Context) error {
		if c.Object.Kind == "Secret" {
			found, err := r.client.Secrets(c.Object.Namespace).Get(ctx, c.Object.Name, metav1.GetOptions{})
			if err == nil {
				_, has = found.Data[c.Key]
			}
			return err
		}
		found, err := r.client.ConfigMaps(c.Object.Namespace).Get(ctx, c.Object.Name, metav1.GetOptions{})
		if err == nil {
			_, text := found.Data[c.Key]
			_, bytes := found.BinaryData[c.Key]
			has = text || bytes
		}
		return err
	})
	switch {
	case err == nil:
		return verdict.Answer{Known: true, True: c.Key != "" && !has}
	case apierrors.IsNotFound(err):
		return verdict.Answer{Known: true, True: true}
	}
	return verdict.Answer{Said: reason(err)}
}

// reason is an error without the hint.
func reason(err error) string {
	var cause *event.Cause
	if errors.As(err, &cause) {
		return cause.Message
	}
	return err.Error()
}
