package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// maxDepth is how deep lists and mappings may be nested. The deepest field of the Kubernetes API is at 20 or so; a custom
// resource's schema is at 60.
const maxDepth = 200

// maxAliases is how many fields all aliases of one Load may stand for together.
const maxAliases = 100_000

// maxProblems is how many problems of one document are looked for: as many as are told, and one more that shows that there are more.
const maxProblems = event.MaxFindings + 1

// The tags of yaml.Node that a document of ours can have.
const (
	nullTag  = "!!null"
	boolTag  = "!!bool"
	intTag   = "!!int"
	floatTag = "!!float"
	strTag   = "!!str"
	mergeTag = "!!merge"
	wrongTag = "!wrong" // a scalar that has its finding already
)

// parse turns a file into its documents.
func (r *reader) parse(f file, substitute bool) []*Document {
	text := bytes.TrimPrefix(f.text, []byte("\ufeff"))
	text = bytes.ReplaceAll(text, []byte("\n\ufeff"), []byte("\n")) // of files that were put together
	if problem, at := unreadableText(text); problem != "" {
		r.at(f.name, text, at, problem, "")
		return nil
	}
	if r.budget.nodes -= structure(text); r.budget.nodes < 0 {
		r.tooMany(f.name)
		return nil
	}
	if r.foreign(f.name, text) {
		return nil
	}
	parts, isJSON := [][]byte{text}, bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{"))
	if isJSON {
		parts = objects(text)
		if r.budget.nodes -= 10 * len(parts); r.budget.nodes < 0 {
			r.tooMany(f.name)
			return nil
		}
	}
	var documents []*Document
	before, lines, columns := len(r.findings), 0, 0
	r.empty = false
	for _, part := range parts {
		readable := part
		if isJSON {
			readable = joinSurrogates(part)
		}
		decoder := yaml.NewDecoder(bytes.NewReader(readable))
		for {
			var root yaml.Node
			err := decoder.Decode(&root)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				r.syntax(f.name, readable, err)
				return documents
			}
			move(&root, lines, columns)
			if len(root.Content) == 1 && root.Content[0].Tag != nullTag {
				documents = append(documents, r.documents(f.name, root.Content[0], substitute)...)
			}
		}
		lines += bytes.Count(part, []byte("\n"))
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			part, columns = part[i+1:], 0
		}
		columns += utf8.RuneCount(part)
	}
	if r.empty && len(documents) == 0 && len(r.findings) == before {
		r.add(event.Finding{Level: event.Error, File: f.name, Message: "the file holds a List without items", Suggestion: "has kubectl get found nothing?"})
	}
	if len(documents) == 0 && len(r.findings) == before {
		suggestion := "a manifest begins with apiVersion and kind"
		if f.piped {
			suggestion += "; has the command before the pipe failed?"
		}
		r.add(event.Finding{Level: event.Error, File: f.name, Message: "the file is empty: it holds no document", Suggestion: suggestion})
	}
	return documents
}

var (
	// unrendered is what a template engine would have replaced, where YAML makes no sense of it: at the start of a line, or as a value.
	unrendered = regexp.MustCompile(`(?m)^[ \t]*(?:\{\{|\{%|\{#|%\{|<%)|^[^#'"\n|>]*[:=-][ \t]+[^#'"\n]*(?:\{\{[^\n]*\}\}|\{%[^\n]*%\}|<%[^\n]*%>)`)
	braces     = regexp.MustCompile(`\{\{|\{%|\{#|%\{|<%`)
)

// template is the finding about a template that nobody has rendered, instead of all that YAML would make of it. Text in quotes and comments
// may hold such braces, and so may the lines of a script, so that they alone make none.
func (r *reader) template(name string, text []byte) bool {
	m := unrendered.FindIndex(text)
	if m == nil {
		return false
	}
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var root yaml.Node
		err := decoder.Decode(&root)
		if errors.Is(err, io.EOF) {
			return false
		}
		if err != nil || placeholder(&root) {
			break
		}
	}
	r.at(name, text, m[0]+braces.FindIndex(text[m[0]:m[1]])[0], "this is a template that nobody has rendered",
		"render it first: helm template … | kubernetes-job-action --manifest -; or write ${NAME} and list the names in substitute")
	return true
}

// placeholder tells whether a mapping is the name of a field, which is how YAML reads {{ NAME }}, or whether plain text holds <%= NAME %>.
func placeholder(n *yaml.Node) bool {
	if n.Kind == yaml.ScalarNode && n.Style == 0 && strings.Contains(n.Value, "<%") && strings.Contains(n.Value, "%>") {
		return true
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && child.Kind == yaml.MappingNode || placeholder(child) {
			return true
		}
	}
	return false
}

// at is a finding about the byte at offset.
func (r *reader) at(name string, text []byte, offset int, message, suggestion string) {
	line := 1 + bytes.Count(text[:offset], []byte("\n"))
	column := 1 + utf8.RuneCount(text[bytes.LastIndexByte(text[:offset], '\n')+1:offset])
	r.add(event.Finding{Level: event.Error, File: name, Line: line, Column: column, Message: message, Suggestion: suggestion})
}

// node is a finding about a node of the file.
func (r *reader) node(name string, n *yaml.Node, path, message, suggestion string) {
	r.add(event.Finding{Level: event.Error, File: name, Line: n.Line, Column: n.Column, Path: path, Message: message, Suggestion: suggestion})
}

// unreadableText tells what is not text, and where.
func unreadableText(text []byte) (problem string, offset int) {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return "this is UTF-16; save the file as UTF-8", 0
	}
	if i := bytes.IndexByte(text, 0); i >= 0 {
		return "this is not text: it holds a NUL byte", i
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return fmt.Sprintf("the byte 0x%02x is not UTF-8; save the file as UTF-8", text[i]), i
		}
		i += size
	}
	return "", 0
}

// structure is an upper bound, within a factor of two, for the nodes that text can become: a field or an item needs one of
// these. A document costs as much as ten of them.
func structure(text []byte) int {
	return bytes.Count(text, []byte(":")) + bytes.Count(text, []byte(",")) + bytes.Count(text, []byte("[")) + bytes.Count(text, []byte("{")) +
		bytes.Count(text, []byte("- ")) + bytes.Count(text, []byte("-\n")) + bytes.Count(text, []byte("? ")) + 10*bytes.Count(text, []byte("---"))
}

func (r *reader) tooMany(name string) {
	r.add(event.Finding{Level: event.Error, File: name, Message: fmt.Sprintf("the manifest has more than %d fields, which is more than one run can need", maxNodes)})
}

// objects are the parts of a text that is one JSON object after another, which YAML does not know and kubectl reads
// (apimachinery, pkg/util/yaml, YAMLOrJSONDecoder). Any other text is one part.
func objects(text []byte) [][]byte {
	var parts [][]byte
	decoder := json.NewDecoder(bytes.NewReader(text))
	for done := 0; ; {
		var object json.RawMessage
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) && len(parts) > 0 {
			return parts
		}
		if err != nil || object[0] != '{' {
			return [][]byte{text}
		}
		end := int(decoder.InputOffset())
		parts = append(parts, text[done:end])
		done = end
	}
}

// move puts a node of a text where it stands behind that many lines, and in its first line behind that many columns.
func move(n *yaml.Node, lines, columns int) {
	if n.Line == 1 {
		n.Column += columns
	}
	n.Line += lines
	for _, child := range n.Content {
		move(child, lines, columns)
	}
}

var surrogates = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`)

// joinSurrogates rewrites the one thing of JSON that YAML does not have: a character as a pair of UTF-16 surrogates.
func joinSurrogates(text []byte) []byte {
	return surrogates.ReplaceAllFunc(text, func(pair []byte) []byte {
		high, _ := strconv.ParseUint(string(pair[2:6]), 16, 32)
		low, _ := strconv.ParseUint(string(pair[8:12]), 16, 32)
		return fmt.Appendf(nil, `\U%08X`, 0x10000+(high-0xd800)<<10+(low-0xdc00))
	})
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntax is the finding for what the YAML library refuses.
//
// The library names the line where the surrounding list or mapping begins, or the one before it, or none (decode.go,
// parser.fail). The line meant is the first one with which the text so far gives the same error.
func (r *reader) syntax(name string, text []byte, err error) {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		m = []string{"", "", err.Error()}
	}
	line, _ := strconv.Atoi(m[1])
	lines := bytes.SplitAfter(text, []byte("\n"))
	line = min(max(line, 1), len(lines))
	length := 0
	for _, l := range lines[:line-1] {
		length += len(l)
	}
	const patience = 1 << 20 // bytes read again
	work := 0
	for i := line; i <= len(lines) && work < patience; i++ {
		length += len(lines[i-1])
		work += length
		if sameError(text[:length], m[2]) {
			line = i
			break
		}
	}
	at := lines[line-1]
	trimmed := bytes.TrimLeft(at, " \t")
	column := 1 + len(at) - len(trimmed)
	message, suggestion := m[2], ""
	switch indent := at[:len(at)-len(trimmed)]; {
	case bytes.ContainsRune(indent, '\t') && (strings.Contains(message, "cannot start any token") || strings.Contains(message, "tab character")):
		message, suggestion = "the line is indented with a tab, which YAML does not allow", "indent with spaces"
		column = 1 + bytes.IndexByte(indent, '\t')
	case strings.Contains(message, "exceeded max depth"):
		message = fmt.Sprintf("lists and mappings are nested deeper than %d levels", maxDepth)
	case strings.Contains(message, "did not find expected key"):
		suggestion = "look at the indentation and at quotes in this line and the one before"
	case strings.Contains(message, "mapping values are not allowed"):
		suggestion = `text that holds ": " needs quotes; a nested field needs a line of its own`
	case strings.Contains(message, "unknown anchor"):
		suggestion = "text that begins with * needs quotes"
	case strings.Contains(message, "cannot start any token") && gap.Match(at):
		suggestion = Unfilled(gap.FindString(string(at)))
	case strings.Contains(message, "cannot start any token"):
		suggestion = `text that begins with a special character (@ % and the like) needs quotes`
	}
	if at := noBreak.FindIndex(text); at != nil && bytes.Count(text[:at[0]], []byte("\n")) < line { // to YAML it is a letter like any other
		r.at(name, text, at[1]-len("\u00a0"), "this is not YAML: the line is indented with no-break spaces, as text from a web page is", "indent with spaces")
		return
	}
	r.add(event.Finding{Level: event.Error, File: name, Line: line, Column: column, Message: "this is not YAML: " + Unquoted(message), Suggestion: suggestion})
}

var noBreak = regexp.MustCompile(`(?m)^[ \t]*\x{a0}`)

func sameError(text []byte, message string) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var root yaml.Node
		if err := decoder.Decode(&root); err != nil {
			m := yamlLine.FindStringSubmatch(err.Error())
			return m != nil && m[2] == message
		}
	}
}

// documents makes the documents of one YAML document: one, or the items of a List.
func (r *reader) documents(name string, node *yaml.Node, substitute bool) []*Document {
	if r.misfit(name, node) {
		return nil
	}
	d := &Document{File: name, substituted: map[*yaml.Node]string{}, variables: r.variables}
	c := cleaner{reader: r, document: d, substitute: substitute, sizes: map[*yaml.Node]size{}, aliases: maxAliases}
	d.node = c.clean(node)
	found := collector{secrets: r.secrets, document: d, variables: r.variables, seen: map[*yaml.Node]bool{}}
	found.object(d.node)
	r.secrets = found.secrets
	if c.fatal || c.unset {
		return nil
	}
	return r.objects(d, 0)
}

const isRequired = "is required: every document says its apiVersion and kind"

// objects flattens a List. depth stops a List of Lists of Lists.
func (r *reader) objects(d *Document, depth int) []*Document {
	fail := func(path, message, suggestion string) []*Document {
		r.add(d.Finding(event.Error, path, message, suggestion))
		return nil
	}
	if d.node.Kind != yaml.MappingNode {
		suggestion := ""
		if d.node.Kind == yaml.SequenceNode {
			suggestion = "write each item as a document of its own, with --- between them, or all as items of kind: List"
		}
		return fail("", fmt.Sprintf("a document must be a mapping with apiVersion and kind, not %s", kindOf(d.node)), suggestion)
	}
	for _, f := range []struct {
		path string
		into *string
		must bool
	}{{"apiVersion", &d.APIVersion, true}, {"kind", &d.Kind, true}, {"metadata.name", &d.Name, false}, {"metadata.namespace", &d.Namespace, false}} {
		n, found := d.find(f.path)
		switch {
		case found && n.Tag == strTag && (n.Value != "" || !f.must):
			*f.into = n.Value
		case !f.must, found && n.Tag == wrongTag:
		case !found || n.Tag == nullTag || n.Tag == strTag:
			return fail(f.path, isRequired, d.nameless(f.path))
		default:
			return fail(f.path, fmt.Sprintf("must be a string, not %s", kindOf(n)), "")
		}
	}
	switch group, _, _ := strings.Cut(d.APIVersion, "/"); {
	case group == "kustomize.config.k8s.io":
		return fail("kind", kustomization, renders("kubectl kustomize", "FOLDER"))
	case d.APIVersion == "v1" && d.Kind == "Config": // no object of a cluster
		return fail("kind", "this is a kubeconfig and no manifest", "it is the option kubeconfig that takes it")
	}
	items, found := d.find("items")
	if !strings.HasSuffix(d.Kind, "List") || !found || items.Kind != yaml.SequenceNode {
		return []*Document{d}
	}
	if depth == 3 {
		return fail("items", "lists are nested too deep", "")
	}
	r.empty = r.empty || len(items.Content) == 0
	var documents []*Document
	for _, n := range items.Content {
		if kind := strings.TrimSuffix(d.Kind, "List"); kind != "" {
			typed(n, d.APIVersion, kind)
		}
		documents = append(documents, r.objects(&Document{File: d.File, node: n, substituted: d.substituted, variables: d.variables}, depth+1)...)
	}
	return documents
}

// typed gives an item of a typed list, such as a JobList, the kind that it leaves out (apimachinery,
// pkg/apis/meta/v1/unstructured, unstructuredJSONScheme).
func typed(n *yaml.Node, apiVersion, kind string) {
	item := &Document{node: n}
	if n.Kind != yaml.MappingNode || item.Has("kind") {
		return
	}
	for _, field := range [][2]string{{"kind", kind}, {"apiVersion", apiVersion}} {
		if !item.Has(field[0]) {
			for _, text := range field {
				n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: strTag, Value: text, Line: n.Line, Column: n.Column})
			}
		}
	}
}

// size is what a node stands for with its aliases expanded: fields, levels, and the length of their texts.
type size struct{ nodes, height, bytes int }

// cleaner makes the tree that the rest of the package reads: no aliases, no merge keys, text as keys, tags as kubectl reads
// them, variables replaced. An aliased node is shared, not copied: it keeps the place where it was written.
type cleaner struct {
	*reader
	document   *Document
	substitute bool
	sizes      map[*yaml.Node]size // of what is clean; zero while it is being cleaned
	aliases    int                 // what is left of maxAliases
	problems   int
	fatal      bool // the tree cannot be used
	unset      bool // a variable is not set: what the tree says about its field would be beside the point
}

func (c *cleaner) problem(n *yaml.Node, message, suggestion string) {
	if c.problems++; c.problems > maxProblems {
		c.fatal = true
		return
	}
	c.add(event.Finding{Level: event.Error, File: c.document.File, Line: n.Line, Column: n.Column, Message: event.Shorten(message, 1000), Suggestion: event.Shorten(suggestion, 500)})
}

// stop is a problem that makes the tree useless. The first one is enough.
func (c *cleaner) stop(n *yaml.Node, message, suggestion string) *yaml.Node {
	if !c.fatal {
		c.problem(n, message, suggestion)
	}
	c.fatal = true
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: nullTag, Line: n.Line, Column: n.Column}
}

func (c *cleaner) clean(n *yaml.Node) *yaml.Node {
	if c.fatal {
		return n
	}
	if n.Kind == yaml.AliasNode {
		done, ok := c.sizes[n.Alias]
		switch {
		case ok && done.height == 0:
			return c.stop(n, "the alias stands inside of what it stands for", "")
		case !ok: // a key's anchor
			return c.clean(n.Alias)
		}
		if c.aliases -= done.nodes; c.aliases < 0 {
			return c.stop(n, fmt.Sprintf("the aliases of this file stand for more than %d fields", maxAliases), "write the fields out")
		}
		if !c.hold(done.bytes) {
			return c.stop(n, "with its aliases written out, "+tooLarge, "")
		}
		return n.Alias
	}
	c.sizes[n] = size{}
	s := size{nodes: 1, height: 1}
	add := func(child *yaml.Node) {
		s.nodes += c.sizes[child].nodes
		s.bytes += c.sizes[child].bytes
		s.height = max(s.height, c.sizes[child].height+1)
	}
	switch n.Kind {
	case yaml.ScalarNode:
		c.scalar(n)
		s.bytes = len(n.Value)
	case yaml.SequenceNode:
		c.tag(n, "!!seq")
		for i, item := range n.Content {
			n.Content[i] = c.clean(item)
			add(n.Content[i])
		}
	case yaml.MappingNode:
		c.tag(n, "!!map")
		c.mapping(n)
		for _, child := range n.Content {
			add(child)
		}
	}
	if s.height > maxDepth {
		return c.stop(n, fmt.Sprintf("lists and mappings are nested deeper than %d levels", maxDepth), "")
	}
	c.sizes[n] = s
	return n
}

func (c *cleaner) tag(n *yaml.Node, allowed ...string) {
	if n.Tag != "!" && !slices.Contains(allowed, n.Tag) {
		c.problem(n, "the tag (what begins with !) is not supported", "leave it out; text that begins with ! needs quotes") // unshown: it may be a secret
		n.Tag = wrongTag
	}
}

// mapping cleans keys and values, merges what << names (an explicit field wins, then the first of several), and refuses
// fields that are given twice.
func (c *cleaner) mapping(n *yaml.Node) {
	var pairs, merges []*yaml.Node
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		merge := key.Kind == yaml.ScalarNode && key.Tag == mergeTag && key.Style == 0
		if !merge {
			key = c.key(key)
		}
		if earlier := first[key.Value]; earlier != nil {
			c.problem(key, fmt.Sprintf("the field %s is given twice: first in line %d, column %d", c.document.shown(key), earlier.Line, earlier.Column), "")
			c.clean(value)
			continue
		}
		first[key.Value] = key
		value = c.clean(value)
		switch {
		case !merge:
			pairs = append(pairs, key, value)
		case value.Kind == yaml.SequenceNode:
			merges = append(merges, value.Content...)
		default:
			merges = append(merges, value)
		}
	}
	for _, m := range merges {
		if m.Kind != yaml.MappingNode {
			c.problem(m, "<< merges mappings, not "+kindOf(m), "")
			continue
		}
		for i := 0; i+1 < len(m.Content); i += 2 {
			if key := m.Content[i]; first[key.Value] == nil {
				first[key.Value] = key
				pairs = append(pairs, key, m.Content[i+1])
			}
		}
	}
	n.Content = pairs
}

// key makes a key text. kubectl makes text of other scalars too (sigs.k8s.io/yaml, convertToJSONableObject), and then "on"
// becomes "true": that is refused.
func (c *cleaner) key(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
		if !c.hold(len(n.Value)) {
			return c.stop(n, "with its aliases written out, "+tooLarge, "")
		}
	}
	if n.Kind != yaml.ScalarNode {
		c.problem(n, "a field's name must be text, not "+kindOf(n), `text that begins with { or [ needs quotes`)
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: strTag, Line: n.Line, Column: n.Column}
	}
	if _, ok := c.sizes[n]; !ok {
		c.scalar(n)
		if n.Tag != strTag {
			if read := fmt.Sprint(scalar(n)); n.Tag == nullTag || read != n.Value {
				shown := strings.Trim(c.document.shown(n), `"`)
				c.problem(n, fmt.Sprintf(`the field's name "%s" is read as %s`, shown, kindOf(n)), fmt.Sprintf(`quote it: "%s"`, shown))
			}
			n.Tag = strTag
		}
		c.sizes[n] = size{nodes: 1, height: 1, bytes: len(n.Value)}
	}
	return n
}

// variableOnly is a name that can stand for an environment variable.
var variableOnly = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reference is a $NAME or ${NAME} in a text: where it begins and ends, and its NAME.
type reference struct {
	from, to int
	name     string
}

// references goes through those of a text, as a shell would, but for $$NAME: there the first $ is an escape, of the shell's and of Kubernetes'.
func references(text string) iter.Seq[reference] {
	return func(yield func(reference) bool) {
		for at := 0; ; {
			i := strings.IndexByte(text[at:], '$')
			if i < 0 {
				return
			}
			from := at + i
			at = from + 1
			begin := at
			inBraces := strings.HasPrefix(text[at:], "{")
			if inBraces {
				begin++
			}
			end := begin
			for end < len(text) && (text[end] == '_' || 'A' <= text[end] && text[end] <= 'Z' || 'a' <= text[end] && text[end] <= 'z' || end > begin && '0' <= text[end] && text[end] <= '9') {
				end++
			}
			to := end
			if inBraces {
				to++
			}
			switch {
			case end == begin, inBraces && !strings.HasPrefix(text[end:], "}"), !inBraces && from > 0 && text[from-1] == '$':
				continue
			}
			if at = to; !yield(reference{from, to, text[begin:end]}) {
				return
			}
		}
	}
}

// scalar replaces variables and gives the node the tag that kubectl would find. Variables are replaced in the scalar's value,
// after parsing: no value of a variable can add a field.
func (c *cleaner) scalar(n *yaml.Node) {
	if c.substitute && strings.Contains(n.Value, "$") {
		c.replace(n)
	}
	switch {
	case n.Tag == strTag && n.Style == 0 && isBool(n.Value):
		n.Tag = boolTag
	case n.Tag == "!!timestamp", n.Tag == "!", n.Tag == mergeTag:
		n.Tag = strTag
	}
	c.tag(n, nullTag, boolTag, intTag, floatTag, strTag)
	var value any
	if n.Style&yaml.TaggedStyle != 0 && n.Tag != strTag && n.Decode(&value) != nil {
		c.problem(n, fmt.Sprintf("the value is not %s, as its tag says", kindOf(n)), "leave the tag out") // unshown: it may be a secret
		n.Tag = wrongTag
	}
	if f, ok := scalar(n).(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		c.problem(n, fmt.Sprintf("%s is no number that JSON has", c.document.shown(n)), "quote it if it is text")
		n.Tag = wrongTag
	}
}

// replace puts the values of variables into a scalar, unless the text would become larger than the budget.
func (c *cleaner) replace(n *yaml.Node) {
	was, added := n.Value, 0
	for ref := range references(was) {
		v := c.variables[ref.name]
		if v == nil {
			continue
		}
		v.used = true
		if !v.set {
			c.problem(n, fmt.Sprintf("the environment variable %s of %s is not set", ref.name, was[ref.from:ref.to]), "set it, or take it out of substitute")
			c.unset = true
		}
		added += len(v.value) - (ref.to - ref.from)
	}
	if !c.hold(added) {
		c.stop(n, "with its variables replaced, "+tooLarge, "")
		return
	}
	var b strings.Builder
	b.Grow(len(was) + added)
	done := 0
	for ref := range references(was) {
		if v := c.variables[ref.name]; v != nil {
			b.WriteString(was[done:ref.from])
			b.WriteString(v.value)
			done = ref.to
		}
	}
	b.WriteString(was[done:])
	if n.Value = b.String(); n.Value == was {
		return
	}
	c.document.substituted[n] = was
	if n.Style == 0 && n.Tag == strTag {
		n.Tag = resolve(n.Value)
	}
}

// resolve is the tag of a plain scalar.
func resolve(value string) string {
	n := yaml.Node{Kind: yaml.ScalarNode, Value: value}
	switch tag := n.ShortTag(); tag {
	case "!!timestamp", mergeTag:
		return strTag
	default:
		return tag
	}
}

// isBool tells whether a plain scalar is one of YAML 1.1's booleans that YAML 1.2 dropped.
func isBool(value string) bool {
	switch value {
	case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF":
		return true
	}
	return false
}

// scalar is the value of a scalar: nil, bool, int, int64, uint64, float64 or string.
func scalar(n *yaml.Node) any {
	switch n.Tag {
	case nullTag:
		return nil
	case boolTag:
		return slices.Contains([]string{"y", "yes", "on", "true"}, strings.ToLower(n.Value))
	case intTag, floatTag:
		plain := yaml.Node{Kind: yaml.ScalarNode, Tag: n.Tag, Value: n.Value}
		var v any
		if plain.Decode(&v) == nil {
			return v
		}
	}
	return n.Value
}

// kindOf names what a node is, for messages.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case nullTag:
		return "empty"
	case boolTag:
		return "a boolean"
	case intTag, floatTag:
		return "a number"
	}
	return "a string"
}
