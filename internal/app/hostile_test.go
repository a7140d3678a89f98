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

// A Secret that is not right is not quoted, however it is broken.
func TestBrokenSecretsAreNotQuoted(t *testing.T) {
	for name, data := range map[string]string{
		"an open bracket":          "stringData: {password: [" + password + "}",
		"an open brace":            "stringData:\n  password: {" + password,
		"an open quote":            "stringData:\n  password: \"" + password,
		"an open single quote":     "stringData:\n  password: '" + password,
		"text behind a quote":      "stringData:\n  password: \"x\" " + password,
		"text behind single quote": "stringData:\n  password: 'x' " + password,
		"an unknown escape":        "stringData:\n  password: \"\\y" + password + "\"",
		"two colons":               "stringData:\n  password: " + password + ": x",
		"a block mark":             "stringData:\n  password: |" + password,
		"a folding mark":           "stringData:\n  password: >" + password,
		"an at sign":               "stringData:\n  password: @" + password,
		"a percent sign":           "stringData:\n  password: %" + password,
		"a back quote":             "stringData:\n  password: `" + password,
		"a list":                   "stringData:\n  password: [" + password + "]",
		"a mapping":                "stringData:\n  password: {x: " + password + "}",
		"a dash":                   "stringData:\n  password: - " + password,
		"no key":                   "stringData:\n  " + password,
		"a tab":                    "stringData:\n\tpassword: " + password,
		"a key twice":              "stringData:\n  password: x\n  password: " + password,
		"a merged text":            "stringData:\n  <<: " + password,
		"not base64":               "data:\n  password: " + password + "!",
		"a text as data":           "data: " + password,
		"an unknown field":         "stringDta: {password: " + password + "}\nspec: {a: [}",
	} {
		t.Run(name, func(t *testing.T) {
			refusedUnseen(t, map[string]string{"job.yaml": goodManifest + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n" + data + "\n"},
				nil, "validate", "-f", "job.yaml")
		})
	}
}

// Nor is one of a KubernetesJob.
func TestBrokenJobSecretsAreNotQuoted(t *testing.T) {
	for name, secrets := range map[string]string{
		"a text":              password,
		"a list of texts":     "[" + password + "]",
		"a list as value":     "{PASSWORD: [" + password + "]}",
		"no value":            "{PASSWORD: {valu: " + password + "}}",
		"two values":          "{PASSWORD: {value: " + password + ", secretRef: {name: a, key: b}}}",
		"a list of values":    "{PASSWORD: {value: [" + password + "]}}",
		"a mapping as value":  "{PASSWORD: {value: {x: " + password + "}}}",
		"a bad name":          "{PASS WORD: {value: " + password + "}}",
		"twice":               "[{name: A, value: x}, {name: A, value: " + password + "}]",
		"an open quote":       "{PASSWORD: {value: \"" + password + "}}",
		"two colons":          "{PASSWORD: {value: " + password + ": x: y}}",
		"a name without text": "[{value: " + password + "}]",
	} {
		t.Run(name, func(t *testing.T) {
			refusedUnseen(t, map[string]string{"job.yaml": "apiVersion: kubernetes.project-planton.org/v1\nkind: KubernetesJob\nmetadata: {name: j}\nspec:\n" +
				"  namespace: {value: batch}\n  image: {repo: busybox, tag: \"1.36\"}\n  env:\n    secrets: " + secrets + "\n"},
				nil, "validate", "-f", "job.yaml")
		})
	}
}

// Options that hold secrets are not quoted either.
func TestBrokenOptionsAreNotQuoted(t *testing.T) {
	long := strings.Repeat(password, 20)
	for name, c := range map[string]struct{ option, value string }{
		"credentials: a word":            {"registry-credentials", password},
		"credentials: three words":       {"registry-credentials", "ghcr.io bot " + password},
		"credentials: no server":         {"registry-credentials", "username=bot password=" + password},
		"credentials: no user":           {"registry-credentials", "server=ghcr.io password=" + password},
		"credentials: a blank in it":     {"registry-credentials", "server=ghcr.io username=bot password=x " + password},
		"credentials: twice":             {"registry-credentials", "server=a username=b password=" + password + "\nserver=a username=b password=" + password},
		"credentials: an open brace":     {"registry-credentials", `{"auths": {"ghcr.io": {"password": "` + password},
		"credentials: no auths":          {"registry-credentials", `{"password": "` + password + `"}`},
		"credentials: auths is a text":   {"registry-credentials", `{"auths": "` + password + `"}`},
		"credentials: an entry's a text": {"registry-credentials", `{"auths": {"ghcr.io": "` + password + `"}}`},
		"credentials: auth not base64":   {"registry-credentials", `{"auths": {"ghcr.io": {"auth": "bot:` + password + `"}}}`},
		"credentials: auth no pair":      {"registry-credentials", `{"auths": {"ghcr.io": {"auth": "` + base64.StdEncoding.EncodeToString([]byte(password)) + `"}}}`},
		"credentials: auth is a list":    {"registry-credentials", `{"auths": {"ghcr.io": {"auth": ["` + password + `"]}}}`},
		"credentials: base64":            {"registry-credentials", base64.StdEncoding.EncodeToString([]byte(`{"auths": {"ghcr.io": "` + password + `"}}`))},
		"credentials: YAML":              {"registry-credentials", "auths:\n  ghcr.io:\n    password: " + password},

		"secret-env: no =":          {"secret-env", password},
		"secret-env: no name":       {"secret-env", "=" + password},
		"secret-env: a colon":       {"secret-env", "PASSWORD: " + password},
		"secret-env: several lines": {"secret-env", "KEY=-----BEGIN KEY-----\n" + password + "\n-----END KEY-----"},
		"secret-env: a second line": {"secret-env", "A=x\n" + password + long},
		"secret-env: blank in name": {"secret-env", "PASS WORD=" + password},
		"secret-env: twice":         {"secret-env", "A=" + password + "\nA=" + password},
		"secret-env: a NUL":         {"secret-env", "A\x00B=" + password},
		"secret-env: quoted":        {"secret-env", "\"A=" + password + "\""},
		"secret-env: JSON":          {"secret-env", `{"A": "` + password + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"job.yaml": goodManifest}
			refusedUnseen(t, files, map[string]string{"INPUT_" + strings.ToUpper(c.option): c.value}, "validate", "-f", "job.yaml")
			args := []string{"validate", "-f", "job.yaml"}
			if c.option == "secret-env" { // an entry a flag
				for line := range strings.Lines(c.value) {
					args = append(args, "--secret-env="+strings.TrimSuffix(line, "\n"))
				}
			} else {
				args = append(args, "--"+c.option+"="+c.value)
			}
			refusedUnseen(t, files, nil, args...)
		})
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

// A variable that takes a place where it cannot stand is not quoted; one that was not asked for is not read.
func TestSubstitutedValuesAreNotQuoted(t *testing.T) {
	for name, c := range map[string]struct{ old, new string }{
		"as a quantity":    {"memory: 1Gi", `memory: "${PASSWORD}"`},
		"as an apiVersion": {"apiVersion: batch/v1", "apiVersion: ${PASSWORD}"},
		"not asked for":    {"name: migrate", "name: ${OTHER}"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(goodManifest, c.old) {
				t.Fatalf("no %q in the manifest", c.old)
			}
			refusedUnseen(t, map[string]string{"job.yaml": strings.Replace(goodManifest, c.old, c.new, 1)},
				map[string]string{"PASSWORD": password, "OTHER": password}, "validate", "-f", "job.yaml", "--substitute=PASSWORD")
		})
	}
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
		event.Finished{Outcome: event.Failed, Job: ref, UID: "ours", Tail: []string{password}, Cause: &event.Cause{Reason: event.ContainerExit, Message: password, Hint: password}},
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
