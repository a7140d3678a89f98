//go:build unix

package app

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/planton/kubernetes-job-action/internal/report"
	"github.com/planton/kubernetes-job-action/internal/report/text"
)

// onTerminal is an app with a status line.
func onTerminal(stderr io.Writer, away func()) *app {
	a := &app{Process: Process{Stderr: stderr, Terminal: Terminal{Width: func() int { return 80 }}, LookupEnv: func(name string) (string, bool) { return map[string]string{"TERM": "xterm"}[name], name == "TERM" }},
		away: away, turn: make(turn, 1)}
	a.options.Report.Format = report.FormatText
	return a
}

// TestSuspend: the status line is away while the process stands still, and nobody draws it meanwhile.
func TestSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var terminal bytes.Buffer
		away := 0
		a := onTerminal(&terminal, func() { away++ })
		drawn := make(chan error, 1)
		a.suspend(func() {
			go func() {
				_, err := writer{a.Stderr, a.turn}.Write([]byte("line"))
				drawn <- err
			}()
			synctest.Wait()
			if got := terminal.String(); got != text.Erase {
				t.Errorf("the terminal of a stopped process got %q", got)
			}
		})
		if err := <-drawn; err != nil || away != 1 || terminal.String() != text.Erase+"line" {
			t.Errorf("%v, told %d times, the terminal got %q", err, away, terminal.String())
		}
	})
}

// TestSuspendWithoutTurn: a terminal that takes nothing does not keep the process from being stopped.
func TestSuspendWithoutTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := onTerminal(io.Discard, func() {})
		a.turn <- struct{}{} // somebody writes
		began, stops := time.Now(), 0
		a.suspend(func() { stops++ })
		if took := time.Since(began); stops != 1 || took > 100*time.Millisecond {
			t.Errorf("stopped %d times, after %s", stops, took)
		}
	})
}

// TestStopped stops a process by what ^Z sends, and continues it.
func TestStopped(t *testing.T) {
	const asChild = "KUBERNETES_JOB_ACTION_TEST_STOPPED"
	if os.Getenv(asChild) != "" {
		a := onTerminal(os.Stdout, func() { fmt.Println("continued") })
		done := a.suspendable()
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
		done()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestStopped$")
	cmd.Env = append(os.Environ(), asChild+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell does
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() // when the test has failed
	said := bufio.NewReader(stdout)
	hear := func(want string) {
		t.Helper()
		if line, err := said.ReadString('\n'); err != nil || line != want+"\n" {
			t.Fatalf("it said %q, %v, want %q", line, err, want)
		}
	}
	hear("ready")
	for range 2 {
		if err := syscall.Kill(cmd.Process.Pid, syscall.SIGTSTP); err != nil {
			t.Fatal(err)
		}
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
			t.Fatalf("status %#x, %v: it is not stopped", status, err)
		}
		if err := syscall.Kill(cmd.Process.Pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		hear(text.Erase + "continued")
	}
	stdin.Close()
	if rest, err := io.ReadAll(said); err != nil || !strings.HasPrefix(string(rest), "PASS") {
		t.Errorf("it said %q, %v", rest, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
