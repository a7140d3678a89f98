package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// seam is how much of a line is read again with its continuation: more than the longest form of a secret, each byte of it escaped.
const seam = 4 << 10

// border is where untrusted text becomes text for the sinks: cleaned, then masked. Not the other way round: cleaning joins what an escape
// sequence had split.
type border struct {
	mask  mask
	seams map[event.Stream]string // the end of a line that goes on
}

// text is a message of ours that quotes others, or an answer of theirs. It may have several lines.
func (b *border) text(s string) string { return b.mask.hide(Plain(s)) }

// name names an object, in one line. It stays as it is when Kubernetes could have given the name, because scripts need it.
func (b *border) name(s string) string {
	s = strings.ReplaceAll(Plain(s), "\n", " ")
	if event.IsName(s) {
		return s
	}
	return b.mask.hide(s)
}

// texts are texts, each for itself.
func (b *border) texts(lines []string) []string {
	lines = slices.Clone(lines)
	for i, line := range lines {
		lines[i] = b.text(line)
	}
	return lines
}

// result is what the containers gave as their result. In an array, the escapes of JSON would hide from the border what each text is.
func (b *border) result(s string) string {
	var all []*string
	if err := json.Unmarshal([]byte(s), &all); err != nil {
		return b.text(s)
	}
	changed := false
	for i, one := range all {
		if one != nil {
			text := b.text(*one)
			all[i], changed = &text, changed || text != *one
		}
	}
	if changed {
		if masked, err := json.Marshal(all); err == nil {
			s = string(masked)
		}
	}
	return b.text(s)
}

// word is a text in one line.
func (b *border) word(s string) string { return strings.ReplaceAll(b.text(s), "\n", " ") }

// line is a line of a container. Its colours stay.
func (b *border) line(s *event.Stream, l event.Line) string {
	text := Clean(l.Text)
	var before string
	if len(b.seams) > 0 {
		before = b.seams[*s]
		delete(b.seams, *s)
	}
	if !l.More && before == "" {
		return b.mask.hide(text)
	}
	whole := before + text
	if l.More {
		if b.seams == nil {
			b.seams = map[event.Stream]string{}
		}
		b.seams[*s] = strings.Clone(whole[max(0, len(whole)-seam):])
	}
	return b.mask.hideFrom(whole, len(before), l.More)
}

func (b *border) ref(r event.Ref) event.Ref {
	return event.Ref{Kind: b.name(r.Kind), Namespace: b.name(r.Namespace), Name: b.name(r.Name)}
}

func (b *border) stream(s *event.Stream) *event.Stream {
	if s == nil {
		return nil
	}
	c := *s
	c.Namespace, c.Pod, c.PodUID, c.Container, c.ContainerID = b.name(s.Namespace), b.name(s.Pod), b.name(s.PodUID), b.name(s.Container), b.name(s.ContainerID)
	c.Kind = event.ContainerKind(b.name(string(s.Kind)))
	if c == *s {
		return s
	}
	return &c
}

func (b *border) cause(c event.Cause) event.Cause {
	c.Reason, c.Object, c.Container = event.Reason(b.word(string(c.Reason))), b.ref(c.Object), b.name(c.Container)
	c.Message, c.Hint = b.text(c.Message), b.text(c.Hint)
	if c.Err != nil {
		c.Err = errors.New(b.text(c.Err.Error()))
	}
	return c
}

// event is e with every text as the sinks may show it. What e shares with others is copied before it is changed.
func (b *border) event(e event.Event) event.Event {
	switch e := e.(type) {
	case event.Lines:
		lines := e.Lines
		for i, l := range e.Lines {
			t := b.line(e.Stream, l)
			if t == l.Text { // nearly always the same pointer, so no bytes are compared
				continue
			}
			if &lines[0] == &e.Lines[0] {
				lines = slices.Clone(e.Lines)
			}
			lines[i].Text = t
		}
		e.Lines, e.Stream = lines, b.stream(e.Stream)
		return e
	case event.Gap:
		e.Stream, e.Why = b.stream(e.Stream), b.text(e.Why)
		return e
	case event.Started:
		e.Job, e.UID, e.Cluster, e.Context = b.ref(e.Job), b.name(e.UID), b.word(e.Cluster), b.word(e.Context)
		return e
	case event.Object:
		e.Object, e.Action, e.Detail, e.UID = b.ref(e.Object), b.name(e.Action), b.text(e.Detail), b.name(e.UID)
		return e
	case event.Attempt:
		e.Pod, e.Message = b.name(e.Pod), b.text(e.Message)
		return e
	case event.Progress:
		e.Note, e.Waiting = b.text(e.Note), slices.Clone(e.Waiting)
		for i := range e.Waiting {
			e.Waiting[i].For = b.word(e.Waiting[i].For)
		}
		return e
	case event.Notice:
		e.Level, e.Key, e.Message, e.Hint = event.Level(b.name(string(e.Level))), b.name(e.Key), b.text(e.Message), b.text(e.Hint)
		return e
	case event.Finding:
		e.Level, e.File, e.Path = event.Level(b.name(string(e.Level))), b.name(e.File), b.word(e.Path)
		e.Message, e.Suggestion = b.text(e.Message), b.text(e.Suggestion)
		return e
	case event.Finished:
		e.Outcome, e.Job, e.UID, e.FailedIndexes = event.Outcome(b.name(string(e.Outcome))), b.ref(e.Job), b.name(e.UID), b.word(e.FailedIndexes)
		e.Earlier = b.text(e.Earlier)
		if e.Cause != nil {
			c := b.cause(*e.Cause)
			e.Cause = &c
		}
		e.Pods, e.Tail, e.Trace, e.Warnings, e.Events = slices.Clone(e.Pods), b.texts(e.Tail), b.texts(e.Trace), slices.Clone(e.Warnings), slices.Clone(e.Events)
		for i, p := range e.Pods {
			e.Pods[i].Name, e.Pods[i].Node, e.Pods[i].Phase, e.Pods[i].Reason = b.name(p.Name), b.name(p.Node), b.name(p.Phase), b.word(p.Reason)
			e.Pods[i].Container, e.Pods[i].Message, e.Pods[i].Tail = b.name(p.Container), b.text(p.Message), b.texts(p.Tail)
		}
		for i, w := range e.Warnings {
			e.Warnings[i] = b.cause(w)
		}
		for i, p := range e.Events {
			e.Events[i].Object, e.Events[i].Type, e.Events[i].Reason, e.Events[i].Message = b.ref(p.Object), b.word(p.Type), b.word(p.Reason), b.text(p.Message)
		}
		if e.Result != nil {
			result := b.result(*e.Result)
			e.Result = &result
		}
		return e
	}
	panic(fmt.Sprintf("a %T does not come over the border", e))
}
