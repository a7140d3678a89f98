package manifest

import (
	"encoding/base64"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// collector gathers the secret values of a document: what a Secret holds, and what a KubernetesJob has below spec.env.secrets.
// It reads the tree and no decoded object: a value in the wrong place is a secret too.
type collector struct {
	secrets   []event.Secret
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
	c.add(at.name(), n.Value, at.declared)
	if decoded, err := base64.StdEncoding.DecodeString(n.Value); err == nil && at.encoded {
		c.add(at.name(), string(decoded), at.declared)
	}
	for ref := range references(c.document.substituted[n]) {
		if v := c.variables[ref.name]; v != nil && !v.secret {
			v.secret = true
			c.add("variable "+ref.name, v.value, at.declared)
		}
	}
}

// add adds a value. Of one that holds several, only those that look like credentials are such.
func (c *collector) add(name, value string, declared bool) {
	if value == "" {
		return
	}
	var document any
	trimmed := strings.TrimSpace(value)
	several := strings.ContainsAny(trimmed, "\r\n")
	if strings.HasPrefix(trimmed, "{") && json.Unmarshal([]byte(trimmed), &document) == nil {
		several = true
	}
	c.secrets = append(c.secrets, event.Secret{Name: name, Value: value, Credential: declared || !several && event.LooksSecret(trimmed)})
	switch {
	case declared || !several:
	case document != nil:
		c.leaves(name, document)
	default:
		for word := range strings.FieldsSeq(trimmed) {
			word = strings.Trim(word, `"',;`)
			if _, assigned, _ := strings.Cut(word, "="); event.LooksSecret(assigned) {
				word = assigned
			}
			if event.LooksSecret(word) {
				c.secrets = append(c.secrets, event.Secret{Name: name, Value: word, Credential: true})
			}
		}
	}
}

// leaves adds the texts of a JSON document that look like credentials.
func (c *collector) leaves(name string, of any) {
	switch v := of.(type) {
	case string:
		if event.LooksSecret(v) {
			c.secrets = append(c.secrets, event.Secret{Name: name, Value: v, Credential: true})
		}
	case []any:
		for _, item := range v {
			c.leaves(name, item)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			c.leaves(name, v[key])
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
