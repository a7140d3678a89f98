package render

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// scheme knows the kinds whose fields are checked here, those that stand beside a Job. The API server checks all others when they are
// applied.
var scheme = runtime.NewScheme()

func init() {
	known := runtime.NewSchemeBuilder(corev1.AddToScheme, networkingv1.AddToScheme, rbacv1.AddToScheme, schedulingv1.AddToScheme)
	utilruntime.Must(known.AddToScheme(scheme))
}

// applyOrder are the kinds that others need before them; every other kind comes after these, in the file's order.
var applyOrder = []string{
	"Namespace", "CustomResourceDefinition", "PriorityClass", "StorageClass", "PersistentVolume", "ResourceQuota", "LimitRange",
	"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "PersistentVolumeClaim", "ConfigMap", "Secret",
}

// exportedFields are what a server, or another owner, writes into an object. In a manifest they come from an export. An apply with most of
// them is refused; with an owner that is not there, the garbage collector takes the object away; a finalizer waits for its controller.
var exportedFields = []string{"metadata.managedFields", "metadata.resourceVersion", "metadata.uid", "metadata.generation", "metadata.creationTimestamp", "metadata.selfLink",
	"metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds", "metadata.ownerReferences", "metadata.finalizers", "status"}

// leaveExported removes them, and answers with those that were there and not empty.
func leaveExported(o *unstructured.Unstructured) (fields []string) {
	for _, path := range exportedFields {
		steps := strings.Split(path, ".")
		value, _, _ := unstructured.NestedFieldNoCopy(o.Object, steps...)
		if m, ok := value.(map[string]any); value != nil && (!ok || len(m) > 0) {
			fields = append(fields, path)
		}
		unstructured.RemoveNestedField(o.Object, steps...)
	}
	return fields
}

// clusterScoped tells whether a kind of Kubernetes' own has no namespace. The cluster is asked about all other kinds, by
// whoever applies them.
func clusterScoped(kind string) bool {
	switch kind {
	case "Namespace", "CustomResourceDefinition", "PriorityClass", "StorageClass", "PersistentVolume", "ClusterRole", "ClusterRoleBinding",
		"IngressClass", "RuntimeClass", "CSIDriver", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
		"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
		return true
	}
	return false
}

// platform are the API groups of the resources that a KubernetesJob's valueFrom refers to: KubernetesPostgres, AwsRdsCluster, …
// They are deployed by the platform; to a cluster their kinds are unknown.
var platform = regexp.MustCompile(`^[a-z0-9-]+\.(project-planton\.org|openmcf\.org|planton\.dev)/`)

// helpers are the file's other documents in the order in which they are applied, before the Job and, as Options.Others says, after it
// has succeeded. They go into the namespace that they name, else into the Job's; when an option moves the Job to another namespace, those
// that stood in the Job's old one move with it.
func (r *renderer) helpers(s *manifest.Set, w *workload) (before, after []*unstructured.Unstructured, documents map[*unstructured.Unstructured]*manifest.Document) {
	documents = map[*unstructured.Unstructured]*manifest.Document{}
	own := map[string]bool{} // kind and name of what the run creates itself
	if w != nil {
		for _, o := range w.owned() {
			own[o.GetObjectKind().GroupVersionKind().Kind+" "+o.(metav1.Object).GetName()] = true
		}
	}
	var others []*manifest.Document
	var exported *manifest.Document // the first one with fields that are left out
	var leftOut []string
	for _, doc := range s.Documents {
		if w == nil && doc.IsWorkload() || w != nil && doc == w.doc {
			continue
		}
		if platform.MatchString(doc.APIVersion) {
			if w != nil {
				r.add(doc.Finding(event.Info, "kind", fmt.Sprintf("%s %s is read for references and not applied: no cluster has this kind", doc.Kind, doc.Name), ""))
			}
			continue
		}
		if r.full(event.Error) { // there will be no plan
			break
		}
		turn := turnOf(doc, w)
		if turn != early {
			others = append(others, doc)
			if turn == never || r.options.Others != OthersAfterSuccess {
				continue
			}
		}
		object := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(doc.Map())}
		r.checkHelper(doc)
		if w != nil {
			r.moveHelper(doc, object, w)
			// A document with the name of something that the run creates itself would be deleted with the Job.
			if ns := object.GetNamespace(); doc.APIVersion == "v1" && own[doc.Kind+" "+doc.Name] && (ns == "" || ns == w.job.Namespace) {
				r.add(doc.Finding(event.Error, "metadata.name", fmt.Sprintf("the run itself creates a %s %s, which is deleted with the Job", doc.Kind, doc.Name), "use another name"))
			}
		}
		if fields := leaveExported(object); fields != nil {
			if leftOut == nil {
				exported = doc
			}
			leftOut = append(leftOut, fmt.Sprintf("%s of %s %s", strings.Join(fields, ", "), doc.Kind, doc.Original("metadata.name", doc.Name)))
		}
		documents[object] = doc
		if turn == early {
			before = append(before, object)
		} else {
			after = append(after, object)
		}
	}
	if w != nil {
		r.others(others, w)
	}
	if leftOut != nil {
		r.add(exported.Finding(event.Info, "metadata", isLeftOut+"as a server or another owner wrote it: "+strings.Join(leftOut, "; "), ""))
	}
	byRank := func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) }
	slices.SortStableFunc(before, byRank)
	slices.SortStableFunc(after, func(a, b *unstructured.Unstructured) int { // Helm runs its hooks when the rest is there
		return cmp.Or(min(1, len(documents[a].Hooks()))-min(1, len(documents[b].Hooks())), byRank(a, b))
	})
	return before, after, documents
}

func rank(o *unstructured.Unstructured) int {
	if i := slices.Index(applyOrder, o.GetKind()); i >= 0 {
		return i
	}
	return len(applyOrder)
}

// checkHelper checks a document as far as its kind is known here.
func (r *renderer) checkHelper(doc *manifest.Document) {
	finding := func(path, format string, args ...any) {
		r.add(doc.Finding(event.Error, path, fmt.Sprintf(format, args...), ""))
	}
	switch {
	case doc.Name == "":
		finding("metadata", "name is required: %s is applied, and only what has a name can be (generateName cannot)", doc.Kind)
	case doc.Kind != "Role" && doc.Kind != "RoleBinding" && doc.Kind != "ClusterRole" && doc.Kind != "ClusterRoleBinding": // they may have colons
		for _, m := range validation.IsDNS1123Subdomain(doc.Name) {
			finding("metadata.name", "%q is invalid: %s", doc.Name, manifest.Plain(m))
		}
	}
	if doc.Namespace != "" {
		for _, m := range validation.IsDNS1123Label(doc.Namespace) {
			finding("metadata.namespace", "%q is invalid: %s", doc.Namespace, manifest.Plain(m))
		}
	}
	gv, err := schema.ParseGroupVersion(doc.APIVersion)
	if err != nil {
		finding("apiVersion", "%q is no API version", doc.APIVersion)
		return
	}
	typed, err := scheme.New(gv.WithKind(doc.Kind))
	if err != nil {
		return // a kind of somebody else's; the API server knows it
	}
	r.add(doc.Decode(typed)...)
}

// moveHelper puts a document that stands in the workload's namespace where the option namespace puts the workload, and the
// service accounts that its bindings name there as well.
func (r *renderer) moveHelper(doc *manifest.Document, object *unstructured.Unstructured, w *workload) {
	from, to := w.namespace, w.job.Namespace
	if from == "" || from == to {
		return
	}
	if object.GetNamespace() == from {
		object.SetNamespace(to)
		r.add(doc.Finding(event.Info, "metadata.namespace", fmt.Sprintf("%s %s is applied in %s, where the option namespace puts the Job, instead of %s", doc.Kind, doc.Name, to, from), ""))
	}
	if doc.Kind != "RoleBinding" && doc.Kind != "ClusterRoleBinding" {
		return
	}
	subjects, _ := object.Object["subjects"].([]any)
	for _, s := range subjects {
		if subject, ok := s.(map[string]any); ok && subject["kind"] == "ServiceAccount" && subject["namespace"] == from {
			subject["namespace"] = to
		}
	}
}
