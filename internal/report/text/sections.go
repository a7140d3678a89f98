package text

import (
	"fmt"

	"github.com/planton/kubernetes-job-action/internal/report"
)

// GitLab reads sections from the log itself (gitlab-org/gitlab, Gitlab::Regex.logs_section_prefix_regex and
// Ansi2json::Converter): section_start:TIME:NAME[OPTIONS], or section_end:TIME:NAME, anywhere in a line, directly before a
// carriage return and the escape sequence that erases to the end of the line. Untrusted text cannot hold one: no carriage return and no
// escape sequence but colours comes over the border of report.Fanout.

// startSection begins a section that is shown folded.
func (r *Reporter) startSection(name, header string) {
	if r.options.Format != report.FormatGitLab {
		return
	}
	now := r.now()
	// GitLab confuses the durations of sections of the same name, and a script may run this program twice.
	r.section = fmt.Sprintf("%s_%d", name, now.UnixNano())
	r.buf = fmt.Appendf(r.buf, "\x1b[0Ksection_start:%d:%s[collapsed=true]\r\x1b[0K%s\n", now.Unix(), r.section, header)
}

// endSection ends the section that is open, if there is one.
func (r *Reporter) endSection() {
	if r.section == "" {
		return
	}
	r.buf = fmt.Appendf(r.buf, "\x1b[0Ksection_end:%d:%s\r\x1b[0K\n", r.now().Unix(), r.section)
	r.section = ""
}
