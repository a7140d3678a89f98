package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
)

const (
	// behind is how late a node may be: the kubelet to see that a container has ended (logForceCheckPeriod in
	// k8s.io/cri-client/pkg/logs, and the period of its pod lifecycle event generator), the news of that to reach us, and the
	// container runtime to write a container's last lines.
	behind = time.Second
	// linger is how long a stream that must be read to its end may be silent before that counts as its end.
	linger = 3 * behind
	// calm is the silence after which it is worth asking whether there is more. It is much less than the shortest time between
	// two rotations (3 s, containerLogMonitorInterval): a stream may sit at the end of a file that was rotated away.
	calm = 500 * time.Millisecond
	// burst is how much a container must have written before the runtime can be behind with its log.
	burst = 64 << 10
	// tries is how often an answer that makes no sense is taken to be the kubelet's confusion: it has just started, it is rotating
	// the file, it has not told of a restart.
	tries = 8
	// denial is how long a log may be forbidden when logs could be read before: an API server that has just started refuses
	// everybody until its authorizer has read the cluster's roles, and a kubelet remembers for 30 s that it was told to refuse.
	denial = time.Minute

	rotated = "the log was rotated away before it could be read"
	early   = "the container was restarted before the log of this run could be read"
)

var (
	errMoved     = errors.New("the answer is, or may be, another run's")
	errElsewhere = errors.New("the file does not continue what was read from the stream")
	errCut       = errors.New("the answer ends within a line")
)

// state is what was observed of a run.
type state struct {
	ended    bool
	previous bool      // the container has another run; this one is read with PodLogOptions.Previous
	replaced bool      // two runs have followed it: nobody can read it any more
	restarts bool      // the container is started again, or may be
	gone     bool      // the pod was deleted
	at       time.Time // when it ended, in whole seconds; zero when unknown
	until    time.Time // what was written since is the next run's; zero when unknown
}

// over says that nothing will be written any more.
func (s state) over() bool { return s.ended || s.gone }

// run is one run of a container.
type run struct {
	stream *event.Stream
	now    state
}

// phase is what a container's reader does with the run that it is at.
type phase int

const (
	following phase = iota // reads its stream, or opens one
	calming                // the run has ended, or everything is drained: reads what the stream still brings
	emptying               // the file does not continue what was read: reads the rest of the file before it from the stream
	reading                // without a stream, reads from the cursor to the end of the file
)

// progress is how far a run was read.
type progress struct {
	phase   phase
	src     *source
	cur     cursor
	half    []event.Line // the line whose beginning a stream has brought
	tail    string       // an unterminated last line that was seen once
	orderly bool         // the stream or answer before came to the end of its file, as far as one can tell
	still   int          // answers in a row that came to the end of the file and brought nothing new
	odd     int          // answers in a row that were no log, or seemed to be another run's
	volume  int64        // bytes delivered
	checked int64        // volume at the last check for a lost file
	told    time.Time    // when the run's end was first seen, by our clock
}

// container reads the runs of one container of one pod, one after the other.
type container struct {
	f       *Follower
	number  int           // in order of appearance, from 1
	changed chan struct{} // has an element when the state of a run has changed or draining has begun

	// Guarded by f.mu; only the goroutine that reads changes at.
	runs   []*run
	at     int       // the run that is read
	silent time.Time // since when its log has been open and has brought nothing; zero when that is not so
	queued bool      // waits for a place, or has one

	// The rest belongs to the goroutine that reads.
	progress
	before cursor    // of the run before, if its last line is in its file
	past   history   // of all runs
	denied time.Time // since when every request was forbidden; zero when the last one was not
	long   bool      // it was said that lines are cut
	retry  backoff.BackOff
}

func newContainer(f *Follower, number int) *container {
	return &container{f: f, number: number, changed: make(chan struct{}, 1), retry: outage.Backoff()}
}

// set changes the state of a run, and wakes the reader when that is news. What the kubelet has said is not taken back.
func (c *container) set(r *run, now state) {
	if r.now.previous {
		now.ended, now.previous = true, true
	}
	if r.now != now {
		r.now = now
		c.wake()
	}
}

func (c *container) wake() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// follows says whether there is a run to follow, rather than to read to its end. f.mu is held.
func (c *container) follows() bool { return !c.runs[c.at].now.over() && !c.f.draining }

// stream is that of the run that is read. Others may add runs meanwhile.
func (c *container) stream() *event.Stream {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	return c.runs[c.at].stream
}

// look gives the state of the run that is read, and says whether its end, or what there is now, is to be read.
func (c *container) look() (s state, ending bool) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	s = c.runs[c.at].now
	if s.over() && c.told.IsZero() {
		c.told = time.Now()
	}
	return s, s.over() || c.f.draining
}

// quiet notes since when the log of the run has been open without a line.
func (c *container) quiet(since time.Time) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.silent = since
}

// done goes on to the next run.
func (c *container) done() {
	c.close()
	c.before, c.progress = c.cur, progress{}
	c.retry.Reset()
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.at++
}

// read reads run after run, until there is none left or ctx ends. Without a place to follow it stops before a run that goes on.
func (c *container) read(ctx context.Context, follow bool) {
	defer func() { c.close() }()
	for at := c.at; ctx.Err() == nil; {
		if c.at != at {
			c.f.mu.Lock()
			stop := c.at == len(c.runs) || !follow && c.follows()
			c.f.mu.Unlock()
			if at = c.at; stop {
				return
			}
		}
		s, ending := c.look()
		var err error
		if c.src != nil {
			err = c.listen(ctx, s, ending)
		} else {
			err = c.open(ctx, s, ending)
		}
		if err != nil {
			c.close()
			c.failed(ctx, s, err)
		}
	}
}

// open begins, or goes on, to read a run of which no stream is open.
func (c *container) open(ctx context.Context, s state, ending bool) (err error) {
	switch {
	case s.gone:
		c.giveUp(ctx, "the pod was deleted before its log could be read")
	case s.replaced:
		c.giveUp(ctx, "the container was restarted twice before the log of this run could be read")
	case ending:
		c.phase = reading
		err = c.rest(ctx, s)
	default:
		c.phase, c.orderly = following, false
		if c.src, err = c.connect(ctx, s); err == nil && c.volume == 0 {
			c.quiet(time.Now())
		}
	}
	return err
}

// listen takes the next thing that happens to an open stream. Whatever it cannot go on with is an error.
func (c *container) listen(ctx context.Context, s state, ending bool) error {
	if c.phase == following && ending {
		c.phase = calming
		c.src.quiet.Reset(0)
	}
	select {
	case <-ctx.Done():
	case <-c.changed:
	case lines, ok := <-c.src.batches:
		switch {
		case !ok:
			c.ended(ctx, s, ending)
			return nil
		case c.phase == emptying:
			c.src.quiet.Reset(linger)
		case c.phase == calming && s.over(): // otherwise it may write for ever
			c.src.quiet.Reset(calm)
		}
		err := c.take(ctx, s, lines)
		if c.phase == following && err == nil {
			c.patient()
		}
		return err
	case <-c.src.quiet.C:
		switch {
		case c.phase == following:
			return c.probe(ctx, s)
		case c.phase == emptying:
			// A container that is stopped with its pod ends its stream: silence says that its node is lost.
			c.orderly = c.src.anchored() && !s.gone
			c.close()
		case s.gone || s.replaced:
			c.empty()
		default:
			if err := c.rest(ctx, s); c.src == nil {
				return err
			} else if err != nil {
				c.empty()
			}
		}
	}
	return nil
}

// empty reads the stream to its end, as what it brings is nowhere else.
func (c *container) empty() {
	c.phase = emptying
	c.src.quiet.Reset(linger)
}

// close closes the stream. The beginning of a line is kept in case that the rest never comes.
func (c *container) close() {
	if c.src != nil {
		c.quiet(time.Time{})
		if half := c.src.close(); half != nil {
			c.half = half
		}
		c.src = nil
	}
}

// ended looks at how a stream ended, and waits before the log is asked for again.
func (c *container) ended(ctx context.Context, s state, ending bool) {
	src := c.src
	// Behind half a line, an answer was cut, or, when nothing is written any more, the file ends there. One that is empty and ends at once was
	// asked for too late: the kubelet may have removed the log.
	c.orderly = src.err == io.EOF && src.anchored() && (src.reader.n == 0 || s.over()) && (c.cur.n > 0 || time.Since(src.at) >= behind)
	c.close()
	switch {
	case ending:
	case src.err == io.EOF: // the news that the container has ended will come
		c.wait(ctx, max(behind, c.retry.NextBackOff()))
	case !src.fresh:
		c.wait(ctx, c.retry.NextBackOff())
	}
}

// wait ends early when the state changes.
func (c *container) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.changed:
	case <-ctx.Done():
	}
}

// failed handles what a request or an answer could not go on with, and waits before the next one.
func (c *container) failed(ctx context.Context, s state, err error) {
	refused := s.over() && (apierrors.IsBadRequest(err) || apierrors.IsNotFound(err)) // a kubelet that has just started says 404
	if refused {
		c.odd++
	}
	switch {
	case ctx.Err() != nil:
	case apierrors.IsForbidden(err) && !c.f.opened.Load():
		c.f.forbid(ctx, err)
		c.done()
	case refused && c.odd >= tries, apierrors.IsForbidden(err) && time.Since(c.denied) >= denial:
		c.giveUp(ctx, "the log cannot be read: "+err.Error())
	default:
		c.wait(ctx, c.retry.NextBackOff())
	}
}

// gap says that what lies between the last line that was delivered and until is lost.
func (c *container) gap(ctx context.Context, until time.Time, why string) error {
	return c.f.send(ctx, event.Gap{Stream: c.stream(), After: c.cur.at, Until: until, Why: why})
}

// giveUp ends the run without having read it, and says so unless everything had been read.
func (c *container) giveUp(ctx context.Context, why string) {
	if c.deliver(ctx, c.half) == nil && (c.orderly || c.gap(ctx, time.Time{}, why) == nil) {
		c.cur = cursor{}
		c.done()
	}
}

// rest reads on from the cursor to the end of the file. Neither an answer that ends in good order nor the container's end prove
// that this was all: the run is done when the last line of the file is the one that was delivered last. A stream is closed as soon
// as it is clear that the file continues what was read from it.
func (c *container) rest(ctx context.Context, s state) error {
	// Of a container that wrote much until its end, or of which there was nothing yet, more may come.
	late := time.Until(c.told.Add(behind))
	if s.over() && late > 0 && (c.volume > burst && !c.cur.at.Before(s.at.Add(-behind)) || c.cur.n == 0 && c.still > 0) {
		if c.src != nil {
			c.src.quiet.Reset(late)
		} else {
			c.wait(ctx, late)
		}
		return nil
	}
	end := cursor{}
	if s.over() && c.cur.n > 0 {
		err := c.scan(ctx, s, &corev1.PodLogOptions{TailLines: new(int64(c.cur.n + 1))}, func(lines []event.Line, _ bool) error {
			end.add(lines)
			return nil
		})
		if err != nil {
			return err
		}
		if end.n == c.cur.n && end.at.Equal(c.cur.at) && end.sum == c.cur.sum {
			c.done()
			return nil
		}
	}
	k, fresh := c.seek(), false
	asked := s
	each := func(lines []event.Line, half bool) error {
		lines = k.skip(lines)
		if k.found {
			c.close()
		} else if c.src != nil && k.missed {
			return errElsewhere
		}
		if len(lines) == 0 {
			return nil
		}
		if seen := lines[0].At.String() + lines[0].Text; half && s.over() && c.tail != seen {
			c.tail, c.half = seen, lines // it may be half of a line of an answer that was cut, so it must come twice
			return errCut
		}
		if !fresh {
			if err := c.accept(ctx, asked, k, lines[0], c.orderly && lines[0].At.Sub(c.cur.at) < leap); err != nil {
				return err
			}
		}
		fresh = true
		return c.deliver(ctx, lines)
	}
	// What the kubelet calls previous is the first run, if there is any, and soon it will be gone.
	asked.previous = s.previous || s.over() && s.restarts && c.cur.n == 0 && c.stream().Restart == 0
	err := c.scan(ctx, asked, &corev1.PodLogOptions{SinceTime: c.cur.since()}, each)
	if none(err) && !s.previous {
		asked = s
		err = c.scan(ctx, s, &corev1.PodLogOptions{SinceTime: c.cur.since()}, each)
	}
	if !fresh && err == nil {
		c.still++
	}
	absent := !k.found && !k.missed
	switch {
	case err != nil:
		return err
	case c.src != nil:
		return errElsewhere
	case c.still == 1 && (absent || c.cur.n == 0) && s.restarts && !s.previous: // it may be the next run's log, still empty
		_, err = c.ours(ctx, s, event.Line{})
	case fresh || !absent:
		// One empty answer does not say that there was nothing.
		if c.orderly = c.orderly || c.cur.n > 0; !s.over() || c.still > 1 {
			c.done()
		}
	case c.still > 1 && (end.n == 0 || end.n == k.seen && end.at.Equal(c.cur.at)), c.still == tries:
		c.giveUp(ctx, rotated) // the file is empty, or holds nothing but the end of the cursor's line
	case end.n > 0: // the answer was cut
		c.wait(ctx, c.retry.NextBackOff())
	}
	return err
}

// accept decides whether an answer that begins with a new line is this run's, and says what is missing before it. whole says that
// nothing can be missing.
func (c *container) accept(ctx context.Context, s state, k *seeker, line event.Line, whole bool) error {
	if c.cur.n > 0 && !k.missed {
		return nil
	}
	if s.replaced {
		return errMoved
	}
	if !s.previous && s.restarts {
		ours, err := false, errMoved
		for ; err != nil && c.odd < tries; c.odd++ { // the answer that is at hand is not thrown away for that
			if ours, err = c.ours(ctx, s, line); err != nil {
				c.wait(ctx, c.retry.NextBackOff())
			}
		}
		if !ours && c.odd < tries || ctx.Err() != nil {
			return errMoved
		}
	} else if s.previous && !s.until.IsZero() && !line.At.Before(s.until) {
		if c.src == nil { // this is the log that is asked for as the previous one
			c.giveUp(ctx, early)
		}
		return errMoved
	}
	if k.missed {
		if err := c.deliver(ctx, c.half); err != nil || whole {
			return err
		}
		return c.gap(ctx, line.At, rotated)
	}
	return nil
}

// ours says whether a line of the current log is this run's, and not already the next one's, of which no news has come. The kubelet
// knows first which run is the previous one: while the next one waits to be started, that is the current one, too.
func (c *container) ours(ctx context.Context, s state, line event.Line) (bool, error) {
	known, ended := c.cur, s
	if known.n == 0 {
		known = c.before
	}
	ended.ended, ended.previous = true, true
	k, same := &seeker{cursor: known, past: &c.past, found: known.n == 0}, false
	err := noEOF(c.scan(ctx, ended, &corev1.PodLogOptions{SinceTime: known.since()}, func(lines []event.Line, _ bool) error {
		if same = slices.Contains(lines, line); same {
			return io.EOF
		}
		k.skip(lines)
		return nil
	}))
	refused := apierrors.IsBadRequest(err) || apierrors.IsNotFound(err)
	first := c.stream().Restart == 0
	switch {
	case err != nil && !refused:
		return false, err
	case same, first && none(err):
		return true, nil
	case !refused && (first && c.cur.n == 0 || k.found && c.cur.n > 0): // what the kubelet calls previous is this run
		c.f.mu.Lock()
		defer c.f.mu.Unlock()
		c.set(c.runs[c.at], ended)
		return false, nil
	case !refused && c.cur.n == 0 && known.n > 0: // it is the run before, or this one
		return k.found, nil
	}
	// Only the news can tell, and the time.
	c.wait(ctx, behind)
	now, _ := c.look()
	switch {
	case now == s:
		return !first, ctx.Err() // before the first run there is none, whatever the kubelet says about it
	case now.previous:
		return line.At.Before(now.until), ctx.Err()
	}
	return now.ended && !line.At.After(now.at.Add(behind)), ctx.Err()
}

// none says whether an error is that a container has no previous run (validateContainerLogStatus in pkg/kubelet/kubelet_pods.go).
func none(err error) bool {
	return apierrors.IsBadRequest(err) && strings.Contains(err.Error(), "previous terminated container")
}

// deliver sends lines and moves the cursor behind them.
func (c *container) deliver(ctx context.Context, lines []event.Line) error {
	if len(lines) == 0 {
		return nil
	}
	if !c.long && slices.ContainsFunc(lines, func(l event.Line) bool { return l.More }) {
		c.long = true
		if err := c.f.send(ctx, event.Notice{Level: event.Warning, Key: "long-lines", Message: fmt.Sprintf(
			"container %s of pod %s writes lines longer than %d bytes: they are shown in pieces", c.stream().Container, c.stream().Pod, maxLine)}); err != nil {
			return err
		}
	}
	if err := c.f.send(ctx, event.Lines{Stream: c.stream(), Lines: lines}); err != nil {
		return err
	}
	for i := range lines {
		c.volume += int64(len(lines[i].Text)) + 32 // and its time stamp
	}
	c.quiet(time.Time{})
	c.cur.add(lines)
	c.past.add(lines)
	c.half, c.tail, c.still, c.odd = nil, "", 0, 0
	c.retry.Reset()
	return nil
}
