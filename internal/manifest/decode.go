package manifest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Decode fills a Kubernetes API type (into is a pointer to a struct) as strictly as the API server does with
// fieldValidation=Strict: by the types' json tags, case included, every unknown field, wrong type, number out of range and
// value that the type's own decoder refuses, each with its place. into gets everything that is right, so that the rest can be
// checked too.
func (d *Document) Decode(into any) []event.Finding {
	return d.decode(into, false)
}

// DecodeProtobuf fills a type whose document follows protobuf's JSON mapping: a field may be written in lowerCamelCase or
// snake_case (in both it is an error), a number may be quoted, and an empty field counts as absent. The type's struct tags
// add checks: required:"true" for a field that must be there and not empty, enum:"A,B" for strings, min:"0" and max:"9" for numbers, with
// hint:"…" as the suggestion when they are exceeded.
// See Shorthand and Keyed for the forms that a type accepts beside its own.
func (d *Document) DecodeProtobuf(into any) []event.Finding {
	return d.decode(into, true)
}

// Shorthand is a struct that may be written as a plain string. The method names the field that the string then is.
type Shorthand interface{ Shorthand() string }

// Keyed is a list of structs that may be written as a mapping too. The method names the field that the mapping's key then
// is; a mapping's items are sorted by it.
type Keyed interface{ Keyed() string }

func (d *Document) decode(into any, protobuf bool) []event.Finding {
	t := reflect.TypeOf(into).Elem()
	w := walker{Document: d, root: t, protobuf: protobuf}
	value := w.value(d.node, t, "")
	event.SortFindings(w.findings)
	data, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		path := ""
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			path = wrong.Field
		}
		w.problem(path, fmt.Sprintf("cannot be read: %v", err), "")
	}
	return w.findings
}

// walker checks a document against a Go type and turns it into the JSON-like values that encoding/json then reads.
type walker struct {
	*Document
	root     reflect.Type
	protobuf bool
	findings []event.Finding
}

func (w *walker) problem(path, message, suggestion string) {
	if len(w.findings) < maxProblems {
		w.findings = append(w.findings, w.Finding(event.Error, path, message, suggestion))
	}
}

// misplaced is a problem with a key.
func (w *walker) misplaced(key *yaml.Node, path, message, suggestion string) {
	w.problem(path, message, suggestion)
	f := &w.findings[len(w.findings)-1]
	f.Line, f.Column = key.Line, key.Column
}

// wrong is the problem that a node is not what its field wants.
func (w *walker) wrong(n *yaml.Node, path, want, suggestion string) any {
	if _, variable := w.substituted[n]; suggestion == "" && n.Kind == yaml.ScalarNode && !variable {
		suggestion = Unfilled(n.Value)
	}
	w.problem(path, fmt.Sprintf("must be %s, not %s", want, kindOf(n)), suggestion)
	return nil
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func (w *walker) value(n *yaml.Node, t reflect.Type, path string) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Tag == nullTag && n.Kind == yaml.ScalarNode || n.Tag == wrongTag || len(w.findings) >= maxProblems {
		return nil
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return w.custom(n, t, path)
	}
	switch t.Kind() {
	case reflect.Struct:
		if s, ok := reflect.Zero(t).Interface().(Shorthand); ok && w.protobuf && n.Kind == yaml.ScalarNode {
			f := fieldsOf(t)[s.Shorthand()]
			return map[string]any{s.Shorthand(): w.value(n, f.Type, path)}
		}
		if n.Kind != yaml.MappingNode {
			return w.wrong(n, path, "a mapping", allowed(fieldsOf(t)))
		}
		return w.object(n, t, path, "")
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			return w.wrong(n, path, "a mapping", "")
		}
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			m[key] = w.value(n.Content[i+1], t.Elem(), Key(path, key))
		}
		return m
	case reflect.Slice:
		return w.list(n, t, path)
	case reflect.String:
		return w.text(n, path)
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.Tag != boolTag {
			suggestion := ""
			if n.Kind == yaml.ScalarNode && n.Style != 0 && resolve(n.Value) == boolTag {
				suggestion = "leave the quotes out: " + n.Value
			}
			return w.wrong(n, path, "true or false", suggestion)
		}
		return scalar(n)
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Int8, reflect.Int16:
		return w.number(n, path, t.Bits())
	case reflect.Float32, reflect.Float64:
		if n.Tag != intTag && n.Tag != floatTag {
			return w.wrong(n, path, "a number", "")
		}
	}
	return w.plain(n)
}

// custom asks the type's own decoder.
func (w *walker) custom(n *yaml.Node, t reflect.Type, path string) any {
	value := w.plain(n)
	if _, ok := w.substituted[n]; ok && n.Kind == yaml.ScalarNode && n.Tag != intTag {
		value = n.Value
	}
	data, err := json.Marshal(value)
	if err == nil && t == reflect.TypeFor[resource.Quantity]() {
		_, err = ParseQuantity(strings.Trim(string(data), `"`))
	}
	if err == nil {
		err = json.Unmarshal(data, reflect.New(t).Interface())
	}
	if err == nil {
		return value
	}
	if n.Kind != yaml.ScalarNode {
		return w.wrong(n, path, a(t.Name()), "")
	}
	hint := ""
	if t.Name() == "Quantity" {
		hint = `write a number with a unit: "500m", "2", "512Mi", "4Gi"`
	}
	w.problem(path, fmt.Sprintf("%s is not %s", w.shown(n), a(t.Name())), hint)
	return nil
}

// ParseQuantity is resource.ParseQuantity without its weakness: it, or the first use of what it returned, expands an exponent
// of nine digits (1e999999999) for minutes. The exponent may have two digits here, and the whole text 40 characters.
func ParseQuantity(text string) (resource.Quantity, error) {
	if len(text) > 40 {
		return resource.Quantity{}, resource.ErrFormatWrong
	}
	if _, exponent, ok := strings.Cut(strings.ToLower(text), "e"); ok && len(strings.TrimLeft(exponent, "+-0")) > 2 {
		return resource.Quantity{}, resource.ErrNumeric
	}
	return resource.ParseQuantity(text)
}

// a names a type of the API in words.
func a(name string) string {
	switch name {
	case "Quantity":
		return "a quantity"
	case "IntOrString":
		return "a number or a string"
	case "Time", "MicroTime":
		return "a time such as 2006-01-02T15:04:05Z"
	case "Duration":
		return "a duration such as 1h30m"
	}
	return "a " + name
}

func (w *walker) list(n *yaml.Node, t reflect.Type, path string) any {
	if t.Elem().Kind() == reflect.Uint8 {
		text, ok := w.text(n, path).(string)
		if _, err := base64.StdEncoding.DecodeString(text); ok && err != nil {
			w.problem(path, "is not base64", "write the plain value into stringData")
			return nil
		}
		return text
	}
	list := []any{}
	if k, ok := reflect.Zero(t).Interface().(Keyed); ok && w.protobuf && n.Kind == yaml.MappingNode {
		items := map[string]*yaml.Node{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			items[n.Content[i].Value] = n.Content[i+1]
		}
		for _, name := range slices.Sorted(maps.Keys(items)) {
			item, at := items[name], Key(path, name)
			one := map[string]any{}
			switch {
			case item.Kind == yaml.MappingNode:
				one = w.object(item, t.Elem(), at, k.Keyed())
			default:
				if m, ok := w.value(item, t.Elem(), at).(map[string]any); ok {
					one = m
				}
			}
			one[k.Keyed()] = name
			list = append(list, one)
		}
		return list
	}
	if n.Kind != yaml.SequenceNode {
		suggestion := "write one item a line, each behind \"- \""
		switch element := t.Elem(); {
		case n.Kind == yaml.ScalarNode && element.Kind() != reflect.String:
			suggestion = ""
		case n.Kind == yaml.ScalarNode && strings.HasPrefix(n.Value, "["):
			suggestion = "leave the quotes out"
		case n.Kind == yaml.ScalarNode && (strings.HasSuffix(path, ".command") || strings.HasSuffix(path, ".args")) && strings.ContainsAny(strings.TrimSpace(n.Value), " \n"):
			suggestion = CommandLine
		case element.Kind() == reflect.Struct && allowed(fieldsOf(element)) != "":
			suggestion += "; " + allowed(fieldsOf(element))
		}
		return w.wrong(n, path, "a list", suggestion)
	}
	for i, item := range n.Content {
		at := path + "[" + strconv.Itoa(i) + "]"
		if item.Tag == nullTag && item.Kind == yaml.ScalarNode {
			suggestion := "take the item out"
			if t.Elem().Kind() == reflect.String {
				suggestion += ", or write \"\" for empty text"
			}
			w.problem(at, "is empty", suggestion)
			continue
		}
		list = append(list, w.value(item, t.Elem(), at))
	}
	return list
}

// text takes strings only, as the API does. A variable's value is text even if it reads like a number.
func (w *walker) text(n *yaml.Node, path string) any {
	if _, ok := w.substituted[n]; ok {
		return n.Value
	}
	if n.Kind != yaml.ScalarNode {
		suggestion := ""
		if n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle == 0 {
			suggestion = `text that holds ": " needs quotes`
		}
		return w.wrong(n, path, "a string", suggestion)
	}
	if n.Tag != strTag {
		return w.wrong(n, path, "a string", "put it in quotes") // unshown: it may be a secret
	}
	return n.Value
}

func (w *walker) number(n *yaml.Node, path string, bits int) any {
	const want = "a whole number"
	var v any = n.Value
	if n.Kind == yaml.ScalarNode {
		v = scalar(n)
	}
	switch v := v.(type) {
	case int:
		if bits < 64 && (int64(v) > 1<<(bits-1)-1 || int64(v) < -1<<(bits-1)) {
			w.problem(path, fmt.Sprintf("%s is out of range: the largest number here is %d", w.shown(n), 1<<(bits-1)-1), "")
			return nil
		}
		return v
	case float64:
		if i := int64(v); float64(i) == v && i < 1<<53 && i > -1<<53 { // JSON does not tell 3.0 from 3
			return w.number(&yaml.Node{Kind: yaml.ScalarNode, Tag: intTag, Value: strconv.FormatInt(i, 10), Line: n.Line, Column: n.Column}, path, bits)
		}
		w.problem(path, fmt.Sprintf("%s is not a whole number of this size", w.shown(n)), "")
		return nil
	case uint64:
		w.problem(path, fmt.Sprintf("%s is out of range", w.shown(n)), "")
		return nil
	case string:
		if n.Kind != yaml.ScalarNode {
			break
		}
		_, variable := w.substituted[n]
		if !w.protobuf && !variable {
			suggestion := seconds(path, v)
			if _, err := strconv.Atoi(v); err == nil {
				suggestion = "leave the quotes out: " + v
			}
			return w.wrong(n, path, want, suggestion)
		}
		if i, err := strconv.Atoi(v); err == nil && strconv.Itoa(i) == v {
			return w.number(&yaml.Node{Kind: yaml.ScalarNode, Tag: intTag, Value: v, Line: n.Line, Column: n.Column}, path, bits)
		}
		w.problem(path, fmt.Sprintf("%s is not a whole number", w.shown(n)), seconds(path, v))
		return nil
	}
	return w.wrong(n, path, want, "")
}

// CommandLine is how words, and the line of a shell, become a command.
const CommandLine = `write one element for each word, or ["sh", "-c", "…"]`

// seconds is what to write where a field of that name has a duration such as 5m or 1d; "" elsewhere.
func seconds(path, text string) string {
	if !strings.Contains(path[strings.LastIndex(path, ".")+1:], "Seconds") {
		return ""
	}
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(min(max(n, 0), 10_000)) * 24 * time.Hour
	}
	if err != nil || d < time.Second || d%time.Second != 0 {
		return ""
	}
	return fmt.Sprintf("write %d", d/time.Second)
}

// field is one field of a struct by its JSON name.
type field struct {
	reflect.StructField
	name string
}

var structs sync.Map // reflect.Type to map[string]field

// fieldsOf collects the fields of a struct, those of inlined structs included (encoding/json's rule). The map is shared.
func fieldsOf(t reflect.Type) map[string]field {
	if known, ok := structs.Load(t); ok {
		return known.(map[string]field)
	}
	fields := map[string]field{}
	defer structs.Store(t, fields)
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name == "" && (f.Anonymous || strings.Contains(options, "inline")):
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			for name, f := range fieldsOf(inner) {
				fields[name] = f
			}
		case name != "":
			fields[name] = field{f, name}
		}
	}
	return fields
}

// object walks a struct. keyed is the field that the surrounding mapping's key has already given, "" without one.
func (w *walker) object(n *yaml.Node, t reflect.Type, path, keyed string) map[string]any {
	fields := fieldsOf(t)
	m := map[string]any{}
	given := map[string]*yaml.Node{}
	meant := map[string]bool{} // fields that an unknown one was probably meant to be: they are not missing too
	for i := 0; i+1 < len(n.Content) && len(w.findings) < maxProblems; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := key.Value
		if w.protobuf {
			name = lowerCamel(name)
		}
		at := Key(path, key.Value)
		f, known := fields[name]
		switch first := given[name]; {
		case !known || name == keyed:
			w.unknown(key, at, fields, keyed, meant)
			continue
		case first != nil:
			w.misplaced(key, at, fmt.Sprintf("is the same field as %s in line %d, column %d", event.Shorten(first.Value, 60), first.Line, first.Column), "keep one")
			continue
		}
		given[name] = key
		v := w.value(value, f.Type, at)
		if v == nil {
			if value.Tag != nullTag {
				meant[name] = true // it is wrong, and not missing too
			}
			continue
		}
		w.tags(value, f, v, at)
		m[name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f := fields[name]
		if v, ok := m[name]; f.Tag.Get("required") == "true" && (!ok || v == "") && !meant[name] && name != keyed {
			w.problem(Key(path, name), "is required", "")
		}
	}
	return m
}

// tags makes the checks of a field's struct tags.
func (w *walker) tags(n *yaml.Node, f field, v any, path string) {
	switch v := v.(type) {
	case string:
		if enum := f.Tag.Get("enum"); enum != "" && v != "" {
			words := strings.Split(enum, ",")
			if !slices.Contains(words, v) {
				w.problem(path, fmt.Sprintf("%s is not one of %s", w.shown(n), strings.Join(words, ", ")), didYouMean(Closest(v, words)))
			}
		}
	case int:
		if low, err := strconv.Atoi(f.Tag.Get("min")); err == nil && v < low {
			w.problem(path, fmt.Sprintf("%s is too small: %d is the least", w.shown(n), low), f.Tag.Get("hint"))
		}
		if high, err := strconv.Atoi(f.Tag.Get("max")); err == nil && v > high {
			w.problem(path, fmt.Sprintf("%s is too large: %d is the most", w.shown(n), high), f.Tag.Get("hint"))
		}
	}
}

// elsewhereCalled are the fields that go by another name in Dockerfiles, Compose files and workflows.
var elsewhereCalled = map[string]string{"entrypoint": "command", "cmd": "args", "environment": "env", "retries": "backoffLimit", "timeout": "activeDeadlineSeconds"}

// unknown is the finding about a field that the type does not have: a typo, a name in the wrong case, or a field that
// belongs elsewhere.
func (w *walker) unknown(key *yaml.Node, path string, fields map[string]field, keyed string, meant map[string]bool) {
	if keyed != "" {
		fields = maps.Clone(fields)
		delete(fields, keyed)
	}
	names := slices.Sorted(maps.Keys(fields))
	suggestion := allowed(fields)
	if near := cmp.Or(Closest(key.Value, names), elsewhereCalled[key.Value]); near != "" && slices.Contains(names, near) {
		meant[near] = true
		suggestion = didYouMean(near)
	} else if where := elsewhere(w.root, lowerCamel(key.Value)); where != "" {
		suggestion = "it belongs to " + where
	}
	w.misplaced(key, path, "is no known field here", suggestion)
}

// allowed lists the fields of a struct, unless there are too many to read.
func allowed(fields map[string]field) string {
	if len(fields) == 0 || len(fields) > 16 {
		return ""
	}
	return "there is " + strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
}

// elsewhere finds the field called name that is nearest to the top, and gives the path of its struct.
func elsewhere(root reflect.Type, name string) string {
	type place struct {
		t    reflect.Type
		path string
	}
	seen := map[reflect.Type]bool{root: true}
	for queue := []place{{root, ""}}; len(queue) > 0; queue = queue[1:] {
		here := queue[0]
		fields := fieldsOf(here.t)
		if _, ok := fields[name]; ok && here.path != "" {
			return here.path
		}
		for _, k := range slices.Sorted(maps.Keys(fields)) {
			if k == "status" || k == "metadata" && here.path != "" {
				continue
			}
			t, path := fields[k].Type, Key(here.path, k)
			for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
				if t.Kind() != reflect.Pointer {
					path += "[]"
				}
				t = t.Elem()
			}
			if t.Kind() == reflect.Struct && !seen[t] && !reflect.PointerTo(t).Implements(unmarshaler) {
				seen[t] = true
				queue = append(queue, place{t, path})
			}
		}
	}
	return ""
}

// Key is the path of the field called name below path; a name with dots or brackets stands in ["…"].
func Key(path, name string) string {
	switch {
	case name == "" || strings.ContainsAny(name, `.[]" `):
		return path + `["` + name + `"]`
	case path == "":
		return name
	}
	return path + "." + name
}

// Within tells whether a path is that of the parent or of something in it.
func Within(path, parent string) bool {
	rest, ok := strings.CutPrefix(path, parent)
	return ok && (rest == "" || parent == "" || rest[0] == '.' || rest[0] == '[')
}
