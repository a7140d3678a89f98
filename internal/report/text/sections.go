package text

import (
	"fmt"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// A section is a part of a log that is shown folded. Untrusted text begins and ends none: report.Fanout lets no carriage return and no escape
// sequence but colours through, and report.Commands takes the rest apart.
//
//   - GitLab reads section_start:TIME:NAME[OPTIONS] and section_end:TIME:NAME from the log itself, anywhere in a line, directly before a
//     carriage return and the escape sequence that erases to the end of the line (gitlab-org/gitlab, Gitlab::Regex.logs_section_prefix_regex
//     and Ansi2json::Converter).
//   - Buildkite begins a group with each line that starts with "~~~" (folded and pale) or "+++" (open); it ends where the next one begins
//     ("Managing log output").
//   - Azure Pipelines has ##[group] and ##[endgroup] ("Logging commands").

// startSection begins a section.
func (r *Reporter) startSection(name, header string) {
	switch r.options.Format {
	case report.FormatGitLab:
		now := r.now()
		// GitLab confuses the durations of sections of the same name, and a script may run this program twice.
		name = fmt.Sprintf("%s_%d", name, now.UnixNano())
		r.buf = fmt.Appendf(r.buf, "\x1b[0Ksection_start:%d:%s[collapsed=true]\r\x1b[0K%s\n", now.Unix(), name, header)
	case report.FormatBuildkite:
		r.buf = append(r.buf, "~~~ "+header+"\n"...)
	case report.FormatAzure:
		r.buf = append(r.buf, "##[group]"+header+"\n"...)
	default:
		return
	}
	r.section = name
}

// endSection ends the section that is open, if there is one. next is the header of what follows, where that needs one; "" when nothing does.
func (r *Reporter) endSection(next string) {
	if r.section == "" {
		return
	}
	switch r.options.Format {
	case report.FormatGitLab:
		r.buf = fmt.Appendf(r.buf, "\x1b[0Ksection_end:%d:%s\r\x1b[0K\n", r.now().Unix(), r.section)
	case report.FormatBuildkite:
		if next != "" {
			r.buf = append(r.buf, "+++ "+next+"\n"...)
		}
	case report.FormatAzure:
		r.buf = append(r.buf, "##[endgroup]\n"...)
	}
	r.section = ""
}

// escaped is a text behind a command of Azure's agent, which undoes that (Command.cs, Unescape; %AZP25 as azure-pipelines-task-lib,
// taskcommand.ts). What the viewer of the log would obey in it is taken apart.
func (r *Reporter) escaped(text string) string {
	return strings.NewReplacer("%", "%AZP25", "\r", "%0D", "\n", "%0A").Replace(r.commands.Text(text))
}

// issue has Azure show a message on the page of the run too.
func (r *Reporter) issue(kind, text, hint string) {
	if hint != "" {
		text += "\n→ " + hint
	}
	r.buf = append(r.buf, "##vso[task.logissue type="+kind+"]"+r.escaped(text)+"\n"...)
}

// maxVariable is how long a variable of Azure's may be: each becomes one of the environment of all later steps, where Windows allows 32767 characters.
const maxVariable = 30_000

// variables sets outputs as variables of the step: $(step.exit_code). One that the agent would change, because it replaces $(name) in what it
// hands to later steps, or that is too long is set to nothing, so that $(step.message) does not stay there as a command of a shell.
func (r *Reporter) variables(outputs []report.Output) {
	var left []string
	for _, o := range outputs {
		value := r.commands.Text(o.Value)
		switch {
		case o.Name == "job_name": // the same as job-name
			continue
		case strings.Contains(value, "$("):
			left = append(left, o.Name+" (Azure Pipelines would expand a variable in it)")
			value = ""
		case len(value) > maxVariable:
			left = append(left, o.Name+" (too long)")
			value = ""
		}
		r.buf = append(r.buf, "##vso[task.setvariable variable="+strings.ReplaceAll(o.Name, "-", "_")+";isOutput=true]"+r.escaped(value)+"\n"...)
	}
	if len(left) > 0 {
		r.say(report.Message{Level: event.Info, Text: "the variables of the step leave out " + strings.Join(left, ", ")})
	}
}
