package render

import (
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// problem is a finding about a Job that does not know yet where the Job's field came from, see workload.origin.
type problem struct {
	level               event.Level
	path                string // in the Job
	message, suggestion string
	derived             bool // suggestion is made from the value
	missing             bool // something is not there; no news when the file has an unknown field that may have been it
}

// checker finds what Jobs really get wrong, without a cluster, and what no kubelet could run although the API server takes it.
// It is not complete: the API server validates each Job anyway, and Plan.Finding gives its answer the place in the file. An
// empty value is no problem where the API server has a default for it (pkg/apis/batch/v1/defaults.go and
// pkg/apis/core/v1/defaults.go in kubernetes/kubernetes).
type checker struct {
	problems []problem
	levels   map[event.Level]int // how many problems there are
}

// inspect makes all checks of a Job and gives the advice about it.
func (r *renderer) inspect(w *workload) []problem {
	c := checker{levels: map[event.Level]int{}}
	c.job(w.job)
	c.advise(w)
	c.advice(w.job, r.options.Cleanup)
	return c.problems
}

// manyProblems is more than will be told, though several may be one finding.
const manyProblems = 3 * event.MaxFindings

func (c *checker) full(level event.Level) bool { return c.levels[level] >= manyProblems }

func (c *checker) add(level event.Level, at *field.Path, format string, args ...any) *problem {
	if c.full(level) {
		return &problem{}
	}
	c.levels[level]++
	c.problems = append(c.problems, problem{level: level, path: at.String(), message: fmt.Sprintf(format, args...)})
	return &c.problems[len(c.problems)-1]
}

func (c *checker) invalid(at *field.Path, format string, args ...any) *problem {
	return c.add(event.Error, at, format, args...)
}

func (c *checker) missing(at *field.Path, format string, args ...any) {
	c.add(event.Error, at, format, args...).missing = true
}

// says adds what one of the Is… functions of apimachinery has to say about value.
func (c *checker) says(at *field.Path, value string, messages []string) {
	for _, m := range messages {
		c.invalid(at, "%q is invalid: %s", value, manifest.Plain(m))
	}
}

// name checks a required name.
func (c *checker) name(at *field.Path, value string, check func(string) []string) {
	if value == "" {
		c.missing(at, "is required")
		return
	}
	c.says(at, value, check(value))
}

// known refuses a reference to what is not there.
func (c *checker) known(at *field.Path, what, name string, there []string) {
	if !slices.Contains(there, name) && !c.full(event.Error) {
		c.invalid(at, "there is no %s %q; there are %s", what, name, orNone(there)).suggestion = didYouMean(name, there)
	}
}

func didYouMean(name string, there []string) string {
	const most = 1000 // comparing takes time
	if near := manifest.Closest(name, there[:min(len(there), most)]); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}

func orNone(words []string) string {
	const most = 20
	switch n := len(words); {
	case n == 0:
		return "none"
	case n > most:
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), n-most)
	}
	return strings.Join(words, ", ")
}

// word checks a word of an enumeration; "" stands for its default. One that is not known here may be a newer cluster's, unless
// only the case of its letters is wrong: there is no enumeration with two such words.
func word[T ~string](c *checker, at *field.Path, value T, known ...T) {
	if value == "" || slices.Contains(known, value) {
		return
	}
	words := make([]string, len(known))
	for i, k := range known {
		words[i] = string(k)
	}
	if slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, string(value)) }) {
		c.invalid(at, "%q is not one of %s", value, strings.Join(words, ", ")).suggestion = didYouMean(string(value), words)
		return
	}
	c.add(event.Warning, at, "%q is not one of %s; only a newer cluster may know it", value, strings.Join(words, ", ")).suggestion = didYouMean(string(value), words)
}

// least checks the lower bound of a number that may be absent.
func least[T int32 | int64](c *checker, at *field.Path, value *T, bound T) {
	if value != nil && *value < bound {
		c.invalid(at, "%d is too small; %d is the least", *value, bound)
	}
}

// key is the path of a map's value.
func key(at *field.Path, name string) *field.Path {
	if strings.ContainsAny(name, ".[] ") {
		return at.Key(name)
	}
	return at.Child(name)
}

func (c *checker) metadata(at *field.Path, labels, annotations map[string]string) {
	for k, v := range sorted(labels) {
		c.says(key(at.Child("labels"), k), k, validation.IsQualifiedName(k))
		for _, m := range validation.IsValidLabelValue(v) {
			p := c.invalid(key(at.Child("labels"), k), "%q is invalid: %s", v, manifest.Plain(m))
			p.suggestion, p.derived = use(labelLike(v)), true
		}
	}
	for k := range sorted(annotations) { // which may have capital letters (apimachinery, ValidateAnnotations)
		c.says(key(at.Child("annotations"), k), k, validation.IsQualifiedName(strings.ToLower(k)))
	}
}

func indexed(spec *batchv1.JobSpec) bool {
	return spec.CompletionMode != nil && *spec.CompletionMode == batchv1.IndexedCompletion
}
