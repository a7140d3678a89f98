package logs

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
)

var seeds = flag.Uint64("seeds", 3, "random runs of each kind of TestEveryLineOnce")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pod(name string, statuses ...corev1.ContainerStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name)},
		Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever},
		Status:     corev1.PodStatus{ContainerStatuses: statuses},
	}
}

func running(id string) corev1.ContainerStatus {
	return corev1.ContainerStatus{
		Name: "main", ContainerID: id,
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
	}
}

func terminated(id string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: "main", ContainerID: id, State: dead(id, 0)}
}

func dead(id string, code int32) corev1.ContainerState {
	now := metav1.NewTime(time.Now().Truncate(time.Second))
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: id, ExitCode: code, StartedAt: now, FinishedAt: now}}
}

// sink collects what a Follower sends.
type sink struct {
	out    chan event.Fact
	events []event.Fact
	done   chan struct{} // closed after Drained
}

func newSink() *sink {
	s := &sink{out: make(chan event.Fact), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for e := range s.out {
			s.events = append(s.events, e)
			if _, ok := e.(event.Drained); ok {
				return
			}
		}
	}()
	return s
}

// text is what came, in short.
func (s *sink) text() string {
	var b strings.Builder
	for _, e := range s.events {
		switch e := e.(type) {
		case event.Lines:
			for _, l := range e.Lines {
				fmt.Fprintf(&b, "%s %q\n", name(e.Stream), l.Text)
			}
		case event.Gap:
			fmt.Fprintf(&b, "%s gap: %s\n", name(e.Stream), e.Why)
		case event.Notice:
			fmt.Fprintf(&b, "%s %s\n", e.Level, e.Key)
		case event.Drained:
			b.WriteString("drained\n")
		}
	}
	return b.String()
}

func name(s *event.Stream) string {
	return fmt.Sprintf("%s/%s/%d", s.Pod, s.Container, s.Restart)
}

// check compares what came of one container run with what was written: every line once and in order, or a gap that covers
// exactly what is missing. It gives the number of lines that are missing. A line that a rotation has cut may come as two, and its
// second part again behind the whole of it.
func check(t *testing.T, log *containerLog, events []event.Fact) (missing, gaps int) {
	t.Helper()
	next, begun := 0, false // begun: the beginning of the line next-1 has come
	var gap *event.Gap
	at := func(i int) time.Time {
		if i < 0 {
			return time.Time{}
		}
		return log.all[i].at
	}
	for _, e := range events {
		switch e := e.(type) {
		case event.Gap:
			if gap != nil {
				t.Fatalf("two gaps in a row after line %d: %+v, %+v", next, gap, e)
			}
			gap = &e
			gaps++
		case event.Lines:
			for _, l := range e.Lines {
				n, what := log.find(l, next)
				if what == nothing {
					t.Fatalf("behind line %d, a line that was never written: %.80q", next-1, l.Text)
				}
				stamp := at(n)
				if what == tail {
					stamp = log.all[n].tail.at
				}
				if !l.At.Equal(stamp) {
					t.Fatalf("line %d has time %s, want %s", n, l.At, stamp)
				}
				if what == tail && n == next-1 {
					if gap != nil && (!gap.After.Equal(at(n)) || !gap.Until.Equal(stamp)) {
						t.Fatalf("the gap from %s until %s is not within line %d", gap.After, gap.Until, n)
					}
					gap, begun = nil, false
					continue
				}
				if n < next {
					t.Fatalf("line %d came after line %d", n, next-1)
				}
				if begun && gap == nil {
					t.Fatalf("the rest of line %d is missing and nothing says so", next-1)
				}
				if n > next && gap == nil && !(next == 0 && log.firsts[n]) { // see cursor: what nobody can know
					t.Fatalf("lines %d to %d are missing and nothing says so (file starts: %v)", next, n-1, log.firsts[n])
				}
				if gap != nil {
					if !gap.After.Equal(at(next-1)) || !gap.Until.Equal(stamp) {
						t.Fatalf("the gap from %s until %s does not cover lines %d to %d", gap.After, gap.Until, next, n-1)
					}
					if n == next && !log.firsts[n] && !begun {
						t.Fatalf("a gap before line %d, where nothing is missing and no file starts: %+v", n, gap)
					}
				}
				missing += n - next
				next, gap, begun = n+1, nil, what == head
			}
		}
	}
	if next < len(log.all) || begun {
		if gap == nil {
			t.Fatalf("the last lines, from %d to %d, are missing and nothing says so", next, len(log.all)-1)
		}
		missing += len(log.all) - next
	} else if gap != nil && !gap.Until.IsZero() {
		t.Fatalf("a gap with an end after the last line: %+v", gap)
	}
	return missing, gaps
}

// What a text is of the line that it was found in.
const (
	nothing = iota
	all
	head // its beginning
	tail // its end, with which a file begins
)

// find looks for the line that a text is of, behind others as several lines may begin alike.
func (c *containerLog) find(l event.Line, next int) (line, what int) {
	var n int
	if _, err := fmt.Sscanf(l.Text, "line %d ", &n); err == nil && n < len(c.all) && c.all[n].text == l.Text {
		return n, all
	}
	for n := max(next-1, 0); n < len(c.all); n++ {
		switch one := c.all[n]; {
		case one.text == l.Text:
			return n, all
		case one.tail != nil && one.tail.text == l.Text:
			return n, tail
		case n >= next && one.at.Equal(l.At) && strings.HasPrefix(one.text, l.Text):
			return n, head
		}
	}
	return -1, nothing
}

// TestEveryLineOnce writes a log with bursts, pauses, equal and disordered time stamps and rotations, while answers break off
// at random bytes and requests are refused.
func TestEveryLineOnce(t *testing.T) {
	tests := map[string]struct {
		faults     float64
		rotate     bool
		disorder   bool
		noMissing  bool
		clockSteps bool
	}{
		"quiet":               {noMissing: true},
		"cuts":                {faults: 0.97, noMissing: true},
		"cuts and disorder":   {faults: 0.97, disorder: true, noMissing: true},
		"rotation":            {rotate: true, noMissing: true},
		"rotation and cuts":   {rotate: true, faults: 0.97},
		"everything":          {rotate: true, faults: 0.97, disorder: true},
		"clock set backwards": {clockSteps: true, noMissing: true},
	}
	for title, tt := range tests {
		t.Run(title, func(t *testing.T) {
			var missing, gaps, requests, lines int
			for seed := range *seeds {
				synctest.Test(t, func(t *testing.T) {
					rnd := rand.New(rand.NewPCG(seed, 1))
					k, log, s := newKubelet(), newContainerLog(), newSink()
					k.serve("p/main", log, nil)
					if tt.faults > 0 {
						k.fault = randomFaults(rand.New(rand.NewPCG(seed, 2)), tt.faults)
					}
					f := New(t.Context(), Options{Open: k.Open, Out: s.out})
					f.Observe(pod("p", running("id")), false)
					lastRotation, skew := time.Now(), time.Duration(0)
					pad := strings.Repeat("x", 60)
					for range 40 {
						if tt.clockSteps && rnd.IntN(8) == 0 {
							time.Sleep(100 * time.Millisecond) // what was written before is delivered
							synctest.Wait()
							skew -= time.Duration(rnd.IntN(5000)) * time.Millisecond
						}
						burst := 1 + rnd.IntN(600)
						for i := range burst {
							at := time.Now().Add(skew)
							if tt.disorder {
								at = at.Add(-time.Duration(rnd.IntN(3)) * time.Microsecond)
							}
							log.write(at, fmt.Sprintf("line %d %s", len(log.all), pad))
							if rnd.IntN(20) == 0 || i == burst-1 {
								time.Sleep(time.Duration(rnd.IntN(20_000_000)))
							}
						}
						time.Sleep(time.Microsecond * time.Duration(10+rnd.IntN(1_000_000)))
						if tt.rotate && time.Since(lastRotation) > 3*time.Second && rnd.IntN(2) == 0 {
							lastRotation = time.Now()
							log.rotate()
						}
					}
					log.end()
					time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
					f.Observe(pod("p", terminated("id")), false)
					f.Drain(time.Hour)
					<-s.done
					f.Close()
					defer func() {
						if t.Failed() {
							t.Logf("%s, seed %d", title, seed)
						}
					}()
					m, g := check(t, log, s.events)
					missing, gaps, requests, lines = missing+m, gaps+g, requests+k.requests, lines+len(log.all)
					if tt.noMissing && m+g > 0 {
						t.Errorf("seed %d: %d lines are missing, %d gaps", seed, m, g)
					}
				})
			}
			t.Logf("%d lines, %d missing, %d gaps, %d requests", lines, missing, gaps, requests)
		})
	}
}

// news is what the API server tells of a pod: in order, and later than the kubelet knows it.
type news struct {
	late  func() time.Duration
	queue chan told
	done  chan struct{}
}

type told struct {
	at  time.Time
	pod *corev1.Pod
}

func newNews(f *Follower, late func() time.Duration) *news {
	n := &news{late: late, queue: make(chan told, 100), done: make(chan struct{})}
	go func() {
		defer close(n.done)
		for one := range n.queue {
			time.Sleep(time.Until(one.at))
			f.Observe(one.pod, false)
			f.Observe(one.pod, false)
		}
	}()
	return n
}

func (n *news) tell(s corev1.ContainerStatus) {
	p := pod("p", s)
	p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	n.queue <- told{time.Now().Add(n.late()), p}
}

func (n *news) close() {
	close(n.queue)
	<-n.done
}

// TestEveryRunOnce restarts a container in place, as the kubelet does it: the log that is current changes before anybody hears of
// it, "previous" is the run before, or the last run itself while the next one waits, and what was before that is gone.
func TestEveryRunOnce(t *testing.T) {
	tests := map[string]struct {
		faults    float64
		rotate    bool
		parts     bool          // lines in several records
		logger    bool          // the runtime is behind with the log of a run that has ended
		late      time.Duration // the news, at most
		life      time.Duration // of a run, at least, so that the news and what was cut is never more than one run behind
		noMissing bool
	}{
		"quiet":         {late: 300 * time.Millisecond, life: time.Second, noMissing: true},
		"parts":         {late: 300 * time.Millisecond, life: time.Second, parts: true, noMissing: true},
		"late logger":   {late: 300 * time.Millisecond, life: time.Second, logger: true, noMissing: true},
		"late news":     {late: 4 * time.Second, life: 5 * time.Second, noMissing: true},
		"late, rotated": {late: 4 * time.Second, life: 5 * time.Second, rotate: true, parts: true, logger: true},
		"cuts":          {late: 300 * time.Millisecond, life: 20 * time.Second, faults: 0.5, noMissing: true},
		"everything":    {late: 300 * time.Millisecond, faults: 0.5, rotate: true, parts: true, logger: true},
	}
	for title, tt := range tests {
		t.Run(title, func(t *testing.T) {
			var missing, gaps, requests, lines int
			for seed := range *seeds * 3 {
				synctest.Test(t, func(t *testing.T) {
					defer func() {
						if t.Failed() {
							t.Logf("%s, seed %d", title, seed)
						}
					}()
					rnd := rand.New(rand.NewPCG(seed, 3))
					k, s := newKubelet(), newSink()
					if tt.faults > 0 {
						k.fault = randomFaults(rand.New(rand.NewPCG(seed, 4)), tt.faults)
					}
					f := New(t.Context(), Options{Open: k.Open, Out: s.out})
					lateness := rand.New(rand.NewPCG(seed, 5))
					n := newNews(f, func() time.Duration { return time.Duration(lateness.Int64N(int64(tt.late))) })
					logs := playRuns(rnd, k, n, tt.life, tt.rotate, tt.parts, tt.logger)
					n.close()
					f.Drain(time.Hour)
					<-s.done
					f.Close()
					runs := make([][]event.Fact, len(logs))
					at := 0
					for _, e := range s.events {
						stream := (*event.Stream)(nil)
						switch e := e.(type) {
						case event.Lines:
							stream = e.Stream
						case event.Gap:
							stream = e.Stream
						default:
							continue
						}
						if stream.Restart < at {
							t.Fatalf("run %d behind run %d", stream.Restart, at)
						}
						at = stream.Restart
						runs[at] = append(runs[at], e)
					}
					for i, log := range logs {
						m, g := check(t, log, runs[i])
						missing, gaps, lines = missing+m, gaps+g, lines+len(log.all)
						if tt.noMissing && m+g > 0 {
							t.Errorf("seed %d, run %d: %d lines are missing, %d gaps: %+v", seed, i, m, g, runs[i][len(runs[i])-1])
						}
					}
					requests += k.requests
				})
			}
			t.Logf("%d lines, %d missing, %d gaps, %d requests", lines, missing, gaps, requests)
		})
	}
}

// playRuns plays the life of a container and gives the logs of its runs. Each run takes as long as life at least.
func playRuns(rnd *rand.Rand, k *kubelet, n *news, life time.Duration, rotate, parts, logger bool) (logs []*containerLog) {
	some := func(d time.Duration) time.Duration { return time.Duration(rnd.Int64N(int64(d))) }
	runs := 2 + rnd.IntN(4)
	var last *containerLog
	status := corev1.ContainerStatus{Name: "main"}
	for i := range runs {
		log := newContainerLog()
		logs = append(logs, log)
		id := fmt.Sprintf("id%d", i)
		started := metav1.NewTime(time.Now().Truncate(time.Second))
		k.serve("p/main", log, last)
		status.ContainerID, status.RestartCount = id, int32(i)
		status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}
		n.tell(status)
		write := func(times int) {
			for range times {
				text := []string{fmt.Sprintf("line %d run %d ", len(log.all), i), strings.Repeat("x", 60), "end"}
				if !parts || rnd.IntN(4) > 0 {
					text = []string{strings.Join(text, "")}
				}
				log.write(time.Now(), text...)
				time.Sleep(time.Microsecond)
			}
		}
		rotated := time.Now()
		for range rnd.IntN(12) {
			write(rnd.IntN(600))
			time.Sleep(some(time.Second))
			if rotate && time.Since(rotated) > 3*time.Second && rnd.IntN(2) == 0 {
				rotated = time.Now()
				if parts && rnd.IntN(2) == 0 {
					log.change(func() { log.record(time.Now(), fmt.Sprintf("line %d begins ", len(log.all)), true, true) })
					log.rotate()
					log.change(func() { log.record(time.Now(), "and ends", false, false) })
				} else {
					log.rotate()
				}
			}
		}
		time.Sleep(time.Until(started.Add(life)))
		busy := rnd.IntN(2) == 0
		if busy {
			write(1000 + rnd.IntN(1000))
		}
		finished := metav1.NewTime(time.Now().Truncate(time.Second))
		time.Sleep(some(time.Second)) // until the kubelet knows it
		if logger && busy {
			go func() {
				time.Sleep(500 * time.Millisecond)
				log.write(time.Now(), fmt.Sprintf("line %d, written late", len(log.all)))
			}()
		}
		go func() {
			time.Sleep(time.Second) // until its follower does
			log.end()
		}()
		code := int32(1)
		if i == runs-1 {
			code = 0
		}
		ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ContainerID: id, ExitCode: code, StartedAt: started, FinishedAt: finished}}
		last = log
		if i == runs-1 || rnd.IntN(2) == 0 {
			status.State = ended
			n.tell(status)
			time.Sleep(time.Second)
		}
		status.LastTerminationState = ended
		if i < runs-1 && (i > 0 || rnd.IntN(2) == 0) {
			k.serve("p/main", log, log)
			status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
			n.tell(status)
			time.Sleep(10*time.Second + some(10*time.Second))
		}
	}
	return logs
}

// The clock is set back while a log is followed, the stream is cut behind that, and perhaps the file is rotated away: the lines
// that were delivered are known again although their time stamps are later.
func TestClockSetBackAndCut(t *testing.T) {
	for _, rotate := range []bool{false, true} {
		t.Run(fmt.Sprintf("rotated %t", rotate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, log, s := newKubelet(), newContainerLog(), newSink()
				k.serve("p/main", log, nil)
				skew := time.Duration(0)
				write := func() {
					for range 100 {
						log.write(time.Now().Add(skew), fmt.Sprintf("line %d ", len(log.all)))
						time.Sleep(time.Millisecond)
					}
				}
				cut := make(chan struct{})
				f := New(t.Context(), Options{Out: s.out, Open: func(ctx context.Context, namespace, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
					body, err := k.Open(ctx, namespace, pod, o)
					if err == nil && k.requests == 1 {
						go func() {
							<-cut
							body.Close()
						}()
					}
					return body, err
				}})
				f.Observe(pod("p", running("id")), false)
				write()
				skew = -3 * time.Second
				write()
				synctest.Wait()
				close(cut)
				if rotate {
					log.rotate()
				}
				time.Sleep(10 * time.Millisecond)
				write()
				log.end()
				f.Observe(pod("p", terminated("id")), false)
				f.Drain(time.Minute)
				<-s.done
				f.Close()
				missing, gaps := check(t, log, s.events)
				if rotate && (missing > 0 || gaps != 1) || !rotate && missing+gaps > 0 {
					t.Errorf("%d lines are missing, %d gaps", missing, gaps)
				}
			})
		})
	}
}

// stuck makes the follower of the kubelet miss a rotation: it happens before its first end of file.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, log := newKubelet(), newContainerLog()
		k.serve("p/main", log, nil)
		out := make(chan event.Fact)
		f := New(t.Context(), Options{Open: k.Open, Out: out})
		defer f.Close()
		for range 20000 {
			log.write(time.Now(), fmt.Sprintf("line %d %s", len(log.all), strings.Repeat("x", 60)))
			time.Sleep(time.Microsecond)
		}
		f.Observe(pod("p", running("id")), false)
		synctest.Wait() // the answer is open, and nothing more of it is read as nothing is received
		log.rotate()
		seen := 0
		stop := make(chan struct{})
		go func() {
			for range 3000 {
				log.write(time.Now(), fmt.Sprintf("line %d", len(log.all)))
				time.Sleep(time.Millisecond)
			}
			close(stop)
		}()
		var events []event.Fact
		for seen < 23000 {
			e := <-out
			events = append(events, e)
			if l, ok := e.(event.Lines); ok {
				seen += len(l.Lines)
			}
		}
		<-stop
		if missing, gaps := check(t, log, events); missing+gaps > 0 {
			t.Errorf("%d lines are missing, %d gaps", missing, gaps)
		}
		if k.requests != 3 {
			t.Errorf("%d requests, want the stream, the probe and the new stream", k.requests)
		}
	})
}

// dozing is an answer that pauses once, as that of an overloaded kubelet does.
type dozing struct {
	io.ReadCloser
	after int // bytes
	pause time.Duration
}

func (d *dozing) Read(p []byte) (int, error) {
	if d.after <= 0 && d.pause > 0 {
		time.Sleep(d.pause)
		d.pause = 0
	}
	n, err := d.ReadCloser.Read(p)
	d.after -= n
	return n, err
}

// A stream that is slow in the middle of a file that was rotated away is not given up: the rest is nowhere else.
func TestSlowStreamOfARotatedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, log, s := newKubelet(), newContainerLog(), newSink()
		k.serve("p/main", log, nil)
		opened := 0
		f := New(t.Context(), Options{Out: s.out, Open: func(ctx context.Context, namespace, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
			body, err := k.Open(ctx, namespace, pod, o)
			if opened++; opened == 1 {
				body = &dozing{ReadCloser: body, after: 1 << 20, pause: 2 * time.Second}
			}
			return body, err
		}})
		for range 20000 {
			log.write(time.Now(), fmt.Sprintf("line %d %s", len(log.all), strings.Repeat("x", 60)))
			time.Sleep(time.Microsecond)
		}
		f.Observe(pod("p", running("id")), false)
		synctest.Wait() // the stream dozes
		log.rotate()
		for range 10 {
			log.write(time.Now(), fmt.Sprintf("line %d", len(log.all)))
			time.Sleep(time.Second)
		}
		log.end()
		f.Observe(pod("p", terminated("id")), false)
		f.Drain(time.Minute)
		<-s.done
		f.Close()
		if missing, gaps := check(t, log, s.events); missing+gaps > 0 {
			t.Errorf("%d lines are missing, %d gaps", missing, gaps)
		}
		if opened < 3 {
			t.Errorf("%d requests: the silence was not looked into", opened)
		}
	})
}

// A stream that is stuck until the next rotation, while probes fail, has lost the file in between: that is said although the
// stream was silent for as long as the time stamps tell.
func TestLossBehindASilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, log := newKubelet(), newContainerLog()
		k.serve("p/main", log, nil)
		out := make(chan event.Fact)
		f := New(t.Context(), Options{Open: k.Open, Out: out})
		defer f.Close()
		write := func(n int) {
			for range n {
				log.write(time.Now(), fmt.Sprintf("line %d %s", len(log.all), strings.Repeat("x", 60)))
				time.Sleep(time.Microsecond)
			}
		}
		write(20000)
		f.Observe(pod("p", running("id")), false)
		synctest.Wait() // the answer is open, and nothing more of it is read as nothing is received
		log.rotate()
		refused := 0
		down := true
		k.fault = func() (int, error, error) {
			if down {
				refused++
				return 0, nil, context.DeadlineExceeded
			}
			return -1, nil, nil
		}
		written := make(chan struct{})
		go func() {
			defer close(written)
			write(100)
			time.Sleep(4 * time.Second)
			k.mu.Lock()
			down = false
			k.mu.Unlock()
			log.rotate()
			write(100)
		}()
		var events []event.Fact
		for seen := 0; seen < 20100; {
			e := <-out
			events = append(events, e)
			if l, ok := e.(event.Lines); ok {
				seen += len(l.Lines)
			}
		}
		<-written
		if missing, gaps := check(t, log, events); missing != 100 || gaps != 1 || refused == 0 {
			t.Errorf("%d lines are missing, %d gaps, %d requests refused", missing, gaps, refused)
		}
	})
}

// A silent container costs a request an hour.
func TestRequestsOfASilentContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, log, s := newKubelet(), newContainerLog(), newSink()
		k.serve("p/main", log, nil)
		f := New(t.Context(), Options{Open: k.Open, Out: s.out})
		f.Observe(pod("p", running("id")), false)
		for range 20000 {
			log.write(time.Now(), fmt.Sprintf("line %d", len(log.all)))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(72 * time.Hour)
		log.end()
		f.Observe(pod("p", terminated("id")), false)
		f.Drain(time.Minute)
		<-s.done
		f.Close()
		check(t, log, s.events)
		// The stream, a check of what it had written, one in each hour of its silence, and the last line. With the ten requests that are
		// not for logs, a Job of one pod makes no more than 15 in its first hour.
		if k.requests > 3+72 {
			t.Errorf("%d requests", k.requests)
		}
	})
}

// The rest is read at once when the pod says that the container has ended, whatever the kubelet's follower knows.
func TestEndIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, log, s := newKubelet(), newContainerLog(), newSink()
		k.serve("p/main", log, nil)
		f := New(t.Context(), Options{Open: k.Open, Out: s.out})
		f.Observe(pod("p", running("id")), false)
		log.write(time.Now(), "line 0")
		synctest.Wait()
		start := time.Now()
		f.Observe(pod("p", terminated("id")), false) // log.end() is missing: the stream stays open
		f.Drain(time.Minute)
		<-s.done
		if d := time.Since(start); d > 0 {
			t.Errorf("it took %s", d)
		}
		f.Close()
		if got, want := s.text(), "p/main/0 \"line 0\"\ndrained\n"; got != want {
			t.Errorf("got:\n%swant:\n%s", got, want)
		}
		if k.requests != 2 || k.open != 0 {
			t.Errorf("%d requests, %d still open", k.requests, k.open)
		}
	})
}

// A stream that is behind when its container has ended is read on, and the last line of the file tells that nothing is missing.
func TestEndOfBusyStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, log, s := newKubelet(), newContainerLog(), newSink()
		k.serve("p/main", log, nil)
		f := New(t.Context(), Options{Open: k.Open, Out: s.out})
		f.Observe(pod("p", running("id")), false)
		write := func(i int) { log.write(time.Now(), fmt.Sprintf("line %d %s", i, strings.Repeat("x", burst/4))) }
		for i := range 10 {
			write(i)
		}
		synctest.Wait()
		f.Observe(pod("p", terminated("id")), false)
		f.Drain(time.Minute)
		for i := range 50 {
			time.Sleep(calm / 2)
			write(10 + i)
		}
		log.end()
		<-s.done
		f.Close()
		if missing, gaps := check(t, log, s.events); missing+gaps > 0 {
			t.Errorf("%d lines are missing, %d gaps", missing, gaps)
		}
		if k.requests != 2 || k.open != 0 {
			t.Errorf("%d requests, want the stream and the file's last line; %d still open", k.requests, k.open)
		}
	})
}

func TestRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, s := newKubelet(), newSink()
		onFailure := func(p *corev1.Pod) *corev1.Pod {
			p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
			return p
		}
		log := func(text string) *containerLog {
			l := newContainerLog()
			l.write(time.Now(), text)
			return l
		}
		f := New(t.Context(), Options{Open: k.Open, Out: s.out})

		first := log("first")
		k.serve("p/main", first, nil)
		f.Observe(onFailure(pod("p", running("id0"))), false)
		synctest.Wait()
		first.end()
		time.Sleep(time.Second)
		second := log("second")
		k.serve("p/main", second, first)
		status := running("id1")
		status.RestartCount, status.LastTerminationState = 1, dead("id0", 1)
		f.Observe(onFailure(pod("p", status)), false)
		synctest.Wait()

		// The third run has come and gone unseen, like the end of the second.
		second.end()
		time.Sleep(10 * time.Second)
		third, fourth := log("third"), log("fourth")
		third.end()
		k.serve("p/main", fourth, third)
		status = running("id3")
		status.RestartCount, status.LastTerminationState = 3, dead("id2", 1)
		f.Observe(onFailure(pod("p", status)), false)
		synctest.Wait()
		fourth.end()
		status = terminated("id3")
		status.RestartCount, status.LastTerminationState = 3, dead("id2", 1)
		f.Observe(onFailure(pod("p", status)), false)
		f.Drain(time.Minute)
		<-s.done
		f.Close()
		want := "p/main/0 \"first\"\np/main/1 \"second\"\np/main/2 \"third\"\np/main/3 \"fourth\"\ndrained\n"
		if got := s.text(); got != want {
			t.Errorf("got:\n%swant:\n%s", got, want)
		}
	})
}

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pods = 200
		k, s := newKubelet(), newSink()
		f := New(t.Context(), Options{Open: k.Open, Out: s.out})
		for i := range pods {
			n := fmt.Sprintf("p%03d", i)
			log := newContainerLog()
			log.write(time.Now(), "hello")
			k.serve(n+"/main", log, nil)
			f.Observe(pod(n, running("id"+n)), false)
		}
		synctest.Wait()
		if f.following != 56 || k.open != 56 {
			t.Errorf("%d runs are followed, %d streams open, want 56", f.following, k.open)
		}
		// Those that were waiting end first: they are read while the others run.
		for i := pods - 1; i >= 60; i-- {
			n := fmt.Sprintf("p%03d", i)
			k.logs[n+"/main"].end()
			f.Observe(pod(n, terminated("id"+n)), false)
		}
		synctest.Wait()
		if got := len(s.events); got != 56+140 {
			t.Errorf("%d pods were read, want %d", got, 56+140)
		}
		f.Drain(time.Minute)
		<-s.done
		f.Close()
		if k.most > 72 {
			t.Errorf("%d streams were open at once", k.most)
		}
		for i := range pods {
			if line := fmt.Sprintf("p%03d/main/0 \"hello\"\n", i); strings.Count(s.text(), line) != 1 {
				t.Errorf("want once: %s", line)
			}
		}
	})
}

func TestDrainLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, s := newKubelet(), newSink()
		k.fault = func() (int, error, error) { return 0, nil, context.DeadlineExceeded }
		f := New(t.Context(), Options{Open: k.Open, Out: s.out})
		f.Observe(pod("a", terminated("ida")), false)
		f.Observe(pod("b", running("idb")), false)
		f.Drain(5 * time.Second)
		start := time.Now()
		<-s.done
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("drained after %s", d)
		}
		f.Observe(pod("c", running("idc")), false)
		f.Close()
		why := "gap: the log could not be read to its end within 5.0 s after the Job's end\n"
		if got, want := s.text(), "a/main/0 "+why+"b/main/0 "+why+"drained\n"; got != want {
			t.Errorf("got:\n%swant:\n%s", got, want)
		}
		if k.requests < 4 {
			t.Errorf("only %d requests", k.requests)
		}
	})
}

// An outage that is not waited for any more ends the draining with it.
func TestDrainAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, log, s := newKubelet(), newContainerLog(), newSink()
		k.serve("a/main", log, nil)
		log.write(time.Now(), "line 0")
		log.end()
		k.fault = func() (int, error, error) {
			return 0, nil, &url.Error{Op: "Get", URL: "https://api.example", Err: syscall.ECONNREFUSED}
		}
		begin := time.Now()
		f := New(t.Context(), Options{Open: k.Open, Out: s.out, Outage: func() (bool, bool) { return true, time.Since(begin) < 20*time.Second }})
		f.Observe(pod("a", terminated("ida")), false)
		f.Drain(30 * time.Second)
		<-s.done
		f.Close()
		if took := time.Since(begin); took != 20*time.Second {
			t.Errorf("took %s", took)
		}
		if got := s.text(); !strings.Contains(got, "the API server does not answer, and is not waited for any more") {
			t.Errorf("got %s", got)
		}
	})
}

// An outage at the end costs time alone. Whoever else asks the API server hears of it, and of its end.
func TestDrainLimitInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, log, s := newKubelet(), newContainerLog(), newSink()
		k.serve("a/main", log, nil)
		log.write(time.Now(), "line 0")
		log.end()
		back := time.Now().Add(32 * time.Second)
		away := func() bool { return time.Now().Before(back) }
		k.fault = func() (int, error, error) {
			if away() {
				return 0, nil, &url.Error{Op: "Get", URL: "https://api.example", Err: syscall.ECONNREFUSED}
			}
			return -1, nil, nil
		}
		var told []bool
		health := &outage.Health{Tell: func(c event.Connection) { told = append(told, c.Err != nil) }}
		f := New(t.Context(), Options{Open: k.Open, Out: s.out, Health: health, Outage: func() (bool, bool) { away := !health.Since().IsZero(); return away, away }})
		f.Observe(pod("a", terminated("ida")), false)
		f.Drain(5 * time.Second)
		<-s.done
		f.Close()
		if got, want := s.text(), "a/main/0 \"line 0\"\ndrained\n"; got != want {
			t.Errorf("got:\n%swant:\n%s", got, want)
		}
		if diff := cmp.Diff([]bool{true, false}, told); diff != "" {
			t.Errorf("told of the outage: %s", diff)
		}
	})
}
