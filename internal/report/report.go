// Package report turns the news of a run into output. It holds what every output protocol shares: the fan-out to several
// reporters, the mask over secret values, the words for each event, the prefix of a stream's lines, the cleaning of untrusted
// text, and the outputs. The protocols themselves are its subpackages.
package report

import (
	"errors"
	"fmt"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Options are the choices of the user about what is reported, and where.
type Options struct {
	Format     Format
	Timestamps bool   // each line of a container begins with the kubelet's time stamp, in UTC
	Summary    bool   // write the step summary, where there is one
	DotenvFile string // also write the outputs to this file; "" for none
}

// Format is the protocol of the log.
type Format string

// The formats.
const (
	FormatAuto   Format = "auto" // the one of the CI system that this runs in
	FormatGitHub Format = "github"
	FormatGitLab Format = "gitlab"
	FormatText   Format = "text"
)

// Sink takes the news of a run, one event at a time, in the order in which they happened. An error means that
// the event did not reach its reader.
type Sink interface {
	Event(event.Event) error
}

// masker is a Sink whose reader masks secrets too, in all that it shows. It gets them as single lines, and before they can
// occur in an event.
type masker interface {
	AddMasks(lines []string) error
}

// Fanout is a Sink that hands every event to several others, secrets masked.
type Fanout struct {
	sinks   []Sink
	mask    mask
	pending error // of AddSecrets
	broken  error // of the sinks that failed
}

// New makes a Fanout. The first sink is the log that the user reads during the run: its errors are those of the Fanout. Another sink
// that fails gets no more events; the others get a warning, and the error is returned with Finished. A file that cannot be written
// must neither stop the run nor hide how it ended. The first sink gets Finished last, so that the log ends with the outcome, below any
// trouble with the files.
func New(sinks ...Sink) *Fanout { return &Fanout{sinks: sinks} }

// AddSecrets adds values that no sink may see from now on. Wherever they occur they become ***: whole, line by line, in base64, and as
// JSON and URLs write them. Lines shorter than four characters and words such as true are not masked, because that would
// mangle everything else. Names of objects, pods and nodes are never masked: scripts need them.
//
// A sink that masks too gets only the credentials.
func (f *Fanout) AddSecrets(secrets ...event.Secret) {
	var lines []string
	for _, s := range secrets {
		if forms := f.mask.add(s.Value); s.Credential {
			lines = append(lines, forms...)
		}
	}
	if len(lines) == 0 {
		return
	}
	for _, s := range f.sinks {
		if m, ok := s.(masker); ok {
			f.pending = errors.Join(f.pending, m.AddMasks(lines))
		}
	}
}

// Event hands e to every sink.
func (f *Fanout) Event(e event.Event) error {
	e = f.mask.event(e)
	err := f.pending
	f.pending = nil
	_, last := e.(event.Finished)
	if !last {
		err = errors.Join(err, f.sinks[0].Event(e))
	}
	// A sink that fails is removed first, so the warning about it goes to the others.
	for i := 1; i < len(f.sinks); i++ {
		failed := f.sinks[i].Event(e)
		if failed == nil {
			continue
		}
		f.sinks = append(f.sinks[:i:i], f.sinks[i+1:]...)
		i--
		f.broken = errors.Join(f.broken, failed)
		warning := event.Notice{Level: event.Warning, Message: fmt.Sprintf("a report cannot be written: %v", failed)}
		others := f.sinks[:i+1]
		if last { // the others have ended already
			others = f.sinks[:1]
		}
		for _, s := range others {
			err = errors.Join(err, s.Event(warning))
		}
	}
	if last {
		err = errors.Join(err, f.sinks[0].Event(e), f.broken)
	}
	return err
}
