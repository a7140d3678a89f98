package kubernetesjob

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// ContainerName is the name of the Job's only container.
const ContainerName = "job-container"

// Objects are what a KubernetesJob becomes. None of them has an owner yet.
type Objects struct {
	Job             *batchv1.Job
	EnvSecret       *corev1.Secret // nil when there is no literal secret; named <job name>-env-secrets
	ConfigMaps      []*corev1.ConfigMap
	CreateNamespace bool
	Cluster         string          // targetCluster.clusterName, "" without one
	Notes           []event.Finding // readings that were chosen, of level Info
}

// Objects makes the objects. jobName is the name of the Job with the suffix of the run. What Parse had errors for is left out.
func (k *KubernetesJob) Objects(jobName string) *Objects {
	spec := &k.Spec
	o := &Objects{CreateNamespace: spec.CreateNamespace, Cluster: spec.TargetCluster.ClusterName}
	namespace := ""
	if spec.Namespace.Value != nil {
		namespace = *spec.Namespace.Value
	}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: k.labels(nil)}
	}
	pod := corev1.PodSpec{RestartPolicy: corev1.RestartPolicy(spec.RestartPolicy)}
	if spec.Image.PullSecretName != "" {
		pod.ImagePullSecrets = []corev1.LocalObjectReference{{Name: spec.Image.PullSecretName}}
	}
	secretName := jobName + "-env-secrets"
	container := corev1.Container{
		Name:      ContainerName,
		Image:     spec.Image.ref(),
		Command:   spec.Command,
		Args:      spec.Args,
		Env:       spec.Env.vars(secretName),
		EnvFrom:   spec.Env.from(),
		Resources: spec.Resources.requirements(),
	}
	for i, m := range spec.VolumeMounts {
		mount := corev1.VolumeMount{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly, SubPath: m.SubPath}
		at := fmt.Sprintf("spec.volumeMounts[%d].mountPath", i)
		if f := m.file(); f != nil && f.Key != "" && m.SubPath == "" {
			if path.Base(m.MountPath) == f.fileName() && !strings.HasSuffix(m.MountPath, "/") {
				mount.SubPath = f.fileName()
				o.note(k, at, fmt.Sprintf("read as a file: %s holds the key %q of %q", m.MountPath, f.Key, f.Name))
			} else {
				o.note(k, at, fmt.Sprintf("read as a folder: %s holds the key %q of %q as the file %s", m.MountPath, f.Key, f.Name, f.fileName()))
			}
		}
		container.VolumeMounts = append(container.VolumeMounts, mount)
		if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) {
			pod.Volumes = append(pod.Volumes, corev1.Volume{Name: m.Name, VolumeSource: m.source()})
		}
	}
	pod.Containers = []corev1.Container{container}

	mode := batchv1.CompletionMode(spec.CompletionMode)
	o.Job = &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: meta(jobName),
		Spec: batchv1.JobSpec{
			Parallelism:    &spec.Parallelism,
			Completions:    &spec.Completions,
			BackoffLimit:   spec.BackoffLimit,
			CompletionMode: &mode,
			Suspend:        &spec.Suspend,
			Template:       corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: k.labels(k.Metadata.Labels), Annotations: maps.Clone(k.Metadata.Annotations)}, Spec: pod},
		},
	}
	o.Job.Labels = k.labels(k.Metadata.Labels)
	o.Job.Annotations = maps.Clone(k.Metadata.Annotations)
	if spec.ActiveDeadlineSeconds > 0 {
		o.Job.Spec.ActiveDeadlineSeconds = &spec.ActiveDeadlineSeconds
	}
	if spec.TTLSecondsAfterFinished > 0 {
		o.Job.Spec.TTLSecondsAfterFinished = &spec.TTLSecondsAfterFinished
	}
	o.Job = o.Job.DeepCopy() // shares nothing with k

	for _, s := range spec.Env.Secrets {
		if s.Value == nil {
			continue
		}
		if o.EnvSecret == nil {
			o.EnvSecret = &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: meta(secretName), Type: corev1.SecretTypeOpaque, StringData: map[string]string{}}
		}
		o.EnvSecret.StringData[s.Name] = *s.Value
	}
	for _, name := range slices.Sorted(maps.Keys(spec.ConfigMaps)) {
		o.ConfigMaps = append(o.ConfigMaps, &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: meta(name), Data: map[string]string{name: spec.ConfigMaps[name]}})
	}
	return o
}

func (o *Objects) note(k *KubernetesJob, path, message string) {
	o.Notes = append(o.Notes, k.doc.Finding(event.Info, path, message, ""))
}

// labels are what the platform finds its objects by, on every object and on the pods, and the user's own, which lose.
func (k *KubernetesJob) labels(own map[string]string) map[string]string {
	labels := maps.Clone(own)
	if labels == nil {
		labels = map[string]string{}
	}
	labels["planton.ai/resource"] = "true"
	labels["planton.ai/name"] = k.Metadata.Name
	labels["planton.ai/kind"] = Kind
	for key, value := range map[string]string{"planton.ai/id": k.Metadata.ID, "planton.ai/organization": k.Metadata.Org, "planton.ai/environment": k.Metadata.Env} {
		if value != "" {
			labels[key] = value
		}
	}
	return labels
}

// vars are the container's variables in their order: ours, the plain ones, the secret ones.
func (e Env) vars(secretName string) []corev1.EnvVar {
	var vars []corev1.EnvVar
	taken := map[string]bool{}
	for _, v := range e.Variables {
		taken[v.Name] = true
	}
	for _, s := range e.Secrets {
		taken[s.Name] = true
	}
	for _, own := range []struct{ name, field string }{{"HOSTNAME", "status.podIP"}, {"K8S_POD_ID", "metadata.name"}} {
		if !taken[own.name] {
			vars = append(vars, corev1.EnvVar{Name: own.name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: own.field}}})
		}
	}
	for _, v := range e.Variables {
		out := corev1.EnvVar{Name: v.Name}
		switch {
		case v.Value != nil:
			out.Value = *v.Value
		case v.ConfigMapKeyRef != nil:
			r := v.ConfigMapKeyRef
			out.ValueFrom = &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: r.Name}, Key: r.Key, Optional: r.Optional}}
		case v.FieldRef != nil:
			out.ValueFrom = &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: v.FieldRef.APIVersion, FieldPath: v.FieldRef.FieldPath}}
		case v.ResourceFieldRef != nil:
			r := v.ResourceFieldRef
			out.ValueFrom = &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{ContainerName: r.ContainerName, Resource: r.Resource}}
			if divisor, err := manifest.ParseQuantity(r.Divisor); err == nil {
				out.ValueFrom.ResourceFieldRef.Divisor = divisor
			}
		}
		vars = append(vars, out)
	}
	for _, s := range e.Secrets {
		ref := corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: secretName}, Key: s.Name}
		if r := s.SecretRef; r != nil {
			ref = corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: r.Name}, Key: r.Key, Optional: r.Optional}
		}
		vars = append(vars, corev1.EnvVar{Name: s.Name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &ref}})
	}
	return vars
}

func (e Env) from() []corev1.EnvFromSource {
	var from []corev1.EnvFromSource
	for _, f := range e.EnvFrom {
		out := corev1.EnvFromSource{Prefix: f.Prefix}
		if r := f.ConfigMapRef; r != nil {
			out.ConfigMapRef = &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: r.Name}, Optional: r.Optional}
		}
		if r := f.SecretRef; r != nil {
			out.SecretRef = &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: r.Name}, Optional: r.Optional}
		}
		from = append(from, out)
	}
	return from
}

func (r *Resources) requirements() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Limits: r.Limits.list(), Requests: r.Requests.list()}
}

func (c CPUMemory) list() corev1.ResourceList {
	var list corev1.ResourceList
	for name, text := range map[corev1.ResourceName]string{corev1.ResourceCPU: c.CPU, corev1.ResourceMemory: c.Memory} {
		if q, err := manifest.ParseQuantity(text); err == nil {
			if list == nil {
				list = corev1.ResourceList{}
			}
			list[name] = q
		}
	}
	return list
}

// ref is the image as Kubernetes wants it.
func (i Image) ref() string {
	switch {
	case i.Repo == "" || i.Tag == "":
		return i.Repo
	case digest(i.Tag):
		return i.Repo + "@" + i.Tag
	}
	return i.Repo + ":" + i.Tag
}

// file is the ConfigMap or Secret of a mount, nil when it has another source.
func (m VolumeMount) file() *FileSource {
	if m.ConfigMap != nil {
		return m.ConfigMap
	}
	return m.Secret
}

// fileName is what the key of a source is called as a file.
func (f *FileSource) fileName() string {
	if f.Path != "" {
		return f.Path
	}
	return f.Key
}

func (f *FileSource) items() []corev1.KeyToPath {
	if f.Key == "" {
		return nil
	}
	return []corev1.KeyToPath{{Key: f.Key, Path: f.fileName()}}
}

func (m VolumeMount) source() corev1.VolumeSource {
	switch {
	case m.ConfigMap != nil:
		return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: m.ConfigMap.Name}, Items: m.ConfigMap.items(), DefaultMode: m.ConfigMap.DefaultMode}}
	case m.Secret != nil:
		return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: m.Secret.Name, Items: m.Secret.items(), DefaultMode: m.Secret.DefaultMode}}
	case m.HostPath != nil:
		source := &corev1.HostPathVolumeSource{Path: m.HostPath.Path}
		if t := corev1.HostPathType(m.HostPath.Type); t != "" {
			source.Type = &t
		}
		return corev1.VolumeSource{HostPath: source}
	case m.EmptyDir != nil:
		source := &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMedium(m.EmptyDir.Medium)}
		if limit, err := manifest.ParseQuantity(m.EmptyDir.SizeLimit); err == nil {
			source.SizeLimit = &limit
		}
		return corev1.VolumeSource{EmptyDir: source}
	case m.PVC != nil:
		return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: m.PVC.ClaimName, ReadOnly: m.PVC.ReadOnly}}
	}
	return corev1.VolumeSource{}
}
