package devcluster

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

type mount struct{ path, kind string }

// mountEscapes are the characters that proc_pid_mountinfo(5) writes in octal.
var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func readMounts() ([]mount, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var mounts []mount
	for line := range strings.Lines(string(data)) {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		kind, _, _ := strings.Cut(after, " ")
		if !ok || len(fields) < 5 {
			return nil, fmt.Errorf("/proc/self/mountinfo has a line that proc(5) does not know: %q", line)
		}
		mounts = append(mounts, mount{path: mountEscapes.Replace(fields[4]), kind: kind})
	}
	return mounts, nil
}

// mountsBelow returns the mount points in the folder, the newest first.
func mountsBelow(dir string) ([]string, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	var below []string
	for _, m := range slices.Backward(mounts) {
		if strings.HasPrefix(m.path, dir+"/") {
			below = append(below, m.path)
		}
	}
	return below, nil
}

// devicePlugins is where every kubelet deletes all sockets when it starts, whatever its root folder is (DevicePluginPath of
// k8s.io/kubelet/pkg/apis/deviceplugin).
const devicePlugins = "/var/lib/kubelet/device-plugins"

// inKubeletView makes a command that sees a folder of the cluster at devicePlugins, as inPostgresView does. What it mounts for
// pods is seen by everybody nevertheless: shareKubeletFolder has made that folder a mount of its own.
func (c *Cluster) inKubeletView(args ...string) *exec.Cmd {
	const script = `mount --make-slave "$(findmnt --noheadings --output TARGET --target ` + devicePlugins + `)" && mount --bind "$1" ` + devicePlugins + ` && shift && exec "$@"`
	return exec.Command("unshare", append([]string{"--mount", "--propagation", "unchanged", "--", "sh", "-c", script, "sh", c.path("device-plugins")}, args...)...)
}

func (c *Cluster) shareKubeletFolder() error {
	if err := os.MkdirAll(devicePlugins, 0o755); err != nil {
		return err
	}
	folder := c.path("kubelet")
	if below, err := mountsBelow(c.dir); err != nil || slices.Contains(below, folder) {
		return err
	}
	for _, args := range [][]string{{"--rbind", folder, folder}, {"--make-rshared", folder}} {
		if _, err := run(exec.Command("mount", args...)); err != nil {
			return err
		}
	}
	return nil
}

// unmountBelow unmounts all that the kubelet and containerd mounted in the folder.
func unmountBelow(dir string) error {
	below, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for _, path := range below {
		if err := unmount(path); err != nil {
			return fmt.Errorf("%s cannot be unmounted: %w", path, err)
		}
	}
	return nil
}
