// Package render turns a manifest and the options that override it into the exact objects of a run: the Job, the Secrets
// and ConfigMaps that belong to it, and the file's other documents, in the order in which they are created.
//
// It is pure: no I/O, no clock, no environment, and the same input gives the same bytes.
//
// The order of work is: substitution (done by internal/manifest), decoding, the strategic merge patch, the single
// overrides, what every Job of ours carries (deadline, TTL, labels, annotations), and then the checks that the API server
// would make and the advice, both on the Job as it would be created. What they find is traced back to where it came from: a
// place in the file, or an option.
package render

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// What every Job of ours carries. The annotations are for people and for the next run: a create that was cut off is found
// again by its nonce.
const (
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "kubernetes-job-action"

	AnnotationPrefix       = "kubernetes-job-action.planton.ai/"
	NonceAnnotation        = AnnotationPrefix + "nonce"
	ManifestHashAnnotation = AnnotationPrefix + "manifest-hash"
	FromCronJobAnnotation  = AnnotationPrefix + "from-cronjob"
)

// Options are the overrides of a manifest. The zero value changes nothing; a nil list is not given, an empty one is empty.
type Options struct {
	Namespace, Name  string
	NameSuffix       string   // without its hyphen, already resolved
	Image            []string // "ref" for the only container, or "container=ref"
	ContainerCommand []string
	ContainerArgs    []string
	Env              []string // NAME=VALUE, into every container
	SecretEnv        []string // NAME=VALUE, kept in the owned Secret
	Labels           []string // NAME=VALUE, on the Job and its pods
	Annotations      []string // NAME=VALUE, on the Job and its pods
	Patch            string   // YAML or JSON, strategic merge on the Job

	// RegistryCredentials is a dockerconfigjson document, or server=… username=… password=… separated by white space, where
	// each server= begins the next registry.
	RegistryCredentials string

	FromCronJob *batchv1.CronJob  // the CronJob of the cluster whose template is run; the set then has no workload
	Stamp       map[string]string // annotations of the Job, keys complete; may hold NonceAnnotation
	Timeout     time.Duration     // becomes activeDeadlineSeconds, rounded up, when the manifest has none; 0: it does not
	Cleanup     string            // auto, always, on-success or never; decides the TTL, see ttl
}

// Plan is what a run creates.
type Plan struct {
	Namespace       string // "" when neither manifest nor option names one: ask the kubeconfig, then call InNamespace
	CreateNamespace bool   // create the namespace when it is missing
	Cluster         string // targetCluster.clusterName, "" without one

	Apply   []*unstructured.Unstructured // the file's other documents in order of application; the user's, so they stay
	Job     *batchv1.Job
	Owned   []runtime.Object // *corev1.Secret and *corev1.ConfigMap, created after the Job and owned by it
	Secrets []string         // values to be masked before anything is printed, sorted
	TTLSet  bool             // the TTL comes from us, not from the manifest

	notes []string // the readings that were chosen, for YAML
}

// InNamespace puts everything that has no namespace yet into ns.
func (p *Plan) InNamespace(ns string) {
	p.Namespace = ns
}

// Render makes the plan. Findings come all at once: errors, warnings (advice) and infos (readings that were chosen). The plan
// is nil when one of them is an error. set may be nil when FromCronJob is given.
func Render(set *manifest.Set, o Options) (*Plan, []event.Finding) {
	return nil, nil
}

// YAML is the plan as a stream of documents in order of creation. The values of Secrets are hidden unless showSecrets.
func (p *Plan) YAML(showSecrets bool) ([]byte, error) {
	return nil, nil
}
