package render

import (
	"path"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/planton/kubernetes-job-action/internal/event"
)

func (c *checker) pod(pod *corev1.PodSpec, at *field.Path) {
	volumes := c.volumes(pod.Volumes, at.Child("volumes"))
	if len(pod.Containers) == 0 {
		c.missing(at.Child("containers"), "needs at least one container")
	}
	names := sets.New[string]()
	for i := range pod.Containers {
		c.container(&pod.Containers[i], volumes, names, at.Child("containers").Index(i))
	}
	for i := range pod.InitContainers {
		c.container(&pod.InitContainers[i], volumes, names, at.Child("initContainers").Index(i))
	}
	if pod.Resources != nil {
		c.resources(*pod.Resources, at.Child("resources"))
	}
	if pod.ServiceAccountName != "" {
		c.says(at.Child("serviceAccountName"), pod.ServiceAccountName, validation.IsDNS1123Subdomain(pod.ServiceAccountName))
	}
	for i, secret := range pod.ImagePullSecrets {
		c.name(at.Child("imagePullSecrets").Index(i).Child("name"), secret.Name, validation.IsDNS1123Subdomain)
	}
	least(c, at.Child("activeDeadlineSeconds"), pod.ActiveDeadlineSeconds, 1)
	word(c, at.Child("dnsPolicy"), pod.DNSPolicy, corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault, corev1.DNSNone)
}

func containerNames(pod *corev1.PodSpec) []string {
	var names []string
	for c := range containers(pod) {
		names = append(names, c.Name)
	}
	return names
}

// volumes checks the volumes and gives the names of them.
func (c *checker) volumes(volumes []corev1.Volume, at *field.Path) []string {
	var names []string
	for i := range volumes {
		v, at := &volumes[i], at.Index(i)
		c.name(at.Child("name"), v.Name, validation.IsDNS1123Label)
		if slices.Contains(names, v.Name) {
			c.invalid(at.Child("name"), "there are two volumes %q", v.Name)
		}
		names = append(names, v.Name)
		switch given := sources(v.VolumeSource); len(given) {
		case 1:
		case 0:
			c.add(event.Warning, at, "volume %q has no source and will be an empty directory", v.Name).suggestion = "write emptyDir: {}, or the source that is meant"
		default:
			c.invalid(at, "has more than one source: %s", strings.Join(given, ", "))
		}
		switch {
		case v.Secret != nil:
			c.name(at.Child("secret", "secretName"), v.Secret.SecretName, validation.IsDNS1123Subdomain)
			c.files(v.Secret.Items, v.Secret.DefaultMode, at.Child("secret"))
		case v.ConfigMap != nil:
			c.name(at.Child("configMap", "name"), v.ConfigMap.Name, validation.IsDNS1123Subdomain)
			c.files(v.ConfigMap.Items, v.ConfigMap.DefaultMode, at.Child("configMap"))
		case v.PersistentVolumeClaim != nil:
			c.name(at.Child("persistentVolumeClaim", "claimName"), v.PersistentVolumeClaim.ClaimName, validation.IsDNS1123Subdomain)
		case v.EmptyDir != nil && !strings.HasPrefix(string(v.EmptyDir.Medium), string(corev1.StorageMediumHugePages)):
			word(c, at.Child("emptyDir", "medium"), v.EmptyDir.Medium, corev1.StorageMediumMemory)
		}
	}
	return names
}

// files checks what a ConfigMap or Secret becomes in a volume.
func (c *checker) files(items []corev1.KeyToPath, mode *int32, at *field.Path) {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		c.invalid(at.Child("defaultMode"), "%d is no file mode; write 0 to 0777 (octal) or 511 (decimal)", *mode)
	}
	for i, item := range items {
		at := at.Child("items").Index(i)
		c.name(at.Child("key"), item.Key, validation.IsConfigMapKey)
		c.inside(at.Child("path"), item.Path)
	}
}

// inside wants a relative path that stays in its volume.
func (c *checker) inside(at *field.Path, p string) {
	switch {
	case path.IsAbs(p):
		c.invalid(at, "%q must be a relative path", p)
	case slices.Contains(strings.Split(p, "/"), ".."):
		c.invalid(at, "%q must not contain '..'", p)
	}
}

// sources are the names of those fields of a struct of alternatives that are given.
func sources(alternatives any) []string {
	var names []string
	v := reflect.ValueOf(alternatives)
	for i := range v.NumField() {
		if !v.Field(i).IsNil() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	return names
}
