package logs

import (
	"context"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
)

const (
	// idle is the silence after which any stream is checked, for what neither end has noticed.
	idle = time.Hour
	// rotatable is how much a container must have written before its log can have been rotated: half of the smallest
	// containerLogMaxSize that is in use (1Mi), since the file holds more than what is read of it.
	rotatable = 512 << 10
	// leap is the smallest step between two time stamps that a lost file may hide in. The kubelet looks for what to rotate every
	// 3 s at the soonest, but sooner after a look that was late: 2.4 s were seen.
	leap = 1500 * time.Millisecond
)

func (c *container) request(ctx context.Context, s state, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	stream := c.stream()
	o.Container, o.Timestamps, o.Previous = stream.Container, true, s.previous
	began := time.Now()
	body, err := c.f.Open(ctx, stream.Namespace, stream.Pod, o)
	// A server error is no sign of an outage: it may be the node that the API server cannot reach.
	switch kind := outage.KindOf(err); {
	case kind.Answered():
		c.f.Health.Answered()
	case (kind == outage.Unconnected || kind == outage.Broken) && ctx.Err() == nil:
		c.f.Health.Failed(began, err)
	}
	if !apierrors.IsForbidden(err) {
		c.denied = time.Time{}
	} else if c.denied.IsZero() {
		c.denied = time.Now()
	}
	if err == nil {
		c.f.opened.Store(true)
	}
	return body, err
}

// scan reads an answer to its end and gives its lines to each, unless that has an error; half says that a line has no end.
func (c *container) scan(ctx context.Context, s state, o *corev1.PodLogOptions, each func(lines []event.Line, half bool) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := c.request(ctx, s, o)
	if err != nil {
		return err
	}
	defer body.Close()
	rd := newReader(body)
	for err == nil {
		var lines []event.Line
		lines, err = rd.next()
		if err := each(lines, false); err != nil {
			return err
		}
	}
	if err != io.EOF || rd.n == 0 {
		return noEOF(err)
	}
	line, stamped := rd.rest()
	if !stamped && !(c.cur.n > 0 && c.cur.at.IsZero()) { // a log without time stamps has none here either
		if !strings.Contains(line.Text, " ") {
			return errCut // within a time stamp
		}
		return apierrors.NewBadRequest(strings.TrimSpace(line.Text[:min(len(line.Text), 500)])) // the kubelet's own words
	}
	return each([]event.Line{line}, true)
}

// locate looks for a place in the current file. more says whether there are lines behind it, or lines at all when it is not there.
func (c *container) locate(ctx context.Context, s state, at cursor) (found, more bool, err error) {
	k := &seeker{cursor: at, past: &c.past, found: at.n == 0}
	err = c.scan(ctx, s, &corev1.PodLogOptions{SinceTime: at.since()}, func(lines []event.Line, half bool) error {
		if more = !half && len(k.skip(lines)) > 0; more {
			return io.EOF
		}
		return nil
	})
	return k.found, more, noEOF(err)
}

func noEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// source is the open stream of a container.
type source struct {
	cancel  context.CancelFunc
	body    io.ReadCloser
	batches chan []event.Line // closed at the end of the stream; then err and reader may be read
	err     error
	reader  *reader
	quit    chan struct{}
	quiet   *time.Timer // its silence

	seeker   *seeker
	accepted bool
	whole    bool      // it takes the place of a stream that was silent: nothing is missing in between
	fresh    bool      // lines of it were delivered
	at       time.Time // when the last of them came
	start    int64     // the run's volume when the stream was opened
	current  bool      // it was seen at the end of the current file
}

func (c *container) connect(ctx context.Context, s state) (*source, error) {
	ctx, cancel := context.WithCancel(ctx)
	body, err := c.request(ctx, s, &corev1.PodLogOptions{Follow: true, SinceTime: c.cur.since()})
	if err != nil {
		cancel()
		return nil, err
	}
	src := &source{
		cancel: cancel, body: body, batches: make(chan []event.Line), reader: newReader(body), quit: make(chan struct{}), quiet: time.NewTimer(idle),
		seeker: c.seek(), at: time.Now(), start: c.volume,
	}
	go src.pump()
	return src, nil
}

func (s *source) pump() {
	defer close(s.batches)
	for s.err == nil {
		var lines []event.Line
		if lines, s.err = s.reader.next(); len(lines) == 0 {
			continue
		}
		select {
		case s.batches <- lines:
		case <-s.quit:
			return
		}
	}
}

// close ends the stream, waits until nothing of it is left, and gives the line that it has brought the beginning of, if any.
func (s *source) close() []event.Line {
	s.quiet.Stop()
	close(s.quit)
	s.cancel()
	s.body.Close()
	for range s.batches {
	}
	if line, stamped := s.reader.rest(); stamped && s.accepted {
		return s.seeker.skip([]event.Line{line})
	}
	return nil
}

// anchored says whether the stream is known to continue what was delivered before it. One that has not come to the cursor's
// line may belong to a newer, empty file.
func (s *source) anchored() bool { return s.whole || s.seeker.found || s.seeker.missed }

// suspicious says whether the stream, when it is silent, may sit at the end of a file that was rotated away: the kubelet's follower
// begins to watch for a new file when it first comes to the end of one, and then keeps watching (ReadLogs in
// k8s.io/cri-client/pkg/logs).
func (c *container) suspicious() bool { return !c.src.current && c.volume-c.src.start >= rotatable }

// patient sets the time that the stream may be silent until it is checked.
func (c *container) patient() {
	if c.suspicious() {
		c.src.quiet.Reset(calm)
	} else {
		c.src.quiet.Reset(idle)
	}
}

// take delivers a batch of the stream. An error ends the stream.
func (c *container) take(ctx context.Context, s state, lines []event.Line) error {
	src := c.src
	suspicious := c.suspicious()
	fresh := src.seeker.skip(lines)
	if len(fresh) == 0 {
		return nil
	}
	if !src.accepted {
		if err := c.accept(ctx, s, src.seeker, fresh[0], src.whole); err != nil {
			return err
		}
		src.accepted = true
	}
	before := c.cur.at
	for i := 0; i < len(fresh); i++ {
		back := fresh[i].At.Before(before)
		before = fresh[i].At
		if !back || !c.past.repeats(fresh, i) {
			continue
		}
		if err := c.deliver(ctx, fresh[:i]); err != nil {
			return err
		}
		src.seeker = c.seek()
		if fresh = src.seeker.skip(fresh[i:]); len(fresh) == 0 {
			return nil
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
	for i := c.leap(fresh, silence); i >= 0; i = c.leap(fresh, 0) {
		if err := c.deliver(ctx, fresh[:i]); err != nil {
			return err
		}
		fresh = fresh[i:]
		found, more, err := c.locate(ctx, s, c.cur)
		c.checked = c.volume
		if err == nil && !found && more {
			if err := c.gap(ctx, fresh[0].At, rotated); err != nil {
				return err
			}
		}
	}
	err := c.deliver(ctx, fresh)
	src.fresh, src.at = true, time.Now()
	return err
}

// leap finds the first line that may be the first one behind a lost file: its time stamp is far from that of the line before,
// but it came soon after it. That happens when the kubelet's follower was so far behind that two rotations passed.
func (c *container) leap(lines []event.Line, silence time.Duration) int {
	if c.volume-c.checked < rotatable || c.cur.astray() {
		return -1
	}
	before := c.cur.at
	for i := range lines {
		if step := lines[i].At.Sub(before); step >= leap && c.cur.n > 0 && (i > 0 || step-silence >= time.Second) {
			return i
		}
		before = lines[i].At
	}
	return -1
}

// probe checks a silent stream: when the current file has lines that the stream has not delivered, or is another one than that
// which the stream has read, a new stream is opened. Nothing can be missing then: had the file been rotated twice, the
// kubelet's follower would have seen the second time and would not be silent.
func (c *container) probe(ctx context.Context, s state) error {
	within, cancel := context.WithTimeout(ctx, 2*linger)
	found, more, err := c.locate(within, s, c.cur)
	cancel()
	var next *source
	if err == nil && (!found || more) {
		next, err = c.connect(ctx, s)
	}
	if err != nil {
		c.src.quiet.Reset(c.retry.NextBackOff())
		return nil
	}
	c.src.current = next == nil
	c.patient()
	if next == nil {
		return nil
	}
	// A stream that is only slow, on a machine that is overloaded, is silent too, and what it has not brought yet is in no file
	// that can be asked for any more. The new stream is open and loses nothing meanwhile.
	late := time.NewTimer(linger)
	defer late.Stop()
	select {
	case <-late.C:
		c.close()
		next.whole, c.src = true, next
		return nil
	case lines, ok := <-c.src.batches:
		if next.close(); ok {
			return c.take(ctx, s, lines)
		}
	case <-c.changed:
		next.close()
	case <-ctx.Done():
		next.close()
	}
	return nil
}
