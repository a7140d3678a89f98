// Package kubernetesjob is the KubernetesJob kind: its three dialects become one spec, and that becomes the objects of
// Kubernetes.
package kubernetesjob

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// Is tells whether a document of this apiVersion and kind is a KubernetesJob.
func Is(apiVersion, kind string) bool { return false }

// KubernetesJob is the document.
type KubernetesJob struct{}

// Parse reads a KubernetesJob.
func Parse(doc *manifest.Document, set *manifest.Set) (*KubernetesJob, []event.Finding) {
	return nil, nil
}

// Objects are what a KubernetesJob becomes.
type Objects struct {
	Job             *batchv1.Job
	EnvSecret       *corev1.Secret
	ConfigMaps      []*corev1.ConfigMap
	CreateNamespace bool
	Cluster         string
	Notes           []event.Finding
}

// Objects makes the objects.
func (k *KubernetesJob) Objects(jobName string) *Objects { return &Objects{} }
