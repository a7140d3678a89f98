// Package actionsrunner plays the parts of GitHub's runner (https://github.com/actions/runner) that read what a step writes: its
// log and its command files. It is for tests; where the real runner may be lenient, it is.
package actionsrunner

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Log is the log of a step, read line by line (OutputManager.cs, ActionCommandManager.cs, ActionCommand.cs). Both standard
// streams of a step are read alike.
type Log struct {
	Obeyed  []Command // without stop-commands and the tokens that end it
	Shown   []string  // what a user sees as text
	Resumed int       // how often commands were resumed by their token
	Stopped bool      // commands are stopped at the end of what was played
	token   string
}

// Command is a workflow command that was obeyed.
type Command struct {
	Name       string
	Properties map[string]string
	Data       string
}

var registered = []string{"internal-set-repo-path", "set-env", "set-output", "save-state", "add-mask", "add-path", "add-matcher",
	"remove-matcher", "debug", "warning", "error", "notice", "group", "endgroup", "echo", "stop-commands"}

// Play reads a piece of the log that ends with a line's end.
func (r *Log) Play(log string) {
	for _, line := range strings.FieldsFunc(log, func(c rune) bool { return c == '\n' || c == '\r' }) {
		c, ok := r.parseV2(line)
		if !ok {
			c, ok = r.parse(line)
		}
		switch {
		case !ok:
			r.Shown = append(r.Shown, line)
		case r.token != "" && strings.EqualFold(c.Name, r.token):
			r.token, r.Stopped = "", false
			r.Resumed++
		case r.token != "":
			r.Shown = append(r.Shown, line)
		case strings.EqualFold(c.Name, "stop-commands"):
			r.token, r.Stopped = c.Data, true
			if r.token == "" {
				panic("the runner refuses an empty token")
			}
		default:
			r.Obeyed = append(r.Obeyed, c)
		}
	}
}

func (r *Log) known(name string) bool {
	return slices.ContainsFunc(registered, func(c string) bool { return strings.EqualFold(c, name) }) ||
		r.token != "" && strings.EqualFold(name, r.token)
}

// skipped is what stands for nothing at the start of a line: white space of Unicode, which is trimmed, and what .NET's comparison by culture
// passes over, format characters, combining marks and controls.
func skipped(c rune) bool { return unicode.IsSpace(c) || ignored(c) }

func ignored(c rune) bool {
	return unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Mn, c) || unicode.Is(unicode.Me, c)
}

// parseV2 reads "::name key=value,key=value::data".
func (r *Log) parseV2(line string) (Command, bool) {
	rest, ok := strings.CutPrefix(strings.TrimLeftFunc(line, skipped), ":")
	if !ok {
		return Command{}, false
	}
	if rest, ok = strings.CutPrefix(strings.TrimLeftFunc(rest, ignored), ":"); !ok {
		return Command{}, false
	}
	info, data, ok := strings.Cut(rest, "::")
	if !ok {
		return Command{}, false
	}
	return r.command(info, data, ",", strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%"), strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%"))
}

// parse reads "…##[name key=value;key=value]data". It looks for the prefix by culture too, but goes on three characters
// behind its start: with anything invisible in between, what it takes for the name begins with a bracket, and is unknown.
func (r *Log) parse(line string) (Command, bool) {
	_, rest, ok := strings.Cut(line, "##[")
	if !ok {
		return Command{}, false
	}
	info, data, ok := strings.Cut(rest, "]")
	if !ok {
		return Command{}, false
	}
	unescape := strings.NewReplacer("%3B", ";", "%0D", "\r", "%0A", "\n", "%5D", "]", "%25", "%")
	return r.command(info, data, ";", unescape, unescape)
}

func (r *Log) command(info, data, separator string, unescape, unescapeProperty *strings.Replacer) (Command, bool) {
	name, properties, _ := strings.Cut(info, " ")
	if !r.known(name) {
		return Command{}, false
	}
	c := Command{Name: name, Data: unescape.Replace(data)}
	for _, p := range strings.Split(properties, separator) {
		if key, value, ok := strings.Cut(strings.TrimSpace(p), "="); ok && key != "" && value != "" {
			if c.Properties == nil {
				c.Properties = map[string]string{}
			}
			c.Properties[key] = unescapeProperty.Replace(value)
		}
	}
	return c, true
}

// All are the commands of that name that were obeyed.
func (r *Log) All(name string) []Command {
	var found []Command
	for _, c := range r.Obeyed {
		if strings.EqualFold(c.Name, name) {
			found = append(found, c)
		}
	}
	return found
}

// Values reads a command file (FileCommandManager.cs): NAME=VALUE, or NAME<<DELIMITER. The last one of a name wins.
func Values(file string) (map[string]string, error) {
	found := map[string]string{}
	lines := strings.SplitAfter(file, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSuffix(strings.TrimSuffix(lines[i], "\n"), "\r")
		if line == "" {
			continue
		}
		equals, heredoc := strings.Index(line, "="), strings.Index(line, "<<")
		switch {
		case equals >= 0 && (heredoc < 0 || equals < heredoc):
			found[line[:equals]] = line[equals+1:]
		case heredoc > 0 && heredoc+2 < len(line):
			delimiter, value := line[heredoc+2:], ""
			for i++; ; i++ {
				if i == len(lines) || lines[i] == "" {
					return nil, fmt.Errorf("no delimiter %q", delimiter)
				}
				if strings.TrimSuffix(strings.TrimSuffix(lines[i], "\n"), "\r") == delimiter {
					break
				}
				value += lines[i]
			}
			found[line[:heredoc]] = strings.TrimSuffix(value, "\n")
		default:
			return nil, fmt.Errorf("invalid format %q", line)
		}
	}
	return found, nil
}
