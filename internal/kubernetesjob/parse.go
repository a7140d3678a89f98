package kubernetesjob

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	// The digests of image references are checked only for the algorithms that are linked in (go-digest, Algorithm.Available).
	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/distribution/reference"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// Parse reads a KubernetesJob strictly: defaults are set and references are resolved in what it returns. set is where they are
// looked up. With findings of level Error the job is nil.
func Parse(doc *manifest.Document, set *manifest.Set) (*KubernetesJob, []event.Finding) {
	k := &KubernetesJob{doc: doc}
	wrong := doc.DecodeProtobuf(k)
	for i, f := range wrong {
		wrong[i].Suggestion = cmp.Or(ownWay(f.Path), f.Suggestion)
	}
	k.setDefaults()
	c := &checker{doc: doc, set: set}
	c.metadata(k)
	c.spec(&k.Spec)
	// What could not be read is not missing, or empty, as well.
	c.findings = slices.DeleteFunc(c.findings, func(f event.Finding) bool {
		return slices.ContainsFunc(wrong, func(w event.Finding) bool {
			return within(w.Path, f.Path) || within(f.Path, w.Path)
		})
	})
	c.findings = append(wrong, c.findings...)
	slices.SortStableFunc(c.findings, func(a, b event.Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if event.HasErrors(c.findings) {
		return nil, c.findings
	}
	return k, c.findings
}

// within tells whether a path is that of the parent or of something in it.
func within(path, parent string) bool {
	rest, ok := strings.CutPrefix(path, parent)
	return ok && (rest == "" || parent == "" || rest[0] == '.' || rest[0] == '[')
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

// checker makes the checks that the API server, or the kubelet, would make of what the job becomes.
type checker struct {
	doc      *manifest.Document
	set      *manifest.Set
	findings []event.Finding
}

// maxProblems is how many problems of one document are told.
const maxProblems = 100

func (c *checker) errorf(path, suggestion, format string, args ...any) {
	if len(c.findings) == maxProblems {
		return
	}
	c.findings = append(c.findings, c.doc.Finding(event.Error, path, fmt.Sprintf(format, args...), suggestion))
}

// valid adds what one of the Is… functions of apimachinery says about value. An empty value is a matter of struct tags.
func (c *checker) valid(path, value string, check func(string) []string) {
	if value == "" {
		return
	}
	for _, message := range check(value) {
		c.errorf(path, "", "%q is invalid: %s", short(value), manifest.Plain(message))
	}
}

func short(s string) string { return event.Shorten(s, 80) }

func (c *checker) metadata(k *KubernetesJob) {
	m := k.Metadata
	c.valid("metadata.name", m.Name, validation.IsDNS1123Label)
	for _, l := range []struct{ path, value string }{{"metadata.id", m.ID}, {"metadata.org", m.Org}, {"metadata.env", m.Env}} {
		c.valid(l.path, l.value, validation.IsValidLabelValue)
	}
	for _, key := range slices.Sorted(maps.Keys(m.Labels)) {
		value, at := m.Labels[key], manifest.Key("metadata.labels", key)
		c.valid(at, key, validation.IsQualifiedName)
		c.valid(at, value, validation.IsValidLabelValue)
	}
	// An annotation's key may have capital letters (pkg/api/validation, ValidateAnnotations).
	for _, key := range slices.Sorted(maps.Keys(m.Annotations)) {
		c.valid(manifest.Key("metadata.annotations", key), strings.ToLower(key), validation.IsQualifiedName)
	}
	if err := apivalidation.ValidateAnnotationsSize(m.Annotations); err != nil {
		c.errorf("metadata.annotations", "", "%v", err)
	}
}

func (c *checker) spec(s *Spec) {
	c.namespace(s)
	c.image(s.Image)
	c.resources(s)
	c.env(s)
	if s.CompletionMode == "Indexed" && s.Parallelism > 100_000 {
		c.errorf("spec.parallelism", "", "%d is too large: an Indexed Job runs 100000 pods at once at most", s.Parallelism) // pkg/apis/batch/validation, maxParallelismForIndexedJob
	}
	for _, name := range slices.Sorted(maps.Keys(s.ConfigMaps)) {
		text, at := s.ConfigMaps[name], manifest.Key("spec.configMaps", name)
		c.valid(at, name, validation.IsDNS1123Subdomain)
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
		}
	}
	switch ns := s.Namespace.Value; {
	case ns == nil:
	case *ns == "":
		c.errorf(at, "name the namespace that the job runs in", "is empty")
	default:
		c.valid(at, *ns, validation.IsDNS1123Label)
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
	c.valid("spec.image.pullSecretName", i.PullSecretName, validation.IsDNS1123Subdomain)
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
		suggestion := ""
		if low := strings.ToLower(i.Repo); low != i.Repo {
			if _, err := reference.ParseNormalizedNamed(low); err == nil {
				suggestion = fmt.Sprintf("did you mean %q?", low)
			}
		}
		c.errorf("spec.image.repo", suggestion, "%q is no image repository: %s", short(i.Repo), strings.TrimPrefix(err.Error(), "invalid reference format: "))
		return
	}
	if !reference.IsNameOnly(repo) {
		c.errorf("spec.image.repo", "put it into spec.image.tag", "%q has a tag or a digest of its own", short(i.Repo))
	}
}

// quantity reads an amount; the API server takes no negative one.
func (c *checker) quantity(at, text string) (q resource.Quantity, ok bool) {
	if text == "" {
		return q, false
	}
	q, err := manifest.ParseQuantity(text)
	switch {
	case err != nil:
		c.errorf(at, `write a number with a unit: "500m", "2", "512Mi", "4Gi"`, "%q is not a quantity", short(text))
		return q, false
	case q.Sign() < 0:
		c.errorf(at, "", "%s must not be negative", text)
		return q, false
	}
	return q, true
}

func (c *checker) resources(s *Spec) {
	for _, r := range []struct{ name, limit, request string }{{"cpu", s.Resources.Limits.CPU, s.Resources.Requests.CPU}, {"memory", s.Resources.Limits.Memory, s.Resources.Requests.Memory}} {
		limit, limited := c.quantity("spec.resources.limits."+r.name, r.limit)
		request, requested := c.quantity("spec.resources.requests."+r.name, r.request)
		if limited && requested && request.Cmp(limit) > 0 {
			c.errorf("spec.resources.requests."+r.name, "", "%s is more than the limit %s", r.request, r.limit)
		}
	}
}

// items gives the path of a variable below path: its name's when the file has a mapping, its number's when it has a list.
func (c *checker) items(path string) func(i int, name string) string {
	if c.doc.Fields(path) != nil {
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
	variable, secret := c.items("spec.env.variables"), c.items("spec.env.secrets")
	for i := range s.Env.Variables {
		v := &s.Env.Variables[i]
		at := variable(i, v.Name)
		name(at, v.Name)
		if !c.oneOf(at, sources{{"value", v.Value != nil}, {"valueFrom", v.ValueFrom != nil}, {"configMapKeyRef", v.ConfigMapKeyRef != nil}, {"fieldRef", v.FieldRef != nil}, {"resourceFieldRef", v.ResourceFieldRef != nil}}) {
			continue
		}
		switch {
		case v.ValueFrom != nil:
			v.Value = c.resolve(at+".valueFrom", "the variable "+v.Name, v.ValueFrom)
		case v.ConfigMapKeyRef != nil:
			c.valid(at+".configMapKeyRef.name", v.ConfigMapKeyRef.Name, validation.IsDNS1123Subdomain)
			c.valid(at+".configMapKeyRef.key", v.ConfigMapKeyRef.Key, validation.IsConfigMapKey)
		case v.FieldRef != nil:
			c.fieldRef(at+".fieldRef", v.FieldRef)
		case v.ResourceFieldRef != nil:
			c.resourceFieldRef(at+".resourceFieldRef", v.ResourceFieldRef)
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
			v.Value = c.resolve(at+".valueFrom", "the secret "+v.Name, v.ValueFrom)
		case r != nil:
			c.valid(at+".secretRef.name", r.Name, validation.IsDNS1123Subdomain)
			c.valid(at+".secretRef.key", r.Key, validation.IsConfigMapKey)
			if ns := s.Namespace.Value; r.Namespace != "" && ns != nil && r.Namespace != *ns {
				c.errorf(at+".secretRef.namespace", "copy the Secret into the job's namespace", "%q is not the job's namespace %q, and a pod can read only Secrets of its own", short(r.Namespace), short(*ns))
			}
		}
	}
	for i, f := range s.Env.EnvFrom {
		at := fmt.Sprintf("spec.env.envFrom[%d]", i)
		c.valid(at+".prefix", f.Prefix, validation.IsEnvVarName)
		if c.exactlyOne(at, f.ConfigMapRef != nil, f.SecretRef != nil, "configMapRef", "secretRef") {
			ref, kind := f.ConfigMapRef, "configMapRef"
			if ref == nil {
				ref, kind = f.SecretRef, "secretRef"
			}
			c.valid(at+"."+kind+".name", ref.Name, validation.IsDNS1123Subdomain)
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

// The fields that a variable can have (pkg/apis/core/validation, validEnvDownwardAPIFieldPathExpressions and
// validContainerResourceFieldPathExpressions).
var (
	podFields      = []string{"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}
	resourceFields = []string{"limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage"}
)

func (c *checker) word(at, value string, allowed []string) {
	if !slices.Contains(allowed, value) {
		suggestion := ""
		if near := manifest.Closest(value, allowed); near != "" {
			suggestion = fmt.Sprintf("did you mean %q?", near)
		}
		c.errorf(at, suggestion, "%q is not one of %s", short(value), strings.Join(allowed, ", "))
	}
}

func (c *checker) fieldRef(at string, r *FieldRef) {
	if name, _, ok := strings.Cut(r.FieldPath, "['"); ok && strings.HasSuffix(r.FieldPath, "']") && (name == "metadata.labels" || name == "metadata.annotations") {
		return
	}
	c.word(at+".fieldPath", r.FieldPath, podFields)
	if r.APIVersion != "" {
		c.word(at+".apiVersion", r.APIVersion, []string{"v1"})
	}
}

func (c *checker) resourceFieldRef(at string, r *ResourceFieldRef) {
	if !strings.HasPrefix(r.Resource, "limits.hugepages-") && !strings.HasPrefix(r.Resource, "requests.hugepages-") {
		c.word(at+".resource", r.Resource, resourceFields)
	}
	if r.ContainerName != "" {
		c.word(at+".containerName", r.ContainerName, []string{ContainerName})
	}
	c.quantity(at+".divisor", r.Divisor)
}

func (c *checker) mounts(s *Spec) {
	byName, byPath := map[string]int{}, map[string]int{}
	for i, m := range s.VolumeMounts {
		at := fmt.Sprintf("spec.volumeMounts[%d]", i)
		c.valid(at+".name", m.Name, validation.IsDNS1123Label)
		if !path.IsAbs(m.MountPath) {
			c.errorf(at+".mountPath", "", "%q must be an absolute path", short(m.MountPath))
		}
		if first, again := byPath[path.Clean(m.MountPath)]; again {
			c.errorf(at+".mountPath", "", "%q is mounted twice: spec.volumeMounts[%d] has it too", short(m.MountPath), first)
		}
		byPath[path.Clean(m.MountPath)] = i
		c.inside(at+".subPath", m.SubPath)
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

// inside wants a relative path that stays in its volume.
func (c *checker) inside(at, p string) {
	switch {
	case path.IsAbs(p):
		c.errorf(at, "", "%q must be a relative path", short(p))
	case slices.Contains(strings.Split(p, "/"), ".."):
		c.errorf(at, "", `%q must not contain ".."`, short(p))
	}
}

func (c *checker) source(at string, m VolumeMount, own map[string]string) {
	if f := m.file(); f != nil {
		kind := ".configMap"
		if m.Secret != nil {
			kind = ".secret"
		}
		at += kind
		c.valid(at+".name", f.Name, validation.IsDNS1123Subdomain)
		if f.Key != "" {
			c.valid(at+".key", f.Key, validation.IsConfigMapKey)
			c.inside(at+".path", f.fileName())
		} else if f.Path != "" {
			c.errorf(at+".path", "name the key that becomes this file", "has no meaning without key")
		}
		if _, ours := own[f.Name]; ours && m.ConfigMap != nil && f.Key != "" && f.Key != f.Name {
			c.errorf(at+".key", fmt.Sprintf("did you mean %q?", f.Name), "%q is not in the ConfigMap of spec.configMaps, whose one key is its name", short(f.Key))
		}
	}
	if h := m.HostPath; h != nil && slices.Contains(strings.Split(h.Path, "/"), "..") {
		c.errorf(at+".hostPath.path", "", `%q must not contain ".."`, short(h.Path))
	}
	if e := m.EmptyDir; e != nil {
		c.quantity(at+".emptyDir.sizeLimit", e.SizeLimit)
	}
	if p := m.PVC; p != nil {
		c.valid(at+".pvc.claimName", p.ClaimName, validation.IsDNS1123Subdomain)
	}
}
