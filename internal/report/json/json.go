// Package json reports a run as JSON lines: one object for each event, for programs that read along. docs/events.schema.json describes them.
// Standard output holds nothing else.
package json

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
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

// Encode is the line of an event that is told at a time, with its newline. No CI system finds a command in it: those begin a line, need a control
// character, or begin with two hashes, which are written as escapes.
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
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(b.Bytes(), []byte("##"), []byte(`\u0023\u0023`)), nil
}

// Decode reads a line back. What is lost is the text of Cause.Err, and the difference between an empty list and none.
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
		Duration float64 `json:"durationSeconds"`
		Times    times   `json:"times"`
		Pods     []pod   `json:"pods"`
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
	e.StartedAt, e.CompletedAt = utc(e.StartedAt), utc(e.CompletedAt)
	past := make([]event.Past, len(e.Events))
	for i, p := range e.Events {
		p.At = utc(p.At)
		past[i] = p
	}
	e.Events = past
	f := finished{header: h, Finished: e, Duration: e.Duration.Seconds(), Times: newTimes(e.Times), Pods: make([]pod, len(e.Pods))}
	for i, p := range e.Pods {
		p.StartedAt, p.EndedAt = utcOf(p.StartedAt), utcOf(p.EndedAt)
		f.Pods[i] = pod{p, p.Attempt, utcOf(p.CreatedAt), newTimes(p.Times), p.Container, p.Message, p.Tail}
	}
	return f
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

// utc is a time in UTC, unless it has a year there that RFC 3339 cannot write.
func utc(t time.Time) time.Time {
	if u := t.UTC(); u.Year() >= 0 && u.Year() < 10000 {
		return u
	}
	return t
}

func utcOf(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := utc(*t)
	return &u
}
