package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// reply is one expected request and what it is answered.
type reply struct {
	want string // "follow", "read", "tail" or "previous", and the second of sinceTime when there is one
	text string
	end  error // behind text; nil means the end of the answer
	hold bool  // the answer stays open
	err  error
	late time.Duration // from the beginning of the answer to text
}

// script answers requests in order, and knows whether all were made.
type script struct {
	t       *testing.T
	mu      sync.Mutex
	replies []reply
}

func (s *script) Open(ctx context.Context, ns, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := "read"
	switch {
	case o.Previous:
		asked = "previous"
	case o.Follow:
		asked = "follow"
	case o.TailLines != nil:
		asked = "tail"
	}
	if o.SinceTime != nil {
		asked += o.SinceTime.UTC().Format(" 05")
	}
	if len(s.replies) == 0 {
		s.t.Errorf("nothing more was expected: %s %s/%s/%s", asked, ns, pod, o.Container)
		return nil, apierrors.NewForbidden(podLog, pod, errors.New("the script is over"))
	}
	r := s.replies[0]
	s.replies = s.replies[1:]
	if asked != r.want {
		s.t.Errorf("asked for %q, expected %q", asked, r.want)
	}
	if r.err != nil {
		return nil, r.err
	}
	var rest io.Reader = errReader{r.end}
	if r.hold {
		rest = ctxReader{ctx}
	}
	return io.NopCloser(io.MultiReader(lateReader{ctx, r.late}, strings.NewReader(r.text), rest)), nil
}

func (s *script) done() {
	s.t.Helper()
	for _, r := range s.replies {
		s.t.Errorf("was never asked for %q", r.want)
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) {
	if e.err == nil {
		return 0, io.EOF
	}
	return 0, e.err
}

// lateReader is empty, and takes its time to say so.
type lateReader struct {
	ctx context.Context
	d   time.Duration
}

func (l lateReader) Read([]byte) (int, error) {
	select {
	case <-time.After(l.d):
		return 0, io.EOF
	case <-l.ctx.Done():
		return 0, l.ctx.Err()
	}
}

type ctxReader struct{ ctx context.Context }

func (c ctxReader) Read([]byte) (int, error) {
	<-c.ctx.Done()
	return 0, c.ctx.Err()
}

// line is a line as the kubelet sends it, written at a second and a millisecond.
func line(second, milli int, text string) string {
	return fmt.Sprintf("2000-01-01T00:00:%02d.%03d000000Z %s\n", second, milli, text)
}

func TestRun(t *testing.T) {
	run := func(s corev1.ContainerStatus) func(*Follower) {
		return func(f *Follower) { f.Observe(pod("p", s), false) }
	}
	restarting := func(s corev1.ContainerStatus) func(*Follower) {
		return func(f *Follower) {
			p := pod("p", s)
			p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
			f.Observe(p, false)
		}
	}
	endedAtSix := func(f *Follower) {
		s := terminated("id")
		s.State.Terminated.FinishedAt = metav1.Date(2000, 1, 1, 0, 0, 6, 0, time.UTC)
		run(s)(f)
	}
	crashed := func(f *Follower) {
		restarting(corev1.ContainerStatus{Name: "main", ContainerID: "id", State: dead("id", 1)})(f)
	}
	again := func(f *Follower) {
		s := running("id1")
		s.RestartCount, s.LastTerminationState = 1, dead("id", 1)
		restarting(s)(f)
	}
	thrice := func(f *Follower) {
		s := running("id2")
		s.RestartCount, s.LastTerminationState = 2, dead("id1", 1)
		restarting(s)(f)
	}
	wait := func(d time.Duration) func(*Follower) { return func(*Follower) { time.Sleep(d) } }
	gone := func(s corev1.ContainerStatus) func(*Follower) {
		return func(f *Follower) { f.Observe(pod("p", s), true) }
	}
	refused := apierrors.NewBadRequest(`container "main" in pod "p" is waiting to start: ContainerCreating`)
	tests := map[string]struct {
		steps   []func(*Follower)
		replies []reply
		want    string
	}{
		"a stream that is cut in a line": {
			steps: []func(*Follower){run(running("id")), wait(time.Second), run(terminated("id"))},
			replies: []reply{
				{want: "follow", text: line(5, 500, "a") + line(5, 600, "b") + "2000-01-01T00:00:05.7", end: io.ErrUnexpectedEOF},
				{want: "follow 05", text: line(5, 500, "a") + line(5, 600, "b") + line(5, 700, "c"), hold: true},
				{want: "read 05", text: line(5, 500, "a") + line(5, 600, "b") + line(5, 700, "c") + line(6, 0, "d")},
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\np/main/0 \"c\"\np/main/0 \"d\"\ndrained\n",
		},
		"the second before, near its end": {
			steps: []func(*Follower){run(running("id")), wait(time.Second), run(terminated("id"))},
			replies: []reply{
				{want: "follow", text: line(5, 50, "a"), hold: true},
				{want: "read 04", text: "end of a long line\n" + line(5, 50, "a") + line(5, 40, "b")},
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\ndrained\n",
		},
		"the kubelet reads a file twice": {
			steps: []func(*Follower){run(running("id")), wait(time.Second), run(terminated("id"))},
			replies: []reply{
				{want: "follow", text: line(4, 0, "a") + line(5, 0, "b") + line(6, 0, "c") + line(5, 0, "b") + line(6, 0, "c") + line(7, 0, "d"), hold: true},
				{want: "read 06", text: line(6, 0, "c") + line(7, 0, "d")},
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\np/main/0 \"c\"\np/main/0 \"d\"\ndrained\n",
		},
		"the kubelet reads a file twice that was written in a moment": {
			steps: []func(*Follower){run(running("id")), wait(time.Second), run(terminated("id"))},
			replies: []reply{
				{
					want: "follow",
					text: line(6, 0, "a") + line(6, 20, "b") + line(6, 10, "c") + line(6, 30, "d") + line(6, 10, "c") + line(6, 30, "d") + line(6, 40, "e"),
					hold: true,
				},
				{want: "read 05", text: line(6, 10, "c") + line(6, 30, "d") + line(6, 40, "e")},
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\np/main/0 \"c\"\np/main/0 \"d\"\np/main/0 \"e\"\ndrained\n",
		},
		"the kubelet reads a file twice that begins within a line": {
			steps: []func(*Follower){run(running("id")), wait(time.Second), run(terminated("id"))},
			replies: []reply{
				{want: "follow", text: line(4, 0, "one line") + line(6, 0, "c") + line(5, 0, "line") + line(6, 0, "c") + line(7, 0, "d"), hold: true},
				{want: "read 06", text: line(6, 0, "c") + line(7, 0, "d")},
			},
			want: "p/main/0 \"one line\"\np/main/0 \"c\"\np/main/0 \"d\"\ndrained\n",
		},
		"the clock is set back": {
			steps: []func(*Follower){run(running("id")), wait(time.Second), run(terminated("id"))},
			replies: []reply{
				{want: "follow", text: line(6, 0, "c") + line(5, 500, "b") + line(7, 0, "d"), hold: true},
				{want: "read 06", text: line(6, 0, "c") + line(5, 500, "b") + line(7, 0, "d")},
			},
			want: "p/main/0 \"c\"\np/main/0 \"b\"\np/main/0 \"d\"\ndrained\n",
		},
		"equal time stamps": {
			steps: []func(*Follower){run(running("id")), wait(time.Second), run(terminated("id"))},
			replies: []reply{
				{want: "follow", text: line(5, 500, "a") + line(5, 500, "a"), end: errors.New("reset")},
				{want: "follow 05", text: line(5, 500, "a"), end: errors.New("reset")},
				{want: "follow 05", text: strings.Repeat(line(5, 500, "a"), 3), hold: true},
				{want: "read 05", text: strings.Repeat(line(5, 500, "a"), 4)},
			},
			want: strings.Repeat("p/main/0 \"a\"\n", 4) + "drained\n",
		},
		"the last line has no newline": {
			steps: []func(*Follower){run(terminated("id"))},
			replies: []reply{
				{want: "read", text: line(5, 500, "a") + strings.TrimSuffix(line(6, 500, "b"), "b\n")},
				{want: "read 05", text: line(5, 500, "a") + strings.TrimSuffix(line(6, 500, "b"), "\n")},
				{want: "read 05", text: line(5, 500, "a") + strings.TrimSuffix(line(6, 500, "b"), "\n")},
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\ndrained\n",
		},
		"no time stamps at all": {
			steps: []func(*Follower){run(running("id")), wait(2 * time.Second), run(terminated("id"))},
			replies: []reply{
				{want: "follow", text: "a\nb\n", end: io.ErrUnexpectedEOF},
				{want: "follow", text: "a\nb\nc\n", hold: true},
				{want: "read", text: "a\nb\nc\n" + "d\n"},
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\np/main/0 \"c\"\np/main/0 \"d\"\ndrained\n",
		},
		"the kubelet's words are not output": {
			steps: []func(*Follower){run(terminated("id"))},
			replies: []reply{
				{want: "read", text: "failed to try resolving symlinks in path"},
				{want: "read", text: line(5, 500, "a")},
			},
			want: "p/main/0 \"a\"\ndrained\n",
		},
		"a log that is gone": {
			steps: []func(*Follower){run(terminated("id"))},
			replies: func() (r []reply) {
				for range tries {
					r = append(r, reply{want: "read", text: "unable to retrieve container logs for containerd://id"})
				}
				return r
			}(),
			want: "p/main/0 gap: the log cannot be read: unable to retrieve container logs for containerd://id\ndrained\n",
		},
		"refused at first": {
			steps: []func(*Follower){run(running("id")), wait(time.Second), run(terminated("id"))},
			replies: []reply{
				{want: "follow", err: refused},
				{want: "follow", text: line(5, 500, "a"), hold: true},
				{want: "read 05", text: line(5, 500, "a")},
			},
			want: "p/main/0 \"a\"\ndrained\n",
		},
		"forbidden": {
			steps:   []func(*Follower){run(running("id")), func(f *Follower) { f.Observe(pod("q", running("idq")), false) }},
			replies: []reply{{want: "follow", err: apierrors.NewForbidden(podLog, "p", errors.New("no"))}},
			want:    "error logs-forbidden\ndrained\n",
		},
		"forbidden by an API server that has just restarted": {
			steps: []func(*Follower){run(running("id")), wait(10 * time.Second), run(terminated("id"))},
			replies: []reply{
				{want: "follow", text: line(5, 500, "a"), end: io.ErrUnexpectedEOF},
				{want: "follow 05", err: apierrors.NewForbidden(podLog, "p", errors.New("no"))},
				{want: "follow 05", err: apierrors.NewForbidden(podLog, "p", errors.New("no"))},
				{want: "follow 05", text: line(5, 500, "a") + line(5, 600, "b"), hold: true},
				{want: "read 05", text: line(5, 500, "a") + line(5, 600, "b")},
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\ndrained\n",
		},
		"deleted before it was read": {
			steps: []func(*Follower){gone(terminated("id"))},
			want:  "p/main/0 gap: the pod was deleted before its log could be read\ndrained\n",
		},
		"deleted after it was read": {
			steps:   []func(*Follower){run(running("id")), wait(500 * time.Millisecond), gone(running("id"))},
			replies: []reply{{want: "follow", text: line(5, 500, "a")}},
			want:    "p/main/0 \"a\"\ndrained\n",
		},
		"deleted while it was cut": {
			steps: []func(*Follower){run(running("id")), wait(time.Millisecond), gone(running("id"))},
			replies: []reply{
				{want: "follow", text: line(5, 500, "a"), end: io.ErrUnexpectedEOF},
				{want: "follow 05", err: errors.New("refused")},
			},
			want: "p/main/0 \"a\"\np/main/0 gap: the pod was deleted before its log could be read\ndrained\n",
		},
		"never started": {
			steps: []func(*Follower){run(corev1.ContainerStatus{Name: "main", ContainerID: "id", State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ContainerID: "id", Reason: "StartError", StartedAt: metav1.Unix(0, 0)},
			}})},
			want: "drained\n",
		},
		"rotated away while it was cut": {
			steps: []func(*Follower){run(running("id")), wait(time.Second), run(terminated("id"))},
			replies: []reply{
				{want: "follow", text: line(5, 500, "a"), end: io.ErrUnexpectedEOF},
				{want: "follow 05", text: line(9, 0, "z"), hold: true},
				{want: "read 08", text: line(9, 0, "z")},
			},
			want: "p/main/0 \"a\"\np/main/0 gap: " + rotated + "\np/main/0 \"z\"\ndrained\n",
		},
		"a file lost while the kubelet's follower was behind": {
			steps: []func(*Follower){run(running("id")), wait(100 * time.Millisecond), run(terminated("id"))},
			replies: []reply{
				{want: "follow", text: strings.Repeat(line(5, 500, strings.Repeat("x", 1000)), 600) + line(9, 0, "z"), hold: true},
				{want: "read 05", text: line(9, 0, "z")},
				{want: "read 08", text: line(9, 0, "z")},
			},
			want: strings.Repeat(fmt.Sprintf("p/main/0 %q\n", strings.Repeat("x", 1000)), 600) + "p/main/0 gap: " + rotated + "\np/main/0 \"z\"\ndrained\n",
		},
		"a line that a rotation has cut, while the kubelet's follower stays with the old file": {
			steps: []func(*Follower){run(running("id")), wait(10 * time.Second), run(terminated("id"))},
			replies: []reply{
				{want: "follow", text: strings.Repeat(line(5, 500, strings.Repeat("x", 1000)), 600) + strings.TrimSuffix(line(5, 600, "one "), "\n"), hold: true},
				{want: "read 05", text: line(5, 601, "line") + line(6, 0, "z")},
				{want: "follow 05", text: line(5, 601, "line") + line(6, 0, "z"), hold: true},
				{want: "read 05", text: line(5, 601, "line") + line(6, 0, "z")},
			},
			want: strings.Repeat(fmt.Sprintf("p/main/0 %q\n", strings.Repeat("x", 1000)), 600) + "p/main/0 \"one \"\np/main/0 \"line\"\np/main/0 \"z\"\ndrained\n",
		},
		"a line that a rotation has cut, just before the end": {
			steps: []func(*Follower){run(running("id")), run(terminated("id")), wait(10 * time.Second)},
			replies: []reply{
				{want: "follow", text: line(5, 500, "a") + strings.TrimSuffix(line(5, 600, "one "), "\n"), hold: true},
				{want: "read 05", text: line(5, 601, "line") + line(5, 700, "z")},
				{want: "read 05", text: line(5, 601, "line") + line(5, 700, "z")},
			},
			want: "p/main/0 \"a\"\np/main/0 \"one \"\np/main/0 \"line\"\np/main/0 \"z\"\ndrained\n",
		},
		"a file lost behind a follower that was behind at the end": {
			steps: []func(*Follower){run(running("id")), run(terminated("id")), wait(10 * time.Second)},
			replies: []reply{
				{want: "follow", text: line(5, 500, "a"), hold: true},
				{want: "read 05", text: line(15, 601, "z")},
				{want: "read 05", text: line(15, 601, "z")},
			},
			want: "p/main/0 \"a\"\np/main/0 gap: " + rotated + "\np/main/0 \"z\"\ndrained\n",
		},
		"the runtime is behind with the log of a container that has ended": {
			steps: []func(*Follower){endedAtSix},
			replies: []reply{
				{want: "read", text: line(5, 400, "a") + line(5, 500, strings.Repeat("x", burst))},
				{want: "tail 05", text: line(6, 0, "z")},
				{want: "read 05", text: line(5, 400, "a") + line(5, 500, strings.Repeat("x", burst)) + line(6, 0, "z")},
			},
			want: "p/main/0 \"a\"\np/main/0 \"" + strings.Repeat("x", burst) + "\"\np/main/0 \"z\"\ndrained\n",
		},
		"the runtime is behind in the middle of a line": {
			steps: []func(*Follower){run(running("id")), wait(time.Second), endedAtSix},
			replies: []reply{
				{want: "follow", text: line(5, 500, strings.Repeat("x", burst)), hold: true},
				{want: "tail 05", text: strings.TrimSuffix(line(6, 0, "z"), "\n")},
				{want: "read 05", text: line(5, 500, strings.Repeat("x", burst)) + line(6, 0, "z")},
			},
			want: "p/main/0 \"" + strings.Repeat("x", burst) + "\"\np/main/0 \"z\"\ndrained\n",
		},
		"the next run's log is not this one's": {
			steps: []func(*Follower){
				restarting(running("id")),
				wait(300 * time.Millisecond),
				again,
				wait(time.Second),
			},
			replies: []reply{
				{want: "follow", text: line(0, 150, "a"), end: io.ErrUnexpectedEOF},
				{want: "follow 00", text: line(0, 200, "second run"), hold: true}, // the news of the restart is late
				{want: "previous 00", text: line(0, 150, "a") + line(0, 160, "b")},
				{want: "follow", text: line(0, 200, "second run"), hold: true},
				{want: "read 00", text: line(0, 200, "second run")},
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\np/main/1 \"second run\"\ndrained\n",
		},
		"the next run's log is still empty": {
			steps: []func(*Follower){
				restarting(running("id")),
				wait(300 * time.Millisecond),
				crashed,
				wait(300 * time.Millisecond),
				again,
				wait(time.Second),
			},
			replies: []reply{
				{want: "follow", text: line(0, 150, "a")},
				{want: "read 00"}, // the news of the restart is late
				{want: "previous 00", text: line(0, 150, "a") + line(0, 160, "b")},
				{want: "follow", text: line(0, 700, "second run"), hold: true},
				{want: "read 00", text: line(0, 700, "second run")},
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\np/main/1 \"second run\"\ndrained\n",
		},
		"the news of a restart is late when the end is looked at again": {
			steps: []func(*Follower){crashed, wait(2500 * time.Millisecond), again, wait(time.Second)},
			replies: []reply{
				{want: "read", text: line(0, 150, strings.Repeat("x", burst))},
				{want: "tail 00", text: line(1, 600, "second run")},
				{want: "read 00", text: line(1, 600, "second run")},
				{want: "previous 00", text: line(0, 150, strings.Repeat("x", burst))},
				{want: "follow", text: line(1, 600, "second run"), hold: true},
				{want: "read 01", text: line(1, 600, "second run")},
			},
			want: "p/main/0 \"" + strings.Repeat("x", burst) + "\"\np/main/1 \"second run\"\ndrained\n",
		},
		"restarted twice before the end was looked at again": {
			steps: []func(*Follower){
				crashed,
				wait(500 * time.Millisecond),
				thrice,
				wait(2 * time.Second),
			},
			replies: []reply{
				{want: "read", text: line(0, 150, strings.Repeat("x", burst))},
				{want: "previous", text: line(0, 300, "b")},
				{want: "follow", text: line(0, 400, "c"), hold: true},
				{want: "read 00", text: line(0, 400, "c")},
			},
			want: "p/main/0 \"" + strings.Repeat("x", burst) + "\"\np/main/1 \"b\"\np/main/2 \"c\"\ndrained\n",
		},
		"restarted before the end was known, and seen by a stream opened since": {
			steps: []func(*Follower){
				restarting(running("id")), wait(1050 * time.Millisecond), again, wait(time.Second),
			},
			replies: []reply{
				{want: "follow", text: line(0, 150, strings.Repeat("x", burst))},
				{want: "follow 00", text: line(0, 300, "second run"), late: 80 * time.Millisecond, hold: true},
				{want: "previous 00", text: line(0, 150, strings.Repeat("x", burst))},
				{want: "follow", text: line(0, 300, "second run"), hold: true},
				{want: "read 00", text: line(0, 300, "second run")},
			},
			want: "p/main/0 \"" + strings.Repeat("x", burst) + "\"\np/main/1 \"second run\"\ndrained\n",
		},
		"restarted twice before the end was known, and the last run seen by a stream opened since": {
			steps: []func(*Follower){
				restarting(running("id")), wait(1050 * time.Millisecond),
				thrice,
				wait(5 * time.Second),
			},
			replies: []reply{
				{want: "follow", text: line(0, 150, strings.Repeat("x", burst))},
				{want: "follow 00", text: line(0, 400, "c"), late: 80 * time.Millisecond, hold: true},
				{want: "previous", text: line(0, 300, "b")},
				{want: "follow", text: line(0, 400, "c"), hold: true},
				{want: "read 00", text: line(0, 400, "c")},
			},
			want: "p/main/0 \"" + strings.Repeat("x", burst) +
				"\"\np/main/0 gap: the container was restarted twice before the log of this run could be read\n" +
				"p/main/1 \"b\"\np/main/2 \"c\"\ndrained\n",
		},
		"restarted twice, and the kubelet knows it before the API server does": {
			steps: []func(*Follower){
				restarting(running("id")), wait(100 * time.Millisecond), again, wait(2 * time.Second), thrice, wait(5 * time.Second),
			},
			replies: []reply{
				{want: "follow", text: line(0, 150, "a")},
				{want: "previous 00", text: line(0, 300, "b")},
				{want: "previous", text: line(0, 300, "b")},
				{want: "follow", text: line(0, 400, "c"), hold: true},
				{want: "read 00", text: line(0, 400, "c")},
			},
			want: "p/main/0 \"a\"\np/main/1 \"b\"\np/main/2 \"c\"\ndrained\n",
		},
		"restarted twice, and the API server tells it very late": {
			steps: []func(*Follower){
				again, wait(2 * time.Second), thrice, wait(5 * time.Second),
			},
			replies: []reply{
				{want: "previous", text: line(0, 300, "b") + line(0, 310, "b2")},
				{want: "follow", text: line(0, 300, "b") + line(0, 310, "b2")},
				{want: "follow 00", text: line(0, 300, "b") + line(0, 310, "b2"), hold: true},
				{want: "previous 00", text: line(0, 300, "b") + line(0, 310, "b2")},
				{want: "follow", text: line(0, 400, "c"), hold: true},
				{want: "read 00", text: line(0, 400, "c")},
			},
			want: "p/main/0 \"b\"\np/main/0 \"b2\"\np/main/0 gap: " + early + "\np/main/2 \"c\"\ndrained\n",
		},
		"a line in pieces, cut": {
			steps: []func(*Follower){run(running("id")), wait(100 * time.Millisecond), run(terminated("id"))},
			replies: []reply{
				{want: "follow", text: line(5, 500, strings.Repeat("x", maxLine+100))[:maxLine+120], end: io.ErrUnexpectedEOF},
				{want: "follow 05", text: line(5, 500, strings.Repeat("x", maxLine+100)), hold: true},
				{want: "read 05", text: line(5, 500, strings.Repeat("x", maxLine+100))},
			},
			want: "warning long-lines\np/main/0 \"" + strings.Repeat("x", maxLine) + "\"\np/main/0 \"" + strings.Repeat("x", 100) + "\"\ndrained\n",
		},
	}
	for title, tt := range tests {
		t.Run(title, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script, s := &script{t: t, replies: tt.replies}, newSink()
				f := New(t.Context(), Options{Open: script.Open, Out: s.out})
				for _, step := range tt.steps {
					step(f)
					synctest.Wait()
				}
				f.Drain(time.Minute)
				<-s.done
				f.Close()
				script.done()
				if d := cmp.Diff(tt.want, s.text()); d != "" {
					t.Errorf("%.2000s", d)
				}
			})
		})
	}
}

// A log that is forbidden for long, when another one could be read, is given up alone. Refusals before an outage do not count.
func TestForbiddenForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, s := newKubelet(), newSink()
		log := newContainerLog()
		log.write(time.Now(), "hello")
		k.serve("good/main", log, nil)
		begin, outage := time.Now(), 50*time.Second
		var last time.Duration
		f := New(t.Context(), Options{Out: s.out, Open: func(ctx context.Context, namespace, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
			switch {
			case pod == "good":
				return k.Open(ctx, namespace, pod, o)
			case time.Since(begin) < outage:
			case last < outage:
				last = time.Since(begin)
				return nil, errors.New("connection refused")
			}
			last = time.Since(begin)
			return nil, apierrors.NewForbidden(podLog, pod, errors.New("no"))
		}})
		f.Observe(pod("good", running("good")), false)
		synctest.Wait()
		f.Observe(pod("bad", running("bad")), false)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		// A pause is 3 s, half as much more at most, and there are three of them: before and behind the outage's last refusal, and
		// at the end.
		if last < outage+denial || last > outage+denial+3*4500*time.Millisecond {
			t.Errorf("given up after %s", last)
		}
		log.write(time.Now(), "still here")
		f.Drain(time.Minute)
		<-s.done
		f.Close()
		why := apierrors.NewForbidden(podLog, "bad", errors.New("no")).Error()
		if d := cmp.Diff("good/main/0 \"hello\"\nbad/main/0 gap: the log cannot be read: "+why+"\ngood/main/0 \"still here\"\ndrained\n", s.text()); d != "" {
			t.Error(d)
		}
	})
}

// Gaps carry the time stamps of the lines around them.
func TestGapTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script, s := &script{t: t, replies: []reply{
			{want: "follow", text: line(5, 500, "a"), end: io.ErrUnexpectedEOF},
			{want: "follow 05", text: line(9, 0, "z"), hold: true},
			{want: "read 08", text: line(9, 0, "z")},
		}}, newSink()
		f := New(t.Context(), Options{Open: script.Open, Out: s.out})
		f.Observe(pod("p", running("id")), false)
		synctest.Wait()
		f.Drain(time.Minute)
		<-s.done
		f.Close()
		script.done()
		for _, e := range s.events {
			if g, ok := e.(event.Gap); ok {
				if g.After.Format("05.000") != "05.500" || g.Until.Format("05.000") != "09.000" {
					t.Errorf("%+v", g)
				}
				return
			}
		}
		t.Errorf("no gap in %s", s.text())
	})
}

// Whoever does not receive stops the reading: nothing piles up.
func TestSlowConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubelet()
		log := newContainerLog()
		text := strings.Repeat("x", 4000)
		for i := range 5000 {
			log.write(time.Now().Add(time.Duration(i)), text)
		}
		k.serve("p/main", log, nil)
		out := make(chan event.Event)
		f := New(t.Context(), Options{Open: k.Open, Out: out})
		defer f.Close()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		f.Observe(pod("p", running("id")), false)
		time.Sleep(time.Hour)
		synctest.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
			t.Errorf("the heap has grown by %d bytes", grown)
		}
		if l, ok := (<-out).(event.Lines); !ok || l.Lines[0].Text != text {
			t.Error("the first line did not come")
		}
	})
}

// A Job may have any number of pods: what was needed to follow one is not kept.
func TestFinishedRunsHoldNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, s := newKubelet(), newSink()
		log := newContainerLog()
		for range 1000 {
			log.write(time.Now(), "hello")
		}
		log.raw = time.Now().Format(stampFormat) + " cut"
		k.serve("p/main", log, nil)
		f := New(t.Context(), Options{Open: k.Open, Out: s.out})
		f.Observe(pod("p", running("id")), false)
		synctest.Wait()
		r := f.known[containerKey{"uid-p", "main"}][0]
		if len(r.past.lines) != 1000 {
			t.Errorf("%d lines are remembered while the log is followed", len(r.past.lines))
		}
		log.end()
		time.Sleep(time.Second)
		f.Observe(pod("p", terminated("id")), false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !r.done || r.past.lines != nil || r.half != nil || r.tail != "" {
			t.Errorf("done: %t, remembered are %d lines, %v and %q", r.done, len(r.past.lines), r.half, r.tail)
		}
		f.Drain(time.Minute)
		<-s.done
		f.Close()
	})
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubelet()
		out := make(chan event.Event) // nobody receives
		f := New(t.Context(), Options{Open: k.Open, Out: out, Streams: 2})
		for i := range 5 {
			n := fmt.Sprintf("p%d", i)
			log := newContainerLog()
			log.write(time.Now(), "hello")
			k.serve(n+"/main", log, nil)
			f.Observe(pod(n, running("id"+n)), false)
		}
		synctest.Wait()
		f.Drain(time.Hour)
		f.Close()
		if k.open != 0 || k.requests == 0 {
			t.Errorf("%d streams are open, %d requests were made", k.open, k.requests)
		}
	})
}

func TestContainersAndKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, s := newKubelet(), newSink()
		always := corev1.ContainerRestartPolicyAlways
		p := pod("p", running("m"))
		p.Annotations = map[string]string{"batch.kubernetes.io/job-completion-index": "7"}
		p.Spec.InitContainers = []corev1.Container{{Name: "init"}, {Name: "proxy", RestartPolicy: &always}, {Name: "other"}}
		for _, c := range p.Spec.InitContainers {
			status := terminated(c.Name)
			status.Name = c.Name
			p.Status.InitContainerStatuses = append(p.Status.InitContainerStatuses, status)
		}
		for _, c := range []string{"init", "proxy", "main"} {
			log := newContainerLog()
			log.write(time.Now(), c)
			k.serve("p/"+c, log, nil)
		}
		f := New(t.Context(), Options{Open: k.Open, Out: s.out, Containers: []string{"main", "init", "proxy"}})
		f.Observe(p, false)
		f.Observe(p, false)
		f.Drain(time.Minute)
		<-s.done
		f.Close()
		got := map[string]event.ContainerKind{}
		for _, e := range s.events {
			if l, ok := e.(event.Lines); ok {
				got[l.Lines[0].Text] = l.Stream.Kind
				if l.Stream.Index != 7 || l.Stream.Attempt != 1 || l.Stream.PodUID != "uid-p" {
					t.Errorf("%+v", l.Stream)
				}
			}
		}
		want := map[string]event.ContainerKind{"init": event.Init, "proxy": event.Sidecar, "main": event.Main}
		if d := cmp.Diff(want, got); d != "" || len(s.events) != 4 {
			t.Error(d, s.text())
		}
	})
}

// kwok's containers have no ids.
func TestContainersWithoutID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script, s := &script{t: t, replies: []reply{
			{want: "follow", text: line(5, 500, "a"), hold: true},
			{want: "read 05", text: line(5, 500, "a") + line(5, 600, "b")},
		}}, newSink()
		f := New(t.Context(), Options{Open: script.Open, Out: s.out})
		f.Observe(pod("p", running("")), false)
		synctest.Wait()
		f.Observe(pod("p", terminated("")), false)
		f.Drain(time.Minute)
		<-s.done
		f.Close()
		script.done()
		if got, want := s.text(), "p/main/0 \"a\"\np/main/0 \"b\"\ndrained\n"; got != want {
			t.Errorf("got:\n%swant:\n%s", got, want)
		}
	})
}

// BenchmarkFollow measures a line's way from an open stream to whoever receives.
func BenchmarkFollow(b *testing.B) {
	const lines = 100_000
	answer := answerOf(lines)
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		out := make(chan event.Event)
		f := New(b.Context(), Options{Out: out, Open: func(ctx context.Context, _, _ string, _ *corev1.PodLogOptions) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(answer), ctxReader{ctx})), nil
		}})
		f.Observe(pod("p", running("id")), false)
		for n := 0; n < lines; {
			n += len((<-out).(event.Lines).Lines)
		}
		f.Close()
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

func TestNumbering(t *testing.T) {
	var n Numbering
	indexed := func(name, index, failures string) *corev1.Pod {
		p := pod(name)
		p.Annotations = map[string]string{"batch.kubernetes.io/job-completion-index": index}
		if failures != "" {
			p.Annotations["batch.kubernetes.io/job-index-failure-count"] = failures
		}
		return p
	}
	for i, tt := range []struct {
		pod            *corev1.Pod
		index, attempt int
	}{
		{pod("a"), -1, 1}, {pod("b"), -1, 2}, {pod("a"), -1, 1},
		{indexed("c", "0", ""), 0, 1}, {indexed("d", "3", ""), 3, 1}, {indexed("e", "0", ""), 0, 2}, {indexed("f", "3", "4"), 3, 5},
	} {
		if index, attempt := n.Of(tt.pod); index != tt.index || attempt != tt.attempt {
			t.Errorf("%d: pod %s has index %d and attempt %d, want %d and %d", i, tt.pod.Name, index, attempt, tt.index, tt.attempt)
		}
	}
}
