package manifest

import "github.com/planton/kubernetes-job-action/internal/event"

// Position is a place in a file, counted from 1.
type Position struct {
	File         string
	Line, Column int
}

// Document is one object of a manifest.
type Document struct {
	File       string
	APIVersion string
	Kind       string
	Name       string
	Namespace  string
}

// Position is where the field at path stands, or its nearest ancestor that exists.
func (d *Document) Position(path string) Position { return Position{} }

// Has tells whether the document has a field at path.
func (d *Document) Has(path string) bool { return false }

// Finding is a finding about the field at path.
func (d *Document) Finding(level event.Level, path, message, suggestion string) event.Finding {
	return event.Finding{}
}

// Decode fills a Kubernetes API type strictly.
func (d *Document) Decode(into any) []event.Finding { return nil }

// Map is the document as JSON-like values.
func (d *Document) Map() map[string]any { return nil }
