package app

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
	"github.com/planton/kubernetes-job-action/internal/report/github"
)

const password = "hunter2secret"

// refusedUnseen runs a command on input that holds the password, and is wrong. It must be refused, with a problem that is named, and
// neither the password nor what begins it may be printed, whatever reads the output.
func refusedUnseen(t *testing.T, files, env map[string]string, args ...string) {
	t.Helper()
	dir := folder(t, files)
	for _, ci := range []string{"", "GITHUB_ACTIONS", "GITLAB_CI"} {
		all := map[string]string{"GITHUB_WORKSPACE": dir, ci: "true"}
		for name, value := range env {
			all[name] = value
		}
		got := call(t, dir, "", all, args...)
		said := got.stdout + got.stderr
		var seen []string
		for line := range strings.Lines(said) {
			if !strings.HasPrefix(line, "::add-mask::") {
				seen = append(seen, line)
			}
		}
		if text := strings.Join(seen, ""); strings.Contains(text, password[:7]) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(password))[:9]) {
			t.Errorf("%s: the password is shown:\n%s", ci, text)
		}
		if got.code != exitInvalid || !strings.Contains(said, "first; nothing was created") {
			t.Errorf("%s: exit code %d:\n%s", ci, got.code, said)
		}
	}
}

// A flag that is not known does not show its value.
func TestFlagsWithTyposQuoteNoValue(t *testing.T) {
	for name, args := range map[string][]string{
		"a single dash":      {"-secret-env=A=" + password},
		"a typo":             {"--secret-evn=A=" + password},
		"an underscore":      {"--secret_env=A=" + password},
		"another's spelling": {"--secretEnv=A=" + password},
	} {
		t.Run(name, func(t *testing.T) {
			refusedUnseen(t, map[string]string{"job.yaml": goodManifest}, nil, append([]string{"validate", "-f", "job.yaml"}, args...)...)
		})
	}
}

// A variable that was not asked for is not read.
func TestVariablesThatWereNotAskedFor(t *testing.T) {
	refusedUnseen(t, map[string]string{"job.yaml": strings.Replace(goodManifest, "name: migrate", "name: ${OTHER}", 1)},
		map[string]string{"PASSWORD": password, "OTHER": password}, "validate", "-f", "job.yaml", "--substitute=PASSWORD")
}

// render shows no Secret's data unless a flag says so: an input cannot, since a workflow's log may be public.
func TestRenderHidesSecrets(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte(password))
	manifest := goodManifest + `---
apiVersion: v1
kind: Secret
metadata:
  name: s
  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"data":{"a":"` + encoded + `"},"stringData":{"b":"` + password + `"}}'}
data: {a: ` + encoded + `}
stringData: {b: ` + password + `}
`
	dir := folder(t, map[string]string{"job.yaml": manifest})
	for _, env := range []map[string]string{nil, {"INPUT_SHOW-SECRETS": "true"}, {"INPUT_SHOW_SECRETS": "true"}, {"PLUGIN_SHOW_SECRETS": "true"}} {
		for _, args := range [][]string{{"render"}, {"--dry-run=client"}} {
			got := call(t, dir, "", env, append(args, "-f", "job.yaml", "--secret-env=C="+password)...)
			if got.code != 0 || !strings.Contains(got.stdout, "kind: Secret") || strings.Contains(got.stdout, password) || strings.Contains(got.stdout, encoded) {
				t.Errorf("%v %v: exit code %d:\n%s%s", env, args, got.code, got.stdout, got.stderr)
			}
		}
	}
	if got := call(t, dir, "", nil, "render", "-f", "job.yaml", "--show-secrets"); got.code != 0 || !strings.Contains(got.stdout, encoded) {
		t.Errorf("with the flag: exit code %d:\n%s%s", got.code, got.stdout, got.stderr)
	}
}

// What the main step leaves for the post step holds no secret: other steps and the runner's debug log can read it.
func TestStateHoldsNoSecret(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(state, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_STATE": state, "INPUT_KUBECONFIG": password, "INPUT_SECRET-ENV": "A=" + password}
	getenv := func(name string) string { return env[name] }
	var log bytes.Buffer
	main := &recorder{Fanout: report.New(github.New(&log, getenv, report.Options{})), getenv: getenv, context: "c"}
	main.AddSecrets(event.Secret{Value: password, Credential: true})
	ref := event.Ref{Kind: "Job", Namespace: "ns", Name: "j"}
	for _, e := range []event.Event{
		event.Object{Object: ref, Action: "created", Detail: password, UID: "ours"},
		event.Object{Object: event.Ref{Kind: "Secret", Namespace: "ns", Name: "s"}, Action: "created", Detail: password},
		event.Notice{Level: event.Warning, Message: password, Hint: password},
		event.Lines{Stream: &event.Stream{}, Lines: []event.Line{{Text: password}}},
		event.Finished{Outcome: event.Failed, Job: ref, UID: "ours", Tail: []string{password}, Trace: []string{password}, Cause: &event.Cause{Reason: event.ContainerExit, Message: password, Hint: password}},
	} {
		if err := main.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(state)
	if err != nil || !strings.Contains(string(text), `"uid":"ours"`) || strings.Contains(string(text), password) {
		t.Errorf("the state is %q, %v", text, err)
	}
	if _, shown, _ := strings.Cut(log.String(), "Job ns/j created"); strings.Contains(shown, password) || !strings.Contains(shown, "***") {
		t.Errorf("the log is %q", log.String())
	}
}
