package event

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Secret is a value that must never be shown. As a Fact it says that one came up during the run, before anything can be told that holds it.
type Secret struct {
	Name  string // what the user calls it: an option, or "key password of Secret db"; not secret itself
	Value string
	// Credential says that the value was given as one: an option such as secret-env, a kubeconfig's token. A CI system's own mask gets
	// only these. It hides them in all of the job, so an ordinary word of a manifest's Secret would damage the logs and outputs
	// of other steps.
	Credential bool
	// Whole says that its lines and parts are no secrets by themselves: it is a script, or a configuration.
	Whole bool
	// Word says that it is a word like any other, and that nothing but the place where it stands makes it a secret.
	Word bool
}

// SecretName tells whether a name promises a secret.
func SecretName(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"token", "secret", "pass", "pwd", "key", "credential", "netrc"}, func(word string) bool { return strings.Contains(name, word) })
}

var (
	separators = regexp.MustCompile(`[\s\-_./:,;@=&?'"()\[\]{}<>|]+`)
	// ordinary is a word, several in camel case, a number, or a word with a number behind it (postgres15) or before it (512Mi).
	ordinary = regexp.MustCompile(`^(?:[0-9]+[A-Za-z]{0,2}|(?:[A-Z]?[a-z]{1,20}|[A-Z]{1,20})(?:[A-Z][a-z]{1,20})*[0-9]*)$`)
	// signs stand in passwords, and hardly in names, addresses, dates and sentences.
	signs = regexp.MustCompile(`[A-Za-z0-9][!#$%^*+~][A-Za-z0-9]|[A-Za-z0-9]{4}[!#$%^*+~]`)
)

// LooksSecret tells whether a value looks like a credential: long enough, and in its greater part no words, numbers or names of hosts. A CI
// system hides what it is told in the whole job, so an ordinary word would damage the logs and outputs of other steps.
func LooksSecret(value string) bool {
	const least = 8 // characters
	if len(value) < least {
		return false
	}
	if u, err := url.Parse(value); err == nil && u.User != nil {
		if password, _ := u.User.Password(); password != "" {
			return true
		}
	}
	odd := 0
	for word := range strings.FieldsSeq(value) {
		if len(word) >= least && signs.MatchString(word) {
			return true
		}
		for _, piece := range separators.Split(word, -1) {
			if !ordinary.MatchString(piece) {
				odd += len(piece)
			}
		}
	}
	return odd >= least
}
