package verdict

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// TestEventsDoNotDecide: what an event says ends the run only when the cluster says so too, and then in the cluster's words.
func TestEventsDoNotDecide(t *testing.T) {
	pods := Claim{Object: event.Ref{Kind: "Pod", Namespace: "prod"}}
	cert := Claim{Object: event.Ref{Kind: "Secret", Namespace: "prod", Name: "cert"}}
	secretVolume := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "cert"}}}}
	}
	refuses := happened("FailedCreate", `Error creating: pods "migrate-a" is forbidden: exceeded quota: small, requested: cpu=2, used: cpu=0, limited: cpu=1`, 1, 2, 2)
	mount := happened("FailedMount", `MountVolume.SetUp failed for volume "tls" : secret "cert" not found`, 3, 2, 9)
	for name, c := range map[string]struct {
		state   State
		claim   Claim
		answer  Answer
		decides bool
		message string
	}{
		"a pod that is taken":              {state(60, refuses), pods, Answer{Known: true}, false, ""},
		"a pod that nobody may ask about":  {state(60, refuses), pods, Answer{Said: "ci may not create pods"}, false, ""},
		"a pod that is refused":            {state(60, refuses), pods, Answer{Known: true, True: true, Said: `pods "migrate-b" is forbidden: exceeded quota: small, requested: cpu=2, used: cpu=500m, limited: cpu=1`}, true, `no pod of the Job can be created: ResourceQuota "small" allows cpu=1, cpu=500m is used and the pod asks for cpu=2`},
		"a pod that is refused otherwise":  {state(60, refuses), pods, Answer{Known: true, True: true, Said: `pods "migrate-b" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`}, false, ""},
		"a Secret that is there":           {state(60, pod("p", secretVolume), mount), cert, Answer{Known: true}, false, ""},
		"a Secret that nobody may look at": {state(60, pod("p", secretVolume), mount), cert, Answer{}, false, ""},
		"a Secret that is not there":       {state(60, pod("p", secretVolume), mount), cert, Answer{Known: true, True: true}, true, `volume "tls" of pod p cannot be mounted: Secret "cert" does not exist in namespace prod`},
	} {
		t.Run(name, func(t *testing.T) {
			v := Decide(c.state)
			if v.Decided || len(v.Ask) != 1 || v.Ask[0].Claim != c.claim || v.Ask[0].Says == "" || !v.Next.After(c.state.Now) {
				t.Errorf("decided %t, asks %+v", v.Decided, v.Ask)
			}
			c.state.Answers = map[Claim]Answer{c.claim: c.answer}
			if v = Decide(c.state); v.Decided != c.decides || len(v.Ask) > 0 || c.decides && v.Cause.Message != c.message {
				t.Errorf("decided %t, %v, asks %+v", v.Decided, v.Cause, v.Ask)
			}
			c.state.Now = at(301).Time
			if v = Decide(c.state); !v.Decided || v.Outcome == event.TimedOut == c.decides {
				t.Errorf("after start-timeout: %+v", v)
			}
		})
	}
}

// TestForgedTimes: an event begins when the API server took it, whatever it says, and one that was told once was last told then.
func TestForgedTimes(t *testing.T) {
	for name, e := range map[string]*corev1.Event{
		"long ago":      {FirstTimestamp: at(-3600), LastTimestamp: at(-3600), Count: 1},
		"in the future": {FirstTimestamp: at(9000), LastTimestamp: at(9000), Count: 1},
		"without":       {},
		"new shape":     {EventTime: metav1.NewMicroTime(at(-9).Time)},
	} {
		e.CreationTimestamp = at(50)
		first, last, _ := seen(e)
		if !first.Equal(at(50).Time) || !last.Equal(at(50).Time) {
			t.Errorf("%s: %s to %s", name, first, last)
		}
	}
}
