package render

import (
	"strings"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// TestSlips: what people get wrong in a Job is one finding, with what to write instead.
func TestSlips(t *testing.T) {
	const pod, list = "spec.template.spec", "write one item a line, each behind \"- \""
	const c = pod + ".containers[0]"
	lines := strings.Replace(placeholders, `      containers: [{name: main, image: "app:1.0", resources: {limits: {cpu: 1}}}]`, `      containers:
        - name: main
          image: app:1.0
          command: [run]
          resources: {limits: {cpu: 1}}`, 1)
	for name, test := range map[string]struct{ old, now, want string }{
		"a command as text":         {"[run]", "run", c + ".command: must be a list, not a string (" + list + ")"},
		"a command line as text":    {"[run]", `sh -c "echo hi"`, c + `.command: must be a list, not a string (write one element for each word, or ["sh", "-c", "…"])`},
		"a script as text":          {"[run]", "|\n            echo a\n            echo b", c + `.command: must be a list, not a string (write one element for each word, or ["sh", "-c", "…"])`},
		"a list in quotes":          {"[run]", `'["echo", "hi"]'`, c + ".command: must be a list, not a string (leave the quotes out)"},
		"an argument with a colon":  {"[run]", "\n          - a: b", c + `.command[0]: must be a string, not a mapping (text that holds ": " needs quotes)`},
		"no value":                  {"[run]", "[a, null]", c + `.command[1]: is empty (take the item out, or write "" for empty text)`},
		"an empty container":        {"        - name: main", "        -\n        - name: main", pod + ".containers[0]: is empty (take the item out)"},
		"containers without a list": {"        - name: main", "          name: main", pod + ".containers: must be a list, not a mapping (" + list + ")"},
		"variables as a mapping":    {"command: [run]", "env: {A: b}", c + ".env: must be a list, not a mapping (" + list + "; there is name, value, valueFrom)"},
		"a number in quotes":        {"activeDeadlineSeconds: 60", `activeDeadlineSeconds: "60"`, "spec.activeDeadlineSeconds: must be a whole number, not a string (leave the quotes out: 60)"},
		"a duration":                {"activeDeadlineSeconds: 60", "activeDeadlineSeconds: 1m30s", "spec.activeDeadlineSeconds: must be a whole number, not a string (write 90)"},
		"a duration of days":        {"activeDeadlineSeconds: 60", "activeDeadlineSeconds: 60\n  ttlSecondsAfterFinished: 1d", "spec.ttlSecondsAfterFinished: must be a whole number, not a string (write 86400)"},
		"a duration for a number":   {"activeDeadlineSeconds: 60", "activeDeadlineSeconds: 60\n  backoffLimit: 1m", "spec.backoffLimit: must be a whole number, not a string"},
		"a boolean in quotes":       {"activeDeadlineSeconds: 60", "activeDeadlineSeconds: 60\n  suspend: \"false\"", "spec.suspend: must be true or false, not a string (leave the quotes out: false)"},
		"Docker's entrypoint":       {"command: [run]", "entrypoint: [run]", c + ".entrypoint: is no known field here (did you mean \"command\"?)"},
		"Docker's command":          {"command: [run]", "cmd: [run]", c + ".cmd: is no known field here (did you mean \"args\"?)"},
		"Compose's environment":     {"command: [run]", "environment: {A: b}", c + ".environment: is no known field here (did you mean \"env\"?)"},
		"retries":                   {"activeDeadlineSeconds: 60", "activeDeadlineSeconds: 60\n  retries: 3", "spec.retries: is no known field here (did you mean \"backoffLimit\"?)"},
		"a timeout":                 {"activeDeadlineSeconds: 60", "timeout: 60", "spec.timeout: is no known field here (did you mean \"activeDeadlineSeconds\"?)"},
		"an image with a scheme":    {"app:1.0", "https://ghcr.io/a/b:1", c + `.image: "https://ghcr.io/a/b:1" is no image reference: invalid reference format (did you mean "ghcr.io/a/b:1"?)`},
		"an image for skopeo":       {"app:1.0", "docker://Ghcr.io/a/B:1", c + `.image: "docker://Ghcr.io/a/B:1" is no image reference: repository name (/Ghcr.io/a/B) must be lowercase (did you mean "ghcr.io/a/b:1"?)`},
		"an image with a blank":     {"app:1.0", `"app:1.0 "`, c + `.image: "app:1.0 " is no image reference: invalid reference format (did you mean "app:1.0"?)`},
		"a name in capitals":        {"name: migrate", "name: My_Job", `metadata.name: "My_Job" is invalid: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com') (use my-job)`},
		"a branch as a name":        {"name: migrate", "name: feature/ABC_x", `metadata.name: "feature/ABC_x" is invalid: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com') (use feature-abc-x)`},
		"a long name":               {"name: migrate", "name: " + strings.Repeat("a", 70), `metadata.name: "` + strings.Repeat("a", 70) + `" has 70 characters; 63 are the most (use ` + strings.Repeat("a", 63) + ")"},
		"a namespace in capitals":   {"namespace: shop", "namespace: Shop", `metadata.namespace: "Shop" is invalid: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name' or '123-abc') (use shop)`},
		"a variable with a default": {"app:1.0", "'app:${TAG:-1.0}'", c + `.image: "app:${TAG:-1.0}" is no image reference: invalid reference format (is it a variable? write ${TAG} without a default, and substitute: TAG)`},
		"a variable of Azure":       {"app:1.0", "app:$(Build.BuildId)", c + `.image: "app:$(Build.BuildId)" is no image reference: invalid reference format (is it a placeholder? fill it in, or write ${NAME} and list NAME in substitute)`},
		"a variable of Terraform":   {"app:1.0", "'${var.image}'", c + `.image: "${var.image}" is no image reference: invalid reference format (is it a placeholder? fill it in, or write ${NAME} and list NAME in substitute)`},
		"a Job of another group":    {"batch/v1", "apps/v1", `apiVersion: "apps/v1" is no version of Job; there is batch/v1 (did you mean "batch/v1"?)`},
		"a Job of long ago":         {"batch/v1", "extensions/v1beta1", `apiVersion: "extensions/v1beta1" is no version of Job; there is batch/v1 (did you mean "batch/v1"?)`},
		"a CronJob of long ago":     {"batch/v1\nkind: Job", "batch/v1beta1\nkind: CronJob", `apiVersion: "batch/v1beta1" is no version of CronJob; there is batch/v1 (did you mean "batch/v1"?)`},
		"a Pod":                     {"batch/v1\nkind: Job", "v1\nkind: Pod", "kind: there is no workload among Pod migrate (manifest-content:3); what runs is a KubernetesJob, a batch/v1 Job or a batch/v1 CronJob (put what runs below spec.template of a Job, with restartPolicy: Never)"},
		"a Deployment":              {"batch/v1\nkind: Job", "apps/v1\nkind: Deployment", "kind: there is no workload among Deployment migrate (manifest-content:3); what runs is a KubernetesJob, a batch/v1 Job or a batch/v1 CronJob (put what runs below spec.template of a Job, with restartPolicy: Never)"},
		"a Workflow":                {"batch/v1\nkind: Job", "argoproj.io/v1alpha1\nkind: Workflow", "kind: there is no workload among Workflow migrate (manifest-content:3); what runs is a KubernetesJob, a batch/v1 Job or a batch/v1 CronJob"},
	} {
		t.Run(name, func(t *testing.T) {
			content := strings.Replace(lines, test.old, test.now, 1)
			if content == lines {
				t.Fatalf("%q is not there", test.old)
			}
			_, findings := Render(loadText(t, content), Options{})
			var errors []string
			for _, f := range findings {
				if f.Level == event.Error {
					f.File = ""
					errors = append(errors, f.String())
				}
			}
			if got := strings.Join(errors, "\n"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	if _, findings := Render(loadText(t, placeholders), Options{Name: "feature/ABC_x", Namespace: "Preview_1"}); !strings.Contains(text(findings), "(use feature-abc-x)") || !strings.Contains(text(findings), "(use preview-1)") {
		t.Error(text(findings))
	}
	raw := "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {password: correct-horse}\n---\n" + placeholders
	if _, findings := Render(loadText(t, raw), Options{}); text(findings) != "error: manifest-content:4:18: data.password: is not base64 (write the plain value into stringData)\n" {
		t.Error(text(findings))
	}
}

// TestOneTemplate: a template in quotes, which YAML takes for text, is one finding too.
func TestOneTemplate(t *testing.T) {
	content := strings.NewReplacer(`"app:1.0"`, `"{{ .Values.image }}"`, "name: migrate", `name: "{{ .Release.Name }}"`, "namespace: shop", `namespace: "{{ .Release.Namespace }}"`).Replace(placeholders)
	_, findings := Render(loadText(t, content), Options{})
	if got := text(findings); strings.Count(got, "error: ") != 1 || !strings.HasPrefix(got, `error: manifest-content:4:18: metadata.name: "{{ .Release.Name }}" is invalid: `) ||
		!strings.HasSuffix(got, "(render the template first: helm template … | kubernetes-job-action --manifest -)\n") {
		t.Error(got)
	}
}

// TestEmptyVariable: what an empty variable leaves is shown as it was written.
func TestEmptyVariable(t *testing.T) {
	content := strings.Replace(placeholders, `"app:1.0"`, "'app:${TAG}'", 1)
	set, _ := manifest.Load(manifest.Source{Content: content, Substitute: []string{"TAG"}, LookupEnv: func(string) (string, bool) { return "", true }})
	_, findings := Render(set, Options{})
	if got := text(findings); strings.Contains(got, "did you mean") || !strings.Contains(got, `"app:${TAG}" is no image reference: invalid reference format`) {
		t.Error(got)
	}
}

// TestNoHintShowsAVariable: an image that was meant is none of a suggestion when a variable brings it.
func TestNoHintShowsAVariable(t *testing.T) {
	for name, content := range map[string]string{
		"Job":           strings.Replace(placeholders, `"app:1.0"`, "'${IMG}'", 1),
		"KubernetesJob": "apiVersion: kubernetes.project-planton.org/v1\nkind: KubernetesJob\nmetadata: {name: a}\nspec:\n  namespace: {value: b}\n  image: {repo: '${IMG}', tag: '1'}\n",
	} {
		set, _ := manifest.Load(manifest.Source{Content: content, Substitute: []string{"IMG"}, LookupEnv: func(string) (string, bool) { return "docker://reg.example/hunter2", true }})
		_, findings := Render(set, Options{})
		if got := text(findings); strings.Contains(got, "hunter2") || !strings.Contains(got, `"${IMG}" is no image re`) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestLinesOfVariables: quotation marks that a shell would take off are told, and a line that is no variable comes with the form for several lines.
func TestLinesOfVariables(t *testing.T) {
	for line, want := range map[string]string{
		`A="b c"`:      "warning: env: A: the quotation marks are a part of the value (leave them out: no shell reads this)\n",
		`A='b'`:        "warning: env: A: the quotation marks are a part of the value (leave them out: no shell reads this)\n",
		`A="b" c`:      "",
		`A="`:          "",
		`A="b'`:        "",
		`A="b","c"`:    "",
		`A={"b": "c"}`: "",
		`export A=b`:   "error: env: line 1 is not NAME=VALUE (a value of several lines stands between NAME<<EOF and EOF)\n",
		`A<<`:          "error: env: line 1 is not NAME=VALUE (a value of several lines stands between NAME<<EOF and EOF)\n",
	} {
		_, findings := Render(loadText(t, placeholders), Options{Env: []string{line}})
		if got := text(findings); got != want {
			t.Errorf("%s: %s", line, got)
		}
	}
}

// TestSlipsOfKubernetesJob: the same for a KubernetesJob.
func TestSlipsOfKubernetesJob(t *testing.T) {
	const job = `apiVersion: kubernetes.planton.dev/v1
kind: KubernetesJob
metadata: {name: nightly}
spec:
  namespace: batch
  image: {repo: busybox, tag: "1.36"}
  command: [run]
  activeDeadlineSeconds: 60
`
	const own = " (a KubernetesJob has one container: its image, command, args, env and resources stand in spec)"
	for name, test := range map[string]struct{ old, now, want string }{
		"a Job's template":     {"command: [run]", "template: {}", "spec.template: is no known field here" + own},
		"a Pod's containers":   {"command: [run]", "containers: []", "spec.containers: is no known field here" + own},
		"a variable as a tag":  {`"1.36"`, "$TAG", `spec.image.tag: "$TAG" is no tag of an image (is it a variable? substitute: TAG)`},
		"a placeholder":        {`"1.36"`, "<TAG>", `spec.image.tag: "<TAG>" is no tag of an image (is it a placeholder? fill it in, or write ${NAME} and list NAME in substitute)`},
		"a variable as a repo": {"busybox", "'${REPO}'", `spec.image.repo: "${REPO}" is no image repository: repository name (library/${REPO}) must be lowercase (is it a variable? substitute: REPO)`},
		"a scheme":             {"busybox", "'https://ghcr.io/a/b'", `spec.image.repo: "https://ghcr.io/a/b" is no image repository: invalid reference format (did you mean "ghcr.io/a/b"?)`},
		"a duration":           {"60", "5m", `spec.activeDeadlineSeconds: "5m" is not a whole number (write 300)`},
		"a template":           {`{name: nightly}`, `{name: "{{ .Release.Name }}"}` + "\n#", `metadata.name: "{{ .Release.Name }}" is invalid: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name' or '123-abc') (render the template first: helm template … | kubernetes-job-action --manifest -)`},
	} {
		content := strings.Replace(job, test.old, test.now, 1)
		if name == "a template" { // one finding for all of it
			content = strings.Replace(content, `"1.36"`, `"{{ .Values.tag }}"`, 1)
		}
		_, findings := Render(loadText(t, content), Options{})
		var errors []string
		for _, f := range findings {
			if f.Level == event.Error {
				f.File = ""
				errors = append(errors, f.String())
			}
		}
		if got := strings.Join(errors, "\n"); got != test.want {
			t.Errorf("%s: got  %s\nwant %s", name, got, test.want)
		}
	}
}
