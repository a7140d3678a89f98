package manifest

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// What is given instead of a manifest is one finding that says what it is, in place of all that YAML would make of it.

// instead is such a thing, and what to do about it. way may be empty.
type instead struct{ what, way string }

const kustomization = "this is a kustomization, which holds no manifest itself"

// renders is the way to make a manifest.
func renders(command, path string) string {
	return fmt.Sprintf("render it: %s | kubernetes-job-action --manifest -", strings.TrimSpace(command+" "+path))
}

// example is the way for whoever has no manifest yet.
const example = "kubectl create job NAME --image=IMAGE --dry-run=client -o yaml prints a manifest"

// folderFile is a file that says how the manifests of its folder are made.
var folderFile = regexp.MustCompile(`^(?:kustomization\.ya?ml|Kustomization|Chart\.yaml)$`)

var valuesFile = regexp.MustCompile(`^values(?:[-.].*)?\.ya?ml$`)

// known tells what a file is by its name.
func known(name string) (instead, bool) {
	base, folder, file := filepath.Base(name), event.ShellWord(filepath.Dir(name)), event.ShellWord(name)
	switch filepath.Ext(base) {
	case ".jsonnet", ".libsonnet":
		return instead{"this is Jsonnet, and no manifest", renders("jsonnet", file)}, true
	case ".cue":
		return instead{"this is CUE, and no manifest", renders("cue export --out yaml", file)}, true
	}
	switch {
	case base == "Chart.yaml":
		return instead{"this is the description of a Helm chart, which holds no manifest itself", renders("helm template NAME", folder)}, true
	case folderFile.MatchString(base):
		return instead{kustomization, renders("kubectl kustomize", folder)}, true
	}
	return instead{}, false
}

const (
	noManifest = ", and no manifest"
	download   = "look at the address that it was read from, and at the token for it"
	output     = "add -o yaml to the command"
)

// printed are what programs print beside manifests, or instead of them, by how it begins. No manifest begins so.
var printed = []struct {
	begins *regexp.Regexp
	instead
}{
	{regexp.MustCompile(`^(?:Release ".*\n)?NAME: .*\nLAST DEPLOYED: `), instead{"this is what Helm says of a release, with the manifests in it", "use helm template, or helm get manifest"}},
	{regexp.MustCompile(`^NAME[ \t]+[A-Z]`), instead{"this is a table of kubectl" + noManifest, output}},
	{regexp.MustCompile(`^Name:[ \t]+\S+\nNamespace:[ \t]`), instead{"this is what kubectl describe prints" + noManifest, "use kubectl get -o yaml"}},
	{regexp.MustCompile(`^[\w.-]+/[\w.-]+ (?:created|configured|unchanged|deleted|serverside-applied)\b`), instead{"this is what kubectl says of an object" + noManifest, output}},
	{regexp.MustCompile(`^(?:ERROR|[Ee]rror)\b.*:`), instead{"this is the error of a command" + noManifest, "look why the command that should have made one failed"}},
	{regexp.MustCompile(`^(?:(?:WARN(?:ING)?|[Ww]arning|Pulled): |[IWE][0-9]{4} [0-9]{2}:|[\w/]+\.go:[0-9]+: |time="|level=)`),
		instead{"this line is a message of a command, and no part of a manifest", "keep what the command says apart from what it makes, without 2>&1"}},
	{regexp.MustCompile("^```"), instead{"this is Markdown" + noManifest, "take the lines with ``` out"}},
	{regexp.MustCompile(`^(?i:<!doctype|<html|<\?xml)`), instead{"this is a web page" + noManifest, download}},
	{regexp.MustCompile(`^[45][0-9]{2}: [A-Z]`), instead{"this is the answer of a web server" + noManifest, download}},
	{regexp.MustCompile(`^(?:diff --git |--- \S.*\n\+\+\+ )`), instead{"this is a difference of two files" + noManifest, "apply it first"}},
}

var (
	// beginning is where a text says something: behind blank lines, comments, and separators.
	beginning = regexp.MustCompile(`^(?:[ \t]*(?:#.*)?\n|---[ \t]*(?:#.*)?\n)*`)
	onePath   = regexp.MustCompile(`^[^\s:{"]+\.(?:ya?ml|json)\s*$`)
	conflict  = regexp.MustCompile(`(?m)^<<<<<<< `)
	// What ytt reads are comments of YAML: one beside a value, or a statement.
	ytt = regexp.MustCompile(`^#@[ \t]*(?:load\(|data/|overlay/|library/|(?:if|for|def)\b.*:$)`)
)

// foreign is the finding about a text that is no manifest, or is none yet.
func (r *reader) foreign(name string, text []byte) bool {
	if what, ok := known(name); ok {
		r.at(name, text, 0, what.what, what.way)
		return true
	}
	if name == inline && onePath.Match(text) {
		r.at(name, text, 0, "this is a path"+noManifest, "give it as manifest")
		return true
	}
	begin := len(beginning.Find(text))
	for _, p := range printed {
		if p.begins.Match(text[begin:]) {
			r.at(name, text, begin, p.what, p.way)
			return true
		}
	}
	if m := conflict.FindIndex(text); m != nil {
		r.at(name, text, m[0], "a conflict of a merge begins here", "keep one side, and take the marks out")
		return true
	}
	if at := yttAt(text); at >= 0 {
		r.at(name, text, at, "this is a template of ytt that nobody has rendered", renders("ytt -f", fileOf(name)))
		return true
	}
	return r.template(name, text)
}

// yttAt is where ytt's words begin in a text, -1 without them.
func yttAt(text []byte) int {
	if !bytes.Contains(text, []byte("#@")) {
		return -1
	}
	var comment func(n *yaml.Node) string
	comment = func(n *yaml.Node) string {
		if strings.HasPrefix(n.LineComment, "#@ ") {
			return n.LineComment
		}
		for line := range strings.Lines(n.HeadComment + "\n" + n.FootComment) {
			if line = strings.TrimSpace(line); ytt.MatchString(line) {
				return line
			}
		}
		for _, child := range n.Content {
			if found := comment(child); found != "" {
				return found
			}
		}
		return ""
	}
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var root yaml.Node
		if decoder.Decode(&root) != nil {
			return -1
		}
		if found := comment(&root); found != "" {
			return bytes.Index(text, []byte(found))
		}
	}
}

// fileOf is a file in a command.
func fileOf(name string) string {
	if name == stdin || name == inline {
		return "FILE"
	}
	return event.ShellWord(name)
}

// misfit is the finding about a document that is no object of Kubernetes as it stands: what it is meant for is told by its fields.
func (r *reader) misfit(name string, n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode {
		return false
	}
	keys := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if keys[key.Value] != nil && key.Value == "apiVersion" && i > 2 && n.Style&yaml.FlowStyle == 0 {
			r.node(name, key, "", "a second document begins here, and nothing separates it from the first", "write --- above it")
			return true
		}
		keys[key.Value] = key
	}
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return keys[name] == nil })
	}
	if has("apiVersion", "sops") {
		r.node(name, keys["sops"], "sops", "this file is encrypted by SOPS", strings.Replace(renders("sops decrypt", fileOf(name)), "render", "decrypt", 1))
		return true
	}
	if has("apiVersion") || has("kind") {
		return false
	}
	what, way := "", example
	switch base := filepath.Base(name); {
	case valuesFile.MatchString(base):
		what, way = "these are the values of a Helm chart", renders("helm template NAME "+event.ShellWord(filepath.Dir(name))+" --values", event.ShellWord(name))
	case has("services"):
		what = "this is a Compose file"
	case has("on", "jobs"):
		what = "this is a workflow of GitHub Actions"
	case has("stages"), base == ".gitlab-ci.yml":
		what = "this is a pipeline of GitLab"
	case has("releases"):
		what, way = "this is a helmfile", renders("helmfile template", "")
	}
	if what != "" {
		r.node(name, n, "", what+noManifest, way)
	}
	return what != ""
}

// nameless is what to do about a document without apiVersion or kind.
func (d *Document) nameless(field string) string {
	switch {
	case Closest(field, d.keys()) != "":
		return didYouMean(Closest(field, d.keys()))
	case d.Has("apiVersion"), d.Has("kind"):
		return ""
	case d.Has("spec"), d.Has("metadata"):
		return "begin it with apiVersion: batch/v1 and kind: Job"
	}
	return example
}
