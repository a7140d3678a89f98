package kubernetesjob

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// FuzzKubernetesJob: whatever the manifest, it is parsed or refused with findings that have places, the same ones each time,
// and what is accepted can be rendered.
func FuzzKubernetesJob(f *testing.F) {
	for _, pattern := range []string{"../../testdata/bad/*.yaml", "../../testdata/manifests/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no seeds: %v", err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, _ := manifest.Load(manifest.Source{Content: text})
		for _, doc := range set.Documents {
			k, findings := Parse(doc, set)
			for _, f := range findings {
				if f.Line < 1 || f.Column < 1 || f.Message == "" || len(f.String()) > 4000 {
					t.Errorf("finding %+v", f)
				}
			}
			if _, again := Parse(doc, set); cmp.Diff(findings, again) != "" {
				t.Errorf("first %v, then %v", findings, again)
			}
			if o := k.Objects("name"); o.Job.Namespace == "" && !event.HasErrors(findings) || len(o.Job.Spec.Template.Spec.Containers) != 1 {
				t.Errorf("objects %+v with findings %v", o, findings)
			}
			if at := k.Path("spec.template.spec.containers[0].env[3].name"); !strings.HasPrefix(at, "spec.env") {
				t.Errorf("path %q", at)
			}
		}
	})
}
