package app

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// lastAttack is the number of the last row of docs/attacks.md.
const lastAttack = 314

// attack is a row of docs/attacks.md. Tests are named as go test names them, behind the folder of their package, or by the file of a scenario.
type attack struct {
	first, last  int
	text, result string
	tests        []string
	said         string // the heading of docs/security.md that says why it is so by design
}

var (
	rowOfAttacks = regexp.MustCompile(`(?m)^\| (\d+)(?:–(\d+))? \| (.*) \| (.*) \| (.*) \|$`)
	codeSpan     = regexp.MustCompile("`([^`]+)`")
	byDesign     = regexp.MustCompile(`^\[by design\]\(security\.md#([a-z-]+)\)$`)
)

// attacksOf reads the rows, and says what is wrong with them: each number stands in one row, in order, and each row has what holds it.
func attacksOf(text string) (rows []attack, wrong []string) {
	next := 1
	for _, m := range rowOfAttacks.FindAllStringSubmatch(text, -1) {
		a := attack{text: m[3], result: m[4]}
		a.first, _ = strconv.Atoi(m[1])
		if a.last = a.first; m[2] != "" {
			a.last, _ = strconv.Atoi(m[2])
		}
		if a.first != next || a.last < a.first {
			wrong = append(wrong, fmt.Sprintf("row %s%s follows %d", m[1], m[2], next-1))
		}
		next = a.last + 1
		for _, t := range codeSpan.FindAllStringSubmatch(m[5], -1) {
			a.tests = append(a.tests, t[1])
		}
		if said := byDesign.FindStringSubmatch(a.result); said != nil {
			a.said = said[1]
		} else if a.result != "holds" || len(a.tests) == 0 {
			wrong = append(wrong, fmt.Sprintf("row %d: it %s, by %d tests", a.first, a.result, len(a.tests)))
		}
		rows = append(rows, a)
	}
	if next != lastAttack+1 {
		wrong = append(wrong, fmt.Sprintf("the last row is %d", next-1))
	}
	return rows, wrong
}

// known finds tests in the source.
type known map[string]map[string]map[string]bool // by folder and function: the texts in it

// missing says what there is not of the test that is named so; "" when it is there.
func (k known) missing(t *testing.T, name string) string {
	t.Helper()
	const root = "../../"
	if strings.HasSuffix(name, ".txtar") {
		if _, err := os.Stat(root + name); err != nil {
			return err.Error()
		}
		return ""
	}
	path, cases, _ := strings.Cut(name, "/Test")
	if path == name {
		path, cases, _ = strings.Cut(name, "/Fuzz")
		cases = "Fuzz" + cases
	} else {
		cases = "Test" + cases
	}
	if k[path] == nil {
		k[path] = map[string]map[string]bool{}
		files, err := filepath.Glob(root + path + "/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range parsed.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok || f.Recv != nil {
					continue
				}
				texts := map[string]bool{}
				ast.Inspect(f, func(n ast.Node) bool {
					if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
						if text, err := strconv.Unquote(l.Value); err == nil {
							texts[strings.Trim(text, "/")] = true
						}
					}
					return true
				})
				k[path][f.Name.Name] = texts
			}
		}
	}
	function, rest, _ := strings.Cut(cases, "/")
	texts, ok := k[path][function]
	if !ok {
		return "there is no " + function + " in " + path
	}
	for c := range strings.SplitSeq(rest, "/") {
		if c != "" && !texts[c] {
			return "there is no case " + strconv.Quote(c) + " in " + function
		}
	}
	return ""
}

// Each row of docs/attacks.md is held by a test that exists, or is said to be by design where docs/security.md says why.
func TestAttacks(t *testing.T) {
	read := func(file string) string {
		text, err := os.ReadFile("../../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	headings := map[string]bool{}
	for _, h := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(read("security.md"), -1) {
		headings[strings.ReplaceAll(strings.ToLower(h[1]), " ", "-")] = true
	}
	text := read("attacks.md")
	rows, wrong := attacksOf(text)
	for _, w := range wrong {
		t.Error(w)
	}
	if lines := strings.Count(text, "\n| ") - 1; len(rows) != lines {
		t.Errorf("%d rows of %d lines can be read", len(rows), lines)
	}
	k := known{}
	for _, a := range rows {
		if a.said != "" && !headings[a.said] {
			t.Errorf("row %d: docs/security.md has no heading %s", a.first, a.said)
		}
		for _, test := range a.tests {
			if m := k.missing(t, test); m != "" {
				t.Errorf("row %d: %s", a.first, m)
			}
		}
	}
}

// What TestAttacks would find.
func TestAttacksAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"| 2 | x | holds | `a` |\n":                            "row 2 follows 0",
		"| 1 | x | holds | `a` |\n| 1 | x | holds | `a` |\n":   "row 1 follows 1",
		"| 1–3 | x | holds | `a` |\n| 3 | x | holds | `a` |\n": "row 3 follows 3",
		"| 1 | x | holds | – |\n":                              "row 1: it holds, by 0 tests",
		"| 1 | x | fails | `a` |\n":                            "row 1: it fails, by 1 tests",
		"| 1 | x | by design | `a` |\n":                        "row 1: it by design, by 1 tests",
		"| 1–300 | x | [by design](security.md#x) | – |\n":     "the last row is 300",
	} {
		if _, wrong := attacksOf(text); len(wrong) == 0 || wrong[0] != want {
			t.Errorf("%q: %q, want %q", text, wrong, want)
		}
	}
	k := known{}
	for name, want := range map[string]string{
		"internal/app/TestAttacks":                   "",
		"internal/app/TestAttacksAreChecked/no such": `there is no case "no such" in TestAttacksAreChecked`,
		"internal/app/TestNoSuch":                    "there is no TestNoSuch in internal/app",
		"internal/nowhere/TestAttacks":               "there is no TestAttacks in internal/nowhere",
		"e2e/testdata/script/nowhere.txtar":          "stat ../../e2e/testdata/script/nowhere.txtar: no such file or directory",
	} {
		if name == "internal/app/TestAttacksAreChecked/no such" { // the text stands here
			name, want = strings.Replace(name, "no such", "no "+"such case", 1), strings.Replace(want, "no such", "no "+"such case", 1)
		}
		if got := k.missing(t, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
