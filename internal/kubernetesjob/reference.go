package kubernetesjob

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// resolve gives the text that a reference points to, nil when there is none: a finding then says where it was looked for.
// who is what wants it: "the variable DATABASE_HOST".
func (c *checker) resolve(at, who string, r *Reference) *string {
	field := cmp.Or(r.FieldPath, r.Field)
	switch {
	case c.full(): // looking for it may take long
		return nil
	case r.FieldPath != "" && r.Field != "" && r.FieldPath != r.Field:
		c.errorf(at, "keep one", "fieldPath and field are the same and differ: %q and %q", short(r.FieldPath), short(r.Field))
		return nil
	case r.Kind == "":
		c.errorf(at+".kind", "", "is required: %s refers to a resource by kind and name", who)
		return nil
	case field == "":
		c.errorf(at+".fieldPath", "name a field, as status.outputs.host", "is required: %s refers to a field", who)
		return nil
	}
	what := fmt.Sprintf("%s %q", r.Kind, short(r.Name))
	if r.Env != "" {
		what += fmt.Sprintf(" of the environment %q", short(r.Env))
	}
	var found []*manifest.Document
	if c.set != nil {
		for _, d := range c.set.References {
			if d == c.doc || d.Kind != r.Kind || d.Name != r.Name {
				continue
			}
			if env, _ := d.Text("metadata.env"); r.Env == "" || r.Env == env {
				found = append(found, d)
			}
		}
	}
	switch len(found) {
	case 0:
		c.errorf(at, c.nearReference(r), "%s refers to %s, which is not in %s", who, what, c.places())
		return nil
	case 1:
	default:
		c.errorf(at, "say which by env", "%s refers to %s, and there are %d: %s", who, what, len(found), place(found...))
		return nil
	}
	text, ok := found[0].Text(field)
	if !ok {
		parent, suggestion := field[:max(strings.LastIndex(field, "."), 0)], "its outputs are written by the platform that deploys it: export the resource again"
		if siblings := found[0].Fields(parent); len(siblings) > 0 {
			suggestion = fmt.Sprintf("%s has %s", cmp.Or(parent, "it"), strings.Join(siblings[:min(len(siblings), 12)], ", "))
		}
		c.errorf(at, suggestion, "%s refers to %s of %s, which is empty or missing in %s", who, short(field), what, place(found[0]))
		return nil
	}
	return &text
}

// places are the files that were searched.
func (c *checker) places() string {
	var files []string
	if c.set != nil {
		for _, d := range c.set.References {
			if !slices.Contains(files, d.File) {
				files = append(files, d.File)
			}
		}
	}
	if len(files) > 10 {
		files = append(files[:10], fmt.Sprintf("%d more files", len(files)-10))
	}
	return strings.Join(files, ", ")
}

func place(documents ...*manifest.Document) string {
	var places []string
	for _, d := range documents[:min(len(documents), 10)] {
		p := d.Position("kind")
		places = append(places, fmt.Sprintf("%s:%d", p.File, p.Line))
	}
	return strings.Join(places, ", ")
}

// nearReference helps with a name that was mistyped, and else says what to do.
func (c *checker) nearReference(r *Reference) string {
	if c.set != nil {
		var names, kinds []string
		for _, d := range c.set.References {
			if d.Kind == r.Kind {
				names = append(names, d.Name)
			}
			if d.Name == r.Name && d != c.doc {
				kinds = append(kinds, d.Kind)
			}
		}
		if near := manifest.Closest(r.Name, names); near != "" && near != r.Name {
			return fmt.Sprintf("did you mean the name %q?", near)
		}
		if near := manifest.Closest(r.Kind, kinds); near != "" && near != r.Kind {
			return fmt.Sprintf("did you mean the kind %q?", near)
		}
	}
	return "give a file with this resource, its status.outputs filled in, as references"
}
