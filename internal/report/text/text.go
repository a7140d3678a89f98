// Package text reports a run to a terminal, or to the log of a CI system. Standard output holds what the containers wrote and
// nothing else, so that it can be piped; everything of ours goes to standard error. In the logs of GitLab, Buildkite and Azure Pipelines, both are one.
package text

import (
	"io"
	"strings"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// Reporter is a report.Sink. It belongs to one goroutine.
type Reporter struct {
	stdout, stderr io.Writer
	commands       report.Commands
	bracket        report.Bracket // around lines of containers, for a system that obeys it
	options        report.Options
	color          bool
	started        event.Started
	streamed       bool    // a line of a container was shown
	section        string  // the name of the section that is open; "" without one
	status         *status // nil without a status line
	now            func() time.Time
	frame          []byte // buf with the status line around it
	buf            []byte // what one event writes: one system call for a whole batch of lines
}

// New makes a Reporter. The lines of the containers go to stdout, all else to stderr; neither is buffered beyond one event.
// color is for a reader that shows colours. FormatGitLab, FormatBuildkite and FormatAzure add sections; give them the same writer twice: in what order
// a CI system reads two is not known, and a line of a container must not end up in a section of ours. getenv names the CI system that
// reads the log, whatever the format is.
func New(stdout, stderr io.Writer, getenv func(string) string, o report.Options, color bool) *Reporter {
	return &Reporter{stdout: stdout, stderr: stderr, commands: report.NewCommands(getenv, o.Format), options: o, color: color, now: time.Now}
}

// Event reports e. The error is that of a write.
func (r *Reporter) Event(e event.Event) error {
	if cap(r.buf) > report.KeptBuffer {
		r.buf = nil
	}
	r.buf = r.buf[:0]
	out := r.stderr
	switch _, object := e.(event.Object); {
	case !object:
		r.endSection("The run")
	case r.started.UID == "" && r.section == "": // what is made before the Job is followed
		r.startSection("kubernetes_job_objects", "Objects in the cluster")
	}
	switch e := e.(type) {
	case event.Lines:
		out = r.stdout
		r.lines(e)
	case event.Finished:
		if resume := r.bracket.Resume(nil); resume != nil {
			if _, err := r.stdout.Write(resume); err != nil {
				return err
			}
		}
		r.finished(e)
	default:
		if s, ok := e.(event.Started); ok {
			r.started = s
			if r.options.Format == report.FormatAzure {
				r.variables(report.Known(s.Job, s.UID))
			}
		}
		if p, ok := e.(event.Progress); ok && r.status != nil {
			r.status.progress = &p
		} else if m, ok := report.Say(e); ok && m.Level != event.Debug {
			r.say(m)
		}
	}
	return r.write(out, e)
}

// write writes buf, with the status line taken away before it and drawn again behind it, by one system call: nobody sees the terminal without it.
func (r *Reporter) write(out io.Writer, e event.Event) error {
	_, lines := e.(event.Lines)
	_, progress := e.(event.Progress)
	_, last := e.(event.Finished)
	shown := r.status != nil && (!lines || r.status.both)
	if len(r.buf) == 0 && !(shown && progress) {
		return nil
	}
	if !shown {
		_, err := out.Write(r.buf)
		return err
	}
	if cap(r.frame) > report.KeptBuffer {
		r.frame = nil
	}
	r.frame = append(r.status.erase(r.frame[:0]), r.buf...)
	if last {
		r.status = nil
	} else {
		r.frame = r.status.draw(r.frame, r.color)
	}
	_, err := out.Write(r.frame)
	return err
}

func (r *Reporter) lines(e event.Lines) {
	r.streamed = true
	prefix := r.commands.Text(report.Prefix(e.Stream, r.started))
	if r.commands.Stop {
		r.buf = r.bracket.Stop(r.buf)
	}
	disarm := r.commands.Text
	if prefix == "" && !r.options.Timestamps && !r.commands.Stop {
		disarm = r.commands.Line
	}
	for _, l := range e.Lines {
		for text := range strings.SplitSeq(l.Text, "\n") {
			if r.options.Timestamps {
				r.buf = append(l.At.UTC().AppendFormat(r.buf, report.TimeFormat), ' ')
			}
			r.buf = append(r.buf, prefix...)
			r.buf = append(r.buf, disarm(text)...)
			r.buf = append(r.buf, '\n')
		}
	}
}

// maxClusters is how many kinds of failures stand below the verdict.
const maxClusters = 5

// style is how one of our lines looks.
type style struct{ mark, color, issue string }

var (
	quiet   = style{"·", "\x1b[2m", ""}
	warning = style{"!", "\x1b[33m", "warning"}
	bad     = style{"✗", "\x1b[1;31m", "error"}
	good    = style{"✓", "\x1b[1;32m", ""}
)

func (r *Reporter) say(m report.Message) {
	s := quiet
	switch m.Level {
	case event.Warning:
		s = warning
	case event.Error:
		s = bad
	}
	r.message(s, m.Text, m.Hint)
}

// message adds a text of one line or several, and a hint below it.
func (r *Reporter) message(s style, text, hint string) {
	if s.issue != "" && r.options.Format == report.FormatAzure {
		r.issue(s.issue, text, hint)
		return
	}
	r.block(s.color, s.mark+" ", "  ", text)
	if hint != "" {
		r.block("", "  → ", "    ", hint)
	}
}

// block adds text in a colour, "" for that of the terminal: first stands before its first line, other before the others.
func (r *Reporter) block(color, first, other, text string) {
	indent := first
	for line := range strings.SplitSeq(text, "\n") {
		line = r.commands.Line(indent + line)
		if r.color && color != "" {
			line = color + line + "\x1b[0m"
		}
		r.buf = append(r.buf, line...)
		r.buf = append(r.buf, '\n')
		indent = other
	}
}

func (r *Reporter) finished(f event.Finished) {
	for _, w := range f.Warnings {
		r.message(warning, w.Message, w.Hint)
	}
	if report.Good(f.Outcome) {
		r.message(good, report.Verdict(f), "")
	} else {
		hint := ""
		if f.Cause != nil {
			hint = f.Cause.Hint
		}
		r.message(bad, report.Verdict(f), hint)
	}
	// Those of the only pod stand above already. Those of one among many may be far away.
	several := r.started.Pods > 1 && !report.Good(f.Outcome)
	if len(f.Tail) > 0 && (several || !r.streamed) {
		r.block("", "  ", "", "its last lines:")
		for _, line := range f.Tail {
			r.block("", "  | ", "  | ", line)
		}
	}
	if several {
		alike := report.Clusters(f.Pods)
		for _, c := range alike[:min(len(alike), maxClusters)] {
			r.block("", "  ", "    ", c.Sentence(r.started.Pods, f.Attempts))
		}
	}
	outputs, note := report.Outputs(f)
	if r.options.Format == report.FormatAzure {
		r.variables(outputs)
	}
	if f.UID == "" { // there was no Job, so there are no outputs but the reason
		if f.Cause != nil {
			r.buf = append(r.buf, '\n')
			r.block("", "  ", "", report.OutputLines([]report.Output{{Name: "reason", Value: string(f.Cause.Reason)}})[0])
		}
		return
	}
	if note != "" {
		r.message(warning, note, "")
	}
	r.buf = append(r.buf, '\n')
	r.startSection("kubernetes_job_outputs", "Outputs")
	for _, line := range report.OutputLines(outputs) {
		r.block("", "  ", "", line)
	}
	r.endSection("")
}
