package report

import (
	"strings"
	"unicode/utf8"
)

const reset = "\x1b[0m"

// Clean makes untrusted text safe for a terminal or a log. Colours (SGR sequences, ESC [ … m) stay, but end with the line: the next
// line may be another container's, or ours. All other escape sequences are removed: they move the cursor, set titles, hide
// links. A carriage return ends a line, as it does for GitHub's runner: a progress bar becomes lines, and no line can overwrite
// what stands before it. Other control characters are shown as their Unicode pictures (NUL is ␀), invalid
// UTF-8 as U+FFFD. The result may have several lines. When nothing has to be changed it is text itself, without a copy.
func Clean(text string) string { return clean(text, true) }

// Plain is Clean without the colours.
func Plain(text string) string { return clean(text, false) }

func clean(s string, colours bool) string {
	i := harmless(s)
	if i == len(s) {
		return s
	}
	b := append(make([]byte, 0, len(s)+len(reset)), s[:i]...)
	coloured := false
	endLine := func() {
		if coloured {
			b = append(b, reset...)
		}
		coloured = false
	}
	for i < len(s) {
		n := harmless(s[i:])
		b = append(b, s[i:i+n]...)
		if i += n; i == len(s) {
			break
		}
		switch c := s[i]; {
		case c == '\n':
			endLine()
			b = append(b, '\n')
			i++
		case c == '\r':
			i++
			// Several in a row, one before a newline and one at either end leave no empty lines behind.
			if i < len(s) && s[i] != '\r' && s[i] != '\n' && len(b) > 0 && b[len(b)-1] != '\n' {
				endLine()
				b = append(b, '\n')
			}
		case c == 0x1b:
			length, sgr := escape(s[i:])
			if sgr && colours {
				b = append(b, s[i:i+length]...)
				params := s[i+2 : i+length-1]
				coloured = strings.Trim(params, "0;") != ""
			}
			i += length
		case c < 0x20:
			b = utf8.AppendRune(b, 0x2400+rune(c))
			i++
		case c == 0x7f:
			b = utf8.AppendRune(b, 0x2421)
			i++
		default: // invalid UTF-8, or a C1 control, which some terminals obey as ESC and a letter
			_, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, utf8.RuneError)
			i += n
		}
	}
	endLine()
	return string(b)
}

// harmless is the length of the part of s, from its start, that may be shown as it is.
func harmless(s string) int {
	i := 0
	for i < len(s) {
		c := s[i]
		if c-0x20 < 0x5f || c == '\t' {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			break
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r < 0xa0 || r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return i
}

// escape is the length of the escape sequence that s begins with (ECMA-48, and xterm's "Control Sequences" for strings that BEL
// ends), and whether it sets a colour. Of an incomplete sequence only the ESC counts: the rest is text.
func escape(s string) (length int, sgr bool) {
	if len(s) < 2 {
		return 1, false
	}
	switch c := s[1]; {
	case c == '[':
		i := 2
		for i < len(s) && s[i] >= 0x20 && s[i] <= 0x3f {
			i++
		}
		if i == len(s) || s[i] < 0x40 || s[i] > 0x7e {
			return 1, false
		}
		return i + 1, s[i] == 'm' && strings.Trim(s[2:i], "0123456789;:") == ""
	case strings.IndexByte("]PX^_", c) >= 0: // OSC, DCS, SOS, PM, APC: a string
		for i := 2; i < len(s); i++ {
			switch {
			case s[i] == 0x07:
				return i + 1, false
			case s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\':
				return i + 2, false
			case s[i] == '\n' || s[i] == '\r' || s[i] == 0x1b: // cut, and what follows is the next one's
				return 1, false
			}
		}
		return 1, false
	default:
		i := 1
		for i < len(s) && s[i] >= 0x20 && s[i] <= 0x2f {
			i++
		}
		if i == len(s) || s[i] < 0x30 || s[i] > 0x7e {
			return 1, false
		}
		return i + 1, false
	}
}
