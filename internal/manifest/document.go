package manifest

import (
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Position is a place in a file, counted from 1.
type Position struct {
	File         string
	Line, Column int
}

// Document is one object of a manifest, never changed after Load. Name and Namespace are those of its metadata, "" where they
// are absent or no strings.
type Document struct {
	File       string // as the user named it
	APIVersion string
	Kind       string
	Name       string
	Namespace  string

	node        *yaml.Node            // a tree without aliases and merge keys; every key is a string
	substituted map[*yaml.Node]string // scalars with a variable replaced: their text before
	variables   map[string]*value     // those of the Load
}

// keys are the names of the fields at the top.
func (d *Document) keys() []string {
	var names []string
	for i := 0; i+1 < len(d.node.Content); i += 2 {
		names = append(names, d.node.Content[i].Value)
	}
	return names
}

// find gives the node at path.
func (d *Document) find(path string) (*yaml.Node, bool) {
	node, _, found := d.descend(path, nil)
	return node, found
}

// descend follows path as far as the document has it: the last node reached, what names it (its key, or itself), and
// whether that was the whole path. visit gets every key on the way.
func (d *Document) descend(path string, visit func(key *yaml.Node)) (node, label *yaml.Node, found bool) {
	node, label = d.node, d.node
	for path != "" {
		path = strings.TrimPrefix(path, ".")
		switch node.Kind {
		case yaml.MappingNode:
			key, value, rest := step(node, path)
			if value == nil {
				return node, label, false
			}
			if visit != nil {
				visit(key)
			}
			node, label, path = value, key, rest
		case yaml.SequenceNode:
			index, rest, ok := strings.Cut(strings.TrimPrefix(path, "["), "]")
			i, err := strconv.Atoi(index)
			if !ok || err != nil || i < 0 || i >= len(node.Content) {
				return node, label, false
			}
			node, path = node.Content[i], rest
			label = node
		default:
			return node, label, false
		}
	}
	return node, label, true
}

// step finds the field of a mapping that path begins with, the longest one where keys hold dots: labels.app.kubernetes.io/name
// is as good as labels[app.kubernetes.io/name] or labels["app.kubernetes.io/name"]. lowerCamelCase and snake_case are the same
// name, as in protobuf's JSON, unless the name is there itself.
func step(mapping *yaml.Node, path string) (key, value *yaml.Node, rest string) {
	if strings.HasPrefix(path, "[") {
		end := strings.Index(path, "]")
		if strings.HasPrefix(path, `["`) {
			if end = strings.Index(path, `"]`); end >= 0 {
				end++
			}
		}
		if end < 0 {
			return nil, nil, ""
		}
		name := strings.TrimPrefix(strings.TrimSuffix(path[1:end], `"`), `"`)
		for i := 0; i+1 < len(mapping.Content); i += 2 {
			if mapping.Content[i].Value == name {
				return mapping.Content[i], mapping.Content[i+1], path[end+1:]
			}
		}
		return nil, nil, ""
	}
	longest := -1
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		name := mapping.Content[i].Value
		after, ok := strings.CutPrefix(path, name)
		if ok && len(name) > longest && (after == "" || after[0] == '.' || after[0] == '[') {
			key, value, rest, longest = mapping.Content[i], mapping.Content[i+1], after, len(name)
		}
	}
	if value != nil {
		return key, value, rest
	}
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		end = len(path)
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if lowerCamel(mapping.Content[i].Value) == lowerCamel(path[:end]) {
			return mapping.Content[i], mapping.Content[i+1], path[end:]
		}
	}
	return nil, nil, ""
}

// lowerCamel is protobuf's JSON name of a field: foo_bar becomes fooBar.
func lowerCamel(name string) string {
	if !strings.Contains(name, "_") {
		return name
	}
	var b strings.Builder
	up := false
	for _, r := range name {
		switch {
		case r == '_':
			up = true
		case up:
			b.WriteRune(unicode.ToUpper(r))
			up = false
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Position is where the field at path stands, or its nearest ancestor that exists: a scalar's value, the name of anything
// else. Keys with dots may be written plainly (metadata.labels.example.com/a) or in brackets, with quotes or without.
func (d *Document) Position(path string) Position {
	node, label, found := d.descend(path, nil)
	if found && node.Kind == yaml.ScalarNode && node.Tag != nullTag {
		label = node
	}
	return Position{File: d.File, Line: label.Line, Column: label.Column}
}

// Has tells whether the document has a field at path, an empty one too.
func (d *Document) Has(path string) bool {
	_, found := d.find(path)
	return found
}

// Text is the scalar at path as text, "" and false where there is none or an empty one.
func (d *Document) Text(path string) (string, bool) {
	n, found := d.find(path)
	if !found || n.Kind != yaml.ScalarNode || n.Value == "" || n.Tag == nullTag || n.Tag == wrongTag {
		return "", false
	}
	return n.Value, true
}

// Fields are the names of the fields of the mapping at path, in the order of the file; nil where there is no mapping.
func (d *Document) Fields(path string) []string {
	n, found := d.find(path)
	if !found || n.Kind != yaml.MappingNode {
		return nil
	}
	return (&Document{node: n}).keys()
}

// Finding is a finding about the field at path. Where its words are the value of a variable, they become ${NAME} again: the
// value may be a secret.
func (d *Document) Finding(level event.Level, path, message, suggestion string) event.Finding {
	p := d.Position(path)
	// The manifest's own words in them may be long.
	return event.Finding{Level: level, File: p.File, Line: p.Line, Column: p.Column, Path: event.Shorten(d.originalPath(path), 300),
		Message: event.Shorten(d.Original(path, message), 1000), Suggestion: event.Shorten(d.Original(path, suggestion), 500)}
}

// Original is a text about the field at path as the user wrote it: what is the value of a variable becomes ${NAME} again. A value that
// looks like a credential does so wherever it stands.
func (d *Document) Original(path, text string) string {
	for name, v := range d.variables {
		if v.used && v.credential {
			text = replaced(text, v.value, "${"+name+"}")
		}
	}
	if len(d.substituted) == 0 {
		return text
	}
	var keys []*yaml.Node
	n, _, _ := d.descend(path, func(key *yaml.Node) { keys = append(keys, key) })
	seen := map[*yaml.Node]bool{}
	var below func(n *yaml.Node)
	below = func(n *yaml.Node) {
		if seen[n] {
			return
		}
		seen[n] = true
		if was, ok := d.substituted[n]; ok {
			text = replaced(text, n.Value, was)
		}
		for _, child := range n.Content {
			below(child)
		}
	}
	for _, key := range keys {
		below(key)
	}
	below(n)
	return text
}

// originalPath is a path without the values of variables in its keys.
func (d *Document) originalPath(path string) string {
	original := path
	d.descend(path, func(key *yaml.Node) {
		if was, ok := d.substituted[key]; ok {
			original = replaced(original, key.Value, was)
		}
	})
	return original
}

// replaced puts was in the place of value: as it is, in quotes, in small letters, and where it was cut off. Other words may hold a very
// short one.
func replaced(text, value, was string) string {
	const least = 4 // bytes
	inQuotes := strconv.Quote(value)
	inside, forms := inQuotes[1:len(inQuotes)-1], []string{}
	pairs := []string{strconv.Quote(was), strconv.Quote(was), was, was, inQuotes, strconv.Quote(was)} // what is replaced already holds the value perhaps
	for _, form := range []string{value, inside, strings.ToLower(value)} {
		if len(form) >= least {
			forms, pairs = append(forms, form), append(pairs, form, was)
		}
	}
	text = strings.NewReplacer(pairs...).Replace(text)
	for _, form := range forms {
		for at := 0; ; {
			i := strings.Index(text[at:], event.Ellipsis)
			if i < 0 {
				break
			}
			at += i
			for n := min(at, len(form)-1); n >= least; n-- {
				if strings.HasSuffix(text[:at], form[:n]) {
					text = text[:at-n] + was + text[at:]
					at += len(was) - n
					break
				}
			}
			at += len(event.Ellipsis)
		}
	}
	return text
}

// Map is the document as JSON-like values, for an unstructured object: map[string]any, []any, string, bool, int64, float64
// and nil. It is a copy.
func (d *Document) Map() map[string]any {
	m, _ := d.plain(d.node).(map[string]any)
	return m
}

func (d *Document) plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = d.plain(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = d.plain(item)
		}
		return list
	}
	switch v := scalar(n).(type) {
	case int:
		return int64(v)
	case uint64: // unstructured objects know no larger numbers (apimachinery, runtime.DeepCopyJSONValue)
		return float64(v)
	default:
		return v
	}
}

// shown is a scalar's text for messages: what the user wrote, since a variable's value may be a secret.
func (d *Document) shown(n *yaml.Node) string {
	text := n.Value
	if was, ok := d.substituted[n]; ok {
		text = was
	}
	if n.Tag == intTag || n.Tag == floatTag {
		return event.Shorten(text, 60)
	}
	return strconv.Quote(event.Shorten(text, 60))
}
