// Package render turns a manifest and the options that override it into the exact objects of a run: the Job, the Secrets
// and ConfigMaps that belong to it, and the file's other documents, in the order in which they are created.
//
// It is pure: no I/O, no clock, no environment, and the same input gives the same bytes.
//
// The order of work is: substitution (done by internal/manifest), decoding, the strategic merge patch, the single
// overrides, and what every Job of ours carries (deadline, TTL, label, annotations). The checks that the API server would
// make are made on the Job as it would be created, and the advice is given about that Job too; each finding is then traced
// back to where the value came from: a place in the file, the patch, or an option.
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

// What every Job of ours carries, beside the annotations of Options.Stamp.
const (
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "kubernetes-job-action"

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
	Secrets []string         // values to be masked before anything is printed, sorted, see maskable

	DeleteAfter []event.Outcome // run deletes a Job that ended so; every other one is left to its TTL

	notes []string // the readings that were chosen, for YAML
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
	apply := r.helpers(set, w)
	sortFindings(r.findings)
	if event.HasErrors(r.findings) || w == nil {
		return nil, r.findings
	}
	p := &Plan{
		CreateNamespace: w.createNamespace, Cluster: w.cluster,
		Apply: apply, Job: w.job, Owned: w.owned(), DeleteAfter: w.deleteAfter,
	}
	slices.Sort(r.secrets)
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
	secrets  []string
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
		r.secrets = append(r.secrets, value)
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

// transform makes the decoded Job the one that is created.
func (r *renderer) transform(w *workload) {
	decoded := inspect(w)
	r.patch(w)
	patched := inspect(w)
	r.override(w)
	final := inspect(w)
	final = append(final, r.checkName(w)...)
	r.finish(w)
	final = append(final, r.advice(w)...)

	for _, p := range final {
		if w.broken && p.missing {
			continue
		}
		same := func(q problem) bool { return q.path == p.path && q.message == p.message }
		option := p.option
		switch {
		case slices.ContainsFunc(decoded, same):
		case slices.ContainsFunc(patched, same):
			option, p.message = "patch", p.path+": "+p.message
		case option == "":
			option = optionOf(p.path)
		}
		f := event.Finding{Level: p.level, Path: option, Message: p.message, Suggestion: p.suggestion}
		if option == "" {
			f = w.finding(p)
		}
		if !slices.Contains(r.findings, f) { // the Job and its pods share labels, and containers share variables
			r.add(f)
		}
	}
}

// optionOf names the single override that sets a field of the Job, "" when none does.
func optionOf(path string) string {
	for _, o := range []struct{ part, option string }{
		{".env[", "env"}, {".image", "image"}, {".command", "container-command"}, {".args", "container-args"},
		{"metadata.labels", "labels"}, {"metadata.annotations", "annotations"}, {".imagePullSecrets", "registry-credentials"},
	} {
		if strings.Contains(path, o.part) {
			return o.option
		}
	}
	return ""
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
	set(&job.Labels, ManagedByLabel, ManagedBy)
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

// checkName checks what depends on the name and the final spec. The pods of an Indexed Job have the host name
// <job name>-<index>, which must be a DNS label (kubernetes/kubernetes, pkg/apis/batch/validation, validateNameAllowsCompletions).
func (r *renderer) checkName(w *workload) []problem {
	spec := &w.job.Spec
	if !indexed(spec) || spec.Completions == nil || *spec.Completions < 1 || len(w.job.Name) > validation.DNS1123LabelMaxLength {
		return nil
	}
	option := ""
	if r.options.NameSuffix != "" {
		option = "name-suffix"
	} else if r.options.Name != "" {
		option = "name"
	}
	host := fmt.Sprintf("%s-%d", w.job.Name, *spec.Completions-1)
	var problems []problem
	for _, message := range validation.IsDNS1123Label(host) {
		problems = append(problems, problem{level: event.Error, path: "metadata.name", option: option,
			message: fmt.Sprintf("%q cannot be the host name of the last index: %s", host, message)})
	}
	return problems
}

// sortFindings puts findings in the order of the file, options last, so that the same input gives the same report.
func sortFindings(findings []event.Finding) {
	slices.SortStableFunc(findings, func(a, b event.Finding) int {
		if (a.File == "") != (b.File == "") {
			return strings.Compare(b.File, a.File)
		}
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column)
	})
}
