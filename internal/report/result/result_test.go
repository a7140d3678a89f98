package result

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/report"
)

const schemaFile = "../../../docs/result.schema.json"

var (
	job     = event.Ref{Kind: "Job", Namespace: "batch-jobs", Name: "import"}
	at      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	code    = int32(3)
	started = event.Started{Job: job, UID: "0b1c", Pods: 2, Containers: 1, Indexed: true}
)

func pointer[T any](v T) *T { return &v }

// full is an end with everything that an end can have.
func full() event.Finished {
	times := event.Times{Queue: time.Second, Node: 2 * time.Second, Pull: 3500 * time.Millisecond, Init: 4 * time.Second, Run: 5 * time.Second, End: 6 * time.Millisecond}
	cause := event.Cause{Reason: event.FailedIndexes, Object: job, Container: "main", ExitCode: &code, Message: "index 1 failed: <no database> & no hope", Hint: "Look at the log."}
	return event.Finished{Outcome: event.Failed, Cause: &cause, Job: job, UID: "0b1c", Attempts: 3, Succeeded: 1, Failed: 2, FailedIndexes: "1",
		StartedAt: at, CompletedAt: at.Add(21500 * time.Millisecond), Duration: 21500 * time.Millisecond, Times: times, Result: pointer(`["a",null]`), Earlier: "has succeeded already",
		Tail: []string{"connecting", "panic: no database"},
		Pods: []event.PodResult{
			{Name: "import-0-x7k2p", Index: pointer(0), Node: "node-1", Phase: "Succeeded", ExitCode: pointer(int32(0)), StartedAt: pointer(at), EndedAt: pointer(at.Add(time.Second)), Attempt: 1, CreatedAt: pointer(at), Times: times},
			{Name: "import-1-b5c6d", Index: pointer(1), Node: "node-1", Phase: "Failed", Reason: "Error", ExitCode: &code, Restarts: 2, Attempt: 2, Container: "main", Message: "container main exited with code 3", Tail: []string{"panic: no database"}},
		},
		Warnings: []event.Cause{{Reason: event.OOMKilled, Message: "container proxy was OOM-killed", Hint: "Raise its limit."}},
		Events:   []event.Past{{At: at, Object: event.Ref{Kind: "Pod", Namespace: "batch-jobs", Name: "import-1-b5c6d"}, Type: "Warning", Reason: "BackOff", Message: "Back-off restarting failed container", Count: 3}},
	}
}

// written is the file after the events, as sinks get them, and what is told.
func written(t *testing.T, events ...event.Event) (text []byte, told []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "result.json")
	f := report.New(&keeper{&told}, New(path, (&keeper{&told}).Event))
	for _, e := range events {
		if err := f.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	valid(t, text)
	return text, told
}

type keeper struct{ notices *[]string }

func (k *keeper) Event(e event.Event) error {
	if n, ok := e.(event.Notice); ok {
		*k.notices = append(*k.notices, n.Message)
	}
	return nil
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// valid checks a file against the documented schema, which knows no other fields.
func valid(t *testing.T, text []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v:\n%.300s", err, text)
	}
	if err := compiled(t).Validate(v); err != nil {
		t.Errorf("%v:\n%.1000s", err, text)
	}
}

// What is in the file at each point of a run, in the golden files; all of it is what the schema says.
func TestGolden(t *testing.T) {
	for name, events := range map[string][]event.Event{
		"started": {event.Object{Object: job, Action: "created"}, started, event.Lines{}},
		"full":    {started, full()},
		"succeeded": {started, event.Finished{Outcome: event.Succeeded, Job: job, UID: "0b1c", Attempts: 1, Succeeded: 1, StartedAt: at, CompletedAt: at.Add(time.Second), Duration: time.Second,
			Pods: []event.PodResult{{Name: "import-x7k2p", Phase: "Succeeded"}}}},
		"earlier": {event.Finished{Outcome: event.Succeeded, Job: job, UID: "0b1c", Attempts: 1, Succeeded: 1, StartedAt: at, CompletedAt: at.Add(time.Second), Duration: time.Second,
			Earlier: "has succeeded already, at 2026-03-01T11:00:01Z (started by mona): nothing runs again"}},
		"refused": {event.Finished{Outcome: event.Failed, Cause: &event.Cause{Reason: event.InvalidManifest, Message: "fix this problem first; nothing was created"}}},
	} {
		t.Run(name, func(t *testing.T) {
			text, told := written(t, events...)
			golden.Compare(t, "testdata/"+name+".golden", string(text))
			if told != nil {
				t.Errorf("told %q", told)
			}
		})
	}
}

// Every field of the schema is one that the file can have.
func TestSchemaIsNotLarger(t *testing.T) {
	text, _ := written(t, started, full())
	if left := bytes.TrimSpace(text); len(left) == 0 {
		t.Fatal("nothing is written")
	}
	var schema struct {
		Properties map[string]struct{ Properties map[string]any }
		Defs       map[string]struct{ Properties map[string]any } `json:"$defs"`
	}
	source, err := os.ReadFile(schemaFile)
	if err == nil {
		err = json.Unmarshal(source, &schema)
	}
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Collect(maps.Keys(schema.Properties))
	for _, d := range schema.Defs {
		names = slices.AppendSeq(names, maps.Keys(d.Properties))
	}
	for _, name := range names {
		if name != "leftOut" && !bytes.Contains(text, []byte(`"`+name+`": `)) {
			t.Errorf("the schema has a field %s, and the fullest file does not", name)
		}
	}
}

// Whatever the Job's size, the file stays small, failed pods are the last to go, and what is not there is counted and told.
func TestLimits(t *testing.T) {
	f := full()
	long := strings.Repeat("\u2028<", 20_000)
	f.Cause.Message, f.Result, f.Tail = long, &long, []string{long, "last"}
	for i := range 300 {
		p := event.PodResult{Name: fmt.Sprintf("import-%d", i), Phase: "Succeeded", Reason: long, Tail: []string{long, strings.Repeat("x", 30000)}}
		if i%100 == 99 {
			p.Phase, p.Message = "Failed", long
		}
		f.Pods = append(f.Pods, p)
		f.Warnings = append(f.Warnings, event.Cause{Reason: event.Evicted, Message: long})
		f.Events = append(f.Events, event.Past{At: at, Reason: "x", Message: long, Object: job})
	}
	text, told := written(t, started, f)
	if len(text) > 16<<20 {
		t.Errorf("%d bytes", len(text))
	}
	var got Result
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Pods) < 4 || got.Pods[0].Phase != "Failed" || got.Pods[3].Phase != "Failed" || got.LeftOut == nil || got.LeftOut.Pods+len(got.Pods) != len(f.Pods) || got.LeftOut.Events+len(got.Events) != len(f.Events) {
		t.Errorf("%d pods, left out %+v", len(got.Pods), got.LeftOut)
	}
	if diff := cmp.Diff([]string{"last"}, got.Tail); diff != "" || len(got.Cause.Message) > maxText || len(*got.Result) > maxResult {
		t.Errorf("last lines %s; message of %d bytes", diff, len(got.Cause.Message))
	}
	if want := fmt.Sprintf("the result file has no room for %d pods,", got.LeftOut.Pods); len(told) != 1 || !strings.HasPrefix(told[0], want) {
		t.Errorf("told %.200q, want %q", told, want)
	}
}

// Nothing that a container or the cluster writes breaks the file, and no secret is in it.
func TestHostile(t *testing.T) {
	evil := "\x00\x1b[2J\r\n\"}],\"status\":\"succeeded\",\xff\ufffe</script>\u202e hunter2secret"
	f := full()
	f.Cause.Message, f.Cause.Hint, f.FailedIndexes, f.Result, f.Tail = evil, evil, evil, &evil, []string{evil}
	f.Job.Name, f.UID, f.Cause.Reason = evil, evil, event.Reason(evil)
	f.Pods[0].Node, f.Pods[0].Phase, f.Pods[0].Reason, f.Pods[0].Message, f.Pods[0].Tail = evil, evil, evil, evil, []string{evil}
	f.Events[0].Message, f.Events[0].Reason, f.Events[0].Type = evil, evil, evil
	f.StartedAt, f.CompletedAt, f.Pods[0].StartedAt = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), pointer(time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC))
	var told []string
	path := filepath.Join(t.TempDir(), "result.json")
	fan := report.New(&keeper{&told}, New(path, (&keeper{&told}).Event))
	fan.AddSecrets(event.Secret{Value: "hunter2secret"})
	if err := fan.Event(f); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	valid(t, text)
	var got Result
	if err := json.Unmarshal(text, &got); err != nil || got.Status != "failed" || got.StartedAt != nil {
		t.Errorf("%v: %+v", err, got)
	}
	if bytes.Contains(text, []byte("hunter2")) || bytes.ContainsAny(text, "\x00\x1b\r") {
		t.Errorf("the file holds %q", text)
	}
}
