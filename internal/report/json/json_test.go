package json

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/randfill"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/report"
)

const schemaFile = "../../../docs/events.schema.json"

// wires are what the lines of each event hold.
var wires = map[string]any{"started": started{}, "object": object{}, "attempt": attempt{}, "progress": progress{}, "notice": notice{}, "finding": finding{},
	"lines": lines{}, "gap": gap{}, "finished": finished{}}

// kind is how lines name an event.
func kind(e event.Event) string { return strings.ToLower(reflect.TypeOf(e).Name()) }

// TestSchemaFile keeps the schema in docs what the types say.
func TestSchemaFile(t *testing.T) {
	golden.Compare(t, schemaFile, string(schema(t))+"\n")
}

// schema makes the JSON schema of the lines from their types, their struct tags and the comments of the events' fields.
func schema(t *testing.T) []byte {
	t.Helper()
	g := generator{docs: map[string]string{}, definitions: map[string]any{}}
	for _, file := range []string{"json.go", "../../event/event.go", "../../event/cause.go", "../../event/finding.go"} {
		g.comments(t, file)
	}
	var branches []any
	for _, e := range event.Events {
		name := kind(e)
		wire, ok := wires[name]
		if !ok {
			t.Fatalf("%T has no line", e)
		}
		o := g.object(reflect.TypeOf(wire))
		o["description"] = g.docs[reflect.TypeOf(e).Name()]
		properties := o["properties"].(map[string]any)
		properties["event"], properties["version"] = map[string]any{"const": name}, map[string]any{"const": version}
		g.definitions[name] = o
		branches = append(branches, map[string]any{"$ref": "#/$defs/" + name})
	}
	text, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "One line of `format: json`",
		"description": "A run is told as JSON lines, one for each event, in the order in which they happened; the last is `finished`. Texts are masked, and have no control characters, " +
			"except for the colours of containers' lines. Later releases may add fields and events: a reader ignores what it does not know. " +
			"The version grows when that would not be enough. A field that need not be there is absent when it is empty: no text, no time, no number.",
		"oneOf": branches, "$defs": g.definitions,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// enums are the words of types that have no others.
var enums = map[string][]string{
	"Outcome":       words(event.Succeeded, event.Failed, event.TimedOut, event.Cancelled, event.Vanished, event.Created),
	"Level":         words(event.Debug, event.Info, event.Warning, event.Error),
	"ContainerKind": words(event.Main, event.Init, event.Sidecar),
}

func words[T ~string](all ...T) (s []string) {
	for _, one := range all {
		s = append(s, string(one))
	}
	return s
}

type generator struct {
	docs        map[string]string // "Gap", "Gap.Why"
	definitions map[string]any
}

// comments reads those of a file's types and fields.
func (g *generator) comments(t *testing.T, name string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	text := func(c *ast.CommentGroup) string { return strings.TrimSpace(strings.ReplaceAll(c.Text(), "\n", " ")) }
	ast.Inspect(file, func(n ast.Node) bool {
		gen, ok := n.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			return true
		}
		for _, spec := range gen.Specs {
			s := spec.(*ast.TypeSpec)
			if d := text(gen.Doc); d != "" && !gen.Lparen.IsValid() {
				g.docs[s.Name.Name] = d
			}
			if o, ok := s.Type.(*ast.StructType); ok {
				for _, f := range o.Fields.List {
					for _, n := range f.Names {
						g.docs[s.Name.Name+"."+n.Name] = strings.TrimSpace(text(f.Doc) + " " + text(f.Comment))
					}
				}
			}
		}
		return true
	})
}

func (g *generator) object(t reflect.Type) map[string]any {
	properties := map[string]any{}
	required := map[string]bool{}
	g.fields(t, properties, required)
	return map[string]any{"type": "object", "properties": properties, "required": append([]string{}, slices.Sorted(maps.Keys(required))...)}
}

// fields adds those of a struct; what it holds itself is in the place of what it embeds.
func (g *generator) fields(t reflect.Type, properties map[string]any, required map[string]bool) {
	for f := range t.Fields() {
		if f.Anonymous {
			g.fields(f.Type, properties, required)
		}
	}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "-" {
			continue
		}
		s := g.value(f.Type)
		doc := g.docs[t.Name()+"."+f.Name]
		for e := range t.Fields() {
			if e.Anonymous && doc == "" {
				doc = g.docs[e.Type.Name()+"."+f.Name]
			}
		}
		if doc == "" && t.Name() == "times" {
			doc = g.docs["Times."+f.Name]
		}
		if doc != "" {
			s["description"] = doc
		}
		properties[name] = s
		if options == "" {
			required[name] = true
		}
	}
}

func (g *generator) value(t reflect.Type) map[string]any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case enums[t.Name()] != nil:
		return map[string]any{"enum": enums[t.Name()]}
	}
	switch t.Kind() {
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int32:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": g.value(t.Elem())}
	case reflect.Struct:
		name := strings.ToLower(t.Name()[:1]) + t.Name()[1:]
		if g.definitions[name] == nil {
			o := g.object(t)
			g.definitions[name] = o
		}
		return map[string]any{"$ref": "#/$defs/" + name}
	}
	panic("no schema for " + t.String())
}

// validator checks lines against the schema.
func validator(t *testing.T) func(line []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("events", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("events")
	if err != nil {
		t.Fatal(err)
	}
	return func(line []byte) error {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err != nil {
			return err
		}
		return compiled.Validate(value)
	}
}

// filler makes events of any content that the types allow.
func filler(seed int64) *randfill.Filler {
	return randfill.NewWithSeed(seed).NilChance(.3).NumElements(0, 3).Funcs(
		func(o *event.Outcome, c randfill.Continue) {
			*o = event.Outcome(enums["Outcome"][c.Intn(len(enums["Outcome"]))])
		},
		func(l *event.Level, c randfill.Continue) { *l = event.Level(enums["Level"][c.Intn(4)]) },
		func(k *event.ContainerKind, c randfill.Continue) {
			*k = event.ContainerKind(enums["ContainerKind"][c.Intn(3)])
		},
		func(d *time.Duration, c randfill.Continue) { *d = time.Duration(c.Int63n(int64(40 * 24 * time.Hour))) },
		func(t *time.Time, c randfill.Continue) {
			*t = time.Unix(c.Int63n(1<<33), c.Int63n(1e9)).In(time.FixedZone("", c.Intn(7200)*2-7200))
			if c.Intn(4) == 0 {
				*t = time.Time{}
			}
		},
		func(e *error, c randfill.Continue) {},
		func(l *event.Lines, c randfill.Continue) { // a list that is empty is one
			c.FillNoCustom(l)
			if l.Lines == nil {
				l.Lines = []event.Line{}
			}
		},
		func(p *event.PodResult, c randfill.Continue) { // a time that is not known is none
			c.FillNoCustom(p)
			for _, at := range []**time.Time{&p.CreatedAt, &p.StartedAt, &p.EndedAt} {
				if *at != nil && (*at).IsZero() {
					*at = nil
				}
			}
		},
		func(f *event.Finished, c randfill.Continue) { // which no line has
			c.FillNoCustom(f)
			f.Trace = nil
		},
		func(a *event.Attempt, c randfill.Continue) { c.FillNoCustom(a); a.Index = c.Intn(5) - 1 },
		func(s *event.Stream, c randfill.Continue) { c.FillNoCustom(s); s.Index = c.Intn(5) - 1 },
	)
}

// TestLines: every event of any content is one line that the schema takes, and that can be read back as it was.
func TestLines(t *testing.T) {
	check := validator(t)
	for seed := range int64(100) {
		for _, e := range event.Events {
			v := reflect.New(reflect.TypeOf(e))
			filler(seed).Fill(v.Interface())
			e = v.Elem().Interface().(event.Event)
			var out bytes.Buffer
			if err := New(&out).Event(e); err != nil {
				t.Fatalf("%+v: %v", e, err)
			}
			line := out.Bytes()
			if bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
				t.Fatalf("not one line: %q", line)
			}
			if err := check(line); err != nil {
				t.Errorf("%s\n%v", line, err)
			}
			back, err := Decode(line)
			if diff := cmp.Diff(e, back, cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)); diff != "" || err != nil {
				t.Fatalf("%s\n%v (-told +read):\n%s", line, err, diff)
			}
		}
	}
}

// TestSchemaRefuses: the schema says what a line must have.
func TestSchemaRefuses(t *testing.T) {
	check := validator(t)
	const good = `{"version":1,"at":"2026-03-01T12:00:00Z","event":"notice","level":"info","message":"m"}`
	if err := check([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string][2]string{
		"no message": {`,"message":"m"`, ``}, "a number for a text": {`"m"`, `1`}, "no such level": {"info", "high"}, "no such event": {"notice", "news"},
		"another version": {`"version":1`, `"version":2`}, "no time": {"2026-03-01T", ""}, "no version": {`"version":1,`, ``},
	} {
		if err := check([]byte(strings.Replace(good, change[0], change[1], 1))); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	// What a later release adds is no error.
	if err := check([]byte(strings.Replace(good, `"m"`, `"m","new":1`, 1))); err != nil {
		t.Error(err)
	}
	for _, line := range []string{"", "{", strings.Replace(good, ":1", ":2", 1), strings.Replace(good, "notice", "news", 1), strings.Replace(good, `"m"`, `1`, 1)} {
		if e, err := Decode([]byte(line)); err == nil {
			t.Errorf("%q is read as %+v", line, e)
		}
	}
}

// TestNoCommands: no CI system finds a command in a line, and none is taken out of it.
func TestNoCommands(t *testing.T) {
	for _, text := range []string{"::error::x", "##[error]x", "##vso[task.setvariable variable=a]b", "##teamcity[x]", "###[group]", "#\u200b##[x]", "#\u200b#[error]x", "#\u0301#\u200bvso[x]",
		"\x1b[31m::x::", "--- x", "<&>"} {
		l := event.Lines{Stream: &event.Stream{Index: -1}, Lines: []event.Line{{Text: text}}}
		var out bytes.Buffer
		if err := report.New(New(&out)).Event(l); err != nil {
			t.Fatal(err)
		}
		line := out.String()
		for _, system := range []string{"GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION", "BUILDKITE"} {
			commands := report.NewCommands(func(name string) string {
				if name == system {
					return "true"
				}
				return ""
			}, report.FormatJSON)
			if commands.Line(line) != line {
				t.Errorf("%s finds a command in %q", system, line)
			}
		}
		if !strings.HasPrefix(line, `{"version":1,`) || strings.ContainsAny(line, "\x1b\r") {
			t.Errorf("%q", line)
		}
		back, err := Decode(out.Bytes())
		if err != nil || !strings.Contains(back.(event.Lines).Lines[0].Text, strings.Trim(text, "\u200b\x1b[31m")[:2]) {
			t.Errorf("%q is read as %+v, %v", text, back, err)
		}
	}
}

// TestTimes: times are in UTC. One that RFC 3339 cannot write is left out, and is no error: the API server may have sent it.
func TestTimes(t *testing.T) {
	at := time.Date(2026, 3, 1, 1, 0, 0, 5000, time.FixedZone("", 7200))
	line, err := Encode(event.Started{CreatedAt: at}, at)
	if err != nil || strings.Count(string(line), `"2026-02-28T23:00:00.000005Z"`) != 2 {
		t.Errorf("%s, %v", line, err)
	}
	for _, year := range []int{-5, 20000} {
		odd := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, e := range []event.Event{event.Started{CreatedAt: odd}, event.Gap{After: odd, Until: odd}, event.Lines{Lines: []event.Line{{At: odd}}},
			event.Finished{StartedAt: odd, CompletedAt: odd, Events: []event.Past{{At: odd}}, Pods: []event.PodResult{{StartedAt: &odd, EndedAt: &odd, CreatedAt: &odd}}}} {
			if line, err := Encode(e, at); err != nil || strings.Contains(strings.TrimPrefix(string(line), `{"version":1,"at":"2026`), `-01-01T`) {
				t.Errorf("%T: %s, %v", e, line, err)
			}
		}
	}
}

// TestLimits: whatever the Job's size, the last line stays small, failed pods are the last to go, and what is not there is counted.
func TestLimits(t *testing.T) {
	long := strings.Repeat("\u2028<", 20_000)
	f := event.Finished{Outcome: event.Failed, Cause: &event.Cause{Message: long, Hint: long}, Tail: []string{long, "last"}}
	for i := range 300 {
		p := event.PodResult{Name: fmt.Sprintf("import-%d", i), Phase: "Succeeded", Reason: long, Tail: []string{long, strings.Repeat("x", 30000)}}
		if i%100 == 99 {
			p.Phase, p.Message = "Failed", long
		}
		f.Pods = append(f.Pods, p)
		f.Warnings = append(f.Warnings, event.Cause{Reason: event.Evicted, Message: long})
		f.Events = append(f.Events, event.Past{Reason: "x", Message: long})
	}
	line, err := Encode(f, time.Now())
	if err != nil || len(line) > 16<<20 {
		t.Fatalf("%d bytes, %v", len(line), err)
	}
	if err := validator(t)(line); err != nil {
		t.Error(err)
	}
	var got finished
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if left := got.LeftOut; len(got.Pods) < 4 || left == nil || left.Pods+len(got.Pods) != 300 || left.Events+len(got.Events) != 300 || left.Warnings+len(got.Warnings) != 300 ||
		len(got.Events) == 0 || len(got.Warnings) == 0 {
		t.Fatalf("%d pods, %d events, %d warnings, left out %+v", len(got.Pods), len(got.Events), len(got.Warnings), left)
	}
	for i, p := range got.Pods {
		if failed := i < 3; failed != (p.Phase == "Failed") || len(p.Message) > maxText {
			t.Errorf("pod %d: %s, a message of %d bytes", i, p.Phase, len(p.Message))
		}
	}
	if diff := cmp.Diff([]string{"last"}, got.Tail); diff != "" || len(got.Cause.Message) > maxText || len(got.Cause.Hint) > maxText {
		t.Errorf("last lines %s; message of %d bytes", diff, len(got.Cause.Message))
	}
	if f.Cause.Message != long || f.Warnings[0].Message != long || f.Events[0].Message != long || f.Pods[99].Message != long {
		t.Error("the event that other sinks get too was changed")
	}
}

// TestExitCode: it is that of the outcome, 0 after success.
func TestExitCode(t *testing.T) {
	code := int32(3)
	for want, f := range map[string]event.Finished{
		`"exitCode":0,`: {Outcome: event.Succeeded}, `"exitCode":3,"durationSeconds"`: {Outcome: event.Failed, Cause: &event.Cause{ExitCode: &code}},
		`"pods":[]}`: {Outcome: event.Created},
	} {
		line, err := Encode(f, time.Now())
		if err != nil || !strings.Contains(string(line), want) {
			t.Errorf("%s, %v, want %s", line, err, want)
		}
	}
	if line, _ := Encode(event.Finished{Outcome: event.TimedOut, Cause: &event.Cause{}}, time.Now()); strings.Contains(string(line), "exitCode") {
		t.Errorf("%s", line)
	}
}

type broken struct{ error }

func (b broken) Write([]byte) (int, error) { return 0, b.error }

// TestWriteFails: a reader that is gone is an error.
func TestWriteFails(t *testing.T) {
	gone := errors.New("broken pipe")
	if err := New(broken{gone}).Event(event.Notice{}); !errors.Is(err, gone) {
		t.Error(err)
	}
}

// BenchmarkLines: 1,000 lines of 100 bytes.
func BenchmarkLines(b *testing.B) {
	l := event.Lines{Stream: &event.Stream{Pod: "p", Container: "main"}}
	for i := range 1000 {
		l.Lines = append(l.Lines, event.Line{At: time.Unix(int64(i), 0), Text: fmt.Sprintf("%0100d", i)})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(l, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
