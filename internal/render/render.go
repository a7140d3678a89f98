// Package render turns a manifest and the options that override it into the exact objects of a run: the Job, the Secrets
// and ConfigMaps that belong to it, and the file's other documents, in the order in which they are created.
//
// It is pure: no I/O, no clock, no environment, and the same input gives the same bytes.
//
// The order of work is: substitution (done by internal/manifest), decoding, the strategic merge patch, the single
// overrides, and what every Job of ours carries (deadline, TTL, label, annotations). The checks are made on the Job as it would
// be created, and the advice is given about that Job too; each finding, and each of the API server's (Plan.Finding), is then
// traced back to where the value came from: a place in the file, the patch, or an option.
package render

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// What every Job of ours carries, beside event.ManagedByLabel and the annotations of Options.Stamp.
const (
	// ManifestHashAnnotation is the sha256, in hex, of the Job as JSON before it is stamped: equal for equal input.
	ManifestHashAnnotation = "kubernetes-job-action.planton.ai/manifest-hash"
	// FromCronJobAnnotation names the CronJob whose template was run.
	FromCronJobAnnotation = "kubernetes-job-action.planton.ai/from-cronjob"
)

// keepFailed is how long a finished Job without a TTL of its own stays, so that a failure can be looked at.
const keepFailed = 24 * time.Hour

// Options are the overrides of a manifest. The zero value overrides nothing; a nil list is not given, an empty one is empty.
type Options struct {
	Namespace, Name  string
	NameSuffix       string   // without its hyphen, already resolved
	Image            []string // "ref" for the only container, or "container=ref"
	ContainerCommand []string
	ContainerArgs    []string
	Env              []string // NAME=VALUE, into every container
	SecretEnv        []string // NAME=VALUE, into every container, kept in the owned Secret
	Labels           []string // NAME=VALUE, on the Job and its pods
	Annotations      []string // NAME=VALUE, on the Job and its pods
	Patch            string   // YAML or JSON, strategic merge on the Job

	// RegistryCredentials is a dockerconfigjson document, or server=… username=… password=… separated by white space, where
	// each server= begins the next registry.
	RegistryCredentials string

	FromCronJob *batchv1.CronJob  // the CronJob of the cluster whose template is run; the set then has no workload
	Stamp       map[string]string // annotations of the Job, keys complete
	Timeout     time.Duration     // becomes activeDeadlineSeconds, a minute later, when the manifest has none; 0: it does not
	Cleanup     Cleanup           // "" is CleanupAuto
}

// Cleanup says when a finished Job is deleted; see finish.
type Cleanup string

// When it can be deleted.
const (
	CleanupAuto      Cleanup = "auto"
	CleanupAlways    Cleanup = "always"
	CleanupOnSuccess Cleanup = "on-success"
	CleanupNever     Cleanup = "never"
)

// Plan is what a run creates.
type Plan struct {
	Namespace       string // "" when neither manifest nor option names one: ask the kubeconfig, then call InNamespace
	CreateNamespace bool   // create the namespace when it is missing
	Cluster         string // targetCluster.clusterName, "" without one

	Apply   []*unstructured.Unstructured // the file's other documents in order of application; the user's, so they stay
	Job     *batchv1.Job
	Owned   []runtime.Object // *corev1.Secret and *corev1.ConfigMap, created after the Job and owned by it
	Secrets []event.Secret   // to be masked before anything is printed, sorted by value, see maskable

	DeleteAfter []event.Outcome // run deletes a Job that ended so; every other one is left to its TTL

	notes     []string // the readings that were chosen, for YAML
	workload  *workload
	documents map[*unstructured.Unstructured]*manifest.Document // of Apply
}

// InNamespace puts the Job, what it owns, and each other document that names no namespace into ns.
func (p *Plan) InNamespace(ns string) {
	p.Namespace = ns
	p.Job.Namespace = ns
	for _, o := range p.Owned {
		o.(metav1.Object).SetNamespace(ns)
	}
	for _, o := range p.Apply {
		if o.GetNamespace() == "" && !clusterScoped(o.GetKind()) {
			o.SetNamespace(ns)
		}
	}
}

// Render makes the plan. Findings come all at once: errors, warnings (advice) and infos (readings that were chosen). The plan
// is nil when one of them is an error. set may be nil when FromCronJob is given.
func Render(set *manifest.Set, o Options) (*Plan, []event.Finding) {
	if set == nil {
		set = &manifest.Set{}
	}
	r := &renderer{options: o}
	w := r.load(set)
	if w != nil {
		r.transform(w)
	}
	apply, documents := r.helpers(set, w)
	event.SortFindings(r.findings)
	if event.HasErrors(r.findings) || w == nil {
		return nil, r.findings
	}
	p := &Plan{
		CreateNamespace: w.createNamespace, Cluster: w.cluster,
		Apply: apply, Job: w.job, Owned: w.owned(), DeleteAfter: w.deleteAfter, workload: w, documents: documents,
	}
	slices.SortFunc(r.secrets, func(a, b event.Secret) int { return strings.Compare(a.Value, b.Value) })
	p.Secrets = slices.Compact(r.secrets)
	for _, f := range r.findings {
		if f.Level == event.Info {
			// Without file and line: one job written in several dialects makes the same bytes.
			p.notes = append(p.notes, f.Path+": "+f.Message)
		}
	}
	p.InNamespace(w.job.Namespace)
	return p, r.findings
}

// renderer gathers what is found on the way.
type renderer struct {
	options  Options
	findings []event.Finding
	secrets  []event.Secret
}

func (r *renderer) add(findings ...event.Finding) { r.findings = append(r.findings, findings...) }

// option adds an error about an option.
func (r *renderer) option(name, format string, args ...any) *event.Finding {
	r.add(event.Finding{Level: event.Error, Path: name, Message: fmt.Sprintf(format, args...)})
	return &r.findings[len(r.findings)-1]
}

// mask keeps a value out of everything that is printed. Values that are too short or too common to be secrets are left: their
// mask would eat every "1" and "true" of the log instead.
func (r *renderer) mask(value string) {
	if maskable(value) {
		r.secrets = append(r.secrets, event.Secret{Value: value, Credential: true})
	}
}

// maskable tells whether hiding a value costs less than it saves: it has four characters at least, and is no boolean.
func maskable(value string) bool {
	switch strings.ToLower(value) {
	case "true", "false", "null", "none":
		return false
	}
	return len(value) >= 4
}

// transform makes the decoded Job the one that is created, and checks that.
func (r *renderer) transform(w *workload) {
	w.decoded = plain(w.job)
	r.patch(w)
	w.patched = plain(w.job)
	r.override(w)
	r.finish(w)
	w.final = plain(w.job)
	for _, p := range r.inspect(w) {
		r.problem(w, p)
	}
}

// deadlineMargin is how much later than our own timeout the Job's deadline is: it is meant for a run that was killed, and must
// not race with the timeout of one that was not.
const deadlineMargin = time.Minute

// finish gives the Job what every Job of ours carries, and decides when it is deleted. The manifest's own TTL always stays.
//   - auto: the manifest's TTL decides; without one, run deletes a Job that succeeded, and one that failed stays for a day;
//   - always: run deletes the Job however it ended; the day is the net for a run that was killed;
//   - on-success: run deletes a Job that succeeded; one that failed stays until somebody deletes it, or its own TTL does;
//   - never: run deletes no finished Job.
func (r *renderer) finish(w *workload) {
	job := w.job
	job.TypeMeta = metav1.TypeMeta{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job"}
	if job.Spec.ActiveDeadlineSeconds == nil && r.options.Timeout > 0 {
		seconds := int64(math.Ceil((r.options.Timeout + deadlineMargin).Seconds()))
		job.Spec.ActiveDeadlineSeconds = &seconds
	}
	day := int32(keepFailed / time.Second)
	ttl := job.Spec.TTLSecondsAfterFinished
	switch r.options.Cleanup {
	case CleanupNever:
	case CleanupOnSuccess:
		w.deleteAfter = []event.Outcome{event.Succeeded}
	case CleanupAlways:
		w.deleteAfter = []event.Outcome{event.Succeeded, event.Failed}
		job.Spec.TTLSecondsAfterFinished = cmp.Or(ttl, &day)
	default:
		if ttl == nil {
			w.deleteAfter = []event.Outcome{event.Succeeded}
		}
		job.Spec.TTLSecondsAfterFinished = cmp.Or(ttl, &day)
	}
	set(&job.Labels, event.ManagedByLabel, event.ManagedBy)
	hash, err := json.Marshal(job)
	if err != nil { // a batchv1.Job holds nothing that has no JSON form
		panic(err)
	}
	for k, v := range r.options.Stamp {
		set(&job.Annotations, k, v)
	}
	sum := sha256.Sum256(hash)
	set(&job.Annotations, ManifestHashAnnotation, hex.EncodeToString(sum[:]))
}

// set writes into a map that may not be there yet. The map is replaced, because parts of a manifest may share one.
func set(m *map[string]string, key, value string) {
	changed := maps.Clone(*m)
	if changed == nil {
		changed = map[string]string{}
	}
	changed[key] = value
	*m = changed
}
