package render

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/kubernetesjob"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// workload is the document that becomes the Job, decoded, with the way back from the Job's fields to the document's.
type workload struct {
	doc             *manifest.Document // nil for a CronJob of the cluster
	named           string             // the name in the document, "" with generateName
	documentPath    func(string) string
	job             *batchv1.Job
	envSecret       *corev1.Secret // nil without secret variables
	pullSecret      *corev1.Secret // nil without registry credentials
	configMaps      []*corev1.ConfigMap
	namespace       string // as the document names it
	createNamespace bool
	cluster         string
	deleteAfter     []event.Outcome // see Plan
	broken          bool            // the document did not decode: what is missing in the Job may be there, misspelt
}

// owned are the objects that live and die with the Job.
func (w *workload) owned() []runtime.Object {
	var all []runtime.Object
	for _, s := range []*corev1.Secret{w.envSecret, w.pullSecret} {
		if s != nil {
			s.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}
			set(&s.Labels, ManagedByLabel, ManagedBy)
			all = append(all, s)
		}
	}
	for _, c := range w.configMaps {
		c.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
		set(&c.Labels, ManagedByLabel, ManagedBy)
		all = append(all, c)
	}
	return all
}

// finding says where in the file a problem of the Job is.
func (w *workload) finding(p problem) event.Finding {
	if w.doc == nil {
		return event.Finding{Level: p.level, Path: "from-cronjob", Message: p.path + ": " + p.message, Suggestion: p.suggestion}
	}
	return w.doc.Finding(p.level, w.documentPath(p.path), p.message, p.suggestion)
}

// load reads the workload; nil when there is none that can be worked on.
func (r *renderer) load(s *manifest.Set) *workload {
	if cron := r.options.FromCronJob; cron != nil {
		if len(s.Helpers()) < len(s.Documents) {
			r.option("from-cronjob", "the manifest has a workload too; give one of them")
			return nil
		}
		w := &workload{documentPath: inCronJob, job: jobOf(cron), namespace: cron.Namespace}
		r.name(w, "", cron.Name+"-")
		return r.place(w)
	}
	doc, findings := s.Workload()
	r.add(findings...)
	if doc == nil {
		return nil
	}
	w := &workload{doc: doc, documentPath: func(p string) string { return p }}
	switch {
	case kubernetesjob.Is(doc.APIVersion, doc.Kind):
		spec, findings := kubernetesjob.Parse(doc, s)
		r.add(findings...)
		if event.HasErrors(findings) {
			return nil // Parse has checked all of it
		}
		w.documentPath = w.inKubernetesJob
		w.job = &batchv1.Job{}
		r.name(w, doc.Name, "")
		objects := spec.Objects(w.job.Name)
		w.job, w.envSecret, w.configMaps = objects.Job, objects.EnvSecret, objects.ConfigMaps
		w.createNamespace, w.cluster = objects.CreateNamespace, objects.Cluster
		w.namespace = objects.Job.Namespace
		r.add(objects.Notes...)
		if w.envSecret != nil {
			for _, value := range content(w.envSecret) {
				r.mask(string(value))
			}
		}
	case doc.Kind == "CronJob":
		var cron batchv1.CronJob
		r.decode(w, &cron)
		w.documentPath, w.job, w.namespace = inCronJob, jobOf(&cron), cron.Namespace
		generate := cron.GenerateName
		if cron.Name != "" {
			generate = cron.Name + "-"
		}
		r.name(w, "", generate)
	default:
		var job batchv1.Job
		r.decode(w, &job)
		w.namespace = job.Namespace
		// What a server has written into an exported manifest is refused by the next one; it is not the user's.
		m := job.ObjectMeta
		w.job = &batchv1.Job{Spec: job.Spec, ObjectMeta: metav1.ObjectMeta{Labels: m.Labels, Annotations: m.Annotations, OwnerReferences: m.OwnerReferences, Finalizers: m.Finalizers}}
		generate := m.GenerateName
		if m.Name != "" {
			generate = ""
		}
		r.name(w, m.Name, generate)
	}
	return r.place(w)
}

// decode reads the document strictly.
func (r *renderer) decode(w *workload, into any) {
	findings := w.doc.Decode(into)
	w.broken = event.HasErrors(findings)
	r.add(findings...)
}

// place gives the workload its namespace: the option's, else the manifest's, else none.
func (r *renderer) place(w *workload) *workload {
	w.job.Namespace = w.namespace
	if n := r.options.Namespace; n != "" {
		w.job.Namespace = n
		for _, m := range validation.IsDNS1123Label(n) {
			r.option("namespace", "%q is invalid: %s", n, manifest.Plain(m))
		}
	} else if n := w.namespace; n != "" && !(w.doc != nil && kubernetesjob.Is(w.doc.APIVersion, w.doc.Kind)) {
		for _, m := range validation.IsDNS1123Label(n) {
			r.add(w.finding(problem{level: event.Error, path: "metadata.namespace", message: fmt.Sprintf("%q is invalid: %s", n, manifest.Plain(m))}))
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
	problemAt := func(path, format string, args ...any) {
		r.add(w.finding(problem{level: event.Error, path: path, message: fmt.Sprintf(format, args...)}))
	}
	if r.options.Name != "" {
		base = r.options.Name
		problemAt = func(_, format string, args ...any) { r.option("name", format, args...) }
	}
	at := "metadata.name"
	switch {
	case base != "":
	case generate == "":
		problemAt("metadata", "name is required; generateName is possible too")
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

	// Plain Jobs may have dots in their names; KubernetesJobs may not.
	check := validation.IsDNS1123Subdomain
	if w.doc != nil && kubernetesjob.Is(w.doc.APIVersion, w.doc.Kind) {
		check = validation.IsDNS1123Label
	}
	// The name becomes a label of the pods, and so has at most 63 characters (pkg/registry/batch/job/strategy.go, generateSelector).
	const most = validation.LabelValueMaxLength
	switch n := len(w.job.Name); {
	case n > most && suffix == "":
		problemAt(at, "%q has %d characters; %d are the most", w.job.Name, n, most)
	case n > most:
		r.option("name-suffix", "the name %q (%d characters), a hyphen and the suffix %q (%d) make %d characters; %d are the most",
			base, len(base), suffix, len(suffix), n, most)
	case base != "" && len(check(base)) > 0:
		problemAt(at, "%q is invalid: %s", base, manifest.Plain(strings.Join(check(base), "; ")))
	case len(check(w.job.Name)) > 0 && suffix != "":
		r.option("name-suffix", "with the suffix, the name %q is invalid: %s", w.job.Name, manifest.Plain(strings.Join(check(w.job.Name), "; ")))
	case len(check(w.job.Name)) > 0:
		problemAt(at, "%q is invalid: %s", w.job.Name, manifest.Plain(strings.Join(check(w.job.Name), "; ")))
	}
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

var envIndex = regexp.MustCompile(`^spec\.env\[(\d+)\]`)

// inKubernetesJob translates a path in the Job into one in the KubernetesJob that it was made from, as near as there is one.
func (w *workload) inKubernetesJob(path string) string {
	for _, t := range [][2]string{
		{"spec.template.spec.containers[0].", "spec."},
		{"spec.template.spec.volumes", "spec.volumeMounts"},
		{"spec.template.spec.imagePullSecrets", "spec.image.pullSecretName"},
		{"spec.template.spec.", "spec."},
		{"spec.template.metadata", "metadata"},
	} {
		if rest, ok := strings.CutPrefix(path, t[0]); ok {
			path = t[1] + rest
			break
		}
	}
	if m := envIndex.FindStringSubmatch(path); m != nil {
		i, err := strconv.Atoi(m[1])
		if all := w.job.Spec.Template.Spec.Containers; err == nil && len(all) > 0 && i < len(all[0].Env) {
			return variablePath(w.doc, all[0].Env[i].Name)
		}
	}
	return path
}

// variablePath is where a KubernetesJob sets a variable: spec.env.variables is a map in two of its dialects, a list in the third.
func variablePath(doc *manifest.Document, name string) string {
	list, _, _ := unstructured.NestedSlice(doc.Map(), "spec", "env", "variables")
	for i, v := range list {
		if m, ok := v.(map[string]any); ok && m["name"] == name {
			return fmt.Sprintf("spec.env.variables[%d]", i)
		}
	}
	return "spec.env.variables." + name
}

// inspect makes all checks of a Job and gives the advice that is about its containers.
func inspect(w *workload) []problem {
	var c checker
	c.check(w.job)
	c.advise(w)
	return c.problems
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

// volumeSources names the sources that a volume has.
func volumeSources(source corev1.VolumeSource) []string {
	var names []string
	v := reflect.ValueOf(source)
	for i := range v.NumField() {
		if !v.Field(i).IsNil() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	return names
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
