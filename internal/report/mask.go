package report

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
)

const (
	masked = "***"
	// gram is how many bytes of a secret are looked up first, and so the length of the shortest secret.
	gram = 4
)

// mask replaces secret values in texts. A line of output is read once, however many secrets there are: each position is
// looked up by its next four bytes, in a filter that fits into the processor's cache, and then in byGram.
type mask struct {
	filter [1 << 16 / 64]uint64
	byGram map[uint32][]string // the secrets that begin with these bytes, longest first
}

// trivial reports whether a line is too short or too common to be a secret: masking it would mangle everything else.
func trivial(line string) bool {
	return len(line) < gram || line == "true" || line == "false" || line == "null"
}

// add adds a value in all its forms. It returns the lines for a reader that masks by itself.
func (m *mask) add(value string) []string {
	value = strings.TrimSpace(value)
	var lines []string
	for line := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); !trivial(line) {
			lines = append(lines, line)
			m.addForm(line)
		}
	}
	if trivial(value) {
		return nil
	}
	m.addForm(value)
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		whole := encoding.EncodeToString([]byte(value))
		m.addForm(whole)
		lines = append(lines, whole)
		for wrapped := range slices.Chunk([]byte(whole), 76) { // as base64(1) and MIME break lines
			if len(wrapped) >= 2*gram {
				m.addForm(string(wrapped))
			}
		}
		// Inside a longer text (user:password) there are three encodings, depending on where the value begins. The characters at both
		// ends that also hold bits of the neighbours are left out.
		for shift := range 3 {
			shifted := encoding.WithPadding(base64.NoPadding).EncodeToString(append(make([]byte, shift), value...))
			m.addForm(shifted[(8*shift+5)/6 : 8*(shift+len(value))/6])
		}
	}
	m.addForm(url.QueryEscape(value))
	m.addForm(url.PathEscape(value))
	if quoted, err := json.Marshal(value); err == nil {
		m.addForm(string(quoted[1 : len(quoted)-1]))
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func (m *mask) addForm(s string) {
	if len(s) < gram {
		return
	}
	if m.byGram == nil {
		m.byGram = map[uint32][]string{}
	}
	key := uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[2])<<8 | uint32(s[3])
	if slices.Contains(m.byGram[key], s) {
		return
	}
	m.byGram[key] = append(m.byGram[key], s)
	slices.SortFunc(m.byGram[key], func(a, b string) int { return len(b) - len(a) })
	h := hash(key)
	m.filter[h/64] |= 1 << (h % 64)
}

// hash spreads the keys over the bits of the filter (Knuth's multiplicative hashing).
func hash(key uint32) uint16 { return uint16(key * 2654435769 >> 16) }

// text is s with every secret replaced, also one whose end was cut off (event.Shorten). Secrets that overlap or touch become one ***.
// Without secrets it is s itself.
func (m *mask) text(s string) string {
	if m.byGram == nil || len(s) < gram {
		return s
	}
	var out strings.Builder
	done, from, to := 0, -1, -1 // s[:done] is in out; s[from:to] is to be replaced
	key := uint32(s[0])<<16 | uint32(s[1])<<8 | uint32(s[2])
	for i := gram - 1; i < len(s); i++ {
		key = key<<8 | uint32(s[i])
		if h := hash(key); m.filter[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		at := i - gram + 1
		for _, secret := range m.byGram[key] {
			length := len(secret)
			if !strings.HasPrefix(s[at:], secret) {
				if length = strings.Index(s[at:], event.Ellipsis); length < gram || !strings.HasPrefix(secret, s[at:at+length]) {
					continue
				}
			}
			if at > to {
				if from >= 0 {
					out.WriteString(s[done:from] + masked)
					done = to
				}
				from = at
			}
			to = max(to, at+length)
			break
		}
	}
	if from < 0 {
		return s
	}
	return out.String() + s[done:from] + masked + s[to:]
}

// event is e with every text masked. Slices that e shares are copied before they are changed.
func (m *mask) event(e event.Event) event.Event {
	if m.byGram == nil {
		return e
	}
	switch e := e.(type) {
	case event.Lines:
		lines := e.Lines
		for i, l := range e.Lines {
			t := m.text(l.Text)
			if t == l.Text { // nearly always the same pointer, so no bytes are compared
				continue
			}
			if &lines[0] == &e.Lines[0] {
				lines = slices.Clone(e.Lines)
			}
			lines[i].Text = t
		}
		e.Lines = lines
		return e
	case event.Gap:
		e.Why = m.text(e.Why)
		return e
	case event.Started:
		e.Cluster, e.Context = m.text(e.Cluster), m.text(e.Context)
		return e
	case event.Object:
		e.Detail = m.text(e.Detail)
		return e
	case event.Attempt:
		e.Message = m.text(e.Message)
		return e
	case event.Progress:
		e.Note = m.text(e.Note)
		e.Waiting = slices.Clone(e.Waiting)
		for i := range e.Waiting {
			e.Waiting[i].For = m.text(e.Waiting[i].For)
		}
		return e
	case event.Notice:
		e.Message, e.Hint = m.text(e.Message), m.text(e.Hint)
		return e
	case event.Finding:
		e.Path, e.Message, e.Suggestion = m.text(e.Path), m.text(e.Message), m.text(e.Suggestion)
		return e
	case event.Finished:
		if e.Cause != nil {
			c := m.cause(*e.Cause)
			e.Cause = &c
		}
		e.Pods = slices.Clone(e.Pods)
		for i := range e.Pods {
			e.Pods[i].Reason = m.text(e.Pods[i].Reason)
		}
		e.Tail = slices.Clone(e.Tail)
		for i := range e.Tail {
			e.Tail[i] = m.text(e.Tail[i])
		}
		e.Warnings = slices.Clone(e.Warnings)
		for i := range e.Warnings {
			e.Warnings[i] = m.cause(e.Warnings[i])
		}
		return e
	}
	panic(fmt.Sprintf("nothing masks a %T", e))
}

func (m *mask) cause(c event.Cause) event.Cause {
	c.Reason = event.Reason(m.text(string(c.Reason)))
	c.Message, c.Hint = m.text(c.Message), m.text(c.Hint)
	if c.Err != nil {
		c.Err = errors.New(m.text(c.Err.Error()))
	}
	return c
}
