package manifest

import (
	"fmt"
	"regexp"
)

var (
	// variableName is a variable as a shell, envsubst or a container's command writes it.
	variableName = regexp.MustCompile(`\$(?:(\()([A-Za-z_]\w*)\)|\{([A-Za-z_]\w*)(\}|:?[-+?=])|([A-Za-z_]\w*))`)
	// engine is what a template engine replaces: Helm's and Jinja's, or ERB's.
	engine = regexp.MustCompile(`\{\{|\{%|<%`)
	// gap is what people write for others to replace, or for a task of their CI system.
	gap = regexp.MustCompile(`\$[({][A-Za-z_]\w*(?:\.\w+)+[)}]|<[A-Za-z][\w -]*>|__[A-Z]\w*__|%[A-Z]\w*%|@[A-Z]\w*@|#\{[^{}]*\}|\(\([\w. -]+\)\)|\{[A-Za-z_]\w*\}|\b(?:CHANGE|REPLACE)_?ME\b`)
)

// Unrendered is the way to fill in what a template engine would have.
const Unrendered = "render the template first: helm template … | kubernetes-job-action --manifest -"

// Unfilled says how a text gets its values, when it is one that nobody has filled in: a variable, a template, a placeholder. It is ""
// for any other text.
func Unfilled(text string) string {
	m := variableName.FindStringSubmatch(text)
	switch {
	case githubs.MatchString(text):
		return "GitHub replaces ${{ }} in workflows and not in files: set env: NAME: ${{ … }} there, write ${NAME} here, and list NAME in substitute"
	case m != nil && m[1] != "":
		return fmt.Sprintf("is it a variable? write ${%s}, and substitute: %s", m[2], m[2])
	case m != nil && m[4] != "" && m[4] != "}":
		return fmt.Sprintf("is it a variable? write ${%s} without a default, and substitute: %s", m[3], m[3])
	case m != nil:
		return "is it a variable? substitute: " + m[3] + m[5]
	case engine.MatchString(text):
		return Unrendered
	case gap.MatchString(text):
		return "is it a placeholder? fill it in, or write ${NAME} and list NAME in substitute"
	}
	return ""
}

var (
	// githubs is an expression of GitHub, which no shell and no template engine writes.
	githubs = regexp.MustCompile(`\$\{\{`)
	// charts is what stands in templates of charts alone; programs have templates of their own.
	charts = regexp.MustCompile(`\{\{-?\s*(?:\.(?:Values|Release|Chart|Capabilities)\b|include\s|toYaml\s)`)
	alone  = regexp.MustCompile(`^(?:(?:` + gap.String() + `)#?|\{\{[^{}]*\}\})$`)
)

// LooksUnfilled tells whether a text that is valid as it stands is hardly meant so. A whole text is one that nothing but the program
// reads, such as the value of a variable.
func LooksUnfilled(text string, whole bool) bool {
	return githubs.MatchString(text) || charts.MatchString(text) || whole && alone.MatchString(text)
}
