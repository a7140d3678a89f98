package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTemplates: a template that nobody has rendered is one finding, at its first placeholder, and text that holds braces is none.
func TestTemplates(t *testing.T) {
	const job = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: a\nspec:\n  template:\n    spec:\n      containers: [{name: app, image: b}]\n"
	const finding = ": this is a template that nobody has rendered (render it first: helm template … | kubernetes-job-action --manifest -; or write ${NAME} and list the names in substitute)"
	for name, test := range map[string]struct{ text, place string }{
		"values":            {strings.NewReplacer("name: a", "name: {{ PROJECT }}", "image: b", "image: busybox:{{ TAG }}").Replace(job), ":4:9"},
		"a value in a text": {strings.Replace(job, "name: a\n", "name: a-{{ .Values.name }}\n  labels: {{ x }}\n", 1), ":4:11"},
		"a condition":       {"{{- if .Values.migrate.enabled }}\n" + job + "{{- end }}\n", ":1:1"},
		"inside":            {strings.Replace(job, "spec:\n", "spec:\n  {{- with .Values.x }}\n", 1), ":6:3"},
		"Jinja":             {"{% if migrate %}\n" + job + "{% endif %}\n", ":1:1"},
		"a Jinja comment":   {"{# x #}\n" + job, ":1:1"},
		"Terraform":         {"%{ if x }\n" + job, ":1:1"},
		"quoted":            {strings.Replace(job, "image: b", "image: b, args: [echo, '{{ .x }}']", 1), ""},
		"a comment":         {"# {{ x }}\n" + job, ""},
		"a script":          {strings.Replace(job, "spec:\n", "  annotations:\n    a: |\n      {{ x }}\nspec:\n", 1), ""},
		"braces of YAML":    {strings.Replace(job, "name: a", "labels: {a: b}", 1), ""},
		"plain text":        {strings.Replace(job, "name: a", "name: a\n  annotations:\n    a: docker ps --format {{.ID}}", 1), ""},
	} {
		_, findings := Load(Source{Content: test.text})
		want := ""
		if test.place != "" {
			want = "error: manifest-content" + test.place + finding
		}
		if got := strings.TrimSpace(said(findings)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestUnbuilt: what manifests are made from is told with the way to make them.
func TestUnbuilt(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"kustomization.yaml": {"resources: [job.yaml]\n", "error: kustomization.yaml:1:1: this is a kustomization, which holds no manifest itself (render it: kubectl kustomize . | kubernetes-job-action --manifest -)"},
		"Chart.yaml":         {"apiVersion: v2\nname: shop\nversion: 1.0.0\n", "error: Chart.yaml:1:1: this is the description of a Helm chart, which holds no manifest itself (render it: helm template NAME . | kubernetes-job-action --manifest -)"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, findings := Load(Source{Paths: []string{name}, Dir: dir})
		if got := strings.TrimSpace(said(findings)); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// TestNamesOfVariables: $NAME counts as ${NAME} does, for the names that are listed alone.
func TestNamesOfVariables(t *testing.T) {
	for text, want := range map[string]string{
		"$TAG": "1.36", "b:$TAG-x": "b:1.36-x", "${TAG}$TAG": "1.361.36", "$TAGS": "$TAGS", "$$TAG": "$$TAG", "$(TAG)": "$(TAG)", "$TAG_": "$TAG_", "$OTHER": "$OTHER",
		"${TAG:-x}": "${TAG:-x}", "$ TAG": "$ TAG", "$": "$", "$${TAG}": "$1.36", "${$TAG": "${1.36",
	} {
		set, findings := Load(Source{Content: "apiVersion: v1\nkind: A\nmetadata: {name: '${TAG}'}\nx: '" + text + "'\n", Substitute: []string{"TAG"},
			LookupEnv: func(string) (string, bool) { return "1.36", true }})
		if len(findings) > 0 {
			t.Fatal(said(findings))
		}
		if got := set.Documents[0].Map()["x"]; got != want {
			t.Errorf("%s becomes %q, want %q", text, got, want)
		}
	}
}

// TestNoManifests: what is something else by its kind, or what a pipe brought nothing of, is said as such.
func TestNoManifests(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"a kustomization": {"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [job.yaml]\n", "error: <stdin>:2:7: kind: this is a kustomization, which holds no manifest itself (render it: kubectl kustomize FOLDER | kubernetes-job-action --manifest -)"},
		"a kubeconfig":    {"apiVersion: v1\nkind: Config\nusers: [{name: u, user: {token: s3cr3t}}]\n", "error: <stdin>:2:7: kind: this is a kubeconfig and no manifest (it is the option kubeconfig that takes it)"},
		"nothing":         {"", "error: <stdin>: the file is empty: it holds no document (a manifest begins with apiVersion and kind; has the command before the pipe failed?)"},
		"no-break spaces": {"apiVersion: v1\nkind: A\nspec:\n\u00a0\u00a0a: 0\n  b: 0\n", "error: <stdin>:4:1: this is not YAML: the line is indented with no-break spaces, as text from a web page is (indent with spaces)"},
	} {
		_, findings := Load(Source{Paths: []string{"-"}, Stdin: strings.NewReader(test.text)})
		if got := strings.TrimSpace(said(findings)); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
