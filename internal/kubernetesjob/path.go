package kubernetesjob

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// inJob are the fields of the Job that stand elsewhere in a KubernetesJob, the longest paths first.
var inJob = []struct{ job, own string }{
	{"metadata.namespace", "spec.namespace"},
	{"metadata.labels[planton.ai/id]", "metadata.id"},
	{"metadata.labels[planton.ai/name]", "metadata.name"},
	{"metadata.labels[planton.ai/organization]", "metadata.org"},
	{"metadata.labels[planton.ai/environment]", "metadata.env"},
	{"spec.template.spec.containers[0].", "spec."},
	{"spec.template.spec.imagePullSecrets[0].name", "spec.image.pullSecretName"},
	{"spec.template.spec.", "spec."},
	{"spec.template.", "spec."},
}

var item = regexp.MustCompile(`^spec\.(env|envFrom|volumes)\[(\d+)\](.*)$`)

// Path is where the KubernetesJob has what Objects wrote into the Job at this path, as near as there is such a place.
func (k *KubernetesJob) Path(path string) string {
	if inPod, ok := strings.CutPrefix(path, "spec.template.metadata"); ok {
		path = "metadata" + inPod
	}
	for _, t := range inJob {
		if rest, ok := strings.CutPrefix(path, t.job); ok {
			path = t.own + rest
			break
		}
	}
	m := item.FindStringSubmatch(path)
	if m == nil {
		return path
	}
	i, err := strconv.Atoi(m[2])
	switch rest := m[3]; {
	case err != nil:
	case m[1] == "env":
		return k.variable(i, rest)
	case m[1] == "envFrom":
		return "spec.env." + strings.TrimPrefix(path, "spec.")
	default:
		return k.volume(i, rest)
	}
	return path
}

// variable is where the Job's variable of this number is.
func (k *KubernetesJob) variable(i int, rest string) string {
	env := &k.Spec.Env
	all := env.vars("")
	if i >= len(all) {
		return "spec.env"
	}
	name := all[i].Name
	secret := items(k.doc, "spec.env.secrets")
	for j, s := range env.Secrets {
		if s.Name == name {
			return secret(j, name) + strings.Replace(rest, ".valueFrom.secretKeyRef", ".secretRef", 1)
		}
	}
	variable := items(k.doc, "spec.env.variables")
	for j, v := range env.Variables {
		if v.Name == name {
			return variable(j, name) + strings.Replace(rest, ".valueFrom", "", 1)
		}
	}
	return "spec.env" // one that every container has
}

// volume is where the Job's volume of this number is: the mount that names it first.
func (k *KubernetesJob) volume(i int, rest string) string {
	var names []string
	for j, m := range k.Spec.VolumeMounts {
		if slices.Contains(names, m.Name) {
			continue
		}
		if names = append(names, m.Name); len(names) <= i {
			continue
		}
		file := ".key" // which is the file's name too
		if f := m.file(); f != nil && f.Path != "" {
			file = ".path"
		}
		return fmt.Sprintf("spec.volumeMounts[%d]", j) + strings.NewReplacer(".secret.secretName", ".secret.name",
			".persistentVolumeClaim", ".pvc", ".items[0].key", ".key", ".items[0].path", file).Replace(rest)
	}
	return "spec.volumeMounts"
}
