// Package github reports a run to the runner of GitHub Actions (https://github.com/actions/runner): log, annotations, masks,
// outputs and the step summary.
//
// The runner reads commands out of the log itself, out of standard output and standard error alike (OutputManager.cs,
// ActionCommand.cs): "::name::…" at the start of a line, after any white space, and "##[name]…" anywhere in it. Lines of
// containers are therefore written only while commands are stopped (report.Bracket). All commands and all lines go through one
// writer, so that nothing slips in between. Lines of ours begin with a mark, so that what they quote never stands at the start of a
// line; and "##[" is taken apart everywhere, because the log's viewer reads it too.
package github

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sethvargo/go-githubactions"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// Limits of GitHub: it does not show more annotations of a kind, and cuts longer messages.
const (
	maxAnnotations = 10   // of a kind, in a step
	maxMessage     = 4096 // characters; counted in bytes here, which are never fewer
	maxTitle       = 200
)

// What stands at the end of a run tells more than what was said on the way: so many of its annotations have room in any case, the verdict first, then
// places in the workspace, then failures.
const (
	maxUnderway = 6 // warnings
	maxPlaces   = 5
	maxClusters = 4
)

// Reporter is a report.Sink. It belongs to one goroutine.
type Reporter struct {
	stdout   io.Writer
	getenv   func(string) string
	options  report.Options
	started  event.Started
	job      event.Ref             // once it exists
	streams  map[event.Stream]bool // those whose lines were shown; no more are kept than it takes to know that there are several
	hidden   bool                  // lines of a container stand in a group
	kept     bool                  // the Job is there
	group    string                // the title of the group that is open, "" without one; groups cannot be nested
	commands report.Commands
	bracket  report.Bracket    // around lines of containers
	issued   map[string]int    // annotations by kind
	outputs  map[string]string // as they were published
	draw     func() string     // a random text of at least 128 bits
	broken   error             // outputs that could not be written
	buf      []byte            // what one event writes: one system call for a whole batch of lines
}

// New makes a Reporter. All of the log goes to stdout; getenv tells where the command files are. On a machine that is no
// runner (GITHUB_ACTIONS is not true), secrets are not announced, because there they would be printed.
func New(stdout io.Writer, getenv func(string) string, o report.Options) *Reporter {
	return &Reporter{
		stdout: stdout, getenv: getenv, options: o, commands: report.NewCommands(getenv, report.FormatGitHub),
		streams: map[event.Stream]bool{}, issued: map[string]int{}, outputs: map[string]string{}, draw: rand.Text,
	}
}

// AddMasks has the runner replace each of the lines by *** in all that it shows from now on, output of later steps included.
func (r *Reporter) AddMasks(lines []string) error {
	if r.getenv("GITHUB_ACTIONS") != "true" {
		return nil
	}
	for _, line := range lines {
		r.command("add-mask", nil, line)
	}
	return r.flush()
}

// Event reports e. The error is that of a write to the log, or, with Finished, of outputs that could not be written: later
// steps must not take a missing output for an empty one.
func (r *Reporter) Event(e event.Event) error {
	r.enter(r.groupOf(e))
	switch e := e.(type) {
	case event.Lines:
		r.lines(e)
	case event.Finished:
		r.finished(e)
		return errors.Join(r.flush(), r.broken)
	case event.Started:
		r.started = e
		r.job, r.kept = e.Job, true
		r.say(e)
		r.publish(report.Known(e.Job, e.UID))
	case event.Object:
		if e.UID != "" {
			r.job = e.Object
		}
		if e.Object == r.job {
			r.kept = e.Action != "deleted"
		}
		r.say(e)
	default:
		r.say(e)
	}
	return r.flush()
}

// groupOf is the title of the group that e belongs into, "" for none.
//
// GitHub shows a group folded, also while it is written, and no line can be put into one later. So what somebody may want to see live is not in
// one: the first attempt, which mostly is the only one, and pods that run side by side, whose lines have prefixes. Only when an attempt has
// failed is the next one in a group of its own; of the one that decides, the last lines are said again at the end (finished). News about the
// run end the group, so that they can be seen, but for the counts that come while nothing else does.
func (r *Reporter) groupOf(e event.Event) string {
	switch e := e.(type) {
	case event.Object:
		// What is created before the Job is followed is of interest only when something is wrong.
		if r.started.UID == "" {
			return "Objects in the cluster"
		}
	case event.Lines:
		if r.started.Pods > 1 {
			return ""
		}
		if e.Stream.Attempt > 1 {
			return fmt.Sprintf("Attempt %d: pod %s", e.Stream.Attempt, e.Stream.Pod)
		}
		if e.Stream.Restart > 0 && r.started.Containers <= 1 {
			return fmt.Sprintf("Restart %d: pod %s", e.Stream.Restart, e.Stream.Pod)
		}
	case event.Progress:
		if r.started.UID != "" {
			return r.group
		}
	case event.Notice:
		if e.Level == event.Debug {
			return r.group
		}
	}
	return ""
}

// enter ends the open group, unless it has this title, and begins the one that has.
func (r *Reporter) enter(title string) {
	if title == r.group {
		return
	}
	if r.group != "" {
		r.command("endgroup", nil, "")
	}
	if r.group = title; title != "" {
		r.command("group", nil, r.commands.Text(title))
	}
}

// flush writes what the event added.
func (r *Reporter) flush() error {
	if len(r.buf) == 0 {
		return nil
	}
	_, err := r.stdout.Write(r.buf)
	r.buf = r.buf[:0]
	if cap(r.buf) > report.KeptBuffer {
		r.buf = nil
	}
	return err
}

// command adds a workflow command. When commands are stopped, it resumes them first, so that the runner obeys.
func (r *Reporter) command(name string, properties githubactions.CommandProperties, message string) {
	r.buf = r.bracket.Resume(r.buf)
	c := githubactions.Command{Name: name, Properties: properties, Message: message}
	r.buf = append(r.buf, c.String()...)
	r.buf = append(r.buf, '\n')
}

// lines adds lines of a container. Commands stay stopped after them: usually more lines follow.
func (r *Reporter) lines(e event.Lines) {
	if len(r.streams) < 2 {
		r.streams[*e.Stream] = true
	}
	r.hidden = r.hidden || r.group != ""
	r.buf = r.bracket.Stop(r.buf)
	prefix := r.commands.Text(report.Prefix(e.Stream, r.started))
	for _, l := range e.Lines {
		for text := range strings.SplitSeq(r.commands.Text(l.Text), "\n") {
			if r.options.Timestamps {
				r.buf = append(l.At.UTC().AppendFormat(r.buf, report.TimeFormat), ' ')
			}
			r.buf = append(r.buf, prefix...)
			r.buf = append(r.buf, text...)
			r.buf = append(r.buf, '\n')
		}
	}
}

// line adds a line of ours, which the runner never takes for a command: it begins with a mark, and so does each further line of text.
func (r *Reporter) line(mark, text string) {
	for line := range strings.SplitSeq(r.commands.Text(text), "\n") {
		r.buf = append(r.buf, mark...)
		r.buf = append(r.buf, ' ')
		r.buf = append(r.buf, line...)
		r.buf = append(r.buf, '\n')
		mark = "│"
	}
}

func (r *Reporter) say(e event.Event) {
	m, ok := report.Say(e)
	if !ok {
		return
	}
	var properties githubactions.CommandProperties
	if f, ok := e.(event.Finding); ok {
		properties = r.position(f)
	}
	switch m.Level {
	case event.Debug:
		r.debug(m.Text)
	case event.Warning:
		r.annotate("warning", maxUnderway, properties, m.Text, m.Hint)
	case event.Error:
		// The last one is kept for the verdict.
		r.annotate("error", maxAnnotations-1, properties, m.Text, m.Hint)
	default:
		r.line("·", m.Text)
		if m.Hint != "" {
			r.line("→", m.Hint)
		}
	}
}

func (r *Reporter) debug(text string) {
	if r.getenv("RUNNER_DEBUG") == "1" {
		r.command("debug", nil, r.commands.Text(text))
	}
}

// annotate adds an annotation, or a line when there are already limit annotations of that kind.
func (r *Reporter) annotate(kind string, limit int, properties githubactions.CommandProperties, text, hint string) {
	if r.issued[kind] >= limit {
		r.line("!", kind+": "+text)
		if hint != "" {
			r.line("→", hint)
		}
		return
	}
	r.issued[kind]++
	if hint != "" {
		text += "\n→ " + hint
	}
	r.command(kind, properties, event.Shorten(r.commands.Text(text), maxMessage))
}

// position is where an annotation stands: a file of the workspace, as the runner and GitHub name it.
func (r *Reporter) position(f event.Finding) githubactions.CommandProperties {
	if f.File == "" || f.File == "<stdin>" || f.File == "manifest-content" {
		return nil
	}
	file := filepath.Clean(f.File)
	if !filepath.IsAbs(file) {
		file = filepath.Join(r.options.Dir, file)
	}
	if filepath.IsAbs(file) {
		var err error
		if file, err = filepath.Rel(r.getenv("GITHUB_WORKSPACE"), file); err != nil {
			return nil
		}
	}
	if !filepath.IsLocal(file) {
		return nil
	}
	p := githubactions.CommandProperties{"file": r.commands.Text(filepath.ToSlash(file))}
	if f.Line > 0 {
		p["line"] = strconv.Itoa(f.Line)
		if f.Column > 0 {
			p["col"] = strconv.Itoa(f.Column)
		}
	}
	return p
}

func (r *Reporter) finished(f event.Finished) {
	// The files come first: they can be written even when the log cannot.
	outputs, note := report.Outputs(f)
	r.publish(outputs)
	if r.options.Summary {
		if err := r.file("step-summary", summary(r.started, f, r.kept && f.Outcome != event.Vanished)); err != nil {
			r.annotate("warning", maxAnnotations, nil, fmt.Sprintf("the step summary cannot be written: %v", err), "")
		}
	}
	for _, w := range f.Warnings {
		r.annotate("warning", maxAnnotations, nil, w.Message, w.Hint)
	}
	r.lastLines(f)
	if report.Good(f.Outcome) {
		r.line("✓", report.Verdict(f))
	} else {
		title, hint := "Kubernetes Job "+string(f.Outcome), ""
		if c := f.Cause; c != nil {
			title, hint = title+": "+string(c.Reason), c.Hint
		}
		r.annotate("error", maxAnnotations, githubactions.CommandProperties{"title": event.Shorten(r.commands.Text(title), maxTitle)}, report.Verdict(f), hint)
		r.places(f.Trace)
		r.clusters(f)
	}
	if note != "" {
		r.annotate("warning", maxAnnotations, nil, note, "")
	}
	if f.UID != "" { // else there was no Job, and there are no outputs
		r.command("group", nil, "Outputs")
		for _, line := range report.OutputLines(outputs) {
			r.line("·", line)
		}
		r.command("endgroup", nil, "")
	}
	r.buf = r.bracket.Resume(r.buf)
}

// lastLines adds the last lines of the container that decided, so that they stand above the verdict, in no group. They stand there already when
// there was one stream alone, in none.
func (r *Reporter) lastLines(f event.Finished) {
	if len(f.Tail) == 0 || len(r.streams) == 1 && !r.hidden || len(r.streams) > 0 && report.Good(f.Outcome) {
		return
	}
	r.line("·", "last lines of the container that decided the outcome:")
	for _, line := range f.Tail {
		r.line("│", line)
	}
}

// clusters adds an annotation for each kind of failure, the most frequent first, when several pods failed.
func (r *Reporter) clusters(f event.Finished) {
	all := report.Clusters(f.Pods)
	if len(all) == 0 || len(all) == 1 && len(all[0].Pods) == 1 {
		return
	}
	for _, c := range all[:min(len(all), maxClusters)] {
		text := c.Share(r.started.Pods, f.Attempts)
		if indexes := c.Indexes(); len(c.Pods) > 1 && indexes != "" {
			text += " (" + event.Shorten(indexes, maxTitle) + ")"
		}
		r.annotate("error", maxAnnotations, nil, text+": "+c.Last, "")
	}
}

// publish sets outputs through the runner's file, unless they already have that value. A failure is kept for the end: it must not stop
// the Job.
func (r *Reporter) publish(outputs []report.Output) {
	var entries []string
	for _, o := range outputs {
		if value, set := r.outputs[o.Name]; set && value == o.Value {
			continue
		}
		r.outputs[o.Name] = o.Value
		entries = append(entries, entry(o.Name, o.Value, r.draw))
	}
	if len(entries) == 0 {
		return
	}
	if err := r.file("output", strings.Join(entries, "\n")); err != nil {
		r.broken = errors.Join(r.broken, fmt.Errorf("the outputs of the step cannot be written: %w", err))
	}
}

// file appends to one of the runner's command files. Without a runner there is none, which is not an error.
func (r *Reporter) file(name, text string) error {
	if r.getenv(variable(name)) == "" {
		r.debug(variable(name) + " is not set, so nothing is written there")
		return nil
	}
	return appendTo(r.getenv, name, text)
}
