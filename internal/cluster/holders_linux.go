package cluster

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// holders are the processes whose standard error is the pipe, and their descendants, but not this one.
func holders(pipe *os.File) (pids []int) {
	info, err := pipe.Stat()
	if err != nil {
		return nil
	}
	link := fmt.Sprintf("pipe:[%d]", info.Sys().(*syscall.Stat_t).Ino)
	children := map[int][]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		text, err := os.ReadFile(file)
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:]) // the name stands in brackets and may hold some, then come state and parent
		if err != nil || len(fields) < 2 || pid == os.Getpid() {
			continue
		}
		parent, _ := strconv.Atoi(string(fields[1]))
		children[parent] = append(children[parent], pid)
		if held, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", pid)); err == nil && held == link {
			pids = append(pids, pid)
		}
	}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
		delete(children, pids[i])
	}
	return pids
}
