package event

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Ref{}.String(), ""},
		{Ref{Kind: "Namespace", Name: "a"}.String(), "Namespace a"},
		{Ref{Kind: "Job", Namespace: "a", Name: "b"}.String(), "Job a/b"},
		{Seconds(400 * time.Millisecond), "0.4 s"},
		{Seconds(45 * time.Second), "45 s"},
		{Seconds(200 * time.Second), "3 min 20 s"},
		{Seconds(125 * time.Minute), "2 h 5 min"},
		{Seconds(time.Minute), "1 min"},
		{Seconds(24*time.Hour + 30*time.Second), "24 h"},
		{Progress{Wanted: 10, Succeeded: 2, Running: 3, Waiting: []Waiting{{1, "pulling image", 45 * time.Second}}}.String(),
			"2/10 done, 3 running, 1 pulling image (45 s)"},
		{Progress{Wanted: 1, Failed: 2, Suspended: true, Note: "in a queue"}.String(), "0/1 done, 2 failed, suspended: in a queue"},
		{Finding{Message: "wrong"}.String(), "wrong"},
		{Finding{File: "a.yaml", Line: 3, Column: 5, Path: "spec.x", Message: "is no field", Suggestion: `did you mean "y"?`}.String(),
			`a.yaml:3:5: spec.x: is no field (did you mean "y"?)`},
		{(&Cause{Message: "it failed"}).Error(), "it failed"},
		{(&Cause{Message: "it failed", Hint: "Fix it."}).Error(), "it failed. Fix it."},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestCauseUnwraps(t *testing.T) {
	inner := errors.New("inner")
	if !errors.Is(&Cause{Message: "outer", Err: inner}, inner) {
		t.Error("the underlying error is lost")
	}
}

func TestHasErrors(t *testing.T) {
	if HasErrors([]Finding{{Level: Warning}, {Level: Info}}) || !HasErrors([]Finding{{Level: Warning}, {Level: Error}}) {
		t.Error("only findings of level error are errors")
	}
}

// TestAll: the two lists hold every type of their family.
func TestAll(t *testing.T) {
	text, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	findings, err := os.ReadFile("finding.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string][]string{}
	for _, e := range Events {
		listed["isEvent"] = append(listed["isEvent"], fmt.Sprintf("%T", e))
	}
	for _, f := range Facts {
		listed["isFact"] = append(listed["isFact"], fmt.Sprintf("%T", f))
	}
	declared := regexp.MustCompile(`(?m)^func \((\w+)\) (isEvent|isFact)\(\)`).FindAllStringSubmatch(string(text)+string(findings), -1)
	for _, m := range declared {
		if !slices.Contains(listed[m[2]], "event."+m[1]) {
			t.Errorf("%s is in no list, but has %s", m[1], m[2])
		}
	}
	if len(declared) != len(Events)+len(Facts) {
		t.Errorf("%d types are declared, %d are listed", len(declared), len(Events)+len(Facts))
	}
}

// TestShorten: a text is never cut within a character or an escape: a secret that goes on behind it would not be known by its beginning.
func TestShorten(t *testing.T) {
	x := strings.Repeat("x", 100)
	for name, test := range map[string]struct{ in, want string }{
		"as long as may be":       {x, x},
		"longer":                  {x + "x", x[:97] + "…"},
		"a character":             {x[:96] + "😀😀", x[:96] + "…"},
		"a colour":                {x[:90] + "\x1b[38;5;196mred", x[:90] + "…"},
		"a colour, before":        {x[:60] + "\x1b[0m" + x, x[:60] + "\x1b[0m" + x[:33] + "…"},
		"percent":                 {x[:95] + "%41BCD", x[:95] + "…"},
		"a quoted backslash":      {x[:72] + `\\` + x, x[:72] + "…"},
		"the halves of an emoji":  {x[:80] + `\ud83d\ude00` + x, x[:80] + "…"},
		"the second half, far in": {x[:68] + `\ud83d\ude00` + x, x[:68] + "…"},
		"marks alone":             {strings.Repeat("%", 101), strings.Repeat("%", 97) + "…"},
		"no UTF-8":                {strings.Repeat("\x80", 101), strings.Repeat("\x80", 97) + "…"},
	} {
		if got := Shorten(test.in, 100); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
