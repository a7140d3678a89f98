package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Document is a Sink that keeps a file up to date with the run. Each time it is replaced whole, see WriteFile.
type Document struct {
	path    string
	content func(event.Event) (content []byte, note string)
	tell    func(event.Event) error
}

// NewDocument makes a Document of the file path. content is what belongs into the file from an event on, and a sentence about what
// the file has no room for, or ""; it gives nil when the event changes nothing. tell gets that sentence as a notice.
func NewDocument(path string, content func(event.Event) ([]byte, string), tell func(event.Event) error) *Document {
	return &Document{path: path, content: content, tell: tell}
}

// Event writes the file when e changes what is in it. The error is that of the file, or of tell.
func (d *Document) Event(e event.Event) error {
	content, note := d.content(e)
	if content == nil {
		return nil
	}
	if err := WriteFile(d.path, content); err != nil || note == "" {
		return err
	}
	return d.tell(event.Notice{Level: event.Info, Message: note})
}

// probe is how much room a file must have: a block of most file systems, in bytes.
const probe = 4 << 10

// CheckFile returns an error when WriteFile could not write path, or would replace what is no file: a device, or a link, which is what
// /dev/stdout is also when standard output is a file. It leaves nothing behind.
func CheckFile(path string) error {
	switch info, err := os.Lstat(path); {
	case err != nil:
	case info.Mode()&os.ModeSymlink != 0:
		return fmt.Errorf("%s cannot be written: it is a symbolic link; name the file itself", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s cannot be written: it is not a regular file", path)
	}
	f, err := temporary(path)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probe)) // the disk may be full
	if err != nil {
		err = Unwritable(path, err)
	}
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// FileName is the name by which two paths of the same file are known. The file need not be there, its folder must.
func FileName(path string) string {
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return filepath.Clean(path)
	}
	return filepath.Join(folder, filepath.Base(path))
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
		return errors.Join(Unwritable(path, err), os.Remove(f.Name()))
	}
	return nil
}

// temporary makes the file that becomes path. It is in the same folder, because a rename is atomic only within a file system.
func temporary(path string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, Unwritable(path, err)
	}
	return f, nil
}

// Unwritable is an error with path for one that may name another file, the temporary one or none.
func Unwritable(path string, err error) error {
	if code := syscall.Errno(0); errors.As(err, &code) {
		err = code
	}
	return fmt.Errorf("%s cannot be written: %w", path, err)
}
