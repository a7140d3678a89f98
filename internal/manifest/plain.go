package manifest

import (
	"regexp"
	"strings"
	"unicode"
)

var expression = regexp.MustCompile(`,? regex used for validation is '[^']*'`)

// Plain writes a message of apimachinery as ours are: no capital at its start, and examples instead of the regular expression.
func Plain(message string) string {
	message = strings.ReplaceAll(expression.ReplaceAllString(message, ""), ",  or ", " or ")
	if message == "" {
		return message
	}
	return strings.ToLower(message[:1]) + message[1:]
}

// quoted is what libraries quote: a few signs, or anything up to the last quote, since it may hold quotes itself.
var quoted = regexp.MustCompile("(?s)'[[:punct:]]{1,3}'|['\"`].*['\"`]")

// Unquoted is a library's message about text that it cannot parse, without the words of that text: they may be secret, and what cannot
// be parsed cannot be masked. Signs stay, as in: did not find expected ','.
func Unquoted(message string) string {
	return quoted.ReplaceAllStringFunc(message, func(words string) string {
		if len(words) <= 5 && !strings.ContainsFunc(words, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
			return words
		}
		return "…"
	})
}
