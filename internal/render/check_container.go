package render

import (
	"fmt"
	"regexp"
	"strings"

	// The digests of image references are checked only for the algorithms that are linked in (go-digest, Algorithm.Available).
	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/kubernetesjob"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

func (c *checker) container(k *corev1.Container, volumes []string, names sets.Set[string], at *field.Path) {
	c.name(at.Child("name"), k.Name, validation.IsDNS1123Label)
	if k.Name != "" && names.Has(k.Name) {
		c.invalid(at.Child("name"), "there are two containers %q", k.Name)
	}
	names.Insert(k.Name)
	c.image(k.Image, at.Child("image"))
	word(c, at.Child("imagePullPolicy"), k.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
	word(c, at.Child("terminationMessagePolicy"), k.TerminationMessagePolicy, corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)
	for i, e := range k.Env {
		c.env(e, k.Env, at.Child("env").Index(i))
	}
	for i, e := range k.EnvFrom {
		c.envFrom(e, at.Child("envFrom").Index(i))
	}
	c.mounts(k, volumes, at.Child("volumeMounts"))
	c.resources(k.Resources, at.Child("resources"))
}

// image refuses what no kubelet can pull. The API server takes any text here; the kubelet then refuses the pod with
// InvalidImageName by the rules of distribution/reference (pkg/util/parsers in kubernetes/kubernetes).
func (c *checker) image(image string, at *field.Path) {
	if image == "" {
		c.missing(at, "is required")
		return
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		p := c.invalid(at, "%q is no image reference: %s", image, strings.TrimPrefix(err.Error(), "invalid reference format: "))
		p.suggestion, p.derived = kubernetesjob.NearImage(image), true
		return
	}
	if manifest.Unfilled(image) != "" {
		c.unfilled(at)
	}
	tagged, ok := reference.TagNameOnly(named).(reference.Tagged)
	if _, digested := named.(reference.Digested); !digested && ok && tagged.Tag() == "latest" {
		c.add(event.Warning, at, "%q has no fixed tag: a later run may run something else", image).suggestion = "name a version or a digest"
	}
}

// wholeVariable is a variable of envsubst or a shell, neither of which reads the value of a variable.
var wholeVariable = regexp.MustCompile(`^\$(?:\{([A-Za-z_]\w*)(?::?[-+?=][^{}]*)?\}|([A-Z_][A-Z0-9_]*))$`)

// env checks a variable; all are those of its container.
func (c *checker) env(e corev1.EnvVar, all []corev1.EnvVar, at *field.Path) {
	c.name(at.Child("name"), e.Name, validation.IsRelaxedEnvVarName)
	if why := credential(e); why != "" {
		c.add(event.Warning, at.Child("value"), "%s looks like a credential in plain text, by %s", e.Name, why).suggestion = "keep it in a Secret, or give it as secret-env"
	}
	const asItIs = "%s gets these characters as they are: nothing replaces %s"
	if m := wholeVariable.FindStringSubmatch(e.Value); m != nil {
		name, way := m[1]+m[2], ""
		if len(e.Value) > len("${}")+len(name) {
			way = fmt.Sprintf("write ${%s} without a default, and ", name)
		}
		c.add(event.Warning, at.Child("value"), asItIs, e.Name, e.Value).suggestion = fmt.Sprintf("%ssubstitute: %s; or write $(%s) for another variable of the container", way, name, name)
	} else if variable := ownVariable(e.Value, all); variable != "" {
		c.add(event.Warning, at.Child("value"), asItIs, e.Name, variable).suggestion = instead(variable)
	} else if manifest.LooksUnfilled(e.Value, true) {
		c.unfilled(at.Child("value"))
	}
	from := e.ValueFrom
	if from == nil {
		return
	}
	at = at.Child("valueFrom")
	switch given := sources(*from); {
	case len(given) == 0:
		c.missing(at, "needs one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef")
	case len(given) > 1:
		c.invalid(at, "has more than one source: %s", strings.Join(given, ", "))
	case e.Value != "":
		c.invalid(at, "cannot stand beside value")
	}
	if r := from.FieldRef; r != nil {
		if r.FieldPath == "" {
			c.missing(at.Child("fieldRef", "fieldPath"), "is required")
		} else if name, _, subscript := strings.Cut(r.FieldPath, "['"); !subscript || name != "metadata.labels" && name != "metadata.annotations" {
			word(c, at.Child("fieldRef", "fieldPath"), r.FieldPath, "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
				"spec.host", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")
		}
	}
	if r := from.ResourceFieldRef; r != nil {
		if r.Resource == "" {
			c.missing(at.Child("resourceFieldRef", "resource"), "is required")
		} else if !strings.HasPrefix(r.Resource, "limits.hugepages-") && !strings.HasPrefix(r.Resource, "requests.hugepages-") {
			word(c, at.Child("resourceFieldRef", "resource"), r.Resource, "limits.cpu", "limits.memory", "limits.ephemeral-storage",
				"requests.cpu", "requests.memory", "requests.ephemeral-storage")
		}
	}
	if r := from.ConfigMapKeyRef; r != nil {
		c.name(at.Child("configMapKeyRef", "name"), r.Name, validation.IsDNS1123Subdomain)
		c.name(at.Child("configMapKeyRef", "key"), r.Key, validation.IsConfigMapKey)
	}
	if r := from.SecretKeyRef; r != nil {
		c.name(at.Child("secretKeyRef", "name"), r.Name, validation.IsDNS1123Subdomain)
		c.name(at.Child("secretKeyRef", "key"), r.Key, validation.IsConfigMapKey)
	}
}

func (c *checker) envFrom(e corev1.EnvFromSource, at *field.Path) {
	if e.Prefix != "" {
		c.says(at.Child("prefix"), e.Prefix, validation.IsRelaxedEnvVarName(e.Prefix))
	}
	if (e.ConfigMapRef == nil) == (e.SecretRef == nil) {
		c.missing(at, "needs exactly one of configMapRef and secretRef")
	}
	if e.ConfigMapRef != nil {
		c.name(at.Child("configMapRef", "name"), e.ConfigMapRef.Name, validation.IsDNS1123Subdomain)
	}
	if e.SecretRef != nil {
		c.name(at.Child("secretRef", "name"), e.SecretRef.Name, validation.IsDNS1123Subdomain)
	}
}

func (c *checker) mounts(k *corev1.Container, volumes []string, at *field.Path) {
	paths := sets.New[string]()
	for i, m := range k.VolumeMounts {
		at := at.Index(i)
		if m.Name == "" {
			c.missing(at.Child("name"), "is required")
		} else {
			c.known(at.Child("name"), "volume", m.Name, volumes)
		}
		switch {
		case m.MountPath == "":
			c.missing(at.Child("mountPath"), "is required")
		case paths.Has(m.MountPath):
			c.invalid(at.Child("mountPath"), "%q is mounted twice in container %q", m.MountPath, k.Name)
		}
		paths.Insert(m.MountPath)
		c.inside(at.Child("subPath"), m.SubPath)
		c.inside(at.Child("subPathExpr"), m.SubPathExpr)
	}
}

func (c *checker) resources(r corev1.ResourceRequirements, at *field.Path) {
	for name, q := range sorted(r.Limits) {
		c.quantity(name, q, key(at.Child("limits"), string(name)))
	}
	for name, q := range sorted(r.Requests) {
		at := key(at.Child("requests"), string(name))
		c.quantity(name, q, at)
		if limit, ok := r.Limits[name]; ok && q.Cmp(limit) > 0 {
			c.invalid(at, "%s is more than the limit %s", q.String(), limit.String())
		}
	}
}

func (c *checker) quantity(name corev1.ResourceName, q resource.Quantity, at *field.Path) {
	if !strings.Contains(string(name), "/") && !strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
		word(c, at, name, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage)
	}
	if q.Sign() < 0 {
		c.invalid(at, "%s must not be negative", q.String())
	}
	if name == corev1.ResourceMemory && q.MilliValue()%1000 != 0 && q.Cmp(resource.MustParse("1k")) < 0 {
		c.add(event.Warning, at, "%s is a fraction of a byte", q.String()).suggestion = "did you mean Mi instead of m?"
	}
}
