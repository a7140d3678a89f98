package kubernetesjob

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"

	// The digests of image references are checked only for the algorithms that are linked in (go-digest, Algorithm.Available).
	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/distribution/reference"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// Parse reads a KubernetesJob strictly: defaults are set and references are resolved in what it returns. set is where they are
// looked up. It checks what is this kind's own; the rest is checked in the Job that it becomes, which is made of what could be
// read when there are findings of level Error.
func Parse(doc *manifest.Document, set *manifest.Set) (*KubernetesJob, []event.Finding) {
	k := &KubernetesJob{doc: doc}
	wrong := doc.DecodeProtobuf(k)
	for i, f := range wrong {
		wrong[i].Suggestion = cmp.Or(ownWay(f.Path), f.Suggestion)
	}
	k.setDefaults()
	c := &checker{doc: doc, set: set}
	c.spec(&k.Spec)
	// What could not be read is not missing, or empty, as well.
	c.findings = slices.DeleteFunc(c.findings, func(f event.Finding) bool {
		return slices.ContainsFunc(wrong, func(w event.Finding) bool {
			return manifest.Within(w.Path, f.Path) || manifest.Within(f.Path, w.Path)
		})
	})
	c.findings = append(wrong, c.findings...)
	event.SortFindings(c.findings)
	return k, c.findings
}

// ownWay says how a KubernetesJob writes what a container writes below valueFrom.
func ownWay(path string) string {
	switch path[strings.LastIndex(path, ".")+1:] {
	case "secretKeyRef":
		return "write a variable below spec.env.secrets with secretRef: {name, key}"
	case "configMapKeyRef", "fieldRef", "resourceFieldRef":
		if strings.Contains(path, "valueFrom.") {
			return "write it beside valueFrom, not below it"
		}
	case "template", "containers":
		return "a KubernetesJob has one container: its image, command, args, env and resources stand in spec"
	}
	return ""
}

func (k *KubernetesJob) setDefaults() {
	spec := &k.Spec
	spec.Parallelism = cmp.Or(spec.Parallelism, 1)
	spec.Completions = cmp.Or(spec.Completions, 1)
	spec.CompletionMode = cmp.Or(spec.CompletionMode, "NonIndexed")
	spec.RestartPolicy = cmp.Or(spec.RestartPolicy, "Never")
	if spec.BackoffLimit == nil {
		spec.BackoffLimit = new(int32(6))
	}
	if spec.Resources == nil {
		spec.Resources = &Resources{Limits: CPUMemory{CPU: "1000m", Memory: "1Gi"}, Requests: CPUMemory{CPU: "50m", Memory: "100Mi"}}
	}
}

// checker checks what is this kind's own.
type checker struct {
	doc      *manifest.Document
	set      *manifest.Set
	findings []event.Finding
}

// full tells whether there are more findings than will be told.
func (c *checker) full() bool { return len(c.findings) > event.MaxFindings }

func (c *checker) errorf(path, suggestion, format string, args ...any) {
	if c.full() {
		return
	}
	message := fmt.Sprintf(format, args...)
	if c.doc.Original(path, message) == message { // no value of a variable stands in it
		suggestion = cmp.Or(manifest.Unfilled(message), suggestion)
	}
	c.findings = append(c.findings, c.doc.Finding(event.Error, path, message, suggestion))
}

func short(s string) string { return event.Shorten(s, 80) }

func (c *checker) spec(s *Spec) {
	c.namespace(s)
	c.image(s.Image)
	for _, r := range []struct{ kind, cpu, memory string }{{"limits", s.Resources.Limits.CPU, s.Resources.Limits.Memory}, {"requests", s.Resources.Requests.CPU, s.Resources.Requests.Memory}} {
		c.quantity("spec.resources."+r.kind+".cpu", r.cpu)
		c.quantity("spec.resources."+r.kind+".memory", r.memory)
	}
	c.env(s)
	for _, name := range slices.Sorted(maps.Keys(s.ConfigMaps)) {
		text, at := s.ConfigMaps[name], manifest.Key("spec.configMaps", name)
		for _, message := range validation.IsDNS1123Subdomain(name) {
			c.errorf(at, "", "%q is invalid: %s", short(name), manifest.Plain(message))
		}
		if len(text) > 1<<20 { // pkg/apis/core, MaxSecretSize
			c.errorf(at, "", "is larger than the 1 MiB that a ConfigMap can hold")
		}
	}
	c.mounts(s)
}

func (c *checker) namespace(s *Spec) {
	const at = "spec.namespace"
	if v := &s.Namespace; c.exactlyOne(at, v.Value != nil, v.ValueFrom != nil, "value", "valueFrom") {
		if r := v.ValueFrom; r != nil {
			r.Kind = cmp.Or(r.Kind, "KubernetesNamespace")
			if r.Field == "" {
				r.FieldPath = cmp.Or(r.FieldPath, "spec.name")
			}
			v.Value = c.resolve(at+".valueFrom", "the namespace", r)
			// What stands in another document is not shown: it may be a secret.
			if ns := v.Value; ns != nil && len(validation.IsDNS1123Label(*ns)) > 0 {
				c.errorf(at+".valueFrom", "", "the field that it refers to holds no name of a namespace: %s", manifest.Plain(validation.IsDNS1123Label(*ns)[0]))
				v.Value = nil
			}
		}
	}
	if ns := s.Namespace.Value; ns != nil && *ns == "" {
		c.errorf(at, "name the namespace that the job runs in", "is empty")
	}
}

func (c *checker) exactlyOne(at string, first, second bool, one, other string) bool {
	switch {
	case first && second:
		c.errorf(at, "keep one", "has both %s and %s", one, other)
	case !first && !second:
		c.errorf(at, "", "needs %s or %s", one, other)
	}
	return first != second
}

func digest(tag string) bool {
	return strings.HasPrefix(tag, "sha256:") || strings.HasPrefix(tag, "sha512:")
}

func (c *checker) image(i Image) {
	if _, err := reference.ParseNormalizedNamed(Image{Repo: "x", Tag: i.Tag}.ref()); i.Tag != "" && err != nil {
		what := "tag"
		if digest(i.Tag) {
			what = "digest"
		}
		c.errorf("spec.image.tag", "", "%q is no %s of an image", short(i.Tag), what)
	}
	if i.Repo == "" {
		return
	}
	repo, err := reference.ParseNormalizedNamed(i.Repo)
	if err != nil {
		near := NearImage(i.Repo)
		if c.doc.Original("spec.image.repo", i.Repo) != i.Repo { // it would show what the value of a variable looks like
			near = ""
		}
		c.errorf("spec.image.repo", near, "%q is no image repository: %s", short(i.Repo), strings.TrimPrefix(err.Error(), "invalid reference format: "))
		return
	}
	if !reference.IsNameOnly(repo) {
		c.errorf("spec.image.repo", "put it into spec.image.tag", "%q has a tag or a digest of its own", short(i.Repo))
	}
}

// transport is what a registry's address, or a tool that copies images, has before the reference.
var transport = regexp.MustCompile(`^[a-z]+://`)

// NearImage suggests the image that was meant by a text that is no reference of one; "" when there is none.
func NearImage(text string) string {
	bare := transport.ReplaceAllString(strings.TrimSpace(text), "")
	for _, near := range []string{bare, strings.ToLower(bare)} {
		if _, err := reference.ParseNormalizedNamed(near); err == nil && near != text {
			return fmt.Sprintf("did you mean %q?", near)
		}
	}
	return ""
}

// quantity reads an amount.
func (c *checker) quantity(at, text string) {
	if _, err := manifest.ParseQuantity(text); text != "" && err != nil {
		c.errorf(at, `write a number with a unit: "500m", "2", "512Mi", "4Gi"`, "%q is not a quantity", short(text))
	}
}

// items gives the path of a variable below path: its name's when the file has a mapping, its number's when it has a list.
func items(doc *manifest.Document, path string) func(i int, name string) string {
	if doc.Fields(path) != nil {
		return func(_ int, name string) string { return manifest.Key(path, name) }
	}
	return func(i int, _ string) string { return fmt.Sprintf("%s[%d]", path, i) }
}

func (c *checker) env(s *Spec) {
	seen := map[string]string{}
	name := func(at, name string) {
		if first, again := seen[name]; again {
			p := c.doc.Position(first)
			c.errorf(at, "keep one", "the variable %s is given twice: first as %s in line %d", name, first, p.Line)
		}
		seen[name] = at
		if name == "" {
			c.errorf(at, "", "a variable needs a name")
		}
		for i, r := range name {
			if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
				c.errorf(at, "", "%q is no name of an environment variable: letters, digits and _, no digit first", short(name))
				return
			}
		}
	}
	variable, secret := items(c.doc, "spec.env.variables"), items(c.doc, "spec.env.secrets")
	for i := range s.Env.Variables {
		v := &s.Env.Variables[i]
		at := variable(i, v.Name)
		name(at, v.Name)
		if !c.oneOf(at, sources{{"value", v.Value != nil}, {"valueFrom", v.ValueFrom != nil}, {"configMapKeyRef", v.ConfigMapKeyRef != nil}, {"fieldRef", v.FieldRef != nil}, {"resourceFieldRef", v.ResourceFieldRef != nil}}) {
			continue
		}
		switch r := v.ResourceFieldRef; {
		case v.ValueFrom != nil:
			v.Value = c.resolve(at+".valueFrom", "the variable "+v.Name, v.ValueFrom)
		case r != nil:
			if r.ContainerName != "" && r.ContainerName != ContainerName {
				c.errorf(at+".resourceFieldRef.containerName", "", "%q is not one of %s", short(r.ContainerName), ContainerName)
			}
			c.quantity(at+".resourceFieldRef.divisor", r.Divisor)
		}
	}
	for i := range s.Env.Secrets {
		v := &s.Env.Secrets[i]
		at := secret(i, v.Name)
		name(at, v.Name)
		if !c.oneOf(at, sources{{"value", v.Value != nil}, {"secretRef", v.SecretRef != nil}, {"valueFrom", v.ValueFrom != nil}}) {
			continue
		}
		switch r := v.SecretRef; {
		case v.ValueFrom != nil:
			if v.Value = c.resolve(at+".valueFrom", "the secret "+v.Name, v.ValueFrom); v.Value != nil {
				c.set.Secrets = append(c.set.Secrets, event.Secret{Name: "spec.env.secrets." + v.Name, Value: *v.Value, Credential: true})
			}
		case r != nil:
			if ns := s.Namespace.Value; r.Namespace != "" && ns != nil && r.Namespace != *ns {
				its := "" // what a reference leads to may be a secret
				if s.Namespace.ValueFrom == nil {
					its = fmt.Sprintf(" %q", short(c.doc.Original("spec.namespace", *ns)))
				}
				// Not by errorf, as the variable of another field is no unfilled one.
				c.findings = append(c.findings, c.doc.Finding(event.Error, at+".secretRef.namespace",
					fmt.Sprintf("%q is not the job's namespace%s, and a pod can read only Secrets of its own", short(r.Namespace), its), "copy the Secret into the job's namespace"))
			}
		}
	}
}

// sources are the alternatives of a field, and which are given.
type sources []struct {
	name  string
	given bool
}

// oneOf wants exactly one source.
func (c *checker) oneOf(at string, alternatives sources) bool {
	var names, given []string
	for _, a := range alternatives {
		names = append(names, a.name)
		if a.given {
			given = append(given, a.name)
		}
	}
	switch len(given) {
	case 0:
		c.errorf(at, "", "needs one of %s", strings.Join(names, ", "))
	case 1:
		return true
	default:
		c.errorf(at, "keep one", "has more than one of them: %s", strings.Join(given, ", "))
	}
	return false
}

func (c *checker) mounts(s *Spec) {
	byName := map[string]int{}
	for i, m := range s.VolumeMounts {
		at := fmt.Sprintf("spec.volumeMounts[%d]", i)
		if !path.IsAbs(m.MountPath) {
			c.errorf(at+".mountPath", "", "%q must be an absolute path", short(m.MountPath))
		}
		if !c.oneOf(at, sources{{"configMap", m.ConfigMap != nil}, {"secret", m.Secret != nil}, {"hostPath", m.HostPath != nil}, {"emptyDir", m.EmptyDir != nil}, {"pvc", m.PVC != nil}}) {
			continue
		}
		c.source(at, m, s.ConfigMaps)
		if first, again := byName[m.Name]; again {
			other := s.VolumeMounts[first]
			same := func(m VolumeMount) VolumeMount {
				return VolumeMount{ConfigMap: m.ConfigMap, Secret: m.Secret, HostPath: m.HostPath, EmptyDir: m.EmptyDir, PVC: m.PVC}
			}
			if !reflect.DeepEqual(same(other), same(m)) {
				c.errorf(at+".name", "give one of them another name", "%q is the volume of spec.volumeMounts[%d] too, with another source", m.Name, first)
			}
		} else {
			byName[m.Name] = i
		}
	}
}

func (c *checker) source(at string, m VolumeMount, own map[string]string) {
	if f := m.file(); f != nil {
		kind := ".configMap"
		if m.Secret != nil {
			kind = ".secret"
		}
		at += kind
		if f.Key == "" && f.Path != "" {
			c.errorf(at+".path", "name the key that becomes this file", "has no meaning without key")
		}
		if _, ours := own[f.Name]; ours && m.ConfigMap != nil && f.Key != "" && f.Key != f.Name {
			c.errorf(at+".key", fmt.Sprintf("did you mean %q?", f.Name), "%q is not in the ConfigMap of spec.configMaps, whose one key is its name", short(f.Key))
		}
	}
	if e := m.EmptyDir; e != nil {
		c.quantity(at+".emptyDir.sizeLimit", e.SizeLimit)
	}
}
