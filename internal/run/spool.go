package run

import (
	"encoding/gob"
	"errors"
	"io"
	"os"

	"github.com/planton/kubernetes-job-action/internal/event"
)

func init() {
	gob.Register(event.Lines{})
	gob.Register(event.Gap{})
}

// spool keeps container output on disk until it is known whether it is wanted. The file has no name any more while it is
// used, so that nothing is left behind whatever happens.
type spool struct {
	file *os.File
	enc  *gob.Encoder
}

func (s *spool) add(e event.Event) error {
	if s.file == nil {
		f, err := os.CreateTemp("", "kubernetes-job-action-*")
		if err != nil {
			return err
		}
		os.Remove(f.Name())
		s.file, s.enc = f, gob.NewEncoder(f)
	}
	return s.enc.Encode(&e)
}

func (s *spool) replay(emit func(event.Event)) error {
	if s.file == nil {
		return nil
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	dec := gob.NewDecoder(s.file)
	for {
		var e event.Event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		emit(e)
	}
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
	}
}
