package kubernetesjob

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
