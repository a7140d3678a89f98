//go:build unix

package app

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopped is the signal by which the process stops itself: once SIGTSTP was caught, its default action does not come back (runtime, sigdisable). Unlike
// SIGSTOP, the kernel leaves it out where no shell could continue the process (POSIX, General Terminal Interface, orphaned process groups).
const stopped = syscall.SIGTTOU

// untilContinued stops the process, and is back when somebody has continued it, or soon when nobody could.
func untilContinued() {
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	if err := syscall.Kill(syscall.Getpid(), stopped); err != nil {
		return
	}
	select { // the kernel may stop this thread a moment after kill has returned
	case <-continued:
	case <-time.After(100 * time.Millisecond):
	}
}

// suspendable has ^Z take the status line away before it stops the process, until done is called.
func (a *app) suspendable() (done func()) {
	if a.away == nil || signal.Ignored(syscall.SIGTSTP) || signal.Ignored(stopped) {
		return func() {}
	}
	arrived, ended := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(arrived, syscall.SIGTSTP)
	go func() {
		for {
			select {
			case <-arrived:
				a.suspend(untilContinued)
			case <-ended:
				return
			}
		}
	}()
	return func() {
		signal.Stop(arrived)
		close(ended)
	}
}
