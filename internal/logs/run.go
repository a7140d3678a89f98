package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/planton/kubernetes-job-action/internal/event"
)

const (
	// notice is how long the kubelet may take to see that a container has ended (logForceCheckPeriod in
	// k8s.io/cri-client/pkg/logs, and the period of its pod lifecycle event generator): an orderly end of a stream is
	// followed by the news that the container has ended within that time, or it was something else.
	notice = time.Second
	// settle is how long the news of a restart may be behind a log that already is the next run's.
	settle = 500 * time.Millisecond
	// flush is how long the container runtime may still be writing what a container wrote last: its logger is not waited for
	// when the container's end is told. It is far behind only where much was written until the end, and then the Job's own end
	// takes longer than lag.
	flush = 200 * time.Millisecond
	lag   = time.Second
	// calm is the silence of a stream of a container that has ended which shows that it brought what it can.
	calm = 100 * time.Millisecond
	// linger is how long a stream that still has to be read to its end may be silent before that counts as its end, and how long
	// one that was left behind by a rotation is waited for.
	linger = 3 * notice
	// stall is the silence after which a stream is suspected to sit at the end of a file that was rotated away. It is much
	// less than the shortest time between two rotations (3 s, containerLogMonitorInterval), as lines are lost after the
	// second one, and the stream may have come to the end of the old file late.
	stall = 500 * time.Millisecond
	// idle is the silence after which any stream is checked once, for what neither end has noticed, and seldom that until the next check.
	idle   = time.Minute
	seldom = 24 * time.Hour
	// rotatable is how much a container must have written before its log can have been rotated: half of the smallest
	// containerLogMaxSize that is in use (1Mi), since the file holds more than what is read of it.
	rotatable = 512 << 10
	// leap is a step between the time stamps of two lines that a lost file may hide in. A file is lost between two rotations.
	// The kubelet looks every 3 s at the soonest, but when it was late once, the next look follows sooner: 2.4 s were seen.
	leap = 1500 * time.Millisecond
	// certain is the size up to which an answer that ended in good order is taken to be whole. A longer one may have been
	// cut on its way from the kubelet and is asked for again from its end.
	certain = 256 << 10
	// burst is how much a container must have written before the runtime can be behind with its log.
	burst = 64 << 10
	// tries is how often a refusal is taken to be the kubelet's confusion (it has just started, it is rotating the file).
	tries = 8

	// denial is how long a log may be forbidden when logs could be read before: an API server that has just started refuses
	// everybody until its authorizer has read the cluster's roles, and a kubelet remembers for 30 s that it was told to refuse.
	denial = time.Minute

	// looks is how often an answer that ended in good order must lack the cursor's line before that is believed.
	looks = 3

	rotated = "the log was rotated away before it could be read"
	early   = "the container was restarted before the log of this run could be read"
)

// errElsewhere says that the current log file does not hold the last line that was delivered, while there is a stream that
// may still be reading the file before it.
var errElsewhere = errors.New("the log file does not continue what was read")

// errMoved says that the state of the run has changed so that an answer may be another run's.
var errMoved = errors.New("the container has been restarted")

// state is what was observed of a run.
type state struct {
	ended    bool
	previous bool      // the container has another run; this one is read with PodLogOptions.Previous
	replaced bool      // two runs have followed it: nobody can read it any more
	restarts bool      // the container is started again, or may be
	gone     bool      // the pod was deleted
	at       time.Time // when it ended, in whole seconds; zero when unknown
}

// over tells that nothing will be written any more.
func (s state) over() bool { return s.ended || s.gone }

// run is one container run.
type run struct {
	f       *Follower
	stream  *event.Stream
	number  int           // in order of appearance, from 1
	before  *run          // of the same container, nil for the first
	changed chan struct{} // has an element when the state has changed or draining has begun

	// Guarded by f.mu.
	now  state
	done bool

	// The rest belongs to the goroutine that reads.
	cur     cursor
	past    history
	doubted uint64 // identity of a line that may have been the next run's
	whole   bool   // the file was read to its end, and is looked at again only for what the runtime may still write
	orderly bool   // the kubelet's follower came to its end, or was silent: the file that it read was read whole
	volume  int64  // bytes read
	checked int64  // volume at the last check for a lost file

	watched  bool         // a silence was checked
	told     time.Time    // when its end was first seen, by our clock
	half     []event.Line // the line that a stream has brought the beginning of, when its file will not be read again
	tail     string       // an unterminated last line that was seen once
	absent   int          // answers in a row that held neither the last line that was delivered nor a later one
	refusals int
	denied   time.Time // since when every request was forbidden; zero when the last one was not
	long     bool      // it was said that lines are cut
	retry    *backoff.ExponentialBackOff
}

func newRun(f *Follower, stream *event.Stream, now state) *run {
	f.appeared++
	return &run{
		f: f, stream: stream, number: f.appeared, now: now, changed: make(chan struct{}, 1),
		retry: backoff.NewExponentialBackOff(backoff.WithInitialInterval(f.MinBackoff), backoff.WithMultiplier(2),
			backoff.WithMaxInterval(30*f.MinBackoff), backoff.WithMaxElapsedTime(0)),
	}
}

func (r *run) wake() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *run) look() (s state, draining bool) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if r.now.over() && r.told.IsZero() {
		r.told = time.Now()
	}
	return r.now, r.f.draining
}

// settled is when the log of a container that has ended, and wrote much until then, is complete; the zero time for any other.
func (r *run) settled(s state) time.Time {
	if !s.over() || r.volume <= burst || r.cur.at.Before(s.at.Add(-time.Second)) {
		return time.Time{}
	}
	return r.told.Add(lag)
}

func (r *run) finished() {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	r.done = true
}

// read delivers the log until it is done or ctx ends.
func (r *run) read(ctx context.Context) {
	for ctx.Err() == nil && !r.done {
		if s, draining := r.look(); s.over() || draining {
			r.finish(ctx, s)
		} else {
			r.follow(ctx, s)
		}
	}
}

// wait ends early when the state changes.
func (r *run) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.changed:
	case <-ctx.Done():
	}
}

// pause does not end early when the state changes.
func (r *run) pause(ctx context.Context, d time.Duration) {
	for until := time.Now().Add(d); ctx.Err() == nil && time.Now().Before(until); {
		r.wait(ctx, time.Until(until))
	}
}

// gap says that what lies between the last line that was delivered and until is lost.
func (r *run) gap(ctx context.Context, until time.Time, why string) bool {
	return r.f.send(ctx, event.Gap{Stream: r.stream, After: r.cur.at, Until: until, Why: why})
}

// giveUp ends the run without having read it, and says so unless everything had been read.
func (r *run) giveUp(ctx context.Context, why string) {
	if r.orderly || r.gap(ctx, time.Time{}, why) {
		r.finished()
	}
}

// answer is the body of a request for logs.
type answer struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (a answer) Close() error {
	a.cancel()
	return a.ReadCloser.Close()
}

// open asks for the log from the cursor on.
func (r *run) open(ctx context.Context, s state, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	o.Container, o.Timestamps, o.Previous, o.SinceTime = r.stream.Container, true, s.previous, r.cur.since()
	body, err := r.f.Open(ctx, r.stream.Namespace, r.stream.Pod, o)
	if !apierrors.IsForbidden(err) {
		r.denied = time.Time{}
	} else if r.denied.IsZero() {
		r.denied = time.Now()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	r.f.opened.Store(true)
	return answer{body, cancel}, nil
}

// seeker gives what finds the cursor in the next answer. When the clock was set back, time stamps tell nothing about whether
// the cursor's line is still to come: then the file is looked through first, again and again before it is taken to be another
// one, as each answer may have been cut.
func (r *run) seeker(ctx context.Context, s state) (*seeker, error) {
	k := seek(r.cur)
	if k.found || !r.cur.astray() {
		return k, nil
	}
	for range looks {
		if found, _, err := r.locate(ctx, s, nil); found || err != nil {
			return k, err
		}
	}
	k.max = time.Time{}
	return k, nil
}

// locate looks for the cursor's line in the current file, or in as many lines of its end as tail says. behind tells whether there
// are lines behind it, or lines at all when it is not there.
func (r *run) locate(ctx context.Context, s state, tail *int64) (found, behind bool, err error) {
	body, err := r.open(ctx, s, &corev1.PodLogOptions{TailLines: tail})
	if err != nil {
		return false, false, err
	}
	defer body.Close()
	rd, k := newReader(body), seek(r.cur)
	for {
		lines, err := rd.next()
		if len(k.skip(lines)) > 0 {
			return k.found, true, nil
		}
		if err == io.EOF {
			if _, stamped := rd.rest(); rd.n > 0 && !stamped {
				return false, false, refusal(rd)
			}
			return k.found, false, nil
		}
		if err != nil {
			return false, false, err
		}
	}
}

// refusal is what the kubelet wrote instead of a log.
func refusal(rd *reader) error {
	line, _ := rd.rest()
	return apierrors.NewBadRequest(strings.TrimSpace(line.Text[:min(len(line.Text), 500)]))
}

// failed handles an error of a request, and waits before the next one.
func (r *run) failed(ctx context.Context, s state, err error) {
	switch {
	case ctx.Err() != nil, errors.Is(err, errMoved):
	case apierrors.IsForbidden(err) && !r.f.opened.Load():
		r.f.forbid(ctx, err)
		r.finished()
	case apierrors.IsForbidden(err) && time.Since(r.denied) >= denial:
		r.giveUp(ctx, "the log cannot be read: "+err.Error())
	case s.over() && (apierrors.IsBadRequest(err) || apierrors.IsNotFound(err)):
		// A 404 is the kubelet's own while it has not yet heard of its pods after a start.
		if r.refusals++; r.refusals == tries || s.previous && strings.Contains(err.Error(), "previous terminated container") {
			r.giveUp(ctx, "the log cannot be read: "+err.Error())
			return
		}
		r.wait(ctx, r.retry.NextBackOff())
	default:
		r.wait(ctx, r.retry.NextBackOff())
	}
}

// finish reads what is left of a run that has ended, or of one that still runs while everything is drained.
func (r *run) finish(ctx context.Context, s state) {
	switch {
	case s.gone:
		r.giveUp(ctx, "the pod was deleted before its log could be read")
	case s.replaced:
		r.giveUp(ctx, "the container was restarted twice before the log of this run could be read")
	default:
		if err := r.rest(ctx, s, nil); err != nil {
			r.failed(ctx, s, err)
		}
	}
}

// rest reads from the cursor to the end of the file, and marks the run as done when that was all. A live stream is closed as
// soon as it is clear that the file continues what was read from it; otherwise errElsewhere leaves it to be read first.
func (r *run) rest(ctx context.Context, s state, live *source) error {
	if settled := r.settled(s); !settled.IsZero() {
		r.pause(ctx, time.Until(settled))
		if now, _ := r.look(); now != s || ctx.Err() != nil {
			return errMoved
		}
		// Reading on from the cursor brings all lines of its second again; the last line alone tells whether that is needed.
		if found, behind, err := r.locate(ctx, s, new(int64(1))); err != nil {
			return err
		} else if found && !behind {
			r.finished()
			return nil
		}
	}
	k, err := r.seeker(ctx, s)
	if err != nil {
		return err
	}
	asked := time.Now()
	body, err := r.open(ctx, s, &corev1.PodLogOptions{})
	if err != nil {
		return err
	}
	defer body.Close()
	rd, delivered := newReader(body), false
	deliver := func(lines []event.Line) error {
		if !delivered {
			if err := r.accept(ctx, s, k, lines, r.orderly && lines[0].At.Sub(r.cur.at) < leap); err != nil {
				return err
			}
		}
		delivered = true
		if !r.deliver(ctx, lines, rd.long) {
			return ctx.Err()
		}
		return nil
	}
	for {
		lines, err := rd.next()
		fresh := k.skip(lines)
		if live != nil && k.missed {
			return errElsewhere
		}
		if live != nil && k.found {
			live.close()
			live = nil
		}
		if len(fresh) > 0 {
			if err := deliver(fresh); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if live != nil {
		return errElsewhere
	}
	if rd.n > 0 {
		line, stamped := rd.rest()
		if !stamped && !(r.cur.n > 0 && r.cur.at.IsZero()) { // a log without time stamps has none here either
			return refusal(rd)
		}
		// It may be half of a line of an answer that was cut, so it must come twice.
		if seen := line.At.String() + line.Text; s.over() && r.tail != seen {
			r.tail = seen
			r.pause(ctx, flush)
			return nil
		}
		if fresh := k.skip([]event.Line{line}); len(fresh) > 0 {
			if err := deliver(fresh); err != nil {
				return err
			}
		}
	} else if !k.found && !k.missed {
		if r.absent++; r.absent < looks && s.over() {
			if s.restarts && !s.previous { // it may be the next run's, which has written nothing yet
				r.wait(ctx, settle)
			}
			return nil
		}
		if !r.orderly && !r.gap(ctx, time.Time{}, rotated) {
			return ctx.Err()
		}
	}
	r.volume += rd.size
	if asked.Before(r.settled(s)) || s.over() && delivered && rd.size > certain {
		r.orderly = r.orderly || rd.size <= certain // a run that cannot be read again has been read
		r.whole = r.orderly
		return nil
	}
	r.finished()
	return nil
}

// accept decides whether an answer that begins with the new lines fresh is this run's, and says what is missing before them.
// whole tells that nothing can be missing.
func (r *run) accept(ctx context.Context, s state, k *seeker, fresh []event.Line, whole bool) error {
	if r.cur.n > 0 && !k.missed {
		return nil
	}
	at := fresh[0].At
	if before := r.before; r.cur.n == 0 && before != nil && before.doubted == identity(fresh[0]) {
		if r.cur = before.cur; !before.orderly && !before.gap(ctx, time.Time{}, early) {
			return ctx.Err()
		}
		return errMoved // to go on behind what was delivered
	}
	if s.restarts && (k.missed || s.over()) {
		late := settle
		if k.missed && s.over() {
			late = linger // nothing is rotated when a container has ended (containerLogManager): the news will come
		}
		r.wait(ctx, late)
		r.wake() // wait may have taken the news that draining has begun
		if now, _ := r.look(); now != s || ctx.Err() != nil {
			return errMoved
		}
	}
	if !s.at.IsZero() && at.After(s.at.Add(2*time.Second)) && (s.restarts || s.previous) {
		r.giveUp(ctx, early)
		return errMoved
	}
	r.doubted = identity(fresh[0])
	if k.missed && whole && !r.deliver(ctx, r.half, false) || k.missed && !whole && !r.gap(ctx, at, rotated) {
		return ctx.Err()
	}
	return nil
}

// deliver sends lines and moves the cursor behind them.
func (r *run) deliver(ctx context.Context, lines []event.Line, long bool) bool {
	if len(lines) == 0 {
		return true
	}
	if long && !r.long {
		r.long = true
		if !r.f.send(ctx, event.Notice{Level: event.Warning, Key: "long-lines", Message: fmt.Sprintf(
			"container %s of pod %s writes lines longer than %d bytes: they are shown in pieces", r.stream.Container, r.stream.Pod, maxLine)}) {
			return false
		}
	}
	if !r.f.send(ctx, event.Lines{Stream: r.stream, Lines: lines}) {
		return false
	}
	r.cur.add(lines)
	r.past.add(lines)
	r.refusals, r.half, r.tail, r.absent, r.whole = 0, nil, "", 0, false
	r.retry.Reset()
	return true
}

// source is an open stream of a running container.
type source struct {
	body    io.ReadCloser
	batches chan batch // closed at the end of the stream; then err and reader may be read
	err     error
	reader  *reader
	quit    chan struct{}

	seeker   *seeker
	accepted bool
	whole    bool // it takes the place of a stream that was silent: nothing is missing in between
	fresh    bool // lines of it were delivered
	at       time.Time
	volume   int64 // bytes read
	current  bool  // it was seen at the end of the current file: from then on the kubelet's follower hears of each rotation
}

type batch struct {
	lines []event.Line
	size  int64
	long  bool
}

func (r *run) connect(ctx context.Context, s state) (*source, error) {
	k, err := r.seeker(ctx, s)
	if err != nil {
		return nil, err
	}
	body, err := r.open(ctx, s, &corev1.PodLogOptions{Follow: true})
	if err != nil {
		return nil, err
	}
	src := &source{
		body: body, batches: make(chan batch), reader: newReader(body), quit: make(chan struct{}), seeker: k,
		at: time.Now(),
	}
	go src.pump()
	return src, nil
}

func (s *source) pump() {
	defer close(s.batches)
	var size int64
	for s.err == nil {
		var b batch
		b.lines, s.err = s.reader.next()
		b.size, b.long = s.reader.size-size, s.reader.long
		size = s.reader.size
		if len(b.lines) == 0 {
			continue
		}
		select {
		case s.batches <- b:
		case <-s.quit:
			return
		}
	}
}

// close ends the stream and waits until nothing of it is left. It may be called again.
func (s *source) close() {
	select {
	case <-s.quit:
	default:
		close(s.quit)
		s.body.Close()
	}
	for range s.batches {
	}
}

// follow streams until the run is done, its state is another one, or the stream ends.
func (r *run) follow(ctx context.Context, s state) {
	r.orderly = false
	src, err := r.connect(ctx, s)
	if err != nil {
		r.failed(ctx, s, err)
		return
	}
	defer func() { src.close() }()
	quiet := time.NewTimer(r.patience(src))
	defer quiet.Stop()
	// A container that has ended is read to the end in three steps: calming, what the stream still brings; rest, what the file
	// has; and ending, where that shows that the stream reads another file, the stream until the kubelet ends it.
	calming, ending := false, false
	for {
		select {
		case <-ctx.Done():
			return
		case b, ok := <-src.batches:
			if !ok {
				r.ended(ctx, src)
				return
			}
			if !r.take(ctx, s, src, b) {
				return
			}
			switch {
			case ending:
				quiet.Reset(linger)
			case !calming:
				quiet.Reset(r.patience(src))
			case s.over(): // otherwise it may write for ever
				quiet.Reset(calm)
			}
		case <-r.changed:
			now, draining := r.look()
			s = now
			if calming || ending || !now.over() && !draining {
				continue
			}
			calming = true
			quiet.Reset(0)
			if now.over() && r.volume > burst {
				quiet.Reset(calm - time.Since(src.at))
			}
		case <-quiet.C:
			if ending {
				// A container that is stopped with its pod ends its stream: silence says that its node is lost.
				r.orderly = src.anchored() && !s.gone
				r.leave(src)
				return
			}
			if calming {
				if !s.gone && !s.replaced {
					if err := r.rest(ctx, s, src); err == nil || src.closed() {
						if err != nil {
							r.failed(ctx, s, err)
						}
						return
					}
				}
				ending = true
				quiet.Reset(linger)
				continue
			}
			if next := r.probe(ctx, s, src); next != nil {
				r.leave(src)
				src = next
			}
			quiet.Reset(r.patience(src))
		}
	}
}

// anchored tells whether the stream is known to continue what was delivered before it. One that has not come to the cursor's
// line may belong to a newer, empty file.
func (s *source) anchored() bool { return s.whole || s.seeker.found || s.seeker.missed }

func (s *source) closed() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

// leave closes a stream that has come to the end of its file.
func (r *run) leave(src *source) {
	src.close()
	if line, stamped := src.reader.rest(); stamped {
		r.half = []event.Line{line}
	}
}

// ended looks at how a stream ended, and waits before the log is asked for again.
func (r *run) ended(ctx context.Context, src *source) {
	s, draining := r.look()
	// Behind half a line, an answer was cut, or, when nothing is written any more, the file ends there.
	if r.orderly = src.err == io.EOF && src.anchored() && (src.reader.n == 0 || s.over()); r.orderly {
		r.leave(src)
	}
	switch {
	case s.over() || draining:
	case src.err == io.EOF:
		r.wait(ctx, max(notice, r.retry.NextBackOff()))
	case !src.fresh:
		r.wait(ctx, r.retry.NextBackOff())
	}
}

// take delivers a batch of a stream; false ends the stream.
func (r *run) take(ctx context.Context, s state, src *source, b batch) bool {
	suspicious := src.suspicious()
	r.volume += b.size
	src.volume += b.size
	fresh := src.seeker.skip(b.lines)
	if len(fresh) == 0 {
		return true
	}
	if !src.accepted {
		// A stream is the current run's: when another run has followed, that is this one only if it continues what was delivered.
		if (s.previous || s.replaced) && (r.cur.n == 0 || src.seeker.missed) {
			return false
		}
		if r.accept(ctx, s, src.seeker, fresh, src.whole) != nil {
			return false
		}
		src.accepted = true
	}
	before := r.cur.at
	for i := 0; i < len(fresh); i++ {
		back := fresh[i].At.Before(before)
		before = fresh[i].At
		if !back || !r.past.repeats(fresh, i) {
			continue
		}
		if !r.deliver(ctx, fresh[:i], b.long) {
			return false
		}
		src.seeker = seek(r.cur)
		if fresh = src.seeker.skip(fresh[i:]); len(fresh) == 0 {
			return true
		}
		before, i = fresh[0].At, 0
	}
	silence := time.Since(src.at)
	switch {
	case !src.fresh:
		silence = time.Duration(1<<63 - 1) // there is no line of this stream to compare with
	case suspicious:
		silence = 0 // it was not found out whether the container was silent, or the stream was stuck until the next rotation
	}
	for {
		i := r.leap(fresh, silence)
		if i < 0 {
			break
		}
		if !r.deliver(ctx, fresh[:i], b.long) {
			return false
		}
		fresh, silence = fresh[i:], 0
		found, behind, err := r.locate(ctx, s, nil)
		r.checked = r.volume
		if err == nil && !found && behind && !r.gap(ctx, fresh[0].At, rotated) {
			return false
		}
	}
	if !r.deliver(ctx, fresh, b.long) {
		return false
	}
	src.fresh, src.at = true, time.Now()
	return true
}

// leap finds the first line that may be the first one behind a lost file: its time stamp is far from that of the line before,
// but it came soon after it. That happens when the kubelet's follower was so far behind that two rotations passed.
func (r *run) leap(lines []event.Line, silence time.Duration) int {
	if r.volume-r.checked < rotatable || r.cur.astray() {
		return -1
	}
	before := r.cur.at
	for i := range lines {
		if step := lines[i].At.Sub(before); step >= leap && r.cur.n > 0 && (i > 0 || step-silence >= time.Second) {
			return i
		}
		before = lines[i].At
	}
	return -1
}

// suspicious tells whether a silent stream may sit at the end of a file that was rotated away: the kubelet's follower begins to
// watch at its first end of file, and keeps watching (ReadLogs in k8s.io/cri-client/pkg/logs).
func (s *source) suspicious() bool { return !s.current && s.volume >= rotatable }

// patience is how long a stream may be silent until it is checked.
func (r *run) patience(src *source) time.Duration {
	switch {
	case src.suspicious():
		return stall
	case r.watched:
		return seldom
	}
	return idle
}

// probe checks a silent stream: when the current file has lines that the stream has not delivered, or is another one than that
// which the stream has read, a new stream is opened. Nothing can be missing then: had the file been rotated twice, the
// kubelet's follower would have seen the second time and would not be silent.
func (r *run) probe(ctx context.Context, s state, src *source) *source {
	quick := src.suspicious()
	within, cancel := context.WithTimeout(ctx, 10*time.Second)
	found, behind, err := r.locate(within, s, nil)
	cancel()
	if err != nil {
		return nil
	}
	r.watched = r.watched || !quick
	if found && !behind {
		src.current = true
		return nil
	}
	next, err := r.connect(ctx, s)
	if err != nil {
		return nil
	}
	// A stream that is only slow, on a machine that is overloaded, is silent too, and what it has not brought yet is in no file
	// that can be asked for any more. The new stream is open and loses nothing meanwhile.
	late := time.NewTimer(linger)
	defer late.Stop()
	select {
	case b, ok := <-src.batches:
		next.close()
		if ok && !r.take(ctx, s, src, b) {
			src.close()
		}
		return nil
	case <-r.changed:
		next.close()
		r.wake()
		return nil
	case <-ctx.Done():
		next.close()
		return nil
	case <-late.C:
	}
	next.whole = true
	return next
}
