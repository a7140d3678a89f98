// Package manifest reads what the user wrote: YAML or JSON from files, globs, standard input and inline text becomes
// documents that know where each of their fields stands.
package manifest

import (
	"io"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Source says what to read. Paths are resolved against Dir.
type Source struct {
	Paths      []string // each a file, a folder, a glob, or "-" for Stdin
	Content    string   // a manifest given as text; "" when there is none
	References []string // paths of resource manifests for valueFrom, as Paths
	Stdin      io.Reader
	Dir        string
	Confine    string   // when set, no path may lead out of this folder, by a symbolic link either
	Substitute []string // names whose ${NAME} is replaced in Paths and Content
	LookupEnv  func(string) (string, bool)
}

// Set is everything that was read.
type Set struct {
	Documents  []*Document // of Paths and Content, in order; a List is replaced by its items
	References []*Document // Documents and those of References: where a valueFrom may point
}

// Load reads a Source. Nothing to read gives an empty set.
func Load(s Source) (*Set, []event.Finding) { return &Set{}, nil }

// Workload is the one document that becomes the Job.
func (s *Set) Workload() (*Document, []event.Finding) { return nil, nil }

// Helpers are the documents beside the workload, in order.
func (s *Set) Helpers() []*Document { return nil }

// Closest is the one of known that word probably means, "" when none is near.
func Closest(word string, known []string) string { return "" }
