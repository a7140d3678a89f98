package lines

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// A disk that is full, played by a device.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := New(filepath.Join(t.TempDir(), "job.log"))
	if err := r.Event(event.Started{Job: job}); err != nil {
		t.Fatal(err)
	}
	r.file.Close()
	r.file = full
	err = r.Event(event.Lines{Stream: &event.Stream{Pod: "p", Container: "c"}, Lines: []event.Line{{Text: "x"}}})
	if err == nil || !strings.HasSuffix(err.Error(), "job.log cannot be written: no space left on device") {
		t.Errorf("the error is %v", err)
	}
}
