package report

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// escapes undo what programs do to single characters of a text that they print. Each begins with a mark. undo appends to dst what
// the escape at the start of s stands for, and gives its length; 0 when there is none.
var escapes = []struct {
	mark byte
	undo func(dst []byte, s string) ([]byte, int)
}{{'%', percent}, {'\\', backslash}, {'&', entity}}

// percent undoes RFC 3986, whatever characters a program thinks have to be escaped.
func percent(dst []byte, s string) ([]byte, int) {
	if c, ok := hex(s, 1, 2); ok {
		return append(dst, byte(c)), 3
	}
	return dst, 0
}

// backslash undoes the escapes of JSON, of most programming languages, and of shells. A break of a line is left out, as it is left out of what
// is looked for.
func backslash(dst []byte, s string) ([]byte, int) {
	if len(s) < 2 {
		return dst, 0
	}
	switch c := s[1]; c {
	case 'n', 'r':
		return dst, 2
	case 't':
		return append(dst, '\t'), 2
	case 'x':
		if c, ok := hex(s, 2, 2); ok {
			return append(dst, byte(c)), 4
		}
	case 'u':
		r, ok := hex(s, 2, 4)
		if low, pair := hex(s, 8, 4); ok && pair && r>>10 == 0xd800>>10 && low>>10 == 0xdc00>>10 && s[6:8] == `\u` {
			return utf8.AppendRune(dst, 0x10000+(r-0xd800)<<10+low-0xdc00), 12
		}
		if ok {
			return utf8.AppendRune(dst, r), 6
		}
		if end := strings.IndexByte(s[:min(len(s), 10)], '}'); end > 3 && s[2] == '{' {
			if r, ok := hex(s, 3, end-3); ok {
				return utf8.AppendRune(dst, r), end + 1
			}
		}
	case 'U':
		if r, ok := hex(s, 2, 8); ok {
			return utf8.AppendRune(dst, r), 10
		}
	default:
		switch {
		case c >= '0' && c <= '3' && len(s) >= 4:
			if r, err := strconv.ParseUint(s[1:4], 8, 8); err == nil {
				return append(dst, byte(r)), 4
			}
		case c >= ' ' && c < 0x7f && !alphanumeric(c):
			return append(dst, c), 2
		}
	}
	return dst, 0
}

// entity undoes the escapes of XML and HTML.
func entity(dst []byte, s string) ([]byte, int) {
	end := strings.IndexByte(s[:min(len(s), 10)], ';')
	if end < 0 {
		return dst, 0
	}
	switch name := s[1:end]; name {
	case "amp":
		return append(dst, '&'), end + 1
	case "lt":
		return append(dst, '<'), end + 1
	case "gt":
		return append(dst, '>'), end + 1
	case "quot":
		return append(dst, '"'), end + 1
	case "apos":
		return append(dst, '\''), end + 1
	default:
		if len(name) < 2 || name[0] != '#' {
			return dst, 0
		}
		digits, base := name[1:], 10
		if digits[0] == 'x' || digits[0] == 'X' {
			digits, base = digits[1:], 16
		}
		r, err := strconv.ParseUint(digits, base, 21)
		if err != nil {
			return dst, 0
		}
		return utf8.AppendRune(dst, rune(r)), end + 1
	}
}

// hex reads n hexadecimal digits from s[at:].
func hex(s string, at, n int) (rune, bool) {
	if at+n > len(s) {
		return 0, false
	}
	r, err := strconv.ParseUint(s[at:at+n], 16, 31)
	return rune(r), err == nil
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// bare is a text as it is compared with the secrets: without colours and breaks of lines, and with one kind of escapes undone.
type bare struct {
	text []byte
	from []int // where the part of the text begins that a byte stands for
	to   []int // and where it ends
}

// keptBare is how much of a bare may stay after a large text.
const keptBare = 64 << 10

// read makes b the bare form of s. It reports whether an escape was undone.
func (b *bare) read(s string, mark byte, undo func([]byte, string) ([]byte, int)) (undone bool) {
	if cap(b.text) > keptBare {
		*b = bare{}
	}
	b.text, b.from, b.to = b.text[:0], b.from[:0], b.to[:0]
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == 0x1b:
			n, _ := escape(s[i:])
			i += n
			continue
		case c == '\n':
			i++
			continue
		case c == mark && undo != nil:
			var n int
			if b.text, n = undo(b.text, s[i:]); n > 0 {
				for len(b.from) < len(b.text) {
					b.from, b.to = append(b.from, i), append(b.to, i+n)
				}
				undone = true
				i += n
				continue
			}
			if n = cut(s[i:]); n > 0 && len(b.to) > 0 { // belongs to what stands before it
				undone = true
				i += n
				b.to[len(b.to)-1] = i
				continue
			}
		}
		b.text, b.from, b.to = append(b.text, s[i]), append(b.from, i), append(b.to, i+1)
		i++
	}
	return undone
}

// cut is the length of an escape that an event.Ellipsis cuts.
func cut(s string) int {
	i := 1
	for i < min(len(s), 10) && (alphanumeric(s[i]) || s[i] == '#' || s[i] == '{') {
		i++
	}
	if strings.HasPrefix(s[i:], event.Ellipsis) {
		return i
	}
	return 0
}

// find adds the parts of the text that b stands for in which a finds something.
func (b *bare) find(a *automaton, more bool, spans []span) []span {
	for _, s := range a.find(string(b.text), more, nil) {
		spans = append(spans, span{b.from[s.from], b.to[s.to-1]})
	}
	return spans
}
