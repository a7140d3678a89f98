package images

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Base is a root file system that stands for an image of a public registry, for a Docker Engine that can reach none. Changes are
// the instructions that `docker import` takes beside it.
type Base struct {
	Changes []string
	Write   func(w io.Writer) error // a tar archive
}

// Alpine stands for alpine: the busybox, with its shell, tail, tar and find.
func Alpine(busybox string) Base {
	return Base{
		Changes: []string{`CMD ["/bin/sh"]`},
		Write: func(w io.Writer) error {
			files, err := busyboxFiles(busybox)
			if err != nil {
				return err
			}
			return pack(w, files)
		},
	}
}

// Golang stands for golang: the Go installation in goroot, and the modules that the build needs as a proxy in a folder, since a
// build has no network here.
func Golang(busybox, goroot, goproxy string) Base {
	return Base{
		Changes: []string{`CMD ["/bin/sh"]`, "ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"ENV GOPATH=/go", "ENV GOTOOLCHAIN=local", "ENV GOPROXY=file:///go/proxy"},
		Write: func(w io.Writer) error {
			files, err := busyboxFiles(busybox)
			if err != nil {
				return err
			}
			for _, dir := range []string{"bin", "lib", "pkg", "src"} {
				if files, err = tree(files, filepath.Join(goroot, dir), "usr/local/go/"+dir); err != nil {
					return err
				}
			}
			for _, name := range []string{"VERSION", "go.env"} {
				files = append(files, file{path: "usr/local/go/" + name, mode: 0o644, source: filepath.Join(goroot, name)})
			}
			if files, err = tree(files, goproxy, "go/proxy"); err != nil {
				return err
			}
			return pack(w, files)
		},
	}
}

// tree adds the files of a folder, without what only tests need.
func tree(files []file, folder, path string) ([]file, error) {
	err := filepath.WalkDir(folder, func(source string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "testdata" {
			return filepath.SkipDir
		}
		if !entry.Type().IsRegular() || strings.HasSuffix(source, "_test.go") {
			return nil
		}
		info, err := os.Stat(source)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(folder, source)
		if err != nil {
			return err
		}
		files = append(files, file{path: path + "/" + relative, mode: int64(info.Mode().Perm()), source: source})
		return nil
	})
	return files, err
}
