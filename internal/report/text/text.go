// Package text reports a run to a terminal, or to the log of a CI system without commands of its own.
package text

import (
	"io"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Options are the choices of the user.
type Options struct {
	Timestamps bool // each line of a container begins with its time
	Color      bool
}

// Reporter is a sink.
type Reporter struct{}

// New makes a Reporter.
func New(stdout, stderr io.Writer, o Options) *Reporter { return &Reporter{} }

// Event reports e.
func (r *Reporter) Event(e event.Event) error { return nil }
