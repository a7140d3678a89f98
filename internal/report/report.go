// Package report turns the news of a run into output. It holds what every output protocol shares: the fan-out to several
// reporters, the mask over secret values, the words for each event, the prefix of a stream's lines, the cleaning of untrusted
// text, and the outputs. The protocols themselves are its subpackages.
package report

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Options are the choices of the user about what is reported, and where.
type Options struct {
	Format     Format
	Timestamps bool   // each line of a container begins with the kubelet's time stamp, in UTC
	Summary    bool   // write the step summary, where there is one
	DotenvFile string // also write the outputs to this file; "" for none
	ResultFile string // also write how the run ended to this file, as JSON; "" for none
	JUnitFile  string // the same as a report of tests; "" for none
	LogFile    string // also write the lines of the containers to this file; "" for none
	// Where files of containers are in the workspace, for annotations on them: "/app=services/api", an absolute path and one from the root of the workspace.
	PathMap []string
	Dir     string // where relative paths of files in findings begin; "" for the root of the workspace
}

// KeptBuffer is how much of a sink's buffer may stay after a large batch, in bytes.
const KeptBuffer = 1 << 20

// maxNames is how many secrets are named in one sentence.
const maxNames = 10

// Format is the protocol of the log.
type Format string

// The formats.
const (
	FormatAuto      Format = "auto" // the one of the CI system that this runs in
	FormatGitHub    Format = "github"
	FormatGitLab    Format = "gitlab"
	FormatBuildkite Format = "buildkite"
	FormatAzure     Format = "azure"
	FormatText      Format = "text"
	FormatJSON      Format = "json" // docs/events.schema.json
)

// Sink takes the news of a run, one event at a time, in the order in which they happened. An error means that
// the event did not reach its reader.
type Sink interface {
	Event(event.Event) error
}

// masker is a Sink whose reader masks secrets too, in all that it shows. It gets them as single lines.
type masker interface {
	AddMasks(lines []string) error
}

// Fanout is a Sink that hands every event to several others. It is the border for untrusted text: whatever a text of an event holds, the
// sinks get it clean (Clean for lines of containers, Plain for all else), and with secrets masked.
type Fanout struct {
	sinks   []Sink
	border  border
	unnamed []string // masks for the sinks that may be a part of the Job's name or namespace, which are not known yet
	job     *event.Ref
	missed  []string // names of secrets that cannot be masked, not told yet
	words   []string // names of secrets that are ordinary words, not told yet
	told    map[string]bool
	full    bool  // it was told that there are too many secrets
	pending error // of AddSecrets
	broken  error // of the sinks that failed
}

// New makes a Fanout. The first sink is the log that the user reads during the run: its errors are those of the Fanout. Another sink
// that fails gets no more events; the others get a warning, and the error is returned with Finished. A file that cannot be written
// must neither stop the run nor hide how it ended. The first sink gets Finished last, so that the log ends with the outcome, below any
// trouble with the files.
func New(sinks ...Sink) *Fanout { return &Fanout{sinks: sinks} }

// AddSecrets adds values that no sink may see from now on. Wherever they occur they become ***: whole, line by line, in base64, and with
// the escapes of URLs, JSON, XML, shells and most programming languages; so do the password in a URL and the texts in a JSON document.
// Lines shorter than four characters and words such as true are not masked, because that would mangle everything else: a warning
// names the secret. Names that Kubernetes could have given are never masked where they stand alone: scripts need them.
//
// A sink that masks too gets only the credentials, because its reader hides them in what other programs print as well, and GitHub's
// runner drops every output that contains one. So it gets no line that stands in the Job's name or namespace (with which the names of pods begin)
// or among our own words: a credential that equals the name of the Job is hidden by our mask alone, and in texts alone.
func (f *Fanout) AddSecrets(secrets ...event.Secret) {
	var masks []string
	for _, s := range secrets {
		lines, whole := f.border.mask.add(s.Value, s.Whole)
		if name := cmp.Or(s.Name, "a secret"); !whole && !f.told[name] {
			f.tell(name)
			if len(lines) > 0 {
				name += " (some of its lines)"
			}
			f.missed = append(f.missed, name)
		} else if whole && s.Word && !f.told[name] {
			f.tell(name)
			f.words = append(f.words, name)
		}
		if s.Credential {
			masks = append(masks, lines...)
		}
	}
	f.addMasks(masks)
}

// tell notes that a secret was named.
func (f *Fanout) tell(name string) {
	if f.told == nil {
		f.told = map[string]bool{}
	}
	f.told[name] = true
}

// some are the first few of many names.
func some(names []string) string {
	if more := len(names) - maxNames; more > 0 {
		names = append(names[:maxNames:maxNames], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// addMasks gives masks to the sinks that mask too. What may be a part of a name waits until the Job has one.
func (f *Fanout) addMasks(masks []string) {
	var fit []string
	for _, line := range masks {
		switch {
		case strings.Contains(ours(), line):
		case strings.Trim(line, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "":
			fit = append(fit, line)
		case f.job == nil:
			f.unnamed = append(f.unnamed, line)
		case !strings.Contains(f.job.Name, line) && !strings.Contains(f.job.Namespace, line):
			fit = append(fit, line)
		}
	}
	if len(fit) == 0 {
		return
	}
	for _, s := range f.sinks {
		if m, ok := s.(masker); ok {
			f.pending = errors.Join(f.pending, m.AddMasks(fit))
		}
	}
}

// Named tells the Job before it is Started, for commands that do not start it. See AddSecrets.
func (f *Fanout) Named(job event.Ref) {
	f.job = &job
	f.addMasks(f.unnamed)
	f.unnamed = nil
}

// Mask masks a text that no sink gets.
func (f *Fanout) Mask(text string) string { return f.border.mask.hide(text) }

// Event hands e to every sink.
func (f *Fanout) Event(e event.Event) error {
	e = f.border.event(e)
	if s, ok := e.(event.Started); ok {
		f.Named(s.Job)
	}
	err := f.pending
	f.pending = nil
	if n := f.notice(); n.Message != "" {
		err = errors.Join(err, f.hand(n))
	}
	return errors.Join(err, f.hand(e))
}

// notice tells once which secrets may be seen.
func (f *Fanout) notice() (n event.Notice) {
	n.Level = event.Warning
	if len(f.missed) > 0 {
		n.Message = "too short or too common to be masked, and so not hidden: " + some(f.missed)
		f.missed = nil
	}
	if len(f.words) > 0 {
		n.Message = strings.TrimPrefix(n.Message+"; masked wherever they stand, although they look like ordinary words: "+some(f.words), "; ")
		n.Hint = "What is no secret belongs into a ConfigMap."
		f.words = nil
	}
	if f.border.mask.full && !f.full {
		f.full = true
		n.Message = strings.TrimPrefix(n.Message+"; the secrets are so large together that not all of them are masked in base64 and quotes", "; ")
	}
	n.Message = f.border.text(n.Message)
	return n
}

// hand hands e to every sink as it is.
func (f *Fanout) hand(e event.Event) (err error) {
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
		warning := event.Notice{Level: event.Warning, Message: f.border.text(fmt.Sprintf("a report cannot be written: %v", failed))}
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
