package render

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// A text of the manifest never stands in the output as a line that the GitHub runner obeys, and is still the same text.
func TestYAMLHoldsNoCommands(t *testing.T) {
	const folded = "word word word word word word word word word word word word word word word word word word"
	texts := map[string]string{
		"lines":  "#!/bin/sh\n::error::gotcha\n  ::set-output name=x::y\n\t::add-path::/tmp\necho done\n",
		"old":    "echo '##[error]gotcha' '##[set-env name=x]y'",
		"old-ml": "one\n##[error]gotcha\n\\u0023#[x]\n",
		"folded": folded + " ::error::gotcha " + folded + " ##[group]x",
		"return": "a\r::error::gotcha\u2028::error::x\u0085::error::y",
		"fine":   "a::b ## [c] #[d]\n",
	}
	// The JSON encoder leaves U+0085 as it is, where YAML takes it for the end of a line.
	config, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "texts"}, "data": texts})
	if err != nil {
		t.Fatal(err)
	}
	out, err := plan(t, loadText(t, plainJob+"---\n"+strings.ReplaceAll(string(config), "\u0085", `\u0085`)), Options{}).YAML(false)
	if err != nil {
		t.Fatal(err)
	}
	// Whatever any reader may take for a new line.
	for _, line := range regexp.MustCompile("[\n\r\v\f\u0085\u2028\u2029]").Split(string(out), -1) {
		if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") {
			t.Errorf("the runner would obey %q", line)
		}
	}
	var got struct {
		Kind string
		Data map[string]string
	}
	for document := range strings.SplitSeq(string(out), "---\n") {
		if strings.Contains(document, "ConfigMap") {
			if err := yaml.Unmarshal([]byte(document), &got); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff(texts, got.Data); diff != "" {
		t.Errorf("the texts have changed (-want +got):\n%s", diff)
	}
}
