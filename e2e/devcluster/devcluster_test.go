package devcluster

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/planton/kubernetes-job-action/e2e/images"
)

// TestLife leads a cluster of its own through its life: beside another one it may run, so it also
// shows that two checkouts do not collide.
func TestLife(t *testing.T) {
	if err := Supported(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	c, err := Open(filepath.Join(t.TempDir(), "c"), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Down(); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.provide(ctx); err != nil { // the first time it has to build
		t.Fatal(err)
	}
	want := len(componentNames) - 1 // docker is not started by up
	up := func(limit time.Duration) {
		t.Helper()
		started := time.Now()
		if err := c.Up(ctx, Options{}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took > limit {
			t.Errorf("up took %s, more than %s", took, limit)
		}
		if alive := c.alive(); len(alive) != want {
			t.Fatalf("after up only these live: %v", alive)
		}
	}
	up(2 * time.Minute)
	if err := c.Start(ctx, docker, nil); err != nil {
		t.Fatal(err)
	}
	want++
	first := c.pids(t)
	runContainer(t, ctx, c)

	t.Run("a second up changes nothing and is quick", func(t *testing.T) {
		up(30 * time.Second)
		if err := c.Start(ctx, docker, nil); err != nil {
			t.Fatal(err)
		}
		if now := c.pids(t); !maps.Equal(now, first) {
			t.Errorf("processes were %v, are %v", first, now)
		}
	})

	t.Run("up heals what was killed", func(t *testing.T) {
		killed := []string{"kube-apiserver", "kube-scheduler", docker}
		for _, name := range killed {
			p, _ := c.recorded(name)
			if err := p.end(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		up(3 * time.Minute)
		now := c.pids(t)
		for name, pid := range first {
			if (now[name] != pid) != slices.Contains(killed, name) {
				t.Errorf("%s was process %d, is %d", name, pid, now[name])
			}
		}
		runContainer(t, ctx, c)
	})

	outer := t
	t.Run("another stands beside it, and goes without a trace", func(t *testing.T) {
		other, err := Open(filepath.Join(outer.TempDir(), "c"), t.Output()) // this test's name is too long for a socket's path
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := other.Down(); err != nil {
				t.Error(err)
			}
		})
		if err := other.Up(ctx, Options{}); err != nil {
			t.Fatal(err)
		}
		if err := other.Start(ctx, docker, nil); err != nil {
			t.Fatal(err)
		}
		runPod(t, ctx, other)
		runContainer(t, ctx, other)
		for _, one := range []*Cluster{c, other} {
			if err := one.usable(ctx); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(one.path("device-plugins", "kubelet.sock")); err != nil {
				t.Error(err)
			}
		}
		sockets, pids := shimSocketsOf(t, other), other.pids(t)
		if err := other.Down(); err != nil {
			t.Fatal(err)
		}
		nothingLeft(t, other, sockets, pids)
		up(30 * time.Second)
	})

	runPod(t, ctx, c)

	t.Run("a folder of somebody else is left alone", func(t *testing.T) {
		dir := t.TempDir()
		file := filepath.Join(dir, "precious")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		other, err := Open(dir, t.Output())
		if err != nil {
			t.Fatal(err)
		}
		for name, do := range map[string]func() error{
			"up":   func() error { return other.Up(ctx, Options{}) },
			"down": other.Down,
		} {
			if err := do(); err == nil || !strings.Contains(err.Error(), "not a cluster's") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	})

	t.Run("up begins anew after a kill of everything", func(t *testing.T) {
		sockets := shimSocketsOf(t, c)
		for name := range c.pids(t) {
			p, _ := c.recorded(name)
			if err := p.end(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		want-- // of docker nothing is left to heal
		up(2 * time.Minute)
		for _, socket := range sockets {
			if _, err := os.Lstat(socket); !os.IsNotExist(err) {
				t.Errorf("%s is still there (%v)", socket, err)
			}
		}
		runPod(t, ctx, c)
	})

	t.Run("down removes what a kill of everything left", func(t *testing.T) {
		sockets := shimSocketsOf(t, c)
		if len(sockets) == 0 {
			t.Error("the pod has no shim, so this test shows nothing")
		}
		pids := c.pids(t)
		for _, name := range componentNames {
			if err := c.stop(name, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Down(); err != nil {
			t.Fatal(err)
		}
		nothingLeft(t, c, sockets, pids)
	})
}

func (c *Cluster) pids(t *testing.T) map[string]int {
	t.Helper()
	pids := map[string]int{}
	for _, name := range componentNames {
		p, ok := c.recorded(name)
		if !ok && name == docker {
			continue
		}
		if !ok {
			t.Fatalf("%s is not recorded", name)
		}
		pids[name] = p.PID
	}
	return pids
}

// runContainer has the engine make a container that does not end by itself.
func runContainer(t *testing.T, ctx context.Context, c *Cluster) {
	t.Helper()
	busybox, err := busyboxPath()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.importBase(ctx, "test", images.Alpine(busybox)); err != nil {
		t.Fatal(err)
	}
	if _, err := run(c.docker(ctx, "run", "--detach", "--network", "none", "test", "sleep", "1000000")); err != nil {
		t.Fatal(err)
	}
}

// runPod makes a pod that does not end by itself, so that there is something to clean up.
func runPod(t *testing.T, ctx context.Context, c *Cluster) {
	t.Helper()
	if _, err := c.kubectl(ctx, "run", "sleeper", "--image=busybox:1.36", "--restart=Never", "--", "sleep", "1000000"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.kubectl(ctx, "wait", "--for=condition=Ready", "pod/sleeper", "--timeout=3m"); err != nil {
		t.Fatal(err)
	}
	// The kubelet has mounted it in a view of its own.
	if _, err := c.kubectl(ctx, "exec", "sleeper", "--", "test", "-s", "/var/run/secrets/kubernetes.io/serviceaccount/token"); err != nil {
		t.Fatal(err)
	}
}

func shimSocketsOf(t *testing.T, c *Cluster) []string {
	t.Helper()
	sockets, err := c.shimSockets()
	if err != nil {
		t.Fatal(err)
	}
	return sockets
}

func nothingLeft(t *testing.T, c *Cluster, sockets []string, pids map[string]int) {
	t.Helper()
	for name, pid := range pids {
		if _, alive := startTime(pid); alive {
			t.Errorf("%s, process %d, lives", name, pid)
		}
	}
	mounts, err := mountsBelow(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(mounts) > 0 {
		t.Errorf("still mounted: %v", mounts)
	}
	groups, err := c.cgroups()
	if err != nil {
		t.Fatal(err)
	}
	links, err := filepath.Glob(filepath.Join(containerLogs, "sleeper_*"))
	if err != nil {
		t.Fatal(err)
	}
	results, err := filepath.Glob(filepath.Join(cniResults, c.cgroupName()+"-*"))
	if err != nil {
		t.Fatal(err)
	}
	paths := append([]string{c.dir, "/sys/class/net/" + c.bridge(), "/sys/class/net/" + c.veth()}, groups...)
	for _, path := range append(append(append(paths, sockets...), links...), results...) {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", path, err)
		}
	}
}

func TestMountEscapes(t *testing.T) {
	if got, want := mountEscapes.Replace(`/a\040b\134c`), `/a b\c`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStartTime(t *testing.T) {
	self := os.Getpid()
	start, ok := startTime(self)
	if !ok || start == 0 {
		t.Fatalf("no start time of this very process: %d, %t", start, ok)
	}
	if !(process{PID: self, Start: start}).alive() {
		t.Error("this process does not live")
	}
	if (process{PID: self, Start: start + 1}).alive() {
		t.Error("a process with the same id that was started at another time is taken for the same")
	}
}

func TestNetwork(t *testing.T) {
	for _, test := range []struct {
		subnet              int
		prefix, bridge, two string
	}{
		{0, "198.18.0.0/23", "198.18.0.1", "198.18.0.2"},
		{127, "198.18.254.0/23", "198.18.254.1", "198.18.254.2"},
		{128, "198.19.0.0/23", "198.19.0.1", "198.19.0.2"},
		{255, "198.19.254.0/23", "198.19.254.1", "198.19.254.2"},
	} {
		c := &Cluster{settings: settings{Subnet: test.subnet}}
		if got := c.prefix().String(); got != test.prefix {
			t.Errorf("%d: prefix %s, want %s", test.subnet, got, test.prefix)
		}
		if got := c.address(1); got != test.bridge {
			t.Errorf("%d: bridge %s, want %s", test.subnet, got, test.bridge)
		}
		if got := c.address(2); got != test.two {
			t.Errorf("%d: database %s, want %s", test.subnet, got, test.two)
		}
	}
}
