package manifest

import (
	"encoding/base64"
	"encoding/json"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// collector gathers the secret values of a document: what a Secret holds, and what a KubernetesJob has below spec.env.secrets.
// It reads the tree and no decoded object: a value in the wrong place is a secret too.
type collector struct {
	secrets   []event.Secret
	parts     map[event.Secret]bool // those among them that are parts of a value
	document  *Document
	variables map[string]*value
	seen      map[*yaml.Node]bool // aliases share nodes, and a tree that could not be cleaned may hold itself
}

// object adds the secrets of an object, and of a List's items.
func (c *collector) object(n *yaml.Node) {
	if n == nil || c.seen[n] {
		return
	}
	c.seen[n] = true
	kind, name := letters(text(child(n, "kind"))), text(child(child(n, "metadata"), "name"))
	switch {
	case kind == "secret", child(n, "stringData") != nil:
		for key, value := range pairs(n) {
			switch key.Value {
			case "apiVersion", "kind", "metadata", "type", "immutable":
			default:
				c.values(value, origin{key: key.Value, of: " of Secret " + name, encoded: key.Value == "data"})
			}
		}
	case kind == "kubernetesjob":
		c.values(child(child(child(n, "spec"), "env"), "secrets"), origin{declared: true})
	}
	if items := child(n, "items"); items != nil {
		for _, item := range items.Content {
			c.object(item)
		}
	}
}

// origin says where a value stands.
type origin struct {
	key      string
	of       string // the Secret in words, "" for a KubernetesJob
	encoded  bool   // it is base64
	declared bool   // it is a credential, whatever it looks like
}

func (o origin) name() string {
	if o.of == "" {
		return Key("spec.env.secrets", o.key)
	}
	return "key " + o.key + o.of
}

// values adds all scalars below n.
func (c *collector) values(n *yaml.Node, at origin) {
	if n == nil || c.seen[n] {
		return
	}
	c.seen[n] = true
	switch n.Kind {
	case yaml.ScalarNode:
		c.scalar(n, at)
	case yaml.SequenceNode:
		for _, item := range n.Content {
			if name := text(child(item, "name")); name != "" {
				at.key = name
			}
			c.values(item, at)
		}
	case yaml.MappingNode:
		for key, value := range pairs(n) {
			below := at
			switch name := lowerCamel(key.Value); {
			case at.declared && (name == "secretRef" || name == "valueFrom" || name == "name"):
				continue
			case at.declared && name == "value":
			default:
				below.key = key.Value
			}
			if value.Kind == yaml.ScalarNode && value.Value == "" && event.LooksSecret(key.Value) { // {password}
				c.scalar(key, below)
			}
			c.values(value, below)
		}
	}
}

func (c *collector) scalar(n *yaml.Node, at origin) {
	if decoded, err := base64.StdEncoding.DecodeString(n.Value); err == nil && at.encoded {
		if harmless(at.key, string(decoded)) && !at.declared {
			return
		}
		c.add(at.name(), at.key, n.Value, at.declared)
		c.add(at.name(), at.key, string(decoded), at.declared)
	} else {
		c.add(at.name(), at.key, n.Value, at.declared)
	}
	for ref := range references(c.document.substituted[n]) {
		if v := c.variables[ref.name]; v != nil && !v.secret {
			v.secret = true
			c.add("variable "+ref.name, ref.name, v.value, at.declared)
		}
	}
}

// plainNames are the last words of names under which a Secret holds what is none, beside its password: masks of such words would damage
// the log, and hide nothing that others do not know.
var plainNames = map[string]bool{"user": true, "username": true, "host": true, "hostname": true, "server": true, "port": true, "database": true, "db": true, "dbname": true, "schema": true,
	"name": true, "loglevel": true, "level": true, "region": true, "zone": true, "scheme": true, "protocol": true, "sslmode": true, "timezone": true, "tz": true, "locale": true, "lang": true,
	"driver": true, "adapter": true, "dialect": true, "environment": true, "env": true, "version": true, "url": true, "uri": true, "endpoint": true, "bucket": true, "namespace": true,
	"cluster": true, "domain": true, "email": true, "debug": true, "type": true}

// camel is where a word ends in a name without separators: dbHost.
var camel = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// harmless tells whether a value is an ordinary word, number or address, under a name that promises nothing else.
func harmless(key, value string) bool {
	words := strings.FieldsFunc(camel.ReplaceAllString(key, "${1}_${2}"), func(r rune) bool { return r == '_' || r == '-' || r == '.' })
	return len(words) > 0 && plainNames[strings.ToLower(words[len(words)-1])] && !event.SecretName(key) && !event.LooksSecret(value) && !strings.ContainsAny(strings.TrimSpace(value), "\r\n{[")
}

// add adds the value of a key. Of one that holds several, only those are secrets, and credentials, that look like it or are called so.
func (c *collector) add(name, key, value string, declared bool) {
	trimmed := strings.TrimSpace(value)
	var document any
	secret := event.Secret{Name: name, Value: value}
	switch {
	case value == "":
	case declared:
		secret.Credential = true
		c.secrets = append(c.secrets, secret)
	case (strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[")) && json.Unmarshal([]byte(trimmed), &document) == nil:
		secret.Whole = true
		c.secrets = append(c.secrets, secret)
		c.leaves(name, event.SecretName(key), document)
	case strings.ContainsAny(trimmed, "\r\n"):
		secret.Whole = !event.SecretName(key)
		c.secrets = append(c.secrets, secret)
		c.lines(name, trimmed)
	case !harmless(key, value):
		secret.Credential = event.LooksSecret(trimmed)
		secret.Word = !secret.Credential && !event.SecretName(key)
		c.secrets = append(c.secrets, secret)
	}
}

// assignment is a line of a configuration: a name and its value, as a shell, a properties file, YAML or JSON has it.
var assignment = regexp.MustCompile(`^(?:export\s+)?["']?([\w.-]+)["']?\s*[:=]\s*["']?(.*?)["',;]*$`)

// lines adds what is secret in a text of several lines: what looks like a credential, what is called so, and the lines of a PEM block.
func (c *collector) lines(name, text string) {
	block := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "-----") {
			block = strings.HasPrefix(line, "-----BEGIN ")
			continue
		}
		if m := assignment.FindStringSubmatch(line); block {
			c.part(name, line, true)
		} else if m != nil && event.SecretName(m[1]) {
			c.part(name, m[2], true)
			continue
		}
		for word := range strings.FieldsSeq(line) {
			word = strings.Trim(word, `"',;`)
			if _, assigned, _ := strings.Cut(word, "="); event.LooksSecret(assigned) {
				word = assigned
			}
			c.part(name, word, false)
		}
	}
}

// leaves adds the texts of a JSON document that look like credentials, or are called so; named says that the nearest name does.
func (c *collector) leaves(name string, named bool, of any) {
	switch v := of.(type) {
	case string:
		c.part(name, v, named)
	case []any:
		for _, item := range v {
			c.leaves(name, named, item)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			c.leaves(name, event.SecretName(key), v[key])
			if auth, _ := v[key].(string); key == "auth" { // in a file of Docker's, the base64 of user:password
				login, _ := base64.StdEncoding.DecodeString(auth)
				if _, password, ok := strings.Cut(string(login), ":"); ok {
					c.part(name, string(login), true)
					c.part(name, password, true)
				}
			}
		}
	}
}

// part adds a part of a value: one that is called a secret, and any that looks like a credential.
func (c *collector) part(name, value string, named bool) {
	if looks := event.LooksSecret(value); value != "" && (looks || named) {
		part := event.Secret{Name: name, Value: value, Credential: looks}
		if !c.parts[part] {
			if c.parts == nil {
				c.parts = map[event.Secret]bool{}
			}
			c.parts[part] = true
			c.secrets = append(c.secrets, part)
		}
	}
}

// pairs goes through the keys and values of a mapping; of anything else, there are none.
func pairs(n *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// child is the value of a mapping's field, nil without one.
func child(n *yaml.Node, name string) *yaml.Node {
	for key, value := range pairs(n) {
		if lowerCamel(key.Value) == name {
			return value
		}
	}
	return nil
}

func text(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	return n.Value
}
