// Package result writes how a run ended to a file of JSON, for programs. docs/result.schema.json describes it.
package result

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// Version is that of the schema. It changes when a field goes away or means something else, and not when one is added.
const Version = 1

// Limits of parts, in bytes. All of them together keep the file below 16 MiB, whatever the Job's size.
const (
	maxText   = 64 << 10  // a message, the last lines of a container
	maxResult = 256 << 10 // as that of the output
	maxPods   = 8 << 20
	maxEvents = 2 << 20
	maxCauses = 1 << 20
)

// Result is the content of the file. A program that reads it finds no status before the run has ended.
type Result struct {
	Version       int        `json:"version"`
	Job           *object    `json:"job,omitempty"`
	UID           string     `json:"uid,omitempty"`
	Status        string     `json:"status,omitempty"`
	ExitCode      *int32     `json:"exitCode,omitempty"`
	Cause         *cause     `json:"cause,omitempty"`
	Earlier       string     `json:"earlier,omitempty"`
	Result        *string    `json:"result,omitempty"`
	Attempts      int        `json:"attempts"`
	Succeeded     int        `json:"succeeded"`
	Failed        int        `json:"failed"`
	FailedIndexes string     `json:"failedIndexes,omitempty"`
	StartedAt     *time.Time `json:"startedAt,omitempty"`
	CompletedAt   *time.Time `json:"completedAt,omitempty"`
	Duration      *float64   `json:"durationSeconds,omitempty"`
	Times         *times     `json:"times,omitempty"`
	Tail          []string   `json:"tail,omitempty"`
	Pods          []pod      `json:"pods"`
	Warnings      []cause    `json:"warnings"`
	Events        []past     `json:"events"`
	LeftOut       *leftOut   `json:"leftOut,omitempty"`
}

type object struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

type cause struct {
	Reason    string  `json:"reason"`
	Message   string  `json:"message"`
	Hint      string  `json:"hint,omitempty"`
	Object    *object `json:"object,omitempty"`
	Container string  `json:"container,omitempty"`
	ExitCode  *int32  `json:"exitCode,omitempty"`
}

// times are the parts of a time in seconds, as event.Times has them.
type times struct {
	Queue float64 `json:"queueSeconds"`
	Node  float64 `json:"nodeSeconds"`
	Pull  float64 `json:"pullSeconds"`
	Init  float64 `json:"initSeconds"`
	Run   float64 `json:"runSeconds"`
	End   float64 `json:"endSeconds"`
}

type pod struct {
	event.PodResult
	Attempt   int        `json:"attempt,omitempty"`
	CreatedAt *time.Time `json:"createdAt,omitempty"`
	Times     *times     `json:"times,omitempty"`
	Container string     `json:"container,omitempty"`
	Message   string     `json:"message,omitempty"`
	Tail      []string   `json:"tail,omitempty"`
}

type past struct {
	At      *time.Time `json:"at,omitempty"`
	Object  *object    `json:"object"`
	Type    string     `json:"type"`
	Reason  string     `json:"reason"`
	Message string     `json:"message"`
	Count   int        `json:"count"`
}

type leftOut struct {
	Pods     int `json:"pods,omitempty"`
	Warnings int `json:"warnings,omitempty"`
	Events   int `json:"events,omitempty"`
}

// New makes a Sink that writes the file path: the Job's name as soon as it exists, and everything at the end. tell gets a notice about what
// had no room.
func New(path string, tell func(event.Event) error) *report.Document {
	return report.NewDocument(path, content, tell)
}

func content(e event.Event) (content []byte, note string) {
	var r Result
	switch e := e.(type) {
	case event.Started:
		r = Result{Version: Version, Job: ref(e.Job), UID: e.UID, Pods: []pod{}, Warnings: []cause{}, Events: []past{}}
	case event.Finished:
		r = finished(e)
	default:
		return nil, ""
	}
	if l := r.LeftOut; l != nil {
		note = fmt.Sprintf("the result file has no room for %d pods, %d warnings and %d events", l.Pods, l.Warnings, l.Events)
	}
	return append(marshal(r, "  "), '\n'), note
}

func finished(f event.Finished) Result {
	r := Result{Version: Version, Job: ref(f.Job), UID: f.UID, Status: string(f.Outcome), Attempts: f.Attempts, Succeeded: f.Succeeded, Failed: f.Failed,
		FailedIndexes: f.FailedIndexes, StartedAt: moment(&f.StartedAt), CompletedAt: moment(&f.CompletedAt), Times: parts(f.Times), Tail: tail(f.Tail), Result: short(f.Result), Earlier: event.Shorten(f.Earlier, maxText)}
	if f.Outcome == event.Succeeded {
		r.ExitCode = new(int32)
	}
	if f.Cause != nil {
		c := because(*f.Cause)
		r.Cause, r.ExitCode = &c, c.ExitCode
	}
	if f.Duration > 0 || r.CompletedAt != nil {
		took := seconds(f.Duration)
		r.Duration = &took
	}
	var left leftOut
	pods := make([]pod, 0, len(f.Pods))
	for _, p := range report.FailedFirst(f.Pods) {
		one := pod{PodResult: p, Attempt: p.Attempt, CreatedAt: moment(p.CreatedAt), Times: parts(p.Times), Container: p.Container, Message: event.Shorten(p.Message, maxText), Tail: tail(p.Tail)}
		one.StartedAt, one.EndedAt = moment(p.StartedAt), moment(p.EndedAt)
		pods = append(pods, one)
	}
	r.Pods, left.Pods = fitting(pods, maxPods)
	warnings := make([]cause, 0, len(f.Warnings))
	for _, w := range f.Warnings {
		warnings = append(warnings, because(w))
	}
	r.Warnings, left.Warnings = fitting(warnings, maxCauses)
	events := make([]past, 0, len(f.Events))
	for _, e := range f.Events {
		events = append(events, past{moment(&e.At), ref(e.Object), e.Type, e.Reason, event.Shorten(e.Message, maxText), e.Count})
	}
	r.Events, left.Events = fitting(events, maxEvents)
	if left != (leftOut{}) {
		r.LeftOut = &left
	}
	return r
}

// fitting are the first of all whose JSON fits into limit bytes, and how many others there are.
func fitting[T any](all []T, limit int) (fit []T, left int) {
	size := 0
	for i, one := range all {
		if size += len(marshal(one, "")); size > limit {
			return all[:i], len(all) - i
		}
	}
	return all, 0
}

// marshal writes JSON with the characters of HTML as they are: nobody reads the file as HTML.
func marshal(v any, indent string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		panic(err) // moment keeps out the one thing that JSON has no words for
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

func ref(r event.Ref) *object {
	if r == (event.Ref{}) {
		return nil
	}
	return &object{r.Kind, r.Namespace, r.Name}
}

func because(c event.Cause) cause {
	return cause{string(c.Reason), event.Shorten(c.Message, maxText), event.Shorten(c.Hint, maxText), ref(c.Object), c.Container, c.ExitCode}
}

func parts(t event.Times) *times {
	if t == (event.Times{}) {
		return nil
	}
	return &times{seconds(t.Queue), seconds(t.Node), seconds(t.Pull), seconds(t.Init), seconds(t.Run), seconds(t.End)}
}

// seconds has three digits behind the point at most; time.Duration.Seconds adds up two floats, and gives 12.806000000000001.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}

// moment is a time in UTC; nil when it is unknown, or beyond what RFC 3339 can say.
func moment(t *time.Time) *time.Time {
	if t == nil || t.IsZero() {
		return nil
	}
	utc := t.UTC()
	if y := utc.Year(); y < 0 || y > 9999 {
		return nil
	}
	return &utc
}

// tail are the last of the lines, as many as fit.
func tail(lines []string) []string {
	size := 0
	for i := len(lines) - 1; i >= 0; i-- {
		if size += len(lines[i]); size > maxText {
			return lines[i+1:]
		}
	}
	return lines
}

func short(s *string) *string {
	if s == nil {
		return nil
	}
	cut := event.Shorten(*s, maxResult)
	return &cut
}
