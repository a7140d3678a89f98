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
	b := build{name: "gitlab-ci-local", folder: "gitlab-ci-local", inputs: []string{"package.json", "package-lock.json"}}
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
	program := filepath.Join(folder, "node_modules", ".bin", "gitlab-ci-local")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	c.out.printf("installing gitlab-ci-local in %s", folder)
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
		return "", fmt.Errorf("gitlab-ci-local cannot be installed: %w", err)
	}
	if err := os.Rename(fresh, folder); err != nil && !errors.Is(err, fs.ErrExist) { // somebody else was first
		return "", err
	}
	c.out.printf("installed gitlab-ci-local in %s", round(time.Since(started)))
	return program, nil
}
