package render

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// TestAPIServerFindings places what the API server says about an object: in the file, at the text that want begins with, or with
// the option that wrote the field.
func TestAPIServerFindings(t *testing.T) {
	const container, cronContainer = "spec.template.spec.containers[0]", "spec.jobTemplate.spec.template.spec.containers[0]"
	labelled := strings.Replace(plainJob, "  template:\n", "  template:\n    metadata: {labels: {team: data}}\n", 1)
	helped := plainJob + "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: tls, namespace: other}\ndata: {tls.crt: Q0VSVA==}\n"
	withNote := kubernetesJob + "  configMaps: {note: hello}\n"
	const job, other = false, true // whether it is about the object beside the Job
	sidecar := `spec: {template: {spec: {containers: [{name: side}]}}}`
	for _, test := range []struct {
		name, manifest string
		options        Options
		other          bool
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
		{"the suffix", plainJob, Options{NameSuffix: "7"}, job, "metadata.name", "name-suffix", ""},
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
		{"a document beside the Job", helped, Options{}, other, "data[tls.crt]", "data[tls.crt]", "Q0VSVA=="},
		{"a ConfigMap of a KubernetesJob", withNote, Options{}, other, "data[note]", "spec.configMaps.note", "hello"},
		{"the Secret of a KubernetesJob", kubernetesJob, Options{}, other, "data", "spec.env.secrets", "secrets:"},
		{"the Secret of an option", plainJob, Options{SecretEnv: []string{"A=1"}}, other, "data", "secret-env", ""},
		{"the Secret of the credentials", plainJob, Options{RegistryCredentials: "server=a username=b password=c"}, other, "data", "registry-credentials", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, findings := Render(loadText(t, test.manifest), test.options)
			if p == nil {
				t.Fatal(text(findings))
			}
			var of runtime.Object = p.Job
			if test.other {
				var beside []runtime.Object
				for _, o := range p.Apply {
					beside = append(beside, o)
				}
				if beside = append(beside, p.Owned...); len(beside) == 0 {
					t.Fatal("there is no object beside the Job")
				}
				of = beside[len(beside)-1]
			}
			f := p.Finding(of, test.field, "Invalid value: x, regex used for validation is 'y'")
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
	if f := p.Finding(p.Job, container+".image", "Required value"); f.String() != "from-cronjob: "+container+".image: required value" {
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

// TestPlaceOfNamesakes: what the API server finds wrong with an object stands where that one does, not where one of another API group with
// its kind and name does.
func TestPlaceOfNamesakes(t *testing.T) {
	const namesakes = "---\napiVersion: batch.volcano.sh/v1alpha1\nkind: Job\nmetadata: {name: migrate}\nspec: {}\n---\napiVersion: example.com/v1\nkind: ConfigMap\nmetadata: {name: migrate}\nspec: {}\n---\napiVersion: example.com/v1\nkind: Secret\nmetadata: {name: migrate-env-secrets}\nspec: {}\n"
	p := plan(t, loadText(t, placeholders+namesakes+"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: migrate}\n"), Options{Others: OthersAfterSuccess, SecretEnv: []string{"A=b"}})
	if got := names(p.Apply) + ", " + names(p.After); got != "ConfigMap migrate, ConfigMap migrate, Secret migrate-env-secrets, Job migrate" {
		t.Fatal(got)
	}
	for _, test := range []struct {
		of   runtime.Object
		want string
	}{
		{p.Job, "error: manifest-content:5:1: spec: no"},
		{p.After[0], "error: manifest-content:15:1: spec: no"},
		{p.Apply[0], "error: manifest-content:20:1: spec: no"},
		{p.Apply[1], "error: manifest-content:27:1: spec: no"},
		{p.Apply[2], "error: manifest-content:25:1: spec: no"},
		{p.Owned[0], "error: secret-env: spec: no"},
	} {
		f := p.Finding(test.of, "spec", "no")
		if got := strings.TrimSpace(text([]event.Finding{f})); got != test.want {
			t.Errorf("%T: %s, want %s", test.of, got, test.want)
		}
	}
}
