// Package images makes the container images of the test cluster, without a container engine and
// without a registry.
package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// The images, by the names that containerd gives them. A manifest may write busybox:1.36.
const (
	Busybox       = "docker.io/library/busybox:1.36"
	BusyboxLatest = "docker.io/library/busybox:latest"
	// Pause keeps the namespaces of a pod.
	Pause = "docker.io/kubernetes-job-action/pause:1"
	// DemoMigrate migrates the database in $DATABASE_URL, with the password in $DATABASE_PASSWORD.
	DemoMigrate = "docker.io/kubernetes-job-action/demo-migrate:1"
)

// Names returns the names of all images.
func Names() []string { return []string{Busybox, BusyboxLatest, Pause, DemoMigrate} }

// Sources are the files that the images are made from.
type Sources struct {
	Busybox    string // a static busybox
	Migrate    string // a static golang-migrate with the driver for PostgreSQL
	Migrations string // the folder of the SQL files
}

// migrateScript takes the password from a variable of its own, as a manifest gives it, and passes it
// on by the variable that every client of PostgreSQL knows, so that it stands in no command line.
const migrateScript = `#!/bin/sh
set -eu
export PGPASSWORD="${DATABASE_PASSWORD:-}"
exec migrate -path /app/migrations -database "$DATABASE_URL" "${@:-up}"
`

// Write makes all images and writes them to one archive, in the form that docker save gives one.
func Write(archive string, from Sources) error {
	shell, err := busyboxLayer(from.Busybox)
	if err != nil {
		return err
	}
	migrations, err := migrateLayer(from)
	if err != nil {
		return err
	}
	busybox, err := shellImage(shell)
	if err != nil {
		return err
	}
	pause, err := image(v1.Config{Entrypoint: []string{"/bin/sleep", "infinity"}}, shell)
	if err != nil {
		return err
	}
	migrate, err := image(v1.Config{Entrypoint: []string{"/app/migrate"}, Cmd: []string{"up"}, WorkingDir: "/app"}, shell, migrations)
	if err != nil {
		return err
	}
	tagged := map[name.Tag]v1.Image{}
	for ref, img := range map[string]v1.Image{Busybox: busybox, BusyboxLatest: busybox, Pause: pause, DemoMigrate: migrate} {
		tag, err := name.NewTag(ref)
		if err != nil {
			return err
		}
		tagged[tag] = img
	}
	return tarball.MultiWriteToFile(archive, tagged)
}

// Shell is the image that Busybox names, made from a static busybox.
func Shell(busybox string) (v1.Image, error) {
	layer, err := busyboxLayer(busybox)
	if err != nil {
		return nil, err
	}
	return shellImage(layer)
}

func shellImage(layer v1.Layer) (v1.Image, error) {
	return image(v1.Config{Cmd: []string{"sh"}}, layer)
}

// WithScripts adds shell scripts, by their paths without the leading slash.
func WithScripts(img v1.Image, scripts map[string]string) (v1.Image, error) {
	var files []file
	for _, path := range slices.Sorted(maps.Keys(scripts)) {
		files = append(files, file{path: path, mode: 0o755, text: scripts[path]})
	}
	added, err := layer(files)
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(img, added)
}

func image(config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.Architecture, file.OS, file.Config = runtime.GOARCH, "linux", config
	return mutate.ConfigFile(img, file)
}

func busyboxLayer(busybox string) (v1.Layer, error) {
	files, err := busyboxFiles(busybox)
	if err != nil {
		return nil, err
	}
	return layer(files)
}

// busyboxFiles are busybox, a link for each of its applets, and the few files that programs expect.
func busyboxFiles(busybox string) ([]file, error) {
	applets, err := exec.Command(busybox, "--list-full").Output()
	if err != nil {
		return nil, fmt.Errorf("the applets of %s cannot be listed: %w", busybox, err)
	}
	var files []file
	for _, dir := range []string{"bin", "sbin", "etc", "root", "usr", "usr/bin", "usr/sbin"} {
		files = append(files, file{path: dir + "/", mode: 0o755})
	}
	files = append(files,
		file{path: "tmp/", mode: 0o1777},
		file{path: "etc/passwd", mode: 0o644, text: "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"},
		file{path: "etc/group", mode: 0o644, text: "root:x:0:\nnogroup:x:65534:\n"},
		file{path: "bin/busybox", mode: 0o755, source: busybox},
	)
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "bin/busybox" && applet != "linuxrc" {
			files = append(files, file{path: applet, link: "/bin/busybox"})
		}
	}
	return files, nil
}

func migrateLayer(from Sources) (v1.Layer, error) {
	files := []file{
		{path: "app/", mode: 0o755},
		{path: "app/migrate", mode: 0o755, text: migrateScript},
		{path: "app/migrations/", mode: 0o755},
		{path: "usr/bin/migrate", mode: 0o755, source: from.Migrate},
	}
	migrations, err := filepath.Glob(filepath.Join(from.Migrations, "*.sql"))
	if err != nil {
		return nil, err
	}
	if len(migrations) == 0 {
		return nil, fmt.Errorf("no migrations in %s", from.Migrations)
	}
	for _, path := range migrations {
		files = append(files, file{path: "app/migrations/" + filepath.Base(path), mode: 0o644, source: path})
	}
	return layer(files)
}

// file is one entry of a layer: a folder (the path ends with a slash), a link, or a file with a text
// or with the content of a source.
type file struct {
	path   string
	mode   int64
	link   string
	text   string
	source string
}

// layer packs the files. Neither owner nor time enter it, so the same files make the same image.
func layer(files []file) (v1.Layer, error) {
	var buffer bytes.Buffer
	if err := pack(&buffer, files); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(buffer.Bytes())), nil
	})
}

// pack writes the files as a tar archive.
func pack(w io.Writer, files []file) error {
	archive := tar.NewWriter(w)
	for _, f := range files {
		header := &tar.Header{Name: f.path, Mode: f.mode, Typeflag: tar.TypeReg}
		content := []byte(f.text)
		switch {
		case strings.HasSuffix(f.path, "/"):
			header.Typeflag = tar.TypeDir
		case f.link != "":
			header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, f.link, 0o777
		case f.source != "":
			var err error
			if content, err = os.ReadFile(f.source); err != nil {
				return err
			}
		}
		header.Size = int64(len(content))
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(content); err != nil {
			return err
		}
	}
	return archive.Close()
}
