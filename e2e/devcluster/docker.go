package devcluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/planton/kubernetes-job-action/e2e/images"
)

// docker is the one component that up does not start by itself: only tests of the container image need it. Once it was started,
// it is healed and ended like the others.
const docker = "docker"

// dockerPackage brings the engine and its client, and leaves the firewall rules and the bridge that it could make alone:
// dockerCommand turns both off.
var dockerPackage = need{"docker.io", onPath("dockerd", "docker")}

// DockerHost is the address of the Docker Engine, as the client takes it in DOCKER_HOST.
func (c *Cluster) DockerHost() string { return "unix://" + c.path("docker.sock") }

// dockerCommand is an engine that keeps everything in the cluster's folder and uses the cluster's containerd (one of its own is not
// ended, nor found again, when the engine is killed). It has no bridge and writes no firewall rules: containers use the network of
// the machine, where the API server is, or none.
func (c *Cluster) dockerCommand() *exec.Cmd {
	return exec.Command("dockerd", "--host", c.DockerHost(), "--pidfile", c.path("docker", "pid"),
		"--data-root", c.path("docker", "data"), "--exec-root", c.path("docker", "exec"), "--containerd", c.containerdSocket(), "--config-file", c.path("docker", "daemon.json"),
		"--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
		"--storage-driver=overlay2", "--exec-opt=native.cgroupdriver=cgroupfs", "--cgroup-parent=/"+c.cgroupName()+"/docker")
}

func (c *Cluster) dockerReady(ctx context.Context) error {
	_, err := run(c.docker(ctx, "version"))
	return err
}

// fromLine is an instruction of a Dockerfile that names an image of a registry.
var fromLine = regexp.MustCompile(`(?m)^FROM (golang|alpine):(\S+)`)

// startDocker starts the engine, unless it runs.
func (c *Cluster) startDocker(ctx context.Context, p programs) error {
	if err := c.installPackages(ctx, []need{dockerPackage}); err != nil {
		return err
	}
	return c.start(ctx, docker, p)
}

// baseKey is the label of a base image that says what it was made from.
const baseKey = "org.opencontainers.image.revision"

// BaseImages gives the running engine the images that the project's Dockerfile begins with, under their real names, as far as it
// does not have them. They are made anew when the modules change.
func (c *Cluster) BaseImages(ctx context.Context) error {
	unlock, err := c.lockFor(docker)
	if err != nil {
		return err
	}
	defer unlock()
	dockerfile, err := os.ReadFile(filepath.Join(c.source, "..", "Dockerfile"))
	if err != nil {
		return err
	}
	busybox, err := busyboxPath()
	if err != nil {
		return err
	}
	key, err := build{inputs: []string{"go.mod", "go.sum"}}.key(filepath.Join(c.source, ".."))
	if err != nil {
		return err
	}
	for _, from := range fromLine.FindAllStringSubmatch(string(dockerfile), -1) {
		image := from[1] + ":" + from[2]
		have, err := run(c.docker(ctx, "image", "inspect", "--format", fmt.Sprintf("{{index .Config.Labels %q}}", baseKey), image))
		if err == nil && strings.TrimSpace(have) == key {
			continue
		}
		label := fmt.Sprintf("LABEL %s=%s", baseKey, key)
		if from[1] == "golang" {
			err = c.importGolang(ctx, image, busybox, label)
		} else {
			base := images.Alpine(busybox)
			base.Changes = append(base.Changes, label)
			err = c.importBase(ctx, image, base)
		}
		if err != nil {
			return fmt.Errorf("image %s cannot be made: %w", image, err)
		}
	}
	return nil
}

// docker runs the engine's client.
func (c *Cluster) docker(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "docker", append([]string{"--host", c.DockerHost()}, args...)...)
}

func (c *Cluster) importBase(ctx context.Context, image string, base images.Base) error {
	args := []string{"import"}
	for _, change := range base.Changes {
		args = append(args, "--change", change)
	}
	cmd := c.docker(ctx, append(args, "-", image)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	written := make(chan error, 1)
	go func() { written <- errors.Join(base.Write(stdin), stdin.Close()) }()
	_, err = run(cmd)
	return errors.Join(err, <-written)
}

func (c *Cluster) importGolang(ctx context.Context, image, busybox, label string) error {
	project := filepath.Join(c.source, "..")
	inProject := func(env ...string) func(args ...string) (string, error) {
		return func(args ...string) (string, error) {
			cmd := exec.CommandContext(ctx, "go", args...)
			cmd.Dir, cmd.Env = project, append(os.Environ(), env...)
			return run(cmd)
		}
	}
	if _, err := inProject()("mod", "download"); err != nil {
		return err
	}
	out, err := inProject()("env", "-json", "GOROOT", "GOMODCACHE")
	if err != nil {
		return err
	}
	var env struct{ GOROOT, GOMODCACHE string }
	if err := json.Unmarshal([]byte(out), &env); err != nil {
		return err
	}
	// Downloaded once more, out of the module cache, to have what the build needs and nothing else.
	cache, err := os.MkdirTemp("", "modules")
	if err != nil {
		return err
	}
	offline := inProject("GOMODCACHE="+cache, "GOPROXY=file://"+filepath.Join(env.GOMODCACHE, "cache", "download"))
	defer func() {
		_, _ = offline("clean", "-modcache") // its folders are read-only
		_ = os.RemoveAll(cache)
	}()
	if _, err := offline("mod", "download"); err != nil {
		return err
	}
	if err := c.importBase(ctx, image, images.Golang(busybox, env.GOROOT, filepath.Join(cache, "cache", "download"))); err != nil {
		return err
	}
	// Compiled once into the image, so that each later build compiles what has changed.
	container := c.cgroupName() + "-compile"
	remove := func() error {
		_, err := run(c.docker(context.WithoutCancel(ctx), "rm", "--force", container))
		return err
	}
	if err := remove(); err != nil { // of a run that was cut off
		return err
	}
	defer remove()
	if _, err := run(c.docker(ctx, "run", "--name", container, "--network", "none", "--volume", project+":/src:ro", "--workdir", "/src",
		image, "sh", "-c", "CGO_ENABLED=0 go build -trimpath -buildvcs=false -o /dev/null ./cmd/kubernetes-job-action")); err != nil {
		return err
	}
	// Labelled when complete.
	_, err = run(c.docker(ctx, "commit", "--change", label, container, image))
	return err
}
