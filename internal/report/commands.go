package report

import (
	"crypto/rand"
	"regexp"
	"strings"
)

// ignored is what .NET's comparison by culture passes over, and with it the runners of GitHub and Azure: format characters, combining
// marks, controls.
const ignored = `[\p{Cf}\p{Mn}\p{Me}\p{Cc}]*`

// azure is "##[name]…" and "##vso[…]…", which GitHub's runner has from Azure's agent.
var azure = regexp.MustCompile(`(?i)(#` + ignored + `#)(` + ignored + `(?:v` + ignored + `s` + ignored + `o` + ignored + `)?\[)`)

// systems are how CI systems read commands out of a job's log, whoever wrote the line. Each pattern has two groups: a blank between them
// makes it text. It is a blank and nothing invisible, which could be passed over.
//
// GitLab's markers of sections need a carriage return and an escape sequence (Gitlab::Regex, logs_section_prefix_regex), which no
// text has that came through Fanout.
var systems = []struct {
	variable, value string         // of the environment; the value "" stands for any
	format          Format         // whose reader is always this one; "" for none
	anywhere        *regexp.Regexp // what counts wherever it stands
	start           *regexp.Regexp // what counts at the start of a line
}{
	// actions/runner, ActionCommand.cs: "##[name]…" anywhere, and "::name::…" behind any white space of Unicode.
	{"GITHUB_ACTIONS", "true", FormatGitHub, azure, regexp.MustCompile(`^([\p{Z}\s\p{Cf}\p{Mn}\p{Me}\p{Cc}]*:)(` + ignored + `:)`)},
	// microsoft/azure-pipelines-agent, Command.cs and the log's viewer: "##vso[…]…" and "##[name]…" anywhere.
	{"TF_BUILD", "", FormatAzure, azure, nil},
	// TeamCity, "Service Messages": "##teamcity[…]" anywhere.
	{"TEAMCITY_VERSION", "", "", regexp.MustCompile(`(?i)(##)(teamcity\[)`), nil},
	// buildkite/agent, header_times_streamer.go: a line that begins with "---", "+++", "~~~" or "^^^" is a group; colours are passed over.
	{"BUILDKITE", "", FormatBuildkite, nil, regexp.MustCompile(`^((?:\s|\x1b\[[0-9;:]*m)*(?:--|\+\+|~~|\^\^))([-+~^])`)},
}

// Commands takes the commands apart that the system would obey whose log this is: where the program runs decides, not the format that was asked
// for.
type Commands struct {
	anywhere, start []*regexp.Regexp
	// Stop says that the system obeys stop-commands (GitHub), see Bracket.
	Stop bool
}

// NewCommands looks at the environment. The commands of the system that a format is for are always among them.
func NewCommands(getenv func(string) string, format Format) Commands {
	var c Commands
	for _, s := range systems {
		set := getenv(s.variable)
		if (set == "" || s.value != "" && set != s.value) && (s.format == "" || s.format != format) {
			continue
		}
		if s.format == FormatGitHub {
			c.Stop = true
		}
		if s.anywhere != nil {
			c.anywhere = append(c.anywhere, s.anywhere)
		}
		if s.start != nil {
			c.start = append(c.start, s.start)
		}
	}
	return c
}

// Text takes apart what counts anywhere in a text. That is enough for what does not begin a line, and for lines in a Bracket.
func (c Commands) Text(s string) string {
	if strings.Contains(s, "#") {
		for _, re := range c.anywhere {
			s = re.ReplaceAllString(s, "$1 $2")
		}
	}
	return s
}

// Line takes apart all that counts in a text of one line.
func (c Commands) Line(s string) string {
	for _, re := range c.start {
		s = re.ReplaceAllString(s, "$1 $2")
	}
	return c.Text(s)
}

// Bracket keeps GitHub's runner from obeying lines. It obeys nothing from stop-commands until a token (ActionCommandManager.cs) that
// nobody can know: 130 random bits, drawn anew each time.
type Bracket struct {
	Draw  func() string // a random text; nil means rand.Text
	token string        // commands are stopped until it; "" when they are not
}

// Stop appends what makes the runner take every line as text, unless it does already.
func (b *Bracket) Stop(buf []byte) []byte {
	if b.token != "" {
		return buf
	}
	draw := b.Draw
	if draw == nil {
		draw = rand.Text
	}
	b.token = draw()
	return append(append(append(buf, "::stop-commands::"...), b.token...), '\n')
}

// Resume appends what ends Stop.
func (b *Bracket) Resume(buf []byte) []byte {
	if b.token == "" {
		return buf
	}
	buf = append(append(append(buf, "::"...), b.token...), "::\n"...)
	b.token = ""
	return buf
}
