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

// What may stand before a command, and does not keep the runner from obeying it.
func TestWhatIsPassedOver(t *testing.T) {
	for _, before := range []string{" ", "\t", "\v", "\f", "\u0085", "\u00a0", "\u1680", "\u2000", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", // white space
		"\u200b", "\u00ad", "\u200e", "\u2060", "\ufeff", "\u180e", "\u0301", "\x00", "\x07", "\x1b", "\u00a0\u200b "} {
		var r Log
		r.Play(before + "::error::x\n")
		if len(r.Obeyed) != 1 {
			t.Errorf("behind %+q, a command is not obeyed", before)
		}
	}
	var r Log
	r.Play(":\u200b:error::x\nx::error::x\n. ::error::x\n-::error::x\n")
	if len(r.Obeyed) != 1 || len(r.Shown) != 3 {
		t.Errorf("obeyed %v, shown %q", r.Obeyed, r.Shown)
	}
}
