package run

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/apitest"
	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// alike is a Job that another run has made of the manifest and for the key of this one.
func alike(conditions ...batchv1.JobConditionType) *batchv1.Job {
	j := there("theirs", conditions...)
	j.Annotations = map[string]string{cluster.NonceAnnotation: "theirs", event.ManifestHashAnnotation: "hash", event.OnceKeyAnnotation: "c1",
		event.RunURLAnnotation: "https://ci.example/1", event.AttemptAnnotation: "2", event.CommitAnnotation: "c1", event.ActorAnnotation: "mona"}
	return j
}

// marked is the same with another value for an annotation.
func marked(j *batchv1.Job, key, value string) *batchv1.Job {
	j.Annotations[key] = value
	return j
}

const byMona = " (made by https://ci.example/1, attempt 2, commit c1, started by mona)"

// asOurs makes the loop's Job that of a run of the same work.
func (l *loop) asOurs(ifExists IfExists) {
	l.options.IfExists = ifExists
	l.objects.Job.Annotations = map[string]string{cluster.NonceAnnotation: "ours", event.ManifestHashAnnotation: "hash", event.OnceKeyAnnotation: "c1"}
	l.objects.Rename = func(suffix string) (Objects, error) {
		again := l.objects
		again.Job = again.Job.DeepCopy()
		again.Job.Name = "j-new" // suffix is random
		if suffix == "" {
			return Objects{}, errors.New("no suffix")
		}
		return again, nil
	}
}

// TestAnswer: what each policy says to each Job that has the name.
func TestAnswer(t *testing.T) {
	running, failed, done := alike(), alike(batchv1.JobFailed), alike(batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)
	failing, succeeding := alike(batchv1.JobFailureTarget), alike(batchv1.JobSuccessCriteriaMet)
	announced := alike(batchv1.JobSuccessCriteriaMet)
	announced.Spec.ManagedBy = new("kueue.x-k8s.io/multikueue")
	hash := func(j *batchv1.Job) *batchv1.Job { return marked(j, event.ManifestHashAnnotation, "other") }
	key := func(j *batchv1.Job) *batchv1.Job { return marked(j, event.OnceKeyAnnotation, "c0") }
	foreign := alike()
	foreign.Labels = nil
	keyless, hashless := alike(batchv1.JobComplete), alike()
	delete(keyless.Annotations, event.OnceKeyAnnotation)
	delete(hashless.Annotations, event.ManifestHashAnnotation)
	const goesOn = "Job ns/j exists already and is still running" + byMona
	const another = "Job ns/j exists already, is still running, and is another one: "
	const noHash = another + "its manifest, or what the options make of it, differs"
	for _, test := range []struct {
		name                 string
		old                  *batchv1.Job
		attach, keep, finish string // the answer, or the error
	}{
		{"running", running, "follow", "follow", goesOn},
		{"its success is decided", succeeding, "follow", "report", "replace"},
		{"another controller says that it will succeed", announced, "follow", "follow", goesOn},
		{"its failure is decided", failing, "replace", "replace", "replace"},
		{"succeeded", done, "replace", "report", "replace"},
		{"failed", failed, "replace", "replace", "replace"},
		{"being deleted", goes(alike()), "replace", "replace", "replace"},
		{"succeeded, and being deleted", goes(alike(batchv1.JobComplete)), "replace", "replace", "replace"},
		{"running another manifest", hash(alike()), noHash + byMona, noHash + byMona, goesOn},
		{"running, without a hash", hashless, noHash + byMona, noHash + byMona, goesOn},
		{"succeeded with another manifest", hash(alike(batchv1.JobComplete)), "replace", "replace", "replace"},
		{"running for another key", key(alike()), "follow", another + "it has the once-key c0, and this run has the once-key c1" + byMona, goesOn},
		{"succeeded for another key", key(alike(batchv1.JobComplete)), "replace", "replace", "replace"},
		{"succeeded for no key", keyless, "replace", "replace", "replace"},
		{"not ours", foreign, "Job ns/j exists already (running), and this program did not make it" + byMona, "Job ns/j exists already (running), and this program did not make it" + byMona,
			"Job ns/j exists already (running), and this program did not make it" + byMona},
	} {
		for ifExists, want := range map[IfExists]string{IfExistsAttach: test.attach, IfExistsKeepSucceeded: test.keep, IfExistsReplaceFinished: test.finish, IfExistsReplace: "replace", IfExistsSuffix: "rename"} {
			l, _ := play(t)
			l.asOurs(ifExists)
			got, err := l.answerTo(t.Context(), test.old)
			var cause *event.Cause
			switch {
			case err == nil && string(got) != want:
				t.Errorf("%s, %s: got %s, want %s", ifExists, test.name, got, want)
			case err != nil && (!errors.As(err, &cause) || cause.Message != want || cause.Hint == "" || cause.Reason != event.InvalidInput):
				t.Errorf("%s, %s: got %v, want %s", ifExists, test.name, err, want)
			}
		}
	}
	l, _ := play(t)
	l.asOurs(IfExistsKeepSucceeded)
	delete(l.objects.Job.Annotations, event.OnceKeyAnnotation)
	if got, err := l.answerTo(t.Context(), keyless); got != reports || err != nil {
		t.Errorf("without any key, the manifest alone decides: got %s, %v", got, err)
	}
	if _, err := l.answerTo(t.Context(), alike()); err == nil || !strings.Contains(err.Error(), "it has the once-key c1, and this run has no once-key") {
		t.Errorf("a key of theirs alone: got %v", err)
	}
	l.asOurs(IfExistsAttach)
	delete(l.objects.Job.Annotations, event.ManifestHashAnnotation)
	if got, err := l.answerTo(t.Context(), hashless); err == nil {
		t.Errorf("without any hash, nobody knows: got %s", got)
	}
}

const secretURL = "/api/v1/namespaces/ns/secrets"

// sealed is a Secret s of ours with that content.
func sealed(value string, owners ...types.UID) *corev1.Secret {
	s := &corev1.Secret{TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s", ResourceVersion: "1", Labels: map[string]string{event.ManagedByLabel: event.ManagedBy}},
		Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"token": []byte(value)}}
	for _, uid := range owners {
		s.OwnerReferences = append(s.OwnerReferences, metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: "j", UID: uid})
	}
	return s
}

// TestSecretsAreCompared: two Jobs whose Secrets differ are not the same work, and what cannot be compared is no guess.
func TestSecretsAreCompared(t *testing.T) {
	const get = "GET " + secretURL + "/s"
	secrets := schema.GroupResource{Resource: "secrets"}
	missing := exchange{get, 404, apierrors.NewNotFound(secrets, "s").Status()}
	denied := apierrors.NewForbidden(secrets, "s", errors.New("")).Status()
	denied.Message = `secrets "s" is forbidden: User "ci" cannot get resource "secrets" in API group "" in the namespace "ns"`
	ofUser := func(l *loop) {
		l.objects.Owned, l.objects.Apply = nil, []*unstructured.Unstructured{{Object: map[string]any{"apiVersion": "v1", "kind": "Secret",
			"metadata": map[string]any{"name": "s", "namespace": "ns"}, "stringData": map[string]any{"token": "a"}}}}
	}
	const unknown = " and whether it does the same as this run is not known: Secret ns/s "
	for _, test := range []struct {
		name      string
		old       *batchv1.Job
		exchanges []exchange
		change    func(*loop)
		took      time.Duration
		want      string // the answer, or a part of the error
	}{
		{"the same", alike(), []exchange{{get, 200, sealed("a")}}, nil, 0, "follow"},
		{"another", alike(), []exchange{{get, 200, sealed("b")}}, nil, 0, "is another one: Secret ns/s has another content" + byMona},
		{"another, and it has succeeded", alike(batchv1.JobComplete), []exchange{{get, 200, sealed("b")}}, nil, 0, "replace"},
		{"it is made a moment later", alike(), []exchange{missing, missing, {get, 200, sealed("a")}}, nil, 2 * lookAgain, "follow"},
		{"it is made a moment later, with another content", alike(), []exchange{missing, {get, 200, sealed("b")}}, nil, lookAgain, "has another content"},
		{"the run was killed before it made it", alike(), slices.Repeat([]exchange{missing}, int(settled/lookAgain)+1), nil, settled, "follow"},
		{"it is gone, and the Job has succeeded", alike(batchv1.JobComplete), []exchange{missing}, nil, 0, unknown + "is gone"},
		{"nobody may read it", alike(), []exchange{{get, 403, denied}}, nil, 0, unknown + "may not be read (it takes get on secrets)"},
		{"the file's, the same", alike(), []exchange{{get, 200, sealed("a")}}, ofUser, 0, "follow"},
		{"the file's, another", alike(batchv1.JobComplete), []exchange{{get, 200, sealed("b")}}, ofUser, 0, "replace"},
		{"the file's, gone", alike(), []exchange{missing}, ofUser, 0, unknown + "is gone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := play(t, test.exchanges...)
				l.asOurs(IfExistsKeepSucceeded)
				l.objects.Owned = []runtime.Object{sealed("a")}
				if test.change != nil {
					test.change(l)
				}
				begin := time.Now()
				got, err := l.answerTo(t.Context(), test.old)
				if err == nil && string(got) != test.want || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %q, %v; want %s", got, err, test.want)
				}
				if took := time.Since(begin); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
			})
		})
	}
}

// TestMeets plays the creation of a Job whose name is taken, at the first look or when another run was faster.
func TestMeets(t *testing.T) {
	const get, remove = "GET " + jobURL, "DELETE " + jobURL
	const watch = "GET " + jobsURL + "?fieldSelector=metadata.name%3Dj&resourceVersion=7&watch=true"
	const newURL = "GET " + jobURL + "-new"
	exists := exchange{createURL, 409, apierrors.NewAlreadyExists(jobsResource, "j").Status()}
	none := exchange{get, 404, apierrors.NewNotFound(jobsResource, "j").Status()}
	conflict := apierrors.NewConflict(jobsResource, "j", errors.New("the UID is another")).Status()
	met := func(j *batchv1.Job) exchange { return exchange{get, 200, j} }
	done := marked(alike(batchv1.JobComplete), event.OnceKeyAnnotation, "c0")
	done.UID = "old"
	deleted := exchange{watch, 200, map[string]any{"type": "DELETED", "object": done}}
	made, attached := exchange{createURL, 201, there("ours")}, "Job ns/j attached"
	freeNew := exchange{podsURL + "j-new", 200, podList()}
	noneNew := exchange{newURL, 404, none.Body}
	renamed := func(why string) string {
		return "info: Job ns/j " + why + ", so the Job of this run is called j-new, as if-exists: suffix says"
	}
	for _, test := range []struct {
		name      string
		ifExists  IfExists
		exchanges []exchange
		want      string // the UID, or a part of the error
		said      []string
	}{
		{"attach: it is running", IfExistsAttach, []exchange{met(alike())}, "theirs", []string{attached}},
		{"attach: another run was faster", IfExistsAttach, []exchange{none, exists, met(alike())}, "theirs", []string{attached}},
		{"attach: another run of another manifest was faster", IfExistsAttach, []exchange{none, exists, met(marked(alike(), event.ManifestHashAnnotation, "other"))}, "is another one: its manifest", nil},
		{"attach: it has gone since", IfExistsAttach, []exchange{none, exists, none, made}, "ours", []string{"Job ns/j created"}},
		{"attach: another run replaced the finished one", IfExistsAttach, []exchange{met(done), exists, met(done), {remove, 409, conflict}, exists, met(alike())}, "theirs", []string{attached}},
		{"attach: the finished one is replaced", IfExistsAttach, []exchange{met(done), exists, met(done), {remove, 200, done}, deleted, none, free, free, made}, "ours", []string{"Job ns/j replaced", "Job ns/j created"}},
		{"attach: another run took the name while the finished one went", IfExistsAttach, []exchange{met(done), exists, met(done), {remove, 200, done}, deleted, met(alike()), exists, met(alike())}, "theirs", []string{"Job ns/j replaced", attached}},
		{"attach: it is being deleted", IfExistsAttach, []exchange{met(goes(alike())), exists, met(goes(alike())), deleted, none, free, free, made}, "ours",
			[]string{"info: Job ns/j is being deleted; waiting until it is gone" + byMona, "Job ns/j created"}},
		{"attach: its last pods are ending", IfExistsAttach, []exchange{met(alike(batchv1.JobSuccessCriteriaMet))}, "theirs", []string{attached}},
		{"keep-succeeded: its last pods are ending", IfExistsKeepSucceeded, []exchange{met(alike(batchv1.JobSuccessCriteriaMet))}, "theirs", nil},
		{"keep-succeeded: it has succeeded", IfExistsKeepSucceeded, []exchange{met(alike(batchv1.JobComplete))}, "theirs", nil},
		{"keep-succeeded: another run was faster", IfExistsKeepSucceeded, []exchange{none, exists, met(alike())}, "theirs", []string{attached}},
		{"keep-succeeded: another run was faster, and has succeeded", IfExistsKeepSucceeded, []exchange{none, exists, met(alike(batchv1.JobComplete))}, "theirs", nil},
		{"keep-succeeded: another run replaced the one of another commit", IfExistsKeepSucceeded, []exchange{met(done), exists, met(done), {remove, 409, conflict}, exists, met(alike())}, "theirs", []string{attached}},
		{"replace-finished: another run was faster", IfExistsReplaceFinished, []exchange{exists, met(alike())}, "Job ns/j exists already and is still running" + byMona, nil},
		{"fail: another run was faster", IfExistsFail, []exchange{exists, met(alike())}, "Job ns/j exists already (running)" + byMona, nil},
		{"replace: another run was faster", IfExistsReplace, []exchange{exists, met(alike()), {remove, 200, alike()}, deleted, none, free, free, made}, "ours", []string{"Job ns/j replaced", "Job ns/j created"}},
		{"replace: another run was faster, twice", IfExistsReplace, []exchange{exists, met(alike()), {remove, 409, conflict}, exists, met(alike()), {remove, 200, alike()}, deleted, none, free, free, made}, "ours",
			[]string{"Job ns/j replaced", "Job ns/j created"}},
		{"suffix: the name is taken", IfExistsSuffix, []exchange{exists, met(alike()), noneNew, freeNew, made}, "ours", []string{renamed("exists already (running)" + byMona), "Job ns/j-new created"}},
		{"suffix: by a Job that has ended", IfExistsSuffix, []exchange{exists, met(alike(batchv1.JobFailed)), noneNew, freeNew, made}, "ours", []string{renamed("exists already (failed)" + byMona), "Job ns/j-new created"}},
		{"suffix: the name is taken by a Job with pods", IfExistsSuffix, []exchange{{podsURL + "j", 200, podList(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "j-abc"}})}, met(alike()), freeNew, made}, "ours",
			[]string{renamed("exists already (running)" + byMona), "Job ns/j-new created"}},
		{"suffix: pods of an earlier one work", IfExistsSuffix, []exchange{{podsURL + "j", 200, podList(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "j-abc"}})}, none, freeNew, made}, "ours",
			[]string{renamed("is gone, and its pods have not ended (j-abc)"), "Job ns/j-new created"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var exchanges []exchange
				for i, e := range test.exchanges {
					exchanges = append(exchanges, e)
					if e.Want == createURL && e.Code == 409 { // was it our own create, whose answer was lost?
						exchanges = append(exchanges, test.exchanges[i+1])
					}
				}
				var p *apitest.Server
				if i := slices.IndexFunc(exchanges, func(e exchange) bool { return e.Want == freeNew.Want }); i < 0 {
					p = apitest.New(t, script(exchanges)...)
				} else {
					p = apitest.New(t, append(script(exchanges[:i]), apitest.Exchange(freeNew), apitest.Exchange(exchanges[i+1]))...)
				}
				l := playOn(t, p)
				l.asOurs(test.ifExists)
				err := l.create(t.Context(), t.Context())
				switch {
				case err != nil && !strings.Contains(err.Error(), test.want):
					t.Errorf("got %v, want %s", err, test.want)
				case err == nil && string(l.created.UID) != test.want:
					t.Errorf("got %s, want %s", l.created.UID, test.want)
				case err == nil && (l.joined != (test.want == "theirs") || l.reported != (test.said == nil)):
					t.Errorf("joined %t, reported %t", l.joined, l.reported)
				}
				if diff := cmp.Diff(test.said, said(l.all())); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
				if l.stop != nil {
					l.stop()
				}
			})
		})
	}
}

// TestJoinedHelpers: what belongs to a Job that is joined is made when it is missing, and never changed.
func TestJoinedHelpers(t *testing.T) {
	const get, create = "GET " + secretURL + "/s", "POST " + secretURL
	secrets := schema.GroupResource{Resource: "secrets"}
	exists := exchange{create, 409, apierrors.NewAlreadyExists(secrets, "s").Status()}
	for _, test := range []struct {
		name      string
		joined    bool
		exchanges []exchange
		want      string // of the error; "" for none
		said      []string
	}{
		{"it is there", true, []exchange{exists, {get, 200, sealed("a", "theirs")}}, "", nil},
		{"the run was killed before it made it", true, []exchange{{create, 201, sealed("a")}}, "", []string{"Secret ns/s created"}},
		{"an earlier Job has left it behind", true, []exchange{exists, {get, 200, sealed("a", "gone")}, {"GET " + jobURL, 200, alike()}, {"PATCH " + secretURL + "/s", 200, sealed("a")}}, "", []string{"Secret ns/s adopted"}},
		{"it was made with another content", true, []exchange{exists, {get, 200, sealed("b", "theirs")}}, "another run has given Secret ns/s another content at the same time", nil},
		{"a run that has joined our Job was faster, with another content", false, []exchange{exists, {get, 200, sealed("b", "theirs")}}, "another run has given Secret ns/s another content at the same time", nil},
		{"the answer to our create was lost", false, []exchange{exists, {get, 200, sealed("a", "theirs")}}, "", []string{"Secret ns/s created"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, _ := play(t, test.exchanges...)
			l.asOurs(IfExistsAttach)
			l.objects.Owned = []runtime.Object{sealed("a")}
			l.created, l.joined = alike(), test.joined
			err := l.createOwned(t.Context())
			if (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if diff := cmp.Diff(test.said, said(l.all())); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

// TestJoinedRuns plays whole runs with a Job that another run has made.
func TestJoinedRuns(t *testing.T) {
	const s = time.Second
	const get, getSecret = "GET " + jobURL, "GET " + secretURL + "/s"
	met, removed := exchange{get, 200, alike()}, exchange{removeURL, 200, alike()}
	seen := func(conditions ...batchv1.JobConditionType) event.JobSeen {
		return event.JobSeen{Job: alike(conditions...)}
	}
	pod := func(phase corev1.PodPhase) event.PodSeen {
		return event.PodSeen{Pod: a("p", phase, func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(alike(), batchv1.SchemeGroupVersion.WithKind("Job"))}
		})}
	}
	attached := []string{"Job ns/j attached (it is running" + byMona + ")", "started Job ns/j: 1 pods of 0 containers"}
	ended := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	succeeded := alike(batchv1.JobComplete)
	succeeded.Status.CompletionTime, succeeded.Status.Succeeded = &metav1.Time{Time: ended}, 1
	succeeded.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	list := exchange{"GET /api/v1/namespaces/ns/pods?labelSelector=a%3Db", 200, podList(pod("Succeeded").Pod, a("other", "Succeeded"))}
	denied := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "s", errors.New("no")).Status()
	for _, test := range []struct {
		name      string
		exchanges []exchange
		change    func(*loop)
		beats     []beat
		cancel    time.Duration
		want      []string
	}{
		{"it is followed, and deleted", []exchange{met, removed}, nil, []beat{{0, pod("Running")}, {s, seen(batchv1.JobComplete)}}, 0,
			slices.Concat(attached, []string{"p scheduled on n1", "p container main runs", "| p works", "1s info: the Job's verdict is in", "1s Job ns/j deleted", "1s finished succeeded"})},
		{"nobody waits for it", []exchange{met}, func(l *loop) { l.options.Wait = false }, nil, 0,
			[]string{attached[0], "started Job ns/j: 1 pods of 0 containers, alone", "finished created"}},
		{"it is cancelled", []exchange{met, removed}, nil, nil, s, slices.Concat(attached, []string{"1s Job ns/j deleted (the run was cancelled)", "1s finished cancelled: Cancelled"})},
		{"it is cancelled, and goes on", []exchange{met}, func(l *loop) { l.options.OnCancel = UnfinishedLeave }, nil, s, slices.Concat(attached, []string{"1s finished cancelled: Cancelled"})},
		{"it is cancelled before its helpers are known to be there, and goes on", []exchange{met, {getSecret, 200, sealed("a")}, {"POST " + secretURL, 0, nil}}, func(l *loop) {
			l.options.OnCancel, l.objects.Owned = UnfinishedLeave, []runtime.Object{sealed("a")}
		}, nil, s, []string{attached[0], "1s finished cancelled: Cancelled"}},
		{"it takes too long", []exchange{met, removed}, func(l *loop) { l.options.Verdict.Timeout = 5 * s }, nil, 0,
			slices.Concat(attached, []string{"5s Job ns/j deleted (this run ended before it did)", "5s finished timed-out: Timeout"})},
		{"its helper cannot be made", []exchange{met, {getSecret, 200, sealed("a")}, {"POST " + secretURL, 403, denied}}, func(l *loop) { l.objects.Owned = []runtime.Object{sealed("a")} }, nil, 0,
			[]string{attached[0], "Job ns/j kept (it goes on)", "finished failed: Forbidden"}},
		{"it has succeeded", []exchange{{get, 200, succeeded}, list}, func(l *loop) { l.options.IfExists = IfExistsKeepSucceeded }, nil, 0, []string{"finished succeeded"}},
		{"it has succeeded, and nobody waits", []exchange{{get, 200, succeeded}, list}, func(l *loop) { l.options.IfExists, l.options.Wait = IfExistsKeepSucceeded, false }, nil, 0, []string{"finished succeeded"}},
		{"it has succeeded, and its pods are not to be seen", []exchange{{get, 200, succeeded}, {list.Want, 403, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no")).Status()}},
			func(l *loop) { l.options.IfExists = IfExistsKeepSucceeded }, nil, 0, []string{"warning: what is left of its pods is not known: cannot list the pods of Job ns/j", "finished succeeded"}},
		{"it has succeeded, and what serves follows", []exchange{{get, 200, succeeded}, list, kinds, {accountURL + applies, 200, account()}}, func(l *loop) {
			l.options.IfExists, l.objects.After = IfExistsKeepSucceeded, []*unstructured.Unstructured{account()}
		}, nil, 0, []string{"ServiceAccount ns/a applied (it stays)", "finished succeeded"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := play(t, test.exchanges...)
				l.options = Options{Wait: true, Logs: LogsStream, DeleteAfter: []event.Outcome{event.Succeeded}, OnCancel: UnfinishedDelete, OnTimeout: UnfinishedDelete}
				l.asOurs(IfExistsAttach)
				if test.change != nil {
					test.change(l)
				}
				l.plays(t, &output{})
				l.script(test.beats...)
				said := &transcript{begin: time.Now()}
				l.sink = said
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.cancel > 0 {
					time.AfterFunc(test.cancel, cancel)
				}
				f := l.run(ctx)
				l.emit(f)
				if !slices.EqualFunc(test.want, said.lines, begins) {
					t.Errorf("told (-want +got):\n%s", cmp.Diff(test.want, said.lines))
				}
				earlier := ""
				if l.reported {
					earlier = "has succeeded already, at 2026-03-04T05:06:07Z, for the once-key c1" + byMona + ": nothing runs again, as if-exists: keep-succeeded says"
				} else if f.Outcome == event.Created {
					earlier = "is running already" + byMona + "; this run does not wait for its end"
				}
				if f.Earlier != earlier {
					t.Errorf("earlier: got %q, want %q", f.Earlier, earlier)
				}
				if l.reported && (f.UID != "theirs" || f.Succeeded != 1 || !f.CompletedAt.Equal(ended) || !strings.Contains(test.name, "not to be seen") && (len(f.Pods) != 1 || f.Pods[0].Name != "p")) {
					t.Errorf("got %+v", f)
				}
			})
		})
	}
}

// TestLockNamesTheJob: the next holder of a lock waits for the Job that is really at work under it.
func TestLockNamesTheJob(t *testing.T) {
	exists := apierrors.NewAlreadyExists(jobsResource, "j").Status()
	for _, test := range []struct {
		ifExists    IfExists
		exchanges   []exchange
		name, nonce string
	}{
		{IfExistsAttach, []exchange{{"GET " + jobURL, 200, alike()}}, "j", "theirs"},
		{IfExistsSuffix, []exchange{free, {createURL, 409, exists}, {"GET " + jobURL, 200, alike()}, {"GET " + jobURL, 200, alike()}, {"GET " + jobURL + "-new", 404, apierrors.NewNotFound(jobsResource, "j-new").Status()},
			{podsURL + "j-new", 200, podList()}, {createURL, 201, there("ours")}}, "j-new", "nonce of B"},
	} {
		t.Run(string(test.ifExists), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newLeases(t, freed("A", ""))
				var exchanges []apitest.Exchange
				for _, e := range test.exchanges {
					exchanges = append(exchanges, apitest.Exchange(e))
				}
				l, _, _ := store.loop("B", exchanges, func(r *http.Request) string { return r.Method + " " + r.URL.RequestURI() })
				nonce := l.objects.Job.Annotations[cluster.NonceAnnotation]
				l.asOurs(test.ifExists)
				l.objects.Job.Annotations[cluster.NonceAnnotation] = nonce
				err := l.create(t.Context(), t.Context())
				lease := store.now()
				if job, of := lease.Annotations[lockJobAnnotation], lease.Annotations[lockJobNonceAnnotation]; err != nil || job != test.name || of != test.nonce {
					t.Errorf("the Lease names %s of %s, %v", job, of, err)
				}
				l.stop()
				<-l.unlock(t.Context(), false)
			})
		})
	}
}

// TestLockIsLostAtAJoin: a run whose lock is another's by then has nothing to do with the Job.
func TestLockIsLostAtAJoin(t *testing.T) {
	for name, test := range map[string]struct {
		old  *batchv1.Job
		lock func(*lock, *leases) // what happens to it
	}{
		"before it is attached":      {alike(), func(_ *lock, s *leases) { s.put(heldBy("C")) }},
		"before its success is told": {alike(batchv1.JobComplete), func(_ *lock, s *leases) { s.put(heldBy("C")) }},
		"a renewal has found it out": {alike(), func(k *lock, s *leases) {
			s.put(heldBy("C"))
			if err := k.renew(context.Background(), nil); err == nil {
				t.Error("it is not lost")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newLeases(t, freed("A", ""))
				var l *loop
				meets := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					test.lock(l.lock, store)
					if err := json.NewEncoder(w).Encode(test.old); err != nil {
						t.Error(err)
					}
				})
				var said *transcript
				l, _, said = store.play("B", exchange{"GET " + jobURL, 200, meets})
				l.asOurs(IfExistsKeepSucceeded)
				l.objects.Job.Annotations[cluster.NonceAnnotation] = "nonce of B"
				l.objects.After = []*unstructured.Unstructured{account()}
				l.options.Preflight = false
				f := l.run(t.Context())
				if f.Outcome != event.Failed || f.Cause == nil || f.Cause.Reason != event.LockLost || f.UID != "" {
					t.Errorf("got %+v, %v; told %q", f, f.Cause, said.lines)
				}
			})
		})
	}
}

// TestLockAfterAFailedJoin: the Job of another run goes on when a run that has joined it fails, and the next holder of the lock waits for it.
func TestLockAfterAFailedJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denied := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "s", errors.New("no")).Status()
		store := newLeases(t, freed("A", ""))
		l, _, said := store.play("B", exchange{"GET " + jobURL, 200, alike()}, exchange{"GET " + secretURL + "/s", 200, sealed("a")}, exchange{"POST " + secretURL, 403, denied})
		l.asOurs(IfExistsAttach)
		l.objects.Job.Annotations[cluster.NonceAnnotation] = "nonce of B"
		l.objects.Owned = []runtime.Object{sealed("a")}
		f := l.run(t.Context())
		lease := store.now()
		if f.Outcome != event.Failed || lease.Spec.HolderIdentity != nil || lease.Annotations[lockJobAnnotation] != "j" || lease.Annotations[lockJobNonceAnnotation] != "theirs" {
			t.Errorf("got %s; the Lease names %v; told %q", f.Outcome, lease.Annotations, said.lines)
		}
	})
}

// TestUnknownCreation: whatever ends a run whose Job may exist, it says so.
func TestUnknownCreation(t *testing.T) {
	for _, reason := range []event.Reason{event.Timeout, event.LockLost} {
		l, _ := play(t)
		l.unknown = true
		if c := l.failed(&event.Cause{Reason: reason, Message: "it ended"}).Cause; c.Message != "it ended; whether Job ns/j was created is not known" || c.Hint != "kubectl -n ns get job j" {
			t.Errorf("%s: got %q, %q", reason, c.Message, c.Hint)
		}
	}
}

// TestLockUnderSuffix: a lock lets one run at a time work, also when a Job of the same name would be got out of the way of.
func TestLockUnderSuffix(t *testing.T) {
	l, _ := play(t, exchange{"GET " + jobURL, 200, alike()})
	l.asOurs(IfExistsSuffix)
	if what, err := l.atWork(t.Context(), "j", "theirs"); err != nil || !strings.HasPrefix(what, "Job ns/j, of the run before, is still running"+byMona) {
		t.Errorf("got %q, %v", what, err)
	}
}

// TestWhose: what a Job says of its run is shown, and bounded.
func TestWhose(t *testing.T) {
	for _, test := range []struct {
		change func(*batchv1.Job)
		want   string
	}{
		{func(*batchv1.Job) {}, byMona},
		{func(j *batchv1.Job) { j.Annotations = nil }, ""},
		{func(j *batchv1.Job) { delete(j.Annotations, event.RunURLAnnotation) }, " (attempt 2, commit c1, started by mona)"},
		{func(j *batchv1.Job) {
			j.Annotations = map[string]string{event.ActorAnnotation: strings.Repeat("x", 200)}
		}, " (started by " + strings.Repeat("x", 100-len(event.Ellipsis)) + event.Ellipsis + ")"},
		{func(j *batchv1.Job) {
			j.Annotations = map[string]string{event.RunURLAnnotation: "https://x\n✗ Job ns/j failed\r\n::error::y", event.ActorAnnotation: "\u2028a\tb"}
		}, " (made by https://x ✗ Job ns/j failed ::error::y, started by a b)"},
	} {
		j := alike()
		test.change(j)
		if got := whose(j); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// TestNeedsOfIfExists: what a policy takes beyond the others.
func TestNeedsOfIfExists(t *testing.T) {
	file := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "f", "namespace": "ns"}}}
	for _, test := range []struct {
		ifExists IfExists
		oneTime  bool
		want     []string
	}{
		{IfExistsReplaceFinished, false, []string{"create jobs", "get delete list watch jobs j", "create secrets", "get patch secrets s", "create patch secrets f"}},
		{IfExistsReplaceFinished, true, []string{"create jobs", "get delete list watch jobs j once", "create secrets", "create patch secrets f"}},
		{IfExistsAttach, false, []string{"create jobs", "get delete list watch jobs j", "create secrets", "get patch secrets s", "create patch get secrets f"}},
		{IfExistsKeepSucceeded, true, []string{"create jobs", "get delete list watch jobs j once", "create secrets", "get secrets s once", "create patch get secrets f"}},
		{IfExistsSuffix, false, []string{"create jobs", "get delete list watch jobs once", "create secrets", "create patch secrets f"}},
	} {
		l, _ := play(t, knows("/api/v1", metav1.APIResource{Name: "secrets", Kind: "Secret", Namespaced: true}))
		l.asOurs(test.ifExists)
		l.options.Wait, l.options.Logs, l.objects.OneTime = true, LogsNone, test.oneTime
		l.objects.Owned, l.objects.Apply = []runtime.Object{sealed("a")}, []*unstructured.Unstructured{file}
		needs, err := l.needs(t.Context())
		var got []string
		for _, n := range needs {
			if n.Resource == "jobs" || n.Resource == "secrets" {
				text := strings.Join(append(slices.Clone(n.Verbs), n.Resource, n.Name), " ")
				if n.OneTime {
					text = strings.TrimSpace(text) + " once"
				}
				got = append(got, strings.TrimSpace(text))
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s, one time %t: %v (-want +got):\n%s", test.ifExists, test.oneTime, err, diff)
		}
	}
}
