package devcluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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

// Act is the path of act, which runs workflows of GitHub Actions.
func (c *Cluster) Act(ctx context.Context) (string, error) { return c.build(ctx, actBuild) }

// GitLabCILocal is the path of gitlab-ci-local, which runs pipelines of GitLab.
func (c *Cluster) GitLabCILocal(ctx context.Context) (string, error) {
	folder, err := c.npm(ctx, "gitlab-ci-local")
	return filepath.Join(folder, "node_modules", ".bin", "gitlab-ci-local"), err
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
	folder, err := c.npm(ctx, "pictures", "render.mjs")
	if err != nil {
		return err
	}
	node := exec.CommandContext(ctx, "node", append([]string{filepath.Join(folder, "render.mjs"), browser()}, pages...)...)
	_, err = run(node)
	return err
}

// npm is the folder in which the packages are installed that a folder of this module pins, beside its files.
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
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err == nil {
		return folder, nil
	}
	c.out.printf("installing %s in %s", name, folder)
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
		return "", fmt.Errorf("%s cannot be installed: %w", name, err)
	}
	if err := os.Rename(fresh, folder); err != nil && !errors.Is(err, fs.ErrExist) { // somebody else was first
		return "", err
	}
	c.out.printf("installed %s in %s", name, round(time.Since(started)))
	return folder, nil
}
