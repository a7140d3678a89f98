package verdict

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// What others wrote (events, termination messages, conditions) is quoted at most this long, in bytes; and the whole of a
// message or hint is bounded too.
const (
	maxQuote   = 400
	maxMessage = 1024
)

// clean makes untrusted text fit for one line of a log: white space becomes single spaces, control and other invisible
// characters and invalid UTF-8 go, and what is longer than limit bytes is cut with an ellipsis. Escape characters, and BEL, with which some
// of their sequences end, stay for the border of internal/report, which removes whole sequences: a secret that one splits would not be known
// with the rest of it inside.
func clean(s string, limit int) string {
	s = event.Shorten(s, 4*limit) // an event may hold anything; what is read stays bounded
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
		case r == utf8.RuneError || !unicode.IsPrint(r) && r != '\x1b' && r != '\a':
		default:
			if space {
				b.WriteByte(' ')
				space = false
			}
			b.WriteRune(r)
		}
	}
	return event.Shorten(b.String(), limit)
}

// quote is clean for text that becomes part of one of our sentences.
func quote(s string) string { return strings.TrimRight(clean(s, maxQuote), ".") }

// brief writes a duration as the options are written: 5m, 1h30m.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
