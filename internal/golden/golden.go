// Package golden compares what a test made with a file that holds what is right, or writes the file anew: go test -update does, for
// every package that imports this one (make generate). Only tests import it.
package golden

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files, and what else is generated, anew")

// Compare fails the test when the file does not hold got. With -update it writes the file.
func Compare(t testing.TB, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (make generate writes it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; make generate rewrites it (-want +got):\n%s", file, diff)
	}
}
