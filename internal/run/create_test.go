package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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

// TestRefusedBeforeApplying: no object of the user's is applied for a Job that may not be created.
func TestRefusedBeforeApplying(t *testing.T) {
	denied := func(message string) metav1.Status {
		s := apierrors.NewForbidden(jobsResource, "j", errors.New("")).Status()
		s.Message = message
		return s
	}
	object := func(apiVersion, kind, name string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name}}}
	}
	none := exchange{"GET " + jobURL, 404, apierrors.NewNotFound(jobsResource, "j").Status()}
	nowhere := apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns").Status()
	invalid := apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, "j", field.ErrorList{
		field.Required(field.NewPath("spec", "a"), ""), field.Required(field.NewPath("spec", "a"), ""), field.Duplicate(field.NewPath("spec", "b"), "x")}).Status()
	quota := denied(`jobs.batch "j" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0`)
	const rehearsal, applying = "POST " + jobsURL + "?dryRun=All", `cannot apply a Last without a name`
	for _, test := range []struct {
		name   string
		look   exchange
		try    any // answers the rehearsal; nil: there is none
		code   int
		change func(*Objects)
		want   string
		told   []string
	}{
		{"it is running", exchange{"GET " + jobURL, 200, there("old")}, nil, 0, nil, "Job ns/j exists already and is still running", nil},
		{"it has ended", exchange{"GET " + jobURL, 200, there("old", batchv1.JobComplete)}, apierrors.NewAlreadyExists(jobsResource, "j").Status(), 409, nil, applying, nil},
		{"there is none", none, there("x"), 201, nil, applying, nil},
		{"nobody may look or create", exchange{"GET " + jobURL, 403, denied("no")}, denied(`jobs.batch is forbidden: User "ci" cannot create resource "jobs" in API group "batch" in the namespace "ns"`), 403, nil, applying, nil},
		{"there is no namespace", none, nowhere, 404, nil, `cannot check Job ns/j: the namespace "ns" does not exist`, nil},
		{"the namespace is in the file", none, nowhere, 404, func(o *Objects) {
			o.Apply = append([]*unstructured.Unstructured{object("v1", "Namespace", "ns")}, o.Apply...)
		}, `cannot apply Namespace ns`, nil},
		{"it is invalid", none, invalid, 422, nil, "the API server finds 2 problems in Job ns/j", []string{"spec.a: Required value of Job ns/j", `spec.b: Duplicate value: "x" of Job ns/j`}},
		{"it is invalid, and nobody knows the file", none, invalid, 422, func(o *Objects) { o.Place = nil }, `cannot check Job ns/j: the API server finds it invalid: spec.a: Required value; spec.a: Required value; spec.b: Duplicate value: "x"`, nil},
		{"a quota refuses it", none, quota, 403, nil, `cannot check Job ns/j: ResourceQuota "small" allows`, nil},
		{"the file has a quota", none, quota, 403, func(o *Objects) { o.Apply[0].SetKind("ResourceQuota") }, `cannot apply a ResourceQuota without a name`, nil},
		{"the file has a policy", none, quota, 403, func(o *Objects) { o.Apply[0].SetAPIVersion("admissionregistration.k8s.io/v1") }, applying, nil},
		{"a webhook takes no rehearsal", none, apierrors.NewBadRequest(`admission webhook "w" does not support dry run`).Status(), 400, nil, applying, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				exchanges := []exchange{test.look}
				if test.try != nil {
					exchanges = append(exchanges, exchange{rehearsal, test.code, test.try})
				}
				if strings.Contains(test.want, "Namespace ns") {
					exchanges = append(exchanges, exchange{"GET /api/v1", 400, apierrors.NewBadRequest("no discovery").Status()})
				}
				r, _ := play(t, exchanges...)
				// Without a name it is refused by the client itself.
				r.objects.Apply = []*unstructured.Unstructured{object("v1", "Last", "")}
				r.objects.Place = func(of event.Ref, field, message string) event.Finding {
					return event.Finding{Level: event.Error, Path: field, Message: message + " of " + of.String()}
				}
				if test.change != nil {
					test.change(&r.objects)
				}
				if err := r.prepare(t.Context(), "ns"); err == nil || !strings.HasPrefix(err.Error(), test.want) {
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
		{"watched", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 200, gone}, {get, 404, missing}, {create, 201, there("ours")}}, 0, ""},
		{"nobody may watch", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old},
			{watch, 403, denied}, {get, 200, old}, {watch, 403, denied}, {get, 200, old}, {watch, 403, denied}, {get, 404, missing}, {create, 201, there("ours")}}, 3 * lookAgain, ""},
		{"the watch ends", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 200, expired}, {get, 404, missing}, {create, 201, there("ours")}}, lookAgain, ""},
		{"a rival takes the name", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 200, gone}, {get, 200, rival},
			{create, 409, exists}, {get, 200, rival}}, 0, "Job ns/j exists already and is still running"},
		{"a rival was faster", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 409, conflict},
			{create, 409, exists}, {get, 200, rival}}, 0, "Job ns/j exists already and is still running"},
		{"a rival took the name, and has ended", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 200, gone}, {get, 200, there("rival", batchv1.JobFailed)},
			{create, 409, exists}, {get, 200, there("rival", batchv1.JobFailed)}, {remove, 200, old}, {watch, 200, gone}, {get, 404, missing}, {create, 201, there("ours")}}, 0, ""},
		{"it does not end", []exchange{{create, 409, exists}, {get, 200, old}, {remove, 200, old}, {watch, 403, denied}, {get, 200, old},
			{watch, 403, denied}, {get, 200, old}, {watch, 403, denied}, {get, 200, old}, {watch, 403, denied}}, 1700 * time.Millisecond, "was deleted to make room, but is still there after 1.7 s"},
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
		{"its deletion is not answered", UnfinishedDelete, []exchange{{create, 0, nil}, {get, 200, ours}, {remove, 0, nil}}, deleteLimit,
			"Job ns/j created; Job ns/j could not be deleted: the API server did not answer within 5.0 s; the run was cancelled"},
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
			[]exchange{room[2], {"POST /api/v1/namespaces/ns/secrets?dryRun=All", 404, missing}, {"POST /api/v1/namespaces?fieldManager=kubernetes-job-action", 201, body("Namespace", &corev1.Namespace{})},
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
