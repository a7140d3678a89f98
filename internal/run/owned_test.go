package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/event"
)

const (
	noteURL                        = "/api/v1/namespaces/ns/configmaps/note"
	createNote, getNote, patchNote = "POST /api/v1/namespaces/ns/configmaps", "GET " + noteURL, "PATCH " + noteURL
	getOther                       = "GET " + jobsURL + "/other"
)

var (
	notes       = schema.GroupResource{Resource: "configmaps"}
	noteExists  = apierrors.NewAlreadyExists(notes, "note").Status()
	noteMissing = apierrors.NewNotFound(notes, "note").Status()
	noOther     = apierrors.NewNotFound(jobsResource, "other").Status()
)

// note is a ConfigMap of ours; the owners are UIDs of Jobs called other.
func note(version, text string, owners ...string) *corev1.ConfigMap {
	m := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "note", ResourceVersion: version, Labels: map[string]string{event.ManagedByLabel: event.ManagedBy}}, Data: map[string]string{"note": text}}
	for _, o := range owners {
		m.OwnerReferences = append(m.OwnerReferences, metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: "other", UID: types.UID(o)})
	}
	return m
}

// changed is a note that is not as ours are.
func changed(m *corev1.ConfigMap, change func(*corev1.ConfigMap)) *corev1.ConfigMap {
	change(m)
	return m
}

// other is the Job that owns notes.
func other(uid types.UID, conditions ...batchv1.JobConditionType) *batchv1.Job {
	j := there(uid, conditions...)
	j.Name = "other"
	return j
}

// said are the facts in words.
func said(facts []event.Fact) (all []string) {
	for _, f := range facts {
		switch f := f.(type) {
		case event.Object:
			all = append(all, f.Object.String()+" "+f.Action)
		case event.Notice:
			all = append(all, string(f.Level)+": "+f.Message)
		}
	}
	return all
}

// TestOwnTogether renews and owns a ConfigMap that other runs change, or the garbage collector deletes, at the same time.
func TestOwnTogether(t *testing.T) {
	const create, get, patch, getJob = createNote, getNote, patchNote, getOther
	exists, missing := noteExists, noteMissing
	conflict := apierrors.NewConflict(notes, "note", errors.New("it has been modified")).Status()
	var always []exchange
	for range 9 {
		always = append(always, exchange{create, 409, exists}, exchange{get, 200, note("1", "hello", "a")}, exchange{getJob, 200, other("a")}, exchange{patch, 409, conflict})
	}
	const adopts = `{"$setElementOrder/ownerReferences":[%s{"uid":"ours"}],"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"j","uid":"ours"}],"resourceVersion":"%s"}`
	adopted := func(version string, others ...string) string {
		list := ""
		for _, o := range others {
			list += fmt.Sprintf(`{"uid":%q},`, o)
		}
		return `{"metadata":` + fmt.Sprintf(adopts, list, version) + `}`
	}
	const renewed = `{"data":{"note":"hello"},"metadata":{"resourceVersion":"1"}}`
	for _, test := range []struct {
		name      string
		exchanges []exchange
		sent      string // the body of the last request; "" when it has none, or is a create
		want      string // of the error; "" for none
		said      string
	}{
		{"changed by another run", []exchange{{create, 409, exists}, {get, 200, note("1", "hello", "a")}, {getJob, 200, other("a")}, {patch, 409, conflict},
			{create, 409, exists}, {get, 200, note("2", "hello", "a", "b")}, {getJob, 200, other("b")}, {getJob, 200, other("b")}, {patch, 200, note("3", "hello")}},
			adopted("2", "a", "b"), "", "ConfigMap ns/note adopted"},
		{"deleted before the look", []exchange{{create, 409, exists}, {get, 404, missing}, {create, 201, note("3", "hello")}}, "", "", "ConfigMap ns/note created"},
		{"deleted and made again before the look", []exchange{{create, 409, exists}, {get, 404, missing}, {create, 409, exists},
			{get, 200, note("2", "hello", "b")}, {getJob, 404, noOther}, {patch, 200, note("3", "hello")}}, adopted("2", "b"), "", "ConfigMap ns/note adopted"},
		{"deleted before it is adopted", []exchange{{create, 409, exists}, {get, 200, note("2", "hello", "b")}, {getJob, 404, noOther}, {patch, 404, missing}, {create, 201, note("3", "hello")}}, "", "", "ConfigMap ns/note created"},
		{"always changed", always, adopted("1", "a"), "it was changed by someone else at the same time", ""},
		{"changed by a run that still needs it", []exchange{{create, 409, exists}, {get, 200, note("2", "new", "b")}, {getJob, 200, other("b")}}, "",
			"ConfigMap ns/note exists already, with another content, which Job other needs: it still runs", ""},
		{"changed by a run that has ended since", []exchange{{create, 409, exists}, {get, 200, note("2", "new", "b")}, {getJob, 200, other("b", batchv1.JobComplete)}}, "",
			"another run has given ConfigMap ns/note another content at the same time", ""},
		{"renewed: there is none", []exchange{{get, 404, missing}}, "", "", ""},
		{"renewed: it has our content", []exchange{{get, 200, note("1", "hello")}}, "", "", ""},
		{"renewed: nobody needs the old content", []exchange{{get, 200, note("1", "old", "a", "gone")}, {getJob, 200, other("a", batchv1.JobFailed)}, {getJob, 404, noOther},
			{patch, 200, note("2", "hello")}}, renewed, "", "ConfigMap ns/note updated"},
		{"renewed: the outcome of who needed the old content is decided", []exchange{{get, 200, note("1", "old", "a")}, {getJob, 200, other("a", batchv1.JobSuccessCriteriaMet)}, {patch, 200, note("2", "hello")}},
			renewed, "", "ConfigMap ns/note updated"},
		{"renewed: a key more", []exchange{{get, 200, changed(note("1", "old", "a"), func(m *corev1.ConfigMap) { m.Data["more"], m.BinaryData = "x", map[string][]byte{"b": {1}} })}, {getJob, 404, noOther},
			{patch, 200, note("2", "hello")}}, `{"binaryData":null,"data":{"more":null,"note":"hello"},"metadata":{"resourceVersion":"1"}}`, "", "ConfigMap ns/note updated"},
		{"renewed: changed by another run", []exchange{{get, 200, note("1", "old", "a")}, {getJob, 200, other("a", batchv1.JobComplete)}, {patch, 409, conflict},
			{get, 200, note("2", "new", "b")}, {getJob, 200, other("b")}}, "", "ConfigMap ns/note exists already, with another content, which Job other needs: it still runs", ""},
		{"renewed: deleted after the look", []exchange{{get, 200, note("1", "old", "a")}, {getJob, 200, other("a", batchv1.JobComplete)}, {patch, 404, missing}, {get, 404, missing}}, "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, server := play(t, test.exchanges...)
				r.created = job()
				r.created.UID = "ours"
				r.objects.Owned = []runtime.Object{note("", "hello")}
				write := r.createOwned
				if strings.HasPrefix(test.name, "renewed: ") {
					write = r.renewOwned
				}
				err := write(t.Context())
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				if sent := string(server.Sent()); sent != test.sent && (test.sent != "" || strings.HasPrefix(sent, "{")) {
					t.Errorf("sent %s\nwant %s", sent, test.sent)
				}
				if got := strings.Join(said(r.all()), "; "); got != test.said {
					t.Errorf("told %q, want %q", got, test.said)
				}
			})
		})
	}
}

// TestForeign: a Secret or ConfigMap that is not ours is not changed, whatever its owners do. With our content it serves, and that is
// told; with another one it ends the run before anything is changed.
func TestForeign(t *testing.T) {
	owned := func(apiVersion, kind string) func(*corev1.ConfigMap) {
		return func(m *corev1.ConfigMap) {
			m.OwnerReferences[0].APIVersion, m.OwnerReferences[0].Kind = apiVersion, kind
		}
	}
	unlabelled := func(m *corev1.ConfigMap) { m.Labels = nil }
	ended := other("a", batchv1.JobComplete)
	foreign := func(change func(*batchv1.Job)) *batchv1.Job {
		j := ended.DeepCopy()
		change(j)
		return j
	}
	for _, test := range []struct {
		name   string
		change func(*corev1.ConfigMap)
		owner  *batchv1.Job // is looked for; nil: it is not
		whose  string
	}{
		{"the user's own", func(m *corev1.ConfigMap) { m.Labels, m.OwnerReferences = nil, nil }, nil, ""},
		{"orphaned", func(m *corev1.ConfigMap) { m.OwnerReferences = nil }, nil, ""},
		{"of a finished Job, without our label", unlabelled, nil, " (its owner is Job other)"},
		{"of another's label", func(m *corev1.ConfigMap) { m.Labels[event.ManagedByLabel] = "Helm" }, nil, " (its owner is Job other, it is managed by Helm)"},
		{"of a Job of another group", owned("batch.volcano.sh/v1alpha1", "Job"), nil, " (its owner is Job other)"},
		{"of a Job of another version", owned("batch/v2", "Job"), nil, " (its owner is Job other)"},
		{"of another kind", owned("batch/v1", "CronJob"), nil, " (its owner is CronJob other)"},
		{"of a finished Job that is not ours: no label", func(*corev1.ConfigMap) {}, foreign(func(j *batchv1.Job) { j.Labels = nil }), " (its owner is Job other)"},
		{"of a finished Job that is not ours: no nonce", func(*corev1.ConfigMap) {}, foreign(func(j *batchv1.Job) { j.Annotations = nil }), " (its owner is Job other)"},
		{"of a finished Job of a CronJob", func(*corev1.ConfigMap) {}, foreign(func(j *batchv1.Job) {
			j.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: "c", UID: "c"}}
		}), " (its owner is Job other)"},
		{"of a Job of ours and another's", func(m *corev1.ConfigMap) {
			m.OwnerReferences = append(m.OwnerReferences, metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "d", UID: "d"})
		}, ended, " (its owner is Job other, its owner is Deployment d)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				there := func(text string) []exchange {
					e := []exchange{{getNote, 200, changed(note("1", text, "a"), test.change)}}
					if test.owner != nil {
						e = append(e, exchange{getOther, 200, test.owner})
					}
					return e
				}
				created := job()
				created.UID = "ours"
				r, _ := play(t, there("theirs")...)
				r.objects.Owned = []runtime.Object{note("", "hello")}
				taken := "ConfigMap ns/note exists already, with another content, and does not belong to a Job of this program that has ended" + test.whose
				var cause *event.Cause
				if _, err := r.surveyOwned(t.Context(), ""); !errors.As(err, &cause) || cause.Message != taken || cause.Reason != event.InvalidInput {
					t.Errorf("before the Job: %v", err)
				}

				r, _ = play(t, append([]exchange{{createNote, 409, noteExists}}, there("theirs")...)...)
				r.created, r.objects.Owned = created, []runtime.Object{note("", "hello")}
				if err := r.createOwned(t.Context()); !errors.As(err, &cause) || cause.Message != taken {
					t.Errorf("after the Job: %v", err)
				}

				r, _ = play(t, append([]exchange{{createNote, 409, noteExists}}, there("hello")...)...)
				r.created, r.objects.Owned = created, []runtime.Object{note("", "hello")}
				err := r.createOwned(t.Context())
				used := []string{"info: ConfigMap ns/note was there already, with this content, and is not ours" + test.whose + ": it is used, and stays as it is"}
				if diff := cmp.Diff(used, said(r.all())); err != nil || diff != "" {
					t.Errorf("with our content: %v, told (-want +got)\n%s", err, diff)
				}
			})
		})
	}
}

// TestEveryRefusedHelperIsTold: all helpers are created at once, and each that is refused is told of.
func TestEveryRefusedHelperIsTold(t *testing.T) {
	quota := func(name string) metav1.Status {
		return apierrors.NewForbidden(notes, name, errors.New("exceeded quota: q, requested: configmaps=1, used: configmaps=1, limited: configmaps=1")).Status()
	}
	r, _ := play(t, exchange{createNote + " +", 403, quota("note")})
	second := note("", "hello")
	second.Name = "second"
	r.created, r.objects.Owned = there("ours"), []runtime.Object{note("", "hello"), second}
	const allows = `: ResourceQuota "q" allows configmaps=1, configmaps=1 is used and it asks for configmaps=1`
	want := "cannot create ConfigMap ns/note" + allows + "; cannot create ConfigMap ns/second" + allows + ". Run again when others have freed the quota, or raise it: kubectl -n ns describe resourcequota q"
	f := r.failed(r.createOwned(t.Context()))
	if got := f.Cause.Error(); got != want || f.Cause.Reason != event.Forbidden {
		t.Errorf("got %s %s, want\n%s", f.Cause.Reason, got, want)
	}
}

// TestForeignSecret: a Secret with our content that stays is worth a warning, because it was meant to go with the Job.
func TestForeignSecret(t *testing.T) {
	theirs := &corev1.Secret{TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, Data: map[string][]byte{"a": []byte("b")}}
	r, _ := play(t, exchange{"POST /api/v1/namespaces/ns/secrets", 409, apierrors.NewAlreadyExists(schema.GroupResource{Resource: "secrets"}, "s").Status()},
		exchange{"GET /api/v1/namespaces/ns/secrets/s", 200, theirs})
	r.created = there("ours")
	r.objects.Owned = []runtime.Object{&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, StringData: map[string]string{"a": "b"}}}
	err := r.createOwned(t.Context())
	if diff := cmp.Diff([]string{"warning: Secret ns/s was there already, with this content, and is not ours: it is used, and stays as it is"}, said(r.all())); err != nil || diff != "" {
		t.Errorf("%v, told (-want +got)\n%s", err, diff)
	}
}

// TestRefusedRunChangesNothing: the only request that changes anything is the last one, and it comes when everything else was accepted.
func TestRefusedRunChangesNothing(t *testing.T) {
	const getJob, tryJob, tryNote = "GET " + jobURL, "POST " + jobsURL + "?dryRun=All", createNote + "?dryRun=All"
	const tryPatch = patchNote + "?dryRun=All"
	missing, exists := apierrors.NewNotFound(jobsResource, "j").Status(), apierrors.NewAlreadyExists(jobsResource, "j").Status()
	refuse := func(resource schema.GroupResource, message string) metav1.Status {
		s := apierrors.NewForbidden(resource, "j", errors.New("")).Status()
		s.Message = message
		return s
	}
	quota := refuse(jobsResource, `jobs.batch "j" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0`)
	rbac := refuse(jobsResource, `jobs.batch is forbidden: User "ci" cannot create resource "jobs" in API group "batch" in the namespace "ns"`)
	webhook := apierrors.NewBadRequest(`admission webhook "w.example" denied the request: no`).Status()
	dry := apierrors.NewBadRequest(`admission webhook "w.example" does not support dry run`).Status()
	unpatched := refuse(notes, `configmaps "note" is forbidden: User "ci" cannot patch resource "configmaps" in API group "" in the namespace "ns"`)
	immutable := apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, "note", nil).Status()
	invisible := refuse(jobsResource, `jobs.batch "other" is forbidden: User "ci" cannot get resource "jobs" in API group "batch" in the namespace "ns"`)
	ended := there("old", batchv1.JobComplete)
	left := note("1", "old", "a")
	stale := []exchange{{getNote, 200, left}, {getOther, 404, noOther}, {tryPatch, 200, left}}
	tried := exchange{tryNote, 409, noteExists}
	none := exchange{getJob, 404, missing}
	for _, test := range []struct {
		name      string
		exchanges []exchange
		want      string // of the error
	}{
		{"a quota, over a ConfigMap that is left", slices.Concat([]exchange{none}, stale, []exchange{tried, {tryJob, 403, quota}}), `ResourceQuota "small" allows`},
		{"RBAC, over a ConfigMap that is left", slices.Concat([]exchange{none}, stale, []exchange{tried, {tryJob, 403, rbac}}), "ci may not create jobs.batch"},
		{"a webhook, over a ConfigMap that is left", slices.Concat([]exchange{none}, stale, []exchange{tried, {tryJob, 400, webhook}}), `admission webhook "w.example" denies it`},
		{"a quota, over an old Job", []exchange{{getJob, 200, ended}, {getNote, 404, noteMissing}, {tryNote, 201, left}, {tryJob, 403, quota}}, `ResourceQuota "small" allows`},
		{"the ConfigMap, over an old Job", []exchange{{getJob, 200, ended}, {getNote, 404, noteMissing}, {tryNote, 403, refuse(notes, `configmaps "note" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=1, limited: configmaps=1`)}, {tryJob, 409, exists}}, `ResourceQuota "q" allows`},
		{"the ConfigMap must not be patched, over an old Job", []exchange{{getJob, 200, ended}, {getNote, 200, left}, {getOther, 404, noOther}, {tryPatch, 403, unpatched}}, "ci may not patch configmaps"},
		{"the ConfigMap is immutable, over an old Job", []exchange{{getJob, 200, ended}, {getNote, 200, left}, {getOther, 404, noOther}, {tryPatch, 422, immutable}}, "is invalid"},
		{"the ConfigMap's owner may not be looked at", []exchange{none, {getNote, 200, left}, {getOther, 403, invisible}}, "ci may not get jobs.batch"},
		{"the ConfigMap is another's, over an old Job", []exchange{{getJob, 200, ended}, {getNote, 200, changed(note("1", "theirs"), func(m *corev1.ConfigMap) { m.Labels = nil })}}, "does not belong to a Job of this program"},
		{"accepted: the old Job's own ConfigMap", []exchange{{getJob, 200, ended}, {getNote, 200, changed(note("1", "old", "old"), func(m *corev1.ConfigMap) { m.OwnerReferences[0].Name = "j" })}, {getJob, 200, ended}, {tryPatch, 200, left},
			tried, {tryJob, 409, exists}, {"DELETE " + jobURL, 403, refuse(jobsResource, "the end")}}, "the end"},
		{"accepted, as far as a webhook lets it be asked", slices.Concat([]exchange{none, stale[0], stale[1], {tryPatch, 400, dry}}, []exchange{tried, {tryJob, 400, dry}, free},
			[]exchange{stale[0], stale[1], {patchNote, 403, refuse(notes, "the end")}}), "the end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := play(t, test.exchanges...)
				r.options.IfExists = IfExistsReplaceFinished
				r.objects.Owned = []runtime.Object{note("", "hello")}
				if err := r.createJob(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
			})
		})
	}
}

// TestReplacedOwner: a ConfigMap that only the Job to be replaced needs is not in the way, though that Job still runs.
func TestReplacedOwner(t *testing.T) {
	running := there("old")
	left := changed(note("1", "old", "old"), func(m *corev1.ConfigMap) { m.OwnerReferences[0].Name = "j" })
	r, _ := play(t, exchange{"GET " + jobURL, 200, running}, exchange{getNote, 200, left}, exchange{"GET " + jobURL, 200, running}, exchange{patchNote + "?dryRun=All", 200, left})
	r.options.IfExists = IfExistsReplace
	r.objects.Owned = []runtime.Object{note("", "hello")}
	if old, stale, err := r.survey(t.Context()); old == nil || !stale || err != nil {
		t.Errorf("got %v, %v, %v", old, stale, err)
	}
}

// TestReplaceOnlyOurs: of the Jobs that have ended, only those of this program are replaced, unless the user says otherwise.
func TestReplaceOnlyOurs(t *testing.T) {
	ours := func(change func(*batchv1.Job)) *batchv1.Job {
		j := there("old", batchv1.JobComplete)
		change(j)
		return j
	}
	controlled := func(j *batchv1.Job) {
		j.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: "nightly", UID: "c"}}
	}
	url := func(j *batchv1.Job) {
		j.Annotations["kubernetes-job-action.planton.ai/run-url"] = "https://ci.example/1"
	}
	const foreign = "Job ns/j exists already (succeeded), and this program did not make it"
	for _, test := range []struct {
		name string
		old  *batchv1.Job
		mode IfExists
		want string // of the error; "" for none
	}{
		{"ours", ours(func(*batchv1.Job) {}), IfExistsReplaceFinished, ""},
		{"kubectl's", ours(func(j *batchv1.Job) { j.Labels, j.Annotations = nil, nil }), IfExistsReplaceFinished, foreign},
		{"Helm's", ours(func(j *batchv1.Job) { j.Labels, j.Annotations = map[string]string{event.ManagedByLabel: "Helm"}, nil }), IfExistsReplaceFinished, foreign + " (it is managed by Helm)"},
		{"with our label alone", ours(func(j *batchv1.Job) { j.Annotations = nil }), IfExistsReplaceFinished, foreign},
		{"a CronJob's copy of ours", ours(func(j *batchv1.Job) { controlled(j); url(j) }), IfExistsReplaceFinished, foreign + " (its owner is CronJob nightly, made by https://ci.example/1)"},
		{"a CronJob's, and it may be replaced", ours(controlled), IfExistsReplace, ""},
		{"a CronJob's, that runs", ours(func(j *batchv1.Job) { controlled(j); j.Status.Conditions = nil }), IfExistsReplaceFinished, "Job ns/j exists already (running), and this program did not make it (its owner is CronJob nightly)"},
		{"a CronJob's, and it must not", ours(controlled), IfExistsFail, foreign + " (its owner is CronJob nightly)"},
		{"ours, and it must not", ours(url), IfExistsFail, "Job ns/j exists already (succeeded) (made by https://ci.example/1)"},
		{"a long name", ours(func(j *batchv1.Job) { controlled(j); j.OwnerReferences[0].Name = strings.Repeat("x", 1000) }), IfExistsReplaceFinished,
			foreign + " (its owner is CronJob " + strings.Repeat("x", 300-len("its owner is CronJob ")-len(event.Ellipsis)) + event.Ellipsis + ")"},
	} {
		err := allowed(test.mode, event.Ref{Kind: "Job", Namespace: "ns", Name: "j"}, test.old)
		var cause *event.Cause
		if errors.As(err, &cause); (test.want == "") != (err == nil) || err != nil && (cause.Message != test.want || cause.Reason != event.InvalidInput || cause.Hint == "") {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

// TestUnseenSecret: who may create Secrets and not read them waits for the end of one of that name, and then makes another.
func TestUnseenSecret(t *testing.T) {
	const url = "/api/v1/namespaces/ns/secrets"
	const get, create, try = "GET " + url + "/s", "POST " + url, "POST " + url + "?dryRun=All"
	secrets := schema.GroupResource{Resource: "secrets"}
	status := apierrors.NewForbidden(secrets, "s", errors.New("")).Status()
	status.Message = `secrets "s" is forbidden: User "ci" cannot get resource "secrets" in API group "" in the namespace "ns"`
	unseen, is := exchange{get, 403, status}, apierrors.NewAlreadyExists(secrets, "s").Status()
	made := &corev1.Secret{TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}}
	for _, test := range []struct {
		name      string
		exchanges []exchange
		do        func(*loop, context.Context) error
		want      string // of the error; "" for none
		said      string
	}{
		{"before the old Job goes", []exchange{unseen}, func(l *loop, ctx context.Context) error { _, err := l.surveyOwned(ctx, ""); return err }, "", ""},
		{"it goes with the old Job", []exchange{unseen, {try, 409, is}, unseen, {try, 201, made}}, (*loop).renewOwned, "", ""},
		{"it stays", slices.Repeat([]exchange{unseen, {try, 409, is}}, 9), (*loop).renewOwned, "ci may not get secrets", ""},
		{"it goes after the new Job came", []exchange{{create, 409, is}, unseen, {create, 201, made}}, (*loop).createOwned, "", "Secret ns/s created"},
		{"it comes meanwhile", slices.Repeat([]exchange{{create, 409, is}, unseen}, 9), (*loop).createOwned, "ci may not get secrets", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := play(t, test.exchanges...)
				l.created = there("ours")
				l.objects.Owned = []runtime.Object{&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, StringData: map[string]string{"a": "b"}}}
				err := test.do(l, t.Context())
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				if got := strings.Join(said(l.all()), "; "); got != test.said {
					t.Errorf("told %q, want %q", got, test.said)
				}
			})
		})
	}
}
