package logs

import (
	"bytes"
	"io"
	"strings"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
)

const (
	// chunk is how much is read at once.
	chunk = 32 << 10
	// maxLine is the longest text that is delivered as one line. A longer line comes in pieces of this size, or a little less where
	// event.Cut says so. The pieces are the same ones whenever it is read again.
	maxLine = 1 << 20
	// maxStamp is what the longest time stamp and its space take.
	maxStamp = len(time.RFC3339Nano + " ")
)

// reader splits an answer of pods/log with timestamps into lines. What it holds is bounded by maxLine, whatever comes.
type reader struct {
	src io.Reader
	buf []byte
	n   int  // buf[:n] is a line whose end was not read yet
	mid bool // its first pieces were delivered
	at  time.Time
}

func newReader(src io.Reader) *reader { return &reader{src: src, buf: make([]byte, chunk)} }

// next reads once or more, until there is a line or an error; both may come together. All texts share one string.
func (r *reader) next() ([]event.Line, error) {
	for {
		if r.n > len(r.buf)/2 {
			grown := make([]byte, 2*len(r.buf))
			copy(grown, r.buf[:r.n])
			r.buf = grown
		}
		m, err := r.src.Read(r.buf[r.n:])
		lines := r.split(m)
		if len(lines) > 0 || err != nil {
			return lines, err
		}
	}
}

// split takes the lines that the m bytes behind the unfinished line have completed.
func (r *reader) split(m int) []event.Line {
	end := r.n
	if i := bytes.LastIndexByte(r.buf[r.n:r.n+m], '\n'); i >= 0 {
		end += i + 1
	} else {
		end = 0
	}
	r.n += m
	var lines []event.Line
	if end > 0 {
		lines = make([]event.Line, 0, bytes.Count(r.buf[:end], []byte{'\n'}))
		for text := string(r.buf[:end]); text != ""; {
			i := strings.IndexByte(text, '\n')
			lines = r.line(lines, text[:i])
			r.mid = false
			text = text[i+1:]
		}
		r.consume(end)
	}
	for r.n > maxLine+maxStamp {
		head := 0
		if !r.mid {
			head = width(r.buf[:maxStamp])
		}
		end := head + event.Cut(string(r.buf[head:head+maxLine+1]), maxLine)
		lines = r.piece(lines, string(r.buf[:end]))
		r.consume(end)
	}
	return lines
}

// consume forgets the first n bytes, and the large buffer of a long line behind it.
func (r *reader) consume(n int) {
	rest := r.buf[n:r.n]
	if len(r.buf) > 8*chunk && len(rest) < chunk/2 {
		r.buf = make([]byte, chunk)
	}
	r.n = copy(r.buf, rest)
}

// line appends a line without its newline, in pieces when it is too long.
func (r *reader) line(lines []event.Line, text string) []event.Line {
	if len(text) > maxLine {
		head := 0
		if !r.mid {
			head = width([]byte(text[:maxStamp]))
		}
		for len(text) > head+maxLine {
			end := head + event.Cut(text[head:], maxLine)
			lines = r.piece(lines, text[:end])
			text, head = text[end:], 0
		}
	}
	return append(lines, r.stamped(text))
}

func (r *reader) piece(lines []event.Line, text string) []event.Line {
	l := r.stamped(text)
	l.More = true
	r.mid = true
	return append(lines, l)
}

// stamped parts a line from its time stamp. What has none belongs to the line before: the kubelet writes no time stamp
// before the parts of a line that follow its first one (writeLogs in k8s.io/cri-client/pkg/logs), and when only later parts
// are not older than sinceTime, an answer starts with them.
func (r *reader) stamped(text string) event.Line {
	if !r.mid {
		if at, rest, ok := parse(text); ok {
			r.at = at
			return event.Line{At: at, Text: rest}
		}
	}
	return event.Line{At: r.at, Text: text}
}

// rest is what an answer holds behind its last newline. stamped says whether it is container output; otherwise it is the
// kubelet's error message: the kubelet has sent status 200 before it opens the file, and writes what goes wrong afterwards
// into the same answer (getContainerLogs in pkg/kubelet/server/server.go).
func (r *reader) rest() (line event.Line, stamped bool) {
	text := string(r.buf[:r.n])
	if r.mid {
		return event.Line{At: r.at, Text: text}, true
	}
	at, rest, ok := parse(text)
	if !ok {
		return event.Line{Text: text}, false
	}
	return event.Line{At: at, Text: rest}, true
}

// parse parts a line from the time stamp of the CRI before it, "2006-01-02T15:04:05.000000000Z07:00 ".
func parse(s string) (at time.Time, text string, ok bool) {
	stamp, _, ok := strings.Cut(s[:min(len(s), maxStamp)], " ")
	if !ok {
		return time.Time{}, "", false
	}
	at, err := time.Parse(time.RFC3339Nano, stamp)
	return at.UTC(), s[len(stamp)+1:], err == nil
}

// width is the length of a line's time stamp with its space, 0 when it has none.
func width(head []byte) int {
	s := string(head)
	if _, rest, ok := parse(s); ok {
		return len(s) - len(rest)
	}
	return 0
}
