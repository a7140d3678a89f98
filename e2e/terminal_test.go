package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/planton/kubernetes-job-action/e2e/devcluster"
)

// readers installs what looks at a terminal and at reports, once for all scripts.
var readers = sync.OnceValue(func() error { return shared.cluster.InstallReaders(context.Background()) })

// tmux runs a command of the server of one terminal.
func tmux(ts *testscript.TestScript, name string, args ...string) {
	ts.Check(ts.Exec("tmux", append([]string{"-u", "-f", "/dev/null", "-S", ts.MkAbs(name + ".tmux")}, args...)...))
}

func size(ts *testscript.TestScript, text string) []string {
	width, height, ok := strings.Cut(text, "x")
	if !ok {
		ts.Fatalf("%s is no WIDTHxHEIGHT", text)
	}
	return []string{"-x", width, "-y", height}
}

// cmdTerminal: terminal NAME WIDTHxHEIGHT COMMAND ARGS…
func cmdTerminal(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 3, "terminal NAME WIDTHxHEIGHT COMMAND ARGS...")
	ts.Check(readers())
	// What is left of the command's last line stands before the words. A key that sends a signal sends it to the shell too.
	shell := []string{"sh", "-c", `trap : INT; "$@"; echo "ended with $?"; exec sleep 1000`, "sh"}
	session := append(append(append([]string{"new-session", "-d"}, size(ts, args[1])...), shell...), args[2:]...)
	// In one go, so that nothing is written before there is the pipe.
	tmux(ts, args[0], append(session, ";", "pipe-pane", "cat > '"+ts.MkAbs(args[0]+".raw")+"'")...)
	ts.Defer(func() { _ = exec.Command("tmux", "-S", ts.MkAbs(args[0]+".tmux"), "kill-server").Run() }) // it may have ended
}

// cmdKeys: keys NAME KEY…
func cmdKeys(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 2, "keys NAME KEY...")
	tmux(ts, args[0], append([]string{"send-keys"}, args[1:]...)...)
}

// cmdResize: resize NAME WIDTHxHEIGHT
func cmdResize(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 2, "resize NAME WIDTHxHEIGHT")
	tmux(ts, args[0], append([]string{"resize-window"}, size(ts, args[1])...)...)
}

// cmdScreen: [!] screen NAME REGEXP [DURATION]
func cmdScreen(ts *testscript.TestScript, neg bool, args []string) {
	needArgs(ts, args, 2, "[!] screen NAME REGEXP [DURATION]")
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	patience := defaultPatience
	if len(args) > 2 {
		patience = duration(ts, args[2])
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		ansi, err := exec.Command("tmux", "-u", "-S", ts.MkAbs(args[0]+".tmux"), "capture-pane", "-p", "-e").Output()
		ts.Check(err)
		shown := blanks.ReplaceAllString(strings.TrimRight(colours.ReplaceAllString(string(ansi), ""), " \n"), "\n")
		switch matched := pattern.MatchString(shown); {
		case matched != neg:
			ts.Check(os.WriteFile(ts.MkAbs(args[0]+".screen"), []byte(shown+"\n"), 0o600))
			ts.Check(os.WriteFile(ts.MkAbs(args[0]+".ansi"), ansi, 0o600))
			return
		case neg || time.Now().After(deadline):
			ts.Fatalf("the terminal shows\n%s\nand that matches %s: %v", shown, args[1], matched)
		}
	}
}

var (
	colours = regexp.MustCompile(`\x1b\[[0-9;:]*m|\x1b\(.|\x0e|\x0f`)
	blanks  = regexp.MustCompile(` *\n`)
)

// readJUnit prints what a CI system makes of a report.
const readJUnit = `
import sys
from junitparser import JUnitXml
for suite in JUnitXml.fromfile(sys.argv[1]):
    cases = list(suite)
    assert suite.tests == len(cases) and suite.time >= 0, suite
    for case in cases:
        results = [type(r).__name__ + " " + (r.message or "") for r in case.result]
        print(case.classname, case.name + ":", " ".join("; ".join(results).split()) or "passed")
`

// cmdJUnit: junit FILE
func cmdJUnit(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 1, "junit FILE")
	ts.Check(readers())
	schema, err := filepath.Abs("testdata/junit.xsd")
	ts.Check(err)
	ts.Check(ts.Exec("xmllint", "--nonet", "--noout", "--schema", schema, ts.MkAbs(args[0])))
	ts.Check(ts.Exec(devcluster.Python, "-c", readJUnit, ts.MkAbs(args[0])))
}

// TestJUnit checks the reports that internal/report/junit has for its own tests: hostile ones, and those of the recorded runs.
func TestJUnit(t *testing.T) {
	if err := readers(); err != nil {
		t.Fatal(err)
	}
	made, err := filepath.Glob("../internal/report/junit/testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	recorded, err := filepath.Glob("../internal/report/junit/testdata/runs/*.xml")
	files := append(made, recorded...)
	if err != nil || len(made) < 10 || len(recorded) < 10 {
		t.Fatalf("%d and %d reports, %v", len(made), len(recorded), err)
	}
	if out, err := exec.Command("xmllint", append([]string{"--nonet", "--noout", "--schema", "testdata/junit.xsd"}, files...)...).CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	for _, file := range files {
		out, err := exec.Command(devcluster.Python, "-c", readJUnit, file).CombinedOutput()
		text, readErr := os.ReadFile(file)
		if err != nil || readErr != nil || strings.Count(string(text), "<testcase ") != strings.Count(string(out), "\n") {
			t.Errorf("%s: %v, %v, understood as\n%s", file, err, readErr, out)
		}
	}
	if out, err := exec.Command("xmllint", "--nonet", "--noout", "--schema", "testdata/junit.xsd", "testdata/junit.xsd").CombinedOutput(); err == nil {
		t.Errorf("the schema allows what is no report: %s", out)
	}
}
