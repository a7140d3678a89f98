package render

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/planton/kubernetes-job-action/internal/actionsrunner"
)

// shown masks nothing but a word of these tests.
func shown(s string) string { return strings.ReplaceAll(s, "hunter2secret", "***") }

// configMap is a document with texts as its data. It is escaped, because JSON holds more as it is than YAML does.
func configMap(t *testing.T, texts map[string]string) string {
	t.Helper()
	config, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "texts"}, "data": texts})
	if err != nil {
		t.Fatal(err)
	}
	return "---\n" + string(escaped(config)) + "\n"
}

// annotated is a Job with an annotation.
func annotated(value string) string {
	return strings.Replace(plainJob, "namespace: shop}", "namespace: shop, annotations: {note: "+value+"}}", 1)
}

// obeyed are the commands in a preview of the manifest, and the texts of its ConfigMap.
func obeyed(t *testing.T, manifest string) ([]actionsrunner.Command, map[string]string) {
	t.Helper()
	out, err := plan(t, loadText(t, manifest), Options{}).YAML(shown)
	if err != nil {
		t.Fatal(err)
	}
	var log actionsrunner.Log
	log.Play(string(out))
	if log.Stopped {
		log.Obeyed = append(log.Obeyed, actionsrunner.Command{Name: "stop-commands"})
	}
	var got struct {
		Kind string
		Data map[string]string
	}
	for document := range strings.SplitSeq(string(out), "---\n") {
		if strings.Contains(document, "ConfigMap") {
			if err := yaml.Unmarshal([]byte(document), &got); err != nil {
				t.Fatalf("%v: %q", err, document)
			}
		}
	}
	return log.Obeyed, got.Data
}

// A text of the manifest never stands in the output as a line that the GitHub runner obeys, and is still the same text.
func TestYAMLHoldsNoCommands(t *testing.T) {
	const folded = "word word word word word word word word word word word word word word word word word word"
	texts := map[string]string{
		"lines":  "#!/bin/sh\n::error::gotcha\n  ::set-output name=x::y\n\t::add-path::/tmp\necho done\n",
		"old":    "echo '##[error]gotcha' '##[set-env name=x]y' '###[error]x'",
		"old-ml": "one\n##[error]gotcha\n\\u0023#[x]\n",
		"folded": folded + " ::error::gotcha " + folded + " ##[group]x",
		"return": "a\r::error::gotcha\u2028::error::x\u0085::error::y",
		"fine":   "a::b ## [c] #[d] ::: \\:: \\\\##[x]\n",
		"emoji":  "😀\n::error::😀\n",
	}
	for _, before := range []string{"\u00a0", "\u2002", "\u3000", "\u2028", "\u0085", "\t", "\v", "\f", "\ufeff", "\u200b", "\u00ad", "\u200e", "\u2060", "\u180e", "\u0301", "\x00", "\x1b"} {
		key := fmt.Sprintf("before-%x", before)
		texts[key] = "echo hi\n" + before + "::set-output name=status::succeeded\n" + before + "::stop-commands::gone\necho end\n"
		texts[key+"-in"] = "echo hi\n:" + before + ":error::x\n#" + before + "#[error]x\n"
	}
	for key, text := range texts {
		commands, got := obeyed(t, plainJob+configMap(t, map[string]string{"text": text}))
		if len(commands) > 0 {
			t.Errorf("%s: the runner obeys %v", key, commands)
		}
		if diff := cmp.Diff(map[string]string{"text": text}, got); diff != "" {
			t.Errorf("%s has changed (-want +got):\n%s", key, diff)
		}
	}
	if commands, got := obeyed(t, plainJob+configMap(t, texts)); len(commands) > 0 || len(got) != len(texts) {
		t.Errorf("all at once: %v, %d texts of %d", commands, len(got), len(texts))
	}
}

// Secrets that are known are hidden wherever they stand, but for names.
func TestYAMLIsMasked(t *testing.T) {
	manifest := annotated(`"it is hunter2secret"`) + configMap(t, map[string]string{"password": "--password=hunter2secret"})
	p := plan(t, loadText(t, manifest), Options{})
	out, err := p.YAML(shown)
	if err != nil || strings.Contains(string(out), "hunter2secret") || strings.Count(string(out), "***") != 2 {
		t.Errorf("%v, %s", err, out)
	}
	if out, err = p.YAML(nil); err != nil || strings.Count(string(out), "hunter2secret") != 2 {
		t.Errorf("with all secrets shown: %v, %s", err, out)
	}
}

// A field that is called name may hold anything in an object of others, and so may a key of a Secret.
func TestNamesThatAreNone(t *testing.T) {
	hide := func(s string) string { return strings.ReplaceAll(s, "Tr0ub4dor", "***") }
	p := plan(t, loadText(t, plainJob+`
---
apiVersion: example.com/v1
kind: Backup
metadata: {name: b}
spec: {conn: {name: Tr0ub4dor, kind: Tr0ub4dor, namespace: shop}}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {Tr0ub4dor: x}
`), Options{})
	out, err := p.YAML(hide)
	if err != nil || strings.Contains(string(out), "Tr0ub4dor") || !strings.Contains(string(out), "namespace: shop") || !strings.Contains(string(out), "kind: Secret") {
		t.Errorf("%v, %s", err, out)
	}
}

func FuzzYAML(f *testing.F) {
	for _, s := range []string{"::error::x", "a\n\u00a0::stop-commands::x\n", "x ##[error]y", ":\u200b:error::x", "'\"\n\t::add-mask::x", "- ::error::x: ::error::y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "\ufffd")
		annotation, _ := json.Marshal(text)
		manifest := annotated(string(escaped(annotation)))
		commands, got := obeyed(t, manifest+configMap(t, map[string]string{"text": text}))
		if len(commands) > 0 {
			t.Errorf("the runner obeys %v", commands)
		}
		if got["text"] != shown(text) {
			t.Errorf("%q becomes %q", text, got["text"])
		}
		if c := comment(text); strings.Contains(c, "##") || strings.ContainsAny(c, "\n\r") {
			t.Errorf("a comment %q", c)
		}
	})
}
