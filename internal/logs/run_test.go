package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
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

// reply is what one request is answered.
type reply struct {
	text string
	end  error         // behind text; nil means the end of the answer
	hold bool          // the answer stays open
	slow time.Duration // until it ends
	err  error
}

// answers answers requests to follow in order, and knows whether all were made. Other requests, of whatever number, are answered by
// what first has for them and then from the files, as the kubelet does it.
type answers struct {
	t        *testing.T
	mu       sync.Mutex
	follows  []reply
	first    []string
	file     string
	previous string
}

func (a *answers) Open(ctx context.Context, ns, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := a.file
	switch {
	case o.Follow && len(a.follows) == 0:
		a.t.Errorf("no other stream was expected: %s/%s/%s", ns, pod, o.Container)
		return nil, apierrors.NewForbidden(podLog, pod, errors.New("there are no streams"))
	case o.Follow:
		r := a.follows[0]
		a.follows = a.follows[1:]
		if r.err != nil {
			return nil, r.err
		}
		var rest io.Reader = errReader{r.end}
		if r.hold {
			rest = ctxReader{ctx}
		} else if r.slow > 0 {
			rest = slowReader{ctx, r.slow}
		}
		return io.NopCloser(io.MultiReader(strings.NewReader(r.text), rest)), nil
	case o.Previous && a.previous == "":
		return nil, apierrors.NewBadRequest(fmt.Sprintf("previous terminated container %q in pod %q not found", o.Container, pod))
	case o.Previous:
		text = a.previous
	case len(a.first) > 0:
		text, a.first = a.first[0], a.first[1:]
	}
	lines := slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(line string) bool {
		at, _, stamped := parse(line)
		return line == "" || stamped && o.SinceTime != nil && at.Before(o.SinceTime.Time)
	})
	if o.TailLines != nil {
		lines = lines[max(0, len(lines)-int(*o.TailLines)):]
	}
	return io.NopCloser(strings.NewReader(strings.Join(lines, ""))), nil
}

func (a *answers) done() {
	a.t.Helper()
	for _, r := range a.follows {
		a.t.Errorf("was never asked for the stream %.80q", r.text)
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) {
	if e.err == nil {
		return 0, io.EOF
	}
	return 0, e.err
}

type ctxReader struct{ ctx context.Context }

func (c ctxReader) Read([]byte) (int, error) {
	<-c.ctx.Done()
	return 0, c.ctx.Err()
}

type slowReader struct {
	ctx context.Context
	d   time.Duration
}

func (s slowReader) Read([]byte) (int, error) {
	select {
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	case <-time.After(s.d):
		return 0, io.EOF
	}
}

// line is a line as the kubelet sends it, written at a second and a millisecond.
func line(second, milli int, text string) string {
	return fmt.Sprintf("2000-01-01T00:00:%02d.%03d000000Z %s\n", second, milli, text)
}

func observe(s corev1.ContainerStatus) func(*Follower) {
	return func(f *Follower) { f.Observe(pod("p", s), false) }
}

func gone(s corev1.ContainerStatus) func(*Follower) {
	return func(f *Follower) { f.Observe(pod("p", s), true) }
}

// scheduled is a pod that has a node, and of whose containers nothing is known.
func scheduled(version string, gone bool) func(*Follower) {
	return func(f *Follower) {
		p := pod("p")
		p.ResourceVersion, p.Spec.NodeName, p.Spec.Containers = version, "node", []corev1.Container{{Name: "main"}}
		f.Observe(p, gone)
	}
}

func wait(d time.Duration) func(*Follower) { return func(*Follower) { time.Sleep(d) } }

func restarting(s corev1.ContainerStatus) func(*Follower) {
	return func(f *Follower) {
		p := pod("p", s)
		p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
		f.Observe(p, false)
	}
}

func crashed(id string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: "main", ContainerID: id, State: dead(id, 1)}
}

// again is the second run of a container.
func again() corev1.ContainerStatus {
	s := running("id1")
	s.RestartCount, s.LastTerminationState = 1, dead("id", 1)
	return s
}

// TestAnswers is about single answers that are unusual.
func TestAnswers(t *testing.T) {
	const words = "unable to retrieve container logs for containerd://id"
	long := strings.Repeat("x", 1000)
	longLines := func(n int) string { return strings.Repeat(line(5, 500, long), n) }
	tests := map[string]struct {
		steps   []func(*Follower)
		answers *answers
		want    string
	}{
		"the second before, near its end": {
			steps: []func(*Follower){observe(running("id")), wait(time.Second), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{{text: line(5, 50, "a"), hold: true}},
				file:    "end of a long line\n" + line(5, 50, "a") + line(4, 980, "b"),
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\ndrained\n",
		},
		"the kubelet reads a file twice": {
			steps: []func(*Follower){observe(running("id")), wait(time.Second), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{{text: line(4, 0, "a") + line(5, 0, "b") + line(6, 0, "c") + line(5, 0, "b") + line(6, 0, "c") + line(7, 0, "d"), hold: true}},
				file:    line(5, 0, "b") + line(6, 0, "c") + line(7, 0, "d"),
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\np/main/0 \"c\"\np/main/0 \"d\"\ndrained\n",
		},
		"the kubelet reads a file twice that was written in a moment": {
			steps: []func(*Follower){observe(running("id")), wait(time.Second), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{{
					text: line(6, 0, "a") + line(6, 20, "b") + line(6, 10, "c") + line(6, 30, "d") + line(6, 10, "c") + line(6, 30, "d") + line(6, 40, "e"),
					hold: true,
				}},
				file: line(6, 10, "c") + line(6, 30, "d") + line(6, 40, "e"),
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\np/main/0 \"c\"\np/main/0 \"d\"\np/main/0 \"e\"\ndrained\n",
		},
		"the kubelet reads a file twice that begins within a line": {
			steps: []func(*Follower){observe(running("id")), wait(time.Second), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{{text: line(4, 0, "one line") + line(6, 0, "c") + line(5, 0, "line") + line(6, 0, "c") + line(7, 0, "d"), hold: true}},
				file:    line(5, 0, "line") + line(6, 0, "c") + line(7, 0, "d"),
			},
			want: "p/main/0 \"one line\"\np/main/0 \"c\"\np/main/0 \"d\"\ndrained\n",
		},
		"the clock is set back": {
			steps: []func(*Follower){observe(running("id")), wait(time.Second), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{{text: line(6, 0, "c") + line(5, 500, "b") + line(7, 0, "d"), hold: true}},
				file:    line(6, 0, "c") + line(5, 500, "b") + line(7, 0, "d"),
			},
			want: "p/main/0 \"c\"\np/main/0 \"b\"\np/main/0 \"d\"\ndrained\n",
		},
		"equal time stamps": {
			steps: []func(*Follower){observe(running("id")), wait(time.Second), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{
					{text: line(5, 500, "a") + line(5, 500, "a"), end: errors.New("reset")},
					{text: line(5, 500, "a"), end: errors.New("reset")},
					{text: strings.Repeat(line(5, 500, "a"), 3), hold: true},
				},
				file: strings.Repeat(line(5, 500, "a"), 4),
			},
			want: strings.Repeat("p/main/0 \"a\"\n", 4) + "drained\n",
		},
		"the last line has no newline": {
			steps: []func(*Follower){observe(terminated("id"))},
			answers: &answers{
				first: []string{line(5, 500, "a") + "2000-01-01T00:00:06.500000000Z "},
				file:  line(5, 500, "a") + strings.TrimSuffix(line(6, 500, "b"), "\n"),
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\ndrained\n",
		},
		"no time stamps at all": {
			steps: []func(*Follower){observe(running("id")), wait(2 * time.Second), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{{text: "a\nb\n", end: io.ErrUnexpectedEOF}, {text: "a\nb\nc\n", hold: true}},
				file:    "a\nb\nc\nd\n",
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\np/main/0 \"c\"\np/main/0 \"d\"\ndrained\n",
		},
		"the kubelet's words are not output": {
			steps:   []func(*Follower){observe(terminated("id"))},
			answers: &answers{first: []string{"failed to try resolving symlinks in path"}, file: line(5, 500, "a")},
			want:    "p/main/0 \"a\"\ndrained\n",
		},
		"a log that is gone": {
			steps:   []func(*Follower){observe(terminated("id"))},
			answers: &answers{file: words},
			want:    "p/main/0 gap: the log cannot be read: " + words + "\ndrained\n",
		},
		"a log that is gone behind its first lines": {
			steps: []func(*Follower){observe(running("id")), wait(10 * time.Millisecond), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{{text: line(5, 500, "a") + "2000-01-01T00:00:05.7", end: io.ErrUnexpectedEOF}, {text: words, end: io.ErrUnexpectedEOF}},
				file:    words,
			},
			want: "p/main/0 \"a\"\np/main/0 gap: the log cannot be read: " + words + "\ndrained\n",
		},
		"refused at first": {
			steps: []func(*Follower){observe(running("id")), wait(time.Second), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{
					{err: apierrors.NewBadRequest(`container "main" in pod "p" is waiting to start: ContainerCreating`)},
					{text: line(5, 500, "a"), hold: true},
				},
				file: line(5, 500, "a"),
			},
			want: "p/main/0 \"a\"\ndrained\n",
		},
		"forbidden": {
			steps:   []func(*Follower){observe(running("id")), func(f *Follower) { f.Observe(pod("q", running("idq")), false) }},
			answers: &answers{follows: []reply{{err: apierrors.NewForbidden(podLog, "p", errors.New("no"))}}},
			want:    "warning logs-forbidden\ndrained\n",
		},
		"forbidden by an API server that has just restarted": {
			steps: []func(*Follower){observe(running("id")), wait(10 * time.Second), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{
					{text: line(5, 500, "a"), end: io.ErrUnexpectedEOF},
					{err: apierrors.NewForbidden(podLog, "p", errors.New("no"))},
					{err: apierrors.NewForbidden(podLog, "p", errors.New("no"))},
					{text: line(5, 500, "a") + line(5, 600, "b"), hold: true},
				},
				file: line(5, 500, "a") + line(5, 600, "b"),
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\ndrained\n",
		},
		"deleted before it was read": {
			steps: []func(*Follower){gone(terminated("id"))},
			want:  "p/main/0 gap: the pod was deleted before its log could be read\ndrained\n",
		},
		"deleted after it was read": {
			steps:   []func(*Follower){observe(running("id")), wait(500 * time.Millisecond), gone(running("id"))},
			answers: &answers{follows: []reply{{text: line(5, 500, "a")}}},
			want:    "p/main/0 \"a\"\ndrained\n",
		},
		"deleted while it was cut": {
			steps:   []func(*Follower){observe(running("id")), wait(time.Millisecond), gone(running("id"))},
			answers: &answers{follows: []reply{{text: line(5, 500, "a"), end: io.ErrUnexpectedEOF}, {err: errors.New("refused")}}},
			want:    "p/main/0 \"a\"\np/main/0 gap: the pod was deleted before its log could be read\ndrained\n",
		},
		"deleted with its node, whose stream says nothing": {
			steps:   []func(*Follower){observe(running("id")), wait(30 * time.Second), gone(running("id")), wait(10 * time.Second)},
			answers: &answers{follows: []reply{{text: line(5, 500, "a") + strings.TrimSuffix(line(5, 700, "half of a li"), "\n"), hold: true}}},
			want:    "p/main/0 \"a\"\np/main/0 \"half of a li\"\np/main/0 gap: the pod was deleted before its log could be read\ndrained\n",
		},
		"never started": {
			steps: []func(*Follower){observe(corev1.ContainerStatus{Name: "main", ContainerID: "id", State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ContainerID: "id", Reason: "StartError", StartedAt: metav1.Unix(0, 0)},
			}})},
			want: "drained\n",
		},
		"rotated away while it was cut": {
			steps: []func(*Follower){observe(running("id")), wait(time.Second), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{{text: line(5, 500, "a"), end: io.ErrUnexpectedEOF}, {text: line(9, 0, "z"), hold: true}},
				file:    line(9, 0, "z"),
			},
			want: "p/main/0 \"a\"\np/main/0 gap: " + rotated + "\np/main/0 \"z\"\ndrained\n",
		},
		"rotated away while it was cut in a line": {
			steps: []func(*Follower){observe(running("id")), wait(time.Second), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{{text: line(5, 500, "a") + strings.TrimSuffix(line(5, 600, "be"), "\n"), end: io.ErrUnexpectedEOF}, {text: line(9, 0, "z"), hold: true}},
				file:    line(9, 0, "z"),
			},
			want: "p/main/0 \"a\"\np/main/0 \"be\"\np/main/0 gap: " + rotated + "\np/main/0 \"z\"\ndrained\n",
		},
		"rotated for ever": {
			steps: []func(*Follower){observe(running("id")), wait(time.Second), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{{text: line(5, 500, "a"), end: io.ErrUnexpectedEOF}, {hold: true}},
			},
			want: "p/main/0 \"a\"\np/main/0 gap: " + rotated + "\ndrained\n",
		},
		"a file lost while the kubelet's follower was behind": {
			steps: []func(*Follower){observe(running("id")), wait(100 * time.Millisecond), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{{text: longLines(600) + line(9, 0, "z"), hold: true}},
				file:    line(9, 0, "z"),
			},
			want: strings.Repeat(fmt.Sprintf("p/main/0 %q\n", long), 600) + "p/main/0 gap: " + rotated + "\np/main/0 \"z\"\ndrained\n",
		},
		"a line that a rotation has cut, while the kubelet's follower stays with the old file": {
			steps: []func(*Follower){observe(running("id")), wait(10 * time.Second), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{
					{text: longLines(600) + strings.TrimSuffix(line(5, 600, "one "), "\n"), hold: true},
					{text: line(5, 601, "line") + line(6, 0, "z"), hold: true},
				},
				file: line(5, 601, "line") + line(6, 0, "z"),
			},
			want: strings.Repeat(fmt.Sprintf("p/main/0 %q\n", long), 600) + "p/main/0 \"one \"\np/main/0 \"line\"\np/main/0 \"z\"\ndrained\n",
		},
		"a line that a rotation has cut, just before the end": {
			steps: []func(*Follower){observe(running("id")), observe(terminated("id")), wait(10 * time.Second)},
			answers: &answers{
				follows: []reply{{text: line(5, 500, "a") + strings.TrimSuffix(line(5, 600, "one "), "\n"), hold: true}},
				file:    line(5, 601, "line") + line(5, 700, "z"),
			},
			want: "p/main/0 \"a\"\np/main/0 \"one \"\np/main/0 \"line\"\np/main/0 \"z\"\ndrained\n",
		},
		"a file lost behind a follower that was behind at the end": {
			steps:   []func(*Follower){observe(running("id")), observe(terminated("id")), wait(10 * time.Second)},
			answers: &answers{follows: []reply{{text: line(5, 500, "a"), hold: true}}, file: line(15, 601, "z")},
			want:    "p/main/0 \"a\"\np/main/0 gap: " + rotated + "\np/main/0 \"z\"\ndrained\n",
		},
		"the previous run's log is that of a later run": {
			steps: []func(*Follower){func(f *Follower) {
				s := running("id1")
				s.RestartCount, s.State.Running.StartedAt.Time = 1, at("2000-01-01T00:00:07Z")
				s.LastTerminationState = dead("id", 1)
				s.LastTerminationState.Terminated.FinishedAt.Time = at("2000-01-01T00:00:05Z")
				f.Observe(pod("p", s), false)
				time.Sleep(time.Second)
			}},
			answers: &answers{
				previous: line(7, 100, "b"),
				follows:  []reply{{text: line(7, 100, "b"), hold: true}},
				file:     line(7, 100, "b"),
			},
			want: "p/main/0 gap: " + early + "\np/main/1 \"b\"\ndrained\n",
		},
		"an answer that was cut where what was delivered ends": {
			steps: []func(*Follower){observe(running("id")), wait(time.Second), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{{text: line(5, 500, "a"), hold: true}},
				first:   []string{line(6, 0, "b"), line(5, 500, "a"), line(6, 0, "b")},
				file:    line(5, 500, "a") + line(6, 0, "b"),
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\ndrained\n",
		},
		"a pod whose deletion, and all before it, was missed": {
			steps: []func(*Follower){scheduled("7", false), scheduled("7", true)},
			want:  "p/main/0 gap: the pod was deleted before its log could be read\ndrained\n",
		},
		"a pod that was deleted before anything ran": {
			steps: []func(*Follower){scheduled("7", false), scheduled("8", true)},
			want:  "drained\n",
		},
		"an empty answer, and the pod is gone": {
			steps:   []func(*Follower){observe(terminated("id")), wait(behind / 2), gone(terminated("id"))},
			answers: &answers{first: []string{""}, file: line(5, 500, "a")},
			want:    "p/main/0 gap: the pod was deleted before its log could be read\ndrained\n",
		},
		"a stream that ends at once, and the pod is gone": {
			steps:   []func(*Follower){observe(running("id")), wait(behind / 2), gone(terminated("id"))},
			answers: &answers{follows: []reply{{}}, file: line(5, 500, "a")},
			want:    "p/main/0 gap: the pod was deleted before its log could be read\ndrained\n",
		},
		"a stream that ends after a while without a line, and the pod is gone": {
			steps:   []func(*Follower){observe(running("id")), wait(2500 * time.Millisecond), gone(terminated("id"))},
			answers: &answers{follows: []reply{{slow: 2 * time.Second}}},
			want:    "drained\n",
		},
		"an answer that was cut before its first line": {
			steps:   []func(*Follower){observe(terminated("id"))},
			answers: &answers{first: []string{""}, file: line(5, 500, "a")},
			want:    "p/main/0 \"a\"\ndrained\n",
		},
		"the next run's log is still empty": {
			steps: []func(*Follower){restarting(running("id")), wait(300 * time.Millisecond), restarting(crashed("id")), wait(5 * time.Second)},
			answers: &answers{
				follows:  []reply{{text: line(5, 500, "a")}},
				previous: line(5, 500, "a") + line(5, 600, "b"),
			},
			want: "p/main/0 \"a\"\np/main/0 \"b\"\ndrained\n",
		},
		"the next run's log is still empty, and nothing was read before": {
			steps:   []func(*Follower){restarting(crashed("id")), wait(5 * time.Second)},
			answers: &answers{previous: line(5, 500, "a")},
			want:    "p/main/0 \"a\"\ndrained\n",
		},
		"a run that has ended already, while the next one waits": {
			steps: []func(*Follower){restarting(running("id")), wait(500 * time.Millisecond), restarting(crashed("id")), wait(time.Second)},
			answers: &answers{
				follows:  []reply{{text: line(5, 500, "a")}},
				file:     line(5, 500, "a"),
				previous: line(5, 500, "a"),
			},
			want: "p/main/0 \"a\"\ndrained\n",
		},
		"a run that was taken for the one before": {
			steps: []func(*Follower){restarting(running("id")), wait(time.Minute), restarting(again()), wait(time.Minute)},
			answers: &answers{
				follows: append(slices.Repeat([]reply{{text: line(7, 0, "a"), hold: true}}, tries),
					reply{text: line(7, 0, "a") + line(7, 100, "b"), hold: true}),
				file:     line(7, 0, "a") + line(7, 100, "b"),
				previous: words,
			},
			want: "p/main/0 \"a\"\np/main/1 \"b\"\ndrained\n",
		},
		"the previous run's log is gone": {
			steps:   []func(*Follower){restarting(again()), wait(time.Minute)},
			answers: &answers{previous: words, follows: []reply{{text: line(7, 100, "b"), hold: true}}, file: line(7, 100, "b")},
			want:    "p/main/0 gap: the log cannot be read: " + words + "\np/main/1 \"b\"\ndrained\n",
		},
		"a line in pieces, cut": {
			steps: []func(*Follower){observe(running("id")), wait(100 * time.Millisecond), observe(terminated("id"))},
			answers: &answers{
				follows: []reply{
					{text: line(5, 500, strings.Repeat("x", maxLine+100))[:maxLine+120], end: io.ErrUnexpectedEOF},
					{text: line(5, 500, strings.Repeat("x", maxLine+100)), hold: true},
				},
				file: line(5, 500, strings.Repeat("x", maxLine+100)),
			},
			want: "warning long-lines\np/main/0 \"" + strings.Repeat("x", maxLine) + "\"\np/main/0 \"" + strings.Repeat("x", 100) + "\"\ndrained\n",
		},
	}
	for title, tt := range tests {
		t.Run(title, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, s := tt.answers, newSink()
				if a == nil {
					a = &answers{}
				}
				a.t = t
				f := New(t.Context(), Options{Open: a.Open, Out: s.out})
				for _, step := range tt.steps {
					step(f)
					synctest.Wait()
				}
				f.Drain(time.Minute)
				<-s.done
				f.Close()
				a.done()
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
		// A pause is 5 s, half as much more at most, and there are three of them: before and behind the outage's last refusal, and
		// at the end.
		if last < outage+denial || last > outage+denial+3*7500*time.Millisecond {
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
		a, s := &answers{
			t: t, follows: []reply{{text: line(5, 500, "a"), end: io.ErrUnexpectedEOF}, {text: line(9, 0, "z"), hold: true}}, file: line(9, 0, "z"),
		}, newSink()
		f := New(t.Context(), Options{Open: a.Open, Out: s.out})
		f.Observe(pod("p", running("id")), false)
		synctest.Wait()
		f.Drain(time.Minute)
		<-s.done
		f.Close()
		a.done()
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
		out := make(chan event.Fact)
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
		c := f.containers[[2]string{"uid-p", "main"}]
		if len(c.past.lines) != 1000 {
			t.Errorf("%d lines are remembered while the log is followed", len(c.past.lines))
		}
		log.end()
		time.Sleep(time.Second)
		f.Observe(pod("p", terminated("id")), false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if c.at != 1 || c.past.lines != nil || c.half != nil || c.tail != "" || c.src != nil {
			t.Errorf("%d runs were read, remembered are %d lines, %v and %q", c.at, len(c.past.lines), c.half, c.tail)
		}
		f.Drain(time.Minute)
		<-s.done
		f.Close()
	})
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubelet()
		out := make(chan event.Fact) // nobody receives
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
		a, s := &answers{t: t, follows: []reply{{text: line(5, 500, "a"), hold: true}}, file: line(5, 500, "a") + line(5, 600, "b")}, newSink()
		f := New(t.Context(), Options{Open: a.Open, Out: s.out})
		f.Observe(pod("p", running("")), false)
		synctest.Wait()
		f.Observe(pod("p", terminated("")), false)
		f.Drain(time.Minute)
		<-s.done
		f.Close()
		a.done()
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
		out := make(chan event.Fact)
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
