package render

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

const testdata = "../../testdata"

// text writes findings one to a line.
func text(findings []event.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s: %s\n", f.Level, f)
	}
	return b.String()
}

// loadFile reads one file of testdata; findings name it without its folder.
func loadFile(t *testing.T, dir, name string) (*manifest.Set, []event.Finding) {
	t.Helper()
	return manifest.Load(manifest.Source{Paths: []string{name}, Dir: filepath.Join(testdata, dir)})
}

// loadText reads a manifest that must be readable.
func loadText(t *testing.T, content string) *manifest.Set {
	t.Helper()
	set, findings := manifest.Load(manifest.Source{Content: content})
	if len(findings) > 0 {
		t.Fatalf("the test's own manifest: %s", text(findings))
	}
	return set
}

// plan renders what must be valid.
func plan(t *testing.T, set *manifest.Set, o Options) *Plan {
	t.Helper()
	p, findings := Render(set, o)
	if p == nil {
		t.Fatalf("no plan:\n%s", text(findings))
	}
	return p
}

const plainJob = `
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: shop}
spec:
  activeDeadlineSeconds: 60
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: job-container
          image: app:1.0
          resources: {limits: {cpu: 1}}
          env: [{name: LEVEL, value: info}]
`

const cronJob = `
apiVersion: batch/v1
kind: CronJob
metadata: {name: migrate, namespace: shop}
spec:
  schedule: "@daily"
  jobTemplate:
    spec:
      activeDeadlineSeconds: 60
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: job-container
              image: app:1.0
              resources: {limits: {cpu: 1}}
              env: [{name: LEVEL, value: info}]
`

const kubernetesJob = `
apiVersion: kubernetes.planton.dev/v1
kind: KubernetesJob
metadata: {name: migrate}
spec:
  namespace: shop
  activeDeadlineSeconds: 60
  image: {repo: app, tag: "1.0"}
  env:
    variables: [{name: LEVEL, value: info}]
    secrets: [{name: API_TOKEN, value: in-the-manifest}]
`

const severalContainers = `
apiVersion: batch/v1
kind: Job
metadata: {name: several}
spec:
  activeDeadlineSeconds: 60
  template:
    spec:
      restartPolicy: Never
      initContainers:
        - {name: prepare, image: "prepare:1"}
      containers:
        - {name: work, image: "work:1", resources: {limits: {cpu: 1}}}
        - {name: help, image: "help:1", resources: {limits: {cpu: 1}}}
`

// clusterCronJob is cronJob as a cluster holds it.
func clusterCronJob(t *testing.T) *batchv1.CronJob {
	t.Helper()
	var cron batchv1.CronJob
	if err := yaml.UnmarshalStrict([]byte(cronJob), &cron); err != nil {
		t.Fatal(err)
	}
	cron.UID, cron.ResourceVersion = "7d3c", "12"
	return &cron
}

// workloads are the same job in every form that Render knows.
func workloads(t *testing.T) map[string]func(Options) (*manifest.Set, Options) {
	t.Helper()
	file := func(content string) func(Options) (*manifest.Set, Options) {
		set := loadText(t, content)
		return func(o Options) (*manifest.Set, Options) { return set, o }
	}
	return map[string]func(Options) (*manifest.Set, Options){
		"Job":           file(plainJob),
		"CronJob":       file(cronJob),
		"KubernetesJob": file(kubernetesJob),
		"from-cronjob": func(o Options) (*manifest.Set, Options) {
			o.FromCronJob = clusterCronJob(t)
			return nil, o
		},
	}
}

func TestGolden(t *testing.T) {
	stamp := map[string]string{"kubernetes-job-action.planton.ai/nonce": "N0NCE", "kubernetes-job-action.planton.ai/run-id": "4711"}
	for _, test := range []struct {
		golden, manifest string
		options          Options
	}{
		{"plain-job", "plain-job.yaml", Options{Timeout: time.Hour}},
		{"plain-job-overridden", "plain-job.yaml", Options{
			NameSuffix: "4711-1", Namespace: "preview", Stamp: stamp,
			Image:       []string{"import=registry.example.com/import:next", "fetch=busybox:1.38"},
			Env:         []string{"LEVEL=debug", "EMPTY="},
			SecretEnv:   []string{"TOKEN=t=0ken", "OTHER=hidden too"},
			Labels:      []string{"pr=12"},
			Annotations: []string{"example.com/note=a = b"},
			Patch: `
spec:
  parallelism: 1
  template:
    spec:
      containers:
        - name: metrics
          $patch: delete
        - name: import
          resources: {limits: {memory: 1Gi}}
`,
			RegistryCredentials: "server=ghcr.io username=bot password=p4ss=word server=docker.io username=hub password=hubpass",
		}},
		{"cronjob", "cronjob.yaml", Options{Stamp: stamp, Cleanup: CleanupAlways}},
		{"several-documents", "several-documents.yaml", Options{}},
		{"several-documents-moved", "several-documents.yaml", Options{Namespace: "pr-12"}},
		{"dialects", "dialect-project-planton.yaml", Options{NameSuffix: "7"}},
		{"dialects", "dialect-openmcf.yaml", Options{NameSuffix: "7"}},
		{"dialects", "dialect-planton.yaml", Options{NameSuffix: "7"}},
	} {
		t.Run(test.golden+"/"+test.manifest, func(t *testing.T) {
			set, findings := loadFile(t, "render", test.manifest)
			p, more := Render(set, test.options)
			if p == nil {
				t.Fatalf("no plan:\n%s", text(append(findings, more...)))
			}
			out, err := p.YAML(shown)
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, filepath.Join(testdata, "render", test.golden+".golden"), string(out))
			for _, secret := range append(test.options.Secrets(), set.Secrets...) {
				if bytes.Contains(out, []byte(secret.Value)) || bytes.Contains(out, []byte(base64.StdEncoding.EncodeToString([]byte(secret.Value)))) {
					t.Errorf("%q is in the output", secret.Value)
				}
			}
		})
	}
}

// TestBadManifests compares what is said about each bad manifest with the golden file beside it: place, path, what is
// allowed, suggestion. A first line "# substitute: NAME" names variables; none of them is set.
func TestBadManifests(t *testing.T) {
	for dir, least := range map[string]int{"bad": 70, "bad-batch": 30} {
		files, err := filepath.Glob(filepath.Join(testdata, dir, "*.yaml"))
		if err != nil || len(files) < least {
			t.Fatalf("%d files in %s, %v", len(files), dir, err)
		}
		for _, file := range files {
			name := filepath.Base(file)
			t.Run(dir+"/"+name, func(t *testing.T) {
				source := manifest.Source{Paths: []string{name}, Dir: filepath.Join(testdata, dir), LookupEnv: func(string) (string, bool) { return "", false }}
				content, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				first, _, _ := bytes.Cut(content, []byte("\n"))
				if names, ok := strings.CutPrefix(string(first), "# substitute: "); ok {
					source.Substitute = strings.Fields(names)
				}
				set, findings := manifest.Load(source)
				o := Options{}
				if dir == "bad" {
					o.Timeout = time.Hour // a deadline for all of them
				}
				p, more := Render(set, o)
				findings = append(findings, more...)
				warned := name == "advice.yaml" || name == "newer-cluster.yaml"
				if len(findings) == 0 || event.HasErrors(findings) == warned || (p != nil) != warned && !event.HasErrors(findings) {
					t.Errorf("plan: %v", p != nil)
				}
				golden.Compare(t, strings.TrimSuffix(file, ".yaml")+".golden", text(findings))
			})
		}
	}
}

// TestAllAtOnce: what cannot be read hides what follows from it, and nothing whose name merely begins alike.
func TestAllAtOnce(t *testing.T) {
	const head = "apiVersion: kubernetes.planton.dev/v1\nkind: KubernetesJob\nmetadata: {name: a}\nspec:\n  namespace: b\n"
	for spec, want := range map[string][]string{
		`  image: {repo: c, tag: "d e", tagg: x}`: {"spec.image.tagg", "spec.image.tag"},
		`  image: {repo: c, tag: "d e", zagg: x}`: {"spec.image.tag", "spec.image.zagg"},
		`  image: {repo: c, tag: [d]}`:            {"spec.image.tag"},
		`  image: [c]`:                            {"spec.image"},
		"  image: {repo: c, tag: d}\n  env: {variables: {PORT: [x], PORT=X: {value: x}}}\n":                                  {"spec.env.variables.PORT", "spec.env.variables.PORT=X"},
		"  image: {repo: c, tag: d}\n  restartPolicy: Always\n  resources: {requests: {cpu: \"2\"}, limits: {cpu: \"1\"}}\n": {"spec.restartPolicy", "spec.resources.requests.cpu"},
	} {
		set, findings := manifest.Load(manifest.Source{Content: head + spec})
		_, more := Render(set, Options{Timeout: time.Hour})
		var got []string
		for _, f := range append(findings, more...) {
			got = append(got, f.Path)
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", spec, diff)
		}
	}
}

// TestOverrides applies every override to every kind of workload.
func TestOverrides(t *testing.T) {
	container := func(p *Plan) corev1.Container { return p.Job.Spec.Template.Spec.Containers[0] }
	env := func(p *Plan, name string) any {
		for _, e := range container(p).Env {
			if e.Name == name {
				return e
			}
		}
		return nil
	}
	secret := func(p *Plan, suffix string) *corev1.Secret {
		for _, o := range p.Owned {
			if s, ok := o.(*corev1.Secret); ok && s.Name == p.Job.Name+suffix {
				return s
			}
		}
		return nil
	}
	for name, test := range map[string]struct {
		options Options
		get     func(*Plan) any
		want    any
	}{
		"namespace":        {Options{Namespace: "other"}, func(p *Plan) any { return []string{p.Namespace, p.Job.Namespace} }, []string{"other", "other"}},
		"name":             {Options{Name: "other"}, func(p *Plan) any { return p.Job.Name }, "other"},
		"name and suffix":  {Options{Name: "other", NameSuffix: "1-2"}, func(p *Plan) any { return p.Job.Name }, "other-1-2"},
		"suffix":           {Options{NameSuffix: "-1"}, func(p *Plan) any { return p.Job.Name }, "migrate-1"},
		"image":            {Options{Image: []string{"other:2"}}, func(p *Plan) any { return container(p).Image }, "other:2"},
		"image by name":    {Options{Image: []string{"job-container=other:2"}}, func(p *Plan) any { return container(p).Image }, "other:2"},
		"command":          {Options{ContainerCommand: []string{"sh", "-c"}}, func(p *Plan) any { return container(p).Command }, []string{"sh", "-c"}},
		"args":             {Options{ContainerArgs: []string{"a b"}}, func(p *Plan) any { return container(p).Args }, []string{"a b"}},
		"env replaced":     {Options{Env: []string{"LEVEL=a=b"}}, func(p *Plan) any { return env(p, "LEVEL") }, corev1.EnvVar{Name: "LEVEL", Value: "a=b"}},
		"env added":        {Options{Env: []string{"NEW="}}, func(p *Plan) any { return env(p, "NEW") }, corev1.EnvVar{Name: "NEW"}},
		"secret env value": {Options{Name: "n", SecretEnv: []string{"S=hush hush"}}, func(p *Plan) any { return string(content(secret(p, "-env-secrets"))["S"]) }, "hush hush"},
		"secret env": {Options{Name: "n", SecretEnv: []string{"LEVEL=x"}}, func(p *Plan) any { return env(p, "LEVEL") }, corev1.EnvVar{Name: "LEVEL", ValueFrom: &corev1.EnvVarSource{
			SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "n-env-secrets"}, Key: "LEVEL"}}}},
		"labels": {Options{Labels: []string{"a/b=c"}}, func(p *Plan) any { return p.Job.Labels["a/b"] + p.Job.Spec.Template.Labels["a/b"] }, "cc"},
		"annotations": {Options{Annotations: []string{"a/b=c d"}}, func(p *Plan) any {
			return p.Job.Annotations["a/b"] + p.Job.Spec.Template.Annotations["a/b"]
		}, "c dc d"},
		"patch": {Options{Patch: `{"spec": {"template": {"spec": {"nodeSelector": {"gpu": "yes"}, "containers": [{"name": "job-container", "env": [{"name": "P", "value": "1"}]}]}}}}`},
			func(p *Plan) any {
				return fmt.Sprint(p.Job.Spec.Template.Spec.NodeSelector, env(p, "P"), env(p, "LEVEL"))
			},
			fmt.Sprint(map[string]string{"gpu": "yes"}, corev1.EnvVar{Name: "P", Value: "1"}, corev1.EnvVar{Name: "LEVEL", Value: "info"})},
		"patch before overrides": {Options{Patch: "spec: {template: {spec: {containers: [{name: job-container, image: 'patched:1'}]}}}", Image: []string{"other:2"}},
			func(p *Plan) any { return container(p).Image }, "other:2"},
		"registry credentials": {Options{RegistryCredentials: "server=ghcr.io username=u password=pass"}, func(p *Plan) any {
			s := secret(p, "-image-pull-secret")
			return []string{string(s.Type), string(s.Data[".dockerconfigjson"]), fmt.Sprint(p.Job.Spec.Template.Spec.ImagePullSecrets)}
		}, []string{"kubernetes.io/dockerconfigjson", `{"auths":{"ghcr.io":{"username":"u","password":"pass","auth":"dTpwYXNz"}}}`, "[{migrate-image-pull-secret}]"}},
		"stamp":   {Options{Stamp: map[string]string{"a/run": "1"}}, func(p *Plan) any { return p.Job.Annotations["a/run"] + p.Job.Spec.Template.Annotations["a/run"] }, "1"},
		"managed": {Options{}, func(p *Plan) any { return p.Job.Labels[event.ManagedByLabel] }, event.ManagedBy},
	} {
		for kind, load := range workloads(t) {
			t.Run(name+"/"+kind, func(t *testing.T) {
				if test.options.Name == "" && test.options.NameSuffix == "" {
					test.options.Name = "migrate" // a CronJob's Job has no name of its own
				}
				set, o := load(test.options)
				p := plan(t, set, o)
				if diff := cmp.Diff(test.want, test.get(p)); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
}

// TestOptionErrors gives options that cannot work; each is one finding under the option's name.
func TestOptionErrors(t *testing.T) {
	long := strings.Repeat("n", 50)
	for name, test := range map[string]struct {
		manifest string
		options  Options
		want     string
	}{
		"namespace":                {plainJob, Options{Namespace: "Team_A"}, `namespace: "Team_A" is invalid: a lowercase RFC 1123 label`},
		"name":                     {plainJob, Options{Name: "Not_DNS"}, `name: "Not_DNS" is invalid: a lowercase RFC 1123 subdomain`},
		"dots for a KubernetesJob": {kubernetesJob, Options{Name: "a.b"}, `name: "a.b" is invalid: must not contain dots`},
		"suffix too long":          {plainJob, Options{Name: long, NameSuffix: "20261231-235959"}, `name-suffix: the name "` + long + `" (50 characters), a hyphen and the suffix "20261231-235959" (15) make 66 characters; 63 are the most`},
		"suffix without letters":   {plainJob, Options{NameSuffix: "/"}, `name-suffix: with the suffix, the name "migrate-/" is invalid: `},
		"suffix not DNS":           {plainJob, Options{NameSuffix: "Feature/X"}, `name-suffix: with the suffix, the name "migrate-Feature/X" is invalid: `},
		"name too long":            {plainJob, Options{Name: long + long}, `name: "` + long + long + `" has 100 characters; 63 are the most`},
		"image for several":        {severalContainers, Options{Image: []string{"x:1"}}, `image: the pod has 2 containers; write container=x:1 with one of work, help, prepare`},
		"image for nobody":         {severalContainers, Options{Image: []string{"wrok=x:1"}}, `image: there is no container "wrok"; there are work, help, prepare (did you mean "work"?)`},
		"image empty":              {severalContainers, Options{Image: []string{"work="}}, `image: "work=" names no image`},
		"image twice":              {severalContainers, Options{Image: []string{"work=a:1", "work=b:1"}}, `image: container "work" is given two images`},
		"image invalid":            {plainJob, Options{Image: []string{"ghcr.io/Acme/app:1"}}, `image: "ghcr.io/Acme/app:1" is no image reference: repository name (Acme/app) must be lowercase (did you mean "ghcr.io/acme/app:1"?)`},
		"command for several":      {severalContainers, Options{ContainerCommand: []string{"sh"}}, `container-command: the pod has 2 containers; it works for one (use patch, which names the container)`},
		"args for several":         {severalContainers, Options{ContainerArgs: []string{}}, `container-args: the pod has 2 containers; it works for one (use patch, which names the container)`},
		"env without =":            {plainJob, Options{Env: []string{"A=1", "B"}}, `env: A: the value goes on over several lines: line 2 is not NAME=VALUE (write A<<EOF, the lines of the value, and EOF on a line of its own; or keep it in a Secret)`},
		"env twice":                {plainJob, Options{Env: []string{"A=1", "A=2"}}, `env: A is given twice`},
		"env and secret-env":       {plainJob, Options{Env: []string{"A=1"}, SecretEnv: []string{"A=2"}}, `env: A is given by secret-env too`},
		"label key":                {plainJob, Options{Labels: []string{"-a=1"}}, `labels: "-a" is invalid: name part must consist of`},
		"label value":              {severalContainers, Options{Labels: []string{"a=b c"}}, `labels: "b c" is invalid: a valid label`},
		"annotation key":           {plainJob, Options{Annotations: []string{"a/b/c=1"}}, `annotations: "a/b/c" is invalid: a valid label key`},
		"patch not YAML":           {plainJob, Options{Patch: "a: [b"}, `patch: it is neither YAML nor JSON: `},
		"patch two documents":      {plainJob, Options{Patch: "spec: {}\n---\nspec: {}\n"}, `patch: it holds more than one document; one patch is possible`},
		"patch no mapping":         {plainJob, Options{Patch: "- op: add"}, `patch: it is no mapping; write the fields of the Job to change, for example spec: {backoffLimit: 0}`},
		"patch only comment":       {plainJob, Options{Patch: "# nothing"}, `patch: it is no mapping; `},
		"patch duplicate key":      {plainJob, Options{Patch: "spec: {suspend: true, suspend: false}"}, `patch: it is neither YAML nor JSON: `},
		"patch unknown field":      {plainJob, Options{Patch: "spec: {backofLimit: 1}"}, `patch: spec.backofLimit: `},
		"patch unknown deep field": {plainJob, Options{Patch: "spec: {template: {spec: {contaners: [{name: x}]}}}"}, `patch: `},
		"patch wrong type":         {plainJob, Options{Patch: "spec: {backoffLimit: many}"}, `patch: spec.backoffLimit: `},
		"patch invalid value":      {plainJob, Options{Patch: "spec: {backoffLimit: -1}"}, `patch: spec.backoffLimit: -1 is too small; 0 is the least`},
		"patch kind":               {plainJob, Options{Patch: "kind: CronJob"}, `patch: kind cannot be patched ("Job" to "CronJob")`},
		"patch apiVersion":         {plainJob, Options{Patch: "apiVersion: batch/v2"}, `patch: apiVersion cannot be patched ("batch/v1" to "batch/v2")`},
		"patch name":               {plainJob, Options{Patch: "metadata: {name: x}"}, `patch: metadata.name cannot be patched ("migrate" to "x") (use the option name)`},
		"patch namespace":          {plainJob, Options{Patch: "metadata: {namespace: x}"}, `patch: metadata.namespace cannot be patched ("shop" to "x") (use the option namespace)`},
		"indexed name":             {plainJob, Options{Name: long + "1234567890", Patch: "spec: {completionMode: Indexed, completions: 1000}"}, `name: "` + long + `1234567890-999" cannot be the host name of the last index: must be no more than 63 `},
		"credentials form":         {plainJob, Options{RegistryCredentials: "ghcr.io bot hunter2"}, `registry-credentials: word 1 is not understood (write server=`},
		"credentials incomplete":   {plainJob, Options{RegistryCredentials: "server=ghcr.io username=bot"}, `registry-credentials: the entry of "ghcr.io" needs a username and a password (write server=`},
		"credentials twice":        {plainJob, Options{RegistryCredentials: "server=a.io username=b password=c server=a.io username=b password=c"}, `registry-credentials: there are two entries of "a.io"`},
		"credentials no auths":     {plainJob, Options{RegistryCredentials: `{"credsStore": "desktop"}`}, `registry-credentials: it is no dockerconfigjson document with auths`},
		"credentials bad auth":     {plainJob, Options{RegistryCredentials: `{"auths": {"ghcr.io": {"auth": "bot:hunter2"}}}`}, `registry-credentials: the entry of "ghcr.io" holds no usable credentials`},
		"cronjob and workload":     {plainJob, Options{FromCronJob: clusterCronJob(t)}, `from-cronjob: the manifest has a workload too; give one of them`},
	} {
		t.Run(name, func(t *testing.T) {
			p, findings := Render(loadText(t, test.manifest), test.options)
			var errs []event.Finding
			for _, f := range findings {
				if f.Level == event.Error {
					errs = append(errs, f)
				}
			}
			if p != nil || len(errs) != 1 || !strings.HasPrefix(errs[0].String(), test.want) {
				t.Errorf("plan: %v, findings:\n%swant: %s", p != nil, text(errs), test.want)
			}
		})
	}
}

// TestBranchNames: what a branch's name cannot be comes with what it can be.
func TestBranchNames(t *testing.T) {
	long := strings.Repeat("n", 50)
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"suffix of a branch":      {Options{NameSuffix: "Feature/SHOP-1_new/"}, `use feature-shop-1-new`},
		"suffix of a long branch": {Options{Name: long, NameSuffix: "feature/a-long-name"}, `use feature-a-lo`},
		"label of a branch":       {Options{Labels: []string{"branch=feature/SHOP 1_new-"}}, `use feature-SHOP-1_new`},
		"long label":              {Options{Labels: []string{"branch=" + strings.Repeat("x", 62) + "/y"}}, `use ` + strings.Repeat("x", 62) + ``},
		"a variable":              {Options{}, ""},
	} {
		content := plainJob
		if name == "a variable" {
			content = strings.Replace(plainJob, "namespace: shop", "labels: {a: '${B}'}", 1)
		}
		set, _ := manifest.Load(manifest.Source{Content: content, Substitute: strings.Fields(map[bool]string{true: "B"}[name == "a variable"]),
			LookupEnv: func(string) (string, bool) { return "feature/a secret", true }})
		_, findings := Render(set, test.options)
		if i := slices.IndexFunc(findings, func(f event.Finding) bool { return f.Level == event.Error }); i < 0 || findings[i].Suggestion != test.want {
			t.Errorf("%s: want %q:\n%s", name, test.want, text(findings))
		}
	}
}

// TestSecretsAreNotQuoted gives a key of several lines, split into lines as secret-env is, and expects none of it in the findings.
func TestSecretsAreNotQuoted(t *testing.T) {
	lines := []string{"KEY=-----BEGIN KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQ==", "c2VjcmV0c2VjcmV0", "-----END KEY-----"}
	p, findings := Render(loadText(t, plainJob), Options{SecretEnv: lines, RegistryCredentials: strings.Join(lines[1:], " ")})
	if p != nil || len(findings) != 2 {
		t.Fatalf("plan: %v, findings:\n%s", p != nil, text(findings))
	}
	for _, line := range lines[1:] {
		if strings.Contains(text(findings), line) {
			t.Errorf("%q is quoted", line)
		}
	}
}

func TestNames(t *testing.T) {
	generated := strings.Replace(plainJob, "name: migrate", "generateName: migrate-", 1)
	for name, test := range map[string]struct {
		manifest string
		options  Options
		want     string // "*" stands for five generated characters
	}{
		"as it stands":             {plainJob, Options{}, "migrate"},
		"generateName":             {generated, Options{}, "migrate-*"},
		"generateName with suffix": {generated, Options{NameSuffix: "12"}, "migrate-12"},
		"generateName and name":    {generated, Options{Name: "n"}, "n"},
		"long generateName":        {strings.Replace(generated, "migrate-", strings.Repeat("m", 70), 1), Options{}, strings.Repeat("m", 58) + "*"},
		"cronjob":                  {cronJob, Options{}, "migrate-*"},
		"cronjob with suffix":      {cronJob, Options{NameSuffix: "12"}, "migrate-12"},
		"cronjob and name":         {cronJob, Options{Name: "n", NameSuffix: "2"}, "n-2"},
		"dots":                     {strings.Replace(plainJob, "name: migrate", "name: migrate.v2", 1), Options{}, "migrate.v2"},
	} {
		t.Run(name, func(t *testing.T) {
			set := loadText(t, test.manifest)
			test.options.Stamp = map[string]string{"nonce": "1"}
			one, again := plan(t, set, test.options), plan(t, set, test.options)
			if one.Job.Name != again.Job.Name {
				t.Errorf("%q, then %q", one.Job.Name, again.Job.Name)
			}
			want, isGenerated := strings.CutSuffix(test.want, "*")
			if isGenerated {
				test.options.Stamp = map[string]string{"nonce": "2"}
				if other := plan(t, set, test.options); other.Job.Name == one.Job.Name {
					t.Errorf("%q for two runs", one.Job.Name)
				}
				if n := len(one.Job.Name) - len(want); n != 5 {
					t.Errorf("%q has %d more characters than %q", one.Job.Name, n, want)
				}
				one.Job.Name = one.Job.Name[:len(want)]
			}
			if one.Job.Name != want || one.Job.GenerateName != "" {
				t.Errorf("name %q, generateName %q; want %q", one.Job.Name, one.Job.GenerateName, want)
			}
		})
	}
}

// TestFromCronJob compares with what kubectl create job --from makes, but for the owner.
func TestFromCronJob(t *testing.T) {
	cron := clusterCronJob(t)
	cron.Spec.JobTemplate.Labels = map[string]string{"app": "x"}
	before := cron.DeepCopy()
	p := plan(t, nil, Options{FromCronJob: cron, Labels: []string{"pr=1"}, Env: []string{"LEVEL=debug"}})
	if diff := cmp.Diff(before, cron); diff != "" {
		t.Errorf("the CronJob was changed:\n%s", diff)
	}
	if p.Namespace != "shop" || len(p.Job.OwnerReferences) != 0 {
		t.Errorf("namespace %q, owners %v", p.Namespace, p.Job.OwnerReferences)
	}
	delete(p.Job.Annotations, event.ManifestHashAnnotation)
	want := map[string]string{"cronjob.kubernetes.io/instantiate": "manual", FromCronJobAnnotation: "migrate"}
	if diff := cmp.Diff(want, p.Job.Annotations); diff != "" {
		t.Errorf("annotations -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"app": "x", "pr": "1", event.ManagedByLabel: event.ManagedBy}, p.Job.Labels); diff != "" {
		t.Errorf("labels -want +got:\n%s", diff)
	}
}

// TestNothingIsKept: keep-succeeded with a Job that goes at once would do the work again.
func TestNothingIsKept(t *testing.T) {
	manifest := loadText(t, strings.Replace(plainJob, "activeDeadlineSeconds: 60", "ttlSecondsAfterFinished: 0", 1))
	const want = "error: if-exists: keep-succeeded needs the Job that succeeded, and ttlSecondsAfterFinished: 0 deletes it at once"
	if p, findings := Render(manifest, Options{KeepSucceeded: true}); p != nil || !strings.Contains(text(findings), want) {
		t.Errorf("%v\n%s", p, text(findings))
	}
	if p, findings := Render(manifest, Options{}); p == nil {
		t.Error(text(findings))
	}
}

func TestDeadlineAndTTL(t *testing.T) {
	with := strings.Replace(plainJob, "activeDeadlineSeconds: 60", "activeDeadlineSeconds: 60\n  ttlSecondsAfterFinished: 100", 1)
	without := strings.Replace(plainJob, "  activeDeadlineSeconds: 60\n", "", 1)
	for name, test := range map[string]struct {
		manifest      string
		options       Options
		deadline, ttl string
		deleteAfter   string // the outcomes
		warnings      int
	}{
		"manifest decides":             {with, Options{Timeout: time.Hour, Cleanup: CleanupAuto}, "60", "100", "", 0},
		"manifest decides, always":     {with, Options{Cleanup: CleanupAlways}, "60", "100", "succeeded failed", 0},
		"manifest decides, never":      {with, Options{Cleanup: CleanupNever}, "60", "100", "", 0},
		"manifest decides, on-success": {with, Options{Cleanup: CleanupOnSuccess}, "60", "100", "succeeded", 0},
		"timeout rounds up":            {without, Options{Timeout: 1500 * time.Millisecond, Cleanup: CleanupAuto}, "62", "86400", "succeeded", 0},
		"zero value is auto":           {without, Options{}, "-", "86400", "succeeded", 1},
		"always has a net":             {without, Options{Timeout: time.Minute, Cleanup: CleanupAlways}, "120", "86400", "succeeded failed", 0},
		"on-success keeps":             {without, Options{Timeout: time.Minute, Cleanup: CleanupOnSuccess}, "120", "-", "succeeded", 0},
		"never":                        {without, Options{Cleanup: CleanupNever}, "-", "-", "", 2},
		"kept, auto":                   {without, Options{Timeout: time.Minute, KeepSucceeded: true}, "120", "86400", "", 0},
		"kept, always":                 {without, Options{Timeout: time.Minute, KeepSucceeded: true, Cleanup: CleanupAlways}, "120", "86400", "failed", 0},
		"kept, on-success":             {without, Options{Timeout: time.Minute, KeepSucceeded: true, Cleanup: CleanupOnSuccess}, "120", "86400", "", 0},
		"kept, never":                  {without, Options{Timeout: time.Minute, KeepSucceeded: true, Cleanup: CleanupNever}, "120", "-", "", 1},
		"kept as the manifest says":    {with, Options{KeepSucceeded: true, Cleanup: CleanupAlways}, "60", "100", "failed", 1},
	} {
		t.Run(name, func(t *testing.T) {
			p, findings := Render(loadText(t, test.manifest), test.options)
			if p == nil {
				t.Fatal(text(findings))
			}
			deadline, ttl := "-", "-"
			if d := p.Job.Spec.ActiveDeadlineSeconds; d != nil {
				deadline = fmt.Sprint(*d)
			}
			if d := p.Job.Spec.TTLSecondsAfterFinished; d != nil {
				ttl = fmt.Sprint(*d)
			}
			deleteAfter := strings.Trim(fmt.Sprint(p.DeleteAfter), "[]")
			if deadline != test.deadline || ttl != test.ttl || deleteAfter != test.deleteAfter || len(findings) != test.warnings {
				t.Errorf("deadline %s, ttl %s, deleted after %q, findings:\n%s", deadline, ttl, deleteAfter, text(findings))
			}
		})
	}
}

// TestManifestHash: what makes the same work has the same hash, and a Secret's value is no part of it.
func TestManifestHash(t *testing.T) {
	beside := plainJob + `---
{apiVersion: v1, kind: ConfigMap, metadata: {name: schema, namespace: shop}, data: {"1.sql": "create table a"}}
---
{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: shop}, stringData: {password: first}}
`
	hash := func(t *testing.T, manifest string, o Options) string {
		t.Helper()
		h := plan(t, loadText(t, manifest), o).Job.Annotations[event.ManifestHashAnnotation]
		if len(h) != 64 {
			t.Fatalf("hash %q", h)
		}
		return h
	}
	of := func(old, new string) string { return strings.Replace(beside, old, new, 1) }
	secret := Options{SecretEnv: []string{"TOKEN=first"}}
	kubernetesJob := "{apiVersion: kubernetes.project-planton.org/v1, kind: KubernetesJob, metadata: {name: migrate}, spec: {namespace: {value: shop}, image: {repo: app, tag: \"1\"}, resources: {}, configMaps: {note: hello}, env: {secrets: {TOKEN: {value: first}}}}}"
	for name, test := range map[string]struct {
		manifest, other string
		options, others Options
		same            bool
	}{
		"nothing":                      {beside, beside, Options{}, Options{}, true},
		"the run":                      {beside, beside, Options{Stamp: map[string]string{event.CommitAnnotation: "a"}}, Options{Stamp: map[string]string{event.CommitAnnotation: "b"}}, true},
		"a label of an option":         {beside, beside, Options{}, Options{Labels: []string{"run=2"}}, true},
		"an annotation of an option":   {beside, beside, Options{Annotations: []string{"run=1"}}, Options{Annotations: []string{"run=2"}}, true},
		"the timeout":                  {of("  activeDeadlineSeconds: 60\n", ""), of("  activeDeadlineSeconds: 60\n", ""), Options{Timeout: time.Hour}, Options{Timeout: time.Minute}, true},
		"cleanup":                      {beside, beside, Options{}, Options{Cleanup: CleanupNever, KeepSucceeded: true}, true},
		"the value of a secret":        {beside, beside, secret, Options{SecretEnv: []string{"TOKEN=second"}}, true},
		"the value of the file's":      {beside, of("first", "second"), Options{}, Options{}, true},
		"the value in kubectl's note":  {of("name: db,", "name: db, annotations: {kubectl.kubernetes.io/last-applied-configuration: first},"), of("name: db,", "name: db, annotations: {kubectl.kubernetes.io/last-applied-configuration: second},"), Options{}, Options{}, true},
		"a label of an option, owned":  {kubernetesJob, kubernetesJob, Options{}, Options{Labels: []string{"run=2"}}, true},
		"a secret of a KubernetesJob":  {kubernetesJob, strings.Replace(kubernetesJob, "first", "second", 1), Options{}, Options{}, true},
		"a ConfigMap of it":            {kubernetesJob, strings.Replace(kubernetesJob, "hello", "bye", 1), Options{}, Options{}, false},
		"the name of a secret":         {beside, beside, secret, Options{SecretEnv: []string{"TOKEN2=first"}}, false},
		"a secret more":                {beside, beside, Options{}, secret, false},
		"the image":                    {beside, beside, Options{}, Options{Image: []string{"app:2.0"}}, false},
		"a variable":                   {beside, beside, Options{Env: []string{"LEVEL=a"}}, Options{Env: []string{"LEVEL=b"}}, false},
		"a label of the manifest":      {beside, of("migrate, namespace: shop}", "migrate, namespace: shop, labels: {a: b}}"), Options{}, Options{}, false},
		"the manifest's deadline":      {beside, of("activeDeadlineSeconds: 60", "activeDeadlineSeconds: 61"), Options{}, Options{}, false},
		"a ConfigMap beside it":        {beside, of("table a", "table b"), Options{}, Options{}, false},
		"a key of the file's Secret":   {beside, of("password: first", "pass: first"), Options{}, Options{}, false},
		"what is applied after it":     {beside, beside + "---\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: shop}, spec: {}}\n", Options{}, Options{Others: OthersAfterSuccess}, false},
		"what is left out of the file": {beside, beside + "---\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: shop}, spec: {}}\n", Options{}, Options{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if a, b := hash(t, test.manifest, test.options), hash(t, test.other, test.others); (a == b) != test.same {
				t.Errorf("hashes %s and %s", a, b)
			}
		})
	}
}

// TestRenamed: whatever the name is, what it becomes is within what Kubernetes allows, and names all that belongs to the Job.
func TestRenamed(t *testing.T) {
	const kubernetesJob = "{apiVersion: kubernetes.project-planton.org/v1, kind: KubernetesJob, metadata: {name: migrate}, spec: {namespace: {value: shop}, image: {repo: app, tag: \"1\"}, resources: {}, env: {secrets: {TOKEN: {value: first}}}}}"
	named := func(name string) string { return strings.Replace(plainJob, "migrate", name, 1) }
	long := strings.Repeat("x", 63)
	for name, test := range map[string]struct {
		manifest string
		options  Options
		want     string
	}{
		"short":            {plainJob, Options{}, "migrate-k2x7q"},
		"with a suffix":    {plainJob, Options{NameSuffix: "pr-7"}, "migrate-pr-7-k2x7q"},
		"of an option":     {plainJob, Options{Name: "other"}, "other-k2x7q"},
		"the longest":      {named(long), Options{}, long[:57] + "-k2x7q"},
		"cut at a dot":     {named(long[:56] + ".xxxxxx"), Options{}, long[:56] + "-k2x7q"},
		"cut at a hyphen":  {named(long[:55] + "--xxxxx"), Options{}, long[:55] + "-k2x7q"},
		"Indexed":          {strings.Replace(named(long[:60]), "  template:", "  completionMode: Indexed\n  completions: 11\n  template:", 1), Options{}, long[:54] + "-k2x7q"},
		"no namespace":     {strings.Replace(plainJob, ", namespace: shop", "", 1), Options{}, "migrate-k2x7q"},
		"a KubernetesJob":  {kubernetesJob, Options{}, "migrate-k2x7q"},
		"only an end of 5": {strings.Replace(plainJob, "name: migrate", "generateName: migrate-", 1), Options{Stamp: map[string]string{"n": "x"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			set := loadText(t, test.manifest)
			p := plan(t, set, test.options)
			if p.Namespace == "" {
				p.InNamespace("shop")
			}
			again, findings := p.Renamed(set, test.options, "k2x7q")
			if again == nil {
				t.Fatal(text(findings))
			}
			if test.want == "" {
				test.want = p.Job.Name + "-k2x7q"
			}
			if again.Job.Name != test.want || again.Job.Namespace != "shop" || again.Namespace != "shop" || !again.OneTime {
				t.Errorf("got %s/%s, want %s", again.Job.Namespace, again.Job.Name, test.want)
			}
			for _, o := range again.Owned {
				if name := o.(metav1.Object).GetName(); !strings.HasPrefix(name, test.want) {
					t.Errorf("%s belongs to %s", name, test.want)
				}
			}
			if twice, _ := p.Renamed(set, test.options, "zzzzz"); twice.Job.Name == again.Job.Name {
				t.Error("another suffix gives the same name")
			}
		})
	}
}

// TestOverrideMends shows that what an override mends is no problem any more.
func TestOverrideMends(t *testing.T) {
	broken := strings.NewReplacer("app:1.0", `""`, "restartPolicy: Never", "restartPolicy: Always").Replace(plainJob)
	p, findings := Render(loadText(t, broken), Options{Image: []string{"app:1"}, Patch: "spec: {template: {spec: {restartPolicy: Never}}}"})
	if p == nil || len(findings) != 0 {
		t.Errorf("plan: %v, findings:\n%s", p != nil, text(findings))
	}
}

func TestInNamespace(t *testing.T) {
	set := loadText(t, strings.Replace(plainJob, ", namespace: shop", "", 1)+`
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: here}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: there, namespace: elsewhere}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: elsewhere}}
`)
	p := plan(t, set, Options{SecretEnv: []string{"A=secret"}})
	if p.Namespace != "" {
		t.Fatalf("namespace %q", p.Namespace)
	}
	p.InNamespace("team")
	var got []string
	for _, o := range p.Apply {
		got = append(got, o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName())
	}
	for _, o := range p.Owned {
		got = append(got, o.(metav1.Object).GetNamespace()+"/"+o.(metav1.Object).GetName())
	}
	want := []string{"Namespace /elsewhere", "ConfigMap team/here", "ConfigMap elsewhere/there", "team/migrate-env-secrets"}
	if diff := cmp.Diff(want, got); diff != "" || p.Job.Namespace != "team" || p.Namespace != "team" {
		t.Errorf("Job in %q, plan in %q, -want +got:\n%s", p.Job.Namespace, p.Namespace, diff)
	}
}

// TestHelperFields meets a misspelt field in a helper of each group whose kinds are known here, and in one that only the API server knows.
func TestHelperFields(t *testing.T) {
	for object, want := range map[string]string{
		"{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {selektor: {}}}":                            "spec.selektor",
		"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: x}, spec: {podSelektor: {}}}": "spec.podSelektor",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: x}, rules: [{verb: [get]}]}":   "rules[0].verb",
		"{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: x}, valeu: 1}":                "valeu",
		"{apiVersion: example.com/v1, kind: Deploy, metadata: {name: x}, spec: {replika: 1}}":                   "",
	} {
		_, findings := Render(loadText(t, plainJob+"\n---\n"+object), Options{})
		got := text(findings)
		if want == "" && got != "" || want != "" && !strings.Contains(got, ": "+want+": is no known field here") {
			t.Errorf("%s: %s", object, got)
		}
	}
}

// TestPlatformResources expects that what a valueFrom refers to is not sent to the cluster.
func TestPlatformResources(t *testing.T) {
	set := loadText(t, kubernetesJob+`
---
apiVersion: kubernetes.planton.dev/v1
kind: KubernetesPostgres
metadata: {name: database}
status: {outputs: {host: db}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
`)
	p, findings := Render(set, Options{})
	if p == nil || len(p.Apply) != 1 || p.Apply[0].GetKind() != "ConfigMap" || !strings.Contains(text(findings), "KubernetesPostgres database is read for references and not applied") {
		t.Errorf("plan: %+v, findings:\n%s", p, text(findings))
	}
}

// TestAdviceOnKubernetesJob expects the positions of the KubernetesJob, not of the Job that it becomes.
func TestAdviceOnKubernetesJob(t *testing.T) {
	for name, test := range map[string]struct{ spec, want string }{
		"map":    {"  env: {variables: {DB_PASSWORD: {value: hunter2}}}\n", "manifest-content:7:"},
		"list":   {"  env: {variables: [{name: A, value: a}, {name: DB_PASSWORD, value: hunter2}]}\n", "manifest-content:7:"},
		"image":  {"  image: {repo: app, tag: latest}\n", "manifest-content:7:"},
		"limits": {"  resources: {}\n", "manifest-content:7:"},
		"index":  {"  args: [work, $JOB_COMPLETION_INDEX]\n", "manifest-content:7:"},
		"script": {"  configMaps: {script: 'echo $JOB_COMPLETION_INDEX'}\n", "manifest-content:7:"},
	} {
		t.Run(name, func(t *testing.T) {
			dialect := "kubernetes.planton.dev/v1"
			if name == "map" {
				dialect = "kubernetes.openmcf.org/v1"
			}
			content := "apiVersion: " + dialect + "\nkind: KubernetesJob\nmetadata: {name: a}\nspec:\n  namespace: {value: ns}\n  activeDeadlineSeconds: 5\n" + test.spec
			if name != "image" {
				content += "  image: {repo: app, tag: '1'}\n"
			}
			p, findings := Render(loadText(t, content), Options{})
			if p == nil || len(findings) != 1 || findings[0].Level != event.Warning || !strings.HasPrefix(findings[0].String(), test.want) || strings.Contains(text(findings), "hunter2") {
				t.Errorf("plan: %v, findings:\n%swant %s", p != nil, text(findings), test.want)
			}
		})
	}
}

func TestHelperHasOwnedName(t *testing.T) {
	set := loadText(t, plainJob+"\n---\n{apiVersion: v1, kind: Secret, metadata: {name: migrate-env-secrets}}\n")
	p, findings := Render(set, Options{SecretEnv: []string{"A=secret"}})
	if p != nil || !strings.Contains(text(findings), "the run itself creates a Secret migrate-env-secrets") {
		t.Errorf("plan: %v, findings:\n%s", p != nil, text(findings))
	}
	if p, findings := Render(set, Options{}); p == nil {
		t.Errorf("without secret-env nothing is created under this name:\n%s", text(findings))
	}
}

// TestSecrets: what the options hide, under a name that tells the user which it is, also when the option is refused.
func TestSecrets(t *testing.T) {
	credential := func(name, value string) event.Secret { return event.Secret{Name: name, Value: value, Credential: true} }
	word := func(value string) event.Secret { return event.Secret{Name: "registry-credentials", Value: value} }
	for name, test := range map[string]struct {
		options Options
		want    []event.Secret
	}{
		"secret-env":     {Options{SecretEnv: []string{"A=s3cret", "B=1", "C="}}, []event.Secret{credential("secret-env A", "s3cret"), credential("secret-env B", "1")}},
		"no name":        {Options{SecretEnv: []string{"A=x", "s3cret"}}, []event.Secret{credential("secret-env A", "x"), credential("line 2 of secret-env", "s3cret")}},
		"base64":         {Options{SecretEnv: []string{"s3cret=="}}, []event.Secret{credential("line 1 of secret-env", "s3cret==")}},
		"lines":          {Options{RegistryCredentials: "server=ghcr.io username=bot password=hunter2"}, []event.Secret{credential("registry-credentials password of ghcr.io", "hunter2"), credential("registry-credentials auth of ghcr.io", "Ym90Omh1bnRlcjI="), credential("registry-credentials password of ghcr.io", "hunter2")}},
		"an address":     {Options{RegistryCredentials: "server=https://u:pw@a.io username=bot password=x"}, []event.Secret{credential("registry-credentials password in the address of registry 1", "pw"), credential("registry-credentials password of registry 1", "x"), credential("registry-credentials auth of registry 1", "Ym90Ong="), credential("registry-credentials password of registry 1", "x")}},
		"JSON":           {Options{RegistryCredentials: `{"auths": {"ghcr.io": {"auth": "Ym90Omh1bnRlcjI="}, "x": {"identitytoken": "idtoken"}}}`}, []event.Secret{credential("registry-credentials auth of ghcr.io", "Ym90Omh1bnRlcjI="), credential("registry-credentials password of ghcr.io", "hunter2"), credential("registry-credentials identity token of registry 2", "idtoken")}},
		"JSON, cut off":  {Options{RegistryCredentials: `{"auths":{"x":"s3cret`}, []event.Secret{word("auths"), word(":"), word("x"), word(":"), word("s3cret")}},
		"lines, refused": {Options{RegistryCredentials: "server=ghcr.io passwort=hunter2"}, []event.Secret{word("ghcr.io"), word("hunter2"), word("passwort=hunter2")}},
		"none":           {Options{}, nil},
	} {
		if diff := cmp.Diff(test.want, test.options.Secrets()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// TestYAMLIsExact reads the printed Job and Secret back.
func TestYAMLIsExact(t *testing.T) {
	p := plan(t, loadText(t, plainJob), Options{SecretEnv: []string{"A=secret"}})
	out, err := p.YAML(nil)
	if err != nil {
		t.Fatal(err)
	}
	documents := strings.Split(string(out), "---\n")
	var job batchv1.Job
	var secret corev1.Secret
	if len(documents) != 3 {
		t.Fatalf("%d documents:\n%s", len(documents), out)
	}
	if err := yaml.UnmarshalStrict([]byte(documents[1]), &job); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(documents[2]), &secret); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p.Job, &job); diff != "" {
		t.Errorf("Job:\n%s", diff)
	}
	if diff := cmp.Diff(p.Owned[0], &secret); diff != "" {
		t.Errorf("Secret:\n%s", diff)
	}
}

// TestPure renders twice from one set, and expects the same bytes: nothing of the first plan may live in the set.
func TestPure(t *testing.T) {
	set, findings := loadFile(t, "render", "several-documents.yaml")
	if len(findings) > 0 {
		t.Fatal(text(findings))
	}
	o := Options{Namespace: "pr-1", NameSuffix: "1", Labels: []string{"a=b"}, Env: []string{"X=1"}, SecretEnv: []string{"Y=secret"}}
	var outputs []string
	for range 2 {
		out, err := plan(t, set, o).YAML(nil)
		if err != nil {
			t.Fatal(err)
		}
		outputs = append(outputs, string(out))
	}
	if diff := cmp.Diff(outputs[0], outputs[1]); diff != "" {
		t.Error(diff)
	}
}

// FuzzPatchAndOverrides expects that no option makes Render panic, and that what it accepts can be printed.
func FuzzPatchAndOverrides(f *testing.F) {
	f.Add("spec: {backoffLimit: 1}", "n", "s", "img:1", "A=b", "server=a username=b password=c")
	f.Add(`{"spec":{"template":{"spec":{"containers":[{"$patch":"delete","name":"job-container"}]}}}}`, "", "1", "c=d", "=", "{}")
	f.Add("spec:\n  template:\n    $patch: replace\n", "", "", "", "", "")
	f.Add("spec: {template: {spec: {containers: [{$patch: replace}]}}}", "", "", "", "", "")
	f.Add("spec: {template: {spec: {$setElementOrder/containers: [{name: a}], $retainKeys: [containers]}}}", "", "", "", "", "")
	f.Add("metadata: {annotations: {$deleteFromPrimitiveList/x: [1]}}", "", "", "", "", "")
	var sets []*manifest.Set
	for _, content := range []string{plainJob, kubernetesJob, cronJob, severalContainers} {
		set, findings := manifest.Load(manifest.Source{Content: content})
		if len(findings) > 0 {
			f.Fatal(text(findings))
		}
		sets = append(sets, set)
	}
	f.Fuzz(func(t *testing.T, patch, name, suffix, image, line, credentials string) {
		for _, set := range sets {
			p, findings := Render(set, Options{Patch: patch, Name: name, NameSuffix: suffix, Image: []string{image}, Env: []string{line},
				SecretEnv: []string{"S" + line}, Labels: []string{line}, Annotations: []string{line}, RegistryCredentials: credentials})
			if (p == nil) != event.HasErrors(findings) {
				t.Fatalf("plan: %v, findings:\n%s", p != nil, text(findings))
			}
			if p == nil {
				continue
			}
			out, err := p.YAML(shown)
			if err != nil {
				t.Fatal(err)
			}
			if !utf8.Valid(out) {
				t.Fatalf("not UTF-8: %q", out)
			}
		}
	})
}
