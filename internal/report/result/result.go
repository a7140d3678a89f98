// Package result writes how a run ended to a file, for programs: what `format: json` says in its line started as soon as the Job exists, and
// what it says in its line finished at the end. So docs/events.schema.json describes the file.
package result

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
	lines "github.com/planton/kubernetes-job-action/internal/report/json"
)

// New makes a Sink that writes the file path. What has no room is counted in the file, under leftOut.
func New(path string) *report.Document {
	return report.NewDocument(path, content, nil)
}

func content(e event.Event) (content []byte, note string) {
	switch e.(type) {
	case event.Started, event.Finished:
	default:
		return nil, ""
	}
	line, err := lines.Encode(e, time.Now())
	if err != nil {
		panic(err) // both events have a line, and JSON has words for all that is in it
	}
	var b bytes.Buffer
	if err := json.Indent(&b, line, "", "  "); err != nil {
		panic(err) // it is JSON
	}
	return b.Bytes(), ""
}
