package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// hidden stands for a value of a Secret. It is no base64, so that what was printed without values cannot be applied by mistake.
const hidden = "***"

// YAML is the plan as a stream of documents in order of creation, each with a comment that says what becomes of it. mask hides what is
// secret in a text; the values of Secrets are hidden too. With nil, everything is shown. No line of it is a command to the runner of
// GitHub Actions, which reads the standard output of every step, whatever the manifest holds.
func (p *Plan) YAML(mask func(string) string) ([]byte, error) {
	var out bytes.Buffer
	for _, note := range p.notes {
		if mask != nil {
			note = mask(note)
		}
		fmt.Fprintf(&out, "# %s\n", comment(note))
	}
	if p.CreateNamespace {
		ns := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}}
		if err := write(&out, ns, "created when it is missing; stays", mask); err != nil {
			return nil, err
		}
	}
	for _, o := range p.Apply {
		if err := write(&out, o, "applied; stays", mask); err != nil {
			return nil, err
		}
	}
	if err := write(&out, p.Job, "created", mask); err != nil {
		return nil, err
	}
	for _, o := range p.Owned {
		if err := write(&out, o, "created, owned by the Job; deleted with it", mask); err != nil {
			return nil, err
		}
	}
	for _, o := range p.After {
		if err := write(&out, o, "applied once the Job has succeeded; stays", mask); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// comment is a text of one line in which nothing is a command: no "##", and nothing that the runner passes over between two of them.
func comment(text string) string {
	visible := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || unicode.Is(unicode.M, r) {
			return -1
		}
		return r
	}, strings.Join(strings.Fields(text), " "))
	for strings.Contains(visible, "##") {
		visible = strings.ReplaceAll(visible, "##", "# #")
	}
	return visible
}

// command is all that the runner may read as a command: "::name::" at the start of a line, "##[name]" anywhere (actions/runner,
// src/Runner.Common/ActionCommand.cs). It passes over white space and characters that cannot be seen. Which ones depends on its version of
// Unicode; so all that is not printable ASCII counts as passed over.
var command = regexp.MustCompile(`(?:^|[^ -~])[^!-~]*:[^ -~]*:|#[^ -~]*#`)

// write appends one document.
func write(out *bytes.Buffer, o runtime.Object, about string, mask func(string) string) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return fmt.Errorf("write %T as YAML: %w", o, err)
	}
	u := &unstructured.Unstructured{Object: content}
	if status, ok := content["status"].(map[string]any); ok && len(status) == 0 {
		delete(content, "status")
	}
	if mask != nil {
		if u.GetKind() == "Secret" {
			u = hide(u)
			about += "; its values are hidden"
		}
		kind, version := u.GetKind(), u.GetAPIVersion()
		u.Object = masked("", u.Object, mask).(map[string]any)
		u.SetKind(kind)
		u.SetAPIVersion(version)
	}
	document, err := json.MarshalIndent(u.Object, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s %s as JSON: %w", u.GetKind(), u.GetName(), err)
	}
	body, err := yaml.JSONToYAML(document)
	if err != nil {
		return fmt.Errorf("write %s %s as YAML: %w", u.GetKind(), u.GetName(), err)
	}
	// JSON is YAML too, and has each text on one line, in quotes. U+0085, which JSON does not escape, is the end of a line for YAML.
	if command.Match(body) || bytes.ContainsRune(document, '\u0085') {
		body = append(escaped(document), '\n')
	}
	fmt.Fprintf(out, "---\n# %s\n%s", about, body)
	return nil
}

// escaped is a JSON document without a "::" or a "##", whatever a reader passes over. Both can stand in texts alone, and there any
// character may be escaped.
func escaped(document []byte) []byte {
	var b []byte
	var before rune
	for _, r := range string(document) {
		switch {
		case r > 0xffff: // which JSON escapes as a pair that YAML does not know
			b = utf8.AppendRune(b, r)
			r = before
		case r >= 0x7f, r == before && (r == ':' || r == '#'):
			b = fmt.Appendf(b, `\u%04x`, r)
			r = 0
		default:
			b = append(b, byte(r))
		}
		before = r
	}
	return b
}

// masked is a copy of v with every text masked, but for what can be the name of an object.
func masked(key string, v any, mask func(string) string) any {
	switch v := v.(type) {
	case string:
		if (key == "name" || key == "namespace") && event.IsName(v) {
			return v
		}
		return mask(v)
	case []any:
		c := make([]any, len(v))
		for i := range v {
			c[i] = masked(key, v[i], mask)
		}
		return c
	case map[string]any:
		c := make(map[string]any, len(v))
		for k := range v {
			name := k
			if key == "data" || key == "stringData" { // these keys are the user's
				name = mask(k)
			}
			c[name] = masked(k, v[k], mask)
		}
		return c
	}
	return v
}

// hide replaces the values of a Secret, also those in annotations that hold a copy of the whole object, as kubectl apply writes one.
func hide(secret *unstructured.Unstructured) *unstructured.Unstructured {
	secret = secret.DeepCopy()
	values := map[string]any{}
	for _, field := range []string{"data", "stringData"} {
		texts, _ := secret.Object[field].(map[string]any)
		for k := range texts {
			values[k] = hidden
		}
		delete(secret.Object, field)
	}
	if len(values) > 0 {
		secret.Object["data"] = values // where base64 must stand
	}
	annotations := secret.GetAnnotations()
	for k, v := range annotations {
		if strings.Contains(v, `"data"`) || strings.Contains(v, `"stringData"`) {
			annotations[k] = hidden
		}
	}
	if len(annotations) > 0 {
		secret.SetAnnotations(annotations)
	}
	return secret
}
