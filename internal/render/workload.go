package render

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/kubernetesjob"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// workload is the document that becomes the Job, decoded, with the way back from the Job's fields to the document's.
type workload struct {
	doc          *manifest.Document // nil for a CronJob of the cluster
	named        string             // the name in the document, "" with generateName
	documentPath func(string) string
	job          *batchv1.Job
	options      Options
	// The Job after it was decoded, patched, and overridden, see origin.
	decoded, patched, final map[string]any
	traces                  map[string]trace
	asked                   *batchv1.Job // as the manifest and the options ask for it, before finish adds to it

	envSecret       *corev1.Secret // nil without secret variables
	pullSecret      *corev1.Secret // nil without registry credentials
	configMaps      []*corev1.ConfigMap
	oneTime         bool   // the Job's name has a suffix or a generated end
	namespace       string // as the document names it
	createNamespace bool
	cluster         string
	deleteAfter     []event.Outcome // see Plan
	broken          []string        // paths of the document that did not decode
}

// owned are the objects that live and die with the Job.
func (w *workload) owned() []runtime.Object {
	var all []runtime.Object
	for _, s := range []*corev1.Secret{w.envSecret, w.pullSecret} {
		if s != nil {
			s.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}
			set(&s.Labels, event.ManagedByLabel, event.ManagedBy)
			all = append(all, s)
		}
	}
	for _, c := range w.configMaps {
		c.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
		set(&c.Labels, event.ManagedByLabel, event.ManagedBy)
		all = append(all, c)
	}
	return all
}

// load reads the workload, doc when it is decided already; nil when there is none that can be worked on.
func (r *renderer) load(s *manifest.Set, doc *manifest.Document) *workload {
	if cron := r.options.FromCronJob; cron != nil {
		if slices.ContainsFunc(s.Documents, (*manifest.Document).IsWorkload) {
			r.option("from-cronjob", "the manifest has a workload too; give one of them")
			return nil
		}
		r.alone(cron)
		w := &workload{options: r.options, documentPath: inCronJob, job: jobOf(cron), namespace: cron.Namespace}
		r.leaveOut(w)
		r.name(w, "", cron.Name+"-")
		return r.place(w)
	}
	if doc == nil {
		var findings []event.Finding
		doc, findings = s.Workload(r.options.Name)
		r.add(findings...)
	}
	if doc == nil {
		return nil
	}
	w := &workload{options: r.options, doc: doc, documentPath: func(p string) string { return p }}
	switch {
	case kubernetesjob.Is(doc.APIVersion, doc.Kind):
		spec, findings := kubernetesjob.Parse(doc, s)
		r.unread(w, findings)
		w.documentPath = spec.Path
		w.job = &batchv1.Job{}
		r.name(w, doc.Name, "")
		objects := spec.Objects(w.job.Name)
		w.job, w.envSecret, w.configMaps = objects.Job, objects.EnvSecret, objects.ConfigMaps
		w.createNamespace, w.cluster = objects.CreateNamespace, objects.Cluster
		w.namespace = objects.Job.Namespace
		if len(w.broken) == 0 {
			r.add(objects.Notes...)
		}
	case doc.Kind == "CronJob":
		var cron batchv1.CronJob
		r.decode(w, &cron)
		w.documentPath, w.job, w.namespace = inCronJob, jobOf(&cron), cron.Namespace
		r.leaveOut(w)
		generate := cron.GenerateName
		if cron.Name != "" {
			generate = cron.Name + "-"
		}
		r.name(w, "", generate)
	default:
		var job batchv1.Job
		r.decode(w, &job)
		w.namespace = job.Namespace
		name, generate := job.Name, job.GenerateName
		if name != "" {
			generate = ""
		}
		w.job = &job
		r.leaveOut(w)
		r.name(w, name, generate)
	}
	return r.place(w)
}

// alone warns when a CronJob wants its Jobs to be alone, and one is at work: its controller knows nothing of ours, and we end none of its.
func (r *renderer) alone(cron *batchv1.CronJob) {
	if len(cron.Status.Active) == 0 || cron.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent && cron.Spec.ConcurrencyPolicy != batchv1.ReplaceConcurrent {
		return
	}
	var names []string
	for _, job := range cron.Status.Active {
		names = append(names, job.Name)
	}
	r.add(event.Finding{Level: event.Warning, Path: "from-cronjob",
		Message: fmt.Sprintf("CronJob %s has concurrencyPolicy: %s, and is at work (Job %s): the two run side by side", cron.Name, cron.Spec.ConcurrencyPolicy,
			event.Shorten(strings.Join(names, ", "), 300)),
		Suggestion: "wait for its end, or cancel this run"})
}

// leaveOut removes what is not the user's to say about the Job, and adds one finding about it.
func (r *renderer) leaveOut(w *workload) {
	if out := leftOut(w.job); out != nil {
		r.problem(w, problem{level: event.Info, path: out[0], message: leavesOut(out)})
	}
}

// isLeftOut begins every finding about what is not created.
const isLeftOut = "left out, "

func leavesOut(fields []string) string {
	return isLeftOut + "as the Job of a run has none of these: " + strings.Join(fields, ", ")
}

// leftOut removes what a server has written into an exported Job, and what would give others a say in how long ours lives: owners,
// with which the garbage collector takes it away under the run, and finalizers, with which it or its pods stay when they are deleted.
// The selector of a Job and the labels for it go too, unless they are the user's own. It answers with the paths of what was there; the name and the namespace, which are decided elsewhere, go without a word.
func leftOut(job *batchv1.Job) (fields []string) {
	m, template := &job.ObjectMeta, &job.Spec.Template.ObjectMeta
	for _, f := range []struct {
		path  string
		there bool
	}{
		{"metadata.finalizers", m.Finalizers != nil}, {"metadata.ownerReferences", m.OwnerReferences != nil},
		{"metadata.uid", m.UID != ""}, {"metadata.resourceVersion", m.ResourceVersion != ""}, {"metadata.generation", m.Generation != 0},
		{"metadata.creationTimestamp", !m.CreationTimestamp.IsZero()}, {"metadata.deletionTimestamp", m.DeletionTimestamp != nil},
		{"metadata.deletionGracePeriodSeconds", m.DeletionGracePeriodSeconds != nil}, {"metadata.managedFields", m.ManagedFields != nil},
		{"spec.template.metadata.finalizers", template.Finalizers != nil}, {"spec.template.metadata.ownerReferences", template.OwnerReferences != nil},
		{"status", !equality.Semantic.DeepEqual(job.Status, batchv1.JobStatus{})},
	} {
		if f.there {
			fields = append(fields, f.path)
		}
	}
	if manual := job.Spec.ManualSelector; manual == nil || !*manual {
		fields = append(fields, leaveGenerated(job)...)
	}
	job.TypeMeta, job.ObjectMeta = metav1.TypeMeta{}, metav1.ObjectMeta{Labels: m.Labels, Annotations: m.Annotations}
	job.Status = batchv1.JobStatus{}
	template.Finalizers, template.OwnerReferences = nil, nil
	return fields
}

// generated are the labels that the API server puts on a Job's pods, old names and new (pkg/registry/batch/job/strategy.go, generateSelector).
var generated = []string{batchv1.ControllerUidLabel, batchv1.JobNameLabel, "controller-uid", "job-name"}

// leaveGenerated removes the selector that the API server has generated, and the labels for it. It answers with the paths of what was there.
func leaveGenerated(job *batchv1.Job) (fields []string) {
	theirs := func(k string) bool { return slices.Contains(generated, k) }
	if s := job.Spec.Selector; s != nil && len(s.MatchExpressions) == 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(s.MatchLabels)), func(k string) bool { return !theirs(k) }) {
		job.Spec.Selector = nil
		fields = append(fields, "spec.selector")
	}
	for _, of := range []struct {
		path   string
		labels *map[string]string
	}{{"metadata.labels", &job.Labels}, {"spec.template.metadata.labels", &job.Spec.Template.Labels}} {
		rest := maps.Clone(*of.labels) // parts of a manifest may share one
		for _, k := range generated {
			if _, ok := rest[k]; ok {
				delete(rest, k)
				fields = append(fields, of.path+"["+k+"]")
			}
		}
		*of.labels = rest
	}
	return fields
}

// decode reads the document strictly.
func (r *renderer) decode(w *workload, into any) {
	r.unread(w, w.doc.Decode(into))
}

// unread takes the findings of the document's decoder.
func (r *renderer) unread(w *workload, findings []event.Finding) {
	for _, f := range findings {
		if f.Level == event.Error {
			w.broken = append(w.broken, f.Path)
		}
	}
	r.add(findings...)
}

// problem adds what is wrong with the Job, unless it is a consequence of what could not be read: that is not missing, or empty, as
// well, and what is missing may be there, misspelt.
func (r *renderer) problem(w *workload, p problem) {
	f := w.finding(p)
	follows := func(unread string) bool { return manifest.Within(unread, f.Path) || manifest.Within(f.Path, unread) }
	if len(w.broken) > 0 && (p.missing || f.File != "" && slices.ContainsFunc(w.broken, follows)) {
		return
	}
	// The Job and its pods share labels, and containers share variables; a value with an error is wrong enough.
	if !slices.ContainsFunc(r.findings, func(g event.Finding) bool {
		return f == g || f.File != "" && f.Level == event.Error && g.Level == event.Error && f.File == g.File && f.Line == g.Line && f.Path == g.Path
	}) {
		r.add(f)
	}
}

// place gives the workload its namespace: the option's, else the manifest's, else none.
func (r *renderer) place(w *workload) *workload {
	w.job.Namespace = w.namespace
	if n := r.options.Namespace; n != "" {
		w.job.Namespace = n
		for _, m := range validation.IsDNS1123Label(n) {
			r.option("namespace", "%q is invalid: %s", n, manifest.Plain(m)).Suggestion = use(nameLike(n, validation.DNS1123LabelMaxLength))
		}
	} else if w.namespace == "" && w.doc != nil && w.doc.Kind != "KubernetesJob" && w.doc.Has("metadata.namespace") && len(w.broken) == 0 { // left empty by whoever filled a template in
		r.problem(w, problem{level: event.Warning, path: "metadata.namespace", message: "is empty, so that the kubeconfig's context decides"})
	} else if n := w.namespace; n != "" {
		for _, m := range validation.IsDNS1123Label(n) {
			r.problem(w, problem{level: event.Error, path: "metadata.namespace", message: fmt.Sprintf("%q is invalid: %s", n, manifest.Plain(m)),
				suggestion: use(nameLike(n, validation.DNS1123LabelMaxLength)), derived: true})
		}
	}
	return w
}

// jobOf is the Job that a CronJob's template makes when it is run by hand (kubectl, pkg/cmd/create/create_job.go,
// createJobFromCronJob), with one difference: it has no owner. kubectl makes the CronJob the owner, and the CronJob's
// controller then takes the Job for one of its own: it warns of an unexpected Job, and counts it among the finished Jobs
// that successfulJobsHistoryLimit and failedJobsHistoryLimit keep (pkg/controller/cronjob/cronjob_controllerv2.go,
// cleanupFinishedJobs), so that it may delete the Job, logs and all, the moment it has failed, or an earlier scheduled one
// in its place. How long a Job of ours stays is for cleanup and its TTL to say. An annotation names the CronJob instead.
func jobOf(cron *batchv1.CronJob) *batchv1.Job {
	template := cron.Spec.JobTemplate.DeepCopy()
	job := &batchv1.Job{Spec: template.Spec}
	job.Labels, job.Annotations = template.Labels, template.Annotations
	if _, ok := job.Annotations["cronjob.kubernetes.io/instantiate"]; !ok {
		set(&job.Annotations, "cronjob.kubernetes.io/instantiate", "manual")
	}
	if cron.Name != "" {
		set(&job.Annotations, FromCronJobAnnotation, cron.Name)
	}
	return job
}

// tailLength is how many characters the API server generates behind a generateName (apiserver, pkg/storage/names/generate.go).
const tailLength = 5

// name decides the Job's name: the option's or the document's name and the suffix. Where there is only a generateName (a
// CronJob's name counts as one), the suffix takes the place of what the API server would generate, and without a suffix it is
// generated here, from the stamp, since the names of what the Job owns depend on it.
func (r *renderer) name(w *workload, name, generate string) {
	w.named = name
	base, suffix := name, strings.TrimPrefix(r.options.NameSuffix, "-")
	w.oneTime = suffix != "" || name == "" && r.options.Name == ""
	problemAt := func(path, suggestion, format string, args ...any) {
		r.problem(w, problem{level: event.Error, path: path, message: fmt.Sprintf(format, args...), suggestion: suggestion, derived: true})
	}
	if r.options.Name != "" {
		base = r.options.Name
		problemAt = func(_, suggestion, format string, args ...any) {
			r.option("name", format, args...).Suggestion = suggestion
		}
	}
	at := "metadata.name"
	switch {
	case base != "":
	case generate == "":
		problemAt("metadata", "", "name is required; generateName is possible too")
		return
	case suffix == "":
		const most = validation.DNS1123LabelMaxLength - tailLength
		w.job.Name = generate[:min(len(generate), most)] + r.tail(generate)
	default:
		base = strings.TrimSuffix(generate, "-")
	}
	if w.doc != nil && w.doc.Kind == "Job" && generate != "" && r.options.Name == "" {
		at = "metadata.generateName"
	}
	if base != "" {
		w.job.Name = base
	}
	if base != "" && suffix != "" {
		w.job.Name += "-" + suffix
	}

	shown := base
	if w.doc != nil && r.options.Name == "" {
		shown = w.doc.Original("metadata", base)
	}

	// Plain Jobs may have dots in their names; KubernetesJobs may not.
	check := validation.IsDNS1123Subdomain
	if w.doc != nil && kubernetesjob.Is(w.doc.APIVersion, w.doc.Kind) {
		check = validation.IsDNS1123Label
	}
	// The name becomes a label of the pods, and so has at most 63 characters (pkg/registry/batch/job/strategy.go, generateSelector).
	const most = validation.LabelValueMaxLength
	switch n := len(w.job.Name); {
	case n > most && suffix == "":
		problemAt(at, use(nameLike(base, most)), "%q has %d characters; %d are the most", w.job.Name, n, most)
	case n > most:
		r.option("name-suffix", "the name %q (%d characters), a hyphen and the suffix %q (%d) make %d characters; %d are the most",
			shown, len(base), suffix, len(suffix), n, most).Suggestion = use(nameLike(suffix, most-len(base)-1))
	case base != "" && len(check(base)) > 0:
		problemAt(at, use(nameLike(base, most)), "%q is invalid: %s", base, manifest.Plain(strings.Join(check(base), "; ")))
	case len(check(w.job.Name)) > 0 && suffix != "":
		r.option("name-suffix", "with the suffix, the name %q is invalid: %s", shown+"-"+suffix, manifest.Plain(strings.Join(check(w.job.Name), "; "))).Suggestion = use(nameLike(suffix, most-len(base)-1))
	case len(check(w.job.Name)) > 0:
		problemAt(at, "", "%q is invalid: %s", w.job.Name, manifest.Plain(strings.Join(check(w.job.Name), "; ")))
	}
}

var (
	notOfNames  = regexp.MustCompile(`[^a-z0-9]+`)
	notOfLabels = regexp.MustCompile(`[^A-Za-z0-9_.]+`)
)

// nameLike is what a text, such as a branch's name, becomes as a part of a name of at most that many characters; "" when nothing is left.
func nameLike(text string, most int) string {
	like := notOfNames.ReplaceAllString(strings.ToLower(text), "-")
	return strings.Trim(like[:min(len(like), max(most, 0))], "-")
}

// labelLike is what it becomes as the value of a label.
func labelLike(text string) string {
	like := notOfLabels.ReplaceAllString(text, "-")
	return strings.Trim(like[:min(len(like), validation.LabelValueMaxLength)], "-_.")
}

// use proposes a value that can be pasted.
func use(value string) string {
	if value == "" {
		return ""
	}
	return "use " + value
}

// tail is the generated end of a name: different for every run, because the stamp holds a nonce, and the same for the same input.
func (r *renderer) tail(generate string) string {
	seed, err := json.Marshal([]any{generate, r.options.Stamp})
	if err != nil { // strings always have a JSON form
		panic(err)
	}
	sum := sha256.Sum256(seed)
	return rand.SafeEncodeString(fmt.Sprintf("%x", sum))[:tailLength]
}

// inCronJob translates a path in the Job into one in its CronJob.
func inCronJob(path string) string {
	switch {
	case strings.HasPrefix(path, "spec"), strings.HasPrefix(path, "metadata.labels"), strings.HasPrefix(path, "metadata.annotations"):
		return "spec.jobTemplate." + path
	}
	return path
}

// containers goes through all containers of a pod, the main ones first.
func containers(pod *corev1.PodSpec) iter.Seq[*corev1.Container] {
	return func(yield func(*corev1.Container) bool) {
		for _, list := range [][]corev1.Container{pod.Containers, pod.InitContainers} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
	}
}

// sorted goes through a map in the order of its keys.
func sorted[K ~string, V any](m map[K]V) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

// content is a Secret's data as the API server keeps it: stringData becomes data, and wins.
func content(s *corev1.Secret) map[string][]byte {
	all := maps.Clone(s.Data)
	for k, v := range s.StringData {
		if all == nil {
			all = map[string][]byte{}
		}
		all[k] = []byte(v)
	}
	return all
}
