package recorded

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every reporter has goldens of every recorded run: a package below internal/report has files of each run in testdata/runs, and none of a run that is not
// recorded. What json and result write is the recording itself, which their tests compare.
func TestEveryReporterHasGoldens(t *testing.T) {
	var runs []string
	for _, run := range Runs(t) {
		runs = append(runs, run.Name)
	}
	for _, name := range []string{"success", "failure", "retries", "100-indexes", "2000-pods", "cancel", "image-pull", "gap", "suspended", "attach", "timeout", "hostile"} {
		if !slices.Contains(runs, name) {
			t.Errorf("the run %s is not recorded", name)
		}
	}
	slices.Sort(runs)
	packages, err := filepath.Glob(filepath.Join(root(t), "internal", "report", "*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range packages {
		dir := filepath.Dir(file)
		if i > 0 && dir == filepath.Dir(packages[i-1]) {
			continue
		}
		reporter := filepath.Base(dir)
		if reporter == "json" || reporter == "result" {
			if !strings.Contains(tests(t, dir), "recorded.Runs(t)") {
				t.Errorf("the tests of %s compare no recorded run", reporter)
			}
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, "testdata", "runs"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s has no goldens of the recorded runs: %v", reporter, err)
		}
		of := map[string][]string{} // the runs, by the ending of the file
		for _, f := range files {
			run, ending, _ := strings.Cut(strings.TrimSuffix(f.Name(), ".gz"), ".")
			of[ending] = append(of[ending], run)
		}
		for ending, have := range of {
			if slices.Sort(have); !slices.Equal(have, runs) {
				t.Errorf("%s has .%s of %v, want it of %v", reporter, ending, have, runs)
			}
		}
	}
}

// tests are the test files of a folder.
func tests(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
