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
		return fmt.Errorf("%s cannot be written: it is not a regular file", path)
	}
	f, err := temporary(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// WriteFile replaces the file path atomically: even after a kill, readers find either the old content or the new one. Its folder must
// exist. Every user may read the file, because the helper of GitLab's runner that uploads it may run as another user.
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

// temporary makes the file that becomes path. It is in the same folder, because a rename is atomic only within a file system.
func temporary(path string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, unwritable(path, err)
	}
	return f, nil
}

// unwritable names path, and not the temporary file.
func unwritable(path string, err error) error {
	if code := syscall.Errno(0); errors.As(err, &code) {
		err = code
	}
	return fmt.Errorf("%s cannot be written: %w", path, err)
}
