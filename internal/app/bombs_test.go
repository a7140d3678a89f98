//go:build unix

package app

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// Input that is meant to hurt, by every way into the program: it is refused, or run through, within bounds.
func TestBombs(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'm'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	merges := "m0: &m0 {a: x}\n"
	for i := 1; i < 2000; i++ {
		merges += fmt.Sprintf("m%d: &m%d {<<: *m%d, k%d: x}\n", i, i, i-1, i)
	}
	config := func(data string) string { return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n" + data }
	for name, c := range map[string]struct {
		manifest string // beside the Job
		env      map[string]string
		args     []string
		want     string // "" when it is taken
	}{
		"an alias bomb":              {manifest: config(bomb), want: "aliases"},
		"brackets":                   {manifest: strings.Repeat("[", 50_000), want: "nested deeper"},
		"braces":                     {manifest: strings.Repeat("{a: ", 9_000) + strings.Repeat("}", 9_000), want: "nested deeper"},
		"indentation":                {manifest: indented(2_000), want: "nested deeper"},
		"4 MiB of dashes":            {manifest: strings.Repeat("-\n", 2<<20), want: "larger than 4 MiB"},
		"one long text":              {manifest: config("data: {a: " + strings.Repeat("x", 3<<20) + "}\n")},
		"a long text of escapes":     {manifest: config(`data: {a: "` + strings.Repeat(`\x41\u0042\U00000043`, 100_000) + `"}` + "\n")},
		"9,000 documents":            {manifest: strings.Repeat("a: 1\n---\n", 9_000), want: "more than 100000 fields"},
		"30,000 anchors":             {manifest: config("data:\n" + anchors(30_000))},
		"merged mappings":            {manifest: config(merges), want: "aliases"},
		"an error at the end":        {manifest: config("data:\n" + anchors(30_000) + " b: [\n"), want: "not YAML"},
		"an enormous exponent":       {manifest: strings.Replace(goodManifest, "memory: 1Gi", "memory: 1e999999999", 1), want: "memory"},
		"an enormous integer":        {manifest: strings.Replace(goodManifest, "memory: 1Gi", "memory: 1"+strings.Repeat("0", 1<<20), 1), want: "memory"},
		"an infinite number":         {manifest: strings.Replace(goodManifest, "memory: 1Gi", "memory: 1e400", 1), want: "memory"},
		"an alias bomb as patch":     {args: []string{"--patch=" + bomb}, want: "patch"},
		"nesting as patch":           {args: []string{"--patch=" + strings.Repeat("[", 100_000)}, want: "patch"},
		"nested credentials":         {env: map[string]string{"INPUT_REGISTRY-CREDENTIALS": `{"auths":` + strings.Repeat(`{"a":`, 1<<15)}, want: "registry-credentials"},
		"credentials of an alias":    {env: map[string]string{"INPUT_REGISTRY-CREDENTIALS": bomb}, want: "registry-credentials"},
		"a kubeconfig of aliases":    {env: map[string]string{"INPUT_KUBECONFIG": "clusters:\n- " + strings.ReplaceAll(bomb, "\n", "\n  ")}, args: []string{"run"}, want: "kubeconfig"},
		"a nested kubeconfig":        {env: map[string]string{"INPUT_KUBECONFIG": "clusters: " + strings.Repeat("[", 1<<20)}, args: []string{"run"}, want: "kubeconfig"},
		"a nested kubeconfig, coded": {env: map[string]string{"INPUT_KUBECONFIG": base64.StdEncoding.EncodeToString([]byte("clusters: " + strings.Repeat("{a: ", 1<<18)))}, args: []string{"run"}, want: "kubeconfig"},
	} {
		t.Run(name, func(t *testing.T) {
			text := goodManifest + "---\n" + c.manifest
			if strings.HasPrefix(c.manifest, "apiVersion: batch/v1") {
				text = c.manifest
			}
			dir := folder(t, map[string]string{"job.yaml": text})
			args := append(c.args, "-f", "job.yaml")
			if len(c.args) == 0 || c.args[0] != "run" {
				args = append([]string{"validate"}, args...)
			}
			got := bounded(t, dir, "", c.env, args...)
			if taken := got.code == exitOK; taken != (c.want == "") || !taken && got.code != exitInvalid || !strings.Contains(got.stderr, c.want) || len(got.stderr) > 64<<10 {
				t.Errorf("exit code %d, %d bytes, %.500q, want %q", got.code, len(got.stderr), got.stderr, c.want)
			}
		})
	}
}

func indented(depth int) string {
	var b strings.Builder
	for i := range depth {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func anchors(n int) string {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "  k%d: &a%d x\n", i, i)
	}
	return b.String()
}
