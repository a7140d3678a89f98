// Package dotenv writes the outputs of a run as a file of NAME=value lines, which GitLab reads as a report
// (artifacts:reports:dotenv) and hands to later jobs of the pipeline as variables.
//
// GitLab takes everything behind the first equals sign as it stands, quotes included, and strips spaces at both ends
// (gitlab-org/gitlab, parse_dotenv_artifact_service.rb). One line that it does not understand, or a file that is too large,
// makes it refuse the whole file, so what does not fit is left out. So is what GitLab would change: it expands $NAME and
// %NAME% in the values with the variables of the job that gets them (expand_variables.rb), and a message quotes text that a
// stranger may have written to read a variable of that job.
package dotenv

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// What GitLab takes of a file (gitlab-org/gitlab, the plan limits dotenv_size and dotenv_variables at their lowest): fewer bytes than limit, and
// as many variables as variables.
const (
	limit     = 5 << 10
	variables = 20
)

// expanded is what GitLab or its runner would replace.
var expanded = regexp.MustCompile(`\$|%[A-Za-z_][A-Za-z0-9_]*%`)

// New makes a Sink that writes the file path: what is known as soon as the Job exists, and everything at the end. tell gets a
// notice that names what was left out.
func New(path string, tell func(event.Event) error) *report.Document {
	return report.NewDocument(path, content, tell)
}

func content(e event.Event) (content []byte, note string) {
	var outputs []report.Output
	switch e := e.(type) {
	case event.Started:
		outputs = report.Known(e.Job, e.UID)
	case event.Finished:
		outputs, _ = report.Outputs(e)
	default:
		return nil, ""
	}
	content, left := format(outputs)
	if len(left) > 0 {
		note = "the dotenv file leaves out " + strings.Join(left, ", ")
	}
	return content, note
}

// Variable is the name of an output in the file: KUBERNETES_JOB_EXIT_CODE for exit-code, KUBERNETES_JOB_NAME for job-name.
func Variable(output string) string {
	return "KUBERNETES_JOB_" + strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(output, "job-"), "-", "_"))
}

// format is the content of the file, in the order of the outputs, and the names of what is not in it, with the reasons. When not all
// fit, the longest are left out.
func format(outputs []report.Output) (content []byte, left []string) {
	lines := make([]string, len(outputs))
	why := make([]string, len(outputs))
	var order []int
	for i, o := range outputs {
		lines[i] = Variable(o.Name) + "=" + o.Value + "\n"
		switch {
		case o.Name == "job_name": // the same as job-name
			lines[i] = ""
		case strings.Contains(o.Value, "\n"):
			why[i] = "several lines"
		case expanded.MatchString(o.Value):
			why[i] = "GitLab would expand a variable in it"
		default:
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(lines[a]) - len(lines[b]) })
	size := 0
	for n, i := range order {
		if size += len(lines[i]); size >= limit {
			why[i] = "too long"
		} else if n >= variables {
			why[i] = "more variables than GitLab takes"
		}
	}
	for i, o := range outputs {
		if why[i] == "" {
			content = append(content, lines[i]...)
		} else {
			left = append(left, fmt.Sprintf("%s (%s)", o.Name, why[i]))
		}
	}
	return content, left
}
