// Package kubernetesjob is the KubernetesJob kind: its three dialects become one spec, and that becomes the objects of
// Kubernetes.
//
// The dialects differ in their apiVersion and in what their authors write, not in meaning: what one of them has is accepted
// in all three. Fields are read as protobuf's JSON mapping reads them (see manifest.Document.DecodeProtobuf). The JSON schema
// in docs/kubernetesjob.schema.json is made from the types and comments of this file.
package kubernetesjob

import (
	"slices"

	"github.com/planton/kubernetes-job-action/internal/manifest"
)

//go:generate go test -run TestSchemaFile -update .

// Kind is the kind in all dialects.
const Kind = "KubernetesJob"

// Is tells whether a document of this apiVersion and kind is a KubernetesJob.
func Is(apiVersion, kind string) bool {
	return kind == Kind && slices.Contains(manifest.KubernetesJobVersions(), apiVersion)
}

// A KubernetesJob runs one container image to completion in a Kubernetes cluster.
type KubernetesJob struct {
	// One of the three dialects; they mean the same.
	APIVersion string `json:"apiVersion" required:"true" enum:"kubernetes.project-planton.org/v1,kubernetes.openmcf.org/v1,kubernetes.planton.dev/v1"`
	// Always KubernetesJob.
	Kind string `json:"kind" required:"true" enum:"KubernetesJob"`
	// Who the job is.
	Metadata Metadata `json:"metadata" required:"true"`
	// What the job does.
	Spec Spec `json:"spec" required:"true"`
	// Accepted and not used: the state that a platform has written.
	Status any `json:"status,omitempty"`

	doc *manifest.Document
}

// Metadata says who the job is.
type Metadata struct {
	// Name of the Job: lower-case letters, digits and "-", 63 characters at most, the suffix of a run included.
	Name string `json:"name" required:"true" pattern:"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"`
	// Becomes the label planton.ai/id.
	ID string `json:"id,omitempty"`
	// Becomes the label planton.ai/organization.
	Org string `json:"org,omitempty"`
	// Becomes the label planton.ai/environment.
	Env string `json:"env,omitempty"`
	// Labels of the Job and its pods.
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations of the Job and its pods.
	Annotations map[string]string `json:"annotations,omitempty"`
	// Accepted and not used.
	Slug string `json:"slug,omitempty"`
	// Accepted and not used.
	Tags any `json:"tags,omitempty"`
	// Accepted and not used.
	Group any `json:"group,omitempty"`
	// Accepted and not used.
	Relationships any `json:"relationships,omitempty"`
}

// Spec says what the job does.
type Spec struct {
	// The cluster that the job belongs to. Its name picks the context of the kubeconfig.
	TargetCluster TargetCluster `json:"targetCluster,omitzero"`
	// The namespace that the job runs in: a name, or a reference to a KubernetesNamespace.
	Namespace Value `json:"namespace" required:"true"`
	// Create the namespace when it is missing. It is never deleted.
	CreateNamespace bool `json:"createNamespace,omitempty" default:"false"`
	// The container image.
	Image Image `json:"image" required:"true"`
	// CPU and memory of the container. Without this field: requests of 50m and 100Mi, limits of 1000m and 1Gi. A given field is taken as it is.
	Resources *Resources `json:"resources,omitempty"`
	// Environment variables of the container.
	Env Env `json:"env,omitzero"`
	// How many pods run at the same time. 0 counts as unset.
	Parallelism int32 `json:"parallelism,omitempty" min:"0" default:"1"`
	// How many pods must succeed. 0 counts as unset.
	Completions int32 `json:"completions,omitempty" min:"0" default:"1"`
	// How often a failed pod is replaced before the Job fails. 0: never.
	BackoffLimit *int32 `json:"backoffLimit,omitempty" min:"0" default:"6"`
	// Seconds after which the Job is ended. 0: never.
	ActiveDeadlineSeconds int64 `json:"activeDeadlineSeconds,omitempty" min:"0" default:"0"`
	// Seconds after its end when the Job is deleted. 0: never.
	TTLSecondsAfterFinished int32 `json:"ttlSecondsAfterFinished,omitempty" min:"0" default:"0"`
	// Indexed gives each pod a number of its own, in JOB_COMPLETION_INDEX.
	CompletionMode string `json:"completionMode,omitempty" enum:"NonIndexed,Indexed" default:"NonIndexed"`
	// OnFailure restarts a failed container in its pod, Never replaces the pod.
	RestartPolicy string `json:"restartPolicy,omitempty" enum:"Never,OnFailure" default:"Never"`
	// What the container runs, instead of the image's ENTRYPOINT.
	Command []string `json:"command,omitempty"`
	// Arguments of the command, instead of the image's CMD.
	Args []string `json:"args,omitempty"`
	// ConfigMaps to create, by name: one each, with one key that equals the name and this text.
	ConfigMaps map[string]string `json:"configMaps,omitempty"`
	// What is mounted into the container.
	VolumeMounts []VolumeMount `json:"volumeMounts,omitempty"`
	// Create the Job suspended: nothing runs until something resumes it.
	Suspend bool `json:"suspend,omitempty" default:"false"`
}

// TargetCluster names a cluster.
type TargetCluster struct {
	// What the cluster is.
	ClusterKind string `json:"clusterKind,omitempty" enum:"AwsEksCluster,GcpGkeCluster,AzureAksCluster,DigitalOceanKubernetesCluster,CivoKubernetesCluster"`
	// The name of a context of the kubeconfig, or of a cluster that a context of it has.
	ClusterName string `json:"clusterName,omitempty"`
}

// Image is a container image.
type Image struct {
	// The repository, with its registry: ghcr.io/example/migrate.
	Repo string `json:"repo" required:"true"`
	// The tag, or a digest: v1.2.0, sha256:….
	Tag string `json:"tag" required:"true"`
	// An existing Secret of the namespace with credentials for the registry.
	PullSecretName string `json:"pullSecretName,omitempty"`
}

// Resources are CPU and memory of the container.
type Resources struct {
	// The most that the container may use.
	Limits CPUMemory `json:"limits,omitzero"`
	// What a node must have left for the pod to be put on it.
	Requests CPUMemory `json:"requests,omitzero"`
}

// CPUMemory is an amount of CPU and memory.
type CPUMemory struct {
	// Cores, or thousandths of one: 2, 500m.
	CPU string `json:"cpu,omitempty"`
	// Bytes, with a unit: 512Mi, 4Gi.
	Memory string `json:"memory,omitempty"`
}

// Env is the container's environment.
type Env struct {
	// Variables in plain text, from references, or from what the cluster knows: by name, or as a list.
	Variables Variables `json:"variables,omitempty"`
	// Variables that are secret: by name, or as a list.
	Secrets Secrets `json:"secrets,omitempty"`
	// Whole ConfigMaps and Secrets whose keys become variables.
	EnvFrom []EnvFrom `json:"envFrom,omitempty"`
}

// Variables are environment variables, by name or as a list.
type Variables []Variable

// Keyed makes the keys of the mapping form the names.
func (Variables) Keyed() string { return "name" }

// Secrets are secret environment variables, by name or as a list.
type Secrets []SecretVariable

// Keyed makes the keys of the mapping form the names.
func (Secrets) Keyed() string { return "name" }

// Variable is an environment variable with exactly one source. A plain string is its value.
type Variable struct {
	// The variable's name.
	Name string `json:"name" required:"true" pattern:"^[A-Za-z_][A-Za-z0-9_]*$"`
	// The value itself.
	Value *string `json:"value,omitempty"`
	// A field of another resource.
	ValueFrom *Reference `json:"valueFrom,omitempty"`
	// A key of an existing ConfigMap.
	ConfigMapKeyRef *KeyRef `json:"configMapKeyRef,omitempty"`
	// A field of the pod.
	FieldRef *FieldRef `json:"fieldRef,omitempty"`
	// A resource limit or request of the container.
	ResourceFieldRef *ResourceFieldRef `json:"resourceFieldRef,omitempty"`
}

// Shorthand makes a plain string the value.
func (Variable) Shorthand() string { return "value" }

// SecretVariable is a secret environment variable with exactly one source.
type SecretVariable struct {
	// The variable's name.
	Name string `json:"name" required:"true" pattern:"^[A-Za-z_][A-Za-z0-9_]*$"`
	// The value itself; it is kept in a Secret that belongs to the Job.
	Value *string `json:"value,omitempty"`
	// A key of an existing Secret.
	SecretRef *SecretRef `json:"secretRef,omitempty"`
	// A field of another resource; its value is kept as value is.
	ValueFrom *Reference `json:"valueFrom,omitempty"`
}

// Value is a text or a reference to one. A plain string is the text.
type Value struct {
	// The text itself.
	Value *string `json:"value,omitempty"`
	// A field of another resource.
	ValueFrom *Reference `json:"valueFrom,omitempty"`
}

// Shorthand makes a plain string the value.
func (Value) Shorthand() string { return "value" }

// Reference is a field of another resource: of a document beside this one, or of one of the files in references.
type Reference struct {
	// The resource's kind, as KubernetesPostgres. For a namespace it may be left out: KubernetesNamespace.
	Kind string `json:"kind,omitempty"`
	// The resource's environment: its metadata.env.
	Env string `json:"env,omitempty"`
	// The resource's name: its metadata.name.
	Name string `json:"name" required:"true"`
	// The path of the field, as status.outputs.host. For a namespace it may be left out: spec.name.
	FieldPath string `json:"fieldPath,omitempty"`
	// The same as fieldPath.
	Field string `json:"field,omitempty"`
}

// KeyRef is a key of a ConfigMap in the Job's namespace.
type KeyRef struct {
	// The ConfigMap's name.
	Name string `json:"name" required:"true"`
	// The key in it.
	Key string `json:"key" required:"true"`
	// Start without the variable when the ConfigMap or the key is missing.
	Optional *bool `json:"optional,omitempty"`
}

// SecretRef is a key of a Secret in the Job's namespace.
type SecretRef struct {
	// The Job's own namespace: a pod cannot read Secrets of others.
	Namespace string `json:"namespace,omitempty"`
	// The Secret's name.
	Name string `json:"name" required:"true"`
	// The key in it.
	Key string `json:"key" required:"true"`
	// Start without the variable when the Secret or the key is missing.
	Optional *bool `json:"optional,omitempty"`
}

// FieldRef is a field of the pod, as in Kubernetes.
type FieldRef struct {
	// The version that fieldPath is written for.
	APIVersion string `json:"apiVersion,omitempty" default:"v1"`
	// The path of the field, as metadata.name or status.podIP.
	FieldPath string `json:"fieldPath" required:"true"`
}

// ResourceFieldRef is a resource limit or request of a container, as in Kubernetes.
type ResourceFieldRef struct {
	// The container; there is only job-container.
	ContainerName string `json:"containerName,omitempty"`
	// The resource, as limits.memory.
	Resource string `json:"resource" required:"true"`
	// The unit that the value is counted in: 1, 1m, 1Mi.
	Divisor string `json:"divisor,omitempty"`
}

// EnvFrom is a whole ConfigMap or Secret whose keys become variables: exactly one of the two.
type EnvFrom struct {
	// Put before each key.
	Prefix string `json:"prefix,omitempty"`
	// An existing ConfigMap.
	ConfigMapRef *ObjectRef `json:"configMapRef,omitempty"`
	// An existing Secret.
	SecretRef *ObjectRef `json:"secretRef,omitempty"`
}

// ObjectRef is a ConfigMap or Secret in the Job's namespace.
type ObjectRef struct {
	// Its name.
	Name string `json:"name" required:"true"`
	// Start without it when it is missing.
	Optional *bool `json:"optional,omitempty"`
}

// VolumeMount is a folder or file of the container that comes from exactly one source.
type VolumeMount struct {
	// The volume's name. Two mounts may share one when their sources are equal.
	Name string `json:"name" required:"true"`
	// Where it is mounted: an absolute path.
	MountPath string `json:"mountPath" required:"true" pattern:"^/"`
	// Refuse writing.
	ReadOnly bool `json:"readOnly,omitempty" default:"false"`
	// Mount this path of the volume instead of its root.
	SubPath string `json:"subPath,omitempty"`
	// A ConfigMap: one of configMaps, or an existing one.
	ConfigMap *FileSource `json:"configMap,omitempty"`
	// An existing Secret.
	Secret *FileSource `json:"secret,omitempty"`
	// A path of the node.
	HostPath *HostPath `json:"hostPath,omitempty"`
	// An empty folder that lives as long as the pod.
	EmptyDir *EmptyDir `json:"emptyDir,omitempty"`
	// A PersistentVolumeClaim.
	PVC *PVC `json:"pvc,omitempty"`
}

// FileSource is a ConfigMap or Secret as files.
type FileSource struct {
	// Its name.
	Name string `json:"name" required:"true"`
	// Mount this key alone, as a file. When the last element of mountPath is the file's name, mountPath is the file itself.
	Key string `json:"key,omitempty"`
	// The file's name for key; without it, the key.
	Path string `json:"path,omitempty"`
	// Permissions of the files as a decimal number: 493 is 0755.
	DefaultMode *int32 `json:"defaultMode,omitempty" min:"0" max:"511" hint:"the number is decimal: 0755 is written 493, 0644 is 420"`
}

// HostPath is a path of the node.
type HostPath struct {
	// An absolute path.
	Path string `json:"path" required:"true"`
	// What must be there.
	Type string `json:"type,omitempty" enum:"DirectoryOrCreate,Directory,FileOrCreate,File,Socket,CharDevice,BlockDevice"`
}

// EmptyDir is an empty folder.
type EmptyDir struct {
	// Memory keeps it in memory; empty keeps it on the node's disk.
	Medium string `json:"medium,omitempty" enum:"Memory,HugePages,HugePages-2Mi,HugePages-1Gi"`
	// The most that it may hold, as 10Gi.
	SizeLimit string `json:"sizeLimit,omitempty"`
}

// PVC is a PersistentVolumeClaim in the Job's namespace.
type PVC struct {
	// Its name.
	ClaimName string `json:"claimName" required:"true"`
	// Mount the volume for reading only.
	ReadOnly bool `json:"readOnly,omitempty" default:"false"`
}
