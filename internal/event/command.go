package event

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// IsName tells whether a text can be the name of an object. What a message or an event calls a name is anybody's text.
func IsName(s string) bool { return len(validation.IsDNS1123Subdomain(s)) == 0 }

// Kubectl writes a command for a hint, which users paste into a shell: "kubectl -n NAMESPACE COMMAND", each %s of the command replaced by
// a name. Without a namespace there is no -n. It is "" when one of the names cannot be a name: then there is no such command.
func Kubectl(namespace, command string, names ...string) string {
	words := make([]any, len(names))
	for i, name := range names {
		if !IsName(name) {
			return ""
		}
		words[i] = name
	}
	command = fmt.Sprintf(command, words...)
	switch {
	case namespace == "":
		return "kubectl " + command
	case !IsName(namespace):
		return ""
	}
	return "kubectl -n " + namespace + " " + command
}

// See puts a command behind a sentence, when there is one.
func See(sentence, command string) string {
	if command == "" {
		return sentence
	}
	return sentence + ": " + command
}

// In is See with parentheses.
func In(sentence, command string) string {
	if command == "" {
		return sentence
	}
	return sentence + " (" + command + ")"
}

// ShellWord quotes a text that is no name, so that a POSIX shell takes it as one word.
func ShellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./_-", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
