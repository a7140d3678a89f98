package report

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/planton/kubernetes-job-action/internal/event"
)

const (
	stars = "***"
	// gram is the length of the shortest secret, in bytes.
	gram = 4
	// piece is the length of the longest text that is looked for as a whole; a longer one is looked for in pieces of this length. It is that of
	// the lines of base64(1) and MIME.
	piece = 76
	// pem and pack are the lengths of such lines in PEM, and so in openssl, and in pack of Perl and Ruby.
	pem, pack = 64, 60
	// maxForms is how many bytes may be looked for, encodings included, before some of these are left out. It bounds the memory of the
	// automaton, which is some ten times as much.
	maxForms = 8 << 20
)

// mask replaces secret values in texts that are clean already (Clean, Plain).
type mask struct {
	values map[string]bool // that were added, and what is inside them; false when they are secrets as a whole only
	plain  []string        // what is looked for: the values as they are,
	coded  []string        // and as programs write them
	find   *automaton      // nil when something was added since
	full   bool            // not all of coded is looked for
	bare   bare            // reused
}

// trivial reports whether a line is too short or too common to be a secret: masking it would mangle everything else.
func trivial(line string) bool {
	return len(line) < gram || line == "true" || line == "false" || line == "null"
}

// add adds a value in all its forms, its lines and parts too unless it is a secret as a whole only. It returns the lines for a reader that masks by itself, ordinary words inside the value left out, and whether all of the value is masked:
// a line that is trivial is not, which matters if there is a letter or a digit in it.
func (m *mask) add(value string, only bool) (lines []string, whole bool) {
	whole = true
	all := []string{strings.TrimSpace(value)}
	if !only {
		all = parts(all[0])
	}
	for i, part := range all {
		told := i == 0 || event.LooksSecret(part)
		for line := range strings.FieldsFuncSeq(part, func(r rune) bool { return r == '\n' || r == '\r' }) {
			if line = strings.TrimSpace(line); !trivial(line) {
				if told {
					lines = append(lines, line)
				}
			} else if i == 0 && !only && strings.ContainsFunc(line, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
				whole = false
			}
		}
		if trivial(part) {
			continue
		}
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			if told {
				lines = append(lines, encoding.EncodeToString([]byte(part)))
			}
		}
		if inside, known := m.values[part]; known && (inside || only) {
			continue
		}
		if m.values == nil {
			m.values = map[string]bool{}
		}
		m.values[part] = !only
		m.find = nil
		m.forms(part, only)
	}
	slices.Sort(lines)
	return slices.Compact(lines), whole
}

// parts are a value and what is secret inside it: the password of a URL, the texts of a JSON document, the login of a registry in one.
func parts(value string) []string {
	all := []string{value}
	for line := range strings.Lines(value) {
		for {
			var ok bool
			if _, line, ok = strings.Cut(line, "://"); !ok {
				break
			}
			authority := line
			if end := strings.IndexAny(authority, "/?#\"' \t\r\n"); end >= 0 {
				authority = authority[:end]
			}
			at := strings.LastIndexByte(authority, '@')
			if at < 0 {
				continue
			}
			user, password, ok := strings.Cut(authority[:at], ":")
			if !ok { // a token alone
				password = user
			}
			if decoded, err := url.PathUnescape(password); err == nil {
				password = decoded
			}
			all = append(all, password)
		}
	}
	var document any
	if strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[") {
		if json.Unmarshal([]byte(value), &document) == nil {
			all = append(all, leaves("", document)...)
		}
	}
	return all
}

// leaves are the texts below a key of a JSON document.
func leaves(key string, v any) (all []string) {
	switch v := v.(type) {
	case string:
		all = parts(v)
		if key != "auth" { // in a file of Docker's, the base64 of user:password
			break
		}
		if login, err := base64.StdEncoding.DecodeString(v); err == nil {
			if _, password, ok := strings.Cut(string(login), ":"); ok {
				all = append(all, string(login), password)
			}
		}
	case []any:
		for _, v := range v {
			all = append(all, leaves(key, v)...)
		}
	case map[string]any:
		for key, v := range v {
			all = append(all, leaves(key, v)...)
		}
	}
	return all
}

// forms adds what is looked for to find a value. What programs do to single characters is undone in the text instead, see escapes.
func (m *mask) forms(value string, only bool) {
	if !only {
		for line := range strings.Lines(value) {
			m.plain = form(m.plain, strings.TrimSpace(line))
		}
		m.plain = form(m.plain, value)
	}
	// In one line of a message, white space is one blank, and what cannot be seen is left out.
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.Join(strings.Fields(value), " "))
	if rest := len(text) % piece; only && len(text) > piece {
		text = text[:len(text)-rest] // it may be what the program says
	}
	m.plain = form(m.plain, text)

	m.coded = form(m.coded, strings.ReplaceAll(value, " ", "+"))
	for _, quote := range []struct{ mark, twice string }{{"'", "''"}, {"'", `'\''`}, {"'", `'"'"'`}, {`"`, `""`}} { // SQL, shells, CSV
		if strings.Contains(value, quote.mark) {
			m.coded = form(m.coded, strings.ReplaceAll(value, quote.mark, quote.twice))
		}
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		whole := encoding.EncodeToString([]byte(value))
		m.coded = form(m.coded, whole)
		// Inside a longer text (user:password) there are three encodings, depending on where the value begins. The characters at both
		// ends that also hold bits of the neighbours are left out.
		shifted := make([]byte, 2, 2+len(value))
		shifted = append(shifted, value...)
		for shift := range 3 {
			s := encoding.WithPadding(base64.NoPadding).EncodeToString(shifted[2-shift:])
			s = s[(8*shift+5)/6 : 8*(shift+len(value))/6]
			m.coded = form(m.coded, s)
			if shift == 0 { // nothing stands before it, so it is known where lines end
				m.coded = pieces(pieces(m.coded, s, pem), s, pack)
			}
		}
	}
}

// form adds s to forms, in pieces if it is long.
func form(forms []string, s string) []string { return pieces(forms, s, piece) }

// pieces adds s to forms, in pieces of a length if it is longer. The last piece is as long as the others, and so reaches into the one before; the
// rest that is shorter is a form too, because it may stand in a line of its own.
func pieces(forms []string, s string, piece int) []string {
	if s = strings.ReplaceAll(Plain(s), "\n", ""); len(s) < gram {
		return forms
	}
	if last := len(s) - piece; last > 0 {
		i := 0
		for ; len(s)-i > piece; i += piece {
			forms = append(forms, s[i:i+piece])
		}
		if len(s)-i >= 2*gram {
			forms = append(forms, s[i:])
		}
		s = s[last:]
	}
	if strings.TrimSpace(s) == "" {
		return forms
	}
	return append(forms, s)
}

// automaton finds all forms: all of plain, and as many of coded as there is room for.
func (m *mask) automaton() *automaton {
	if m.find != nil || len(m.plain) == 0 {
		return m.find
	}
	size, n := 0, 0
	for _, s := range m.plain {
		size += len(s)
	}
	for ; n < len(m.coded) && size+len(m.coded[n]) <= maxForms; n++ {
		size += len(m.coded[n])
	}
	m.full = n < len(m.coded)
	forms := slices.Concat(m.plain, m.coded[:n])
	slices.Sort(forms)
	m.find = newAutomaton(slices.Compact(forms))
	return m.find
}

// hide is s with every secret replaced, also one that is cut by an event.Ellipsis. Secrets that overlap or touch become one ***. The
// colours and the breaks of lines that stand inside a secret come after it. Without secrets it is s itself.
func (m *mask) hide(s string) string { return m.hideFrom(s, 0, false) }

// hideFrom is hide of s[from:], where s[:from] has been shown already. more says that the text behind s will be shown later.
func (m *mask) hideFrom(s string, from int, more bool) string {
	a := m.automaton()
	if a == nil || len(s) < gram {
		return s[from:]
	}
	var spans []span
	if strings.IndexByte(s, 0x1b) < 0 && strings.IndexByte(s, '\n') < 0 {
		spans = a.find(s, more, nil)
	} else {
		m.bare.read(s, 0, nil)
		spans = m.bare.find(a, more, nil)
	}
	for _, e := range escapes {
		if strings.IndexByte(s, e.mark) >= 0 && m.bare.read(s, e.mark, e.undo) {
			spans = m.bare.find(a, more, spans)
		}
	}
	if len(spans) == 0 {
		return s[from:]
	}
	slices.SortFunc(spans, func(a, b span) int { return a.to - b.to })
	var merged []span
	for _, s := range spans {
		merged = add(merged, s)
	}
	var out strings.Builder
	done := from
	for _, p := range merged {
		if p.to <= from {
			continue
		}
		p.from = max(p.from, from)
		out.WriteString(s[done:p.from])
		out.WriteString(stars)
		for i := p.from; i < p.to; i++ {
			switch s[i] {
			case 0x1b:
				n, _ := escape(s[i:])
				out.WriteString(s[i : i+n])
				i += n - 1
			case '\n':
				out.WriteByte('\n')
			}
		}
		done = p.to
	}
	out.WriteString(s[done:])
	return out.String()
}
