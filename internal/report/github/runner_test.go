package github

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// runner plays what GitHub's runner does with the log and the command files of a step (actions/runner: OutputManager.cs,
// ActionCommandManager.cs, ActionCommand.cs, FileCommandManager.cs). Where the real one may be lenient, this one is.
type runner struct {
	token   string // commands are stopped until it
	obeyed  []command
	shown   []string // lines that are shown as text, those of stop and resume left out
	resumed int
}

type command struct {
	Name       string
	Properties map[string]string
	Data       string
}

var registered = []string{"internal-set-repo-path", "set-env", "set-output", "save-state", "add-mask", "add-path", "add-matcher",
	"remove-matcher", "debug", "warning", "error", "notice", "group", "endgroup", "echo", "stop-commands"}

// play reads a whole log.
func (r *runner) play(log string) {
	for _, line := range strings.FieldsFunc(log, func(c rune) bool { return c == '\n' || c == '\r' }) {
		c, ok := r.parseV2(line)
		if !ok {
			c, ok = r.parse(line)
		}
		switch {
		case !ok:
			r.shown = append(r.shown, line)
		case r.token != "" && strings.EqualFold(c.Name, r.token):
			r.token = ""
			r.resumed++
		case r.token != "":
			r.shown = append(r.shown, line)
		case strings.EqualFold(c.Name, "stop-commands"):
			r.token = c.Data
			if r.token == "" {
				panic("the runner refuses an empty token")
			}
		default:
			r.obeyed = append(r.obeyed, c)
		}
	}
}

func (r *runner) known(name string) bool {
	return slices.ContainsFunc(registered, func(c string) bool { return strings.EqualFold(c, name) }) ||
		r.token != "" && strings.EqualFold(name, r.token)
}

// parseV2 reads "::name key=value,key=value::data". What .NET's comparison by culture skips may stand before it.
func (r *runner) parseV2(line string) (command, bool) {
	line = strings.TrimLeftFunc(line, func(c rune) bool {
		return unicode.IsSpace(c) || unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Mn, c)
	})
	rest, ok := strings.CutPrefix(line, "::")
	if !ok {
		return command{}, false
	}
	info, data, ok := strings.Cut(rest, "::")
	if !ok {
		return command{}, false
	}
	return r.command(info, data, ",", strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%"), strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%"))
}

// parse reads "…##[name key=value;key=value]data". It looks for the prefix by culture too, but goes on three characters
// behind its start: with anything invisible in between, what it takes for the name begins with a bracket, and is unknown.
func (r *runner) parse(line string) (command, bool) {
	_, rest, ok := strings.Cut(line, "##[")
	if !ok {
		return command{}, false
	}
	info, data, ok := strings.Cut(rest, "]")
	if !ok {
		return command{}, false
	}
	unescape := strings.NewReplacer("%3B", ";", "%0D", "\r", "%0A", "\n", "%5D", "]", "%25", "%")
	return r.command(info, data, ";", unescape, unescape)
}

func (r *runner) command(info, data, separator string, unescape, unescapeProperty *strings.Replacer) (command, bool) {
	name, properties, _ := strings.Cut(info, " ")
	if !r.known(name) {
		return command{}, false
	}
	c := command{Name: name, Data: unescape.Replace(data)}
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

func (r *runner) all(name string) []command {
	var found []command
	for _, c := range r.obeyed {
		if strings.EqualFold(c.Name, name) {
			found = append(found, c)
		}
	}
	return found
}

// values reads a command file: NAME=VALUE, or NAME<<DELIMITER. The last one of a name wins.
func values(file string) (map[string]string, error) {
	values := map[string]string{}
	lines := strings.SplitAfter(file, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSuffix(strings.TrimSuffix(lines[i], "\n"), "\r")
		if line == "" {
			continue
		}
		equals, heredoc := strings.Index(line, "="), strings.Index(line, "<<")
		switch {
		case equals >= 0 && (heredoc < 0 || equals < heredoc):
			values[line[:equals]] = line[equals+1:]
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
			values[line[:heredoc]] = strings.TrimSuffix(value, "\n")
		default:
			return nil, fmt.Errorf("invalid format %q", line)
		}
	}
	return values, nil
}

// The played runner must obey what the real one obeys, else the tests against it show nothing.
func TestPlayedRunner(t *testing.T) {
	var r runner
	r.play("  ::error file=a%2Cb,line=3::x%0Ay\n" +
		"progress\r::warning::w\n" +
		"text ##[add-mask]e\n" +
		"::unknown::x\n" +
		"::stop-commands::T1\n" +
		"::error::dead\n" +
		"##[group]dead\n" +
		"::stop-commands::x\n" +
		"::t1::\n" +
		"::notice::n\n")
	want := []command{
		{"error", map[string]string{"file": "a,b", "line": "3"}, "x\ny"},
		{"warning", nil, "w"}, {"add-mask", nil, "e"}, {"notice", nil, "n"},
	}
	if fmt.Sprint(r.obeyed) != fmt.Sprint(want) {
		t.Errorf("obeyed %v, want %v", r.obeyed, want)
	}
	if want := []string{"progress", "::unknown::x", "::error::dead", "##[group]dead", "::stop-commands::x"}; !slices.Equal(r.shown, want) {
		t.Errorf("shown %q, want %q", r.shown, want)
	}
	got, err := values("a=1\nb<<X\nc=2\nX\nd<<Y\n\nY\n")
	if err != nil || fmt.Sprint(got) != fmt.Sprint(map[string]string{"a": "1", "b": "c=2", "d": ""}) {
		t.Errorf("values: %q, %v", got, err)
	}
	if _, err := values("a<<X\nc=2\n"); err == nil {
		t.Error("a value without its delimiter is read")
	}
}
