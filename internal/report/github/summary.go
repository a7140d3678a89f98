package github

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// The runner drops a summary of more than 1 MiB (FileCommandManager.cs, AttachmentSizeLimit). A section that would lead beyond maxSummary is
// left out, the less telling ones stand further below. The other limits (counts, then bytes that are written) keep a page readable; a fence may be as
// long as what is in it.
const (
	maxSummary      = 1<<20 - 64<<10
	summaryPods     = 50
	summaryOpen     = 10 // rows of a table that is not folded
	summaryClusters = 5
	summaryWarnings = 20
	summaryProblems = 20
	summaryCell     = 256
	summaryIndexes  = 500
	summaryText     = 4 << 10
	summaryTail     = 64 << 10
	summaryExample  = 8 << 10
)

// summary is the step summary of a run in GitHub's Markdown. All that is quoted is untrusted. problems kept the run from beginning; alike are the
// failures of its pods; kept says that the Job is still there.
func summary(started event.Started, f event.Finished, problems []string, alike []report.Cluster, kept bool) string {
	var b strings.Builder
	for i, section := range []string{
		headline(f),
		verdict(f),
		list(problems),
		facts(started, f, alike),
		anatomy(f.Times),
		lastLines(f),
		result(f),
		failures(started, f, alike),
		warnings(f.Warnings),
		timeline(f.Pods, f.Outcome == event.TimedOut),
		attempts(f),
		commands(f, kept),
	} {
		switch {
		case section == "":
		case b.Len()+len(section) > maxSummary:
			b.WriteString("\n(a part of the summary has no room here)\n")
		default:
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(section)
		}
	}
	return b.String()
}

// headline is how the Job ended.
func headline(f event.Finished) string {
	var b strings.Builder
	mark := "❌"
	switch f.Outcome {
	case event.Succeeded, event.Created:
		mark = "✅"
	case event.TimedOut:
		mark = "⏰"
	case event.Cancelled:
		mark = "🚫"
	}
	title := "Kubernetes Job"
	if f.Job.Name != "" {
		title = f.Job.String()
	}
	ended := strings.ReplaceAll(string(f.Outcome), "-", " ")
	switch {
	case f.Earlier != "" && f.Cause == nil:
		ended = f.Earlier
	case f.Outcome == event.Failed && f.UID == "":
		ended = "could not be run"
	case f.Duration > 0 && f.Outcome == event.Succeeded:
		ended += " in " + event.Seconds(f.Duration)
	case f.Duration > 0:
		ended += " after " + event.Seconds(f.Duration)
	}
	fmt.Fprintf(&b, "### %s %s %s\n", mark, escape(title, summaryCell), escape(ended, summaryCell))
	return b.String()
}

// verdict is the cause and what to do about it.
func verdict(f event.Finished) string {
	if f.Cause == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<b>%s</b>\n", escape(f.Cause.Message, summaryText))
	hint, snippet, several := strings.Cut(f.Cause.Hint, "\n")
	if hint != "" {
		fmt.Fprintf(&b, "\n→ %s\n", escape(hint, summaryText))
	}
	if several {
		b.WriteString("\n" + fence(strings.Split(snippet, "\n"), summaryTail))
	}
	return b.String()
}

// list is what is wrong with the options and the manifest: the verdict does not repeat it.
func list(problems []string) string {
	var b strings.Builder
	for i, p := range problems {
		if i == summaryProblems {
			b.WriteString("\n" + more(len(problems)-i, "problem", "problems") + "\n")
			break
		}
		b.WriteString("- " + escape(p, summaryText) + "\n")
	}
	return b.String()
}

// facts are a line about the Job and its pods. The indexes of failures that are alike stand with those.
func facts(started event.Started, f event.Finished, alike []report.Cluster) string {
	var all []string
	fact := func(name, value string) {
		if value != "" {
			all = append(all, name+"\u00a0<b>"+escape(value, summaryCell)+"</b>")
		}
	}
	if c := f.Cause; c != nil {
		fact("reason", string(c.Reason))
		if c.ExitCode != nil {
			fact("exit code", fmt.Sprint(*c.ExitCode))
		}
	}
	if f.Attempts > 1 {
		fact("pods", fmt.Sprintf("%d started, %d succeeded, %d failed", f.Attempts, f.Succeeded, f.Failed))
	}
	if len(alike) == 0 {
		fact("failed indexes", f.FailedIndexes)
	}
	if f.UID != "" {
		fact("cluster", cmp.Or(started.Context, strings.TrimPrefix(started.Cluster, "https://")))
	}
	if len(all) == 0 {
		return ""
	}
	return strings.Join(all, " · ") + "\n"
}

// lastLines are those of the container that decided. They are of no interest after a success.
func lastLines(f event.Finished) string {
	if len(f.Tail) == 0 {
		return ""
	}
	text := fence(f.Tail, summaryTail)
	title := "L" + lastOf(f)[1:]
	if report.Good(f.Outcome) {
		return details(title, false, text)
	}
	return escape(title, summaryCell) + ":\n\n" + text
}

func result(f event.Finished) string {
	if f.Result == nil {
		return ""
	}
	return "Result:\n\n" + fence(strings.Split(*f.Result, "\n"), summaryExample)
}

// failures are those of several pods, those together that are alike.
func failures(started event.Started, f event.Finished, all []report.Cluster) string {
	if len(all) == 0 {
		return ""
	}
	var b strings.Builder
	title := "Failures"
	if report.Good(f.Outcome) {
		title = "Failures on the way"
	}
	fmt.Fprintf(&b, "#### %s\n", title)
	for i, c := range all {
		if i == summaryClusters {
			fmt.Fprintf(&b, "\n%s\n", more(len(all)-i, "kind of failures", "kinds of failures"))
			break
		}
		why := c.Example.Reason
		if c.Example.ExitCode != nil {
			why = strings.TrimPrefix(fmt.Sprintf("%s, exit code %d", why, *c.Example.ExitCode), ", ")
		}
		fmt.Fprintf(&b, "\n<b>%s</b>", escape(c.Share(started.Pods, f.Attempts), summaryCell))
		if why != "" {
			fmt.Fprintf(&b, " (%s)", escape(why, summaryCell))
		}
		if c.Last != "" {
			fmt.Fprintf(&b, ": %s", escape(c.Last, summaryText))
		}
		b.WriteByte('\n')
		if indexes := c.Indexes(); len(c.Pods) > 1 && indexes != "" {
			fmt.Fprintf(&b, "<br>indexes %s\n", escape(event.Shorten(strings.ReplaceAll(indexes, ",", ", "), summaryIndexes), summaryText))
		}
		if n := c.Untold(); n > 0 {
			fmt.Fprintf(&b, "<br>(the last lines of %d of them are not kept)\n", n)
		}
		// Those of the container that decided stand above.
		if len(c.Example.Tail) > 0 && !slices.Equal(c.Example.Tail, f.Tail) {
			b.WriteString("\n" + details("Last lines of "+c.Example.Name, false, fence(c.Example.Tail, summaryExample)))
		}
	}
	return b.String()
}

func warnings(all []event.Cause) string {
	var b strings.Builder
	for i, w := range all {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == summaryWarnings {
			b.WriteString(more(len(all)-i, "warning", "warnings") + "\n")
			break
		}
		fmt.Fprintf(&b, "⚠️ %s\n", escape(w.Error(), summaryText))
	}
	return b.String()
}

// attempts is a table of the pods, failed ones first. One pod that succeeded needs none. A column that says the same of no pod is left out.
func attempts(f event.Finished) string {
	if len(f.Pods) == 0 || len(f.Pods) == 1 && report.Good(f.Outcome) {
		return ""
	}
	sorted := event.FailedFirst(f.Pods)
	rows := sorted[:min(len(sorted), summaryPods)]
	columns := []struct {
		name string
		cell func(event.PodResult) string
	}{
		{"", func(p event.PodResult) string {
			switch {
			case p.Failed():
				return "❌"
			case p.Phase == "Succeeded":
				return "✅"
			}
			return ""
		}},
		{"Index", func(p event.PodResult) string {
			if p.Index == nil {
				return ""
			}
			return fmt.Sprint(*p.Index)
		}},
		{"Attempt", func(p event.PodResult) string {
			if p.Attempt == 0 {
				return ""
			}
			return fmt.Sprint(p.Attempt)
		}},
		{"Pod", func(p event.PodResult) string { return p.Name }},
		{"State", func(p event.PodResult) string {
			state := cmp.Or(p.Reason, p.Phase)
			if p.ExitCode != nil && *p.ExitCode != 0 {
				state += fmt.Sprintf(", exit code %d", *p.ExitCode)
			}
			return state
		}},
		{"Restarts", func(p event.PodResult) string {
			if p.Restarts == 0 {
				return ""
			}
			return fmt.Sprint(p.Restarts)
		}},
		{"Waited", func(p event.PodResult) string { return seconds(p.Times.Queue + p.Times.Node + p.Times.Pull) }},
		{"Ran", func(p event.PodResult) string {
			if ran := p.Ran(); ran > 0 || p.ExitCode == nil {
				return seconds(ran)
			}
			return "<1 s" // by time stamps of whole seconds
		}},
		{"Node", func(p event.PodResult) string { return p.Node }},
	}
	head, rule, lines := "|", "|", make([]strings.Builder, len(rows))
	for _, c := range columns {
		empty := true
		for _, p := range rows {
			empty = empty && c.cell(p) == ""
		}
		if empty {
			continue
		}
		head, rule = head+" "+c.name+" |", rule+"---|"
		for i, p := range rows {
			fmt.Fprintf(&lines[i], "| %s ", escape(c.cell(p), summaryCell))
		}
	}
	var b strings.Builder
	b.WriteString(head + "\n" + rule + "\n")
	for i := range lines {
		b.WriteString(lines[i].String() + "|\n")
	}
	if left := len(sorted) - len(rows); left > 0 {
		fmt.Fprintf(&b, "\n%s\n", more(left, "pod", "pods"))
	}
	title := "The pod"
	switch {
	case len(rows) < len(sorted):
		title = fmt.Sprintf("%d of %d pods, failed ones first", len(rows), len(sorted))
	case len(rows) > 1:
		title = fmt.Sprintf("All %d pods, failed ones first", len(rows))
	}
	return details(title, len(sorted) <= summaryOpen, b.String())
}

func more(n int, one, several string) string {
	if n == 1 {
		return "… and 1 more " + one
	}
	return fmt.Sprintf("… and %d more %s", n, several)
}

func seconds(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return event.Seconds(d.Round(time.Millisecond))
}

// commands are what shows more of the Job, as long as it is there. What the hint says already is not among them.
func commands(f event.Finished, kept bool) string {
	if !kept || f.UID == "" || f.Outcome == event.Succeeded {
		return ""
	}
	var all []string
	add := func(command string, names ...string) {
		line := event.Kubectl(f.Job.Namespace, command, names...)
		if line != "" && (f.Cause == nil || !strings.Contains(f.Cause.Hint, line)) {
			all = append(all, line)
		}
	}
	if f.Outcome == event.Created {
		add("logs --follow job/%s", f.Job.Name)
	}
	// A pod that failed stays as long as its Job does. The one that the cause names comes first.
	pods := slices.DeleteFunc(slices.Clone(f.Pods), func(p event.PodResult) bool { return p.Phase != "Failed" })
	slices.SortStableFunc(pods, func(a, b event.PodResult) int {
		named := func(p event.PodResult) int {
			if f.Cause != nil && strings.Contains(f.Cause.Message, p.Name) {
				return 0
			}
			return 1
		}
		return named(a) - named(b)
	})
	for _, p := range pods[:min(1, len(pods))] {
		if p.Container != "" {
			add("logs %s -c %s", p.Name, p.Container)
		}
		add("describe pod %s", p.Name)
	}
	add("describe job %s", f.Job.Name)
	if len(all) == 0 {
		return ""
	}
	return "To look further, as long as the Job is there:\n\n" + fence(all, summaryText)
}

// details is a part of the page that the reader can fold.
func details(title string, open bool, body string) string {
	tag := "<details>"
	if open {
		tag = "<details open>"
	}
	return fmt.Sprintf("%s<summary>%s</summary>\n\n%s\n</details>\n", tag, escape(title, summaryCell), body)
}

// noReference keeps GitHub from making a reference of what stands around it, a mention or the link to an issue: it looks for them in the
// text of the page, where nothing is escaped any more. It cannot be seen.
const noReference = "&#8288;"

// escape makes GitHub's Markdown show text literally, on one line: every character that may have a meaning becomes a
// character reference, which has none (GitHub Flavored Markdown, "Entity and numeric character references"). At most limit
// bytes are written: with all references, text may become thirteen times as long.
func escape(text string, limit int) string {
	var b strings.Builder
	for i, r := range text {
		s := string(r)
		switch {
		case r == '\n':
			s = " "
		case strings.ContainsRune("&<>|`*_[]{}\\#~@:!\"'$^=+", r):
			s = fmt.Sprintf("&#%d;", r)
		case r == '.' && i >= 3 && strings.EqualFold(text[i-3:i], "www"):
			s = "&#46;"
		}
		// The digest of an image stays what it is when it is copied.
		if r == '#' || r == '@' && !strings.HasPrefix(text[i:], "@sha256:") {
			s += noReference
		}
		if b.Len()+len(s) > limit-len(event.Ellipsis) {
			return b.String() + event.Ellipsis
		}
		b.WriteString(s)
	}
	return b.String()
}

// fence is a code block of lines, as many of the last ones as fit into limit bytes. Its fence is longer than any run of backticks in them, so none of them can close it.
func fence(lines []string, limit int) string {
	text := report.Tail(lines, limit)
	longest := 2
	for run := range strings.FieldsFuncSeq(text, func(r rune) bool { return r != '`' }) {
		longest = max(longest, len(run))
	}
	marks := strings.Repeat("`", longest+1)
	return marks + "text\n" + text + "\n" + marks + "\n"
}
