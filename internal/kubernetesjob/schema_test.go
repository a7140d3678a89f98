package kubernetesjob

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

const schemaFile = "../../docs/kubernetesjob.schema.json"

// TestSchemaFile keeps the schema in docs what the types say.
func TestSchemaFile(t *testing.T) {
	text, err := json.MarshalIndent(schema(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, schemaFile, string(text)+"\n")
}

// schema makes the JSON schema of the KubernetesJob kind from its Go types, their struct tags and their comments.
func schema(t *testing.T) map[string]any {
	t.Helper()
	g := generator{docs: comments(t), definitions: map[string]any{}}
	root := g.object(reflect.TypeFor[KubernetesJob](), "")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "KubernetesJob"
	root["$defs"] = g.definitions
	return root
}

// comments are those of the types and fields of kubernetesjob.go: "Spec", "Spec.Image".
func comments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "kubernetesjob.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	docs := map[string]string{}
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, spec := range gen.Specs {
			name := spec.(*ast.TypeSpec).Name.Name
			docs[name] = strings.TrimSpace(gen.Doc.Text())
			if s, ok := spec.(*ast.TypeSpec).Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					for _, n := range f.Names {
						docs[name+"."+n.Name] = strings.TrimSpace(strings.ReplaceAll(f.Doc.Text(), "\n", " "))
					}
				}
			}
		}
	}
	return docs
}

type generator struct {
	docs        map[string]string
	definitions map[string]any
}

// ref puts the schema of a struct among the definitions. keyed is the field that a mapping's key gives, "" without one.
func (g *generator) ref(t reflect.Type, keyed string) map[string]any {
	name := t.Name()
	if keyed != "" {
		name = "Keyed" + name
	}
	if _, ok := g.definitions[name]; !ok {
		g.definitions[name] = nil
		g.definitions[name] = g.object(t, keyed)
	}
	return map[string]any{"$ref": "#/$defs/" + name}
}

func (g *generator) object(t reflect.Type, keyed string) map[string]any {
	properties := map[string]any{}
	var all []any
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == keyed {
			continue
		}
		s := g.value(f)
		s["description"] = g.docs[t.Name()+"."+f.Name]
		properties[name] = s
		required := f.Tag.Get("required") == "true"
		if other := snake(name); other != name {
			properties[other] = s
			all = append(all, map[string]any{"not": map[string]any{"required": []any{name, other}}})
			if required {
				all = append(all, map[string]any{"anyOf": []any{map[string]any{"required": []any{name}}, map[string]any{"required": []any{other}}}})
			}
		} else if required {
			all = append(all, map[string]any{"required": []any{name}})
		}
	}
	object := map[string]any{"type": "object", "description": g.docs[t.Name()], "properties": properties, "additionalProperties": false}
	if all != nil {
		object["allOf"] = all
	}
	return object
}

// value is the schema of a field.
func (g *generator) value(f reflect.StructField) map[string]any {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := map[string]any{}
	switch t.Kind() {
	case reflect.Interface:
	case reflect.Struct:
		s = g.structure(t, "")
	case reflect.Bool:
		s["type"] = "boolean"
		if d := f.Tag.Get("default"); d != "" {
			s["default"] = d == "true"
		}
	case reflect.Int32, reflect.Int64:
		high := strconv.FormatUint(1<<(t.Bits()-1)-1, 10)
		if m := f.Tag.Get("max"); m != "" {
			high = m
		}
		number := map[string]any{"type": "integer", "minimum": json.Number(f.Tag.Get("min")), "maximum": json.Number(high)}
		s["anyOf"] = []any{number, map[string]any{"type": "string", "pattern": "^(0|[1-9][0-9]*)$"}}
		if d := f.Tag.Get("default"); d != "" {
			s["default"] = json.Number(d)
		}
	case reflect.String:
		s["type"] = "string"
		if e := f.Tag.Get("enum"); e != "" {
			words := strings.Split(e, ",")
			if f.Tag.Get("required") == "" {
				words = append(words, "") // protobuf's empty string is an absent one
			}
			s["enum"] = words
		}
		if p := f.Tag.Get("pattern"); p != "" {
			s["pattern"] = p
		} else if f.Tag.Get("required") == "true" {
			s["minLength"] = 1
		}
		if d := f.Tag.Get("default"); d != "" {
			s["default"] = d
		}
	case reflect.Map:
		s["type"] = "object"
		s["additionalProperties"] = map[string]any{"type": "string"}
	case reflect.Slice:
		list := map[string]any{"type": "array"}
		if t.Elem().Kind() == reflect.String {
			list["items"] = map[string]any{"type": "string"}
		} else {
			list["items"] = g.structure(t.Elem(), "")
		}
		k, keyed := reflect.Zero(t).Interface().(manifest.Keyed)
		if !keyed {
			return list
		}
		byName := map[string]any{"type": "object", "additionalProperties": g.structure(t.Elem(), k.Keyed())}
		for f := range t.Elem().Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name == k.Keyed() {
				byName["propertyNames"] = map[string]any{"pattern": f.Tag.Get("pattern")}
			}
		}
		s["anyOf"] = []any{byName, list}
	default:
		panic("no schema for " + t.String())
	}
	return s
}

// structure is the schema of a struct, a plain string included where that is a form of it. In a list there is no such form:
// the string would have no name.
func (g *generator) structure(t reflect.Type, keyed string) map[string]any {
	_, short := reflect.Zero(t).Interface().(manifest.Shorthand)
	if _, named := t.FieldByName("Name"); short && (keyed != "" || !named) {
		return map[string]any{"anyOf": []any{map[string]any{"type": "string"}, g.ref(t, keyed)}}
	}
	return g.ref(t, keyed)
}

func snake(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// TestSchema: what Parse accepts is valid, and what is wrong in form is not.
func TestSchema(t *testing.T) {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("kubernetesjob.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("kubernetesjob.json")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(t *testing.T, source manifest.Source) error {
		t.Helper()
		set, _ := manifest.Load(source)
		doc, findings := set.Workload("")
		if doc == nil {
			t.Fatal(findings)
		}
		data, err := json.Marshal(doc.Map())
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return compiled.Validate(value)
	}

	good, err := filepath.Glob(filepath.Join(manifests, "*", "*.yaml"))
	if err != nil || len(good) < 11 {
		t.Fatalf("%d manifests of ours (%v)", len(good), err)
	}
	for _, file := range good {
		if err := validate(t, manifest.Source{Paths: []string{file}}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, more := range []string{
		"  backofLimit: 3\n", "  backoffLimit: -1\n", "  backoffLimit: \"x\"\n", "  backoffLimit: 1\n  backoff_limit: 1\n", "  restartPolicy: Always\n",
		"  command: echo\n", "  env: {variables: {1A: x}}\n", "  env: {variables: [x]}\n", "  env: {variables: {A: 1}}\n", "  env: {secrets: {A: x}}\n",
		"  volumeMounts: [{name: a}]\n", "  volumeMounts: [{name: a, mount_path: b}]\n", "  volumeMounts: [{name: a, mountPath: /b, configMap: {name: c, defaultMode: 755}}]\n",
	} {
		if err := validate(t, manifest.Source{Content: small + more}); err == nil {
			t.Errorf("the schema allows %q", more)
		}
	}
	if err := validate(t, manifest.Source{Content: small + "  volume_mounts: [{name: a, mount_path: /b, empty_dir: {}}]\n  env: {variables: {A: x}}\n"}); err != nil {
		t.Error(err)
	}
}

// TestSchemaDescribes: every type and field of the kind has a comment, which becomes a description.
func TestSchemaDescribes(t *testing.T) {
	docs := comments(t)
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		if docs[name] == "" && name != "KubernetesJob.doc" {
			t.Errorf("%s has no comment", name)
		}
	}
	if len(docs) < 80 {
		t.Errorf("only %d types and fields", len(docs))
	}
}
