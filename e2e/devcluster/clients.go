package devcluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

var actBuild = build{
	name:   "act",
	folder: "act",
	target: "github.com/nektos/act",
	inputs: []string{"go.mod", "go.sum"},
	args:   append([]string{"-ldflags", "-s -w"}, buildArgs...),
	env:    buildEnv,
	hint:   "some two minutes",
}

// InstallClients installs the Debian packages of what act and gitlab-ci-local need beside a Docker Engine.
func (c *Cluster) InstallClients(ctx context.Context) error {
	return c.installPackages(ctx, []need{{"git", onPath("git")}, {"rsync", onPath("rsync")}, {"nodejs", onPath("node")}, {"npm", onPath("npm")}})
}

// InstallReaders installs the Debian packages of what reads a terminal and JUnit reports.
func (c *Cluster) InstallReaders(ctx context.Context) error {
	library := func() bool { return exec.Command(Python, "-c", "import junitparser").Run() == nil }
	return c.installPackages(ctx, []need{{"tmux", onPath("tmux")}, {"libxml2-utils", onPath("xmllint")}, {"python3-junitparser", library}})
}

// Python is Debian's, which finds the libraries of Debian's packages.
const Python = "/usr/bin/python3"

// Act is the path of act, which runs workflows of GitHub Actions.
func (c *Cluster) Act(ctx context.Context) (string, error) { return c.build(ctx, actBuild) }

// GitLabCILocal is the path of gitlab-ci-local, which runs pipelines of GitLab.
func (c *Cluster) GitLabCILocal(ctx context.Context) (string, error) {
	modules, err := c.npm(ctx, "gitlab-ci-local")
	return filepath.Join(modules, ".bin", "gitlab-ci-local"), err
}

// NodeModules is the folder of what node/package.json pins: Node.js 20 and 24, for GitHub's actions, and GitHub's reader of action.yml.
func (c *Cluster) NodeModules(ctx context.Context) (string, error) {
	if err := c.InstallClients(ctx); err != nil { // npm
		return "", err
	}
	return c.npm(ctx, "node")
}

// Node is the path of Node.js, of the version 20 or 24.
func (c *Cluster) Node(ctx context.Context, major string) (string, error) {
	modules, err := c.NodeModules(ctx)
	// The packages are named as Node.js names processors.
	return filepath.Join(modules, "node"+major+"-"+strings.Replace(runtime.GOARCH, "amd64", "x64", 1), "bin", "node"), err
}

// browsers are the names of a Chromium without a window, or that can do without one.
var browsers = []string{"chromium-headless-shell", "chromium", "google-chrome"}

func browser() string {
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Pictures renders step summaries as GitHub shows them: each page is the path of a Markdown file, followed by that of a PNG. It is an error when
// one of them cannot be rendered, or has what a summary must not have (pictures/render.mjs).
func (c *Cluster) Pictures(ctx context.Context, pages ...string) error {
	font := func(name string) func() bool {
		return func() bool {
			found, err := filepath.Glob("/usr/share/fonts/*/*/" + name)
			return err == nil && len(found) > 0
		}
	}
	if err := c.installPackages(ctx, []need{{"nodejs", onPath("node")}, {"npm", onPath("npm")}, {"chromium-headless-shell", func() bool { return browser() != "" }},
		{"fonts-liberation", font("LiberationSans-Regular.ttf")}, {"fonts-dejavu-core", font("DejaVuSansMono.ttf")}, {"fonts-noto-color-emoji", font("NotoColorEmoji.ttf")}}); err != nil {
		return err
	}
	modules, err := c.npm(ctx, "pictures", "render.mjs")
	if err != nil {
		return err
	}
	node := exec.CommandContext(ctx, "node", append([]string{filepath.Join(filepath.Dir(modules), "render.mjs"), browser()}, pages...)...)
	_, err = run(node)
	return err
}

// npm installs what the lock file in the folder pins, once, and gives the folder node_modules. Beside it are the files of the folder that are named.
func (c *Cluster) npm(ctx context.Context, name string, files ...string) (string, error) {
	b := build{name: name, folder: name, inputs: append([]string{"package.json", "package-lock.json"}, files...)}
	source := filepath.Join(c.source, b.folder)
	key, err := b.key(source)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place to keep installed programs: %w", err)
	}
	folder := filepath.Join(cache, "kubernetes-job-action", b.name+"-"+key)
	modules := filepath.Join(folder, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules, nil
	}
	c.out.printf("installing %s in %s", b.name, folder)
	started := time.Now()
	// Renamed when complete, as a built program is.
	fresh := fmt.Sprintf("%s.%d", folder, os.Getpid())
	defer os.RemoveAll(fresh)
	if err := os.MkdirAll(fresh, 0o755); err != nil {
		return "", err
	}
	for _, name := range b.inputs {
		data, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(fresh, name), data, 0o644); err != nil {
			return "", err
		}
	}
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = fresh
	if _, err := run(npm); err != nil {
		return "", fmt.Errorf("%s cannot be installed: %w", b.name, err)
	}
	if err := os.Rename(fresh, folder); err != nil && !errors.Is(err, fs.ErrExist) { // somebody else was first
		return "", err
	}
	c.out.printf("installed %s in %s", b.name, round(time.Since(started)))
	return modules, nil
}
