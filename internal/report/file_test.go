package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entries are the names in a folder.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range found {
		names = append(names, e.Name())
	}
	return names
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "job.env")
	for _, content := range []string{"A=1\nB=2\n", "A=3\n", ""} {
		if err := CheckFile(path); err != nil {
			t.Fatal(err)
		}
		if err := WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("the file holds %q, %v; want %q", got, err, content)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v; others must be able to read it", info.Mode(), err)
	}
	if names := entries(t, dir); len(names) != 1 {
		t.Errorf("left behind: %q", names)
	}
}

// A reader that has the file open goes on to see the old content, whole.
func TestWriteFileReplacesAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "job.env")
	if err := WriteFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := WriteFile(path, []byte("new and longer")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	if n, _ := reader.Read(got); string(got[:n]) != "old" {
		t.Errorf("the open file holds %q", got[:n])
	}
}

// What cannot be written is found out before, said in terms of the file that was meant, and leaves nothing behind.
func TestFileThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link": "file", "dangling": "later"} { // as /dev/stdout is a link to a file in "command > file"
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	before := entries(t, dir)
	for _, link := range []string{"link", "dangling"} { // a rename would replace it
		if err, want := CheckFile(filepath.Join(dir, link)), link+" cannot be written: it is a symbolic link; name the file itself"; err == nil || err.Error() != filepath.Join(dir, want) {
			t.Errorf("%s: %v, want %s", link, err, want)
		}
	}
	for name, want := range map[string]string{
		"folder":          "folder cannot be written: it is not a regular file",
		"nowhere/job.env": "nowhere/job.env cannot be written: no such file or directory",
		"file/job.env":    "file/job.env cannot be written: not a directory",
	} {
		path := filepath.Join(dir, name)
		err := CheckFile(path)
		if err == nil || err.Error() != filepath.Join(dir, want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
		if err := WriteFile(path, []byte("x")); err == nil || !strings.HasPrefix(err.Error(), path+" cannot be written: ") || strings.Count(err.Error(), dir) != 1 {
			t.Errorf("%s: written, %v", name, err)
		}
	}
	if err := CheckFile(os.DevNull); err == nil { // a rename would replace it
		t.Errorf("%s passes for a file", os.DevNull)
	}
	if after := entries(t, dir); len(after) != len(before) {
		t.Errorf("left behind: %q, before %q", after, before)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(got) != "mine" {
		t.Errorf("a file that was there holds %q, %v", got, err)
	}
}
