package manifest

import (
	"regexp"
	"strings"
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
