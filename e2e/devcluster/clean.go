package devcluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Where components keep things outside of the cluster's folder, without a setting to change it.
const (
	shimSocketFolder = "/run/containerd/s"    // containerd, runtime/v2/shim: socketRoot
	cniResults       = "/var/lib/cni/results" // libcni: CacheDir
	containerLogs    = "/var/log/containers"  // pkg/kubelet/kuberuntime/legacy.go
)

// clean removes everything of the cluster but its folder itself, whatever state it is in.
func (c *Cluster) clean() error {
	for _, name := range componentNames {
		if err := c.stop(name, syscall.SIGKILL); err != nil {
			return err
		}
	}
	if err := c.killMembers(); err != nil {
		return err
	}
	if err := c.removeOutside(); err != nil {
		return err
	}
	if err := unmountBelow(c.dir); err != nil {
		return err
	}
	if err := c.removeNetwork(); err != nil {
		return err
	}
	if err := c.removeCgroups(); err != nil {
		return err
	}
	return c.removeFiles()
}

// shimSockets returns the sockets of the shims that hold the cluster's containers.
func (c *Cluster) shimSockets() ([]string, error) {
	addresses, err := filepath.Glob(c.path("containerd", "state", "io.containerd.runtime.v2.task", "*", "*", "address"))
	if err != nil {
		return nil, err
	}
	var sockets []string
	for _, file := range addresses {
		// Of a container that was cut down while it was made there is no address yet.
		if address, err := os.ReadFile(file); err == nil {
			if socket := strings.TrimPrefix(string(address), "unix://"); filepath.Dir(socket) == shimSocketFolder {
				sockets = append(sockets, socket)
			}
		}
	}
	return sockets, nil
}

// removeOutside removes the files outside of the folder that are the cluster's.
func (c *Cluster) removeOutside() error {
	doomed, err := c.shimSockets()
	if err != nil {
		return err
	}
	results, err := filepath.Glob(filepath.Join(cniResults, c.cgroupName()+"-*"))
	if err != nil {
		return err
	}
	for _, result := range results {
		// NETWORK-SANDBOX-DEVICE; containerd ties each sandbox to a network "cni-loopback" as well.
		sandbox := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(result), c.cgroupName()+"-"), "-eth0")
		doomed = append(doomed, result, filepath.Join(cniResults, "cni-loopback-"+sandbox+"-lo"))
	}
	links, err := filepath.Glob(filepath.Join(containerLogs, "*.log"))
	if err != nil {
		return err
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, c.path("pod-logs")+"/") {
			doomed = append(doomed, link)
		}
	}
	for _, path := range doomed {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// marker is the file that tells that a folder is a cluster's, so that no other is ever emptied.
const marker = "THIS-IS-A-DEVCLUSTER"

// claim marks the folder as the cluster's, if it is empty or marked already.
func (c *Cluster) claim() error {
	if _, err := os.Stat(c.path(marker)); err == nil {
		return nil
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s holds files that are not a cluster's: choose an empty or a new folder with --dir", c.dir)
	}
	return os.WriteFile(c.path(marker), []byte("Made by devcluster, which deletes all of this folder on devcluster down.\n"), 0o644)
}

// removeFiles empties the folder, except for the marker.
func (c *Cluster) removeFiles() error {
	left, err := mountsBelow(c.dir)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("these are still mounted, so the files of %s are not deleted: %s", c.dir, strings.Join(left, " "))
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == marker {
			continue
		}
		if err := os.RemoveAll(c.path(entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
