package text

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// shown is what a terminal gets of these lines of a container. The secrets are known.
func shown(t *testing.T, secrets []string, lines ...string) string {
	t.Helper()
	var out, ours bytes.Buffer
	f := report.New(New(&out, &ours, noCI, report.Options{}, true))
	for _, s := range secrets {
		f.AddSecrets(event.Secret{Value: s})
	}
	for _, e := range []event.Event{event.Started{Job: job, UID: "0b1c", Pods: 1, Containers: 1}, line(&event.Stream{Pod: "p", Container: "c", Index: -1, Attempt: 1}, lines...)} {
		if err := f.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// Nothing that a container prints reaches the terminal as a command: text and colours are all that is left, and colours end with
// their line.
func TestTerminalEscapes(t *testing.T) {
	colour := regexp.MustCompile(`\x1b\[[0-9;:]*m`)
	for name, hostile := range map[string]string{
		"title":              "\x1b]0;owned\a",
		"clipboard":          "\x1b]52;c;cm0gLXJmIC8K\x1b\\",
		"link":               "\x1b]8;;http://evil.example\x1b\\here\x1b]8;;\x1b\\",
		"questions":          "\x1b[6n\x1b[c\x1b[>c\x1b[5n\x1bZ\x05",
		"C1 as bytes":        "\x9b2J\x9d0;owned\x9c\x90q\x9c",
		"C1 in UTF-8":        "\u009b2J\u009d0;owned\u009c\u0090q\u009c",
		"device control":     "\x1bP$q\"p\x1b\\\x1bP+q544e\x1b\\\x1b^pm\x1b\\\x1b_apc\x1b\\",
		"alternate screen":   "\x1b[?1049h\x1b[?47h",
		"cursor":             "\x1b[2A\x1b[2K\x1b[1;1H\x1b[2J\x1b7\x1b8\x1b[s\x1b[u\x1b[?25l",
		"backspace":          "safe\b\b\b\bevil\x7f",
		"form feed":          "a\x0bb\x0cc",
		"screen of E":        "\x1b#8",
		"reset":              "\x1bc\x1b[!p",
		"character sets":     "\x1b(0\x1b)B\x1b*0\x1b%G\x0e\x0f",
		"cut":                "\x1b",
		"cut in parameters":  "\x1b[3",
		"cut in a string":    "\x1b]0;never ends",
		"nested":             "\x1b\x1b[2J[2J\x1b[\x1b[2J2J\x1b]0;\x1b[31m\a",
		"colour without end": "\x1b[1;31mred",
		"NUL":                "\x00\x00a\x00",
	} {
		t.Run(name, func(t *testing.T) {
			lines := strings.Split(strings.TrimSuffix(shown(t, nil, "before "+hostile, "next"), "\n"), "\n")
			if last := lines[len(lines)-1]; last != "next" || !strings.HasPrefix(lines[0], "before ") {
				t.Errorf("the lines around it are %q and %q", lines[0], last)
			}
			for _, l := range lines {
				if at := strings.LastIndex(l, "\x1b["); at >= 0 && !strings.HasPrefix(l[at:], "\x1b[0m") {
					t.Errorf("the colour of %q does not end", l)
				}
				plain := colour.ReplaceAllString(l, "")
				if i := strings.IndexFunc(plain, func(c rune) bool { return unicode.IsControl(c) && c != '\t' }); i >= 0 || !utf8.ValidString(plain) {
					t.Errorf("the terminal gets %q", l)
				}
			}
		})
	}
}

// The forms in which programs print a secret. want is what is seen instead of it; for "" anything but the secret is right.
func TestMaskedForms(t *testing.T) {
	const (
		password = "p@ss w/o&rd\"x"
		plain    = "hunter2secret"
		pem      = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n"
	)
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	quote := func(s string) string {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, c := range map[string]struct {
		secrets []string
		line    string
		want    string
	}{
		"plain":                           {[]string{plain}, "is " + plain + ".", "is ***."},
		"base64":                          {[]string{plain}, encode(plain), "***"},
		"base64 of user and password":     {[]string{plain}, "Basic " + encode("me:"+plain), ""},
		"base64 with a line break":        {[]string{plain}, encode(plain + "\n"), ""},
		"a secret that begins another":    {[]string{"hunter2", plain}, plain + " hunter2", "*** ***"},
		"a backspace inside":              {[]string{plain}, "hunter\b2secret", "hunter␈2secret"},
		"in a query":                      {[]string{password}, "?p=" + url.QueryEscape(password), "?p=***"},
		"JSON of Go":                      {[]string{password}, `{"p":` + quote(password) + `}`, `{"p":"***"}`},
		"a line of a PEM":                 {[]string{pem}, "key: MIIEvQIBADANBgkqhkiG9w0B", "key: ***"},
		"a PEM as one line of JSON":       {[]string{pem}, quote(pem), ""},
		"a PEM without its breaks":        {[]string{pem}, strings.ReplaceAll(pem, "\n", ""), ""},
		"surrounded by blanks":            {[]string{"  " + plain + " \n"}, "is " + plain, "is ***"},
		"cut, with an ellipsis":           {[]string{plain}, "log: hunter2se…", "log: ***…"},
		"cut in base64 by a line's width": {[]string{strings.Repeat("0123456789", 20)}, encode(strings.Repeat("0123456789", 20))[:76], "***"},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.TrimSuffix(shown(t, c.secrets, c.line), "\n")
			if c.want != "" && got != c.want {
				t.Errorf("%q is shown as %q, want %q", c.line, got, c.want)
			}
			decoded, _ := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimPrefix(got, "Basic "), "="))
			for _, s := range c.secrets {
				for part := range strings.Lines(s) {
					if part = strings.TrimSpace(part); strings.Contains(got, part) || strings.Contains(string(decoded), part) {
						t.Errorf("%q is shown as %q", c.line, got)
					}
				}
			}
		})
	}
}
