package logs

import (
	"hash/maphash"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// disorder is how much older than the line before it a line may be written: the container runtime stamps stdout and stderr
// in two goroutines that write into one file.
const disorder = 100 * time.Millisecond

var seed = maphash.MakeSeed()

// cursor is the place in a log up to which lines were delivered: the last line's time stamp and text, and how many lines in a
// row had that time stamp. The line is recognised where it stands in the file, never by its age alone: time stamps go back where stdout and stderr
// meet, and when the node's clock is set.
//
// Two things cannot be seen through this API. Lines that are written while no stream is open, just after the clock was set back,
// are older than sinceTime and not sent. And when a file is rotated away before the first line of a container was read, nothing
// tells its log from that of a container that was silent until then.
type cursor struct {
	at  time.Time
	sum uint64    // of the text
	n   int       // 0: nothing was delivered
	max time.Time // the latest time stamp delivered so far
}

// add moves the cursor behind lines, which were delivered.
func (c *cursor) add(lines []event.Line) {
	if len(lines) == 0 {
		return
	}
	last, text := lines[len(lines)-1].At, lines[len(lines)-1].Text
	n := 0
	for i := len(lines) - 1; i >= 0 && lines[i].At.Equal(last); i-- {
		n++
	}
	if n == len(lines) && c.n > 0 && c.at.Equal(last) {
		n += c.n
	}
	c.at, c.sum, c.n = last, maphash.String(seed, text), n
	for i := range lines {
		if lines[i].At.After(c.max) {
			c.max = lines[i].At
		}
	}
}

// since is the sinceTime of a request whose answer holds the cursor's line and all lines behind it; nil means from the
// beginning. The API has whole seconds here (metav1.Time), and the kubelet keeps what is not older.
func (c *cursor) since() *metav1.Time {
	if c.at.IsZero() {
		return nil
	}
	return &metav1.Time{Time: c.at.Add(-disorder).Truncate(time.Second)}
}

// astray tells whether the clock was set back: lines were delivered whose time stamps are later than the last one's by more
// than disorder explains.
func (c *cursor) astray() bool { return c.max.Sub(c.at) > time.Second }

// remembered is how many lines a history holds: more than a file of the usual containerLogMaxSize (10Mi) does, unless its lines
// are shorter than 40 bytes.
const remembered = 1 << 17

// history knows the last lines that were delivered, by hashes of their time stamps and texts.
type history struct {
	lines  []uint64
	latest []time.Time // time stamp in each block of lines
	next   int         // place of the next line
}

// block is how many lines of a history are looked through at once.
const block = remembered / 256

func (h *history) add(lines []event.Line) {
	for i := range lines {
		if len(h.lines) < remembered {
			h.lines = append(h.lines, 0)
		}
		h.lines[h.next] = identity(lines[i])
		if h.next/block == len(h.latest) {
			h.latest = append(h.latest, time.Time{})
		}
		if latest := &h.latest[h.next/block]; lines[i].At.After(*latest) {
			*latest = lines[i].At
		}
		h.next = (h.next + 1) % remembered
	}
}

func (h *history) holds(line event.Line) bool {
	id := identity(line)
	for i, latest := range h.latest {
		if !line.At.After(latest) && slices.Contains(h.lines[i*block:min((i+1)*block, len(h.lines))], id) {
			return true
		}
	}
	return false
}

// repeats tells whether fresh[i] is the first line that the kubelet's follower brings a second time. The follower opens the newest
// file each time it hears of one, so when it was behind and hears of two, it reads the second one twice (waitLogs in
// k8s.io/cri-client/pkg/logs), from its first line on, which may be the rest of one that the rotation has cut. Any other line
// that is older than the one before was written to the other one of stdout and stderr, or after the clock was set back.
func (h *history) repeats(fresh []event.Line, i int) bool {
	return slices.ContainsFunc(fresh[i:min(i+2, len(fresh))], func(line event.Line) bool {
		return slices.Contains(fresh[:i], line) || h.holds(line)
	})
}

func identity(line event.Line) uint64 {
	return maphash.String(seed, line.Text) ^ uint64(line.At.UnixNano())
}

// seeker finds the cursor in an answer. In the first answer of a run, it finds the end of what was delivered already: as another
// run's, before the news of a restart came.
type seeker struct {
	cursor
	past   *history
	seen   int
	found  bool // the cursor's line has passed, or there is none to look for
	missed bool // the file does not hold it: it was rotated away
	begun  bool // a line that was not delivered yet has come
}

func (c *container) seek() *seeker { return &seeker{cursor: c.cur, past: &c.past, found: c.cur.n == 0} }

// skip gives the lines that were not delivered yet. As soon as a line is later than all that were delivered, the cursor's line
// will not come any more; when the clock was set back, as soon as one was not delivered.
func (s *seeker) skip(lines []event.Line) []event.Line {
	if s.missed || s.begun || s.found && s.n > 0 {
		return lines
	}
	for i := range lines {
		switch at := lines[i].At; {
		case s.n == 0:
			if !s.past.holds(lines[i]) {
				s.begun = true
				return lines[i:]
			}
		case at.Equal(s.at):
			if s.seen++; s.seen >= s.n && maphash.String(seed, lines[i].Text) == s.sum {
				s.found = true
				return lines[i+1:]
			}
		case at.After(s.max), s.astray() && !at.IsZero() && !s.past.holds(lines[i]):
			s.found, s.missed = s.seen > 0, s.seen == 0
			return lines[i:]
		}
	}
	return nil
}
