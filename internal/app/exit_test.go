package app

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/event"
)

func TestExitCode(t *testing.T) {
	cause := func(r event.Reason) *event.Cause { return &event.Cause{Reason: r} }
	for _, c := range []struct {
		outcome event.Outcome
		cause   *event.Cause
		want    int
	}{
		{event.Succeeded, nil, 0},
		{event.Created, nil, 0},
		{event.Failed, cause(event.BackoffLimitExceeded), 1},
		{event.Failed, cause(event.DeadlineExceeded), 1},
		{event.Failed, cause(event.PodFailurePolicy), 1},
		{event.Failed, cause(event.FailedIndexes), 1},
		{event.Failed, cause(event.MaxFailedIndexesExceeded), 1},
		{event.Failed, cause(event.ImagePull), 1},
		{event.Failed, cause(event.InvalidImageName), 1},
		{event.Failed, cause(event.CreateContainerConfig), 1},
		{event.Failed, cause(event.FailedMount), 1},
		{event.Failed, cause(event.PodCreateRejected), 1},
		{event.Failed, cause(event.Unschedulable), 1},
		{event.Failed, cause(event.OOMKilled), 1},
		{event.Failed, cause(event.ContainerExit), 1},
		{event.Failed, cause(event.Evicted), 1},
		{event.Failed, nil, 1},
		{event.Failed, cause(event.InvalidManifest), 2},
		{event.Failed, cause(event.InvalidInput), 2},
		{event.Failed, cause(event.Forbidden), 3},
		{event.Failed, cause(event.Unauthorized), 3},
		{event.Failed, cause(event.APIUnreachable), 3},
		{event.Failed, cause(event.Timeout), 4},
		{event.Failed, cause(event.StartTimeout), 4},
		{event.TimedOut, cause(event.Timeout), 4},
		{event.TimedOut, cause(event.Unschedulable), 4},
		{event.Failed, cause(event.JobDeleted), 5},
		{event.Vanished, cause(event.JobReplaced), 5},
		{event.Cancelled, cause(event.ReasonCancelled), 130},
	} {
		if got := exitCode(event.Finished{Outcome: c.outcome, Cause: c.cause}); got != c.want {
			t.Errorf("%s, %v: exit code %d, want %d", c.outcome, c.cause, got, c.want)
		}
	}
}

// TestReasons: every reason has a row, with words, and something in the house that gives it.
func TestReasons(t *testing.T) {
	names := map[string]bool{} // the constants, and whether they are used
	file, err := parser.ParseFile(token.NewFileSet(), "../event/cause.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && len(spec.Values) == 1 {
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Reason" {
				names[spec.Names[0].Name] = false
				values[spec.Names[0].Name] = strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
			}
		}
		return true
	})
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "../event/") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr: // a comparison gives nothing
				return n.Op != token.EQL && n.Op != token.NEQ
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if _, reason := names[n.Sel.Name]; ok && reason && x.Name == "event" {
					names[n.Sel.Name] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 20 || len(event.Reasons) != len(names) {
		t.Errorf("%d constants, %d rows", len(names), len(event.Reasons))
	}
	for name, used := range names {
		if !used {
			t.Errorf("nothing gives the reason %s", name)
		}
		i := slices.IndexFunc(event.Reasons, func(r event.ReasonMeaning) bool { return string(r.Reason) == values[name] })
		if i < 0 || !strings.HasSuffix(event.Reasons[i].Meaning, ".") {
			t.Errorf("%s has no row, or no sentence", name)
		} else if !slices.ContainsFunc(event.Classes, func(c event.ClassMeaning) bool { return c.Class == event.Reasons[i].Class }) {
			t.Errorf("%s has a class without words", name)
		}
	}
}
