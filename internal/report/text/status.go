package text

import (
	"strings"
	"sync/atomic"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Erase takes away a status line that is not wider than the terminal. It does nothing to a line that holds nothing.
const Erase = "\r\x1b[K"

// status is a line at the end of a terminal that is drawn anew with each event.Progress: whoever sends these is its clock.
type status struct {
	width    func() int
	both     bool
	progress *event.Progress
	drawn    int         // how many columns it takes; 0 when it is not there
	away     atomic.Bool // it was taken away, and the terminal may have got lines of others since
}

// Live has the reporter keep a status line at the end of standard error, a terminal: the state of the Job, which is then told there alone. width is
// how many columns the terminal has now, 0 when that is unknown. both says that standard output is the same terminal: then the line is
// taken away before lines of containers, and drawn again below them. Nothing of it is left after event.Finished. Who takes the line away for others
// to write, at any time, calls away before the next event is written.
func (r *Reporter) Live(width func() int, both bool) (away func()) {
	s := &status{width: width, both: both}
	r.status = s
	return func() { s.away.Store(true) }
}

// columns are how many may be written to without a break of the line, also when the terminal shows the ^C of a user behind them.
func (s *status) columns() int {
	w := s.width()
	if w <= 0 {
		w = 80
	}
	return max(0, w-len("^C")-1)
}

// erase appends what takes the line away.
func (s *status) erase(buf []byte) []byte {
	if s.drawn == 0 {
		return buf
	}
	buf = append(buf, Erase...)
	if s.away.Swap(false) { // the lines above are somebody else's
		s.drawn = 0
	}
	// A terminal that became narrower has broken the line into several.
	for w := s.width(); w > 0 && s.drawn > w; s.drawn -= w {
		buf = append(buf, "\x1b[A\x1b[K"...)
	}
	s.drawn = 0
	return buf
}

// draw appends the line.
func (s *status) draw(buf []byte, color bool) []byte {
	if s.progress == nil {
		return buf
	}
	columns := s.columns()
	if bar := min(columns/5, 40); bar >= 10 && s.progress.Wanted > 1 {
		done := min(bar, s.progress.Succeeded*bar/s.progress.Wanted)
		if color {
			buf = append(buf, "\x1b[42m"+strings.Repeat(" ", done)+"\x1b[100m"+strings.Repeat(" ", bar-done)+"\x1b[0m "...)
		} else {
			buf = append(buf, strings.Repeat("#", done)+strings.Repeat("-", bar-done)+" "...)
		}
		s.drawn, columns = bar+1, columns-bar-1
	}
	text, taken := cut(event.Seconds(s.progress.Elapsed)+"  "+s.progress.String(), columns)
	s.drawn += taken
	if color {
		text = quiet.color + text + "\x1b[0m"
	}
	return append(buf, text...)
}

// cut is what of a text fits into that many columns of one line, and how many it takes. What is not ASCII counts as two: no terminal
// shows a character wider, and a line that breaks could not be taken away.
func cut(text string, columns int) (string, int) {
	const more = "..."
	taken, fits := 0, 0
	for i, c := range text {
		wide := 1
		if c >= 0x80 {
			wide = 2
		}
		if taken+wide > columns {
			return strings.TrimRight(oneLine(text[:fits]), " ") + more[:min(len(more), max(0, columns))], columns
		}
		if taken += wide; taken <= columns-len(more) {
			fits = i + len(string(c))
		}
	}
	return oneLine(text), taken
}

func oneLine(text string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(text)
}
