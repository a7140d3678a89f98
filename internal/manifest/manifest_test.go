package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// tree writes files below a new folder; a name that ends with "@" becomes a symbolic link to its text.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		link, isLink := strings.CutSuffix(full, "@")
		var err error
		if isLink {
			err = os.Symlink(text, link)
		} else {
			err = os.WriteFile(full, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func object(kind, name string) string {
	return "apiVersion: v1\nkind: " + kind + "\nmetadata: {name: " + name + "}\n"
}

// said are the findings in words.
func said(findings []event.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		b.WriteString(string(f.Level) + ": " + f.String() + "\n")
	}
	return b.String()
}

func documentsOf(set *Set) []string {
	var names []string
	for _, d := range set.Documents {
		names = append(names, d.File+"/"+d.Name)
	}
	return names
}

func TestPaths(t *testing.T) {
	dir := tree(t, map[string]string{
		"job.yaml":          object("A", "job"),
		"deploy/one.yaml":   object("A", "one"),
		"deploy/two.yml":    object("A", "two"),
		"deploy/three.json": `{"apiVersion": "v1", "kind": "A", "metadata": {"name": "three"}}`,
		"deploy/notes.txt":  "not: [read",
		"deploy/sub/x.yaml": object("A", "x"),
		"none/readme.md":    "",
		"a[b].yaml":         object("A", "brackets"),
		"link.yaml@":        "job.yaml",
	})
	for name, test := range map[string]struct {
		paths []string
		want  []string
		said  string
	}{
		"a file":            {[]string{"job.yaml"}, []string{"job.yaml/job"}, ""},
		"an absolute path":  {[]string{filepath.Join(dir, "job.yaml")}, []string{filepath.Join(dir, "job.yaml") + "/job"}, ""},
		"each file once":    {[]string{"job.yaml", "./job.yaml", "*.yaml"}, []string{"job.yaml/job", "a[b].yaml/brackets", "link.yaml/job"}, ""},
		"a glob":            {[]string{"deploy/*.y*ml"}, []string{"deploy/one.yaml/one", "deploy/two.yml/two"}, ""},
		"folders in a glob": {[]string{"deploy/s*", "deploy/o*"}, []string{"deploy/one.yaml/one"}, `error: manifest: no file matches "deploy/s*"`},
		"a folder":          {[]string{"deploy"}, []string{"deploy/one.yaml/one", "deploy/three.json/three", "deploy/two.yml/two"}, ""},
		"an empty folder":   {[]string{"none"}, nil, `error: manifest: the folder "none" holds no *.yaml, *.yml or *.json`},
		"a name, no glob":   {[]string{"a[b].yaml"}, []string{"a[b].yaml/brackets"}, ""},
		"no match":          {[]string{"*.yml"}, nil, `error: manifest: no file matches "*.yml"`},
		"a bad pattern":     {[]string{"["}, nil, `error: manifest: "[" is no pattern`},
		"two stars":         {[]string{"**/x.yaml"}, nil, `error: manifest: "**/x.yaml": ** is not supported`},
		"a missing file":    {[]string{"jbo.yaml"}, nil, `error: manifest: "jbo.yaml" cannot be read: no such file or directory (did you mean "job.yaml"?)`},
		"an empty path":     {[]string{"", "job.yaml"}, []string{"job.yaml/job"}, `error: manifest: a path is empty`},
		"a missing folder":  {[]string{"nowhere/job.yaml"}, nil, `no such file or directory (paths start at `},
		"standard input":    {[]string{"-", "job.yaml"}, []string{"<stdin>/piped", "job.yaml/job"}, ""},
		"stdin twice":       {[]string{"-", "-"}, []string{"<stdin>/piped"}, `"-" is given twice`},
		"out of the folder": {[]string{"../" + filepath.Base(dir) + "/job.yaml"}, []string{"../" + filepath.Base(dir) + "/job.yaml/job"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			set, findings := Load(Source{Paths: test.paths, Dir: dir, Stdin: strings.NewReader(object("A", "piped"))})
			if diff := cmp.Diff(test.want, documentsOf(set)); diff != "" {
				t.Error(diff)
			}
			if got := said(findings); (test.said == "") != (got == "") || !strings.Contains(got, test.said) {
				t.Errorf("said %q, want %q", got, test.said)
			}
		})
	}
	t.Run("no standard input", func(t *testing.T) {
		if _, findings := Load(Source{Paths: []string{"-"}}); !strings.Contains(said(findings), "there is none") {
			t.Errorf("findings %v", findings)
		}
	})
	t.Run("content and files", func(t *testing.T) {
		set, findings := Load(Source{Paths: []string{"job.yaml"}, Content: object("B", "inline"), References: []string{"deploy/one.yaml"}, Dir: dir})
		if diff := cmp.Diff([]string{"job.yaml/job", "manifest-content/inline"}, documentsOf(set)); diff != "" || len(findings) > 0 {
			t.Error(diff, findings)
		}
		if diff := cmp.Diff([]string{"job.yaml/job", "manifest-content/inline", "deploy/one.yaml/one"}, documentsOf(&Set{Documents: set.References})); diff != "" {
			t.Error(diff)
		}
	})
}

// workspace is the checkout of an action.
func workspace(dir string) []Folder {
	return []Folder{{Path: dir, Variable: "GITHUB_WORKSPACE", Hint: "is it mounted, and is actions/checkout a step before?"}}
}

// TestConfine: running as an action, nothing outside of the workspace is read, whatever the path looks like.
func TestConfine(t *testing.T) {
	dir := tree(t, map[string]string{
		"secret.yaml":              object("A", "secret"),
		"work/job.yaml":            object("A", "job"),
		"work/sub/inner.yaml":      object("A", "inner"),
		"work/inside.yaml@":        "sub/inner.yaml",
		"work/outside.yaml@":       "../secret.yaml",
		"work/up@":                 "..",
		"work/folder/loose.yaml@":  "../../secret.yaml",
		"workspace-two/other.yaml": object("A", "other"),
	})
	work := filepath.Join(dir, "work")
	for path, want := range map[string]string{
		"job.yaml":                          "",
		"inside.yaml":                       "",
		work + "/sub/../job.yaml":           "",
		"../secret.yaml":                    `"../secret.yaml" leads out of the workspace`,
		"../../../../../etc/passwd":         `leads out of the workspace`,
		"/etc/passwd":                       `"/etc/passwd" leads out of the workspace`,
		"../*.yaml":                         `leads out of the workspace`,
		"../workspace-two/other.yaml":       `leads out of the workspace`,
		"outside.yaml":                      `"outside.yaml" leads out of the workspace by a symbolic link`,
		"up/secret.yaml":                    `by a symbolic link`,
		"up/*.yaml":                         `no file matches "up/*.yaml"`,
		"folder":                            `"folder/loose.yaml" leads out of the workspace by a symbolic link`,
		"nowhere.yaml":                      "paths start at " + work + ", the workspace; is it mounted, and is actions/checkout a step before?",
		"/dev/zero":                         `leads out of the workspace`,
		"sub/../../work/../secret.yaml":     `leads out of the workspace`,
		filepath.Join(dir, "workspace-two"): `leads out of the workspace`,
	} {
		for _, option := range []string{"manifest", "references"} {
			source := Source{Dir: work, Confine: workspace(work)}
			if option == "manifest" {
				source.Paths = []string{path}
			} else {
				source.References = []string{path}
			}
			set, findings := Load(source)
			got := said(findings)
			if want == "" {
				if got != "" || len(set.References) != 1 {
					t.Errorf("%s %s: %d documents, %s", option, path, len(set.References), got)
				}
			} else if !strings.Contains(got, want) || len(set.References) != 0 || !strings.HasPrefix(got, "error: "+option) {
				t.Errorf("%s %s: %d documents, %q, want %q", option, path, len(set.References), got, want)
			}
		}
	}
}

// TestConfineNowhere: a workspace that is not there is told once, and standard input needs none.
func TestConfineNowhere(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	set, findings := Load(Source{Paths: []string{"-", "a.yaml", "k8s/*.yaml", "../b.yaml"}, Dir: nowhere, Confine: workspace(nowhere), Stdin: strings.NewReader(object("A", "a"))})
	if got := said(findings); len(set.Documents) != 1 || strings.Count(got, "\n") > 1 || !strings.HasPrefix(got, "error: manifest: the workspace "+nowhere+" cannot be read: no such file") {
		t.Errorf("%d documents, %q", len(set.Documents), got)
	}
}

// TestText reads the same document in every dress.
func TestText(t *testing.T) {
	want := map[string]any{"apiVersion": "v1", "kind": "A", "metadata": map[string]any{"name": "a"},
		"data": map[string]any{"i": int64(12), "f": 1.5, "b": true, "t": "text", "z": nil, "l": []any{"x", "é😀"}}}
	for name, text := range map[string]string{
		"YAML":                "apiVersion: v1\nkind: A\nmetadata:\n  name: a\ndata:\n  i: 12\n  f: 1.5\n  b: yes\n  t: text\n  z:\n  l: [x, é😀]\n",
		"CRLF":                "apiVersion: v1\r\nkind: A\r\nmetadata:\r\n  name: a\r\ndata:\r\n  i: 12\r\n  f: 1.5\r\n  b: on\r\n  t: text\r\n  z: ~\r\n  l:\r\n    - x\r\n    - é😀\r\n",
		"byte order mark":     "\ufeffapiVersion: v1\nkind: A\nmetadata: {name: a}\ndata: {i: 0xc, f: 15e-1, b: y, t: !!str text, z: null, l: [x, é😀]}\n",
		"JSON":                `{"apiVersion":"v1","kind":"A","metadata":{"name":"a"},"data":{"i":12,"f":1.5,"b":true,"t":"text","z":null,"l":["x","\u00e9\ud83d\ude00"]}}`,
		"JSON with tabs":      "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"A\",\n\t\"metadata\": {\"name\": \"a\"},\n\t\"data\": {\"i\": 12, \"f\": 1.5, \"b\": true,\n\t\t\"t\": \"text\", \"z\": null, \"l\": [\"x\", \"é😀\"]}\n}\n",
		"anchors and merging": "apiVersion: v1\nkind: A\nmetadata: {name: a}\ndata:\n  <<: [&x {i: 12, f: 1.5, t: no}, {f: 9, b: yes, z: null}]\n  t: text\n  l: [x, é😀]\n",
		"empty documents":     "# a comment\n---\n---\napiVersion: v1\nkind: A\nmetadata: {name: a}\ndata: {i: 0o14, f: 1.5, b: True, t: 'text', z: , l: [x, é😀]}\n---\n# the end\n...\n",
		"List":                "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: A\n  metadata: {name: a}\n  data: {i: 1_2, f: 1.5, b: ON, t: \"text\", z: Null, l: [x, é😀]}\n",
		"List of List":        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: AList\n  items:\n  - apiVersion: v1\n    kind: A\n    metadata: {name: a}\n    data: {i: 014, f: 1.5, b: On, t: text, z: ~, l: [x, é😀]}\n",
	} {
		t.Run(name, func(t *testing.T) {
			set, findings := Load(Source{Content: text})
			if len(findings) > 0 || len(set.Documents) != 1 {
				t.Fatalf("%d documents, %v", len(set.Documents), findings)
			}
			if diff := cmp.Diff(want, set.Documents[0].Map()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

const job = `apiVersion: batch/v1
kind: Job
metadata:
  name: nightly
  labels:
    app.kubernetes.io/name: nightly
    app: a
spec:
  template:
    spec:
      containers:
        - name: main
          image: busybox
          args:
            - one
            - |
              two
              lines
      restart_policy: Never
`

func TestPosition(t *testing.T) {
	set, findings := Load(Source{Content: job})
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	d := set.Documents[0]
	for path, want := range map[string]Position{
		"":     {"manifest-content", 1, 1},
		"kind": {"manifest-content", 2, 7},
		"spec": {"manifest-content", 8, 1},
		"metadata.labels[app.kubernetes.io/name]":           {"manifest-content", 6, 29},
		`metadata.labels["app.kubernetes.io/name"]`:         {"manifest-content", 6, 29},
		"metadata.labels.app.kubernetes.io/name":            {"manifest-content", 6, 29},
		"metadata.labels.app":                               {"manifest-content", 7, 10},
		"metadata.labels.nothing":                           {"manifest-content", 5, 3},
		"metadata.namespace":                                {"manifest-content", 3, 1},
		"spec.template.spec.containers[0]":                  {"manifest-content", 12, 11},
		"spec.template.spec.containers[0].image":            {"manifest-content", 13, 18},
		"spec.template.spec.containers[0].image.tag":        {"manifest-content", 13, 11},
		"spec.template.spec.containers[0].args[1]":          {"manifest-content", 16, 15},
		"spec.template.spec.containers[0].args[2]":          {"manifest-content", 14, 11},
		"spec.template.spec.containers[1].image":            {"manifest-content", 11, 7},
		"spec.template.spec.containers.image":               {"manifest-content", 11, 7},
		"spec.template.spec.containers[-1]":                 {"manifest-content", 11, 7},
		"spec.template.spec.restartPolicy":                  {"manifest-content", 19, 23},
		"spec.template.spec.restart_policy":                 {"manifest-content", 19, 23},
		"spec[":                                             {"manifest-content", 8, 1},
		"spec.template.spec.containers[99999999999999999]":  {"manifest-content", 11, 7},
		"status.conditions[0].type":                         {"manifest-content", 1, 1},
		`metadata.labels["app`:                              {"manifest-content", 5, 3},
		"..":                                                {"manifest-content", 1, 1},
		"spec.template.spec.containers[0].args[1].x[0].y.z": {"manifest-content", 16, 15},
	} {
		got := d.Position(path)
		if got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}

func TestSubstitute(t *testing.T) {
	env := map[string]string{"TAG": "v2", "N": "3", "YES": "yes", "EVIL": "x\nkind: Secret\n# ${TAG}", "EMPTY": ""}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	const text = `apiVersion: batch/v1
kind: Job
metadata:
  name: "job-${TAG}"
  labels: {"${TAG}": "${TAG}${TAG}"}
  annotations:
    plain: ${N}
    flag: ${YES}
    evil: ${EVIL}
    empty: a${EMPTY}
    stays: $TAG $${TAG} ${OTHER} $(TAG) ${TAG ${ TAG} $
    block: |
      echo ${TAG} ${HOME}
spec:
  backoffLimit: ${N}
  parallelism: "${N}"
  suspend: ${YES}
  template: {spec: {containers: []}}
`
	set, findings := Load(Source{Content: text, Substitute: []string{"TAG", "N", "YES", "EVIL", "EMPTY"}, LookupEnv: lookup})
	if event.HasErrors(findings) || len(set.Documents) != 1 {
		t.Fatalf("%d documents, %v", len(set.Documents), findings)
	}
	var got batchv1.Job
	if findings := set.Documents[0].Decode(&got); len(findings) > 0 {
		t.Fatal(findings)
	}
	if diff := cmp.Diff(map[string]string{"plain": "3", "flag": "yes", "evil": env["EVIL"], "empty": "a", "stays": "v2 $v2 ${OTHER} $(TAG) ${TAG ${ TAG} $", "block": "echo v2 ${HOME}\n"}, got.Annotations); diff != "" {
		t.Error(diff)
	}
	if got.Name != "job-v2" || got.Labels["v2"] != "v2v2" || *got.Spec.BackoffLimit != 3 || *got.Spec.Parallelism != 3 || !*got.Spec.Suspend {
		t.Errorf("got %+v", got)
	}

	t.Run("a value is not shown", func(t *testing.T) {
		set, _ := Load(Source{Content: "apiVersion: batch/v1\nkind: Job\nspec: {backoffLimit: \"${TAG}\"}\n", Substitute: []string{"TAG"}, LookupEnv: lookup})
		got := said(set.Documents[0].Decode(&batchv1.Job{}))
		if strings.Contains(got, "v2") || !strings.Contains(got, "${TAG}") {
			t.Errorf("said %s", got)
		}
	})
	t.Run("unset", func(t *testing.T) {
		_, findings := Load(Source{Content: "apiVersion: v1\nkind: A\na: x${NO}\nb: ${NO}\n", Substitute: []string{"NO"}, LookupEnv: lookup})
		if len(findings) != 2 || findings[0].Line != 3 || findings[0].Column != 4 || findings[1].Line != 4 {
			t.Errorf("findings %v", findings)
		}
	})
	t.Run("empty", func(t *testing.T) {
		_, findings := Load(Source{Content: "apiVersion: v1\nkind: A\na: x${NO}\n", Substitute: []string{"NO"}, LookupEnv: func(string) (string, bool) { return "", true }})
		if got := said(findings); got != "warning: substitute: the environment variable NO is empty, so that nothing takes the place of ${NO} (is it a secret? one is empty when its name is wrong, and in runs of forks and of Dependabot)\n" {
			t.Errorf("said %s", got)
		}
	})
	t.Run("a value, a list, a form of a shell", func(t *testing.T) {
		_, findings := Load(Source{Content: object("A", "a"), Substitute: []string{"PASSWORD=s3cr3t", "A,B", "${TAG}", "s3cr3t s3cr3t"}, LookupEnv: lookup})
		if diff := cmp.Diff("error: substitute: PASSWORD has a value here, and takes it from the environment (write the name alone)\n"+
			"error: substitute: line 2 is not the name of an environment variable (write one name a line)\n"+
			"error: substitute: line 3 is not the name of an environment variable (write TAG)\n"+
			"error: substitute: line 4 is not the name of an environment variable (write one name a line)\n", said(findings)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("unused and misnamed", func(t *testing.T) {
		_, findings := Load(Source{Content: object("A", "a"), Substitute: []string{"TAG", "NOT-A-NAME"}, LookupEnv: lookup})
		if got := said(findings); got != "error: substitute: line 2 is not the name of an environment variable (write one name a line)\nwarning: substitute: ${TAG} stands nowhere in the manifest\n" {
			t.Errorf("said %s", got)
		}
	})
	t.Run("unused and unset", func(t *testing.T) {
		_, findings := Load(Source{Content: object("A", "a"), Substitute: []string{"NO"}, LookupEnv: lookup})
		if got := said(findings); got != "error: substitute: the environment variable NO is not set (set it, or take it out of substitute)\n" {
			t.Errorf("said %s", got)
		}
	})
	t.Run("not in references", func(t *testing.T) {
		dir := tree(t, map[string]string{"r.yaml": "apiVersion: v1\nkind: A\na: ${TAG}\n"})
		set, _ := Load(Source{References: []string{"r.yaml"}, Dir: dir, Substitute: []string{"TAG"}, LookupEnv: lookup})
		if text, _ := set.References[0].Text("a"); text != "${TAG}" {
			t.Errorf("a is %q", text)
		}
	})
}

// TestDecode: a Job with something of everything that Kubernetes' types have.
func TestDecode(t *testing.T) {
	set, findings := Load(Source{Content: `apiVersion: batch/v1
kind: Job
metadata:
  name: nightly
  creationTimestamp: null
spec:
  completions: 3.0
  template:
    metadata: {}
    spec:
      containers:
        - name: main
          image: busybox
          resources: {limits: {cpu: 2, memory: 1Gi}, requests: {cpu: 0.5}}
          livenessProbe: {httpGet: {port: http}}
          ports: [{containerPort: 80}]
          startupProbe: {tcpSocket: {port: 8080}}
      volumes:
        - name: x
          emptyDir: {sizeLimit: 1Gi}
      restartPolicy: Never
status: {}
`})
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	var got batchv1.Job
	if findings := set.Documents[0].Decode(&got); len(findings) > 0 {
		t.Fatal(findings)
	}
	c := got.Spec.Template.Spec.Containers[0]
	if *got.Spec.Completions != 3 || c.Resources.Limits.Cpu().String() != "2" || c.Resources.Requests.Cpu().String() != "500m" || c.LivenessProbe.HTTPGet.Port.StrVal != "http" ||
		c.StartupProbe.TCPSocket.Port.IntVal != 8080 || got.Spec.Template.Spec.Volumes[0].EmptyDir.SizeLimit.String() != "1Gi" {
		t.Errorf("got %+v", got)
	}
}

// TestQuantities: an amount that would be expanded for minutes is refused at once, as text and as a number.
func TestQuantities(t *testing.T) {
	for text, want := range map[string]bool{
		"1": true, "0.5": true, "500m": true, "1Gi": true, "2Ei": true, "1E": true, "12e6": true, "1e-3": true, "+1": true, "-1": true, // a sign is somebody else's check
		"1e999999999": false, `"1e999999999"`: false, `"1e-999999999"`: false, `"1E-00000999999999"`: false, "1e300": false, "1G i": false, `""`: false, "[1]": false,
		`"` + strings.Repeat("1", 100_000) + `"`: false,
	} {
		set, findings := Load(Source{Content: "apiVersion: batch/v1\nkind: Job\nspec: {template: {spec: {containers: [{resources: {limits: {cpu: " + text + "}}}]}}}\n"})
		if len(findings) > 0 {
			t.Fatal(findings)
		}
		var job batchv1.Job
		findings = set.Documents[0].Decode(&job)
		if (len(findings) == 0) != want {
			t.Errorf("%.40s: %v", text, findings)
		}
		if cpu := job.Spec.Template.Spec.Containers[0].Resources.Limits.Cpu(); want == cpu.IsZero() {
			t.Errorf("%.40s is %s", text, cpu)
		}
	}
}

// TestDecodeKeepsWhatIsRight: the rest can be checked although something is wrong.
func TestDecodeKeepsWhatIsRight(t *testing.T) {
	set, _ := Load(Source{Content: "apiVersion: batch/v1\nkind: Job\nmetadata: {name: nightly}\nspec: {backoffLimit: x, parallelism: 2, nonsense: 1}\n"})
	var got batchv1.Job
	findings := set.Documents[0].Decode(&got)
	if len(findings) != 2 || got.Name != "nightly" || *got.Spec.Parallelism != 2 || got.Spec.BackoffLimit != nil {
		t.Errorf("findings %v, got %+v", findings, got.Spec)
	}
}

func TestWorkload(t *testing.T) {
	const (
		batchJob = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\n"
		planton  = "apiVersion: kubernetes.planton.dev/v1\nkind: KubernetesJob\nmetadata: {name: k}\n"
		volcano  = "apiVersion: batch.volcano.sh/v1alpha1\nkind: Job\nmetadata: {name: v}\n"
	)
	hook := func(when, name string) string {
		return fmt.Sprintf("---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: %s, annotations: {helm.sh/hook: %q}}\n---\n", name, when)
	}
	argo := func(when, name string) string {
		return fmt.Sprintf("---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: %s, annotations: {argocd.argoproj.io/hook: %q}}\n---\n", name, when)
	}
	for name, test := range map[string]struct {
		text    string
		want    string
		helpers []string
		said    string
		name    string
	}{
		"capital letters in a hook": {hook("Pre-Install", "p") + hook("Test", "t"), "p", nil, "", ""},
		"hooks of Argo CD":          {argo("PostSync", "after") + argo("PreSync", "p") + argo("SyncFail", "f") + argo("Sync", "s"), "p", nil, "", ""},
		"a Job of Argo CD's sync":   {argo("Sync", "s") + argo("PostSync", "p") + argo("Skip", "n"), "s", nil, "", ""},
		"several, with the way out": {batchJob + "---\n" + planton, "", nil, "there is more than one workload: Job j (manifest-content:2), KubernetesJob k (manifest-content:6); exactly one can run (choose one by its name, such as name: j; others says what becomes of the rest)", ""},
		"alone":                     {batchJob, "j", nil, "", ""},
		"with helpers":              {object("ConfigMap", "c") + "---\n" + planton + "---\n" + object("Secret", "s"), "k", []string{"c", "s"}, "", ""},
		"another group's Job":       {volcano + "---\n" + batchJob, "j", []string{"v"}, "", ""},
		"only another group's":      {volcano, "", []string{"v"}, "there is no workload among Job v (manifest-content:2)", ""},
		"a list":                    {"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, metadata: {name: s}}, {apiVersion: batch/v1, kind: CronJob, metadata: {name: c}}]\n", "c", []string{"s"}, "", ""},
		"a hook, and more":          {hook("test", "t") + hook("pre-upgrade,post-install", "p") + batchJob + hook("", "n"), "p", nil, "", ""},
		"hooks of other times":      {hook("post-upgrade", "a") + batchJob + hook("test", "b"), "j", nil, "", ""},
		"one hook":                  {hook("post-upgrade", "a"), "a", nil, "", ""},
		"two hooks":                 {hook("pre-install", "a") + hook("pre-upgrade", "b"), "", nil, "there is more than one workload: Job a (manifest-content:3), Job b (manifest-content:8); exactly one can run (choose one by its name, such as name: a; others says what becomes of the rest)", ""},
		"one of two hooks by name":  {hook("pre-install", "a") + hook("pre-upgrade", "b"), "b", nil, "", "b"},
		"one of three by name":      {batchJob + hook("test", "t") + hook("pre-install", "p"), "t", nil, "", "t"},
		"another name":              {hook("pre-install", "a") + hook("pre-upgrade", "b"), "", nil, "Job b (manifest-content:8); exactly one can run, and none is called c (choose one by its name", "c"},
		"another name for one":      {batchJob, "j", nil, "", "c"},
		"a name, but for hooks":     {hook("test", "t") + hook("pre-install", "p"), "p", nil, "", "c"},
		"one name for two":          {batchJob + "---\n" + batchJob, "", nil, "exactly one can run (keep one, such as by helm template --show-only, or name one file in manifest)", "j"},
		"a CronJob of that name":    {batchJob + "---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: j}\n", "j", nil, "", "j"},
		"three, one finding":        {batchJob + "---\n" + planton + "---\n" + strings.Replace(batchJob, "j}", "l}", 1), "", nil, "error: manifest-content:6:7: kind: there is more than one workload: Job j (manifest-content:2), KubernetesJob k (manifest-content:6), Job l (manifest-content:10); exactly one can run (choose one by its name, such as name: j; others says what becomes of the rest)\n", ""},
		"a Job and a CronJob":       {batchJob + "---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c}\n", "j", nil, "", ""},
		"nothing":                   {"", "", nil, "there is no manifest", ""},
		"after an error":            {"a: [\n", "", nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			set, _ := Load(Source{Content: test.text})
			d, findings := set.Workload(test.name)
			if got := said(findings); (test.said == "") != (got == "") || !strings.Contains(got, test.said) {
				t.Errorf("said %q, want %q", got, test.said)
			}
			if (d == nil) != (test.want == "") || d != nil && d.Name != test.want {
				t.Errorf("workload %+v, want %q", d, test.want)
			}
			var helpers []string
			for _, h := range set.Documents {
				if !h.IsWorkload() {
					helpers = append(helpers, h.Name)
				}
			}
			if !slices.Equal(helpers, test.helpers) {
				t.Errorf("helpers %v, want %v", helpers, test.helpers)
			}
		})
	}
}

func TestClosest(t *testing.T) {
	fields := []string{"backoffLimit", "completions", "completionMode", "command", "args", "image", "env", "restartPolicy"}
	for word, want := range map[string]string{
		"backofLimit": "backoffLimit", "backoff_limit": "backoffLimit", "BACKOFFLIMIT": "backoffLimit", "completion": "completions", "comand": "command",
		"iamge": "image", "arg": "args", "ENV": "env", "restart-policy": "restartPolicy", "volumes": "", "x": "", "": "", strings.Repeat("a", 1000): "",
	} {
		if got := Closest(word, fields); got != want {
			t.Errorf("%.40q: %q, want %q", word, got, want)
		}
	}
}

// TestNames: the document's own fields are read from whatever there is.
func TestNames(t *testing.T) {
	set, findings := Load(Source{Content: "apiVersion: v1\nkind: A\nmetadata: {name: 5, namespace: [x]}\n---\napiVersion: v1\nkind: B\nmetadata: text\n"})
	if len(findings) > 0 || len(set.Documents) != 2 {
		t.Fatalf("%d documents, %v", len(set.Documents), findings)
	}
	for _, d := range set.Documents {
		if d.Name != "" || d.Namespace != "" {
			t.Errorf("%s has name %q and namespace %q", d.Kind, d.Name, d.Namespace)
		}
	}
}
