package logs

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// readAll reads an answer as a run does; rest is what stood behind the last newline.
func readAll(t *testing.T, r io.Reader) (lines []event.Line, rest string, stamped bool) {
	t.Helper()
	rd := newReader(r)
	for {
		more, err := rd.next()
		lines = append(lines, more...)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if rd.n > 0 {
		line, ok := rd.rest()
		return lines, line.Text, ok
	}
	return lines, "", false
}

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

func TestReader(t *testing.T) {
	const s1, s2, zoned = "2026-03-01T10:00:01.000000001Z", "2026-03-01T10:00:02.999999999Z", "2026-03-01T12:00:02.000000007+02:00"
	long := strings.Repeat("a", maxLine)
	tests := map[string]struct {
		answer  string
		want    []event.Line
		rest    string
		stamped bool
	}{
		"empty":               {},
		"lines":               {answer: s1 + " one\n" + s2 + " two\n", want: []event.Line{{At: at(s1), Text: "one"}, {At: at(s2), Text: "two"}}},
		"empty line":          {answer: s1 + " \n" + s1 + " \n", want: []event.Line{{At: at(s1)}, {At: at(s1)}}},
		"zones":               {answer: zoned + " a\n" + s1 + " b\n" + zoned + " c\n", want: []event.Line{{At: at(zoned), Text: "a"}, {At: at(s1), Text: "b"}, {At: at(zoned), Text: "c"}}},
		"any bytes":           {answer: s1 + " a\x00b\xff\r\n" + s1 + " \x1b[31mred\n", want: []event.Line{{At: at(s1), Text: "a\x00b\xff\r"}, {At: at(s1), Text: "\x1b[31mred"}}},
		"rest of a line":      {answer: "tail of a line\n" + s1 + " one\n", want: []event.Line{{Text: "tail of a line"}, {At: at(s1), Text: "one"}}},
		"no newline":          {answer: s1 + " one\n" + s2 + " two", want: []event.Line{{At: at(s1), Text: "one"}}, rest: "two", stamped: true},
		"kubelet's message":   {answer: s1 + " one\nunable to retrieve container logs for containerd://1", want: []event.Line{{At: at(s1), Text: "one"}}, rest: "unable to retrieve container logs for containerd://1"},
		"no nanoseconds":      {answer: "2026-03-01T10:00:01Z a\n2026-03-01T10:00:01.1234+07:00 b\n", want: []event.Line{{At: at("2026-03-01T10:00:01Z"), Text: "a"}, {At: at("2026-03-01T10:00:01.1234+07:00"), Text: "b"}}},
		"a bad digit":         {answer: s1 + " a\n2026-03-01T10:00:01.00000000xZ b\n", want: []event.Line{{At: at(s1), Text: "a"}, {At: at(s1), Text: "2026-03-01T10:00:01.00000000xZ b"}}},
		"1 MiB":               {answer: s1 + " " + long + "\n" + s2 + " two\n", want: []event.Line{{At: at(s1), Text: long}, {At: at(s2), Text: "two"}}},
		"longer":              {answer: s1 + " " + long + long + "b\n" + s2 + " two\n", want: []event.Line{{At: at(s1), Text: long, More: true}, {At: at(s1), Text: long, More: true}, {At: at(s1), Text: "b"}, {At: at(s2), Text: "two"}}},
		"no character is cut": {answer: s1 + " " + long[1:] + "ä" + long + "\n", want: []event.Line{{At: at(s1), Text: long[1:], More: true}, {At: at(s1), Text: "ä" + long[2:], More: true}, {At: at(s1), Text: "aa"}}},
		"no escape is cut":    {answer: s1 + " " + long[3:] + `\u0041` + long + "\n", want: []event.Line{{At: at(s1), Text: long[3:], More: true}, {At: at(s1), Text: `\u0041` + long[6:], More: true}, {At: at(s1), Text: "aaaaaa"}}},
		"nothing but marks":   {answer: s1 + " " + strings.Repeat("%", maxLine+1) + "\n", want: []event.Line{{At: at(s1), Text: strings.Repeat("%", maxLine), More: true}, {At: at(s1), Text: "%"}}},
		"no UTF-8":            {answer: s1 + " " + strings.Repeat("\x80", maxLine+1) + "\n", want: []event.Line{{At: at(s1), Text: strings.Repeat("\x80", maxLine), More: true}, {At: at(s1), Text: "\x80"}}},
		"longer, cut":         {answer: s1 + " " + long + long, want: []event.Line{{At: at(s1), Text: long, More: true}}, rest: long, stamped: true},
	}
	for title, tt := range tests {
		t.Run(title, func(t *testing.T) {
			readers := map[string]io.Reader{
				"at once":        strings.NewReader(tt.answer),
				"with its end":   iotest.DataErrReader(strings.NewReader(tt.answer)),
				"half by half":   iotest.HalfReader(strings.NewReader(tt.answer)),
				"in random bits": &bits{strings.NewReader(tt.answer), rand.New(rand.NewPCG(1, 1))},
			}
			for how, r := range readers {
				lines, rest, stamped := readAll(t, r)
				if d := cmp.Diff(tt.want, lines); d != "" {
					t.Errorf("%s: %.2000s", how, d)
				}
				if rest != tt.rest || stamped != tt.stamped {
					t.Errorf("%s: rest %.80q (stamped: %t), want %.80q (%t)", how, rest, stamped, tt.rest, tt.stamped)
				}
			}
		})
	}
}

// bits gives few bytes at once, or very many.
type bits struct {
	r   io.Reader
	rnd *rand.Rand
}

func (b *bits) Read(p []byte) (int, error) {
	if b.rnd.IntN(4) > 0 {
		p = p[:min(len(p), 1+b.rnd.IntN(5000))]
	}
	return b.r.Read(p)
}

// endless writes one line for ever.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, errors.New("cut")
	}
	for i := range p {
		p[i] = 'x'
	}
	e.left -= len(p)
	return len(p), nil
}

func TestReaderIsBounded(t *testing.T) {
	rd := newReader(io.MultiReader(strings.NewReader("2026-03-01T10:00:01.000000001Z "), &endless{left: 64 << 20}))
	pieces, largest := 0, 0
	for {
		lines, err := rd.next()
		pieces += len(lines)
		largest = max(largest, len(rd.buf))
		if err != nil {
			break
		}
	}
	if pieces < 60 || largest > 4*maxLine {
		t.Errorf("%d pieces, a buffer of %d bytes", pieces, largest)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("2026-03-01T10:00:01.000000001Z a\nb\n2026-03-01T10:00:01.000000002Z c"), uint64(1))
	f.Add([]byte("\n\n \n2026-03-01T10:00:01.1234+07:00 \n2026-03-01T10:00:01.000000002Z\n"), uint64(2))
	f.Fuzz(func(t *testing.T, answer []byte, seed uint64) {
		whole, rest, _ := readAll(t, bytes.NewReader(answer))
		split, restSplit, _ := readAll(t, &bits{bytes.NewReader(answer), rand.New(rand.NewPCG(seed, 1))})
		if d := cmp.Diff(whole, split); d != "" || rest != restSplit {
			t.Errorf("the answer depends on how it comes: %s", d)
		}
		if want := bytes.Count(answer, []byte{'\n'}); len(whole) != want {
			t.Errorf("%d lines, want %d", len(whole), want)
		}
	})
}

func answerOf(lines int) []byte {
	var b bytes.Buffer
	start := at("2026-03-01T10:00:01Z")
	text := strings.Repeat("x", 99)
	for i := range lines {
		b.WriteString(start.Add(time.Duration(i) * 7 * time.Microsecond).Format(stampFormat))
		b.WriteString(" " + text + "\n")
	}
	return b.Bytes()
}

func BenchmarkReader(b *testing.B) {
	const lines = 100_000
	answer := answerOf(lines)
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		rd, n := newReader(bytes.NewReader(answer)), 0
		for {
			more, err := rd.next()
			n += len(more)
			if err != nil {
				break
			}
		}
		if n != lines {
			b.Fatalf("%d lines", n)
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

func TestReaderAllocations(t *testing.T) {
	answer := answerOf(10_000)
	allocations := testing.AllocsPerRun(5, func() {
		for rd := newReader(bytes.NewReader(answer)); ; {
			if _, err := rd.next(); err != nil {
				break
			}
		}
	})
	if allocations > 200 {
		t.Errorf("%.0f allocations for 10,000 lines", allocations)
	}
}
