package devcluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process names a process for good: the kernel gives a process id to others later, but not with the
// same start time.
type process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot, field 22 of proc_pid_stat(5)
}

// startTime reads when the process was started; a zombie counts as gone.
func startTime(pid int) (uint64, bool) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, false
	}
	// The name in parentheses may hold anything; the fields behind it start with the state, field 3.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0, false
	}
	ticks, err := strconv.ParseUint(fields[19], 10, 64)
	return ticks, err == nil
}

func (p process) alive() bool {
	start, ok := startTime(p.PID)
	return ok && start == p.Start
}

// end sends the signal and waits until the process is gone. What does not go in time is killed.
func (p process) end(signal syscall.Signal) error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	if waitUntil(stopTimeout, func() bool { return !p.alive() }) {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	if !waitUntil(stopTimeout, func() bool { return !p.alive() }) {
		return fmt.Errorf("process %d does not end, not even killed: it hangs in the kernel, see /proc/%d/stack", p.PID, p.PID)
	}
	return nil
}

// stopTimeout is longer than an API server takes to close its watches.
const stopTimeout = 15 * time.Second

func waitUntil(timeout time.Duration, condition func() bool) bool {
	for deadline := time.Now().Add(timeout); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func (c *Cluster) recordPath(name string) string { return c.path("run", name+".json") }

// recorded returns the process that was last started under the name.
func (c *Cluster) recorded(name string) (process, bool) {
	var p process
	data, err := os.ReadFile(c.recordPath(name))
	if err != nil || json.Unmarshal(data, &p) != nil {
		return process{}, false
	}
	return p, true
}

// launch starts a long-lived process of the cluster, which outlives this one, and records it. The
// channel is closed when it ends.
func (c *Cluster) launch(name string, cmd *exec.Cmd) (<-chan struct{}, error) {
	log, err := os.OpenFile(c.logPath(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	// A session of its own: Ctrl-C at the terminal is not for the cluster.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Dir = c.dir
	if cmd.Env == nil {
		cmd.Env = environment()
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		// Its end is told by the log and by startTime; this only keeps it from staying a zombie.
		_ = cmd.Wait()
		close(ended)
	}()
	if err := c.adopt(cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		return nil, err
	}
	start, ok := startTime(cmd.Process.Pid)
	if !ok {
		return ended, nil // it ended at once, which whoever waits for it reports with its log
	}
	data, err := json.Marshal(process{PID: cmd.Process.Pid, Start: start})
	if err != nil {
		return nil, err
	}
	return ended, writeFile(c.recordPath(name), string(data)+"\n", 0o644)
}

// environment is what the components see. No proxy and no setting of the caller's: a cluster behaves
// the same whoever started it.
func environment() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
}

func (c *Cluster) logPath(name string) string { return c.path("logs", name+".log") }

// logTail returns the end of a component's log.
func (c *Cluster) logTail(name string) string {
	const lines = 15
	data, err := os.ReadFile(c.logPath(name))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
