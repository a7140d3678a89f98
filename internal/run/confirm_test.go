package run

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/verdict"
)

const tryPodURL = "POST /api/v1/namespaces/ns/pods?dryRun=All"

var (
	podKind  = metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}
	podsOf   = schema.GroupResource{Resource: "pods"}
	errQuota = errors.New("exceeded quota: q, requested: pods=2, used: pods=1, limited: pods=1")
	//lint:ignore ST1005 the words of the API server
	errDenial = errors.New(`User "ci" cannot create resource "pods" in API group "" in the namespace "ns"`)
)

// failedCreate is an event that says that a pod of the Job is refused.
func failedCreate(why error) event.EventSeen {
	e := &corev1.Event{Reason: "FailedCreate", Message: fmt.Sprintf(`Error creating: pods "j-abcde" is forbidden: %v`, why), Source: corev1.EventSource{Component: "job-controller"},
		ObjectMeta: metav1.ObjectMeta{UID: "e", CreationTimestamp: metav1.NewTime(time.Now())}}
	e.InvolvedObject = corev1.ObjectReference{Kind: "Job", UID: "ours"}
	return event.EventSeen{Event: e}
}

// TestClaimsAreConfirmed: a Job is not deleted for what an event says; the API server is asked, rarely, and what it says is done.
func TestClaimsAreConfirmed(t *testing.T) {
	taken := exchange{tryPodURL + " +", 201, &corev1.Pod{TypeMeta: podKind}}
	for name, test := range map[string]struct {
		answers []exchange
		outcome event.Outcome
		took    time.Duration
		tells   string
	}{
		"the API server takes such a pod": {[]exchange{taken}, event.Succeeded, 2 * time.Minute, `info: an event says: no pod of the Job can be created: ResourceQuota "q" allows pods=1, pods=1 is used and the pod asks for pods=2; the cluster does not confirm it, so the run goes on`},
		"we may not ask": {[]exchange{{tryPodURL + " +", 403, apierrors.NewForbidden(podsOf, "", errDenial).Status()}}, event.Succeeded, 2 * time.Minute,
			`warning: an event says: no pod of the Job can be created: ResourceQuota "q" allows pods=1, pods=1 is used and the pod asks for pods=2; whether that is so cannot be found out (cannot try a pod of Job ns/j: ci may not create pods in namespace ns), so the run goes on until start-timeout or timeout`},
		"it refuses the pod too":   {[]exchange{{tryPodURL, 403, apierrors.NewForbidden(podsOf, "j-x", errQuota).Status()}, {removeURL, 200, there("ours")}}, event.Failed, 10 * time.Second, "Job ns/j deleted (this run ended before it did)"},
		"it refuses it, but later": {[]exchange{{tryPodURL, 201, &corev1.Pod{TypeMeta: podKind}}, {tryPodURL, 403, apierrors.NewForbidden(podsOf, "j-x", errQuota).Status()}, {removeURL, 200, there("ours")}}, event.Failed, 25 * time.Second, "the cluster does not confirm it"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := play(t, append([]exchange{{createURL, 201, there("ours")}}, test.answers...)...)
				l.options = Options{Wait: true, Logs: LogsNone, IfExists: IfExistsFail, OnTimeout: UnfinishedDelete, Verdict: verdict.Options{FailFast: true}}
				said := &transcript{begin: time.Now()}
				l.sink = said
				l.script(beat{time.Second, func() {}}, beat{time.Second, failedCreate(errQuota)}, beat{2 * time.Minute, event.JobSeen{Job: there("ours", batchv1.JobComplete)}})
				begin := time.Now()
				f := l.run(t.Context())
				if took := time.Since(begin).Round(time.Second); f.Outcome != test.outcome || took != test.took {
					t.Errorf("%s after %s (%v), want %s after %s", f.Outcome, took, f.Cause, test.outcome, test.took)
				}
				told := strings.Join(said.lines, "\n")
				if strings.Count(told, test.tells) != 1 {
					t.Errorf("told\n%s\nwant once %q", told, test.tells)
				}
			})
		})
	}
}

// TestManyClaims: when more is to be asked than is asked at once, the rest is asked next, and the run ends when all is confirmed.
func TestManyClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 25
		exchanges := []exchange{{createURL, 201, there("ours")}}
		var volumes []corev1.Volume
		for i := range many {
			name := fmt.Sprintf("s%02d", i)
			volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name}}})
			exchanges = append(exchanges, exchange{"GET /api/v1/namespaces/ns/secrets/" + name, 404, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name).Status()})
		}
		l, _ := play(t, append(exchanges, exchange{removeURL, 200, there("ours")})...)
		l.options = Options{Wait: true, Logs: LogsNone, IfExists: IfExistsFail, OnTimeout: UnfinishedDelete, Verdict: verdict.Options{FailFast: true}}
		l.sink = &transcript{begin: time.Now()}
		var beats []beat
		for i, v := range volumes {
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p-" + v.Name, Namespace: "ns", UID: types.UID(v.Name), CreationTimestamp: metav1.NewTime(time.Now().Add(time.Duration(i) * time.Millisecond))},
				Spec: corev1.PodSpec{NodeName: "n", Volumes: volumes, Containers: []corev1.Container{{Name: "main"}}}, Status: corev1.PodStatus{Phase: corev1.PodPending}}
			e := &corev1.Event{Reason: "FailedMount", Message: fmt.Sprintf("MountVolume.SetUp failed for volume %[1]q : secret %[1]q not found", v.Name), Source: corev1.EventSource{Component: "kubelet"}, Count: 3,
				ObjectMeta: metav1.ObjectMeta{UID: types.UID("e" + v.Name), CreationTimestamp: metav1.NewTime(time.Now())}, InvolvedObject: corev1.ObjectReference{Kind: "Pod", UID: p.UID}}
			beats = append(beats, beat{time.Second, event.PodSeen{Pod: p}}, beat{time.Second, event.EventSeen{Event: e}})
		}
		l.script(append(beats, beat{10 * time.Minute, event.JobSeen{Job: there("ours", batchv1.JobComplete)}})...)
		begin := time.Now()
		f := l.run(t.Context())
		if f.Outcome != event.Failed || f.Cause == nil || f.Cause.Reason != event.FailedMount || time.Since(begin) > 5*time.Minute {
			t.Errorf("%s after %s: %v", f.Outcome, time.Since(begin), f.Cause)
		}
	})
}

// TestConfirm: the answers to every kind of claim.
func TestConfirm(t *testing.T) {
	const secretURL, mapURL = "GET /api/v1/namespaces/ns/secrets/s", "GET /api/v1/namespaces/ns/configmaps/m"
	secret := &corev1.Secret{TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}, Data: map[string][]byte{"a": nil}}
	settings := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, Data: map[string]string{"a": ""}, BinaryData: map[string][]byte{"b": nil}}
	pods := verdict.Claim{Object: event.Ref{Kind: "Pod", Namespace: "ns"}}
	secrets := func(key string) verdict.Claim {
		return verdict.Claim{Object: event.Ref{Kind: "Secret", Namespace: "ns", Name: "s"}, Key: key}
	}
	maps := func(key string) verdict.Claim {
		return verdict.Claim{Object: event.Ref{Kind: "ConfigMap", Namespace: "ns", Name: "m"}, Key: key}
	}
	missing := func(resource, name string) metav1.Status {
		return apierrors.NewNotFound(schema.GroupResource{Resource: resource}, name).Status()
	}
	yes, no := verdict.Answer{Known: true, True: true}, verdict.Answer{Known: true}
	said := func(text string) verdict.Answer { return verdict.Answer{Known: true, True: true, Said: text} }
	webhook := apierrors.NewBadRequest(`admission webhook "w" denied the request: no`).Status()
	webhook.Code = 418
	for name, test := range map[string]struct {
		claim  verdict.Claim
		answer exchange
		want   verdict.Answer
	}{
		"a pod":                        {pods, exchange{tryPodURL, 201, &corev1.Pod{TypeMeta: podKind}}, no},
		"a pod that a quota refuses":   {pods, exchange{tryPodURL, 403, apierrors.NewForbidden(podsOf, "j-x", errQuota).Status()}, said(`pods "j-x" is forbidden: ` + errQuota.Error())},
		"a pod that is invalid":        {pods, exchange{tryPodURL, 422, apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "j-x", nil).Status()}, said(`Pod "j-x" is invalid`)},
		"a pod that a webhook refuses": {pods, exchange{tryPodURL, 418, webhook}, said(`admission webhook "w" denied the request: no`)},
		"a webhook that is not called": {pods, exchange{tryPodURL, 400, apierrors.NewBadRequest(`admission webhook "w" does not support dry run`).Status()}, verdict.Answer{Said: `cannot try a pod of Job ns/j: admission webhook "w" does not support dry run`}},
		"a pod that we may not try":    {pods, exchange{tryPodURL, 403, apierrors.NewForbidden(podsOf, "", errDenial).Status()}, verdict.Answer{Said: "cannot try a pod of Job ns/j: ci may not create pods in namespace ns"}},
		"a Secret":                     {secrets(""), exchange{secretURL, 200, secret}, no},
		"a missing Secret":             {secrets(""), exchange{secretURL, 404, missing("secrets", "s")}, yes},
		"its key":                      {secrets("a"), exchange{secretURL, 200, secret}, no},
		"a missing key":                {secrets("b"), exchange{secretURL, 200, secret}, yes},
		"a ConfigMap":                  {maps(""), exchange{mapURL, 200, settings}, no},
		"a missing ConfigMap":          {maps(""), exchange{mapURL, 404, missing("configmaps", "m")}, yes},
		"its bytes":                    {maps("b"), exchange{mapURL, 200, settings}, no},
		"a missing key of a ConfigMap": {maps("c"), exchange{mapURL, 200, settings}, yes},
		"a Secret that is not for us":  {secrets(""), exchange{secretURL, 403, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "s", errors.New(`User "ci" cannot get resource "secrets" in API group "" in the namespace "ns"`)).Status()}, verdict.Answer{Said: "cannot look at Secret ns/s: ci may not get secrets in namespace ns"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := play(t, test.answer)
				l.created = there("ours")
				got := l.confirm(t.Context(), []verdict.Question{{Claim: test.claim, Says: "it is so"}})
				if diff := cmp.Diff(map[verdict.Claim]verdict.Answer{test.claim: test.want}, got); diff != "" {
					t.Error("(-want +got)\n" + diff)
				}
			})
		})
	}
}
