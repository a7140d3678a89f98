package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// CheckFile returns an error when WriteFile could not write path. It leaves nothing behind.
func CheckFile(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s cannot be written: it is no regular file", path)
	}
	f, err := temporary(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// WriteFile replaces the file path at once: whoever reads it, even after a kill, finds the old content or the new one. Its
// folder must exist. Every user may read the file, because the helper of GitLab's runner that uploads it may be another one.
func WriteFile(path string, content []byte) error {
	f, err := temporary(path)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(unwritable(path, err), os.Remove(f.Name()))
	}
	return nil
}

// temporary makes the file that becomes path. It stands beside it, because only within a file system a rename is atomic.
func temporary(path string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, unwritable(path, err)
	}
	return f, nil
}

// unwritable names the file that was meant, and not the temporary one.
func unwritable(path string, err error) error {
	if code := syscall.Errno(0); errors.As(err, &code) {
		err = code
	}
	return fmt.Errorf("%s cannot be written: %w", path, err)
}
