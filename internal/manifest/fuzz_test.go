//go:build unix

package manifest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// seeds are all manifests of testdata.
func seeds(f *testing.F) {
	f.Helper()
	var files []string
	for _, pattern := range []string{"../../testdata/bad/*.yaml", "../../testdata/bad-batch/*.yaml", "../../testdata/manifests/*/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 40 {
		f.Fatalf("only %d seeds", len(files))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
}

// check holds what must be true of every finding.
func check(t *testing.T, findings []event.Finding) {
	t.Helper()
	for _, f := range findings {
		if f.Message == "" || len(f.String()) > 4000 || f.Line < 0 || f.Line > 0 && f.Column < 1 {
			t.Errorf("finding %+v", f)
		}
	}
}

// FuzzLoad: whatever the text, loading and decoding end soon, and either there are documents or a finding says why not.
func FuzzLoad(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		start := processorTime()
		set, findings := Load(Source{Content: text})
		check(t, findings)
		if len(set.Documents) == 0 && !event.HasErrors(findings) && text != "" && !strings.Contains(text, "items") {
			t.Error("neither a document nor an error")
		}
		for _, d := range set.Documents {
			if d.APIVersion == "" || d.Kind == "" {
				if !event.HasErrors(findings) {
					t.Errorf("a document without apiVersion or kind: %+v", d)
				}
			}
			if _, err := json.Marshal(d.Map()); err != nil {
				t.Error(err)
			}
			if p := d.Position("metadata.name"); p.Line < 1 || p.Column < 1 {
				t.Errorf("position %+v", p)
			}
			check(t, d.Decode(&batchv1.Job{}))
			check(t, d.Decode(&batchv1.CronJob{}))
		}
		_, findings = set.Workload("")
		check(t, findings)
		if took := processorTime() - start; took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// FuzzSubstitute: no value of a variable changes the structure of a document, and every other dollar stays.
func FuzzSubstitute(f *testing.F) {
	f.Add("${A}", "x")
	f.Add("$A $(A) ${B} ${A}", "kind: Secret\n---\n")
	f.Add("'${A}'", "'\n\"${A}")
	f.Add("|\n    ${A}\n    $${A}", "- x")
	f.Add("{a: ${A}}", "}")
	f.Add("[\"${A}\", ${A}]", "yes")
	f.Fuzz(func(t *testing.T, value, variable string) {
		text := "apiVersion: v1\nkind: A\nmetadata: {name: a}\ndata:\n  k: " + value + "\n"
		lookup := func(name string) (string, bool) { return variable, name == "A" }
		before, problems := Load(Source{Content: text})
		after, findings := Load(Source{Content: text, Substitute: []string{"A"}, LookupEnv: lookup})
		check(t, findings)
		if event.HasErrors(problems) || event.HasErrors(findings) { // two keys may become the same
			return
		}
		if len(before.Documents) != len(after.Documents) {
			t.Fatalf("%d documents became %d", len(before.Documents), len(after.Documents))
		}
		for i, d := range before.Documents {
			same(t, d.Map(), after.Documents[i].Map(), variable)
		}
	})
}

// ofA is what may stand for the variable A: one dollar, with or without braces.
var ofA = regexp.MustCompile(`\$+A\b|\$\{A\}`)

func substituted(text, variable string) string {
	return ofA.ReplaceAllStringFunc(text, func(match string) string {
		if match == "$A" || match == "${A}" {
			return variable
		}
		return match
	})
}

// same compares two values by their shape, and texts by what substitution must have made of them.
func same(t *testing.T, before, after any, variable string) {
	t.Helper()
	switch b := before.(type) {
	case map[string]any:
		a, ok := after.(map[string]any)
		if !ok || len(a) != len(b) {
			t.Fatalf("%v became %v", before, after)
		}
		for k, v := range b {
			same(t, v, a[substituted(k, variable)], variable)
		}
	case []any:
		a, ok := after.([]any)
		if !ok || len(a) != len(b) {
			t.Fatalf("%v became %v", before, after)
		}
		for i, v := range b {
			same(t, v, a[i], variable)
		}
	case string:
		if a, ok := after.(string); ok && a != substituted(b, variable) {
			t.Errorf("%q became %q", b, a)
		}
		switch after.(type) {
		case map[string]any, []any:
			t.Errorf("%q became %v", b, after)
		}
	default:
		if before != after {
			t.Errorf("%v became %v", before, after)
		}
	}
}

// processorTime does not count the time that other processes take from this one.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
