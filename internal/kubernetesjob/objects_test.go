package kubernetesjob

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

const manifests = "../../testdata/manifests"

// parse reads a file of testdata/manifests, which must be without problems.
func parse(t *testing.T, source manifest.Source) *KubernetesJob {
	t.Helper()
	set, findings := manifest.Load(source)
	doc, more := set.Workload("")
	findings = append(findings, more...)
	if doc == nil {
		t.Fatalf("no workload: %v", findings)
	}
	k, more := Parse(doc, set)
	findings = append(findings, more...)
	if len(findings) > 0 || k == nil {
		t.Fatalf("findings %v", findings)
	}
	return k
}

func parseText(t *testing.T, text string) *KubernetesJob {
	t.Helper()
	return parse(t, manifest.Source{Content: text})
}

// TestTwins renders the same job from the three dialects: deep-equal objects, as in the golden file.
func TestTwins(t *testing.T) {
	for _, name := range []string{"full", "minimal"} {
		t.Run(name, func(t *testing.T) {
			var first *Objects
			for _, dialect := range []string{"project-planton", "openmcf", "planton-dev"} {
				k := parse(t, manifest.Source{Paths: []string{filepath.Join(dialect, name+".yaml")}, Dir: manifests})
				o := k.Objects(k.Metadata.Name + "-7-1")
				for i := range o.Notes { // the places differ, of course
					o.Notes[i].File, o.Notes[i].Line, o.Notes[i].Column = "", 0, 0
				}
				if first == nil {
					first = o
					golden.Compare(t, filepath.Join(manifests, name+".golden"), document(t, o))
				} else if diff := cmp.Diff(first, o); diff != "" {
					t.Errorf("%s makes other objects:\n%s", dialect, diff)
				}
			}
		})
	}
}

// TestMounts shows every reading of a mounted key.
func TestMounts(t *testing.T) {
	o := parse(t, manifest.Source{Paths: []string{"planton-dev/mounts.yaml"}, Dir: manifests}).Objects("mounts")
	golden.Compare(t, filepath.Join(manifests, "mounts.golden"), document(t, o))
}

func document(t *testing.T, o *Objects) string {
	t.Helper()
	var b strings.Builder
	write := func(v any) {
		text, err := yaml.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("---\n" + string(text))
	}
	write(map[string]any{"createNamespace": o.CreateNamespace, "cluster": o.Cluster})
	write(o.Job)
	if o.EnvSecret != nil {
		write(o.EnvSecret)
	}
	for _, c := range o.ConfigMaps {
		write(c)
	}
	for _, n := range o.Notes {
		b.WriteString("# " + string(n.Level) + ": " + n.String() + "\n")
	}
	return b.String()
}

const small = `apiVersion: kubernetes.planton.dev/v1
kind: KubernetesJob
metadata:
  name: small
spec:
  namespace: default
  image: {repo: busybox, tag: "1.36"}
`

// TestMeaning is the table of kubernetesjob fields whose value is not simply copied.
func TestMeaning(t *testing.T) {
	for name, test := range map[string]struct {
		more  string
		check func(*Objects) bool
	}{
		"parallelism defaults to 1":        {"", func(o *Objects) bool { return *o.Job.Spec.Parallelism == 1 }},
		"parallelism 0 is unset":           {"  parallelism: 0\n", func(o *Objects) bool { return *o.Job.Spec.Parallelism == 1 }},
		"completions 0 is unset":           {"  completions: 0\n", func(o *Objects) bool { return *o.Job.Spec.Completions == 1 }},
		"backoffLimit defaults to 6":       {"", func(o *Objects) bool { return *o.Job.Spec.BackoffLimit == 6 }},
		"backoffLimit 0 is no retry":       {"  backoffLimit: 0\n", func(o *Objects) bool { return *o.Job.Spec.BackoffLimit == 0 }},
		"backoffLimit null is the default": {"  backoffLimit:\n", func(o *Objects) bool { return *o.Job.Spec.BackoffLimit == 6 }},
		"deadline 0 is none":               {"  activeDeadlineSeconds: 0\n", func(o *Objects) bool { return o.Job.Spec.ActiveDeadlineSeconds == nil }},
		"deadline in quotes":               {"  activeDeadlineSeconds: \"90\"\n", func(o *Objects) bool { return *o.Job.Spec.ActiveDeadlineSeconds == 90 }},
		"deadline of 64 bits":              {"  activeDeadlineSeconds: 9000000000\n", func(o *Objects) bool { return *o.Job.Spec.ActiveDeadlineSeconds == 9_000_000_000 }},
		"TTL 0 is never":                   {"  ttlSecondsAfterFinished: 0\n", func(o *Objects) bool { return o.Job.Spec.TTLSecondsAfterFinished == nil }},
		"a whole float is a number":        {"  completions: 3.0\n", func(o *Objects) bool { return *o.Job.Spec.Completions == 3 }},
		"restartPolicy defaults to Never":  {"", func(o *Objects) bool { return o.Job.Spec.Template.Spec.RestartPolicy == corev1.RestartPolicyNever }},
		"not suspended":                    {"", func(o *Objects) bool { return !*o.Job.Spec.Suspend }},
		"default resources": {"", func(o *Objects) bool {
			r := o.Job.Spec.Template.Spec.Containers[0].Resources
			return r.Limits.Cpu().String() == "1" && r.Limits.Memory().String() == "1Gi" && r.Requests.Cpu().String() == "50m" && r.Requests.Memory().String() == "100Mi"
		}},
		"given resources stay as they are": {"  resources: {limits: {memory: 64Mi}}\n", func(o *Objects) bool {
			r := o.Job.Spec.Template.Spec.Containers[0].Resources
			return len(r.Limits) == 1 && r.Limits.Memory().String() == "64Mi" && len(r.Requests) == 0
		}},
		"empty resources stay empty": {"  resources: {}\n", func(o *Objects) bool {
			r := o.Job.Spec.Template.Spec.Containers[0].Resources
			return len(r.Limits) == 0 && len(r.Requests) == 0
		}},
		"no secret, no Secret": {"  env: {secrets: {A: {secretRef: {name: s, key: k}}}}\n", func(o *Objects) bool { return o.EnvSecret == nil }},
		"the Secret has the suffix": {"  env: {secrets: {A: {value: x}}}\n", func(o *Objects) bool {
			return o.EnvSecret.Name == "small-9-env-secrets" && o.EnvSecret.StringData["A"] == "x"
		}},
		"an empty secret is a value": {"  env: {secrets: {A: {value: \"\"}}}\n", func(o *Objects) bool { v, ok := o.EnvSecret.StringData["A"]; return ok && v == "" }},
		"a map's variables are sorted": {"  env: {variables: {B: b, A: a, C: c}}\n", func(o *Objects) bool {
			return slices.Equal(names(o), []string{"HOSTNAME", "K8S_POD_ID", "A", "B", "C"})
		}},
		"a list's variables keep their order": {"  env: {variables: [{name: B, value: b}, {name: A, value: a}]}\n", func(o *Objects) bool {
			return slices.Equal(names(o), []string{"HOSTNAME", "K8S_POD_ID", "B", "A"})
		}},
		"a user's K8S_POD_ID wins": {"  env: {secrets: {K8S_POD_ID: {value: x}}}\n", func(o *Objects) bool {
			return slices.Equal(names(o), []string{"HOSTNAME", "K8S_POD_ID"}) && o.Job.Spec.Template.Spec.Containers[0].Env[1].ValueFrom.SecretKeyRef != nil
		}},
		"a dollar stays": {"  args: [\"$(date) $HOME ${X} $$\"]\n", func(o *Objects) bool {
			return o.Job.Spec.Template.Spec.Containers[0].Args[0] == "$(date) $HOME ${X} $$"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if !test.check(parseText(t, small+test.more).Objects("small-9")) {
				t.Errorf("not so for\n%s", test.more)
			}
		})
	}
}

func names(o *Objects) []string {
	var names []string
	for _, e := range o.Job.Spec.Template.Spec.Containers[0].Env {
		names = append(names, e.Name)
	}
	return names
}

// TestLabels: the platform's labels are on every object and on the pods and win; the user's are on the Job and its pods.
func TestLabels(t *testing.T) {
	o := parseText(t, strings.Replace(small, "name: small\n", "name: small\n  org: acme\n  labels: {team: data, planton.ai/name: other}\n  annotations: {a: b}\n", 1)+
		"  configMaps: {c: text}\n  env: {secrets: {A: {value: x}}}\n").Objects("small-9")
	own := map[string]string{"planton.ai/resource": "true", "planton.ai/name": "small", "planton.ai/kind": "KubernetesJob", "planton.ai/organization": "acme"}
	all := map[string]string{"team": "data"}
	for k, v := range own {
		all[k] = v
	}
	for name, test := range map[string]struct{ want, got map[string]string }{
		"Job":                     {all, o.Job.Labels},
		"pods":                    {all, o.Job.Spec.Template.Labels},
		"Secret":                  {own, o.EnvSecret.Labels},
		"ConfigMap":               {own, o.ConfigMaps[0].Labels},
		"annotations of the Job":  {map[string]string{"a": "b"}, o.Job.Annotations},
		"annotations of the pods": {map[string]string{"a": "b"}, o.Job.Spec.Template.Annotations},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// TestObjectsShareNothing: what one caller changes is not what the next one gets.
func TestObjectsShareNothing(t *testing.T) {
	k := parse(t, manifest.Source{Paths: []string{"project-planton/full.yaml"}, Dir: manifests})
	first := k.Objects("a")
	before, err := json.Marshal(k.Objects("a"))
	if err != nil {
		t.Fatal(err)
	}
	*first.Job.Spec.Parallelism = 77
	first.Job.Labels["x"] = "y"
	first.Job.Annotations["x"] = "y"
	first.Job.Spec.Template.Spec.Containers[0].Command[0] = "changed"
	first.EnvSecret.StringData["x"] = "y"
	after, err := json.Marshal(k.Objects("a"))
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Errorf("changed from\n%s\nto\n%s", before, after)
	}
}

// TestReferenceFiles resolves references from files of their own; those do not count as documents of the manifest.
func TestReferenceFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"job.yaml": small + "  env: {variables: {HOST: {valueFrom: {kind: Db, name: main, fieldPath: status.outputs.endPoint}}}}\n",
		"db.yaml":  "apiVersion: x/v1\nkind: Db\nmetadata: {name: main}\nstatus: {outputs: {end_point: db.example}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k := parse(t, manifest.Source{Paths: []string{"job.yaml"}, References: []string{"d*.yaml"}, Dir: dir})
	if v := k.Spec.Env.Variables[0].Value; v == nil || *v != "db.example" {
		t.Errorf("HOST is %v", v)
	}

	set, _ := manifest.Load(manifest.Source{Paths: []string{"job.yaml"}, Dir: dir})
	_, findings := Parse(set.Documents[0], set)
	if len(findings) != 1 || !strings.Contains(findings[0].Message, "HOST") || !strings.Contains(findings[0].Message, `Db "main"`) || !strings.Contains(findings[0].Message, "job.yaml") {
		t.Errorf("findings %v", findings)
	}
}
