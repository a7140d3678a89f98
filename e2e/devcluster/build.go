package devcluster

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// KubernetesVersion is the version of every Kubernetes component, the one that kubernetes/go.mod pins.
const KubernetesVersion = "v1.37.2"

// progressInterval is how often a long step says that it still lives.
const progressInterval = 15 * time.Second

// build is one program that is made from a Go module beside this package.
type build struct {
	name   string
	folder string
	target string   // the package
	inputs []string // files of the folder that decide about the result
	args   []string
	env    []string
	hint   string // how long the first time takes
}

// All builds, that of the program itself in the Makefile too, leave debug information out at the compiler already (-dwarf=false):
// nobody reads it, and writing it costs compile time and cache space. With the same flags, and the same versions in the go.mod
// files, they share what they have compiled: of Kubernetes, the program brings every fifth package.
var (
	buildArgs = []string{"-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false"}
	buildEnv  = []string{"CGO_ENABLED=0", "GOWORK=off", "GOFLAGS="}
)

// withoutInlining are the packages that only the control plane has. Inlining costs every sixth second of their compilation, and
// a test cluster does not need their last speed.
var withoutInlining = []string{"k8s.io/kubernetes/...", "k8s.io/apiserver/...", "k8s.io/apiextensions-apiserver/...", "k8s.io/kube-aggregator/...",
	"k8s.io/kubectl/...", "go.etcd.io/...", "sigs.k8s.io/kustomize/...", "github.com/google/cadvisor/..."}

func kubernetesArgs() []string {
	args := slices.Clone(buildArgs)
	for _, packages := range withoutInlining {
		args = append(args, "-gcflags="+packages+"=-dwarf=false -l")
	}
	return append(args, "-ldflags", "-s -w"+
		" -X k8s.io/component-base/version.gitVersion="+KubernetesVersion+
		" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37"+
		" -X k8s.io/component-base/version.gitTreeState=clean")
}

var kubernetesBuild = build{
	name:   "kubernetes-" + KubernetesVersion,
	folder: "kubernetes",
	target: ".",
	inputs: []string{"go.mod", "go.sum", "main.go"},
	args:   kubernetesArgs(),
	env:    buildEnv,
	hint:   "some 10 minutes on 2 cores",
}

var migrateBuild = build{
	name:   "migrate",
	folder: "migrate",
	target: "github.com/golang-migrate/migrate/v4/cmd/migrate",
	inputs: []string{"go.mod", "go.sum"},
	args:   append([]string{"-tags", "postgres", "-ldflags", "-s -w"}, buildArgs...),
	env:    append([]string{"GOOS=linux"}, buildEnv...), // it runs in a container, wherever the image is made
	hint:   "some 20 seconds",
}

var gooseBuild = build{
	name:   "goose",
	folder: "goose",
	target: "github.com/pressly/goose/v3/cmd/goose",
	inputs: []string{"go.mod", "go.sum"},
	args:   append([]string{"-tags", "no_clickhouse,no_libsql,no_mssql,no_mysql,no_sqlite3,no_vertica,no_ydb", "-ldflags", "-s -w"}, buildArgs...),
	env:    migrateBuild.env,
	hint:   "some 20 seconds",
}

// build returns the path of the program, which it makes when the user's cache does not hold it.
func (c *Cluster) build(ctx context.Context, b build) (string, error) {
	folder := filepath.Join(c.source, b.folder)
	key, err := b.key(folder)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place to keep built programs: %w", err)
	}
	program := filepath.Join(cache, "kubernetes-job-action", b.name+"-"+key, filepath.Base(b.folder))
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	c.out.printf("building %s (the first time takes %s; kept in %s)", b.name, b.hint, filepath.Dir(program))
	started := time.Now()
	// Renamed when complete: a build that is cut off leaves no half program, and of two that run at
	// the same time either result is right.
	fresh := fmt.Sprintf("%s.%d", program, os.Getpid())
	defer os.Remove(fresh)
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-v", "-o", fresh}, b.args...), b.target)...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), b.env...)
	// Interrupted, go ends its compilers and removes its work folder; killed, it leaves both.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := c.runBuild(cmd, b.name, started); err != nil {
		return "", fmt.Errorf("%s cannot be built: %w", b.name, err)
	}
	if err := os.Rename(fresh, program); err != nil {
		return "", err
	}
	c.out.printf("built %s in %s", b.name, round(time.Since(started)))
	return program, nil
}

// key is a hash of all that decides about the result.
func (b build) key(folder string) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOARCH, b.target, b.args)
	for _, name := range b.inputs {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return "", fmt.Errorf("what %s is built from is not complete: %w", b.name, err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", name, len(data), data)
	}
	return hex.EncodeToString(hash.Sum(nil)[:6]), nil
}

// runBuild runs a go command and reports what it does: with -v it writes each package's path to
// standard error when it is done with it, and each module that it downloads.
func (c *Cluster) runBuild(cmd *exec.Cmd, name string, started time.Time) error {
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var progress buildProgress
	done := make(chan struct{})
	go func() {
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				c.out.printf("building %s: %s, %s so far", name, progress.state(), time.Since(started).Round(time.Second))
			case <-done:
				return
			}
		}
	}()
	progress.read(stderr)
	close(done)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, progress.tail())
	}
	return nil
}

// buildProgress is what a build has said so far.
type buildProgress struct {
	mu       sync.Mutex
	last     []string // the last lines
	packages int
	modules  int
}

const keptLines = 20

func (p *buildProgress) read(r io.Reader) {
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		p.add(scanner.Text())
	}
	// A line that is too long for the scanner must not block the compiler.
	_, _ = io.Copy(io.Discard, r)
}

func (p *buildProgress) add(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if strings.HasPrefix(line, "go: downloading ") {
		p.modules++
	} else {
		p.packages++
	}
	p.last = append(p.last, line)
	if len(p.last) > keptLines {
		p.last = p.last[1:]
	}
}

func (p *buildProgress) state() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.last) == 0 {
		return "starting"
	}
	return fmt.Sprintf("%d modules downloaded, %d packages compiled, last %s", p.modules, p.packages, strings.TrimPrefix(p.last[len(p.last)-1], "go: "))
}

func (p *buildProgress) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.last, "\n")
}
