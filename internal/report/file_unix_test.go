//go:build unix

package report

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A disk without room is found out before, and nothing is left behind. It is played by a limit on the size of files.
func TestNoRoomForAFile(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &none); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err := CheckFile(filepath.Join(dir, "job.env"))
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if err == nil || !strings.HasSuffix(err.Error(), "job.env cannot be written: file too large") {
		t.Errorf("the error is %v", err)
	}
	if names := entries(t, dir); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
}
