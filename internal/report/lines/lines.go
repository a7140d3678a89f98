// Package lines writes the lines of the containers to a file while they come, each with its time and the prefix that tells its stream.
//
// A log cannot be replaced as a whole at the end: a killed run would leave none. So the file is replaced by an empty one at the first
// news of the run, and each batch of lines is appended by one call to the system, without a buffer of ours: a kill loses nothing
// that was read, and cuts a line only when the system takes a part of a batch.
package lines

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// Reporter is a report.Sink.
type Reporter struct {
	path    string
	file    *os.File
	started event.Started
	buf     []byte
}

// New makes a Reporter that writes the file path.
func New(path string) *Reporter { return &Reporter{path: path} }

// Event appends the lines of e, without their colours. The error is that of the file.
func (r *Reporter) Event(e event.Event) error {
	if r.file == nil {
		if err := report.WriteFile(r.path, nil); err != nil {
			return err
		}
		var err error
		if r.file, err = os.OpenFile(r.path, os.O_WRONLY|os.O_APPEND, 0); err != nil {
			return report.Unwritable(r.path, err)
		}
	}
	if cap(r.buf) > report.KeptBuffer {
		r.buf = nil
	}
	r.buf = r.buf[:0]
	switch e := e.(type) {
	case event.Started:
		r.started = e
	case event.Lines:
		r.lines(e)
	case event.Gap:
		// A line of a container begins with its time, so none can be taken for this.
		if m, ok := report.Say(e); ok {
			r.buf = append(r.buf, "! "+strings.ReplaceAll(m.Text, "\n", " ")+"\n"...)
		}
	case event.Finished:
		if _, err := os.Stat(r.path); errors.Is(err, fs.ErrNotExist) {
			return errors.Join(fmt.Errorf("%s was deleted while this run wrote to it", r.path), r.file.Close())
		}
		return r.file.Close()
	}
	if len(r.buf) == 0 {
		return nil
	}
	if _, err := r.file.Write(r.buf); err != nil {
		return errors.Join(report.Unwritable(r.path, err), r.file.Close())
	}
	return nil
}

func (r *Reporter) lines(e event.Lines) {
	prefix := report.Prefix(e.Stream, r.started)
	for _, l := range e.Lines {
		for text := range strings.SplitSeq(report.Plain(l.Text), "\n") {
			r.buf = append(l.At.UTC().AppendFormat(r.buf, report.TimeFormat), ' ')
			r.buf = append(r.buf, prefix...)
			r.buf = append(append(r.buf, text...), '\n')
		}
	}
}
