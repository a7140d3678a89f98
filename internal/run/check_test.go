package run

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/planton/kubernetes-job-action/internal/apitest"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// kinds asks about the core group.
var kinds = knows("/api/v1", metav1.APIResource{Name: "serviceaccounts", Kind: "ServiceAccount", Namespaced: true}, metav1.APIResource{Name: "namespaces", Kind: "Namespace"},
	metav1.APIResource{Name: "resourcequotas", Kind: "ResourceQuota", Namespaced: true})

// knows asks about a group that the cluster knows.
func knows(path string, resources ...metav1.APIResource) exchange {
	return exchange{"GET " + path, 200, &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, APIResources: resources}}
}

// thing is an object as a file has it; without a namespace when that is "".
func thing(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name}}}
	if namespace != "" {
		o.SetNamespace(namespace)
	}
	return o
}

// definition is a CustomResourceDefinition of the kind Widget, widget is one, and the others are what is asked about them.
var (
	definition = func() *unstructured.Unstructured {
		o := thing("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "widgets.a.example")
		o.Object["spec"] = map[string]any{"group": "a.example", "names": map[string]any{"kind": "Widget"}}
		return o
	}()
	widget      = thing("a.example/v1", "Widget", "ns", "w")
	definitions = knows("/apis/apiextensions.k8s.io/v1", metav1.APIResource{Name: "customresourcedefinitions", Kind: "CustomResourceDefinition"})
	widgets     = knows("/apis/a.example/v1", metav1.APIResource{Name: "widgets", Kind: "Widget", Namespaced: true})
	noWidgets   = exchange{"GET /apis/a.example/v1", 404, apierrors.NewGenericServerResponse(404, "get", schema.GroupResource{}, "", "", 0, true).Status()}
)

const (
	definitionURL  = "PATCH /apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.a.example?"
	widgetURL      = "PATCH /apis/a.example/v1/namespaces/ns/widgets/w?"
	applies, tries = "fieldManager=kubernetes-job-action&force=true", "dryRun=All&fieldManager=kubernetes-job-action&force=true"
)

// account is an object of the user's own.
func account() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"namespace": "ns", "name": "a"}}}
}

const accountURL = "PATCH /api/v1/namespaces/ns/serviceaccounts/a?"

// TestCheck: everything is asked for and nothing is created; what the API server warns of is told, and an outage too.
func TestCheck(t *testing.T) {
	namespace := &corev1.Namespace{TypeMeta: metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"}}
	named := schema.GroupResource{Resource: "namespaces"}
	missing, denied := apierrors.NewNotFound(named, "ns").Status(), apierrors.NewForbidden(named, "ns", errors.New("no")).Status()
	exists := apierrors.NewAlreadyExists(jobsResource, "j").Status()
	const look, secret, note, job = "GET /api/v1/namespaces/ns", "POST /api/v1/namespaces/ns/secrets?dryRun=All", "POST /api/v1/namespaces/ns/configmaps?dryRun=All", "POST " + jobsURL + "?dryRun=All"
	owned := []exchange{{secret, 201, &corev1.Secret{TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}}}, {note, 409, apierrors.NewAlreadyExists(schema.GroupResource{Resource: "configmaps"}, "n").Status()}}
	apply := []exchange{{look, 200, namespace}, kinds, {accountURL + "dryRun=All&fieldManager=kubernetes-job-action&force=true", 200, account()}}
	invalid := func(kind string, fields ...string) metav1.Status {
		var list field.ErrorList
		for _, f := range fields {
			list = append(list, field.Required(field.NewPath(f), ""))
		}
		return apierrors.NewInvalid(schema.GroupKind{Kind: kind}, strings.ToLower(kind[:1]), list).Status()
	}
	placed := func(o *Objects) {
		o.Place = func(of runtime.Object, field, _ string) event.Finding {
			return event.Finding{Path: field, Message: "of " + nameOf(of)}
		}
	}
	// apiserver/pkg/admission/plugin/policy/validating/dispatcher.go answers 422 with a cause, too.
	policy := apierrors.NewForbidden(jobsResource, "j", errors.New("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no")).Status()
	policy.Code, policy.Reason = 422, metav1.StatusReasonInvalid
	policy.Details.Causes = []metav1.StatusCause{{Message: "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"}}
	quota := func(resource string) metav1.Status {
		return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "j", fmt.Errorf("exceeded quota: small, requested: %[1]s=1, used: %[1]s=0, limited: %[1]s=0", resource)).Status()
	}
	busy := exchange{look, 503, apierrors.NewServiceUnavailable("starting").Status()}
	for _, test := range []struct {
		name      string
		exchanges []exchange
		change    func(*Objects)
		want      []string
		err       string
	}{
		{"it is accepted, with a warning", append(append(apply, owned...), exchange{job, 201, apitest.Warned{Text: "would violate PodSecurity", Body: there("x")}}),
			func(o *Objects) { o.Apply = []*unstructured.Unstructured{account()} }, []string{"warning: the API server warns: would violate PodSecurity"}, ""},
		{"who may not look at the namespace may work in it", append(append([]exchange{{look, 403, denied}}, owned...), exchange{job, 201, there("x")}), nil, nil, ""},
		{"the namespace comes with the Job", []exchange{{look, 404, missing}}, func(o *Objects) { o.CreateNamespace = true },
			[]string{"warning: namespace ns does not exist yet, so what goes into it could not be checked by the API server"}, ""},
		{"the namespace is missing", []exchange{{look, 404, missing}}, nil, nil, `cannot look at namespace ns: the namespace "ns" does not exist. Create it (kubectl create namespace ns), or set createNamespace: true in a KubernetesJob manifest.`},
		{"an object of the user's is refused, and what comes with it is fine", append(append([]exchange{{look, 200, namespace}}, owned...), exchange{job, 201, there("x")}), func(o *Objects) { o.Apply = []*unstructured.Unstructured{{Object: map[string]any{"kind": "Secret"}}} }, nil,
			"cannot apply a Secret without a name. Set metadata.name; generateName cannot be applied."},
		{"a helper and the Job are invalid", []exchange{{look, 200, namespace}, {secret, 422, invalid("Secret", "data")}, owned[1], {job, 422, invalid("Job", "spec.x", "spec.y")}}, placed,
			[]string{"finding data: of Secret ns/s", "finding spec.x: of Job ns/j", "finding spec.y: of Job ns/j"}, `the API server finds one problem in Secret ns/s; the API server finds 2 problems in Job ns/j`},
		{"a helper is invalid, another is refused, and so is the Job", []exchange{{look, 200, namespace}, {secret, 422, invalid("Secret", "data")}, {note, 403, quota("configmaps")}, {job, 403, quota("jobs.batch")}}, placed,
			[]string{"finding data: of Secret ns/s"}, `the API server finds one problem in Secret ns/s; cannot check ConfigMap ns/n: ResourceQuota "small" allows configmaps=0, configmaps=0 is used and it asks for configmaps=1; ` +
				`cannot check Job ns/j: ResourceQuota "small" allows jobs.batch=0, jobs.batch=0 is used and it asks for jobs.batch=1. It alone is more than the quota allows: raise the quota (kubectl -n ns describe resourcequota small).`},
		{"the API server fails meanwhile", []exchange{{look, 200, namespace}, {secret, 401, apierrors.NewUnauthorized("no").Status()}, {secret, 401, apierrors.NewUnauthorized("no").Status()}}, placed, nil,
			"cannot check Secret ns/s: the API server does not accept the credentials (401 Unauthorized)"},
		{"the namespace is in the file", []exchange{{look, 404, missing}}, func(o *Objects) { o.Apply = []*unstructured.Unstructured{thing("v1", "Namespace", "", "ns")} },
			[]string{"warning: namespace ns does not exist yet, so what goes into it could not be checked by the API server"}, ""},
		{"another namespace is in the file", []exchange{{look, 404, missing}}, func(o *Objects) { o.Apply = []*unstructured.Unstructured{thing("v1", "Namespace", "", "other")} }, nil,
			`cannot look at namespace ns: the namespace "ns" does not exist.`},
		{"a kind is in the file", slices.Concat([]exchange{{look, 200, namespace}, definitions, {definitionURL + tries, 200, definition}, noWidgets}, owned, []exchange{{job, 201, there("x")}}),
			func(o *Objects) { o.Apply = []*unstructured.Unstructured{definition, widget} },
			[]string{"warning: Widget ns/w could not be checked yet: what the file applies may change the answer (cannot apply Widget ns/w: the cluster does not know this kind: "}, ""},
		{"a kind is nowhere", slices.Concat([]exchange{{look, 200, namespace}, noWidgets}, owned, []exchange{{job, 201, there("x")}}),
			func(o *Objects) { o.Apply = []*unstructured.Unstructured{widget} }, nil, "cannot apply Widget ns/w: the cluster does not know this kind: "},
		{"a quota denies the Job, and the file applies something else", slices.Concat(apply, owned, []exchange{{job, 403, quota("jobs.batch")}}), func(o *Objects) { o.Apply = []*unstructured.Unstructured{account()} }, nil,
			`cannot check Job ns/j: ResourceQuota "small" allows `},
		{"a quota denies the Job, and is in the file", slices.Concat([]exchange{{look, 200, namespace}, kinds, {"PATCH /api/v1/namespaces/ns/resourcequotas/q?" + tries, 200, account()}}, owned, []exchange{{job, 403, quota("jobs.batch")}}),
			func(o *Objects) { o.Apply = []*unstructured.Unstructured{thing("v1", "ResourceQuota", "ns", "q")} },
			[]string{`warning: Job ns/j could not be checked yet: what the file applies may change the answer (cannot check Job ns/j: ResourceQuota "small" allows `}, ""},
		{"an invalid helper without fields", []exchange{{look, 200, namespace}, {secret, 422, invalid("Secret")}, owned[1], {job, 201, there("x")}}, placed, nil, `cannot check Secret ns/s: Secret "s" is invalid`},
		{"a policy denies the Job", append(append([]exchange{{look, 200, namespace}}, owned...), exchange{job, 422, policy}), placed, nil,
			`cannot check Job ns/j: ValidatingAdmissionPolicy "p" denies it: no. Change it to what the policy allows: kubectl get validatingadmissionpolicy p -o yaml`},
		{"there is one of that name", append(append([]exchange{{look, 200, namespace}}, owned...), exchange{job, 409, exists}, exchange{"GET " + jobURL, 200, there("old")}), nil,
			[]string{"warning: Job ns/j exists already (running); if-exists decides what a run does with it"}, ""},
		{"there was one of that name", append(append([]exchange{{look, 200, namespace}}, owned...), exchange{job, 409, exists}, exchange{"GET " + jobURL, 403, apierrors.NewForbidden(jobsResource, "j", errors.New("no")).Status()}), nil,
			nil, `cannot look at the Job: jobs.batch "j" is forbidden: no`},
		{"the API server is starting", append(append([]exchange{busy, busy, busy, busy, busy, busy, busy, busy, {look, 200, namespace}}, owned...), exchange{job, 201, there("x")}), nil,
			[]string{"info: the API server does not answer (the API server answers 503: starting); trying again for up to 1 min", "info: the API server answers again after "}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := play(t, test.exchanges...)
				l.objects.Owned = []runtime.Object{&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}}, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "n"}}}
				if test.change != nil {
					test.change(&l.objects)
				}
				said := &transcript{}
				err := Check(t.Context(), l.client, l.objects, said)
				if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.HasPrefix(err.Error(), test.err)) {
					t.Errorf("got %v, want %q", err, test.err)
				}
				if diff := cmp.Diff(test.want, said.lines, cmp.Comparer(begins)); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestCheckWithoutTerminal: the sink's error is that of the check.
func TestCheckWithoutTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := play(t, exchange{"GET /api/v1/namespaces/ns", 404, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns").Status()})
		l.objects.CreateNamespace = true
		if err := Check(t.Context(), l.client, l.objects, &transcript{fail: io.ErrClosedPipe}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v", err)
		}
	})
}

// nameOf is an object as messages name it.
func nameOf(o runtime.Object) string {
	switch o := o.(type) {
	case *unstructured.Unstructured:
		return applied(o).String()
	case *batchv1.Job:
		return "Job " + o.Namespace + "/" + o.Name
	}
	return refOf(o).String()
}
