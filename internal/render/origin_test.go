package render

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// TestAPIServerFindings places what the API server says about an object: in the file, at the text that want begins with, or with
// the option that wrote the field.
func TestAPIServerFindings(t *testing.T) {
	const container, cronContainer = "spec.template.spec.containers[0]", "spec.jobTemplate.spec.template.spec.containers[0]"
	labelled := strings.Replace(plainJob, "  template:\n", "  template:\n    metadata: {labels: {team: data}}\n", 1)
	helped := plainJob + "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: tls, namespace: other}\ndata: {tls.crt: Q0VSVA==}\n"
	withNote := kubernetesJob + "  configMaps: {note: hello}\n"
	job := event.Ref{Kind: "Job", Namespace: "shop", Name: "migrate"}
	sidecar := `spec: {template: {spec: {containers: [{name: side}]}}}`
	for _, test := range []struct {
		name, manifest string
		options        Options
		of             event.Ref
		field          string
		path, at       string // at: "" for an option
	}{
		{"a value", plainJob, Options{}, job, container + ".image", container + ".image", "app:1.0"},
		{"a value of a CronJob", cronJob, Options{Name: "migrate"}, job, container + ".image", cronContainer + ".image", "app:1.0"},
		{"a value of a KubernetesJob", kubernetesJob, Options{}, job, container + ".image", "spec.image", "image: {repo"},
		{"a variable of a KubernetesJob", kubernetesJob, Options{}, job, container + ".env[2].value", "spec.env.variables[0].value", "info"},
		{"a secret of a KubernetesJob", kubernetesJob, Options{}, job, container + ".env[3].valueFrom.secretKeyRef.key", "spec.env.secrets[0].secretRef.key", "{name: API_TOKEN"},
		{"what is missing", plainJob, Options{}, job, container + ".livenessProbe.exec", container + ".livenessProbe.exec", "name: job-container"},
		{"a key", plainJob, Options{}, job, container + ".resources.limits[cpu]", container + ".resources.limits[cpu]", "1}"},
		{"the template's labels", labelled, Options{}, job, "spec.template.labels", "spec.template.metadata.labels", "labels: {team"},
		{"no field", plainJob, Options{}, job, "", "", "apiVersion: batch"},
		{"the name", plainJob, Options{}, job, "metadata.name", "metadata.name", "migrate"},
		{"the option name", plainJob, Options{Name: "migrate"}, job, "metadata.name", "name", ""},
		{"the suffix", plainJob, Options{NameSuffix: "7"}, event.Ref{Kind: "Job", Namespace: "shop", Name: "migrate-7"}, "metadata.name", "name-suffix", ""},
		{"the option namespace", plainJob, Options{Namespace: "shop"}, job, "metadata.namespace", "namespace", ""},
		{"an image by option", plainJob, Options{Image: []string{"other:2"}}, job, container + ".image", "image", ""},
		{"a variable beside one by option", plainJob, Options{Env: []string{"A=1"}}, job, container + ".env[0].value", container + ".env[0].value", "info"},
		{"a variable by option", plainJob, Options{Env: []string{"A=1"}}, job, container + ".env[1].name", "env", ""},
		{"a value by option", plainJob, Options{Env: []string{"LEVEL=1"}}, job, container + ".env[0].value", "env", ""},
		{"a secret variable by option", plainJob, Options{SecretEnv: []string{"A=1"}}, job, container + ".env[1].valueFrom.secretKeyRef.key", "secret-env", ""},
		{"a command by option", plainJob, Options{ContainerCommand: []string{"sh"}}, job, container + ".command", "container-command", ""},
		{"the pull secret", plainJob, Options{RegistryCredentials: "server=a username=b password=c"}, job, "spec.template.spec.imagePullSecrets[0].name", "registry-credentials", ""},
		{"our deadline", strings.Replace(plainJob, "  activeDeadlineSeconds: 60\n", "", 1), Options{Timeout: 5}, job, "spec.activeDeadlineSeconds", "timeout", ""},
		{"our TTL", plainJob, Options{}, job, "spec.ttlSecondsAfterFinished", "spec.ttlSecondsAfterFinished", "spec:"},
		{"a value that is patched", plainJob, Options{Patch: "spec: {backoffLimit: 3}"}, job, "spec.backoffLimit", "patch", ""},
		{"a value that is patched away", plainJob, Options{Patch: "spec: {activeDeadlineSeconds: null}"}, job, "spec.activeDeadlineSeconds", "patch", ""},
		{"a container that is patched in", plainJob, Options{Patch: sidecar, Image: []string{"side=x:1", "job-container=app:1.0"}}, job, container + ".ports", "patch", ""},
		{"its image", plainJob, Options{Patch: sidecar, Image: []string{"side=x:1", "job-container=app:1.0"}}, job, container + ".image", "image", ""},
		{"the container behind it", plainJob, Options{Patch: sidecar, Image: []string{"side=x:1"}}, job, "spec.template.spec.containers[1].image", container + ".image", "app:1.0"},
		{"a document beside the Job", helped, Options{}, event.Ref{Kind: "Secret", Namespace: "other", Name: "tls"}, "data[tls.crt]", "data[tls.crt]", "Q0VSVA=="},
		{"a ConfigMap of a KubernetesJob", withNote, Options{}, event.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "note"}, "data[note]", "spec.configMaps.note", "hello"},
		{"the Secret of a KubernetesJob", kubernetesJob, Options{}, event.Ref{Kind: "Secret", Namespace: "shop", Name: "migrate-env-secrets"}, "data", "spec.env.secrets", "secrets:"},
		{"the Secret of an option", plainJob, Options{SecretEnv: []string{"A=1"}}, event.Ref{Kind: "Secret", Namespace: "shop", Name: "migrate-env-secrets"}, "data", "secret-env", ""},
		{"the Secret of the credentials", plainJob, Options{RegistryCredentials: "server=a username=b password=c"}, event.Ref{Kind: "Secret", Namespace: "shop", Name: "migrate-image-pull-secret"}, "data", "registry-credentials", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, findings := Render(loadText(t, test.manifest), test.options)
			if p == nil {
				t.Fatal(text(findings))
			}
			f := p.Finding(test.of, test.field, "Invalid value: x, regex used for validation is 'y'")
			if f.Level != event.Error || f.Path != test.path || !strings.HasSuffix(f.Message, "invalid value: x") {
				t.Errorf("got %s, want path %s", f, test.path)
			}
			if test.at == "" {
				if f.File != "" || !strings.Contains(f.Message, strings.TrimPrefix(test.field, "data")) {
					t.Errorf("got %+v", f)
				}
				return
			}
			lines := strings.Split(test.manifest, "\n")
			if f.Line < 1 || f.Line > len(lines) || !strings.HasPrefix(lines[f.Line-1][f.Column-1:], test.at) {
				t.Errorf("%s is not at %q", f, test.at)
			}
		})
	}

	p := plan(t, nil, Options{FromCronJob: clusterCronJob(t), Env: []string{"A=1"}})
	if f := p.Finding(event.Ref{Kind: "Job"}, container+".image", "Required value"); f.String() != "from-cronjob: "+container+".image: required value" {
		t.Errorf("got %s", f)
	}
}

// TestOrigin: a finding about what an override or a patch did not touch stays in the file.
func TestOrigin(t *testing.T) {
	set := loadText(t, strings.Replace(plainJob, "app:1.0", "app:latest", 1))
	p, findings := Render(set, Options{Patch: "spec: {template: {spec: {containers: [{name: first, image: 'x:1', resources: {limits: {cpu: 1}}}]}}}", Env: []string{"LEVEL=debug"}})
	if p == nil || len(findings) != 1 || findings[0].Line == 0 || findings[0].Path != "spec.template.spec.containers[0].image" {
		t.Errorf("plan: %v, findings:\n%s", p != nil, text(findings))
	}
	if c := p.Job.Spec.Template.Spec.Containers; len(c) != 2 || c[0].Name != "first" || c[1].Env[0] != (corev1.EnvVar{Name: "LEVEL", Value: "debug"}) {
		t.Errorf("containers %v", c)
	}
}
