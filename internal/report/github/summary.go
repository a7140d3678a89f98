package github

import (
	"fmt"
	"strings"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// The runner drops a summary of more than 1 MiB (FileCommandManager.cs, AttachmentSizeLimit). These limits (counts, then bytes that are
// written) keep it below, whatever comes: the tail and the snippet of a hint may be in fences as long as themselves.
const (
	summaryPods     = 100
	summaryWarnings = 20
	summaryCell     = 512
	summaryText     = 4 << 10
	summaryTail     = 64 << 10
)

// summary is the step summary of a run in GitHub's Markdown. All that is quoted is untrusted.
func summary(f event.Finished) string {
	var b strings.Builder
	mark := "✗"
	if report.Good(f.Outcome) {
		mark = "✓"
	}
	title := "Kubernetes Job"
	if f.Job.Name != "" {
		title = f.Job.String()
	}
	fmt.Fprintf(&b, "### %s %s: %s\n\n", mark, escape(title, summaryCell), f.Outcome)

	b.WriteString("| | |\n|---|---|\n")
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", name, escape(value, summaryCell))
		}
	}
	row("Status", string(f.Outcome))
	if c := f.Cause; c != nil {
		row("Reason", string(c.Reason))
		row("Object", c.Object.String())
		row("Container", c.Container)
		if c.ExitCode != nil {
			row("Exit code", fmt.Sprint(*c.ExitCode))
		}
	}
	if f.Duration > 0 {
		row("Duration", event.Seconds(f.Duration))
	}
	if f.Attempts > 0 {
		row("Pods", fmt.Sprintf("%d started, %d succeeded, %d failed", f.Attempts, f.Succeeded, f.Failed))
	}
	row("Failed indexes", f.FailedIndexes)

	if f.Cause != nil {
		fmt.Fprintf(&b, "\n**%s**\n", escape(report.Verdict(f), summaryText))
		if f.Cause.Hint != "" {
			hint, snippet, several := strings.Cut(f.Cause.Hint, "\n")
			fmt.Fprintf(&b, "\n→ %s\n", escape(hint, summaryText))
			if several {
				b.WriteString("\n" + fence(strings.Split(snippet, "\n")))
			}
		}
	}
	for i, w := range f.Warnings {
		if i == summaryWarnings {
			fmt.Fprintf(&b, "\n… and %d more warnings\n", len(f.Warnings)-i)
			break
		}
		fmt.Fprintf(&b, "\n⚠ %s\n", escape(w.Message+" "+w.Hint, summaryText))
	}
	if len(f.Tail) > 0 {
		b.WriteString("\nLast lines of the container that decided the outcome:\n\n" + fence(f.Tail))
	}
	if len(f.Pods) > 1 || len(f.Pods) == 1 && !report.Good(f.Outcome) {
		b.WriteString("\n" + pods(f.Pods))
	}
	return b.String()
}

func pods(all []event.PodResult) string {
	var b strings.Builder
	b.WriteString("| Pod | Index | Phase | Reason | Exit code | Restarts | Duration | Node |\n|---|---|---|---|---|---|---|---|\n")
	for i, p := range report.FailedFirst(all) {
		if i == summaryPods {
			fmt.Fprintf(&b, "\n… and %d more pods\n", len(all)-i)
			break
		}
		index, code, duration := "", "", ""
		if p.Index != nil {
			index = fmt.Sprint(*p.Index)
		}
		if p.ExitCode != nil {
			code = fmt.Sprint(*p.ExitCode)
		}
		if p.StartedAt != nil && p.EndedAt != nil {
			duration = event.Seconds(max(0, p.EndedAt.Sub(*p.StartedAt).Round(time.Millisecond)))
		}
		for _, cell := range []string{p.Name, index, p.Phase, p.Reason, code, fmt.Sprint(p.Restarts), duration, p.Node} {
			b.WriteString("| " + escape(cell, summaryCell) + " ")
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// escape makes GitHub's Markdown show text literally, on one line: every character that may have a meaning becomes a
// character reference, which has none (GitHub Flavored Markdown, "Entity and numeric character references"). At most limit
// bytes are written: with all references, text may become six times as long.
func escape(text string, limit int) string {
	var b strings.Builder
	for _, r := range text {
		s := string(r)
		switch {
		case r == '\n':
			s = " "
		case strings.ContainsRune("&<>|`*_[]{}\\#~@:!\"'$^=+", r):
			s = fmt.Sprintf("&#%d;", r)
		}
		if b.Len()+len(s) > limit-len(event.Ellipsis) {
			return b.String() + event.Ellipsis
		}
		b.WriteString(s)
	}
	return b.String()
}

// fence is a code block of lines. Its fence is longer than any run of backticks in them, so none of them can close it.
func fence(lines []string) string {
	text := report.Tail(lines, summaryTail)
	longest := 2
	for run := range strings.FieldsFuncSeq(text, func(r rune) bool { return r != '`' }) {
		longest = max(longest, len(run))
	}
	marks := strings.Repeat("`", longest+1)
	return marks + "text\n" + text + "\n" + marks + "\n"
}
