package actionsrunner

import (
	"fmt"
	"slices"
	"testing"
)

// The played runner must obey what the real one obeys, else the tests against it show nothing.
func TestPlayedRunner(t *testing.T) {
	var r Log
	r.Play("  ::error file=a%2Cb,line=3::x%0Ay\n" +
		"progress\r::warning::w\n" +
		"text ##[add-mask]e\n" +
		"::unknown::x\n" +
		"::stop-commands::T1\n" +
		"::error::dead\n" +
		"##[group]dead\n" +
		"::stop-commands::x\n" +
		"::t1::\n" +
		"::notice::n\n")
	want := []Command{
		{"error", map[string]string{"file": "a,b", "line": "3"}, "x\ny"},
		{"warning", nil, "w"}, {"add-mask", nil, "e"}, {"notice", nil, "n"},
	}
	if fmt.Sprint(r.Obeyed) != fmt.Sprint(want) {
		t.Errorf("obeyed %v, want %v", r.Obeyed, want)
	}
	if want := []string{"progress", "::unknown::x", "::error::dead", "##[group]dead", "::stop-commands::x"}; !slices.Equal(r.Shown, want) {
		t.Errorf("shown %q, want %q", r.Shown, want)
	}
	got, err := Values("a=1\nb<<X\nc=2\nX\nd<<Y\n\nY\n")
	if err != nil || fmt.Sprint(got) != fmt.Sprint(map[string]string{"a": "1", "b": "c=2", "d": ""}) {
		t.Errorf("values: %q, %v", got, err)
	}
	if _, err := Values("a<<X\nc=2\n"); err == nil {
		t.Error("a value without its delimiter is read")
	}
}
