package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

func play(t *testing.T, replies []reply, limit time.Duration, steps ...func(*Follower)) string {
	t.Helper()
	var got string
	synctest.Test(t, func(t *testing.T) {
		script, s := &script{t: t, replies: replies}, newSink()
		f := New(t.Context(), Options{Open: script.Open, Out: s.out})
		for _, step := range steps {
			step(f)
			synctest.Wait()
		}
		f.Drain(limit)
		<-s.done
		f.Close()
		script.done()
		got = s.text()
	})
	return got
}

func observe(s corev1.ContainerStatus, gone bool) func(*Follower) {
	return func(f *Follower) { f.Observe(pod("p", s), gone) }
}

func after(d time.Duration) func(*Follower) { return func(*Follower) { time.Sleep(d) } }

// When the kubelet answers with its own words, what follows the lines that were delivered is lost.
func TestKubeletsWordsBehindLines(t *testing.T) {
	const words = "unable to retrieve container logs for containerd://id"
	replies := []reply{
		{want: "follow", text: line(5, 500, "a") + "2000-01-01T00:00:05.7", end: io.ErrUnexpectedEOF},
		{want: "follow 05", text: words, end: io.ErrUnexpectedEOF},
	}
	for range tries {
		replies = append(replies, reply{want: "read 05", text: words})
	}
	got := play(t, replies, time.Minute, observe(running("id"), false), after(10*time.Millisecond), observe(terminated("id"), false))
	if want := "p/main/0 \"a\"\np/main/0 gap: the log cannot be read: " + words + "\ndrained\n"; got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// The node is lost: the stream stays open and silent, and the pod is removed.
func TestLostNode(t *testing.T) {
	got := play(t, []reply{{want: "follow", text: line(5, 500, "a") + "2000-01-01T00:00:05.700000000Z half of a li", hold: true}}, time.Minute,
		observe(running("id"), false), after(30*time.Second), observe(running("id"), true), after(10*time.Second))
	if want := "p/main/0 \"a\"\np/main/0 gap: the pod was deleted before its log could be read\ndrained\n"; got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

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
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(checks) < 3 || checks[2] > 5*time.Minute {
			t.Errorf("checked after %v", checks)
		}
		f.Drain(time.Minute)
		<-s.done
		f.Close()
	})
}

// A log that was read to its end is not called unread when the time for draining ends while it is waited for what the runtime may
// still write.
func TestDrainLimitBehindTheEnd(t *testing.T) {
	got := play(t, []reply{{want: "read", text: line(5, 500, strings.Repeat("x", burst))}}, 500*time.Millisecond, func(f *Follower) {
		s := terminated("id")
		s.State.Terminated.FinishedAt.Time = at("2000-01-01T00:00:06Z")
		f.Observe(pod("p", s), false)
	})
	if want := fmt.Sprintf("p/main/0 %q\ndrained\n", strings.Repeat("x", burst)); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
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
		if i := slices.IndexFunc(s.events, func(e event.Event) bool { _, ok := e.(event.Drained); return ok }); i != len(s.events)-1 {
			t.Error("something came behind the end")
		}
	})
}
