package devcluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// cgroupName is the control group that holds every process of the cluster: the pods in the child
// kubepods that the kubelet makes, everybody else in the child system.
func (c *Cluster) cgroupName() string { return "devcluster-" + c.id }

// hierarchy is one mounted tree of control groups.
type hierarchy struct {
	path    string
	unified bool // version 2
}

// hierarchies returns the mounted trees: those of version 1 first.
func hierarchies() ([]hierarchy, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	var v1, v2 []hierarchy
	for _, m := range mounts {
		switch m.kind {
		case "cgroup":
			v1 = append(v1, hierarchy{path: m.path})
		case "cgroup2":
			v2 = append(v2, hierarchy{path: m.path, unified: true})
		}
	}
	if len(v1)+len(v2) == 0 {
		return nil, errors.New("no control groups are mounted (/sys/fs/cgroup); the kubelet and containerd need them")
	}
	return append(v1, v2...), nil
}

// cgroups returns the cluster's group in each hierarchy. The first is the one that is asked for its processes.
func (c *Cluster) cgroups() ([]string, error) {
	all, err := hierarchies()
	if err != nil {
		return nil, err
	}
	groups := make([]string, 0, len(all))
	for _, h := range all {
		group := filepath.Join(h.path, c.cgroupName())
		// A container is in all of them; pids is the one that every kernel for containers has.
		if filepath.Base(h.path) == "pids" {
			groups = slices.Insert(groups, 0, group)
		} else {
			groups = append(groups, group)
		}
	}
	return groups, nil
}

func (c *Cluster) makeCgroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		if h.unified && h != all[0] {
			continue // beside version 1 it has no controllers and runc makes the group itself
		}
		if h.unified {
			if err := delegate(h.path); err != nil {
				return err
			}
		}
		// The kubelet refuses a cgroupRoot that is missing in one hierarchy (pkg/kubelet/cm, Validate).
		if err := os.MkdirAll(filepath.Join(h.path, c.cgroupName(), "system"), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// delegate lets the children of a version 2 group have all of its controllers.
func delegate(group string) error {
	controllers, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	if err != nil {
		return err
	}
	var enable strings.Builder
	for _, name := range strings.Fields(string(controllers)) {
		enable.WriteString("+" + name + " ")
	}
	return os.WriteFile(filepath.Join(group, "cgroup.subtree_control"), []byte(enable.String()), 0)
}

// adopt makes a process, and so all that it will start, a member of the cluster's control group.
func (c *Cluster) adopt(pid int) error {
	groups, err := c.cgroups()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(groups[0], "system", "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
}

// members returns the processes of the group and of those below it.
func members(group string) ([]int, error) {
	var pids []int
	err := filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a group vanishes when its container does
		}
		if err != nil || !entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			return nil // as above
		}
		for _, field := range strings.Fields(string(data)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			// Zero is a process that this process namespace does not see.
			if pid != 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids, err
}

// killMembers kills every process of the cluster and waits until all are gone. Membership is the
// kernel's own record, so no process that got the id of another can be hit.
func (c *Cluster) killMembers() error {
	groups, err := c.cgroups()
	if err != nil {
		return err
	}
	var pids []int
	if !waitUntil(stopTimeout, func() bool {
		if pids, err = members(groups[0]); err != nil {
			return true
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
		}
		return len(pids) == 0
	}) {
		return fmt.Errorf("processes %v do not end, not even killed: they hang in the kernel, see /proc/PID/stack", pids)
	}
	return err
}

// removeCgroups removes the groups, which must be without processes.
func (c *Cluster) removeCgroups() error {
	groups, err := c.cgroups()
	if err != nil {
		return err
	}
	for _, group := range groups {
		var last error
		// The kernel still counts processes for a moment after they are gone (EBUSY).
		if !waitUntil(stopTimeout, func() bool { last = removeTree(group); return last == nil }) {
			return last
		}
	}
	return nil
}

// removeTree removes a group and those below it; the files in them go with them.
func removeTree(group string) error {
	entries, err := os.ReadDir(group)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeTree(filepath.Join(group, entry.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(group)
}
