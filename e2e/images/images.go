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
	"regexp"
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
	// Migrate is golang-migrate, of the version that migrate/go.mod pins.
	Migrate = "docker.io/migrate/migrate:v4.20.1"
	// Goose is what examples/migrate-goose/Dockerfile makes.
	Goose = "ghcr.io/acme/shop-migrations:v1.2.0"
	// Postgres has the clients of this machine's PostgreSQL, whatever its version, and no server.
	Postgres = "docker.io/library/postgres:15"
)

// Names returns the names of all images.
func Names() []string {
	return []string{Busybox, BusyboxLatest, Pause, Migrate, Goose, Postgres}
}

// Sources are the files that the images are made from.
type Sources struct {
	Busybox    string // a static busybox
	Migrate    string // golang-migrate with the driver for PostgreSQL
	Goose      string // goose with the driver for PostgreSQL
	Migrations string // the folder of the SQL files in the image Goose
	Postgres   string // the folder of PostgreSQL's programs
}

// Write makes all images and writes them to one archive, in the form that docker save gives one.
func Write(archive string, from Sources) error {
	shell, err := busyboxLayer(from.Busybox)
	if err != nil {
		return err
	}
	migrate, err := programsLayer(map[string]string{"usr/local/bin/migrate": from.Migrate})
	if err != nil {
		return err
	}
	goose, err := programsLayer(map[string]string{"usr/local/bin/goose": from.Goose})
	if err != nil {
		return err
	}
	migrations, err := migrationsLayer(from.Migrations)
	if err != nil {
		return err
	}
	clients := map[string]string{}
	for _, client := range []string{"pg_dump", "pg_restore", "psql"} {
		clients["usr/bin/"+client] = filepath.Join(from.Postgres, client)
	}
	postgres, err := programsLayer(clients)
	if err != nil {
		return err
	}
	tagged := map[name.Tag]v1.Image{}
	for _, i := range []struct {
		ref    string
		config v1.Config
		layers []v1.Layer
	}{
		{Busybox, shellConfig, []v1.Layer{shell}},
		{BusyboxLatest, shellConfig, []v1.Layer{shell}},
		{Pause, v1.Config{Entrypoint: []string{"/bin/sleep", "infinity"}}, []v1.Layer{shell}},
		{Migrate, v1.Config{Entrypoint: []string{"migrate"}, Cmd: []string{"--help"}}, []v1.Layer{shell, migrate}},
		{Goose, v1.Config{Entrypoint: []string{"goose"}, Cmd: []string{"up"}, Env: []string{"GOOSE_DRIVER=postgres", "GOOSE_MIGRATION_DIR=/migrations"}}, []v1.Layer{shell, goose, migrations}},
		{Postgres, shellConfig, []v1.Layer{shell, postgres}},
	} {
		tag, err := name.NewTag(i.ref)
		if err != nil {
			return err
		}
		if tagged[tag], err = image(i.config, i.layers...); err != nil {
			return err
		}
	}
	return tarball.MultiWriteToFile(archive, tagged)
}

var shellConfig = v1.Config{Cmd: []string{"sh"}}

// Shell is the image that Busybox names, made from a static busybox.
func Shell(busybox string) (v1.Image, error) {
	layer, err := busyboxLayer(busybox)
	if err != nil {
		return nil, err
	}
	return image(shellConfig, layer)
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

// WithPrograms adds programs of this machine, by their paths in the image without the leading slash, with the shared libraries
// that they are linked with.
func WithPrograms(img v1.Image, programs map[string]string) (v1.Image, error) {
	added, err := programsLayer(programs)
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(img, added)
}

func image(config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	config.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, config.Env...)
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

// programsLayer holds the programs, and the libraries at the paths where the loader finds them here: it looks there in the image too.
func programsLayer(programs map[string]string) (v1.Layer, error) {
	var files []file
	shared := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(programs)) {
		libraries, err := librariesOf(programs[path])
		if err != nil {
			return nil, err
		}
		for _, library := range libraries {
			shared[library] = true
		}
		files = append(files, file{path: path, mode: 0o755, source: programs[path]})
	}
	for _, library := range slices.Sorted(maps.Keys(shared)) {
		files = append(files, file{path: strings.TrimPrefix(library, "/"), mode: 0o755, source: library})
	}
	return layer(files)
}

var loaded = regexp.MustCompile(`(/\S+) \(0x[0-9a-f]+\)`)

// librariesOf returns the paths of the shared libraries of a program, the loader among them; a static program has none.
func librariesOf(program string) (paths []string, err error) {
	cmd := exec.Command("ldd", program)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	switch {
	case bytes.Contains(out, []byte("not a dynamic executable")):
		return nil, nil
	case err != nil || bytes.Contains(out, []byte("not found")):
		return nil, fmt.Errorf("the libraries of %s cannot be found: %v: %s", program, err, bytes.TrimSpace(out))
	}
	for _, match := range loaded.FindAllSubmatch(out, -1) {
		paths = append(paths, string(match[1]))
	}
	return paths, nil
}

func migrationsLayer(folder string) (v1.Layer, error) {
	migrations, err := filepath.Glob(filepath.Join(folder, "*.sql"))
	if err != nil {
		return nil, err
	}
	if len(migrations) == 0 {
		return nil, fmt.Errorf("no migrations in %s", folder)
	}
	files := []file{{path: "migrations/", mode: 0o755}}
	for _, path := range migrations {
		files = append(files, file{path: "migrations/" + filepath.Base(path), mode: 0o644, source: path})
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
	}, tarball.WithCompressedCaching)
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
