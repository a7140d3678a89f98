// Package json reports a run as JSON lines: one object for each event, for programs that read along. docs/events.schema.json describes them.
// Standard output holds nothing else.
package json

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// version is that of the schema. It grows when a reader of the version before would misread a line; what is only added does not count.
const version = 1

// Reporter is a report.Sink. It belongs to one goroutine.
type Reporter struct {
	out io.Writer
	now func() time.Time
}

// New makes a Reporter that writes each event to out at once.
func New(out io.Writer) *Reporter { return &Reporter{out, time.Now} }

// Event writes e. The error is that of the write.
func (r *Reporter) Event(e event.Event) error {
	line, err := Encode(e, r.now())
	if err != nil {
		return err
	}
	_, err = r.out.Write(line)
	return err
}

// header begins each line.
type header struct {
	Version int       `json:"version"` // of the schema
	At      time.Time `json:"at"`      // when it was told, by the clock of the machine that the run is on
	Event   string    `json:"event"`   // what happened
}

// Limits of the parts of a finished run, in bytes. All of them together keep its line below 16 MiB, whatever the Job's size.
const (
	maxText     = 64 << 10 // a message, the last lines of a container
	maxPods     = 8 << 20
	maxWarnings = 1 << 20
	maxEvents   = 2 << 20
)

// Encode is the line of an event that is told at a time, with its newline. No CI system finds a command in it: those begin a line, need a control
// character, or begin with a hash, which is written as an escape.
func Encode(e event.Event, at time.Time) ([]byte, error) {
	h := header{Version: version, At: utc(at)}
	var v any
	switch e := e.(type) {
	case event.Started:
		h.Event, e.CreatedAt = "started", utc(e.CreatedAt)
		v = started{h, e}
	case event.Object:
		h.Event = "object"
		v = object{h, e}
	case event.Attempt:
		h.Event = "attempt"
		v = attempt{h, e, indexed(e.Index)}
	case event.Progress:
		h.Event = "progress"
		p := progress{header: h, Progress: e, Elapsed: e.Elapsed.Seconds()}
		for _, w := range e.Waiting {
			p.Waiting = append(p.Waiting, waiting{w, w.Long.Seconds()})
		}
		v = p
	case event.Notice:
		h.Event = "notice"
		v = notice{h, e}
	case event.Finding:
		h.Event = "finding"
		v = finding{h, e}
	case event.Lines:
		h.Event = "lines"
		l := lines{header: h, Stream: newStream(e.Stream), Lines: make([]event.Line, len(e.Lines))}
		for i, one := range e.Lines {
			one.At = utc(one.At)
			l.Lines[i] = one
		}
		v = l
	case event.Gap:
		h.Event, e.After, e.Until = "gap", utc(e.After), utc(e.Until)
		v = gap{h, e, newStream(e.Stream)}
	case event.Finished:
		h.Event = "finished"
		v = newFinished(h, e)
	default:
		return nil, fmt.Errorf("a %T has no line", e)
	}
	line, err := marshal(v)
	return bytes.ReplaceAll(line, []byte("#"), []byte(`\u0023`)), err
}

// marshal writes the characters of HTML as they are: nobody reads this as HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// Decode reads a line back. What is lost is the text of Cause.Err, the difference between an empty list and none, and what is beyond a limit.
func Decode(line []byte) (event.Event, error) {
	var h header
	if err := json.Unmarshal(line, &h); err != nil {
		return nil, err
	}
	if h.Version != version {
		return nil, fmt.Errorf("a line of version %d, which is not %d", h.Version, version)
	}
	switch h.Event {
	case "started":
		var v started
		err := json.Unmarshal(line, &v)
		return v.Started, err
	case "object":
		var v object
		err := json.Unmarshal(line, &v)
		return v.Object, err
	case "attempt":
		var v attempt
		err := json.Unmarshal(line, &v)
		v.Attempt.Index = index(v.Index)
		return v.Attempt, err
	case "progress":
		var v progress
		err := json.Unmarshal(line, &v)
		v.Progress.Elapsed = duration(v.Elapsed)
		for _, w := range v.Waiting {
			w.Waiting.Long = duration(w.Long)
			v.Progress.Waiting = append(v.Progress.Waiting, w.Waiting)
		}
		return v.Progress, err
	case "notice":
		var v notice
		err := json.Unmarshal(line, &v)
		return v.Notice, err
	case "finding":
		var v finding
		err := json.Unmarshal(line, &v)
		return v.Finding, err
	case "lines":
		var v lines
		err := json.Unmarshal(line, &v)
		return event.Lines{Stream: v.Stream.event(), Lines: v.Lines}, err
	case "gap":
		var v gap
		err := json.Unmarshal(line, &v)
		v.Gap.Stream = v.Stream.event()
		return v.Gap, err
	case "finished":
		var v finished
		err := json.Unmarshal(line, &v)
		return v.event(), err
	}
	return nil, fmt.Errorf("an event %q, which is not known", h.Event)
}

// What lines hold: the event, and in the place of some of its fields those that JSON can write.
type (
	started struct {
		header
		event.Started
	}
	object struct {
		header
		event.Object
	}
	attempt struct {
		header
		event.Attempt
		Index *int `json:"index,omitempty"` // completion index of an Indexed Job
	}
	progress struct {
		header
		event.Progress
		Waiting []waiting `json:"waiting,omitempty"`
		Elapsed float64   `json:"elapsedSeconds"` // since the following began
	}
	waiting struct {
		event.Waiting
		Long float64 `json:"seconds"`
	}
	notice struct {
		header
		event.Notice
	}
	finding struct {
		header
		event.Finding
	}
	lines struct {
		header
		Stream *stream      `json:"stream"`
		Lines  []event.Line `json:"lines"`
	}
	gap struct {
		header
		event.Gap
		Stream *stream `json:"stream"`
	}
	finished struct {
		header
		event.Finished
		ExitCode *int32   `json:"exitCode,omitempty"` // of the container that decided the outcome: 0 after success, absent when no container did
		Duration float64  `json:"durationSeconds"`
		Times    times    `json:"times"`
		Pods     []pod    `json:"pods"`
		LeftOut  *leftOut `json:"leftOut,omitempty"` // how much had no room; failed pods are the last to go
	}
	leftOut struct {
		Pods     int `json:"pods,omitempty"`
		Warnings int `json:"warnings,omitempty"`
		Events   int `json:"events,omitempty"`
	}
	stream struct {
		event.Stream
		Index *int `json:"index,omitempty"` // completion index of an Indexed Job
	}
	pod struct {
		event.PodResult
		Attempt   int        `json:"attempt"`
		CreatedAt *time.Time `json:"createdAt,omitempty"`
		Times     times      `json:"times"`
		Container string     `json:"container,omitempty"`
		Message   string     `json:"message,omitempty"`
		Tail      []string   `json:"tail,omitempty"`
	}
	times struct {
		Queue float64 `json:"queueSeconds"`
		Node  float64 `json:"nodeSeconds"`
		Pull  float64 `json:"pullSeconds"`
		Init  float64 `json:"initSeconds"`
		Run   float64 `json:"runSeconds"`
		End   float64 `json:"endSeconds"`
	}
)

func newStream(s *event.Stream) *stream {
	if s == nil {
		return nil
	}
	return &stream{*s, indexed(s.Index)}
}

func (s *stream) event() *event.Stream {
	if s == nil {
		return nil
	}
	s.Stream.Index = index(s.Index)
	return &s.Stream
}

func newFinished(h header, e event.Finished) finished {
	var left leftOut
	e.StartedAt, e.CompletedAt, e.Tail, e.Earlier = utc(e.StartedAt), utc(e.CompletedAt), last(e.Tail), event.Shorten(e.Earlier, maxText)
	if e.Cause != nil {
		c := short(*e.Cause)
		e.Cause = &c
	}
	e.Warnings = slices.Clone(e.Warnings)
	for i, w := range e.Warnings {
		e.Warnings[i] = short(w)
	}
	e.Warnings, left.Warnings = fitting(e.Warnings, maxWarnings)
	e.Events = slices.Clone(e.Events)
	for i, p := range e.Events {
		e.Events[i].At, e.Events[i].Message = utc(p.At), event.Shorten(p.Message, maxText)
	}
	e.Events, left.Events = fitting(e.Events, maxEvents)
	f := finished{header: h, Finished: e, ExitCode: e.ExitCode(), Duration: e.Duration.Seconds(), Times: newTimes(e.Times)}
	if f.Pods, left.Pods = fitting(newPods(e.Pods), maxPods); left.Pods > 0 {
		f.Pods, _ = fitting(newPods(event.FailedFirst(e.Pods)), maxPods)
		left.Pods = len(e.Pods) - len(f.Pods)
	}
	if left != (leftOut{}) {
		f.LeftOut = &left
	}
	return f
}

func newPods(results []event.PodResult) []pod {
	pods := make([]pod, len(results))
	for i, p := range results {
		p.StartedAt, p.EndedAt = utcOf(p.StartedAt), utcOf(p.EndedAt)
		pods[i] = pod{p, p.Attempt, utcOf(p.CreatedAt), newTimes(p.Times), p.Container, event.Shorten(p.Message, maxText), last(p.Tail)}
	}
	return pods
}

// fitting are the first of all whose JSON fits into limit bytes, and how many others there are.
func fitting[T any](all []T, limit int) (fit []T, left int) {
	size := 0
	for i, one := range all {
		text, _ := marshal(one) // an error is met again with the whole line
		if size += len(text); size > limit {
			return all[:i], len(all) - i
		}
	}
	return all, 0
}

// last are the last of the lines, as many as fit.
func last(lines []string) []string {
	size := 0
	for i := len(lines) - 1; i >= 0; i-- {
		if size += len(lines[i]); size > maxText {
			return lines[i+1:]
		}
	}
	return lines
}

func short(c event.Cause) event.Cause {
	c.Message, c.Hint = event.Shorten(c.Message, maxText), event.Shorten(c.Hint, maxText)
	return c
}

func (f finished) event() event.Finished {
	e := f.Finished
	e.Duration, e.Times = duration(f.Duration), f.Times.event()
	for _, p := range f.Pods {
		r := p.PodResult
		r.Attempt, r.CreatedAt, r.Times, r.Container, r.Message, r.Tail = p.Attempt, p.CreatedAt, p.Times.event(), p.Container, p.Message, p.Tail
		e.Pods = append(e.Pods, r)
	}
	return e
}

func newTimes(t event.Times) times {
	return times{t.Queue.Seconds(), t.Node.Seconds(), t.Pull.Seconds(), t.Init.Seconds(), t.Run.Seconds(), t.End.Seconds()}
}

func (t times) event() event.Times {
	return event.Times{Queue: duration(t.Queue), Node: duration(t.Node), Pull: duration(t.Pull), Init: duration(t.Init), Run: duration(t.Run), End: duration(t.End)}
}

func duration(seconds float64) time.Duration {
	return time.Duration(math.Round(seconds * float64(time.Second)))
}

// indexed is a completion index as JSON has it: none in the place of -1.
func indexed(i int) *int {
	if i < 0 {
		return nil
	}
	return &i
}

func index(i *int) int {
	if i == nil {
		return -1
	}
	return *i
}

// utc is a time in UTC; none when RFC 3339 cannot write its year.
func utc(t time.Time) time.Time {
	if u := t.UTC(); u.Year() >= 0 && u.Year() < 10000 {
		return u
	}
	return time.Time{}
}

func utcOf(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := utc(*t)
	if u.IsZero() {
		return nil
	}
	return &u
}
