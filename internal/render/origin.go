package render

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// templateMetadata are the fields of the template's metadata as the API server calls them (pkg/apis/core/validation,
// ValidatePodTemplateSpec).
var templateMetadata = strings.NewReplacer("spec.template.labels", "spec.template.metadata.labels", "spec.template.annotations", "spec.template.metadata.annotations")

// Finding says where the user wrote what the API server finds wrong with an object, which is one of the plan's: in a file, or in an
// option. field is as a metav1.StatusCause has it, "" when it names none; message is the server's.
func (p *Plan) Finding(of runtime.Object, field, message string) event.Finding {
	w, message := p.workload, manifest.Plain(message)
	path, option := templateMetadata.Replace(field), ""
	switch of := of.(type) {
	case *unstructured.Unstructured:
		return p.documents[of].Finding(event.Error, field, message, "")
	case *corev1.ConfigMap:
		path = "spec.configMaps." + of.Name
	case *corev1.Secret:
		switch {
		case of == w.pullSecret:
			option = "registry-credentials"
		case len(w.options.SecretEnv) > 0:
			option = "secret-env"
		default:
			path = "spec.env.secrets"
		}
	}
	f := event.Finding{Level: event.Error, Path: option, Message: message}
	if option == "" {
		f = w.finding(problem{level: event.Error, path: path, message: message})
	}
	if f.File == "" && !strings.HasPrefix(f.Message, path) {
		f.Message = strings.TrimPrefix(path+": ", ": ") + f.Message
	}
	return f
}

// finding says where a problem of the Job comes from.
func (w *workload) finding(p problem) event.Finding {
	option, path := w.origin(p.path)
	switch {
	case option == "patch", option == "" && w.doc == nil:
		return event.Finding{Level: p.level, Path: cmp.Or(option, "from-cronjob"), Message: p.path + ": " + p.message, Suggestion: p.suggestion}
	case option != "":
		return event.Finding{Level: p.level, Path: option, Message: p.message, Suggestion: p.suggestion}
	}
	path = w.documentPath(path)
	if w.doc.Original(path, p.message) != p.message { // a suggestion would show what the value of a variable looks like
		if p.derived {
			p.suggestion = ""
		}
	} else if way := manifest.Unfilled(p.message); p.level == event.Error && way != "" {
		p.suggestion = way
	}
	return w.doc.Finding(p.level, path, p.message, p.suggestion)
}

// steps are the parts of a path: fields, and in brackets the numbers of items and keys with dots.
var steps = regexp.MustCompile(`\[[^\]]*\]|[^.\[]+`)

// origin finds who wrote the field of the Job at path: the option of the answer, or else the document, in whose Job it is at the
// path of the answer. The Job is compared as it was decoded, patched, and overridden. Where a mapping or a list differs, its
// fields say who wrote them.
func (w *workload) origin(path string) (option, decoded string) {
	switch {
	case w.final == nil: // nothing has been overridden yet
		return "", path
	case path == "metadata.name" && w.options.NameSuffix != "":
		return "name-suffix", path
	case path == "metadata.name" && w.options.Name != "":
		return "name", path
	case path == "metadata.namespace" && w.options.Namespace != "":
		return "namespace", path
	}
	at := trace{was: w.decoded, patched: w.patched, final: w.final}
	for _, step := range steps.FindAllStringIndex(path, -1) {
		so := path[:step[1]]
		known, ok := w.traces[so]
		if !ok {
			known = w.follow(at, path[step[0]:step[1]], so)
			if w.traces == nil {
				w.traces = map[string]trace{}
			}
			w.traces[so] = known
		}
		at = known
	}
	return at.option, at.decoded
}

// trace is what the steps of a path have led to. It is kept, because many paths have the same beginning, and whether two containers are
// the same takes time.
type trace struct {
	was, patched, final any
	option, decoded     string // as of origin
}

// follow goes a step further; path is the one up to there.
func (w *workload) follow(at trace, step, path string) trace {
	at.final, _ = child(at.final, step, nil)
	at.patched, _ = child(at.patched, step, at.final)
	at.was, step = child(at.was, step, at.final)
	if at.decoded != "" && step[0] != '[' {
		at.decoded += "."
	}
	at.decoded += step
	switch {
	case at.was == nil && at.patched == nil && at.final == nil: // missing in what its parent's writer wrote
	case !alike(at.patched, at.final):
		at.option = w.override(path)
	case !alike(at.was, at.patched):
		at.option = "patch"
	default:
		at.option = ""
	}
	return at
}

// child is a field of a mapping or an item of a list, nil when it is not there, and the step to it. like is what the item has
// become: a patch puts its new items before the others, so an item is the same when it is equal, or else has the same name.
func child(parent any, step string, like any) (any, string) {
	name := strings.Trim(step, "[]")
	if m, ok := parent.(map[string]any); ok {
		return m[name], step
	}
	list, _ := parent.([]any)
	i, err := strconv.Atoi(name)
	if err != nil {
		return nil, step
	}
	if _, ok := like.(map[string]any); !ok {
		if i < len(list) {
			return list[i], step
		}
		return nil, step
	}
	for _, same := range []func(any) bool{
		func(item any) bool { return reflect.DeepEqual(item, like) },
		func(item any) bool { return nameOf(item) != "" && nameOf(item) == nameOf(like) },
	} {
		if i < len(list) && same(list[i]) {
			return list[i], step
		}
		if j := slices.IndexFunc(list, same); j >= 0 {
			return list[j], fmt.Sprintf("[%d]", j)
		}
	}
	if i < len(list) && nameOf(like) == "" {
		return list[i], step
	}
	return nil, step
}

func nameOf(item any) string {
	m, _ := item.(map[string]any)
	name, _ := m["name"].(string)
	return name
}

// alike tells whether two values are the same, or both mappings, or both lists.
func alike(a, b any) bool {
	if t := reflect.TypeOf(a); t != nil && (t.Kind() == reflect.Map || t.Kind() == reflect.Slice) {
		return t == reflect.TypeOf(b)
	}
	return reflect.DeepEqual(a, b)
}

// override names the option that sets a field of the Job, "" when none does.
func (w *workload) override(path string) string {
	for _, o := range []struct{ part, option string }{
		{".imagePullSecrets", "registry-credentials"}, {".image", "image"}, {".valueFrom", "secret-env"}, {".env[", "env"}, {".command", "container-command"}, {".args", "container-args"},
		{"metadata.labels", "labels"}, {"metadata.annotations", "annotations"}, {"spec.activeDeadlineSeconds", "timeout"},
	} {
		if strings.Contains(path, o.part) {
			return o.option
		}
	}
	return ""
}

// plain is a Job as JSON-like values.
func plain(object runtime.Object) map[string]any {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil { // a Job, a Secret and a ConfigMap hold nothing that has no JSON form
		panic(err)
	}
	return m
}
