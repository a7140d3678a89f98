package app

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/config"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// action.yml and README.md hold what the declarations say, between markers.
func TestGenerated(t *testing.T) {
	var inputs, table strings.Builder
	for _, o := range report.OutputDocs {
		inputs.WriteString("  " + o.Name + ":\n    description: >-\n      " + o.Description + "\n")
		table.WriteString("| `" + o.Name + "` | " + strings.ReplaceAll(o.Description, "|", `\|`) + " |\n")
	}
	var codes, reasons strings.Builder
	for _, c := range event.Classes {
		fmt.Fprintf(&codes, "| %d | %s |\n", c.Class, c.Meaning)
	}
	for _, r := range event.Reasons {
		fmt.Fprintf(&reasons, "| `%s` | %d | %s |\n", r.Reason, r.Class, r.Meaning)
	}
	for _, g := range []struct{ file, name, want string }{
		{"../../README.md", "exit codes", "| code | meaning |\n|---|---|\n" + codes.String()},
		{"../../docs/reasons.md", "reasons", "| reason | exit code | meaning |\n|---|---|---|\n" + reasons.String()},
		{"../../action.yml", "inputs", config.ActionInputs()},
		{"../../action.yml", "outputs", inputs.String()},
		{"../../README.md", "options", config.Tables()},
		{"../../README.md", "outputs", "| output | meaning |\n|---|---|\n" + table.String()},
	} {
		content, err := os.ReadFile(g.file)
		if err != nil {
			t.Fatal(err)
		}
		open, end := "  # generated: "+g.name+"\n", "  # end: "+g.name
		if strings.HasSuffix(g.file, ".md") {
			open, end = "<!-- generated: "+g.name+" -->\n", "<!-- end: "+g.name+" -->"
		}
		before, rest, ok := strings.Cut(string(content), open)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no lines %q and %q", g.file, open, end)
		}
		golden.Compare(t, g.file, before+open+g.want+end+after)
	}
}
