package text

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// screen plays a terminal as far as a status line needs one: lines that break at its width, carriage returns, colours that are not shown, erasing
// to the end of a line, one line up. It knows no other sequence.
type screen struct {
	t     *testing.T
	width int
	rows  []string
	row   int
	col   int
}

func (s *screen) Write(p []byte) (int, error) {
	text := string(p)
	for text != "" {
		for len(s.rows) <= s.row {
			s.rows = append(s.rows, "")
		}
		line := &s.rows[s.row]
		switch {
		case strings.HasPrefix(text, "\x1b[K"):
			*line, text = (*line)[:min(s.col, len(*line))], text[3:]
		case strings.HasPrefix(text, "\x1b[A"):
			s.row, text = max(0, s.row-1), text[3:]
		case colour.MatchString(text) && colour.FindStringIndex(text)[0] == 0:
			text = text[colour.FindStringIndex(text)[1]:]
		case text[0] == '\r':
			s.col, text = 0, text[1:]
		case text[0] == '\n':
			s.row, s.col, text = s.row+1, 0, text[1:]
		case text[0] < ' ':
			s.t.Fatalf("the terminal gets %q", text)
		default:
			if s.col == s.width {
				s.row, s.col = s.row+1, 0
				continue
			}
			c, n := utf8.DecodeRuneInString(text)
			if c >= 0x80 {
				c = '?'
			}
			*line = (*line)[:min(s.col, len(*line))] + string(c) + (*line)[min(s.col+1, len(*line)):]
			s.col, text = s.col+1, text[n:]
		}
	}
	return len(p), nil
}

// resize breaks the lines that are longer than the terminal is wide now.
func (s *screen) resize(width int) {
	s.width = width
	var rows []string
	for i, row := range s.rows {
		for len(row) > width {
			rows, row = append(rows, row[:width]), row[width:]
		}
		rows = append(rows, row)
		if i == s.row {
			s.row, s.col = len(rows)-1, len(row)
			rows = append(rows, s.rows[i+1:]...)
			break
		}
	}
	s.rows = rows
}

func (s *screen) String() string {
	return strings.TrimRight(strings.Join(s.rows, "\n"), "\n")
}

// terminal is a reporter on a screen, which is that of standard output too.
func terminal(t *testing.T, width int, color bool) (*screen, func(...event.Event)) {
	t.Helper()
	s := &screen{t: t, width: width}
	r := New(s, s, noCI, report.Options{}, color)
	r.Live(func() int { return s.width }, true)
	f := report.New(r)
	return s, func(events ...event.Event) {
		t.Helper()
		for _, e := range events {
			if err := f.Event(e); err != nil {
				t.Fatal(err)
			}
		}
	}
}

var stream = &event.Stream{Pod: "data-migration-x7k2p", Container: "migrate", Index: -1, Attempt: 1}

// state is the news that a status line is drawn of.
func state(done int, elapsed time.Duration) event.Progress {
	return event.Progress{Wanted: 10, Succeeded: done, Running: 3, Waiting: []event.Waiting{{Pods: 1, For: "pulling image", Long: 12 * time.Second}}, Elapsed: elapsed, Heartbeat: true}
}

// The status line is the last one, is drawn in its place, never stands among other lines, and nothing of it is left.
func TestStatusLine(t *testing.T) {
	for _, color := range []bool{false, true} {
		s, tell := terminal(t, 80, color)
		bar := func(done int, rest string) string {
			if color { // blanks with a colour
				return strings.Repeat(" ", 15) + rest
			}
			return strings.Repeat("#", done) + strings.Repeat("-", 15-done) + rest
		}
		want := ""
		for _, step := range []struct {
			event  event.Event
			line   string // is added
			status string
		}{
			{event.Object{Object: job, Action: "created"}, "Job batch-jobs/data-migration created", ""},
			{state(0, 5*time.Second), "", bar(0, " 5.0 s  0/10 done, 3 running, 1 pulling image (12 s)")},
			{line(stream, "first"), "first", bar(0, " 5.0 s  0/10 done, 3 running, 1 pulling image (12 s)")},
			{state(5, 65*time.Second), "", bar(7, " 1 min 5 s  5/10 done, 3 running, 1 pulling image (12 s)")},
			{event.Notice{Level: event.Debug, Message: "not for everybody"}, "", bar(7, " 1 min 5 s  5/10 done, 3 running, 1 pulling image (12 s)")},
			{event.Attempt{Pod: "p", Index: -1, Message: "container migrate runs"}, "pod p: container migrate runs", bar(7, " 1 min 5 s  5/10 done, 3 running, 1 pulling image (12 s)")},
			{line(stream, "second", "third"), "second\nthird", bar(7, " 1 min 5 s  5/10 done, 3 running, 1 pulling image (12 s)")},
			{state(10, 70*time.Second), "", bar(15, " 1 min 10 s  10/10 done, 3 running, 1 pulling image (12 s)")},
			{event.Finished{Outcome: event.Succeeded, Job: job, UID: "0b1c"}, "Job batch-jobs/data-migration succeeded", ""},
		} {
			tell(step.event)
			if step.line != "" {
				if _, isLine := step.event.(event.Lines); !isLine {
					step.line = "? " + step.line // the mark is not ASCII
				}
				want += step.line + "\n"
			}
			got := s.String()
			if _, last := step.event.(event.Finished); last {
				if !strings.HasPrefix(got, want) || strings.Contains(got, "10/10 done") {
					t.Errorf("at the end:\n%s\nwant\n%s", got, want)
				}
				continue
			}
			if diff := cmp.Diff(strings.TrimRight(want+step.status, "\n"), got); diff != "" {
				t.Fatalf("color %v, after a %T (-want +got):\n%s", color, step.event, diff)
			}
		}
	}
}

// Whatever the width is, and becomes, and whatever stands in the line, it is one line and goes away.
func TestStatusLineFits(t *testing.T) {
	long := strings.Repeat("0/3 nodes are available: 数据迁移 ", 20) + "\nsecond\tline"
	for _, width := range []int{0, 1, 2, 3, 4, 5, 10, 19, 20, 40, 53, 54, 79, 80, 200, 1000} {
		for _, wanted := range []int{0, 1, 10} {
			for _, color := range []bool{false, true} {
				s, tell := terminal(t, max(width, 1), color)
				if width == 0 {
					s.width = 80 // and nobody knows
				}
				tell(line(stream, "a"))
				for i := range 3 {
					p := state(i, time.Duration(i)*time.Second)
					p.Wanted, p.Note = wanted, long
					tell(p)
					if n := len(s.rows); n > 2 {
						t.Fatalf("width %d: the line is broken:\n%s", width, s)
					}
				}
				tell(line(stream, "b"))
				if got := strings.SplitN(s.String(), "\n", 3); got[0] != "a" || got[1] != "b" {
					t.Errorf("width %d: %q", width, got)
				}
			}
		}
	}
}

// A terminal that becomes narrower breaks the line; what it has become goes away too.
func TestStatusLineAfterResize(t *testing.T) {
	s, tell := terminal(t, 200, false)
	p := state(3, time.Second)
	p.Note = strings.Repeat("waits ", 40)
	tell(line(stream, "before"), p)
	for _, width := range []int{60, 17, 200, 50} {
		s.resize(width)
		tell(p)
		if rows := strings.Split(s.String(), "\n"); len(rows) != 2 || rows[0] != "before" || len(rows[1]) >= width {
			t.Errorf("width %d:\n%s", width, s)
		}
	}
	s.resize(20)
	tell(line(stream, "after"), event.Finished{Outcome: event.Succeeded, Job: job, UID: "0b1c"})
	if rows := strings.Split(s.String(), "\n"); rows[0] != "before" || rows[1] != "after" || strings.Contains(s.String(), "waits") {
		t.Errorf("%s", s)
	}
}

// When the line was taken away for a shell to write, in a terminal that is narrower by now, none of the shell's lines goes.
func TestStatusLineAfterAStop(t *testing.T) {
	s := &screen{t: t, width: 200}
	r := New(s, s, noCI, report.Options{}, false)
	away := r.Live(func() int { return s.width }, true)
	p := state(3, time.Second)
	p.Note = strings.Repeat("waits ", 40)
	for _, width := range []int{40, 30} {
		if err := r.Event(p); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(s, Erase+"[1]+ Stopped\n$ fg\n")
		s.resize(width)
		away()
	}
	for range 2 {
		if err := r.Event(p); err != nil {
			t.Fatal(err)
		}
	}
	if rows := strings.Split(s.String(), "\n"); len(rows) != 5 || strings.Join(rows[:4], "|") != "[1]+ Stopped|$ fg|[1]+ Stopped|$ fg" || !strings.HasPrefix(rows[4], "1.0 s  3/10 done") {
		t.Errorf("%s", s)
	}
}

// Standard output that is a file gets the lines alone, and they leave the status line where it is.
func TestStatusLineBesideAFile(t *testing.T) {
	var out bytes.Buffer
	s := &screen{t: t, width: 80}
	r := New(&out, s, noCI, report.Options{}, true)
	r.Live(func() int { return 80 }, false)
	f := report.New(r)
	for _, e := range []event.Event{state(1, time.Second), line(stream, "one"), line(stream, "two")} {
		if err := f.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != "one\ntwo\n" || strings.Count(s.String(), "\n") != 0 || !strings.Contains(s.String(), "1/10 done") {
		t.Errorf("the file holds %q, the terminal shows %q", out.String(), s)
	}
}

// Nobody sees the terminal without the line: what is shown is one write.
func TestStatusLineIsOneWrite(t *testing.T) {
	var writes int
	w := counting{&writes}
	r := New(w, w, noCI, report.Options{}, true)
	r.Live(func() int { return 80 }, true)
	for i, e := range []event.Event{state(1, time.Second), line(stream, "one", "two"), event.Attempt{Pod: "p", Index: -1, Message: "x"}, event.Notice{Level: event.Debug}, state(2, time.Second)} {
		writes = 0
		if err := r.Event(e); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{true: 0, false: 1}[i == 3]; writes != want {
			t.Errorf("a %T: %d writes, want %d", e, writes, want)
		}
	}
}

type counting struct{ n *int }

func (c counting) Write(p []byte) (int, error) {
	*c.n++
	return io.Discard.Write(p)
}

// Without a status line, the state of the Job is a line of its own, as it is in a pipe.
func TestNoStatusLine(t *testing.T) {
	var out bytes.Buffer
	if err := New(&out, &out, noCI, report.Options{}, false).Event(state(1, 31*time.Second)); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("· after 31 s: %s\n", state(1, 0)); out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
