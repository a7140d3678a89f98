package cluster

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/yaml"

	"github.com/planton/kubernetes-job-action/internal/apitest"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// exchange is an apitest.Exchange whose fields need no names.
type exchange apitest.Exchange

// scripted is the client of an API server that plays exchanges in order.
func scripted(t *testing.T, exchanges ...exchange) *Client {
	t.Helper()
	server := apitest.New(t)
	var script []apitest.Exchange
	for _, e := range exchanges {
		script = append(script, apitest.Exchange(e))
	}
	server.Expect(script...)
	kubeconfig := clusterOf(t, map[string]any{"server": "https://api.example"}, map[string]any{"token": "s3cr3t"})
	c, _, err := connect(t, Options{Kubeconfig: kubeconfig, Dir: t.TempDir(), APITimeout: 2 * time.Second, Wrap: func(http.RoundTripper) http.RoundTripper { return server }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var jobsResource = schema.GroupResource{Group: "batch", Resource: "jobs"}

func jobWith(nonce, uid string) *batchv1.Job {
	job := &batchv1.Job{TypeMeta: metav1.TypeMeta{Kind: "Job", APIVersion: "batch/v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "migrate"}}
	if nonce != "" {
		job.Annotations = map[string]string{NonceAnnotation: nonce}
	}
	if uid != "" {
		job.UID = "uid-ours"
	}
	return job
}

func TestCreateJob(t *testing.T) {
	const create, get = "POST /apis/batch/v1/namespaces/ns/jobs?fieldManager=kubernetes-job-action", "GET /apis/batch/v1/namespaces/ns/jobs/migrate"
	exists := apierrors.NewAlreadyExists(jobsResource, "migrate").Status()
	missing := apierrors.NewNotFound(jobsResource, "migrate").Status()
	busy := errBusy.Status()
	garbled := []string{"no Job"}
	unknown := func(err error) bool {
		return err != nil && strings.Contains(err.Error(), "kubectl -n ns get job migrate")
	}
	tests := []struct {
		name      string
		nonce     string
		exchanges []exchange
		is        func(error) bool // nil: it is created
	}{
		{"created", "n", []exchange{{create, 201, jobWith("n", "ours")}}, nil},
		{"the answer was cut off, the Job is there", "n", []exchange{{create, 0, io.EOF}, {create, 409, exists}, {get, 200, jobWith("n", "ours")}}, nil},
		{"the answer was cut off, the Job is not there", "n", []exchange{{create, 0, io.EOF}, {create, 201, jobWith("n", "ours")}}, nil},
		{"the look is refused for a while", "n", []exchange{{create, 504, busy}, {create, 409, exists}, {get, 503, busy}, {create, 409, exists}, {get, 200, jobWith("n", "ours")}}, nil},
		{"the answer cannot be read, the Job is there", "n", []exchange{{create, 201, garbled}, {get, 200, jobWith("n", "ours")}}, nil},
		{"the answer cannot be read, the Job is not there", "n", []exchange{{create, 201, garbled}, {get, 404, missing}}, unknown},
		{"the answer cannot be read, and the look is not answered", "n", []exchange{{create, 201, garbled}, {get, 503, busy}, {create, 409, exists}, {get, 200, jobWith("n", "ours")}}, nil},
		{"no answer can be read", "n", []exchange{{create, 201, garbled}, {get, 200, garbled}}, unknown},
		{"another Job has the name", "n", []exchange{{create, 409, exists}, {get, 200, jobWith("other", "")}}, apierrors.IsAlreadyExists},
		{"another Job had the name", "n", []exchange{{create, 409, exists}, {get, 404, missing}}, apierrors.IsAlreadyExists},
		{"without a nonce nothing is ours", "", []exchange{{create, 409, exists}}, apierrors.IsAlreadyExists},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			job, err := scripted(t, test.exchanges...).CreateJob(t.Context(), jobWith(test.nonce, ""))
			switch {
			case test.is == nil && (err != nil || job.UID != "uid-ours"):
				t.Errorf("got %v, %v", job, err)
			case test.is != nil && (!test.is(err) || job != nil):
				t.Errorf("got %v, %v", job, err)
			}
		})
	}
}

func TestCronJob(t *testing.T) {
	const get = "GET /apis/batch/v1/namespaces/ns/cronjobs/nightly"
	c := scripted(t, exchange{get, 200, &batchv1.CronJob{TypeMeta: metav1.TypeMeta{Kind: "CronJob", APIVersion: "batch/v1"}, ObjectMeta: metav1.ObjectMeta{Name: "nightly"}}},
		exchange{get, 404, apierrors.NewNotFound(schema.GroupResource{Group: "batch", Resource: "cronjobs"}, "nightly").Status()})
	if got, err := c.CronJob(t.Context(), "ns", "nightly"); err != nil || got.Name != "nightly" {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := c.CronJob(t.Context(), "ns", "nightly"); !apierrors.IsNotFound(err) || got != nil || !strings.Contains(err.Error(), `cannot read CronJob ns/nightly: cronjobs.batch "nightly" not found`) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestEnsureNamespace(t *testing.T) {
	const create, get = "POST /api/v1/namespaces?fieldManager=kubernetes-job-action", "GET /api/v1/namespaces/team"
	const try = "POST /apis/batch/v1/namespaces/team/jobs?dryRun=All&fieldManager=kubernetes-job-action"
	namespaces := schema.GroupResource{Resource: "namespaces"}
	forbidden := apierrors.NewForbidden(namespaces, "team", errors.New("no")).Status()
	there := &corev1.Namespace{TypeMeta: metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "team"}}
	tests := []struct {
		name      string
		exchanges []exchange
		created   bool
		forbidden bool
	}{
		{"missing", []exchange{{create, 201, there}}, true, false},
		{"there", []exchange{{create, 409, apierrors.NewAlreadyExists(namespaces, "team").Status()}}, false, false},
		{"there, and creation is forbidden", []exchange{{create, 403, forbidden}, {get, 200, there}}, false, false},
		{"there, and all but the Job is forbidden", []exchange{{create, 403, forbidden}, {get, 403, forbidden}, {try, 201, jobWith("", "")}}, false, false},
		{"there, and so is the Job", []exchange{{create, 403, forbidden}, {get, 403, forbidden}, {try, 409, apierrors.NewAlreadyExists(jobsResource, "j").Status()}}, false, false},
		{"there, and its quota is used up", []exchange{{create, 403, forbidden}, {get, 403, forbidden}, {try, 403, apierrors.NewForbidden(jobsResource, "j", errors.New("exceeded quota: q")).Status()}}, false, false},
		{"perhaps there, and everything is forbidden", []exchange{{create, 403, forbidden}, {get, 403, forbidden},
			{try, 403, metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonForbidden, Code: 403, Message: `jobs.batch is forbidden: User "me" cannot create resource "jobs" in API group "batch" in the namespace "team"`}}}, false, true},
		{"there, and that is told late", []exchange{{create, 403, forbidden}, {get, 403, forbidden}, {try, 503, errBusy.Status()}, {create, 403, forbidden}, {get, 200, there}}, false, false},
		{"missing, and all but the Job is forbidden", []exchange{{create, 403, forbidden}, {get, 403, forbidden}, {try, 404, apierrors.NewNotFound(namespaces, "team").Status()}}, false, true},
		{"missing, and creation is forbidden", []exchange{{create, 403, forbidden}, {get, 404, apierrors.NewNotFound(namespaces, "team").Status()}}, false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			created, err := scripted(t, test.exchanges...).EnsureNamespace(t.Context(), &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "j"}})
			if err != nil && strings.Contains(err.Error(), "ClusterRole") {
				t.Errorf("it proposes a right that only the manifest asks for: %v", err)
			}
			if created != test.created || apierrors.IsForbidden(err) != test.forbidden || err != nil && !test.forbidden {
				t.Errorf("got %v, %v", created, err)
			}
		})
	}
}

// kinds is what the API server says about a group.
func kinds(groupVersion string, resources ...metav1.APIResource) *metav1.APIResourceList {
	return &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: groupVersion, APIResources: resources}
}

// core asks about the core group of a cluster that has ConfigMaps and Namespaces.
var core = exchange{"GET /api/v1", 200, kinds("v1", metav1.APIResource{Name: "configmaps", Kind: "ConfigMap", Namespaced: true},
	metav1.APIResource{Name: "namespaces", Kind: "Namespace"}, metav1.APIResource{Name: "pods/eviction", Kind: "Eviction", Namespaced: true})}

// noWidgets asks about the group of Widgets, which is not there.
var noWidgets = exchange{"GET /apis/example.com/v1", 404, apierrors.NewGenericServerResponse(404, "get", schema.GroupResource{}, "", "", 0, true).Status()}

func object(text string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		panic(err)
	}
	return u
}

func TestApply(t *testing.T) {
	there := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "x"}}
	c := scripted(t, core,
		exchange{"PATCH /api/v1/namespaces/ns/configmaps/x?fieldManager=kubernetes-job-action&force=true", 200, there},
		exchange{"PATCH /api/v1/namespaces/default/configmaps/x?dryRun=All&fieldManager=kubernetes-job-action&force=true", 200, there},
		exchange{"PATCH /api/v1/namespaces/team?fieldManager=kubernetes-job-action&force=true", 200, there},
	)
	if err := c.Apply(t.Context(), object("{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: ns}}"), false); err != nil {
		t.Error(err)
	}
	if err := c.Apply(t.Context(), object("{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}"), true); err != nil {
		t.Error(err)
	}
	if err := c.Apply(t.Context(), object("{apiVersion: v1, kind: Namespace, metadata: {name: team}}"), false); err != nil {
		t.Error(err)
	}
	var cause *event.Cause
	if err := c.Apply(t.Context(), object("{apiVersion: v1, kind: ConfigMap, metadata: {generateName: x}}"), false); !errors.As(err, &cause) || cause.Reason != event.InvalidManifest {
		t.Errorf("without a name: %v", err)
	}
}

func TestApplyUnknownKind(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("no")).Status()
	const widget, eviction = "{apiVersion: example.com/v1, kind: Widget, metadata: {name: x}}", "{apiVersion: v1, kind: Eviction, metadata: {name: x}}"
	for _, test := range []struct {
		name, object string
		exchange     exchange
		reason       event.Reason
		want         string
	}{
		{"no such group", widget, noWidgets, event.InvalidManifest, `cannot apply Widget x: the cluster does not know this kind: no matches for kind "Widget" in version "example.com/v1"`},
		{"no such kind in the group", widget, exchange{"GET /apis/example.com/v1", 200, kinds("example.com/v1")}, event.InvalidManifest, `no matches for kind "Widget"`},
		{"it is of a subresource", eviction, core, event.InvalidManifest, `no matches for kind "Eviction" in version "v1"`},
		{"nobody may ask", widget, exchange{"GET /apis/example.com/v1", 403, forbidden}, event.Forbidden, "cannot apply Widget x: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			var cause *event.Cause
			err := scripted(t, test.exchange).Apply(t.Context(), object(test.object), false)
			if !errors.As(err, &cause) || cause.Reason != test.reason || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

var needs = []Access{
	{Group: "batch", Resource: "jobs", Verbs: []string{"create", "get", "delete"}},
	{Resource: "pods/log", Verbs: []string{"get"}},
	{Resource: "events", Verbs: []string{"list", "watch"}, Optional: true},
	{Resource: "namespaces", Verbs: []string{"create"}, ClusterWide: true},
}

func rules(incomplete bool, rules ...authorizationv1.ResourceRule) *authorizationv1.SelfSubjectRulesReview {
	return &authorizationv1.SelfSubjectRulesReview{TypeMeta: metav1.TypeMeta{Kind: "SelfSubjectRulesReview", APIVersion: "authorization.k8s.io/v1"},
		Status: authorizationv1.SubjectRulesReviewStatus{Incomplete: incomplete, ResourceRules: rules}}
}

func rule(verbs, groups, resources string) authorizationv1.ResourceRule {
	return authorizationv1.ResourceRule{Verbs: strings.Fields(verbs), APIGroups: strings.Split(groups, " "), Resources: strings.Fields(resources)}
}

func TestPreflight(t *testing.T) {
	const review, access, self = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "POST /apis/authentication.k8s.io/v1/selfsubjectreviews"
	named := rule("*", "batch", "jobs")
	named.ResourceNames = []string{"one"}
	decide := func(allowed bool) *authorizationv1.SelfSubjectAccessReview {
		return &authorizationv1.SelfSubjectAccessReview{TypeMeta: metav1.TypeMeta{Kind: "SelfSubjectAccessReview", APIVersion: "authorization.k8s.io/v1"}, Status: authorizationv1.SubjectAccessReviewStatus{Allowed: allowed}}
	}
	me := exchange{self, 201, &authenticationv1.SelfSubjectReview{TypeMeta: metav1.TypeMeta{Kind: "SelfSubjectReview", APIVersion: "authentication.k8s.io/v1"},
		Status: authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{Username: "system:serviceaccount:ci:deployer"}}}}
	tests := []struct {
		name      string
		exchanges []exchange
		notices   int
		want      string // the message; "" for none
		reason    event.Reason
	}{
		{"an admin", []exchange{{review, 201, rules(false, rule("*", "*", "*"))}}, 0, "", ""},
		{"exactly enough", []exchange{{review, 201, rules(false, rule("create get delete", "batch", "jobs"), rule("get", " x", "*/log"), rule("list watch", "", "events"), rule("create", "", "namespaces"))}}, 0, "", ""},
		{"no events", []exchange{{review, 201, rules(false, rule("*", "*", "jobs pods/log namespaces"), rule("list", "", "events"))}, me}, 1, "", ""},
		{"nothing that matters", []exchange{{review, 201, rules(false, named, rule("*", "", "jobs pods"))}, me}, 1,
			"system:serviceaccount:ci:deployer may not do in namespace ns what this run needs: create, get, delete jobs.batch; get pods/log; create namespaces (in the whole cluster)", event.Forbidden},
		{"nobody", []exchange{{review, 201, rules(false, rule("get", "", "events"))}, {self, 201, &authenticationv1.SelfSubjectReview{TypeMeta: metav1.TypeMeta{Kind: "SelfSubjectReview", APIVersion: "authentication.k8s.io/v1"},
			Status: authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{Username: "system:anonymous"}}}}}, 0, "the API server finds no credentials in the requests (system:anonymous)", event.Unauthorized},
		{"an old server does not say who", []exchange{{review, 201, rules(false, rule("*", "*", "pods/log events namespaces"))}, {self, 404, apierrors.NewNotFound(pods, "").Status()}}, 0,
			"the kubeconfig's user may not do in namespace ns what this run needs: create, get, delete jobs.batch", event.Forbidden},
		{"incomplete, all allowed", []exchange{{review, 201, rules(true, rule("get", "*", "*"))}, {access, 201, decide(true)}, {access, 201, decide(true)}, {access, 201, decide(true)}, {access, 201, decide(true)}, {access, 201, decide(true)}}, 0, "", ""},
		{"incomplete, one denied", []exchange{{review, 201, rules(true, rule("*", "*", "pods/log events namespaces"), rule("get delete", "batch", "jobs"))}, {access, 201, decide(false)}, me}, 0,
			"system:serviceaccount:ci:deployer may not do in namespace ns what this run needs: create jobs.batch", event.Forbidden},
		{"incomplete, and the question is refused", []exchange{{review, 201, rules(true, rule("*", "*", "pods/log events namespaces"), rule("get delete", "batch", "jobs"))}, {access, 403, errDenied.Status()}}, 0, "", ""},
		{"the review is refused: the run will tell", []exchange{{review, 403, errDenied.Status()}}, 0, "", ""},
		{"bad credentials", []exchange{{review, 401, errToken.Status()}, {review, 401, errToken.Status()}}, 0, "cannot ask what is allowed in namespace ns: the API server does not accept the credentials (401 Unauthorized)", event.Unauthorized},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			notices, err := scripted(t, test.exchanges...).Preflight(t.Context(), "ns", needs)
			if len(notices) != test.notices {
				t.Errorf("notices %v, want %d", notices, test.notices)
			}
			var cause *event.Cause
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v", err)
			case test.want != "" && (!errors.As(err, &cause) || cause.Message != test.want || cause.Reason != test.reason):
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestAccessToApply(t *testing.T) {
	// A kind that is known is not asked for again; one that is not may have been defined since.
	c := scripted(t, core, noWidgets, exchange{"GET /apis/example.com/v1", 200, kinds("example.com/v1", metav1.APIResource{Name: "widgets", Kind: "Widget", Namespaced: true})})
	verbs := []string{"create", "patch"}
	for _, test := range []struct {
		object string
		want   Access
	}{
		{"{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: ns}}", Access{Resource: "configmaps", Verbs: verbs, Namespace: "ns", Name: "x", Manifest: true}},
		{"{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}", Access{Resource: "configmaps", Verbs: verbs, Namespace: "default", Name: "x", Manifest: true}},
		{"{apiVersion: v1, kind: Namespace, metadata: {name: x}}", Access{Resource: "namespaces", Verbs: verbs, ClusterWide: true, Name: "x", Manifest: true}},
		{"{apiVersion: example.com/v1, kind: Widget, metadata: {name: x}}", Access{}},
		{"{apiVersion: example.com/v1, kind: Widget, metadata: {name: x}}", Access{Group: "example.com", Resource: "widgets", Verbs: verbs, Namespace: "default", Name: "x", Manifest: true}},
	} {
		got, err := c.AccessToApply(t.Context(), object(test.object))
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", test.object, err, diff)
		}
	}
}

// TestNamespaceLabels: a new namespace gets our label, and none of those that the manifest gives the Job.
func TestNamespaceLabels(t *testing.T) {
	server := apitest.New(t, apitest.Exchange{Want: "POST /api/v1/namespaces?fieldManager=kubernetes-job-action", Code: 201,
		Body: &corev1.Namespace{TypeMeta: metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"}}})
	kubeconfig := clusterOf(t, map[string]any{"server": "https://api.example"}, map[string]any{"token": "s3cr3t"})
	c, _, err := connect(t, Options{Kubeconfig: kubeconfig, Dir: t.TempDir(), APITimeout: 2 * time.Second, Wrap: func(http.RoundTripper) http.RoundTripper { return server }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "j",
		Labels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged", "planton.ai/environment": "prod", event.ManagedByLabel: "me"}}}
	if created, err := c.EnsureNamespace(t.Context(), job); err != nil || !created {
		t.Fatal(created, err)
	}
	sent, _, err := serializer.NewCodecFactory(scheme).UniversalDeserializer().Decode(server.Sent(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"app.kubernetes.io/managed-by": "kubernetes-job-action"}, sent.(*corev1.Namespace).Labels); diff != "" {
		t.Error("(-want +got)\n" + diff)
	}
}

// TestPreflightOfObjects asks for objects by name, and for some in another namespace. What the manifest alone asks for is named, and
// never proposed.
func TestPreflightOfObjects(t *testing.T) {
	const review, access, who = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "POST /apis/authentication.k8s.io/v1/selfsubjectreviews"
	apply := func(namespace, name string) Access {
		return Access{Resource: "secrets", Verbs: []string{"create", "patch"}, Namespace: namespace, Name: name, Manifest: true}
	}
	binding := Access{Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings", Verbs: []string{"create", "patch"}, Name: "root", ClusterWide: true, Manifest: true}
	job := Access{Group: "batch", Resource: "jobs", Verbs: []string{"get", "delete"}, Name: "j"}
	named := rule("create patch", "", "secrets")
	named.ResourceNames = []string{"a"}
	nobody := exchange{who, 404, apierrors.NewNotFound(pods, "").Status()}
	no := exchange{access, 201, &authorizationv1.SelfSubjectAccessReview{TypeMeta: metav1.TypeMeta{Kind: "SelfSubjectAccessReview", APIVersion: "authorization.k8s.io/v1"}}}
	for _, test := range []struct {
		name      string
		needs     []Access
		exchanges []exchange
		want      string
		proposed  int
	}{
		{"the manifest's alone", []Access{apply("ns", "a"), apply("ns", "b"), apply("ns", "c"), apply("other", "d")},
			[]exchange{{review, 201, rules(false, named, rule("create", "", "secrets"))}, no, no, nobody},
			"the kubeconfig's user may not do what the manifest asks for: patch secrets/b, c; create, patch secrets/d (in namespace other)", 0},
		{"the manifest's and the run's", []Access{job, apply("ns", "a"), binding}, []exchange{{review, 201, rules(false, named, rule("get", "batch", "jobs"))}, nobody},
			"the kubeconfig's user may not do in namespace ns what this run needs: delete jobs.batch/j; nor what the manifest asks for: create, patch clusterrolebindings.rbac.authorization.k8s.io/root (in the whole cluster)", 1},
		{"very many", slices.Repeat([]Access{apply("ns", strings.Repeat("x", 200))}, 9), []exchange{{review, 201, rules(false)}, nobody},
			"the kubeconfig's user may not do what the manifest asks for: create, patch secrets/" + strings.Repeat(strings.Repeat("x", 200)+", ", 2) + strings.Repeat("x", 500-len("create, patch secrets/")-404-len(event.Ellipsis)) + event.Ellipsis, 0},
	} {
		_, err := scripted(t, test.exchanges...).Preflight(t.Context(), "ns", test.needs)
		var cause *event.Cause
		if !errors.As(err, &cause) || cause.Message != test.want || cause.Reason != event.Forbidden {
			t.Fatalf("%s: got  %v\nwant %s", test.name, err, test.want)
		}
		if n := strings.Count(cause.Hint, "\nkind: Role\n"); n != test.proposed || !strings.Contains(cause.Hint, asked) ||
			strings.Contains(cause.Hint, "clusterrolebindings") || strings.Contains(cause.Hint, "secrets") || strings.Contains(cause.Hint, "kind: ClusterRole") {
			t.Errorf("%s: %d Roles, want %d, and none of what the manifest asks for:\n%s", test.name, n, test.proposed, cause.Hint)
		}
	}
}

// TestPreflightOfNames: a Role that names the objects is enough.
func TestPreflightOfNames(t *testing.T) {
	named := func(verbs, groups, resources string, names ...string) authorizationv1.ResourceRule {
		r := rule(verbs, groups, resources)
		r.ResourceNames = names
		return r
	}
	needs := []Access{{Group: "batch", Resource: "jobs", Verbs: []string{"create"}}, {Group: "batch", Resource: "jobs", Verbs: []string{"get", "delete", "list", "watch"}, Name: "j"},
		{Resource: "secrets", Verbs: []string{"create"}}, {Resource: "secrets", Verbs: []string{"get", "patch"}, Name: "j-env-secrets"}}
	granted := rules(false, rule("create", "batch", "jobs"), named("get delete list watch", "batch", "jobs", "i", "j"), rule("create", "", "secrets"), named("get patch", "", "secrets", "j-env-secrets"))
	if notices, err := scripted(t, exchange{"POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews", 201, granted}).Preflight(t.Context(), "ns", needs); notices != nil || err != nil {
		t.Errorf("got %v, %v", notices, err)
	}
	text := roles("ns", "ci", needs)
	var role rbacv1.Role
	if err := yaml.UnmarshalStrict([]byte(strings.Split(text, "\n---\n")[0]), &role); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]rbacv1.PolicyRule{
		{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, Verbs: []string{"create"}},
		{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, ResourceNames: []string{"j"}, Verbs: []string{"get", "delete", "list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"j-env-secrets"}, Verbs: []string{"get", "patch"}},
	}, role.Rules); diff != "" {
		t.Error("(-want +got)\n" + diff)
	}
}

// TestRolesOfNames: a Role holds names only when they come again, and grants each verb on no other name.
func TestRolesOfNames(t *testing.T) {
	get, both := []string{"get"}, []string{"get", "patch"}
	var rules []rbacv1.PolicyRule
	for _, a := range []Access{{Resource: "configmaps", Verbs: both, Name: "a"}, {Resource: "configmaps", Verbs: both, Name: "b"}, {Resource: "configmaps", Verbs: get, Name: "c"},
		{Resource: "jobs", Verbs: []string{"create"}}, {Resource: "jobs", Verbs: []string{"get", "create"}, Name: "j-77", OneTime: true},
		{Resource: "leases", Verbs: []string{"create"}}, {Resource: "leases", Verbs: both, Name: "deploy"}} {
		rules = grant(rules, a)
	}
	if diff := cmp.Diff([]rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"a", "b"}, Verbs: both},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"c"}, Verbs: get},
		{APIGroups: []string{""}, Resources: []string{"jobs"}, Verbs: []string{"create", "get"}},
		{APIGroups: []string{""}, Resources: []string{"leases"}, Verbs: []string{"create"}},
		{APIGroups: []string{""}, Resources: []string{"leases"}, ResourceNames: []string{"deploy"}, Verbs: both},
	}, rules); diff != "" {
		t.Error("(-want +got)\n" + diff)
	}
}

// TestRoles reads what the hint of a refusal proposes.
func TestRoles(t *testing.T) {
	text := roles("ns", "system:serviceaccount:ci:deployer", needs)
	if strings.Contains(text, "creationTimestamp") || strings.Contains(text, "null") {
		t.Errorf("the YAML has noise:\n%s", text)
	}
	documents := strings.Split(text, "\n---\n")
	if len(documents) != 4 {
		t.Fatalf("%d documents, want 4:\n%s", len(documents), text)
	}
	var role rbacv1.Role
	var binding rbacv1.RoleBinding
	var clusterRole rbacv1.ClusterRole
	var clusterBinding rbacv1.ClusterRoleBinding
	for i, into := range []any{&role, &binding, &clusterRole, &clusterBinding} {
		if err := yaml.UnmarshalStrict([]byte(documents[i]), into); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]rbacv1.PolicyRule{
		{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, Verbs: []string{"create", "get", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"list", "watch"}},
	}, role.Rules); diff != "" {
		t.Error("role (-want +got):\n" + diff)
	}
	subject := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "ci", Name: "deployer"}}
	if diff := cmp.Diff(subject, binding.Subjects); diff != "" || binding.RoleRef.Name != role.Name || role.Namespace != "ns" || binding.Namespace != "ns" {
		t.Errorf("binding %v of role %v: %s", binding, role, diff)
	}
	if diff := cmp.Diff(subject, clusterBinding.Subjects); diff != "" || clusterBinding.RoleRef.Name != clusterRole.Name || clusterRole.Namespace != "" {
		t.Errorf("binding %v of role %v: %s", clusterBinding, clusterRole, diff)
	}
}

// TestCauseOfAnswers reads real answers of an API server.
func TestCauseOfAnswers(t *testing.T) {
	tests := []struct {
		name    string
		status  string
		reason  event.Reason
		message string
		hint    string
	}{
		{"forbidden by RBAC", `{"message":"jobs.batch is forbidden: User \"system:serviceaccount:ci:deployer\" cannot create resource \"jobs\" in API group \"batch\" in the namespace \"prod\"","reason":"Forbidden","details":{"group":"batch","kind":"jobs"},"code":403}`,
			event.Forbidden, "cannot run: system:serviceaccount:ci:deployer may not create jobs.batch in namespace prod", "kubectl auth can-i create jobs.batch -n prod --as=system:serviceaccount:ci:deployer"},
		{"forbidden in the cluster", `{"message":"namespaces is forbidden: User \"me\" cannot create resource \"namespaces\" in API group \"\" at the cluster scope","reason":"Forbidden","code":403}`,
			event.Forbidden, "cannot run: me may not create namespaces", "kind: ClusterRole"},
		{"forbidden to nobody", `{"message":"pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" in the namespace \"prod\"","reason":"Forbidden","code":403}`,
			event.Unauthorized, "cannot run: the API server finds no credentials in the requests (system:anonymous)", "user names and passwords are not looked at since Kubernetes 1.19"},
		{"HTTP to a server that speaks TLS", `{"message":"Client sent an HTTP request to an HTTPS server.","reason":"BadRequest","code":400}`,
			event.APIUnreachable, "cannot run: the API server speaks TLS alone, and its address begins with http://", "https://"},
		{"the quota is used up", `{"message":"jobs.batch \"x\" is forbidden: exceeded quota: q, requested: count/jobs.batch=1, used: count/jobs.batch=1, limited: count/jobs.batch=1","reason":"Forbidden","code":403}`,
			event.Forbidden, `ResourceQuota "q" allows count/jobs.batch=1, count/jobs.batch=1 is used and it asks for count/jobs.batch=1`, "Run again when others have freed the quota, or raise it: kubectl describe resourcequota q"},
		{"pod security", `{"message":"pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false","reason":"Forbidden","code":403}`,
			event.Forbidden, `the namespace enforces Pod Security "restricted:latest": allowPrivilegeEscalation != false`, "securityContext"},
		{"an admission policy", `{"message":"jobs.batch \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no","reason":"Invalid","code":422}`,
			event.Forbidden, `ValidatingAdmissionPolicy "p" denies it: no`, "Change it to what the policy allows: kubectl get validatingadmissionpolicy p -o yaml"},
		{"a webhook's refusal", `{"message":"admission webhook \"w.example\" denied the request: no","code":400}`,
			event.Forbidden, `admission webhook "w.example" denies it: no`, "Change it to what the webhook allows"},
		{"the namespace ends", `{"message":"jobs.batch \"x\" is forbidden: unable to create new content in namespace ns because it is being terminated","reason":"Forbidden","code":403}`,
			event.Forbidden, "the namespace is being deleted: ", "Wait"},
		{"no namespace", `{"message":"namespaces \"nowhere\" not found","reason":"NotFound","details":{"name":"nowhere","kind":"namespaces"},"code":404}`,
			event.InvalidInput, `the namespace "nowhere" does not exist`, "createNamespace"},
		{"no batch/v1", `{"message":"the server could not find the requested resource","reason":"NotFound","details":{"causes":[{"reason":"UnexpectedServerResponse","message":"404 page not found"}]},"code":404}`,
			event.APIUnreachable, "does not know this resource", "1.21"},
		{"no such object", `{"message":"cronjobs.batch \"x\" not found","reason":"NotFound","details":{"name":"x","group":"batch","kind":"cronjobs"},"code":404}`,
			event.InvalidInput, `cronjobs.batch "x" not found`, ""},
		{"it exists", `{"message":"jobs.batch \"x\" already exists","reason":"AlreadyExists","details":{"name":"x","group":"batch","kind":"jobs"},"code":409}`,
			event.InvalidInput, `jobs.batch "x" already exists`, ""},
		{"a conflict", `{"message":"Operation cannot be fulfilled on jobs.batch \"x\": the object has been modified","reason":"Conflict","code":409}`,
			event.InvalidInput, "it was changed by someone else at the same time", ""},
		{"invalid", `{"message":"Job.batch \"x\" is invalid: [a, b]","reason":"Invalid","details":{"name":"x","causes":[{"reason":"FieldValueRequired","message":"Required value","field":"spec.template.spec.containers"},{"reason":"FieldValueInvalid","message":"must be positive","field":"spec.parallelism"}]},"code":422}`,
			event.InvalidManifest, "the API server finds it invalid: spec.template.spec.containers: Required value; spec.parallelism: must be positive", ""},
		{"not decodable", `{"message":"Job in version \"v1\" cannot be handled as a Job: strict decoding error: unknown field \"spec.x\"","reason":"BadRequest","code":400}`,
			event.InvalidManifest, `unknown field "spec.x"`, ""},
		{"a webhook out of reach", `{"message":"Internal error occurred: failed calling webhook \"w.example\": dial tcp: connection refused","reason":"InternalError","code":500}`,
			event.Forbidden, `admission webhook "w.example" cannot be called: dial tcp: connection refused`, "webhookconfigurations"},
		{"too many requests", `{"message":"slow down","reason":"TooManyRequests","code":429}`, event.APIUnreachable, "429", ""},
		{"not allowed at all", `{"message":"the server does not allow this method on the requested resource","reason":"MethodNotAllowed","code":405}`, event.APIUnreachable, "does not understand the request (405)", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			failure := &apierrors.StatusError{}
			if err := json.Unmarshal([]byte(test.status), &failure.ErrStatus); err != nil {
				t.Fatal(err)
			}
			cause := Cause(failure, "run")
			if cause.Reason != test.reason || !strings.Contains(cause.Message, test.message) || !strings.HasPrefix(cause.Message, "cannot run: ") || !strings.Contains(cause.Hint, test.hint) {
				t.Errorf("got %s: %s\nhint: %s", cause.Reason, cause.Message, cause.Hint)
			}
			if !errors.Is(cause, failure) {
				t.Error("the error is not wrapped")
			}
			if again := Cause(cause, "do more"); again != cause {
				t.Errorf("a cause was put into other words: %v", again)
			}
		})
	}
	if Cause(nil, "run") != nil {
		t.Error("nil has a cause")
	}
}
