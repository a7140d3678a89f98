package render

import (
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// Others says what becomes of the objects in the file that run or serve beside the Job: a rollout must not begin before its migration
// has succeeded.
type Others string

// What can become of them.
const (
	OthersSkip         Others = "skip"          // they are left out
	OthersFail         Others = "fail"          // the file is refused
	OthersAfterSuccess Others = "after-success" // they are applied once the Job has succeeded
)

// turn is when a document's time to be applied is.
type turn int

const (
	early turn = iota // before the Job, which may need it
	late              // when the Job has succeeded
	never             // Helm or Argo CD applies it at another occasion: a test, a deletion, a rollback
)

// serving are the kinds that run pods or lead traffic to them, of whatever group: Volcano's Job and Knative's Service run pods too. While
// nothing serves, a webhook or an APIService would hold up the requests of the whole cluster, those of this run among them.
var serving = []string{
	"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Pod", "Job", "CronJob", "DeploymentConfig", "Rollout",
	"JobSet", "RayJob", "ScaledJob", "Workflow", "CronWorkflow", "PipelineRun", "TaskRun", "Application", "ApplicationSet", "HelmRelease",
	"HorizontalPodAutoscaler", "VerticalPodAutoscaler", "ScaledObject", "PodDisruptionBudget",
	"Ingress", "Service", "Endpoints", "EndpointSlice", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute", "VirtualService", "IngressRoute", "HTTPProxy", "Route",
	"APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
}

// turnOf says when a document beside the workload is applied. A hook says so itself. A Service is early when it is the Job's own, as
// the headless one of an Indexed Job is, or when it leads to no pods but to a name outside.
func turnOf(doc *manifest.Document, w *workload) turn {
	hooks := doc.Hooks()
	switch {
	case besides(doc):
		return never
	case doc.Early():
		return early
	case slices.Contains(hooks, "post-install"), slices.Contains(hooks, "post-upgrade"), slices.Contains(hooks, "postsync"):
		return late
	case hooks != nil && !slices.Contains(hooks, "crd-install"):
		return never
	case !slices.Contains(serving, doc.Kind):
		return early
	case doc.Kind != "Service" || doc.APIVersion != "v1" || w == nil:
		return late
	}
	spec, _ := doc.Map()["spec"].(map[string]any)
	selector, _ := spec["selector"].(map[string]any)
	for k, v := range selector {
		own := w.job.Spec.Template.Labels[k]
		if k == "job-name" || k == batchv1.JobNameLabel {
			own = w.job.Name
		}
		if v != own {
			return late
		}
	}
	return early
}

// besides tells whether a document beside the workload is a Job that Helm or Argo CD would run, to its end, before they install anything, as
// they would the workload. A run has one Job, and this one would run at the same time or too late.
func besides(doc *manifest.Document) bool { return doc.IsWorkload() && doc.Early() }

// others tells of what is not applied before the Job, in one finding.
func (r *renderer) others(all []*manifest.Document, w *workload) {
	if len(all) == 0 {
		return
	}
	const most = 20
	var late, out []string
	for _, doc := range all {
		own := doc.Original("metadata.name", doc.Name)
		name := strings.TrimSpace(doc.Kind + " " + own)
		if besides(doc) && r.options.Others != OthersFail {
			way := "it takes a run of its own"
			if own != "" {
				way += ", with name: " + own
			}
			r.add(doc.Finding(event.Info, "kind", isLeftOut+"since it is to run before the release as well: "+name, way))
			continue
		}
		if r.options.Others == OthersAfterSuccess && turnOf(doc, w) != never {
			late = append(late, name)
		} else {
			out = append(out, name)
		}
	}
	tell := func(level event.Level, names []string, format, suggestion string) {
		if len(names) == 0 {
			return
		}
		if n := len(names); n > most {
			names = append(names[:most:most], fmt.Sprintf("%d more", n-most))
		}
		r.add(all[0].Finding(level, "kind", fmt.Sprintf(format, strings.Join(names, ", ")), suggestion))
	}
	switch r.options.Others {
	case OthersFail:
		tell(event.Error, out, "the file holds what serves or runs beside the Job, or is a hook of another time: %s", "take it out, or say others: skip or others: after-success")
	case OthersAfterSuccess:
		tell(event.Info, late, "applied once the Job has succeeded: %s", "")
		tell(event.Info, out, isLeftOut+"as a hook of another time: %s", "")
	default:
		tell(event.Info, out, isLeftOut+"since it serves or runs beside the Job, or is a hook of another time: %s",
			"others: after-success applies it once the Job has succeeded, except for hooks of tests, deletions and rollbacks; others: fail refuses such a file")
	}
}
