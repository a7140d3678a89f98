package manifest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const plainJob = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: ok\nspec:\n  template: {}\n"

// TestGivenInstead: what is given instead of a manifest is one finding that says what it is, where it stands, and what to do.
func TestGivenInstead(t *testing.T) {
	const (
		apart     = "keep what the command says apart from what it makes, without 2>&1"
		none      = "apiVersion: is required: every document says its apiVersion and kind"
		separator = "a second document begins here, and nothing separates it from the first (write --- above it)"
		makes     = " (kubectl create job NAME --image=IMAGE --dry-run=client -o yaml prints a manifest)"
	)
	for name, test := range map[string]struct{ file, text, want string }{
		"a table":                 {"", "NAME      COMPLETIONS   DURATION   AGE\nmigrate   1/1           5s         3m\n", "job.yaml:1:1: this is a table of kubectl, and no manifest (add -o yaml to the command)"},
		"a description":           {"", "Name:             migrate\nNamespace:        default\nLabels:           <none>\n", "job.yaml:1:1: this is what kubectl describe prints, and no manifest (use kubectl get -o yaml)"},
		"a message":               {"", "job.batch/migrate created (dry run)\n", "job.yaml:1:1: this is what kubectl says of an object, and no manifest (add -o yaml to the command)"},
		"an error of the cluster": {"", "Error from server (NotFound): jobs.batch \"migrate\" not found\n", "job.yaml:1:1: this is the error of a command, and no manifest (look why the command that should have made one failed)"},
		"an error of Helm":        {"", "Error: INSTALLATION FAILED: template: shop/templates/x.yaml:3:5: executing \"x\" at <.Values.a.b>: nil pointer\n", "job.yaml:1:1: this is the error of a command, and no manifest (look why the command that should have made one failed)"},
		"an error of kubectl":     {"", "error: unable to find one of 'kustomization.yaml'\n", "job.yaml:1:1: this is the error of a command, and no manifest (look why the command that should have made one failed)"},
		"a warning before it":     {"", "WARNING: Kubernetes configuration file is group-readable. Location: /home/x/.kube/config\n---\n" + plainJob, "job.yaml:1:1: this line is a message of a command, and no part of a manifest (" + apart + ")"},
		"a deprecation before it": {"", "Warning: 'commonLabels' is deprecated.\n" + plainJob, "job.yaml:1:1: this line is a message of a command, and no part of a manifest (" + apart + ")"},
		"a log line before it":    {"", "walk.go:74: found symbolic link in path: /x resolves to /y\n---\n# Source: a\n" + plainJob, "job.yaml:1:1: this line is a message of a command, and no part of a manifest (" + apart + ")"},
		"klog before it":          {"", "W0110 02:00:00.123456   12345 warnings.go:70] batch/v1beta1 CronJob is deprecated\n" + plainJob, "job.yaml:1:1: this line is a message of a command, and no part of a manifest (" + apart + ")"},
		"a pull before it":        {"", "Pulled: ghcr.io/shop/chart:1.0.0\nDigest: sha256:abc\n---\n" + plainJob, "job.yaml:1:1: this line is a message of a command, and no part of a manifest (" + apart + ")"},
		"a release":               {"", "NAME: shop\nLAST DEPLOYED: Sat Jan 10 02:00:00 2026\nHOOKS:\n---\n" + plainJob + "MANIFEST:\n---\nNOTES:\n1. Get the URL:\n", "job.yaml:1:1: this is what Helm says of a release, with the manifests in it (use helm template, or helm get manifest)"},
		"a new release":           {"", "Release \"shop\" does not exist. Installing it now.\nNAME: shop\nLAST DEPLOYED: x\n", "job.yaml:1:1: this is what Helm says of a release, with the manifests in it (use helm template, or helm get manifest)"},
		"Markdown":                {"", "```yaml\n" + plainJob + "```\n", "job.yaml:1:1: this is Markdown, and no manifest (take the lines with ``` out)"},
		"a merge conflict":        {"", strings.Replace(plainJob, "  name: ok\n", "<<<<<<< HEAD\n  name: ok\n=======\n  name: b\n>>>>>>> main\n", 1), "job.yaml:4:1: a conflict of a merge begins here (keep one side, and take the marks out)"},
		"a page":                  {"", "\n<!DOCTYPE html>\n<html><body>Sign in: x</body></html>\n", "job.yaml:2:1: this is a web page, and no manifest (look at the address that it was read from, and at the token for it)"},
		"an answer":               {"", "404: Not Found", "job.yaml:1:1: this is the answer of a web server, and no manifest (look at the address that it was read from, and at the token for it)"},
		"a diff":                  {"", "diff --git a/job.yaml b/job.yaml\n--- a/job.yaml\n+++ b/job.yaml\n@@ -1 +1 @@\n-kind: Job\n", "job.yaml:1:1: this is a difference of two files, and no manifest (apply it first)"},
		"a bare diff":             {"", "--- a/job.yaml\n+++ b/job.yaml\n@@ -1 +1 @@\n-kind: Job\n", "job.yaml:1:1: this is a difference of two files, and no manifest (apply it first)"},
		"values of a chart":       {"values-prod.yaml", "image:\n  tag: x\n", "values-prod.yaml:1:1: these are the values of a Helm chart, and no manifest (render it: helm template NAME . --values values-prod.yaml | kubernetes-job-action --manifest -)"},
		"Compose":                 {"docker-compose.yml", "services:\n  db: {image: postgres}\n", "docker-compose.yml:1:1: this is a Compose file, and no manifest" + makes},
		"a workflow":              {"", "name: deploy\non: push\njobs: {x: {runs-on: ubuntu-latest}}\n", "job.yaml:1:1: this is a workflow of GitHub Actions, and no manifest" + makes},
		"a pipeline":              {"", "stages: [deploy]\nmigrate: {script: [echo]}\n", "job.yaml:1:1: this is a pipeline of GitLab, and no manifest" + makes},
		"helmfile":                {"", "releases:\n- {name: x, chart: y}\n", "job.yaml:1:1: this is a helmfile, and no manifest (render it: helmfile template | kubernetes-job-action --manifest -)"},
		"anything":                {"", "a: b\n", "job.yaml:1:1: " + none + makes},
		"a Job's body":            {"", "metadata: {name: x}\nspec: {}\n", "job.yaml:1:1: " + none + " (begin it with apiVersion: batch/v1 and kind: Job)"},
		"SOPS":                    {"", "apiVersion: v1\nkind: Secret\nstringData: {a: 'ENC[AES256_GCM,data:abc=]'}\nsops: {version: 3.8.1}\n", "job.yaml:4:1: sops: this file is encrypted by SOPS (decrypt it: sops decrypt job.yaml | kubernetes-job-action --manifest -)"},
		"no separator":            {"", plainJob + plainJob, "job.yaml:7:1: " + separator},
		"ytt":                     {"", strings.Replace(plainJob, "ok", "#@ data.values.name", 1), "job.yaml:4:9: this is a template of ytt that nobody has rendered (render it: ytt -f job.yaml | kubernetes-job-action --manifest -)"},
		"a loop of ytt":           {"", "#@ for i in range(2):\n---\n" + plainJob + "#@ end\n", "job.yaml:1:1: this is a template of ytt that nobody has rendered (render it: ytt -f job.yaml | kubernetes-job-action --manifest -)"},
		"values of ytt":           {"", "#@data/values\n---\nname: a\n", "job.yaml:1:1: this is a template of ytt that nobody has rendered (render it: ytt -f job.yaml | kubernetes-job-action --manifest -)"},
		"ytt with a load":         {"", "#@ load(\"@ytt:data\", \"data\")\n" + plainJob, "job.yaml:1:1: this is a template of ytt that nobody has rendered (render it: ytt -f job.yaml | kubernetes-job-action --manifest -)"},
		"Jsonnet":                 {"job.jsonnet", "local k = 1;\n{ kind: \"Job\" }\n", "job.jsonnet:1:1: this is Jsonnet, and no manifest (render it: jsonnet job.jsonnet | kubernetes-job-action --manifest -)"},
		"CUE":                     {"job.cue", "package a\n", "job.cue:1:1: this is CUE, and no manifest (render it: cue export --out yaml job.cue | kubernetes-job-action --manifest -)"},
		"a kustomization's name":  {"Kustomization", "resources: [a.yaml]\n", "Kustomization:1:1: this is a kustomization, which holds no manifest itself (render it: kubectl kustomize . | kubernetes-job-action --manifest -)"},
		"an empty list":           {"", "apiVersion: v1\nitems: []\nkind: List\n", "job.yaml: the file holds a List without items (has kubectl get found nothing?)"},
		"an array":                {"", `[{"apiVersion":"v1","kind":"A"}]`, "job.yaml:1:1: a document must be a mapping with apiVersion and kind, not a list (write each item as a document of its own, with --- between them, or all as items of kind: List)"},
		"a tab":                   {"", strings.Replace(plainJob, "  name", "\tname", 1), "job.yaml:4:1: this is not YAML: the line is indented with a tab, which YAML does not allow (indent with spaces)"},
		"a tab below":             {"", strings.Replace(plainJob, "  template: {}", "  template:\n    a: b\n\t  c: d", 1), "job.yaml:8:1: this is not YAML: the line is indented with a tab, which YAML does not allow (indent with spaces)"},
		"a placeholder":           {"", strings.Replace(plainJob, "ok", "@NAME@", 1), "job.yaml:4:3: this is not YAML: found character that cannot start any token (is it a placeholder? fill it in, or write ${NAME} and list NAME in substitute)"},
		"another placeholder":     {"", strings.Replace(plainJob, "ok", "%NAME%", 1), "job.yaml:4:3: this is not YAML: found character that cannot start any token (is it a placeholder? fill it in, or write ${NAME} and list NAME in substitute)"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.file == "" {
				test.file = "job.yaml"
			}
			_, findings := Load(Source{Paths: []string{test.file}, Dir: tree(t, map[string]string{test.file: test.text})})
			if got := strings.TrimSpace(said(findings)); got != "error: "+test.want {
				t.Errorf("%s\nwant error: %s", got, test.want)
			}
		})
	}
}

// TestFoldersOfSources: a folder from which manifests are made is one finding, not one for each of its files.
func TestFoldersOfSources(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a chart":         {map[string]string{"a/Chart.yaml": "apiVersion: v2\nname: shop\n", "a/values.yaml": "a: b\n"}, "error: a/Chart.yaml:1:1: this is the description of a Helm chart, which holds no manifest itself (render it: helm template NAME a | kubernetes-job-action --manifest -)"},
		"a kustomization": {map[string]string{"a/kustomization.yml": "resources: [job.yaml]\n", "a/job.yaml": plainJob, "a/patch.yaml": plainJob}, "error: a/kustomization.yml:1:1: this is a kustomization, which holds no manifest itself (render it: kubectl kustomize a | kubernetes-job-action --manifest -)"},
		"its other name":  {map[string]string{"a/Kustomization": "resources: [job.yaml]\n", "a/job.yaml": plainJob}, "error: a/Kustomization:1:1: this is a kustomization, which holds no manifest itself (render it: kubectl kustomize a | kubernetes-job-action --manifest -)"},
		"manifests":       {map[string]string{"a/job.yaml": plainJob}, ""},
	} {
		_, findings := Load(Source{Paths: []string{"a"}, Dir: tree(t, test.files)})
		if got := strings.TrimSpace(said(findings)); got != test.want {
			t.Errorf("%s: %s\nwant %s", name, got, test.want)
		}
	}
}

// TestFormsOfManifests: what tools print is read as kubectl reads it, and every field has its place.
func TestFormsOfManifests(t *testing.T) {
	note := `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}}`
	for name, test := range map[string]struct {
		text string
		want []string // kind, name, and where the name stands
	}{
		"JSON documents":               {`{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}}` + "\n" + note + "\n", []string{"Job a 1:64", "ConfigMap note 2:64"}},
		"JSON documents over lines":    {"\n{\n \"apiVersion\": \"batch/v1\",\n \"kind\": \"Job\",\n \"metadata\": {\"name\": \"a\"}\n}\n{\n \"kind\": \"B\", \"apiVersion\": \"v1\"\n,\"metadata\": {\n\"name\": \"b\"}}", []string{"Job a 5:23", "B b 10:9"}},
		"JSON documents in a line":     {note + note, []string{"ConfigMap note 1:64", "ConfigMap note 1:135"}},
		"JSON documents and separator": {note + "\n---\n" + note, []string{"ConfigMap note 1:64", "ConfigMap note 3:64"}},
		"JSON with a comma too many":   {`{"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"},}`, []string{"A a 1:56"}},
		"an emoji in JSON documents":   {note + "\n" + strings.Replace(note, "note", `\ud83d\ude80`, 1), []string{"ConfigMap note 1:64", "ConfigMap 🚀 2:64"}},
		"a typed list":                 {`{"kind":"JobList","apiVersion":"batch/v1","items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"},"kind":"CronJob","apiVersion":"batch/v1"}]}`, []string{"Job a 1:72", "CronJob b 1:98"}},
		"a typed list of others":       {"apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n", []string{"ConfigMap a 4:20"}},
		"a byte order mark each":       {"\ufeff" + plainJob + "---\n\ufeff" + plainJob, []string{"Job ok 4:9", "Job ok 11:9"}},
		"ytt's words in a text":        {"# doc: #@ return\n#@ if you change this, tell us\n" + plainJob + "---\nkind: C\napiVersion: v1\nmetadata: {name: c}\ndata:\n  f: |\n    #@ load(\"@ytt:data\", \"data\")\n    a: #@ data.values.a\n", []string{"Job ok 6:9", "C c 12:18"}},
		"ERB's words in texts":         {plainJob + "---\nkind: C\napiVersion: v1\nmetadata: {name: c}\ndata:\n  a: |\n    <% if %>\n  b: a <% b\n", []string{"Job ok 4:9", "C c 10:18"}},
		"an empty list and more":       {"apiVersion: v1\nkind: List\nitems: []\n---\n" + plainJob, []string{"Job ok 8:9"}},
		"separators with blanks":       {"--- \n---\t\n# Source: a\n---   \n" + plainJob + "---\n\n...\n---\n", []string{"Job ok 8:9"}},
	} {
		t.Run(name, func(t *testing.T) {
			set, findings := Load(Source{Content: test.text})
			if len(findings) > 0 {
				t.Error(said(findings))
			}
			var got []string
			for _, d := range set.Documents {
				p := d.Position("metadata.name")
				at, _ := json.Marshal([]int{p.Line, p.Column})
				got = append(got, d.Kind+" "+d.Name+" "+strings.Replace(strings.Trim(string(at), "[]"), ",", ":", 1))
				if m := d.Map(); m["kind"] != d.Kind || m["apiVersion"] != d.APIVersion {
					t.Errorf("%v", m)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestUnrenderedERB: ERB is a template too.
func TestUnrenderedERB(t *testing.T) {
	for text, place := range map[string]string{
		strings.Replace(plainJob, "ok", "ok-<%= sha %>", 1): ":4:12",
		"<% if x %>\n" + plainJob + "<% end %>\n":           ":1:1",
		strings.Replace(plainJob, "ok", "<%= sha %>", 1):    ":4:9",
	} {
		_, findings := Load(Source{Content: text})
		if got := said(findings); !strings.HasPrefix(got, "error: manifest-content"+place+": this is a template that nobody has rendered (") || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: %s", text, got)
		}
	}
	config := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  page: |\n    <% if x %>\n    <p>a: <%= b %></p>\n    <% end %>\n"
	if _, findings := Load(Source{Content: config}); len(findings) > 0 {
		t.Errorf("a ConfigMap with such a template: %s", said(findings))
	}
	for _, text := range []string{"'<%= x %>'", "'a <% b'", "\"echo <%= x %>\""} { // in quotes, it may be the program's own
		if _, findings := Load(Source{Content: strings.Replace(plainJob, "ok", "a, annotations: {a: "+text+"}", 1)}); strings.Contains(said(findings), "template") {
			t.Errorf("%s: %s", text, said(findings))
		}
	}
}

// TestSubstituteAfterErrors: of what could not be read, nobody knows what stands in it.
func TestSubstituteAfterErrors(t *testing.T) {
	_, findings := Load(Source{Paths: []string{"a.yaml"}, Dir: t.TempDir(), Substitute: []string{"TAG"}, LookupEnv: func(string) (string, bool) { return "1", true }})
	if got := said(findings); strings.Contains(got, "stands nowhere") {
		t.Error(got)
	}
}

// TestOriginalOnce: a text that holds the value of its variable becomes what the user wrote, once.
func TestOriginalOnce(t *testing.T) {
	for value, text := range map[string]string{"": "busybox:${TAG}", "x": "busybox${TAG}busybox", "busy": "busybox:${TAG}"} {
		set, _ := Load(Source{Content: "apiVersion: v1\nkind: A\nmetadata: {name: '" + text + "'}\n", Substitute: []string{"TAG"}, LookupEnv: func(string) (string, bool) { return value, true }})
		d := set.Documents[0]
		once := d.Original("metadata.name", `"`+d.Name+`" is bad: `+d.Name)
		if want := `"` + text + `" is bad: ` + text; once != want || d.Original("metadata.name", once) != want {
			t.Errorf("%q: %s, then %s; want %s", value, once, d.Original("metadata.name", once), want)
		}
	}
}

// TestPathsThatAreNone: text, a URL or several files where a path should be are one finding, which shows nothing of a text.
func TestPathsThatAreNone(t *testing.T) {
	const text = "error: manifest: it is the text of a manifest, and no path (give it as manifest-content)"
	for name, test := range map[string]struct {
		paths []string
		want  string
	}{
		"the lines of a manifest": {strings.Split("# a job\napiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData:\npassword: s3cr3t*", "\n"), text},
		"a manifest in one":       {[]string{"kind: Secret\nstringData: {password: s3cr3t}"}, text},
		"JSON":                    {[]string{`{"apiVersion":"v1","kind":"Secret","stringData":{"a":"s3cr3t"}}`}, text},
		"the lines of JSON":       {[]string{"{", `"kind": "Secret",`, `"stringData": {"a": "s3cr3t"}`, "}"}, text},
		"a URL":                   {[]string{"https://x:s3cr3t@example.com/job.yaml"}, "error: manifest: it is a URL, and only files are read (download it first, or into a pipe: curl -fsSL URL | kubernetes-job-action --manifest -)"},
		"a chart":                 {[]string{"oci://example.com/chart"}, "error: manifest: it is a URL, and only files are read (download it first, or into a pipe: curl -fsSL URL | kubernetes-job-action --manifest -)"},
		"with commas":             {[]string{"a.yaml,b.yaml"}, `error: manifest: "a.yaml,b.yaml" cannot be read: no such file or directory (name one file a line)`},
		"with blanks":             {[]string{"a.yaml b.yaml"}, `error: manifest: "a.yaml b.yaml" cannot be read: no such file or directory (name one file a line)`},
	} {
		_, findings := Load(Source{Paths: test.paths, Dir: "/nowhere"})
		if got := strings.TrimSpace(said(findings)); got != test.want {
			t.Errorf("%s: %s\nwant %s", name, got, test.want)
		}
	}
	_, findings := Load(Source{References: []string{"kind: Secret"}, Content: plainJob, Dir: "/nowhere"})
	if got := said(findings); got != "error: references: it is the text of a manifest, and no path (write it into a file)\n" {
		t.Error(got)
	}
	_, findings = Load(Source{Content: "deploy/job.yaml"})
	if got := said(findings); got != "error: manifest-content:1:1: this is a path, and no manifest (give it as manifest)\n" {
		t.Error(got)
	}
	set, findings := Load(Source{Paths: []string{"kind: odd.yaml"}, Dir: tree(t, map[string]string{"kind: odd.yaml": plainJob})})
	if len(findings) > 0 || len(set.Documents) != 1 {
		t.Errorf("a file of such a name: %s", said(findings))
	}
}
