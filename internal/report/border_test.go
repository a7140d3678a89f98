package report

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
	lines "github.com/planton/kubernetes-job-action/internal/report/json"
)

// through is what a sink gets of a container's lines.
func through(t testing.TB, f *Fanout, log *recorder, lines ...event.Line) []string {
	t.Helper()
	log.events = nil
	if err := f.Event(event.Lines{Stream: &event.Stream{Pod: "p", Container: "c"}, Lines: lines}); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, e := range log.events {
		if e, ok := e.(event.Lines); ok {
			for _, l := range e.Lines {
				texts = append(texts, l.Text)
			}
		}
	}
	return texts
}

func masking(values ...string) (*Fanout, *recorder) {
	log := &recorder{}
	f := New(log)
	for i, v := range values {
		f.AddSecrets(event.Secret{Name: fmt.Sprintf("number %d", i), Value: v})
	}
	return f, log
}

// What cleaning joins is one secret, and is masked as one.
func TestSecretsInPieces(t *testing.T) {
	f, log := masking("hunter2secret", "two  blanks")
	for in, want := range map[string]string{
		"db: \x1b[01;31m\x1b[Khunter2\x1b[m\x1b[Ksecret": "db: \x1b[01;31m***\x1b[m", // as GNU grep writes it
		"db: hun\x1b[Kter2secret":                        "db: ***",
		"db: hun\x1b]0;title\ater2secret":                "db: ***",
		"\x1b[31mhunter2\x1b[0msecret\x1b[32m!":          "\x1b[31m***\x1b[0m\x1b[32m!\x1b[0m",
		"hun\rter2secret, and":                           "***\n, and",
		"hun\x1b[1m\r\x1b[2mter2secret":                  "***\x1b[1m\x1b[0m\n\x1b[2m\x1b[0m",
		"it has two blanks, said in one line":            "it has ***, said in one line", // as white space is made one blank
		"it has two  blanks":                             "it has ***",
	} {
		if got := through(t, f, log, event.Line{Text: in}); got[0] != want {
			t.Errorf("%q becomes %q, want %q", in, got[0], want)
		}
	}
}

// A line of more than 1 MiB comes in pieces.
func TestSecretAcrossThePiecesOfALine(t *testing.T) {
	const secret = "hunter2!secret"
	text := strings.Repeat("x", 100) + secret + strings.Repeat("y", 100)
	for cut := 95; cut < 120; cut++ {
		f, log := masking(secret)
		got := through(t, f, log, event.Line{Text: text[:cut], More: true})
		got = append(got, through(t, f, log, event.Line{Text: text[cut:]})...)
		shown := strings.ReplaceAll(strings.Join(got, ""), "*", "")
		if strings.Trim(shown, "xy") != "" && strings.Trim(shown, "xy") != secret[:min(3, max(0, cut-100))] {
			t.Errorf("cut at %d: %q", cut, got)
		}
		if strings.Count(shown, "x") != 100 || strings.Count(shown, "y") != 100 {
			t.Errorf("cut at %d, more than the secret is gone: %q", cut, got)
		}
		// The next line is no continuation any more.
		if got := through(t, f, log, event.Line{Text: secret[5:]}); got[0] != secret[5:] {
			t.Errorf("a line of its own becomes %q", got)
		}
	}
}

// A line that is parted where event.Cut says shows no more of a secret than the three bytes that a mask does not take for the beginning of one,
// however the secret is written.
func TestEncodedSecretAcrossThePiecesOfALine(t *testing.T) {
	const secret = "hunter😀\"\\&'% secret"
	spelled := func(format string) func(string) string {
		return func(s string) string {
			var b strings.Builder
			for _, r := range s {
				fmt.Fprintf(&b, format, r)
			}
			return b.String()
		}
	}
	writings := map[string]func(string) string{"decimal": spelled("&#%d;"), "braces": spelled(`\u{%x}`), "eight digits": spelled(`\U%08x`),
		"colours": spelled("\x1b[38;2;255;255;255m%c\x1b[0m"), "percent": func(s string) string { return percentEncoded(s, "", "%%%02x") }}
	maps.Copy(writings, written)
	for name, write := range writings {
		if strings.Contains(name, "base64") || strings.Contains(name, "basic") || strings.Contains(name, "user info") {
			continue
		}
		in := write(secret)
		text := strings.Repeat("x", 200) + in + strings.Repeat("y", 200)
		for limit := 195; limit < 205+len(in); limit++ {
			f, log := masking(secret)
			cut := event.Cut(text, limit)
			got := through(t, f, log, event.Line{Text: text[:cut], More: true})
			got = append(got, through(t, f, log, event.Line{Text: text[cut:]})...)
			shown := strings.Trim(strings.ReplaceAll(Plain(strings.Join(got, "")), "***", ""), "\"xy\n")
			start := ""
			if cut > 200 && cut <= 200+len(write("hun")) {
				start = strings.Trim(Plain(in[:cut-200]), `"`)
			}
			if shown != "" && shown != start {
				t.Errorf("%s: with a limit of %d, cut at %d: %q", name, limit, cut, got)
				break
			}
		}
	}
}

// encodings write a text as programs do when they print it.
var written = map[string]func(string) string{
	"as it is":           func(s string) string { return s },
	"URL query":          url.QueryEscape,
	"URL path":           url.PathEscape,
	"URL user info":      func(s string) string { return url.UserPassword("u", s).String() },
	"encodeURIComponent": func(s string) string { return percentEncoded(s, "-_.!~*'()", "%%%02X") },
	"Python quote":       func(s string) string { return percentEncoded(s, "_.-~/", "%%%02X") },
	"lower-case percent": func(s string) string { return percentEncoded(s, "", "%%%02x") },
	"JSON of Go":         func(s string) string { b, _ := json.Marshal(s); return string(b) },
	"JSON": func(s string) string {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		_ = e.Encode(s)
		return b.String()
	},
	"JSON in ASCII": func(s string) string {
		var b strings.Builder
		for _, r := range s {
			switch {
			case r >= 0x10000:
				r -= 0x10000
				fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			case r >= 0x80:
				fmt.Fprintf(&b, `\u%04X`, r)
			case r == '"' || r == '\\' || r == '/':
				b.WriteString(`\` + string(r))
			default:
				b.WriteRune(r)
			}
		}
		return b.String()
	},
	"Go %q":            func(s string) string { return fmt.Sprintf("%q", s) },
	"Go %+q":           func(s string) string { return fmt.Sprintf("%+q", s) },
	"HTML":             html.EscapeString,
	"XML":              strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace,
	"HTML, hex":        strings.NewReplacer("&", "&#x26;", "<", "&#x3C;", "'", "&#39;", `"`, "&#34;").Replace,
	"SQL":              func(s string) string { return strings.ReplaceAll(s, "'", "''") },
	"CSV":              func(s string) string { return strings.ReplaceAll(s, `"`, `""`) },
	"shell, single":    func(s string) string { return strings.ReplaceAll(s, "'", `'\''`) },
	"shell, Python":    func(s string) string { return strings.ReplaceAll(s, "'", `'"'"'`) },
	"shell, double":    strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace,
	"shell, backslash": func(s string) string { return backslashed(s) },
	"base64":           func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64, URL":      func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"basic auth":       func(s string) string { return base64.StdEncoding.EncodeToString([]byte("user:" + s)) },
}

func percentEncoded(s, safe, format string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte(safe, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, format, c)
		}
	}
	return b.String()
}

func backslashed(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < 0x80 && !(r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z') {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func TestSecretInEveryEncoding(t *testing.T) {
	for _, secret := range []string{`p@ss w/o&rd"x`, `größe<&>'"\n100%`, "emoji 😀+'quoted'", `C:\temp\new`, "a%41b\"c"} {
		f, log := masking(secret)
		for name, encode := range written {
			in := encode(secret)
			got := through(t, f, log, event.Line{Text: "before " + in + " after"})[0]
			// Up to two characters at each end of base64 hold bits of the neighbours, and there are quotes.
			rest := strings.TrimSuffix(strings.TrimPrefix(got, "before "), " after")
			if !strings.Contains(rest, "***") || len(strings.ReplaceAll(rest, "***", "")) > len(`u:"`)+9 || strings.Contains(got, in) {
				t.Errorf("%s: %q becomes %q", name, in, got)
			}
		}
	}
}

// TestBase64InLines: base64 that is broken into the lines of base64(1), openssl and PEM, or pack of Perl and Ruby is masked in each of them, but for a
// rest that is too short.
func TestBase64InLines(t *testing.T) {
	for _, length := range []int{44, 46, 48, 50, 57, 59, 100, 600} {
		var secret strings.Builder
		for i := 0; secret.Len() < length; i++ {
			fmt.Fprintf(&secret, "%x/%o?~ÿ", i*i*7919+31, i*104729)
		}
		value := secret.String()[:length-1] + "z"
		f, log := masking(value)
		for name, encoding := range map[string]*base64.Encoding{"standard": base64.StdEncoding, "URL": base64.URLEncoding, "standard, no padding": base64.RawStdEncoding, "URL, no padding": base64.RawURLEncoding} {
			for _, width := range []int{60, 64, 76, 1000} {
				for _, tail := range []string{"", "\n"} { // as echo and a here-document add it
					for _, end := range []string{"", "\r"} {
						whole := encoding.EncodeToString([]byte(value + tail))
						for whole != "" {
							line := whole[:min(width, len(whole))]
							whole = whole[len(line):]
							got := through(t, f, log, event.Line{Text: line + end})[0]
							if rest := strings.TrimRight(strings.ReplaceAll(got, stars, ""), "=\r"); len(strings.TrimRight(line, "=")) > 2*gram && (len(rest) > 4 || !strings.Contains(got, stars)) {
								t.Errorf("%d bytes, %s, width %d, %q: %q becomes %q", length, name, width, tail+end, line, got)
							}
						}
					}
				}
			}
		}
	}
}

// A secret that is cut by the cluster in the midst of an escape is masked up to there.
func TestCutEscapes(t *testing.T) {
	f, log := masking(`p@ss w/o&rd"x`)
	for in, want := range map[string]string{
		"p%40ss%20w%…":    "***…",
		"p%40ss%20w%2…":   "***…",
		`p@ss w/o&rd\…`:   "***…",
		`p@ss w/o\u002…`:  "***…",
		"p@ss w/o&am…":    "***…",
		"p@ss w/o&…":      "***…",
		"100%… done &am…": "100%… done &am…",
	} {
		if got := through(t, f, log, event.Line{Text: in})[0]; got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// What is inside a secret is secret too.
func TestSecretsInSecrets(t *testing.T) {
	auth := base64.StdEncoding.EncodeToString([]byte("robot:docker/pass"))
	f, log := masking(
		"postgres://shop:p%40ss-word@db:5432/shop?sslmode=disable",
		"https://token-alone@github.com/x",
		"u:PW%zz@host://u2:PW%zz@host",
		`{"type": "account", "private_key": "-----BEGIN KEY-----\nMIIEowIBAAKCAQ\n-----END KEY-----", "nested": [{"url": "redis://:redis-pw@cache"}], "port": 5432}`,
		`{"auths": {"registry.example.com": {"auth": "`+auth+`"}}}`,
		"FIRST=1\nDSN=mysql://root:line-pw@db/x",
	)
	for in, want := range map[string]string{
		"login p@ss-word":          "login ***",
		"login p%40ss-word":        "login ***",
		"token-alone":              "***",
		"PW%zz":                    "***",
		"MIIEowIBAAKCAQ":           "***",
		"redis-pw":                 "***",
		"docker/pass":              "***",
		"robot:docker/pass":        "***",
		"line-pw":                  "***",
		"the port is 5432":         "the port is 5432",
		"user shop on db, private": "user shop on db, private",
	} {
		if got := through(t, f, log, event.Line{Text: in})[0]; got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// Time does not depend on what the lines and the secrets have in common. The limit is far from what either takes (0.2 s in all), for a busy machine.
func TestMaskIsLinear(t *testing.T) {
	const size = 256 << 10
	var many []event.Secret
	for i := range 5_000 {
		many = append(many, event.Secret{Value: fmt.Sprintf("aaaa%06d", i)})
	}
	f, log := masking("----BEGIN", strings.Repeat("a", 1000)+"b")
	start := time.Now()
	f.AddSecrets(many...)
	for _, text := range []string{strings.Repeat("-", size), strings.Repeat("aaaa00", size/6), strings.Repeat("aaa…", size/6),
		strings.Repeat("%2", size/2), strings.Repeat("%25", size/3), strings.Repeat(`\`, size), strings.Repeat("&#", size/2), strings.Repeat("a", size),
		strings.Repeat("\x1b[", size/2), strings.Repeat("\x1b[31m", size/5), strings.Repeat("\x1b]", size/2), strings.Repeat("\x1bP\x1b_", size/4)} {
		through(t, f, log, event.Line{Text: text})
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("it took %s", d)
	}
}

// What cannot be masked is said, once, and by name.
func TestShortSecretsAreNamed(t *testing.T) {
	log := &recorder{}
	f := New(log)
	f.AddSecrets(event.Secret{Name: "PIN", Value: "123"}, event.Secret{Name: "EMPTY", Value: " "}, event.Secret{Name: "DEBUG", Value: "true"},
		event.Secret{Name: "LONG", Value: "long enough"}, event.Secret{Name: "PEM", Value: "-----BEGIN-----\nMIIE\nAb=\n"},
		event.Secret{Name: "JSON", Value: "{\n\"key\": \"value\"\n}"}, event.Secret{Name: "PIN", Value: "123"})
	for range 2 {
		if err := f.Event(event.Notice{Message: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	var said []string
	for _, e := range log.events {
		if n := e.(event.Notice); n.Level == event.Warning {
			said = append(said, n.Message)
		}
	}
	if len(said) != 1 || !strings.Contains(said[0], "PIN, DEBUG, PEM (") || strings.Count(said[0], "PIN") != 1 {
		t.Fatalf("said %q, want one sentence with three names", said)
	}
	for _, not := range []string{"123", "true", "Ab=", "EMPTY", "LONG", "JSON"} {
		if strings.Contains(said[0], not) {
			t.Errorf("%q is said in %q", not, said[0])
		}
	}
}

// A script or a configuration in a Secret is hidden as a whole, in base64 too; what it says in a single line is not, because its program says
// the same. What is secret in it is added for itself.
func TestWholeSecrets(t *testing.T) {
	log := &recorder{}
	f := New(log)
	script := "#!/bin/sh\necho nothing to do\nfor i in 1 2 3; do\n  psql -h localhost -c 'select 1' || exit 1\ndone\necho all done\n"
	conf := "{\n  \"host\": \"localhost\"\n}"
	f.AddSecrets(event.Secret{Name: "script", Value: script, Whole: true}, event.Secret{Name: "conf", Value: conf, Whole: true})
	for in, want := range map[string]string{
		"nothing to do": "nothing to do", "done": "done", "exit 1": "exit 1", "all done": "all done", "echo nothing to do": "echo nothing to do", `"host": "localhost"`: `"host": "localhost"`,
		"data " + base64.StdEncoding.EncodeToString([]byte(conf)): "data ***", `said { "host": "localhost" }`: "said ***",
	} {
		if got := through(t, f, log, event.Line{Text: in})[0]; got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	f.AddSecrets(event.Secret{Name: "declared too", Value: script})
	if got := through(t, f, log, event.Line{Text: "echo nothing to do"})[0]; got != "***" {
		t.Errorf("a script that was declared secret becomes %q", got)
	}
}

// Words that are masked damage the log, which names the keys that do it, once.
func TestMaskedWordsAreNamed(t *testing.T) {
	log := &recorder{}
	f := New(log)
	f.AddSecrets(event.Secret{Name: "key tenant of Secret s", Value: "acme", Word: true}, event.Secret{Name: "key tenant of Secret s", Value: "YWNtZQ==", Word: true},
		event.Secret{Name: "key pin of Secret s", Value: "12", Word: true}, event.Secret{Name: "key password of Secret s", Value: "winter"})
	for range 2 {
		if err := f.Event(event.Notice{Message: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	var said []string
	for _, e := range log.events {
		if n := e.(event.Notice); n.Level == event.Warning {
			said = append(said, n.Message+" ("+n.Hint+")")
		}
	}
	want := "too short or too common to be masked, and so not hidden: key pin of Secret s; masked wherever they stand, although they look like ordinary words: key tenant of Secret s" +
		" (What is no secret belongs into a ConfigMap.)"
	if len(said) != 1 || said[0] != want {
		t.Errorf("said %q, want %q", said, want)
	}
}

// A job output that contains a runner's mask is dropped, and every word of the log that contains it is mangled.
func TestWordsOfOutputsAreNotTheRunnersToMask(t *testing.T) {
	log := &maskingRecorder{}
	f := New(log)
	for _, v := range []string{"shop", "migrate-4711", "succeeded", "kubectl", "BackoffLimitExceeded", "exitCode", "0451beef-token", "Hunter2!"} {
		f.AddSecrets(event.Secret{Value: v, Credential: true})
	}
	if !slices.Contains(log.masks, "Hunter2!") || slices.Contains(log.masks, "0451beef-token") {
		t.Errorf("before the Job has a name, the runner masks %q, want what can be in no name", log.masks)
	}
	started := event.Started{Job: event.Ref{Kind: "Job", Namespace: "shop-prod", Name: "db-migrate-4711-2"}, UID: "u"}
	if err := f.Event(started); err != nil {
		t.Fatal(err)
	}
	f.AddSecrets(event.Secret{Value: "prod", Credential: true}, event.Secret{Value: "late-one", Credential: true})
	all := "\n" + strings.Join(log.masks, "\n") + "\n"
	for _, not := range []string{"shop", "migrate-4711", "succeeded", "kubectl", "BackoffLimitExceeded", "exitCode", "prod"} {
		if strings.Contains(all, "\n"+not+"\n") {
			t.Errorf("%q is a word of ours, and becomes a mask of the runner", not)
		}
	}
	for _, want := range []string{"0451beef-token", "Hunter2!", "late-one"} {
		if strings.Count(all, "\n"+want+"\n") != 1 {
			t.Errorf("%q is not masked by the runner", want)
		}
	}
	if got := f.Mask("the shop succeeded with late-one"); got != "the *** *** with ***" {
		t.Errorf("our own mask makes %q", got)
	}
}

// Names are shown as they are if Kubernetes could have given them. What else stands there is cleaned and masked as any text is.
// What no object can be called is no name, wherever it stands.
func TestTokensAreNoNames(t *testing.T) {
	const token = "eyJhbGciOi.J9eyJpc3Mi.SflKxw_RJSMeKK"
	f, log := masking(token)
	for _, e := range []event.Event{event.Attempt{Pod: token}, event.Finished{Pods: []event.PodResult{{Name: "p", Node: token}}}} {
		if err := f.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if shown := fmt.Sprint(log.events); strings.Contains(shown, token) || !strings.Contains(shown, "***") {
		t.Errorf("shown: %s", shown)
	}
}

func TestNames(t *testing.T) {
	f, log := masking("shop", "p@ss")
	stream := &event.Stream{Namespace: "shop", Pod: "shop-x\x1b[2J\r\n::error::y p@ss", Container: "c\x00", Index: -1}
	hostile := "\x1b]0;t\a##[error]\x1b[31mx\r\np@ss"
	job := event.Ref{Kind: "Job", Namespace: "shop", Name: hostile}
	for _, e := range []event.Event{event.Started{Job: job}, event.Gap{Stream: stream}, event.Lines{Stream: stream}, event.Attempt{Pod: hostile},
		event.Finished{Job: job, FailedIndexes: hostile, Outcome: event.Outcome(hostile), Cause: &event.Cause{Reason: event.Reason(hostile), Object: job, Container: hostile},
			Pods: []event.PodResult{{Name: hostile, Node: hostile, Phase: hostile}}}} {
		if err := f.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range log.events {
		shown, err := lines.Encode(e, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		text := string(shown)
		for _, not := range []string{`\u001b`, `\r`, `\n`, "p@ss", `\u0000`} {
			if strings.Contains(text, not) {
				t.Errorf("%T: %q is left in %s", e, not, text)
			}
		}
		if _, ok := e.(event.Attempt); !ok && !strings.Contains(text, `"namespace":"shop"`) {
			t.Errorf("%T: the namespace is masked: %s", e, text)
		}
	}
	if stream.Container != "c\x00" {
		t.Error("the stream itself was changed, which others hold too")
	}
}

func FuzzBorder(f *testing.F) {
	const secret = "Hunter2!secret"
	for _, encode := range written {
		f.Add("x"+encode(secret)+"y", 3)
	}
	f.Add("\x1b[01;31m\x1b[KHunter2!\x1b[m\x1b[Ksecret", 5)
	f.Add("Hunter2!\rsecret", 9)
	f.Add("Hunter2\x9b!secret Hunter2!sec…", 2)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		fan, log := masking(secret, "other\nsecret with a \"quote")
		if n := len(text); n > 0 {
			cut = max(cut%n, 0)
		} else {
			cut = 0
		}
		for _, text := range []string{text, text[:cut] + secret + text[cut:], text[:cut] + "Hunter2!\x1b[31m\rsecret" + text[cut:]} {
			for _, line := range through(t, fan, log, event.Line{Text: text}) {
				if strings.Contains(strings.ReplaceAll(Plain(line), "\n", ""), secret) {
					t.Errorf("%q becomes %q", text, line)
				}
				if Clean(line) != line {
					t.Errorf("%q becomes %q, which is not clean", text, line)
				}
			}
			log.events = nil
			if err := fan.Event(event.Attempt{Pod: text, Message: text}); err != nil {
				t.Fatal(err)
			}
			got := log.events[0].(event.Attempt)
			if strings.Contains(got.Pod+"|"+strings.ReplaceAll(got.Message, "\n", ""), secret) || strings.ContainsAny(got.Pod+got.Message, "\x1b\r") || strings.Contains(got.Pod, "\n") {
				t.Errorf("%q becomes %+v", text, got)
			}
		}
	})
}

// TestResultOverTheBorder: a result is cleaned and masked; that of several indexes stays an array, and each text in it is one for itself, with
// nothing hidden by the escapes of JSON. What needs no change is as it was given.
func TestResultOverTheBorder(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		`{"rows": 3}`:                     `{"rows": 3}`,
		"with hunter2secret and \x1b[0m.": "with *** and .",
		`[ "a", null ]`:                   `[ "a", null ]`,
		`["hunter2secret",null]`:          `["***",null]`,
		`["hunter\u001b[0m2secret",null]`: `["***",null]`,
		`["\u0068unter2secret"]`:          `["***"]`,
		`["a\nb","\u001b]0;x\u0007"]`:     `["a\nb",""]`,
		`["a",{"b":"hunter2secret"}]`:     `["a",{"b":"***"}]`,
	} {
		sink := &recorder{}
		f := New(sink)
		f.AddSecrets(event.Secret{Name: "s", Value: "hunter2secret"})
		if err := f.Event(event.Finished{Result: &in}); err != nil {
			t.Fatal(err)
		}
		if got := *sink.events[0].(event.Finished).Result; got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}
