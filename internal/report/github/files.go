package github

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sethvargo/go-githubactions"
)

// CheckOutputs returns an error when outputs cannot be written: GITHUB_OUTPUT names a file, and this process cannot open it.
func CheckOutputs(getenv func(string) string) error {
	name := getenv(variable("output"))
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// SaveState gives the post step of this step a value, in the environment variable STATE_<name> (actions/runner,
// ActionRunner.cs). The last value of a name counts. Without GITHUB_STATE there is no post step, which is not an error.
func SaveState(getenv func(string) string, name, value string) error {
	if getenv(variable("state")) == "" {
		return nil
	}
	return appendTo(getenv, "state", entry(name, value, rand.Text))
}

// variable names the environment variable with the path of a command file.
func variable(file string) string {
	return "GITHUB_" + strings.ToUpper(strings.ReplaceAll(file, "-", "_"))
}

// entry sets one value in a command file (FileCommandManager.cs). draw gives a random text of at least 128 bits: with a known
// delimiter, such as the library's own, a value could end itself and set others.
func entry(name, value string, draw func() string) string {
	delimiter := draw()
	for strings.Contains(value, delimiter) {
		delimiter = draw()
	}
	return name + "<<" + delimiter + "\n" + value + "\n" + delimiter
}

// appendTo appends text and a newline to a command file. What another program of the step has left there without one stays a line of its own.
func appendTo(getenv func(string) string, file, text string) (err error) {
	if unended(getenv(variable(file))) {
		text = "\n" + text
	}
	defer func() {
		if p := recover(); p != nil { // the library panics on an error
			err = fmt.Errorf("%v", p)
		}
	}()
	githubactions.New(githubactions.WithGetenv(getenv), githubactions.WithWriter(io.Discard)).
		IssueFileCommand(&githubactions.Command{Name: file, Message: text})
	return nil
}

// unended tells whether the last line of a file has no end.
func unended(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}
