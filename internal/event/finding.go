package event

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Finding is something wrong (Error) or unwise (Warning) in what the user wrote, as data: formatting comes last.
type Finding struct {
	Level      Level  `json:"level"`
	File       string `json:"file,omitempty"`       // as the user named it; "<stdin>" and "manifest-content" where there is no file; "" for an option
	Line       int    `json:"line,omitempty"`       // from 1; 0 when unknown
	Column     int    `json:"column,omitempty"`     // from 1; 0 when unknown
	Path       string `json:"path,omitempty"`       // spec.env.secrets.DB_PASSWORD.secretRef.key, or the option's name
	Message    string `json:"message"`              // what is wrong and what is allowed
	Suggestion string `json:"suggestion,omitempty"` // the nearest known name, or the fix; may be empty
}

// String is "file:line:column: path: message (did you mean …?)".
func (f Finding) String() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
		}
		b.WriteString(": ")
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Message)
	if f.Suggestion != "" {
		b.WriteString(" (" + f.Suggestion + ")")
	}
	return b.String()
}

// MaxFindings is how many findings of one level are told. Nobody reads on, and a flood would only cost time.
const MaxFindings = 100

// AddFindings appends findings to list. Of each level it keeps MaxFindings, and one more that shows FewFindings that there were more.
func AddFindings(list []Finding, more ...Finding) []Finding {
	for _, f := range more {
		n := 0
		for _, g := range list {
			if g.Level == f.Level {
				n++
			}
		}
		if n <= MaxFindings {
			list = append(list, f)
		}
	}
	return list
}

// FewFindings are the first MaxFindings of each level, and for each level that has more a last one that says so.
func FewFindings(all []Finding) []Finding {
	var few, more []Finding
	n := map[Level]int{}
	for _, f := range all {
		switch n[f.Level]++; {
		case n[f.Level] <= MaxFindings:
			few = append(few, f)
		case n[f.Level] == MaxFindings+1:
			more = append(more, Finding{Level: f.Level, Message: fmt.Sprintf("there are more findings of this kind than these %d", MaxFindings)})
		}
	}
	return append(few, more...)
}

// HasErrors reports whether one of the findings is an error.
func HasErrors(findings []Finding) bool {
	for _, f := range findings {
		if f.Level == Error {
			return true
		}
	}
	return false
}

// SortFindings puts findings in the order of the file, options last, so that the same input gives the same report.
func SortFindings(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		if (a.File == "") != (b.File == "") {
			return strings.Compare(b.File, a.File)
		}
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column)
	})
}
