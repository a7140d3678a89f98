package images

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// A program has beside it all that it is linked with, and what that is linked with; a static one needs nothing.
func TestWithPrograms(t *testing.T) {
	static := filesOf(t, map[string]string{"bin/static": "/bin/busybox"})
	if len(static) != 1 {
		t.Errorf("beside a static program there are %q", slices.Sorted(maps.Keys(static)))
	}
	files := filesOf(t, map[string]string{"bin/find": "/usr/bin/find", "bin/sh": "/bin/sh"})
	names := map[string]bool{}
	for file := range files {
		names[path.Base(file)] = true
	}
	for file, content := range files {
		binary, err := elf.NewFile(bytes.NewReader(content))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		libraries, err := binary.ImportedLibraries()
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if interpreter := binary.Section(".interp"); interpreter != nil {
			loader, err := interpreter.Data()
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			libraries = append(libraries, path.Base(string(bytes.TrimRight(loader, "\x00"))))
		}
		for _, library := range libraries {
			if !names[library] {
				t.Errorf("%s needs %s, and there are only %q", file, library, slices.Sorted(maps.Keys(names)))
			}
		}
	}
	if len(files) < 4 {
		t.Errorf("two dynamic programs, and only %q", slices.Sorted(maps.Keys(files)))
	}
}

func TestWithProgramsRefuses(t *testing.T) {
	if _, err := WithPrograms(empty.Image, map[string]string{"bin/nobody": "/no/such/program"}); err == nil {
		t.Error("a program that does not exist is taken")
	}
}

// filesOf returns what is in an image that has nothing but the programs.
func filesOf(t *testing.T, programs map[string]string) map[string][]byte {
	t.Helper()
	img, err := WithPrograms(empty.Image, programs)
	if err != nil {
		t.Fatal(err)
	}
	content := mutate.Extract(img)
	defer content.Close()
	files := map[string][]byte{}
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}
