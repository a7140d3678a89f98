// Package golden compares what a test made with a file that holds what is right, or writes the file anew: go test -update does, for
// every package that imports this one (make generate). Only tests import it.
package golden

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files, and what else is generated, anew")

// Compare fails the test when the file does not hold got. With -update it writes the file; one whose name ends in .gz is compressed.
func Compare(t testing.TB, file, got string) {
	t.Helper()
	if *update {
		content := []byte(got)
		if old, err := Read(file); err == nil && string(old) == got {
			return
		}
		if strings.HasSuffix(file, ".gz") {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			if _, err := z.Write(content); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			content = b.Bytes()
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := Read(file)
	if err != nil {
		t.Fatalf("%v (make generate writes it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; make generate rewrites it (-want +got):\n%s", file, diff)
	}
}

// Read is the content of a file, uncompressed when its name ends in .gz.
func Read(file string) ([]byte, error) {
	content, err := os.ReadFile(file)
	if err != nil || !strings.HasSuffix(file, ".gz") {
		return content, err
	}
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
