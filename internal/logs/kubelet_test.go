package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// stampFormat is RFC3339NanoFixed of k8s.io/cri-client/pkg/logs.
const stampFormat = "2006-01-02T15:04:05.000000000Z07:00"

// record is one entry of a log file in the CRI's format: a line, or with the tag P a part of one that goes on in the next record.
type record struct {
	at   time.Time
	text string
	part bool
	line int // its line's number
}

// written is one line that a container wrote.
type written struct {
	record
	tail *record // the record with which a file begins that a rotation within the line has made
}

// logFile is one file of a container's log; rotation starts another one.
type logFile struct {
	number  int
	records []record
}

// containerLog plays the log of one container run as the kubelet serves it: a read sees the current file only, and a follower
// notices rotations only from its first end of file on.
type containerLog struct {
	mu      sync.Mutex
	current *logFile
	all     []written
	firsts  map[int]bool // numbers of lines that begin a file
	running bool
	news    chan struct{} // closed at each change
	raw     string        // written behind the last record: an unterminated line
}

func newContainerLog() *containerLog {
	return &containerLog{current: &logFile{}, running: true, news: make(chan struct{}), firsts: map[int]bool{}}
}

func (c *containerLog) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.news)
	c.news = make(chan struct{})
}

// write writes a line. One that is given in several parts is written in as many records.
func (c *containerLog) write(at time.Time, parts ...string) {
	c.change(func() {
		for i, text := range parts {
			c.record(at.Add(time.Duration(i)), text, i < len(parts)-1, i == 0)
		}
	})
}

func (c *containerLog) record(at time.Time, text string, part, first bool) {
	if first {
		c.all = append(c.all, written{record: record{at: at.UTC(), line: len(c.all)}})
	}
	line := &c.all[len(c.all)-1]
	r := record{at.UTC(), text, part, len(c.all) - 1}
	if len(c.current.records) == 0 && c.current.number > 0 {
		c.firsts[len(c.all)-1] = true
		if !first {
			line.tail = &record{at: r.at}
		}
	}
	if line.text += text; line.tail != nil {
		line.tail.text += text
	}
	c.current.records = append(c.current.records, r)
}

func (c *containerLog) rotate() {
	c.change(func() { c.current = &logFile{number: c.current.number + 1} })
}

func (c *containerLog) end() { c.change(func() { c.running = false }) }

// body is one answer.
type body struct {
	log     *containerLog
	ctx     context.Context
	closed  chan struct{}
	once    sync.Once
	file    *logFile
	next    int
	since   time.Time
	follow  bool
	watched int // number of the newest file when the follower began to watch; -1 before
	pending []byte
	middle  bool // the record before was a part of a line
	ends    bool
	budget  int // bytes until the answer breaks off; -1 for never
	err     error
}

func (c *containerLog) open(ctx context.Context, o *corev1.PodLogOptions, budget int, err error) *body {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := &body{log: c, ctx: ctx, closed: make(chan struct{}), file: c.current, follow: o.Follow, watched: -1, budget: budget, err: err}
	if o.SinceTime != nil {
		b.since = o.SinceTime.Time
		if !b.since.Equal(b.since.Truncate(time.Second)) {
			panic("sinceTime with fractions of a second")
		}
	}
	if o.TailLines != nil {
		lines := len(c.current.records)
		if c.raw != "" {
			lines++
		}
		b.next = min(max(0, lines-int(*o.TailLines)), len(c.current.records))
	}
	return b
}

func (b *body) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// fill puts more bytes into pending, or says what to wait for.
func (b *body) fill() (wait <-chan struct{}) {
	b.log.mu.Lock()
	defer b.log.mu.Unlock()
	for len(b.pending) < 4096 {
		if b.next < len(b.file.records) {
			r := b.file.records[b.next]
			b.next++
			if !r.at.Before(b.since) {
				if !b.middle {
					b.pending = append(b.pending, r.at.Format(stampFormat)+" "...)
				}
				if b.pending = append(b.pending, r.text...); !r.part {
					b.pending = append(b.pending, '\n')
				}
			}
			b.middle = r.part
			continue
		}
		switch newest := b.log.current.number; {
		case b.follow && b.watched < 0:
			b.watched = newest
			continue
		case b.follow && b.watched < newest:
			// Each creation is an event of its own, and each event opens the newest file, be it open already.
			b.watched, b.file, b.next = b.watched+1, b.log.current, 0
			continue
		case b.follow && b.log.running && len(b.pending) == 0:
			return b.log.news
		case !b.follow || !b.log.running:
			if !b.ends && b.file == b.log.current {
				b.pending = append(b.pending, b.log.raw...)
			}
			b.ends = true
		}
		return nil
	}
	return nil
}

func (b *body) Read(p []byte) (int, error) {
	for {
		select {
		case <-b.closed:
			return 0, errors.New("read of a closed body")
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		default:
		}
		if b.budget == 0 {
			return 0, b.err
		}
		var wait <-chan struct{}
		if len(b.pending) == 0 && !b.ends {
			wait = b.fill()
		}
		if len(b.pending) > 0 {
			n := copy(p, b.pending)
			if b.budget >= 0 {
				n = min(n, b.budget)
				b.budget -= n
			}
			b.pending = b.pending[n:]
			return n, nil
		}
		if b.ends {
			return 0, io.EOF
		}
		if wait != nil {
			select {
			case <-wait:
			case <-b.closed:
			case <-b.ctx.Done():
			}
		}
	}
}

// kubelet serves logs by pod and container and counts what it is asked for. What it knows of a container is ahead of what the API
// server has heard.
type kubelet struct {
	mu       sync.Mutex
	logs     map[string]*containerLog // the current run, or the last one while the next one waits to be started
	previous map[string]*containerLog
	requests int
	open     int
	most     int
	fault    func() (budget int, err error, refuse error)
}

// words are the kubelet's own, in an answer with status 200: an answer's error that is sent as its text.
type words string

func (w words) Error() string { return string(w) }

func newKubelet() *kubelet {
	return &kubelet{logs: map[string]*containerLog{}, previous: map[string]*containerLog{}}
}

func (k *kubelet) serve(container string, current, previous *containerLog) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.logs[container] = current
	if previous != nil {
		k.previous[container] = previous
	}
}

var podLog = schema.GroupResource{Resource: "pods/log"}

func (k *kubelet) Open(ctx context.Context, _, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests++
	if !o.Timestamps {
		return nil, errors.New("asked without timestamps")
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	budget, cut, refuse := -1, error(nil), error(nil)
	if k.fault != nil {
		budget, cut, refuse = k.fault()
		var said words
		if errors.As(refuse, &said) {
			return io.NopCloser(strings.NewReader(string(said))), nil
		}
		if refuse != nil {
			return nil, refuse
		}
		if o.TailLines != nil && cut == io.EOF {
			budget = -1 // an answer of a few lines is one packet: it comes or it does not
		}
	}
	log, ok := k.logs[pod+"/"+o.Container]
	if o.Previous {
		if log, ok = k.previous[pod+"/"+o.Container]; !ok {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("previous terminated container %q in pod %q not found", o.Container, pod))
		}
	}
	if !ok {
		return nil, apierrors.NewNotFound(podLog, pod)
	}
	k.open++
	k.most = max(k.most, k.open)
	return &counted{body: log.open(ctx, o, budget, cut), k: k}, nil
}

type counted struct {
	*body
	k    *kubelet
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() {
		c.k.mu.Lock()
		c.k.open--
		c.k.mu.Unlock()
	})
	return c.body.Close()
}

// randomFaults breaks answers off after random bytes, by an error or in seemingly good order, and refuses some requests.
func randomFaults(rnd *rand.Rand, often float64) func() (int, error, error) {
	return func() (int, error, error) {
		switch x := rnd.Float64(); {
		case x < often*0.2:
			return 0, nil, apierrors.NewInternalError(errors.New("proxy error"))
		case x < often*0.25:
			return 0, nil, apierrors.NewGenericServerResponse(404, "", podLog, "p", `pod "p" does not exist`, 0, false)
		case x < often*0.28:
			return 0, nil, errors.New("connect: connection refused")
		case x < often*0.3:
			return 0, nil, words("unable to retrieve container logs for containerd://id")
		case x < often*0.7:
			return 1 + rnd.IntN(200000), io.ErrUnexpectedEOF, nil
		case x < often:
			return 1 + rnd.IntN(200000), io.EOF, nil
		}
		return -1, nil, nil
	}
}
