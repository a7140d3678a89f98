//go:build unix

package app

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestSignals: whatever asks a process to end cancels the run, and nothing ends it before.
func TestSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if signal.Ignored(s) { // the tests run under nohup
			continue
		}
		ctx, stop := untilSignal(func() {})
		if err := syscall.Kill(syscall.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Second):
			t.Errorf("%s does nothing", s)
		}
		stop()
	}
}

// TestOneSignalTwice: timeout(1) signals its child and then its child's group, and a wrapper passes on what the terminal has sent to both. That is
// one wish to stop, after which the Job is deleted; only what comes later ends the process at once.
func TestOneSignalTwice(t *testing.T) {
	for _, c := range []struct {
		name  string
		after []time.Duration
		then  syscall.Signal
		exits bool
	}{
		{"one", nil, syscall.SIGTERM, false},
		{"one, twice", []time.Duration{0}, syscall.SIGTERM, false},
		{"one, by three ways on a slow machine", []time.Duration{time.Millisecond, 300 * time.Millisecond}, syscall.SIGTERM, false},
		{"a second one", []time.Duration{time.Second}, syscall.SIGTERM, true},
		{"one twice, and a second one", []time.Duration{time.Millisecond, time.Second}, syscall.SIGTERM, true},
		{"another one at once", []time.Duration{0}, syscall.SIGINT, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				arrived, stopped := make(chan os.Signal, 4), make(chan struct{})
				cancelled, exited := 0, 0
				go obey(arrived, stopped, func() { cancelled++ }, func() { exited++ })
				arrived <- syscall.SIGTERM
				for _, d := range c.after {
					time.Sleep(d)
					arrived <- c.then
				}
				synctest.Wait()
				if cancelled != 1 || exited > 1 || (exited == 1) != c.exits {
					t.Errorf("cancelled %d times, exited %d times", cancelled, exited)
				}
				close(stopped)
			})
		})
	}
}
