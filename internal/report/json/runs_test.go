package json_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/planton/kubernetes-job-action/internal/recorded"
	lines "github.com/planton/kubernetes-job-action/internal/report/json"
)

// TestRuns: what the program said in recorded runs is what the published schema says, and what it says again when they are told again.
func TestRuns(t *testing.T) {
	schema, err := os.Open("../../../docs/events.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer schema.Close()
	doc, err := jsonschema.UnmarshalJSON(schema)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("events", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("events")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, run := range recorded.Runs(t) {
		for i, line := range run.Lines {
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
			if err != nil {
				t.Fatalf("%s: %v", run.Name, err)
			}
			if err := compiled.Validate(value); err != nil {
				t.Errorf("%s: %s\n%v", run.Name, line, err)
			}
			var told struct {
				At    time.Time `json:"at"`
				Event string    `json:"event"`
			}
			if err := json.Unmarshal(line, &told); err != nil {
				t.Fatal(err)
			}
			seen[told.Event] = true
			if again, err := lines.Encode(run.Events[i], told.At); err != nil || string(again) != string(line) {
				t.Errorf("%s: %v\n%s becomes\n%s", run.Name, err, line, again)
			}
		}
	}
	for _, kind := range []string{"started", "object", "attempt", "progress", "notice", "finding", "lines", "gap", "finished"} {
		if !seen[kind] {
			t.Errorf("no run has the event %q", kind)
		}
	}
}
