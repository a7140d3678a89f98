// Package report turns the news of a run into output. It holds what every output protocol shares: the fan-out to several
// reporters, the secret mask, the prefix of a stream's lines, the cleaning of untrusted text, and the outputs.
package report

import "github.com/planton/kubernetes-job-action/internal/event"

// Sink takes the news of a run, one event at a time, in the order in which they happened.
type Sink interface {
	Event(event.Event) error
}

// Fanout hands every event to several sinks, secrets masked.
type Fanout struct{ sinks []Sink }

// New makes a Fanout.
func New(sinks ...Sink) *Fanout { return &Fanout{sinks: sinks} }

// AddSecrets adds values that no sink may see from now on.
func (f *Fanout) AddSecrets(values ...string) {}

// Event hands e on.
func (f *Fanout) Event(e event.Event) error { return nil }

// Output is one output of a run.
type Output struct{ Name, Value string }

// OutputDoc describes one output.
type OutputDoc struct{ Name, Description string }

// OutputDocs are all outputs, in the order in which they are shown.
var OutputDocs = []OutputDoc{}

// Outputs are the outputs of a run that ended so.
func Outputs(f event.Finished) []Output { return nil }

// Prefix is what the lines of a stream begin with.
func Prefix(s *event.Stream, started event.Started) string { return "" }
