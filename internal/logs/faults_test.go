package logs

import (
	"context"
	"errors"
	"fmt"
	"io"

	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// A check of a silent stream that fails is made again soon.
func TestFailedCheckOfASilentStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, log := newKubelet(), newContainerLog()
		k.serve("p/main", log, nil)
		log.write(time.Now(), "line 0")
		s := newSink()
		begin := time.Now()
		var checks []time.Duration
		f := New(t.Context(), Options{Out: s.out, Open: func(ctx context.Context, namespace, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
			if !o.Follow {
				if checks = append(checks, time.Since(begin)); len(checks) <= 2 {
					return nil, errors.New("connection refused")
				}
			}
			return k.Open(ctx, namespace, pod, o)
		}})
		f.Observe(pod("p", running("id")), false)
		time.Sleep(idle + time.Minute)
		synctest.Wait()
		if len(checks) < 3 || checks[2] > idle+10*time.Second {
			t.Errorf("checked after %v", checks)
		}
		f.Drain(time.Minute)
		<-s.done
		f.Close()
	})
}

// A container is silent only while its log is open and empty: what cannot be read may hold anything.
func TestSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, log := newKubelet(), newContainerLog()
		k.serve("p/main", log, nil)
		var whole atomic.Bool
		f := New(t.Context(), Options{Out: make(chan event.Fact, 9), Open: func(ctx context.Context, namespace, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
			if !whole.Load() {
				return nil, errors.New("connection refused")
			}
			return k.Open(ctx, namespace, pod, o)
		}})
		check := func(when string, want bool) {
			t.Helper()
			time.Sleep(time.Minute)
			synctest.Wait()
			if got := f.Silent("uid-p", "main"); got != want {
				t.Errorf("%s: %v", when, got)
			}
		}
		check("nobody knows the container", false)
		f.Observe(pod("p", running("id")), false)
		check("its log cannot be opened", false)
		whole.Store(true)
		check("its log is empty", true)
		if f.Silent("uid-p", "other") || f.Silent("uid-q", "main") {
			t.Error("another container is silent")
		}
		log.write(time.Now(), "a line")
		check("it has written", false)
		f.Close()
		if f.Silent("uid-p", "main") {
			t.Error("it is silent when nobody reads")
		}
	})
}

// A log that was read to its end is not called unread when the time for draining ends while it is waited for what the runtime may
// still write.
func TestDrainLimitBehindTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s := &answers{t: t, file: line(5, 500, strings.Repeat("x", burst))}, newSink()
		f := New(t.Context(), Options{Open: a.Open, Out: s.out})
		status := terminated("id")
		status.State.Terminated.FinishedAt.Time = at("2000-01-01T00:00:06Z")
		f.Observe(pod("p", status), false)
		synctest.Wait()
		f.Drain(500 * time.Millisecond)
		<-s.done
		f.Close()
		if got, want := s.text(), fmt.Sprintf("p/main/0 %q\ndrained\n", strings.Repeat("x", burst)); got != want {
			t.Errorf("got:\n%.200swant:\n%.200s", got, want)
		}
	})
}

// From the limit on, it is said once that containers wait, and which.
func TestWaitingContainersAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, s := newKubelet(), newSink()
		f := New(t.Context(), Options{Open: k.Open, Out: s.out, Streams: 2})
		show := func(n string) {
			log := newContainerLog()
			log.write(time.Now(), "hello")
			k.serve(n+"/main", log, nil)
			f.Observe(pod(n, running("id-"+n)), false)
		}
		notices := func() (found []event.Notice) {
			for _, e := range s.events {
				if n, ok := e.(event.Notice); ok {
					found = append(found, n)
				}
			}
			return found
		}
		for i := range 2 {
			show(fmt.Sprintf("p%d", i))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := notices(); len(got) > 0 {
			t.Errorf("no container waits: %+v", got)
		}
		for i := 2; i < 10; i++ {
			show(fmt.Sprintf("p%d", i))
		}
		time.Sleep(time.Minute)
		show("late")
		time.Sleep(time.Minute)
		synctest.Wait()
		got := notices()
		if len(got) != 1 || got[0].Level != event.Warning || got[0].Key != "logs-waiting" || !strings.Contains(got[0].Message, "main of p2, main of p3, ") ||
			!strings.Contains(got[0].Message, ", and 3 more") || strings.Contains(got[0].Message, "p1") {
			t.Errorf("%+v", got)
		}
		f.Drain(time.Minute)
		<-s.done
		f.Close()
		if i := slices.IndexFunc(s.events, func(e event.Fact) bool { _, ok := e.(event.Drained); return ok }); i != len(s.events)-1 {
			t.Error("something came behind the end")
		}
	})
}

// A container that dies at once, behind a line without an end, and again half a second later.
func TestHalfLineOfARunThatIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{t: t, file: strings.TrimSuffix(line(0, 5, "the cause"), "\n")}
		s := newSink()
		f := New(t.Context(), Options{Open: a.Open, Out: s.out})
		restarting(crashed("id"))(f) // with it, lines that end arrive before the next step
		time.Sleep(500 * time.Millisecond)
		a.mu.Lock()
		a.file, a.previous = line(1, 0, "second run"), ""
		a.mu.Unlock()
		third := crashed("id2") // the run between was not told
		third.RestartCount, third.LastTerminationState = 2, corev1.ContainerState(dead("id1", 1))
		restarting(third)(f)
		time.Sleep(10 * time.Second)
		f.Drain(5 * time.Second)
		<-s.done
		f.Close()
		if !strings.Contains(s.text(), `p/main/0 "the cause"`) {
			t.Errorf("the half line was read and dropped:\n%s", s.text())
		}
	})
}
