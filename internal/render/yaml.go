package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// hidden stands for a value of a Secret. It is no base64, so that what was printed without values cannot be applied by mistake.
const hidden = "***"

// YAML is the plan as a stream of documents in order of creation, each with a comment that says what becomes of it. The values
// of Secrets are hidden unless showSecrets. No line of it is a command to the runner of GitHub Actions, which reads the standard
// output of every step, whatever the manifest holds.
func (p *Plan) YAML(showSecrets bool) ([]byte, error) {
	var out bytes.Buffer
	for _, note := range p.notes {
		fmt.Fprintf(&out, "# %s\n", strings.ReplaceAll(strings.Join(strings.Fields(note), " "), "##[", "## ["))
	}
	if p.CreateNamespace {
		ns := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}}
		if err := write(&out, ns, "created when it is missing; stays", showSecrets); err != nil {
			return nil, err
		}
	}
	for _, o := range p.Apply {
		if err := write(&out, o, "applied; stays", showSecrets); err != nil {
			return nil, err
		}
	}
	if err := write(&out, p.Job, "created", showSecrets); err != nil {
		return nil, err
	}
	for _, o := range p.Owned {
		if err := write(&out, o, "created, owned by the Job; deleted with it", showSecrets); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// command is what the runner reads as a command: "::name::" at the start of a line, "##[name]" anywhere (actions/runner,
// src/Runner.Common/ActionCommand.cs).
var command = regexp.MustCompile(`(?m)^\s*::|##\[`)

// inQuotes takes apart what a command is and what YAML, unlike JSON, takes for the end of a line.
var inQuotes = strings.NewReplacer("##[", `\u0023#[`, "\u0085", `\u0085`)

// write appends one document.
func write(out *bytes.Buffer, o runtime.Object, comment string, showSecrets bool) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return fmt.Errorf("write %T as YAML: %w", o, err)
	}
	u := &unstructured.Unstructured{Object: content}
	if status, ok := content["status"].(map[string]any); ok && len(status) == 0 {
		delete(content, "status")
	}
	if u.GetKind() == "Secret" && !showSecrets {
		u = hide(u)
		comment += "; its values are hidden"
	}
	body, err := yaml.Marshal(u.Object)
	if err != nil {
		return fmt.Errorf("write %s %s as YAML: %w", u.GetKind(), u.GetName(), err)
	}
	if command.Match(body) {
		// JSON is YAML too, but for one character, and has each text on one line, in quotes.
		if body, err = json.MarshalIndent(u.Object, "", "  "); err != nil {
			return fmt.Errorf("write %s %s as JSON: %w", u.GetKind(), u.GetName(), err)
		}
		body = []byte(inQuotes.Replace(string(body)) + "\n")
	}
	fmt.Fprintf(out, "---\n# %s\n%s", comment, body)
	return nil
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
