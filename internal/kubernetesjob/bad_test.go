package kubernetesjob

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// check does what validate does with the layers below render.
func check(source manifest.Source) []event.Finding {
	set, findings := manifest.Load(source)
	doc, more := set.Workload()
	findings = append(findings, more...)
	switch {
	case doc == nil:
	case Is(doc.APIVersion, doc.Kind):
		_, more = Parse(doc, set)
		findings = append(findings, more...)
	case doc.Kind == "Job":
		findings = append(findings, doc.Decode(&batchv1.Job{})...)
	default:
		findings = append(findings, doc.Decode(&batchv1.CronJob{})...)
	}
	return findings
}

// TestBadManifests compares what is said about each bad manifest with the golden file beside it: place, path, what is
// allowed, suggestion. A first line "# substitute: NAME" names variables; none of them is set.
func TestBadManifests(t *testing.T) {
	const dir = "../../testdata/bad"
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) < 40 {
		t.Fatalf("%d bad manifests, want 40 at least (%v)", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			source := manifest.Source{Paths: []string{name}, Dir: dir, LookupEnv: func(string) (string, bool) { return "", false }}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := bytes.Cut(text, []byte("\n"))
			if names, ok := strings.CutPrefix(string(first), "# substitute: "); ok {
				source.Substitute = strings.Fields(names)
			}
			findings := check(source)
			if !event.HasErrors(findings) {
				t.Error("nothing is wrong with it")
			}
			var got strings.Builder
			for _, f := range findings {
				got.WriteString(string(f.Level) + ": " + f.String() + "\n")
			}
			golden.Compare(t, strings.TrimSuffix(file, ".yaml")+".golden", got.String())
		})
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
		"  image: {repo: c, tag: d}\n  env: {variables: {PORT: [x], PORT=X: {value: x}}}\n": {"spec.env.variables.PORT", "spec.env.variables.PORT=X"},
	} {
		var got []string
		for _, f := range check(manifest.Source{Content: head + spec}) {
			got = append(got, f.Path)
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", spec, diff)
		}
	}
}
