package devcluster

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// need is something on the machine that a Debian package brings. What counts is that it is there, not
// which package it came with: a machine with Docker has a containerd of its own.
type need struct {
	pkg   string
	found func() bool
}

var needs = []need{
	{"containerd", onPath("containerd", "containerd-shim-runc-v2", "ctr")},
	{"runc", onPath("runc")},
	{"containernetworking-plugins", func() bool { _, err := cniPath(); return err == nil }},
	{"busybox-static", func() bool { _, err := busyboxPath(); return err == nil }},
	{"postgresql", func() bool { _, err := postgresPath(); return err == nil }},
	{"iproute2", onPath("ip")},
	{"util-linux", onPath("unshare", "nsenter", "setpriv", "findmnt")},
}

// policy makes the Debian packages' scripts start no service (invoke-rc.d(8), 101: action forbidden).
const policy = "/usr/sbin/policy-rc.d"

func missing(needs []need) (pkgs []string) {
	for _, n := range needs {
		if !n.found() {
			pkgs = append(pkgs, n.pkg)
		}
	}
	return pkgs
}

func onPath(names ...string) func() bool {
	return func() bool {
		return !slices.ContainsFunc(names, func(name string) bool {
			_, err := exec.LookPath(name)
			return err != nil
		})
	}
}

// cniPath finds the folder of the network plug-ins: Debian's, or that of the upstream archives.
func cniPath() (string, error) {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		if _, err := os.Stat(filepath.Join(dir, "bridge")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no container network plug-ins")
}

// busyboxPath finds a busybox that runs in an image without any library.
func busyboxPath() (string, error) {
	const path = "/bin/busybox"
	if runtime.GOOS != "linux" {
		return "", fmt.Errorf("%s has none for Linux, run this on Linux", runtime.GOOS)
	}
	file, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%s is linked dynamically", path)
		}
	}
	return path, nil
}

// postgresPath finds the folder of the newest server's programs, which Debian keeps off the PATH.
func postgresPath() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", errors.New("no PostgreSQL server in /usr/lib/postgresql")
	}
	return filepath.Dir(slices.Max(found)), nil
}

// installPackages installs the packages of what is missing.
func (c *Cluster) installPackages(ctx context.Context, needs []need) error {
	pkgs := missing(needs)
	if len(pkgs) == 0 {
		return nil
	}
	names := strings.Join(pkgs, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this machine lacks what the Debian packages %s bring and has no apt-get: install the like by hand, or %s", names, ownCluster)
	}
	c.out.printf("installing Debian packages: %s", names)
	if _, err := os.Stat(policy); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
			return err
		}
		defer os.Remove(policy)
	}
	// --no-remove: rather fail than replace a container runtime of the machine's owner.
	install := append([]string{"install", "--yes", "--no-install-recommends", "--no-remove"}, pkgs...)
	for _, args := range [][]string{{"update"}, install} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if _, err := run(cmd); err != nil {
			return fmt.Errorf("the Debian packages %s cannot be installed: %w", names, err)
		}
	}
	if left := missing(needs); len(left) > 0 {
		return fmt.Errorf("the Debian packages %s are installed, but what they should bring is not there", strings.Join(left, " "))
	}
	return nil
}
