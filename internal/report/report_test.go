package report

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// recorder is a sink that keeps what it is told, and fails from the event on that is number failAt (from 1).
type recorder struct {
	events []event.Event
	masks  []string
	failAt int
	calls  int
}

func (r *recorder) Event(e event.Event) error {
	r.calls++
	if r.failAt > 0 && r.calls >= r.failAt {
		return errors.New("disk full")
	}
	r.events = append(r.events, e)
	return nil
}

type maskingRecorder struct{ recorder }

func (r *maskingRecorder) AddMasks(lines []string) error {
	r.masks = append(r.masks, lines...)
	return nil
}

func TestFanoutGoesOnWithoutABrokenReport(t *testing.T) {
	log, broken, other := &recorder{}, &recorder{failAt: 2}, &recorder{}
	f := New(log, broken, other)
	events := []event.Event{event.Notice{Message: "1"}, event.Notice{Message: "2"}, event.Notice{Message: "3"}}
	for _, e := range events {
		if err := f.Event(e); err != nil {
			t.Errorf("%v: %v", e, err)
		}
	}
	finished := event.Finished{Outcome: event.Succeeded}
	if err := f.Event(finished); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("the end tells %v, want the error of the broken report", err)
	}
	warning := event.Notice{Level: event.Warning, Message: "a report cannot be written: disk full"}
	want := []event.Event{events[0], events[1], warning, events[2], finished}
	if diff := cmp.Diff(want, log.events); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
	if broken.calls != 2 {
		t.Errorf("the broken report was told %d events, want 2", broken.calls)
	}
	if len(other.events) != 4 {
		t.Errorf("the report behind it got %d events, want 4", len(other.events))
	}
}

// The log ends with how the run ended: what became of the files stands above it, also when one breaks at the very end.
func TestFanoutTellsTheLogLast(t *testing.T) {
	log, file, broken := &recorder{}, &recorder{}, &recorder{failAt: 1}
	finished := event.Finished{Outcome: event.Succeeded}
	if err := New(log, file, broken).Event(finished); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("the end returns %v, want the error of the broken report", err)
	}
	want := []event.Event{event.Notice{Level: event.Warning, Message: "a report cannot be written: disk full"}, finished}
	if diff := cmp.Diff(want, log.events); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]event.Event{finished}, file.events); diff != "" {
		t.Errorf("the file (-want +got):\n%s", diff)
	}
}

func TestFanoutReturnsTheErrorOfTheLog(t *testing.T) {
	log, file := &recorder{failAt: 1}, &recorder{}
	err := New(log, file).Event(event.Notice{})
	if err == nil || len(file.events) != 1 {
		t.Errorf("error %v, the file got %d events; want an error, and one", err, len(file.events))
	}
}

func TestAddSecrets(t *testing.T) {
	log := &maskingRecorder{}
	f := New(log)
	for _, value := range []string{"", "abc", "{", "true", "hunter2!", " first line \r\n{\nsecond line\n"} {
		f.AddSecrets(event.Secret{Value: value, Credential: true})
	}
	f.AddSecrets(event.Secret{Name: "key username of Secret db", Value: "shop"})
	if slices.Contains(log.masks, "shop") {
		t.Error("a word that is no credential is masked in the log of the whole job")
	}
	want := []string{"first line", "second line", "hunter2!"}
	for _, w := range want {
		if !slices.Contains(log.masks, w) {
			t.Errorf("masks %q lack %q", log.masks, w)
		}
	}
	for _, m := range log.masks {
		if trivial(m) || strings.ContainsAny(m, "\r\n") {
			t.Errorf("%q is no line to be masked", m)
		}
	}
}

func TestMask(t *testing.T) {
	var m mask
	const secret = "s3cr€t/pa ss\"word"
	for _, v := range []string{secret, "abcdef", "defghi", "-----BEGIN-----\nMIIEow\n}\n-----END-----\n", "abc", "true", strings.Repeat("0123456789", 20)} {
		m.add(v, false)
	}
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	quoted, _ := json.Marshal(secret)
	for in, want := range map[string]string{
		"":                                 "",
		"nothing here":                     "nothing here",
		secret:                             "***",
		"a " + secret + "," + secret:       "a ***,***",
		"abcdefghi":                        "***", // overlapping
		"abcdefabcdef":                     "***", // touching
		"xabcdefx":                         "x***x",
		"abcde":                            "abcde",
		"cut: s3cr€t/pa s…; more":          "cut: ***…; more",
		"cut: s3c…":                        "cut: s3c…", // shorter than any secret
		"no cut s3cr€t/":                   "no cut s3cr€t/",
		"key: MIIEow":                      "key: ***",
		"-----END-----":                    "***",
		"abc } true":                       "abc } true",
		"v=" + b64(secret):                 "v=***",
		string(quoted):                     `"***"`,
		"?p=s3cr%E2%82%ACt%2Fpa+ss%22word": "?p=***",
		b64(strings.Repeat("0123456789", 20))[:76]: "***",
	} {
		if got := m.hide(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	for _, user := range []string{"u:", "us:", "use:"} {
		got := m.hide(b64(user + secret + "\n"))
		// Up to two characters at both ends hold bits of the neighbours.
		if before, after, ok := strings.Cut(got, "***"); !ok || len(before) > 6 || len(after) > 4 {
			t.Errorf("base64 of %q becomes %q", user+secret, got)
		}
	}
}

func TestMaskWithoutSecretsIsFree(t *testing.T) {
	var b border
	b.mask.add("hunter2!", false)
	var lines event.Event = event.Lines{Stream: &event.Stream{Pod: "p"}, Lines: []event.Line{{Text: strings.Repeat("hunter3 ", 12)}}}
	b.mask.hide("")
	if n := testing.AllocsPerRun(100, func() { b.line(nil, event.Line{Text: "hunter1! hunter3! hunter"}) }); n != 0 {
		t.Errorf("a line without secrets costs %v allocations", n)
	}
	if got := b.event(lines); &got.(event.Lines).Lines[0] != &lines.(event.Lines).Lines[0] {
		t.Errorf("lines without secrets are copied: %v", got)
	}
}

// Every text of every event is cleaned and masked, and the events themselves, which others hold too, stay as they were.
func TestBorderCoversEveryText(t *testing.T) {
	const secret, dirty = "hunter2!", "hun\x1b[Kter2!"
	for _, e := range event.Events {
		v := reflect.New(reflect.TypeOf(e)).Elem()
		fill(v, dirty)
		given := v.Interface().(event.Event)
		before := fmt.Sprintf("%+v", given)

		var b border
		b.mask.add(secret, false)
		got := b.event(given)

		for _, not := range []string{secret, "hun", "\x1b"} {
			for _, path := range found(reflect.ValueOf(got), "", not) {
				t.Errorf("%T%s still holds %q", e, path, not)
			}
		}
		if len(found(reflect.ValueOf(got), "", stars)) == 0 {
			t.Errorf("%T holds no text", e)
		}
		if after := fmt.Sprintf("%+v", given); after != before {
			t.Errorf("%T was changed itself", e)
		}
	}
}

// fill puts text into every string that v holds, and one element into every slice.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("is " + text)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), text)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text)
	case reflect.Interface:
		v.Set(reflect.ValueOf(errors.New("is " + text)))
	}
}

// found lists the paths of the strings in v that contain text.
func found(v reflect.Value, path, text string) []string {
	var paths []string
	if v.IsValid() && v.CanInterface() {
		if err, ok := v.Interface().(error); ok && v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct && v.Elem().NumField() == 1 {
			if strings.Contains(err.Error(), text) {
				return []string{path}
			}
			return nil
		}
	}
	switch v.Kind() {
	case reflect.String:
		if strings.Contains(v.String(), text) {
			paths = append(paths, path)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return nil
		}
		for i := range v.NumField() {
			paths = append(paths, found(v.Field(i), path+"."+v.Type().Field(i).Name, text)...)
		}
	case reflect.Slice:
		for i := range v.Len() {
			paths = append(paths, found(v.Index(i), path, text)...)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			paths = found(v.Elem(), path, text)
		}
	}
	return paths
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ in, want, plain string }{
		{"plain text\twith a tab", "plain text\twith a tab", ""},
		{"größer → ✓ 日本", "größer → ✓ 日本", ""},
		{"\x1b[1;31mred\x1b[0m and", "\x1b[1;31mred\x1b[0m and", "red and"},
		{"\x1b[31mred", "\x1b[31mred\x1b[0m", "red"},
		{"\x1b[31ma\rb", "\x1b[31ma\x1b[0m\nb", "a\nb"},
		{"\x1b[38:2::1:2:3mx\x1b[m", "\x1b[38:2::1:2:3mx\x1b[m", "x"},
		{"\x1b[2K\x1b[1Gup\x1b[1A\x1b[?25l", "up", "up"},
		{"\x1b[>4;1mx", "x", "x"}, // ends with m, sets a key mode
		{"\x1b]0;title\ax", "x", "x"},
		{"\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link", "link"},
		{"\x1b]0;never ends", "]0;never ends", "]0;never ends"},
		{"\x1bPq#0\x1b\\x\x1b(Bx\x1b7x\x1b", "xxx", "xxx"},
		{"\x1b[31", "[31", "[31"},
		{"\x00\x07\x08\x7f", "␀␇␈␡", "␀␇␈␡"},
		{"\xff\xc3 \u009b31m", "\ufffd\ufffd \ufffd31m", "\ufffd\ufffd \ufffd31m"},
		{"dos\r", "dos", "dos"},
		{"a\r\nb\r\n", "a\nb\n", "a\nb\n"},
		{"\r 1%\r 2%\r\r 3%\r", " 1%\n 2%\n 3%", " 1%\n 2%\n 3%"},
		{"\r", "", ""},
	} {
		if got := Clean(c.in); got != c.want {
			t.Errorf("Clean(%q) = %q, want %q", c.in, got, c.want)
		}
		if c.plain == "" && c.want != "" {
			c.plain = c.want
		}
		if got := Plain(c.in); got != c.plain {
			t.Errorf("Plain(%q) = %q, want %q", c.in, got, c.plain)
		}
	}
	for _, s := range []string{"plain ASCII, nothing to do", "größer → ✓"} {
		if n := testing.AllocsPerRun(100, func() { Clean(s) }); n != 0 {
			t.Errorf("Clean(%q) costs %v allocations", s, n)
		}
	}
}

func TestPrefix(t *testing.T) {
	one := event.Started{Pods: 1, Containers: 1}
	pods := event.Started{Pods: 12, Containers: 1}
	containers := event.Started{Pods: 1, Containers: 2}
	both := event.Started{Pods: 12, Containers: 2, Indexed: true}
	for _, c := range []struct {
		started event.Started
		stream  event.Stream
		want    string
	}{
		{one, event.Stream{Pod: "job-x7k2p", Container: "main", Index: -1, Attempt: 1}, ""},
		{one, event.Stream{Pod: "job-x7k2p", Container: "main", Index: 0, Attempt: 1}, ""},
		{one, event.Stream{Pod: "job-x7k2p", Container: "main", Index: -1, Attempt: 2}, "[attempt 2] "},
		{one, event.Stream{Pod: "job-x7k2p", Container: "main", Index: -1, Attempt: 1, Restart: 3}, "[restart 3] "},
		{pods, event.Stream{Pod: "job-x7k2p", Container: "main", Index: -1, Attempt: 4}, "[x7k2p] "},
		{pods, event.Stream{Pod: "job-3-x7k2p", Container: "main", Index: 3, Attempt: 1}, "[ 3] "},
		{pods, event.Stream{Pod: "job-11-x7k2p", Container: "main", Index: 11, Attempt: 2}, "[11 attempt 2] "},
		{containers, event.Stream{Pod: "job-x7k2p", Container: "migrate", Index: -1, Attempt: 1}, "[migrate] "},
		{both, event.Stream{Pod: "job-3-x7k2p", Container: "proxy", Index: 3, Attempt: 2, Restart: 1}, "[ 3 proxy attempt 2 restart 1] "},
	} {
		if got := Prefix(&c.stream, c.started); got != c.want {
			t.Errorf("%+v of %+v: %q, want %q", c.stream, c.started, got, c.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	job := event.Ref{Kind: "Job", Namespace: "batch-jobs", Name: "data-migration"}
	cause := func(m string) *event.Cause { return &event.Cause{Message: m} }
	for want, f := range map[string]event.Finished{
		"Job batch-jobs/data-migration succeeded in 4.2 s (1 pod)":                      {Outcome: event.Succeeded, Job: job, UID: "u", Attempts: 1, Succeeded: 1, Duration: 4200 * time.Millisecond},
		"Job batch-jobs/data-migration succeeded in 45 s (3 pods, 1 failed)":            {Outcome: event.Succeeded, Job: job, UID: "u", Attempts: 3, Failed: 1, Duration: 45 * time.Second},
		"Job batch-jobs/data-migration failed: container x exited with code 3":          {Outcome: event.Failed, Job: job, UID: "u", Cause: cause("container x exited with code 3")},
		"Job batch-jobs/data-migration was deleted by someone else":                     {Outcome: event.Vanished, Job: job, UID: "u", Cause: cause("Job batch-jobs/data-migration was deleted by someone else")},
		"Job batch-jobs/data-migration timed out: 1 pod waits":                          {Outcome: event.TimedOut, Job: job, UID: "u", Cause: cause("1 pod waits")},
		"Job batch-jobs/data-migration was cancelled":                                   {Outcome: event.Cancelled, Job: job, UID: "u"},
		"Job batch-jobs/data-migration could not be run: forbidden":                     {Outcome: event.Failed, Job: job, Cause: cause("forbidden")},
		"Job batch-jobs/data-migration was not run to its end: no Secret":               {Outcome: event.Failed, Job: job, UID: "u", Cause: &event.Cause{Reason: event.Forbidden, Message: "no Secret"}},
		"Job batch-jobs/data-migration was created; this run does not wait for its end": {Outcome: event.Created, Job: job, UID: "u"},
		"Job batch-jobs/data-migration has succeeded already: nothing runs again":       {Outcome: event.Succeeded, Job: job, UID: "u", Attempts: 1, Succeeded: 1, Earlier: "has succeeded already: nothing runs again"},
		"Job batch-jobs/data-migration succeeded, but what follows is missing":          {Outcome: event.Failed, Job: job, UID: "u", Earlier: "has succeeded already", Cause: cause("Job batch-jobs/data-migration succeeded, but what follows is missing")},
		"fix this problem first": {Outcome: event.Failed, Cause: cause("fix this problem first")},
	} {
		if got := Verdict(f); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestOutputs(t *testing.T) {
	code := int32(3)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	got, note := Outputs(event.Finished{
		Outcome: event.Failed, Job: event.Ref{Kind: "Job", Namespace: "ns", Name: "job"}, UID: "u1", Attempts: 2, Failed: 2,
		Cause:     &event.Cause{Reason: event.ContainerExit, ExitCode: &code, Message: "it failed"},
		StartedAt: at, CompletedAt: at.Add(1500 * time.Millisecond), Duration: 1500 * time.Millisecond,
		Pods: []event.PodResult{{Name: "job-1", Phase: "Failed", ExitCode: &code}}, Tail: []string{"a␀", "b"},
		Times: event.Times{Queue: time.Second, Node: 9 * time.Second, Pull: 250 * time.Millisecond, Run: 12806 * time.Millisecond}, Result: new("{}"),
	})
	want := []Output{
		{"job-name", "job"}, {"namespace", "ns"}, {"job-uid", "u1"}, {"status", "failed"}, {"reason", "ContainerExit"},
		{"message", "it failed"}, {"exit-code", "3"}, {"attempts", "2"}, {"succeeded", "0"}, {"failed", "2"}, {"failed-indexes", ""},
		{"started-at", "2026-03-01T11:00:00Z"}, {"completed-at", "2026-03-01T11:00:01Z"}, {"duration-seconds", "1.5"},
		{"queue-seconds", "1"}, {"pull-seconds", "0.25"}, {"run-seconds", "12.806"}, {"result", "{}"},
		{"pods", `[{"name":"job-1","phase":"Failed","exitCode":3,"restarts":0}]`}, {"log-tail", "a␀\nb"}, {"job_name", "job"},
	}
	if diff := cmp.Diff(want, got); diff != "" || note != "" {
		t.Errorf("note %q (-want +got):\n%s", note, diff)
	}
	shown := OutputLines(got)
	if want := "log-tail          a␀ … (2 lines)"; shown[len(shown)-1] != want {
		t.Errorf("shown as %q, want %q", shown[len(shown)-1], want)
	}
	again, _ := Outputs(event.Finished{Outcome: event.Succeeded, Job: event.Ref{Kind: "Job", Name: "job"}, UID: "u", Earlier: "has succeeded already: nothing runs again"})
	if want := (Output{"message", "Job job has succeeded already: nothing runs again"}); !slices.Contains(again, want) {
		t.Errorf("got %v without %v", again, want)
	}
	none, _ := Outputs(event.Finished{Outcome: event.Failed, Job: event.Ref{Kind: "Job", Name: "job"}})
	for _, o := range none {
		if (o.Name == "job-name" || strings.HasSuffix(o.Name, "-seconds") || o.Name == "result") && o.Value != "" {
			t.Errorf("%v is an output although there was no Job", o)
		}
	}
}

func TestOutputsAreBounded(t *testing.T) {
	f := event.Finished{Outcome: event.Failed, UID: "u", Cause: &event.Cause{Message: strings.Repeat("é", 1<<20)}}
	for i := range 5000 {
		f.Pods = append(f.Pods, event.PodResult{Name: fmt.Sprintf("%0200d", i), Phase: "Succeeded"})
	}
	f.Pods[4999].Phase = "Failed"
	for range 1000 {
		f.Tail = append(f.Tail, strings.Repeat("x", 1000))
	}
	outputs, note := Outputs(f)
	if !strings.Contains(note, "of 5000 pods") {
		t.Errorf("note %q", note)
	}
	total := 0
	for _, o := range outputs {
		total += len(o.Value)
		switch o.Name {
		case "pods":
			var pods []event.PodResult
			if err := json.Unmarshal([]byte(o.Value), &pods); err != nil || len(pods) < 1000 || pods[0].Phase != "Failed" {
				t.Errorf("%d pods, %v; the failed one must be the first", len(pods), err)
			}
		case "log-tail":
			if !strings.HasPrefix(o.Value, "… 935 earlier lines left out\nxxx") {
				t.Errorf("log-tail begins with %.60q", o.Value)
			}
		case "message":
			if !strings.HasSuffix(o.Value, "é…") {
				t.Errorf("message ends with %q", o.Value[len(o.Value)-10:])
			}
		}
	}
	if total > 1_000_000 {
		t.Errorf("all outputs together have %d bytes", total)
	}
}

// Lines of 1 MiB that are nothing but what the secrets begin with, and usual lines.
func BenchmarkMask(b *testing.B) {
	for _, secrets := range []int{1, 20, 20_000} {
		var m mask
		for i := range secrets {
			m.add(fmt.Sprintf("secret value number %d", i), false)
		}
		for name, line := range map[string]string{
			"hostile":  strings.Repeat("secret value number ", 1<<20/20),
			"tempting": strings.Repeat("secret value numbe! ", 1<<20/20),
			"plain":    strings.Repeat("0123456789 The quick brown fox ", 1<<20/31),
			"short":    strings.Repeat("0123456789 ", 9),
		} {
			b.Run(fmt.Sprintf("%d/%s", secrets, name), func(b *testing.B) {
				m.hide(line)
				b.SetBytes(int64(len(line)))
				for b.Loop() {
					m.hide(line)
				}
			})
		}
	}
}

// A flood of lines beside 20 keys of 3 KB, whose base64 may be broken into lines.
func BenchmarkMaskKeys(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		raw := make([]byte, n)
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		return base64.StdEncoding.EncodeToString(raw)
	}
	var m mask
	for range 20 {
		m.add(text(2250), false)
	}
	for name, line := range map[string]string{"plain": strings.Repeat("0123456789 The quick brown fox ", 4), "base64": text(90)} {
		b.Run(name, func(b *testing.B) {
			m.hide(line)
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				m.hide(line)
			}
			b.ReportMetric(float64(len(m.find.label)), "states")
		})
	}
}

func BenchmarkAddSecrets(b *testing.B) {
	for b.Loop() {
		var m mask
		for i := range 20_000 {
			m.add(fmt.Sprintf("aaaa%06d", i), false)
		}
		m.hide("a text")
		b.ReportMetric(float64(len(m.find.label)), "states")
	}
}

// TestEveryEventHasWords: but for output and the end, which each report writes in its own way.
func TestEveryEventHasWords(t *testing.T) {
	for _, e := range event.Events {
		_, lines := e.(event.Lines)
		_, end := e.(event.Finished)
		if g, ok := e.(event.Gap); ok {
			g.Stream = &event.Stream{}
			e = g
		}
		if _, said := Say(e); said == (lines || end) {
			t.Errorf("%T: said %t", e, said)
		}
	}
	if m, said := Say(event.Started{Alone: true}); said {
		t.Errorf("a run that does not wait says %q", m.Text)
	}
}
