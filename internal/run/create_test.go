package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/verdict"
)

const (
	jobsURL = "/apis/batch/v1/namespaces/ns/jobs"
	jobURL  = jobsURL + "/j"
)

// refused is the error of a request that was never sent.
var refused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

var jobsResource = schema.GroupResource{Group: "batch", Resource: "jobs"}

// there is a Job of ours as the API server answers with it.
func there(uid types.UID, conditions ...batchv1.JobConditionType) *batchv1.Job {
	j := job(conditions...)
	j.TypeMeta, j.UID, j.ResourceVersion = metav1.TypeMeta{Kind: "Job", APIVersion: "batch/v1"}, uid, "7"
	j.Labels = map[string]string{event.ManagedByLabel: event.ManagedBy}
	j.Annotations = map[string]string{cluster.NonceAnnotation: "a nonce"}
	return j
}

// TestRefusedBeforeApplying: no object of the user's is applied for a run that is refused, whatever is applied.
func TestRefusedBeforeApplying(t *testing.T) {
	denied := func(message string) metav1.Status {
		s := apierrors.NewForbidden(jobsResource, "j", errors.New("")).Status()
		s.Message = message
		return s
	}
	none := exchange{"GET " + jobURL, 404, apierrors.NewNotFound(jobsResource, "j").Status()}
	nowhere := apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns").Status()
	invalid := apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, "j", field.ErrorList{
		field.Required(field.NewPath("spec", "a"), ""), field.Required(field.NewPath("spec", "a"), ""), field.Duplicate(field.NewPath("spec", "b"), "x")}).Status()
	invalidAccount := apierrors.NewInvalid(schema.GroupKind{Kind: "ServiceAccount"}, "a", field.ErrorList{field.Required(field.NewPath("c"), "")}).Status()
	quota := denied(`jobs.batch "j" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0`)
	policy := denied(`jobs.batch "j" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no`)
	policy.Code, policy.Reason = 422, metav1.StatusReasonInvalid
	escalation := denied(`rolebindings.rbac.authorization.k8s.io "b" is forbidden: user "ci" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held`)
	rbac := denied(`jobs.batch is forbidden: User "ci" cannot create resource "jobs" in API group "batch" in the namespace "ns"`)
	const rehearsal, applying = "POST " + jobsURL + "?dryRun=All", "the end"
	fine := []exchange{kinds, {accountURL + tries, 200, account()}}
	job := func(code int, body any) exchange { return exchange{rehearsal, code, body} }
	takes := job(201, there("x"))
	end := func(url string) exchange { return exchange{url + applies, 403, denied("the end")} }
	binding := thing("rbac.authorization.k8s.io/v1", "RoleBinding", "ns", "b")
	bindings := knows("/apis/rbac.authorization.k8s.io/v1", metav1.APIResource{Name: "rolebindings", Kind: "RoleBinding", Namespaced: true})
	const bindingURL = "PATCH /apis/rbac.authorization.k8s.io/v1/namespaces/ns/rolebindings/b?"
	for _, test := range []struct {
		name      string
		exchanges []exchange
		change    func(*Objects)
		want      string
		told      []string
	}{
		{"it is running", []exchange{{"GET " + jobURL, 200, there("old")}}, nil, "Job ns/j exists already and is still running", nil},
		{"it is being deleted", slices.Concat([]exchange{{"GET " + jobURL, 200, goes(there("old"))}}, fine, []exchange{takes, end(accountURL)}), nil, applying, nil},
		{"it has ended", slices.Concat([]exchange{{"GET " + jobURL, 200, there("old", batchv1.JobComplete)}}, fine, []exchange{job(409, apierrors.NewAlreadyExists(jobsResource, "j").Status()), end(accountURL)}), nil, applying, nil},
		{"there is none", slices.Concat([]exchange{none}, fine, []exchange{takes, end(accountURL)}), nil, applying, nil},
		{"nobody may look", []exchange{{"GET " + jobURL, 403, denied(`jobs.batch "j" is forbidden: User "ci" cannot get resource "jobs" in API group "batch" in the namespace "ns"`)}}, nil, "cannot look at Job ns/j: ci may not get jobs.batch", nil},
		{"nobody may create", slices.Concat([]exchange{none}, fine, []exchange{job(403, rbac)}), nil, "cannot check Job ns/j: ci may not create jobs.batch", nil},
		{"nobody may create, and the file has a RoleBinding", []exchange{none, bindings, {bindingURL + tries, 200, binding}, job(403, rbac), end(bindingURL)},
			func(o *Objects) { o.Apply = []*unstructured.Unstructured{binding} }, applying, nil},
		{"a RoleBinding whose Role is not there yet", []exchange{none, bindings, {bindingURL + tries, 404, apierrors.NewNotFound(schema.GroupResource{Group: "rbac.authorization.k8s.io", Resource: "roles"}, "r").Status()}, takes, end(bindingURL)},
			func(o *Objects) { o.Apply = []*unstructured.Unstructured{binding} }, applying, nil},
		{"a RoleBinding of more than the user holds", []exchange{none, bindings, {bindingURL + tries, 403, escalation}, takes, end(bindingURL)},
			func(o *Objects) { o.Apply = []*unstructured.Unstructured{binding} }, applying, nil},
		{"there is no namespace", []exchange{none, kinds, {accountURL + tries, 404, nowhere}, job(404, nowhere)}, nil, `cannot apply ServiceAccount ns/a: the namespace "ns" does not exist; cannot check Job ns/j: the namespace "ns" does not exist`, nil},
		{"the namespace is in the file", []exchange{none, kinds, {"PATCH /api/v1/namespaces/ns?" + tries, 200, thing("v1", "Namespace", "", "ns")}, {accountURL + tries, 404, nowhere}, job(404, nowhere), end("PATCH /api/v1/namespaces/ns?")},
			func(o *Objects) {
				o.Apply = append([]*unstructured.Unstructured{thing("v1", "Namespace", "", "ns")}, o.Apply...)
			}, applying, nil},
		{"it is invalid", slices.Concat([]exchange{none}, fine, []exchange{job(422, invalid)}), nil, "the API server finds 2 problems in Job ns/j", []string{"spec.a: Required value of Job ns/j", `spec.b: Duplicate value: "x" of Job ns/j`}},
		{"it is invalid, and nobody knows the file", slices.Concat([]exchange{none}, fine, []exchange{job(422, invalid)}), func(o *Objects) { o.Place = nil }, `cannot check Job ns/j: the API server finds it invalid: spec.a: Required value; spec.a: Required value; spec.b: Duplicate value: "x"`, nil},
		{"it is invalid, and what is applied too", []exchange{none, kinds, {accountURL + tries, 422, invalidAccount}, job(422, invalid)}, nil, "the API server finds one problem in ServiceAccount ns/a; the API server finds 2 problems in Job ns/j",
			[]string{"c: Required value of ServiceAccount ns/a", "spec.a: Required value of Job ns/j", `spec.b: Duplicate value: "x" of Job ns/j`}},
		{"what is applied has no name", []exchange{none, takes}, func(o *Objects) { o.Apply[0].SetName("") }, "cannot apply a ServiceAccount without a name", nil},
		{"a quota refuses it", slices.Concat([]exchange{none}, fine, []exchange{job(403, quota)}), nil, `cannot check Job ns/j: ResourceQuota "small" allows`, nil},
		{"a quota refuses it, and is in the file", []exchange{none, kinds, {"PATCH /api/v1/namespaces/ns/resourcequotas/q?" + tries, 200, account()}, job(403, quota), end("PATCH /api/v1/namespaces/ns/resourcequotas/q?")},
			func(o *Objects) { o.Apply = []*unstructured.Unstructured{thing("v1", "ResourceQuota", "ns", "q")} }, applying, nil},
		{"a policy refuses it", slices.Concat([]exchange{none}, fine, []exchange{job(422, policy), end(accountURL)}), nil, applying, nil},
		{"a webhook refuses it", slices.Concat([]exchange{none}, fine, []exchange{job(400, apierrors.NewBadRequest(`admission webhook "w" denied the request: no`).Status()), end(accountURL)}), nil, applying, nil},
		{"a webhook takes no rehearsal", slices.Concat([]exchange{none}, fine, []exchange{job(400, apierrors.NewBadRequest(`admission webhook "w" does not support dry run`).Status()), end(accountURL)}), nil, applying, nil},
		{"an unknown kind", []exchange{none, noWidgets, takes}, func(o *Objects) { o.Apply = []*unstructured.Unstructured{widget} }, "cannot apply Widget ns/w: the cluster does not know this kind", nil},
		{"an unknown kind, and another that the file defines", []exchange{none, definitions, {definitionURL + tries, 200, definition}, {"GET /apis/b.example/v1", 404, noWidgets.Body}, takes},
			func(o *Objects) {
				o.Apply = []*unstructured.Unstructured{definition, thing("b.example/v1", "Widget", "ns", "w")}
			}, "cannot apply Widget ns/w: the cluster does not know this kind", nil},
		{"what follows the Job is invalid", []exchange{none, kinds, {accountURL + tries, 422, invalidAccount}, takes},
			func(o *Objects) { o.Apply, o.After = nil, o.Apply }, "the API server finds one problem in ServiceAccount ns/a", []string{"c: Required value of ServiceAccount ns/a"}},
		{"a kind that the file defines", []exchange{none, definitions, {definitionURL + tries, 200, definition}, noWidgets, takes, end(definitionURL)},
			func(o *Objects) { o.Apply = []*unstructured.Unstructured{definition, widget} }, applying, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := play(t, test.exchanges...)
				r.objects.Apply = []*unstructured.Unstructured{account()}
				r.objects.Place = func(of runtime.Object, field, message string) event.Finding {
					return event.Finding{Level: event.Error, Path: field, Message: message + " of " + nameOf(of)}
				}
				if test.change != nil {
					test.change(&r.objects)
				}
				if err := r.prepare(t.Context(), "ns"); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				var got []string
				for _, f := range r.all() {
					got = append(got, fmt.Sprint(f))
				}
				if diff := cmp.Diff(test.told, got); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestWhatIsAppliedTakesTime: the cluster takes in what is applied a moment later, and what needs it is tried again.
func TestWhatIsAppliedTakesTime(t *testing.T) {
	none := exchange{"GET " + jobURL, 404, apierrors.NewNotFound(jobsResource, "j").Status()}
	crd := exchange{definitionURL + applies, 200, definition}
	begun := []exchange{none, definitions, {definitionURL + tries, 200, definition}, noWidgets, {"POST " + jobsURL + "?dryRun=All", 201, there("x")}, crd}
	made := []exchange{{createURL, 201, there("ours")}}
	unserved := exchange{widgetURL + applies, 404, noWidgets.Body}
	served := exchange{widgetURL + applies, 200, widget}
	limited := thing("v1", "ResourceQuota", "ns", "q")
	const quotaURL = "PATCH /api/v1/namespaces/ns/resourcequotas/q?"
	over := func(resource schema.GroupResource) metav1.Status {
		return apierrors.NewForbidden(resource, "j", errors.New("exceeded quota: q, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0")).Status()
	}
	unknown := apierrors.NewForbidden(jobsResource, "j", errors.New("status unknown for quota: q, resources: count/jobs.batch")).Status()
	quota := func(rest ...exchange) []exchange {
		return append([]exchange{none, kinds, {quotaURL + tries, 200, limited}, {"POST " + jobsURL + "?dryRun=All", 403, over(jobsResource)}, {quotaURL + applies, 200, limited}}, rest...)
	}
	for _, test := range []struct {
		name      string
		exchanges []exchange
		apply     []*unstructured.Unstructured
		change    func(*loop)
		took      time.Duration
		want      string // of the error; "" for none
	}{
		{"a kind is known", slices.Concat(begun, []exchange{noWidgets, noWidgets, widgets, served}, made), []*unstructured.Unstructured{definition, widget}, nil, 2 * lookAgain, ""},
		{"a kind is known, and not served everywhere", slices.Concat(begun, []exchange{widgets, unserved, served}, made), []*unstructured.Unstructured{definition, widget}, nil, lookAgain, ""},
		{"a kind is never known", slices.Concat(begun, []exchange{{noWidgets.Want + " +", 404, noWidgets.Body}}), []*unstructured.Unstructured{definition, widget}, nil, settled, "the cluster does not know this kind"},
		{"a quota is raised", quota(exchange{createURL, 403, over(jobsResource)}, free, exchange{createURL, 403, unknown}, free, made[0]), []*unstructured.Unstructured{limited}, nil, 2 * lookAgain, ""},
		{"a quota is not raised", quota(slices.Repeat([]exchange{free, {createURL, 403, over(jobsResource)}}, int(settled/lookAgain)+1)...), []*unstructured.Unstructured{limited}, nil, settled, `ResourceQuota "q" allows`},
		{"a quota is raised for a helper", []exchange{none, kinds, {quotaURL + tries, 200, limited}, {"POST /api/v1/namespaces/ns/configmaps?dryRun=All", 201, note("1", "hello")}, {"POST " + jobsURL + "?dryRun=All", 201, there("x")}, {quotaURL + applies, 200, limited},
			none, {getNote, 404, noteMissing}, made[0], {createNote, 403, over(notes)}, {createNote, 201, note("1", "hello")}}, []*unstructured.Unstructured{limited},
			func(l *loop) { l.objects.Owned = []runtime.Object{note("", "hello")} }, lookAgain, ""},
		{"a quota of others", []exchange{none, kinds, {accountURL + tries, 200, account()}, {"POST " + jobsURL + "?dryRun=All", 201, there("x")}, {accountURL + applies, 200, account()}, {createURL, 403, over(jobsResource)}},
			[]*unstructured.Unstructured{account()}, nil, 0, `ResourceQuota "q" allows`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				exchanges := test.exchanges
				if test.change != nil {
					exchanges = slices.Insert(slices.Clone(exchanges), 1, exchange{getNote, 404, noteMissing})
				}
				l, _ := play(t, exchanges...)
				l.objects.Apply = test.apply
				if test.change != nil {
					test.change(l)
				}
				begin := time.Now()
				err := l.create(t.Context(), t.Context())
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				if took := time.Since(begin); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
				if l.stop != nil {
					l.stop()
				}
			})
		})
	}
}

// goes is a Job that is being deleted, and its finalizers.
func goes(j *batchv1.Job, finalizers ...string) *batchv1.Job {
	now := metav1.Now()
	j.DeletionTimestamp, j.Finalizers = &now, append([]string{metav1.FinalizerDeleteDependents}, finalizers...)
	return j
}

// TestWaitsForAJobThatGoes: a Job that is being deleted, or whose outcome is decided, is no reason to refuse the run.
func TestWaitsForAJobThatGoes(t *testing.T) {
	const get, remove = "GET " + jobURL, "DELETE " + jobURL
	const watch = "GET " + jobsURL + "?fieldSelector=metadata.name%3Dj&resourceVersion=7&watch=true"
	const pods = "GET /api/v1/namespaces/ns/pods?labelSelector=job%3Dj"
	begin := []exchange{{createURL, 409, apierrors.NewAlreadyExists(jobsResource, "j").Status()}}
	deleted := exchange{watch, 200, map[string]any{"type": "DELETED", "object": there("old")}}
	end := []exchange{{get, 404, apierrors.NewNotFound(jobsResource, "j").Status()}, free, free, {createURL, 201, there("ours")}}
	still := exchange{watch, 0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})}
	old := func(conditions ...batchv1.JobConditionType) *batchv1.Job {
		j := there("old", conditions...)
		j.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"job": "j"}}
		return j
	}
	controlled := metav1.ObjectMeta{Name: "j-abc", OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(there("old"), batchv1.SchemeGroupVersion.WithKind("Job"))}}
	list := &corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{{ObjectMeta: controlled}, {ObjectMeta: metav1.ObjectMeta{Name: "another"}}}}
	foreign := goes(there("old"))
	foreign.Labels = nil
	const goesAway = "info: Job ns/j is being deleted; waiting until it is gone"
	for _, test := range []struct {
		name      string
		ifExists  IfExists
		exchanges []exchange
		took      time.Duration
		want      string // of the error; "" for none
		said      []string
	}{
		{"it is being deleted", IfExistsReplaceFinished, []exchange{{get, 200, goes(old())}, deleted}, 0, "", []string{goesAway}},
		{"another's is being deleted, and none may be replaced", IfExistsFail, []exchange{{get, 200, foreign}, deleted}, 0, "", []string{goesAway}},
		{"its outcome is decided", IfExistsReplaceFinished, []exchange{{get, 200, old(batchv1.JobFailureTarget)}, {watch, 200, map[string]any{"type": "MODIFIED", "object": old(batchv1.JobFailed)}},
			{get, 200, old(batchv1.JobFailed)}, {remove, 200, old()}, deleted}, 0, "", []string{"info: Job ns/j is ending; waiting for its last pods", "Job ns/j replaced"}},
		{"it succeeds, and is deleted by others", IfExistsReplaceFinished, []exchange{{get, 200, old(batchv1.JobSuccessCriteriaMet)}, deleted}, 0, "", []string{"info: Job ns/j is ending; waiting for its last pods"}},
		{"its outcome is decided, and it may be replaced at once", IfExistsReplace, []exchange{{get, 200, old(batchv1.JobFailureTarget)}, {remove, 200, old()}, deleted}, 0, "", []string{"Job ns/j replaced"}},
		{"its outcome is decided, and none may be replaced", IfExistsFail, []exchange{{get, 200, old(batchv1.JobFailureTarget)}}, 0, "exists already", nil},
		{"a finalizer holds it", IfExistsReplaceFinished, []exchange{{get, 200, goes(old(), "example.com/hold", metav1.FinalizerOrphanDependents)}, still, {get, 200, goes(old(), "example.com/hold")}, deleted}, heldAfter, "",
			[]string{goesAway, `warning: Job ns/j is still there after 10 s: its finalizers hold it (example.com/hold): kubectl -n ns patch job j --type=merge -p '{"metadata":{"finalizers":null}}'`}},
		{"its pods hold it", IfExistsReplaceFinished, []exchange{{get, 200, old(batchv1.JobFailed)}, {remove, 200, old()}, still, {get, 200, goes(old())}, {pods, 200, list}, deleted}, heldAfter, "",
			[]string{"Job ns/j replaced", "warning: Job ns/j is still there after 10 s: its pods have not ended (j-abc): kubectl -n ns get pods -l job-name=j"}},
		{"a finalizer holds it for long", IfExistsReplaceFinished, []exchange{{get, 200, goes(old())}, still, {get, 200, goes(old(), "example.com/hold")}, still, {get, 200, goes(old(), "example.com/hold")}, deleted}, heldAfter + heartbeat, "",
			[]string{goesAway, `warning: Job ns/j is still there after 10 s: its finalizers hold it (example.com/hold): kubectl -n ns patch job j --type=merge -p '{"metadata":{"finalizers":null}}'`, "info: Job ns/j is still there after 40 s"}},
		{"a finalizer holds it to the end", IfExistsReplaceFinished, []exchange{{get, 200, goes(old(), "example.com/hold")}, still, {get, 200, goes(old(), "example.com/hold")}, still}, 20 * time.Second,
			"Job ns/j has to go first, but is still there after 20 s: its finalizers hold it (example.com/hold). " + byForce,
			[]string{goesAway, `warning: Job ns/j is still there after 10 s: its finalizers hold it (example.com/hold): kubectl -n ns patch job j --type=merge -p '{"metadata":{"finalizers":null}}'`}},
		{"it stays", IfExistsReplaceFinished, []exchange{{get, 200, goes(old())}, still, {get, 200, goes(old())}, {pods, 403, apierrors.NewForbidden(jobsResource, "", nil).Status()}, still}, 20 * time.Second, "Job ns/j has to go first, but is still there after 20 s: its pods have not ended",
			[]string{goesAway, "warning: Job ns/j is still there after 10 s: its pods have not ended: kubectl -n ns get pods -l job-name=j"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				exchanges := append(slices.Clone(begin), test.exchanges...)
				if test.want == "" {
					exchanges = append(exchanges, end...)
				}
				r, _ := play(t, exchanges...)
				r.options.IfExists = test.ifExists
				if test.took <= 20*time.Second {
					r.options.Verdict.StartTimeout = 20 * time.Second
				}
				begin := time.Now()
				err := r.createJob(t.Context())
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				if took := time.Since(begin); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
				var got []string
				keys := map[string]bool{}
				for _, f := range r.all() {
					if n, ok := f.(event.Notice); ok && n.Key != "" {
						if keys[n.Key] { // the loop tells it once
							continue
						}
						keys[n.Key] = true
					}
					line := said([]event.Fact{f})[0]
					if n, ok := f.(event.Notice); ok && n.Hint != "" {
						_, command, _ := strings.Cut(n.Hint, "kubectl")
						line += ": kubectl" + command
					}
					got = append(got, line)
				}
				if diff := cmp.Diff(test.said, got); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestRunsNeverOverlap: the pods that an earlier Job of the name has left are waited for, however the Job went.
func TestRunsNeverOverlap(t *testing.T) {
	const get, remove, list = "GET " + jobURL, "DELETE " + jobURL, podsURL + "j"
	const watch = "GET " + jobsURL + "?fieldSelector=metadata.name%3Dj&resourceVersion=7&watch=true"
	exists := apierrors.NewAlreadyExists(jobsResource, "j").Status()
	missing := exchange{get, 404, apierrors.NewNotFound(jobsResource, "j").Status()}
	rehearsed := func(code int, body any) exchange { return exchange{"POST " + jobsURL + "?dryRun=All", code, body} }
	pod := func(name string, owner *batchv1.Job) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}}
		if owner != nil {
			p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, batchv1.SchemeGroupVersion.WithKind("Job"))}
		}
		return p
	}
	copied := pod("web-1", nil)
	copied.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", Controller: new(true)}}
	left := exchange{list, 200, podList(pod("j-abc", there("old")), pod("j-orphan", nil), copied)}
	waits := []exchange{left, missing, rehearsed(201, there("x"))}
	still := []exchange{left, missing}
	deleted := exchange{watch, 200, map[string]any{"type": "DELETED", "object": there("old")}}
	made := exchange{createURL, 201, there("ours")}
	const waiting = "info: an earlier Job ns/j is gone, and its pods have not ended; waiting for j-abc, j-orphan"
	for _, test := range []struct {
		name      string
		exchanges []exchange
		change    func(*loop)
		took      time.Duration
		want      string // of the error; "" for none
		said      []string
	}{
		{"pods of a Job that is gone", slices.Concat(waits, still, still, []exchange{free, free, made}), nil, 2 * lookAgain, "", []string{waiting}},
		{"none may be replaced", slices.Concat(waits, still, []exchange{free, free, made}), func(l *loop) { l.options.IfExists = IfExistsFail }, lookAgain, "", []string{waiting}},
		{"its pods outlive a Job that is replaced", slices.Concat([]exchange{free, {createURL, 409, exists}, {get, 200, there("old", batchv1.JobFailed)}, {remove, 200, there("old")}, deleted, missing}, still,
			[]exchange{free, free, made}), nil, lookAgain, "", []string{"Job ns/j replaced", waiting}},
		{"its pods outlive a Job that others delete", slices.Concat([]exchange{free, {createURL, 409, exists}, {get, 200, goes(there("old"))}, deleted, missing}, still, []exchange{free, free, made}), nil, lookAgain, "",
			[]string{"info: Job ns/j is being deleted; waiting until it is gone", waiting}},
		{"it goes before it is replaced", slices.Concat([]exchange{free, {createURL, 409, exists}, {get, 200, there("old", batchv1.JobFailed)}, {remove, 404, missing.Body}}, still, []exchange{free, free, made}), nil, lookAgain, "", []string{waiting}},
		{"they are those of a Job that is at work", []exchange{left, {get, 200, there("old")}}, nil, 0, "Job ns/j exists already and is still running", nil},
		{"they are those of a Job that may be replaced", []exchange{left, {get, 200, there("old")}, rehearsed(409, exists), {remove, 200, there("old")}, deleted, missing, free, free, made},
			func(l *loop) { l.options.IfExists = IfExistsReplace }, 0, "", []string{"Job ns/j replaced"}},
		{"another run takes the name", slices.Concat(waits, still, []exchange{left, {get, 200, there("rival")}, left, {get, 200, there("rival")}}), nil, lookAgain, "Job ns/j exists already and is still running", []string{waiting}},
		{"the Job would be refused", []exchange{left, missing, rehearsed(422, apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, "j", nil).Status())}, nil, 0, "invalid", nil},
		{"a ConfigMap that they may read is changed after them", slices.Concat([]exchange{missing, {getNote, 404, noteMissing}}, []exchange{left, missing, {getNote, 404, noteMissing}, {"POST /api/v1/namespaces/ns/configmaps?dryRun=All", 201, note("1", "hello")}, rehearsed(201, there("x"))},
			still, []exchange{free, {getNote, 404, noteMissing}, free, made}), func(l *loop) { l.objects.Owned = []runtime.Object{note("", "hello")} }, lookAgain, "", []string{waiting}},
		{"only the pods of a Deployment have the label", []exchange{{list, 200, podList(copied)}, made}, nil, 0, "", nil},
		{"nobody may list them", []exchange{{list, 403, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no")).Status()}}, nil, 0, "cannot list the pods of Job ns/j", nil},
		{"they do not end", slices.Concat(waits, slices.Repeat(still, 2*80+1)), func(l *loop) { l.options.Verdict.StartTimeout = 80*time.Second + 100*time.Millisecond }, 80*time.Second + 100*time.Millisecond, "the pods of an earlier Job ns/j have not ended after 1 min 20 s (j-abc, j-orphan)",
			[]string{waiting, "info: still waiting, for 30 s now, for the pods of an earlier Job ns/j to end: j-abc, j-orphan", "info: still waiting, for 1 min now, for the pods of an earlier Job ns/j to end: j-abc, j-orphan"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := play(t, test.exchanges...)
				l.options.IfExists = IfExistsReplaceFinished
				if test.change != nil {
					test.change(l)
				}
				begin := time.Now()
				err := l.createJob(t.Context())
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				if took := time.Since(begin); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
				if diff := cmp.Diff(test.said, said(l.all())); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestMakeRoom replaces a Job that has ended.
func TestMakeRoom(t *testing.T) {
	const create = "POST " + jobsURL + "?fieldManager=kubernetes-job-action"
	const watch = "GET " + jobsURL + "?fieldSelector=metadata.name%3Dj&resourceVersion=7&watch=true"
	const get, remove = "GET " + jobURL, "DELETE " + jobURL
	exists := apierrors.NewAlreadyExists(jobsResource, "j").Status()
	missing := apierrors.NewNotFound(jobsResource, "j").Status()
	denied := apierrors.NewForbidden(jobsResource, "j", errors.New("no")).Status()
	conflict := apierrors.NewConflict(jobsResource, "j", errors.New("the UID is another")).Status()
	expired := map[string]any{"type": "ERROR", "object": apierrors.NewResourceExpired("too old").Status()}
	gone := map[string]any{"type": "DELETED", "object": there("old")}
	old, rival := there("old", batchv1.JobComplete), there("rival")
	for _, test := range []struct {
		name      string
		exchanges []exchange
		took      time.Duration
		want      string // of the error; "" for none
	}{
		{"watched", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 200, gone}, {get, 404, missing}, free, free, {create, 201, there("ours")}}, 0, ""},
		{"nobody may watch", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old},
			{watch, 403, denied}, {get, 200, old}, {watch, 403, denied}, {get, 200, old}, {watch, 403, denied}, {get, 404, missing}, free, free, {create, 201, there("ours")}}, 3 * lookAgain, ""},
		{"the watch ends", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 200, expired}, {get, 404, missing}, free, free, {create, 201, there("ours")}}, lookAgain, ""},
		{"a rival takes the name", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 200, gone}, {get, 200, rival},
			{create, 409, exists}, {get, 200, rival}}, 0, "Job ns/j exists already and is still running"},
		{"a rival was faster", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 409, conflict},
			{create, 409, exists}, {get, 200, rival}}, 0, "Job ns/j exists already and is still running"},
		{"a rival took the name, and has ended", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 200, gone}, {get, 200, there("rival", batchv1.JobFailed)},
			{create, 409, exists}, {get, 200, there("rival", batchv1.JobFailed)}, {remove, 200, old}, {watch, 200, gone}, {get, 404, missing}, free, free, {create, 201, there("ours")}}, 0, ""},
		{"it does not end", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 403, denied}, {get, 200, old},
			{watch, 403, denied}, {get, 200, old}, {watch, 403, denied}, {get, 200, old}, {watch, 403, denied}}, 1700 * time.Millisecond, "has to go first, but is still there after 1.7 s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := play(t, test.exchanges...)
				r.options.IfExists = IfExistsReplaceFinished
				r.options.Verdict.StartTimeout = 1700 * time.Millisecond
				begin := time.Now()
				err := r.createJob(t.Context())
				switch {
				case test.want == "" && (err != nil || r.created.UID != "ours"):
					t.Errorf("got %v, %v", r.created, err)
				case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
					t.Errorf("got %v, want %q", err, test.want)
				}
				if took := time.Since(begin); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
			})
		})
	}
}

// TestUnanswered creates a Job, and no answer comes.
func TestUnanswered(t *testing.T) {
	const create = "POST " + jobsURL + "?fieldManager=kubernetes-job-action"
	const hint = "The Job may have been created all the same: kubectl -n ns get job j"
	for _, test := range []struct {
		name      string
		exchanges []exchange
		may       bool
	}{
		{"cut off", []exchange{{create + " +", 0, io.EOF}}, true},
		{"cut off, then out of reach", []exchange{{create, 0, io.EOF}, {create + " +", 0, refused}}, true},
		{"cut off, then not allowed", []exchange{{create, 0, io.EOF}, {create + " +", 403, apierrors.NewForbidden(jobsResource, "j", errors.New("exceeded quota")).Status()}}, true},
		{"never reached", []exchange{{create + " +", 0, refused}}, false},
		{"not taken", []exchange{{create + " +", 429, apierrors.NewTooManyRequests("busy", 1).Status()}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := play(t, test.exchanges...)
				f := r.run(t.Context())
				if f.Outcome != event.Failed || f.Cause == nil || strings.HasSuffix(f.Cause.Hint, hint) != test.may {
					t.Errorf("got %+v", f)
				}
			})
		})
	}
}

// TestCancelledCreation is cancelled 1 s after the request to create the Job was sent.
func TestCancelledCreation(t *testing.T) {
	const create, get, remove = "POST " + jobsURL + "?fieldManager=kubernetes-job-action", "GET " + jobURL, "DELETE " + jobURL
	missing := apierrors.NewNotFound(jobsResource, "j").Status()
	ours, other := there("ours"), there("other")
	ours.Annotations = map[string]string{cluster.NonceAnnotation: "n"}
	other.Annotations = map[string]string{cluster.NonceAnnotation: "m"}
	for _, test := range []struct {
		name      string
		onCancel  Unfinished
		exchanges []exchange
		took      time.Duration // since the cancellation
		want      string        // what the user is told
	}{
		{"it has arrived", UnfinishedDelete, []exchange{{create, 0, nil}, {get, 200, ours}, {remove, 200, ours}}, 0,
			"Job ns/j created; Job ns/j deleted; the run was cancelled"},
		{"it arrives late", UnfinishedDelete, []exchange{{create, 0, nil}, {get, 404, missing}, {get, 0, refused}, {get, 404, missing}, {get, 200, ours}, {remove, 200, ours}}, 3 * lookAgain,
			"Job ns/j created; Job ns/j deleted; the run was cancelled"},
		{"it stays", UnfinishedLeave, []exchange{{create, 0, nil}, {get, 200, ours}}, 0,
			"Job ns/j created; the run was cancelled; Job ns/j goes on, as on-cancel says"},
		{"another has the name", UnfinishedDelete, []exchange{{create, 0, nil}, {get, 200, other}}, 0,
			"the run was cancelled before the Job was created"},
		{"it never arrives", UnfinishedDelete, []exchange{{create, 0, nil}, {get + " +", 404, missing}}, deleteLimit,
			"the run was cancelled before the Job was created"},
		{"nobody answers", UnfinishedDelete, []exchange{{create, 0, nil}, {get + " +", 0, refused}}, deleteLimit,
			"the run was cancelled; whether Job ns/j was created is not known"},
		{"nobody says anything", UnfinishedDelete, []exchange{{create, 0, nil}, {get, 0, nil}}, deleteLimit,
			"the run was cancelled; whether Job ns/j was created is not known"},
		{"it is found late, and its deletion is not answered", UnfinishedDelete, []exchange{{create, 0, nil}, {get, 200, func() any {
			time.Sleep(4 * time.Second)
			return ours
		}}, {remove, 0, nil}}, endLimit,
			"Job ns/j created; Job ns/j could not be deleted: the API server https://api.example did not answer within 3.0 s; the run was cancelled"},
		{"its deletion is not answered", UnfinishedDelete, []exchange{{create, 0, nil}, {get, 200, ours}, {remove, 0, nil}}, deleteLimit,
			"Job ns/j created; Job ns/j could not be deleted: the API server https://api.example did not answer within 5.0 s; the run was cancelled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := play(t, test.exchanges...)
				r.objects.Job.Annotations = ours.Annotations
				r.options.OnCancel = test.onCancel
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				begin := time.Now()
				f, err := Run(ctx, r.client, r.objects, r.options, r.sink)
				if err != nil {
					t.Fatal(err)
				}
				var said []string
				for _, e := range told(r) {
					switch e := e.(type) {
					case event.Notice:
						said = append(said, e.Message)
					case event.Object:
						said = append(said, e.Object.String()+" "+e.Action)
						if created := e.Action == "created"; created && e.UID != "ours" || !created && e.UID != "" {
							t.Errorf("%s has the UID %q", said[len(said)-1], e.UID)
						}
					}
				}
				if want := strings.Contains(test.want, "could not be deleted"); f.Undeleted != want {
					t.Errorf("Undeleted is %v, want %v", f.Undeleted, want)
				}
				if got := strings.Join(append(said, f.Cause.Message), "; "); got != test.want || f.Outcome != event.Cancelled {
					t.Errorf("%s, told\n%s, want\n%s", f.Outcome, got, test.want)
				}
				if took := time.Since(begin) - time.Second; took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
			})
		})
	}
}

// TestDeletionIsPatient: an outage costs a run that is not cancelled nothing but time when it deletes its Job.
func TestDeletionIsPatient(t *testing.T) {
	const create, remove = "POST " + jobsURL + "?fieldManager=kubernetes-job-action", "DELETE " + jobURL
	busy := exchange{remove, 429, apierrors.NewTooManyRequests("busy", 7).Status()}
	denied := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "note", errors.New("no")).Status()
	missing := apierrors.NewNotFound(jobsResource, "j").Status()
	note := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "note"}}
	timeout := func(ctx context.Context, r *loop) {
		r.created = there("ours")
		r.finishJob(ctx, verdict.State{}, verdict.Verdict{Decided: true, Outcome: event.TimedOut, DeleteJob: true})
	}
	for _, test := range []struct {
		name      string
		exchanges []exchange
		end       func(context.Context, *loop)
		cancel    time.Duration
		took      time.Duration
		deleted   bool
	}{
		{"after a timeout", []exchange{busy, {remove, 200, there("ours")}}, timeout, time.Hour, 7 * time.Second, true},
		{"after success", []exchange{busy, {remove, 200, there("ours")}}, func(ctx context.Context, r *loop) {
			r.created = there("ours")
			r.finishJob(ctx, verdict.State{}, verdict.Verdict{Decided: true, Outcome: event.Succeeded})
		}, time.Hour, 7 * time.Second, true},
		{"after a refusal", []exchange{{"GET " + jobURL, 404, missing}, {"GET /api/v1/namespaces/ns/configmaps/note", 404, missing}, {create, 201, there("ours")},
			{"POST /api/v1/namespaces/ns/configmaps", 403, denied}, busy, {remove, 200, there("ours")}},
			func(ctx context.Context, r *loop) {
				r.objects.Owned = []runtime.Object{note}
				r.run(ctx)
			}, time.Hour, 7 * time.Second, true},
		{"cancelled meanwhile", []exchange{{remove, 0, nil}}, timeout, time.Second, time.Second + deleteLimit, false},
		{"answered after the cancellation", []exchange{busy, {remove, 200, there("ours")}}, timeout, 3 * time.Second, 7 * time.Second, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := play(t, test.exchanges...)
				r.options.OnTimeout, r.options.DeleteAfter = UnfinishedDelete, []event.Outcome{event.Succeeded, event.Failed}
				ctx, cancel := context.WithTimeout(t.Context(), test.cancel)
				defer cancel()
				begin := time.Now()
				test.end(ctx, r)
				if took := time.Since(begin); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
				deleted := slices.ContainsFunc(told(r), func(e event.Event) bool {
					o, ok := e.(event.Object)
					return ok && o.Action == "deleted"
				})
				if deleted != test.deleted {
					t.Errorf("told %v", told(r))
				}
			})
		})
	}
}

// TestCreation makes everything that a run may make, and what is in the way of it.
func TestCreation(t *testing.T) {
	rules := &authorizationv1.SelfSubjectRulesReview{TypeMeta: metav1.TypeMeta{Kind: "SelfSubjectRulesReview", APIVersion: "authorization.k8s.io/v1"},
		Status: authorizationv1.SubjectRulesReviewStatus{ResourceRules: []authorizationv1.ResourceRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}}}}
	few := rules.DeepCopy()
	few.Status.ResourceRules[0].Resources = []string{"jobs", "pods", "pods/log", "secrets", "configmaps", "serviceaccounts", "namespaces"}
	none := rules.DeepCopy()
	none.Status.ResourceRules = nil
	named := schema.GroupResource{Resource: "namespaces"}
	missing, denied := apierrors.NewNotFound(named, "ns").Status(), apierrors.NewForbidden(named, "ns", errors.New("no")).Status()
	const review, who = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "POST /apis/authentication.k8s.io/v1/selfsubjectreviews"
	me := &authenticationv1.SelfSubjectReview{TypeMeta: metav1.TypeMeta{Kind: "SelfSubjectReview", APIVersion: "authentication.k8s.io/v1"}}
	me.Status.UserInfo.Username = "ci"
	namespace := exchange{"GET /api/v1/namespaces/ns", 404, missing}
	made := exchange{createURL, 201, there("ours")}
	body := func(kind string, o runtime.Object) runtime.Object {
		o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: kind})
		return o
	}
	room := []exchange{{"GET " + jobURL, 404, missing}, {"GET " + jobURL, 404, missing}, {"GET /api/v1/namespaces/ns/secrets/s", 404, missing}}
	for _, test := range []struct {
		name      string
		exchanges []exchange
		change    func(*loop)
		want      []string
	}{
		{"everything", slices.Concat([]exchange{kinds, namespace, {review, 201, few}, {who, 201, me}}, room[:1],
			[]exchange{room[2], {accountURL + tries, 404, missing}, {"POST /api/v1/namespaces/ns/secrets?dryRun=All", 404, missing}, {"POST " + jobsURL + "?dryRun=All", 404, missing}, {"POST /api/v1/namespaces?fieldManager=kubernetes-job-action", 201, body("Namespace", &corev1.Namespace{})},
				{accountURL + "fieldManager=kubernetes-job-action&force=true", 200, account()}}, room[1:],
			[]exchange{made, {"POST /api/v1/namespaces/ns/secrets", 201, body("Secret", &corev1.Secret{})}}),
			func(l *loop) {
				l.objects.CreateNamespace, l.objects.Apply = true, []*unstructured.Unstructured{account()}
			},
			[]string{"info: ci may not list, watch events in namespace ns; the run does without", "Namespace ns created (it stays)", "ServiceAccount ns/a applied (it stays)", "Job ns/j created",
				"Secret ns/s created (it goes with the Job)", "started Job ns/j: 1 pods of 0 containers"}},
		{"nothing is allowed", []exchange{{review, 201, none}, {who, 201, me}}, nil, []string{"info: ci may not list, watch events in namespace ns; the run does without", "failed: Forbidden"}},
		{"the cluster does not tell what it takes", []exchange{{"GET /api/v1", 403, denied}}, func(l *loop) { l.objects.Apply = []*unstructured.Unstructured{account()} }, []string{"failed: Forbidden"}},
		{"the Job of the name may not be looked at", []exchange{{"GET " + jobURL, 401, apierrors.NewUnauthorized("no").Status()}, {"GET " + jobURL, 401, apierrors.NewUnauthorized("no").Status()}},
			func(l *loop) { l.options.Preflight, l.objects.Apply = false, []*unstructured.Unstructured{account()} }, []string{"failed: Unauthorized"}},
		{"the namespace is refused", []exchange{{"POST /api/v1/namespaces?fieldManager=kubernetes-job-action", 422, apierrors.NewInvalid(schema.GroupKind{Kind: "Namespace"}, "ns", nil).Status()}},
			func(l *loop) { l.options.Preflight, l.objects.CreateNamespace = false, true }, []string{"failed: InvalidManifest"}},
		{"an earlier Job's Secret cannot be looked at", []exchange{room[0], {"GET /api/v1/namespaces/ns/secrets/s", 403, denied}}, func(l *loop) { l.options.Preflight = false }, []string{"failed: Forbidden"}},
		{"an earlier Job cannot be looked at", []exchange{{"GET " + jobURL, 403, denied}}, func(l *loop) { l.options.Preflight = false }, []string{"failed: Forbidden"}},
		{"a signal comes before the Secret, and on-cancel is leave", []exchange{room[0], room[2], made, {"POST /api/v1/namespaces/ns/secrets", 201, func() any { return body("Secret", &corev1.Secret{}) }}, {"DELETE " + jobURL, 200, there("ours")}},
			func(l *loop) { l.options.Preflight, l.options.OnCancel = false, UnfinishedLeave }, []string{"Job ns/j created", "Secret ns/s created (it goes with the Job)", "started Job ns/j: 1 pods of 0 containers", "Job ns/j deleted (the run was cancelled before the Job was complete)", "cancelled: Cancelled"}},
		{"the Secret is refused, a signal comes, and on-cancel is leave", []exchange{room[0], room[2], made, {"POST /api/v1/namespaces/ns/secrets", 403, func() any { return denied }}, {"DELETE " + jobURL, 200, there("ours")}},
			func(l *loop) { l.options.Preflight, l.options.OnCancel = false, UnfinishedLeave }, []string{"Job ns/j created", "Job ns/j deleted (the run was cancelled before the Job was complete)", "cancelled: Cancelled"}},
		{"the Secret is refused, and a signal comes", []exchange{room[0], room[2], made, {"POST /api/v1/namespaces/ns/secrets", 403, func() any { return denied }}, {"DELETE " + jobURL, 200, there("ours")}},
			func(l *loop) { l.options.Preflight = false }, []string{"Job ns/j created", "Job ns/j deleted (the run was cancelled)", "cancelled: Cancelled"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				for i, e := range test.exchanges { // the signal comes with the answer
					if answer, ok := e.Body.(func() any); ok {
						test.exchanges[i].Body = func() any { cancel(); return answer() }
					}
				}
				l, _ := play(t, test.exchanges...)
				l.options = Options{Preflight: true, Wait: true, Logs: LogsStream, OnCancel: UnfinishedDelete, IfExists: IfExistsReplaceFinished}
				l.objects.Owned = []runtime.Object{&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, StringData: map[string]string{"a": "b"}}}
				if test.change != nil {
					test.change(l)
				}
				said := &transcript{begin: time.Now()}
				l.sink = said
				l.watch = func(ctx context.Context, _ *batchv1.Job, _ chan<- event.Fact) error {
					cancel()
					<-ctx.Done()
					return nil
				}
				l.plays(t, &output{})
				if test.name == "everything" {
					l.options.OnCancel = UnfinishedLeave
				}
				f := l.run(ctx)
				if test.name != "everything" {
					said.lines = append(said.lines, fmt.Sprintf("%s: %s", f.Outcome, f.Cause.Reason))
				}
				if diff := cmp.Diff(test.want, said.lines); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		})
	}
}
