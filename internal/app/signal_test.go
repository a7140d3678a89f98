//go:build unix

package app

import (
	"os/signal"
	"syscall"
	"testing"
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
