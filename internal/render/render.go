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
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// FromCronJobAnnotation names the CronJob whose template was run.
const FromCronJobAnnotation = event.StampPrefix + "from-cronjob"

// keepFinished is how long a finished Job without a TTL of its own stays: a failure can be looked at, and an earlier success be known.
const keepFinished = 24 * time.Hour

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
	// KeepSucceeded says that a later run has to know of the Job's success: no run deletes a Job that succeeded.
	KeepSucceeded bool
	Others        Others // "" is OthersSkip
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
	After   []*unstructured.Unstructured // those that are applied once the Job has succeeded
	Job     *batchv1.Job
	OneTime bool             // the Job's name has a suffix or a generated end, so that another run will hardly have it again
	Owned   []runtime.Object // *corev1.Secret and *corev1.ConfigMap, created after the Job and owned by it

	DeleteAfter []event.Outcome // run deletes a Job that ended so; every other one is left to its TTL

	notes     []string // the readings that were chosen, for YAML
	workload  *workload
	documents map[*unstructured.Unstructured]*manifest.Document // of Apply and After
}

// InNamespace puts the Job, what it owns, and each other document that names no namespace into ns. It answers with a warning for each
// document that names another one.
func (p *Plan) InNamespace(ns string) (findings []event.Finding) {
	p.Namespace = ns
	p.Job.Namespace = ns
	for _, o := range p.Owned {
		o.(metav1.Object).SetNamespace(ns)
	}
	for _, o := range slices.Concat(p.Apply, p.After) {
		switch {
		case clusterScoped(o.GetKind()):
		case o.GetNamespace() == "":
			o.SetNamespace(ns)
		case o.GetNamespace() != ns:
			findings = append(findings, p.documents[o].Finding(event.Warning, "metadata.namespace",
				fmt.Sprintf("%s %s goes into the namespace %s, and the Job into %s", o.GetKind(), o.GetName(), o.GetNamespace(), ns), ""))
		}
	}
	return findings
}

// Renamed makes the plan again, from what it was made from, with a suffix for the Job's name. A name that would be too long with it loses its
// end: it becomes a label of the pods, and that of a pod of an Indexed Job a host name (pkg/apis/batch/validation, ValidateJob).
func (p *Plan) Renamed(set *manifest.Set, o Options, suffix string) (*Plan, []event.Finding) {
	most := validation.LabelValueMaxLength - len("-"+suffix)
	if s := p.Job.Spec; s.CompletionMode != nil && *s.CompletionMode == batchv1.IndexedCompletion && s.Completions != nil {
		most -= len(fmt.Sprintf("-%d", *s.Completions-1))
	}
	o.Name, o.NameSuffix = strings.TrimRight(p.Job.Name[:min(len(p.Job.Name), most)], "-."), suffix
	again, findings := planFor(set, p.workload.doc, o)
	if again != nil && again.Namespace == "" {
		findings = append(findings, again.InNamespace(p.Namespace)...)
	}
	return again, findings
}

// Render makes the plan. Findings come all at once: errors, warnings (advice) and infos (readings that were chosen). The plan
// is nil when one of them is an error. set may be nil when FromCronJob is given. The secrets that references lead to are added to
// set.Secrets, also without a plan: like those of the options, they must be masked before a finding is told.
func Render(set *manifest.Set, o Options) (*Plan, []event.Finding) { return planFor(set, nil, o) }

// planFor is Render, of that workload when it is decided already.
func planFor(set *manifest.Set, doc *manifest.Document, o Options) (*Plan, []event.Finding) {
	if set == nil {
		set = &manifest.Set{}
	}
	r := &renderer{options: o}
	w := r.load(set, doc)
	if w != nil {
		r.transform(w)
	}
	apply, after, documents := r.helpers(set, w)
	event.SortFindings(r.findings)
	unrendered := func(f event.Finding) bool { return f.Level == event.Error && f.Suggestion == manifest.Unrendered }
	if i := slices.IndexFunc(r.findings, unrendered); i >= 0 { // to render a template is one thing to do
		r.findings = append(r.findings[:i+1], slices.DeleteFunc(r.findings[i+1:], unrendered)...)
	}
	if event.HasErrors(r.findings) || w == nil {
		return nil, r.findings
	}
	r.hash(w, apply, after)
	p := &Plan{
		CreateNamespace: w.createNamespace, Cluster: w.cluster,
		Apply: apply, After: after, Job: w.job, OneTime: w.oneTime, Owned: w.owned(), DeleteAfter: w.deleteAfter, workload: w, documents: documents,
	}
	for _, f := range r.findings {
		if f.Level == event.Info && !strings.HasPrefix(f.Message, isLeftOut) { // that stands in none of the objects
			// Without file and line: one job written in several dialects makes the same bytes.
			p.notes = append(p.notes, f.Path+": "+f.Message)
		}
	}
	if w.job.Namespace != "" {
		r.add(p.InNamespace(w.job.Namespace)...)
		event.SortFindings(r.findings)
	}
	return p, r.findings
}

// renderer gathers what is found on the way.
type renderer struct {
	options  Options
	findings []event.Finding
}

func (r *renderer) add(findings ...event.Finding) {
	r.findings = event.AddFindings(r.findings, findings...)
}

// full tells whether there are more findings of the level than will be told: then nobody needs to look for another.
func (r *renderer) full(level event.Level) bool { return full(r.findings, level) }

func full(findings []event.Finding, level event.Level) bool {
	n := 0
	for _, f := range findings {
		if f.Level == level {
			n++
		}
	}
	return n > event.MaxFindings
}

// option adds an error about an option.
func (r *renderer) option(name, format string, args ...any) *event.Finding {
	f := event.Finding{Level: event.Error, Path: name, Message: fmt.Sprintf(format, args...)}
	if r.full(event.Error) {
		return &f
	}
	r.add(f)
	return &r.findings[len(r.findings)-1]
}

// transform makes the decoded Job the one that is created, and checks that.
func (r *renderer) transform(w *workload) {
	w.decoded = plain(w.job)
	r.patch(w)
	w.patched = plain(w.job)
	r.override(w)
	r.takeOver(w)
	r.finish(w)
	w.final = plain(w.job)
	for _, p := range r.inspect(w) {
		if !r.full(p.level) {
			r.problem(w, p)
		}
	}
}

// takeOver says that our label takes the place of another manager's.
func (r *renderer) takeOver(w *workload) {
	by := w.job.Labels[event.ManagedByLabel]
	if by == "" || by == event.ManagedBy {
		return
	}
	w.final = plain(w.job) // as it is before, to find who wrote the label
	r.problem(w, problem{level: event.Info, path: "metadata.labels[" + event.ManagedByLabel + "]",
		message: fmt.Sprintf("%q becomes %q, by which a run knows its Jobs; the pods keep what their template says", event.Shorten(by, 100), event.ManagedBy)})
	w.traces = nil
}

// deadlineMargin is how much later than our own timeout the Job's deadline is: it is meant for a run that was killed, and must
// not race with the timeout of one that was not.
const deadlineMargin = time.Minute

// finish gives the Job what every Job of ours carries, and decides when it is deleted. The manifest's own TTL always stays.
//   - auto: the manifest's TTL decides; without one, run deletes a Job that succeeded, and one that failed stays for a day;
//   - always: run deletes the Job however it ended; the day is the net for a run that was killed;
//   - on-success: run deletes a Job that succeeded; one that failed stays until somebody deletes it, or its own TTL does;
//   - never: run deletes no finished Job.
//
// With KeepSucceeded, run deletes no Job that succeeded: the TTL does, whatever is said above.
func (r *renderer) finish(w *workload) {
	job := w.job
	job.TypeMeta = metav1.TypeMeta{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job"}
	w.asked = job.DeepCopy()
	if job.Spec.ActiveDeadlineSeconds == nil && r.options.Timeout > 0 {
		seconds := int64(math.Ceil((r.options.Timeout + deadlineMargin).Seconds()))
		job.Spec.ActiveDeadlineSeconds = &seconds
	}
	day := int32(keepFinished / time.Second)
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
	if r.options.KeepSucceeded {
		w.deleteAfter = slices.DeleteFunc(w.deleteAfter, func(o event.Outcome) bool { return o == event.Succeeded })
		if r.options.Cleanup != CleanupNever {
			job.Spec.TTLSecondsAfterFinished = cmp.Or(ttl, &day)
		}
		switch {
		case ttl == nil || *ttl >= day:
		case *ttl == 0:
			r.option("if-exists", "keep-succeeded needs the Job that succeeded, and ttlSecondsAfterFinished: 0 deletes it at once: give it more, or leave it out")
		default:
			r.add(event.Finding{Level: event.Info, Path: "if-exists",
				Message: fmt.Sprintf("keep-succeeded knows of a success as long as its Job is there: %s, as ttlSecondsAfterFinished says", event.Seconds(time.Duration(*ttl)*time.Second))})
		}
	}
	set(&job.Labels, event.ManagedByLabel, event.ManagedBy)
	nameManually(job)
	for k, v := range r.options.Stamp {
		set(&job.Annotations, k, v)
	}
}

// hash gives the Job its event.ManifestHashAnnotation.
func (r *renderer) hash(w *workload, applied ...[]*unstructured.Unstructured) {
	template := &w.asked.Spec.Template
	for _, p := range r.pairs("labels", r.options.Labels) {
		delete(w.asked.Labels, p.name)
		delete(template.Labels, p.name)
	}
	for _, p := range r.pairs("annotations", r.options.Annotations) {
		delete(w.asked.Annotations, p.name)
		delete(template.Annotations, p.name)
	}
	all := []map[string]any{plain(w.asked)}
	for _, o := range w.owned() {
		owned := plain(o)
		unstructured.RemoveNestedField(owned, "metadata", "labels") // those of the Job
		all = append(all, owned)
	}
	for _, objects := range applied {
		for _, o := range objects {
			all = append(all, o.DeepCopy().Object)
		}
	}
	for _, o := range all {
		if o["kind"] == "Secret" && o["apiVersion"] == "v1" {
			unstructured.RemoveNestedField(o, "metadata", "annotations") // kubectl's holds the values too
			for _, field := range []string{"data", "stringData"} {
				values, _ := o[field].(map[string]any)
				for key := range values {
					values[key] = ""
				}
			}
		}
	}
	text, err := json.Marshal(all)
	if err != nil { // what comes from YAML has a JSON form
		panic(err)
	}
	sum := sha256.Sum256(text)
	set(&w.job.Annotations, event.ManifestHashAnnotation, hex.EncodeToString(sum[:]))
}

// nameManually puts the labels with the Job's name on the pods of a manual selector, as the API server does for its own: a later run
// waits for the pods that have them. One that the selector asks for is the user's.
func nameManually(job *batchv1.Job) {
	s := job.Spec.Selector
	if manual := job.Spec.ManualSelector; manual == nil || !*manual || s == nil {
		return
	}
	for _, label := range []string{batchv1.JobNameLabel, "job-name"} {
		asked := slices.ContainsFunc(s.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool { return r.Key == label })
		if _, ok := s.MatchLabels[label]; !ok && !asked {
			set(&job.Spec.Template.Labels, label, job.Name)
		}
	}
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
