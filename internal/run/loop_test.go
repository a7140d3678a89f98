package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/logs"
	"github.com/planton/kubernetes-job-action/internal/verdict"
)

// TestUncountedPods: SuccessCriteriaMet comes with the pod among the uncounted (job_controller.go, trackJobStatusAndRemoveFinalizers), so
// succeeded is still 0. The pods must be listed once more, or the log of a pod that was never seen is lost.
func TestUncountedPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, server := play(t)
		r.created = there("ours")
		r.created.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
		r.job = r.created
		j := there("ours", batchv1.JobSuccessCriteriaMet)
		j.Spec.Selector = r.created.Spec.Selector
		j.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Succeeded: []types.UID{"p"}}
		r.take(event.JobSeen{Job: j})
		if v := verdict.Decide(r.state()); v.Outcome != event.Succeeded {
			t.Fatal(v)
		}
		server.Expect(script([]exchange{{"GET /api/v1/namespaces/ns/pods?labelSelector=a%3Db", 200, &corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}}})...)
		r.refreshPods(t.Context()) // what is left is an error
	})
}

// TestNoPodGoesBack: a watch may tell, after a look at the pods, what was before it.
func TestNoPodGoesBack(t *testing.T) {
	r, _ := play(t)
	at := func(version string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.ResourceVersion = version } }
	r.takePod(a("p", "Succeeded", at("100")), false)
	before := len(r.all())
	r.takePod(a("p", "Running", at("99")), false)
	if r.pods[0].Status.Phase != corev1.PodSucceeded || len(r.all()) != before {
		t.Errorf("%s, told %v", r.pods[0].Status.Phase, said(r.all()))
	}
	r.takePod(a("p", "Running", at("99")), true)
	if r.pods[0].Status.Phase != corev1.PodSucceeded || !r.gonePods[r.pods[0].UID] {
		t.Errorf("%s, gone: %t", r.pods[0].Status.Phase, r.gonePods[r.pods[0].UID])
	}
}

// TestEventsAreKept: what the verdict reads reaches it, and nothing else is kept.
func TestEventsAreKept(t *testing.T) {
	r, _ := play(t)
	r.created = there("ours")
	for _, reason := range []string{"Scheduled", "Pulling", "Pulled", "Created", "Started", "FailedMount", "SuccessfulCreate"} {
		e := &corev1.Event{ObjectMeta: metav1.ObjectMeta{UID: types.UID(reason)}, Reason: reason}
		r.take(event.EventSeen{Event: e})
		if kept := r.events[""][e.UID] != nil; kept != verdict.Wants(e) {
			t.Errorf("%s is kept: %t", reason, kept)
		}
	}
}

// TestEventsAreBounded: whoever makes events without end makes us forget some, those of the same object first, and fills nothing.
func TestEventsAreBounded(t *testing.T) {
	r, _ := play(t)
	r.created = there("ours")
	make := func(about, name string, second int) {
		e := &corev1.Event{Reason: "FailedMount", ObjectMeta: metav1.ObjectMeta{UID: types.UID(about + name), CreationTimestamp: metav1.Unix(int64(second), 0)}}
		e.InvolvedObject.UID = types.UID(about)
		r.take(event.EventSeen{Event: e})
	}
	for i := range mostAbout + 10 {
		make("p", fmt.Sprint(i), i)
	}
	if n := len(r.events["p"]); n != mostAbout || r.events["p"]["p9"] != nil || r.events["p"]["p10"] == nil || r.kept != mostAbout {
		t.Errorf("%d of one pod are kept", n)
	}
	make("p", "10", 3) // again
	if r.kept != mostAbout {
		t.Errorf("an event that comes again is counted again: %d", r.kept)
	}
	for i := range mostEvents - mostAbout {
		make(fmt.Sprint("q", i), "x", i)
	}
	count := 0
	for _, about := range r.events {
		count += len(about)
	}
	if count != mostEvents || r.kept != count {
		t.Errorf("%d are kept, counted as %d", count, r.kept)
	}
	make("p", "new", 999)
	if r.events["p"]["pnew"] == nil || r.kept != mostEvents {
		t.Error("the newest event of a pod does not take the place of its oldest")
	}
	make("late", "x", 1)
	if r.events["late"]["latex"] == nil || r.kept != mostEvents || len(r.events["p"]) != mostAbout-1 {
		t.Error("an object that comes late does not take the place of an event of the one with the most")
	}
	make("p", "more", 1000)
	if r.events["p"]["pmore"] == nil || r.kept != mostEvents {
		t.Error("the one with the most has no place for the newest")
	}
	r.take(event.PodSeen{Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "p"}, Status: corev1.PodStatus{Phase: corev1.PodFailed}}})
	if r.kept != mostEvents-mostAbout+1 {
		t.Errorf("the events of a pod that has ended still count: %d", r.kept)
	}
}

// TestToldToStop: the kubelet's last request writes another time of deletion, when the containers have ended.
func TestToldToStop(t *testing.T) {
	l := newLoop(&runner{}, &transcript{}, nil)
	told := func(seconds, grace int64) *corev1.Pod {
		return a("p", corev1.PodRunning, func(p *corev1.Pod) {
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: time.Unix(seconds, 0)}, &grace
		})
	}
	l.take(event.PodSeen{Pod: a("p", corev1.PodRunning)})
	l.take(event.PodSeen{Pod: told(120, 20)})
	last := told(103, 0)
	l.take(event.PodSeen{Pod: last, Gone: true})
	if p := l.pods[0]; p.DeletionTimestamp.Unix() != 120 || *p.DeletionGracePeriodSeconds != 20 {
		t.Errorf("deleted at %s, grace %d s", p.DeletionTimestamp, *p.DeletionGracePeriodSeconds)
	}
	if last.DeletionTimestamp.Unix() != 103 {
		t.Error("the pod of the watch was changed")
	}
}

// TestSilentContainers: only running init containers are silent, and none while the API server is away.
func TestSilentContainers(t *testing.T) {
	l := newLoop(&runner{}, &transcript{}, nil)
	if len(l.silent()) > 0 {
		t.Error("a run that reads no logs knows who is silent")
	}
	l.reader = &output{silent: []string{"wait", "fetch"}}
	status := func(name string, state corev1.ContainerState) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, State: state}
	}
	runs := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	l.take(event.PodSeen{Pod: a("p", corev1.PodPending, func(p *corev1.Pod) {
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{status("fetch", corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}), status("wait", runs), status("chatty", runs)}
	})})
	if got := l.silent(); len(got) != 1 || !got[verdict.Output{Pod: l.pods[0].UID, Container: "wait"}] {
		t.Errorf("silent: %v", got)
	}
	l.away = time.Now()
	if got := l.silent(); len(got) > 0 {
		t.Errorf("silent in an outage: %v", got)
	}
}

// beat is a fact that the watch brings some time after the Job is followed. An error, or nil, is the end of the watch.
type beat struct {
	at   time.Duration
	fact any
}

// script plays what the Job's watch brings; it lasts until nobody follows any more.
func (l *loop) script(beats ...beat) {
	l.watch = func(ctx context.Context, _ *batchv1.Job, out chan<- event.Fact) error {
		begin := time.Now()
		for _, b := range beats {
			select {
			case <-time.After(time.Until(begin.Add(b.at))):
			case <-ctx.Done():
				return nil
			}
			switch fact := b.fact.(type) {
			case nil:
				return nil
			case error:
				return fact
			case func():
				fact()
			case event.Fact:
				select {
				case out <- fact:
				case <-ctx.Done():
					return nil
				}
			}
		}
		<-ctx.Done()
		return nil
	}
}

// output is a reader of logs that plays the lines of containers: each pod's when it is shown to run, and the last ones when it drains.
type output struct {
	t       *testing.T
	ctx     context.Context
	options logs.Options
	last    []event.Fact // while draining
	silent  []string     // containers that have written nothing
	never   bool         // draining does not end by itself
	shown   map[string]bool
	limit   time.Duration // of Drain; zero while it was not asked for
	outage  bool          // whether the reader was told of an outage when it drained
	closed  bool
	all     sync.WaitGroup
}

// read makes a loop read the output, and checks that what was begun was ended.
func (l *loop) plays(t *testing.T, o *output) *output {
	o.t, o.shown = t, map[string]bool{}
	l.read = func(ctx context.Context, options logs.Options) reader {
		o.ctx, o.options = ctx, options
		return o
	}
	t.Cleanup(func() {
		if o.ctx != nil && !o.closed {
			t.Error("the reader of logs was not closed")
		}
	})
	return o
}

func (o *output) send(e event.Fact) {
	select {
	case o.options.Out <- e:
	case <-o.ctx.Done():
	}
}

func (o *output) Observe(pod *corev1.Pod, gone bool) {
	if pod.Status.Phase != corev1.PodRunning || o.shown[pod.Name] {
		return
	}
	o.shown[pod.Name] = true
	o.all.Go(func() { o.send(lines(string(pod.UID), "main", pod.Name+" works")) })
}

func (o *output) Silent(_, container string) bool { return slices.Contains(o.silent, container) }

func (o *output) Drain(limit time.Duration) {
	o.limit = limit
	_, o.outage = o.options.Outage()
	o.all.Go(func() {
		for _, e := range o.last {
			o.send(e)
		}
		if o.never {
			<-o.ctx.Done()
			return
		}
		o.send(event.Drained{})
	})
}

func (o *output) Close() {
	o.closed = true
	o.all.Wait()
}

// said writes what a loop told, one to a line, with the time where it is not zero.
type transcript struct {
	begin time.Time
	lines []string
	fail  error
	after int // events until fail
}

func (s *transcript) AddSecrets(...event.Secret) {}

func (s *transcript) Event(e event.Event) error {
	text := fmt.Sprintf("%T", e)
	switch e := e.(type) {
	case event.Started:
		text = fmt.Sprintf("started %s: %d pods of %d containers", e.Job, e.Pods, e.Containers)
		if e.Alone {
			text += ", alone"
		}
	case event.Object:
		text = strings.TrimSuffix(fmt.Sprintf("%s %s (%s)", e.Object, e.Action, e.Detail), " ()")
	case event.Attempt:
		text = e.Pod + " " + e.Message
	case event.Progress:
		text = "progress " + e.String()
	case event.Finding:
		text = "finding " + e.String()
	case event.Notice:
		text = fmt.Sprintf("%s: %s", e.Level, e.Message)
	case event.Lines:
		var texts []string
		for _, l := range e.Lines {
			texts = append(texts, l.Text)
		}
		text = "| " + strings.Join(texts, " | ")
	case event.Finished:
		text = "finished " + string(e.Outcome)
		if e.Cause != nil {
			text += ": " + string(e.Cause.Reason)
		}
		if len(e.Tail) > 0 {
			text += fmt.Sprintf(" %q", e.Tail)
		}
	}
	if d := time.Since(s.begin); d > 0 && !s.begin.IsZero() {
		text = d.String() + " " + text
	}
	s.lines = append(s.lines, text)
	if s.fail != nil && len(s.lines) > s.after {
		return s.fail
	}
	return nil
}

// begins tells whether one of two texts begins with the other: what ends in a figure that a jitter makes is compared up to that.
func begins(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

func counted(j *batchv1.Job, succeeded, failed int32) *batchv1.Job {
	j.Status.Succeeded, j.Status.Failed = succeeded, failed
	return j
}

// lasting is a Job that the cluster deletes so many seconds after its end.
func lasting(j *batchv1.Job, seconds int32) *batchv1.Job {
	j.Spec.TTLSecondsAfterFinished = &seconds
	return j
}

func wants(j *batchv1.Job, completions int32) *batchv1.Job {
	j.Spec.Completions = &completions
	return j
}

// ours makes a pod one that the Job controls.
func ours(p *corev1.Pod) {
	p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(there("ours"), batchv1.SchemeGroupVersion.WithKind("Job"))}
}

// a is a pod of the Job, made in the given second.
func a(name string, phase corev1.PodPhase, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.Now()},
		Spec:   corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "main"}}},
		Status: corev1.PodStatus{Phase: phase}}
	state := corev1.ContainerState{}
	switch phase {
	case corev1.PodRunning:
		state.Running = &corev1.ContainerStateRunning{}
	case corev1.PodSucceeded:
		state.Terminated = &corev1.ContainerStateTerminated{Reason: "Completed"}
	case corev1.PodFailed:
		state.Terminated = &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error"}
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: state}}
	for _, c := range change {
		c(p)
	}
	return p
}

// TestOutage: the run lives through an outage, tells it once, and gives up the Job after APITimeout.
func TestOutage(t *testing.T) {
	for _, test := range []struct {
		name string
		ends time.Duration // zero: never
		want []string
	}{
		{"it ends", 20 * time.Second, []string{"4s info: the API server does not answer (the connection to the API server broke (EOF)); trying again for up to 1 min", "21s info: the API server answers again after 20 s",
			"51s progress 0/1 done", "1m21s progress 0/1 done", "1m30s Job ns/j deleted", "1m30s finished succeeded"}},
		{"it does not end", 0, []string{"4s info: the API server does not answer (the connection to the API server broke (EOF)); trying again for up to 1 min", "34s progress 0/1 done", "1m1s finished failed: ApiUnreachable"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				exchanges := []exchange{{createURL, 201, there("ours")}}
				if test.ends > 0 {
					exchanges = append(exchanges, exchange{removeURL, 200, there("ours")})
				}
				l, _ := play(t, exchanges...)
				l.options = Options{Wait: true, Logs: LogsStream, DeleteAfter: []event.Outcome{event.Succeeded}, OnCancel: UnfinishedDelete, IfExists: IfExistsFail}
				out := l.plays(t, &output{})
				var begin time.Time
				fail := func() { l.client.Health.Failed(begin, io.EOF) }
				beats := []beat{{time.Second, func() { begin = time.Now(); fail() }}, {4 * time.Second, fail}, {5 * time.Second, fail}}
				if test.ends > 0 {
					beats = append(beats, beat{test.ends + time.Second, l.client.Health.Answered}, beat{90 * time.Second, event.JobSeen{Job: there("ours", batchv1.JobComplete)}})
				}
				l.script(beats...)
				said := &transcript{begin: time.Now()}
				l.sink = said
				l.emit(l.run(t.Context()))
				if diff := cmp.Diff(append([]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers"}, test.want...), said.lines); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
				if drained := out.limit > 0; drained != (test.ends > 0) {
					t.Errorf("drained: %t", drained)
				}
			})
		})
	}
}

// TestOutageAtTheEnd: the reader of logs is told that the API server is out of reach, as long as it is waited for.
func TestOutageAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := play(t, exchange{createURL, 201, there("ours")}, exchange{removeURL, 200, there("ours")})
		l.options = Options{Wait: true, Logs: LogsStream, DeleteAfter: []event.Outcome{event.Succeeded}, OnCancel: UnfinishedDelete, IfExists: IfExistsFail}
		out := l.plays(t, &output{})
		l.script(beat{time.Second, func() { l.client.Health.Failed(time.Now(), io.EOF) }}, beat{time.Second, event.JobSeen{Job: there("ours", batchv1.JobComplete)}})
		if f := l.run(t.Context()); f.Outcome != event.Succeeded || !out.outage {
			t.Errorf("%s, told of the outage: %t", f.Outcome, out.outage)
		}
	})
}

// TestCancelledAfterAFailure: the cause says what the attempts died of.
func TestCancelledAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := play(t, exchange{createURL, 201, there("ours")}, exchange{removeURL, 200, there("ours")})
		l.options = Options{Wait: true, Logs: LogsNone, OnCancel: UnfinishedDelete, IfExists: IfExistsFail}
		ctx, cancel := context.WithCancel(t.Context())
		l.script(beat{time.Second, event.PodSeen{Pod: a("p", "Failed")}}, beat{2 * time.Second, func() { cancel() }})
		f := l.run(ctx)
		if f.Outcome != event.Cancelled || f.Cause.ExitCode == nil || *f.Cause.ExitCode != 3 || !strings.Contains(f.Cause.Message, "one attempt failed") {
			t.Errorf("%s: %v", f.Outcome, f.Cause)
		}
	})
}

// TestSurvivedOutage: an outage that a step of the creation met and did without is over when the next one is answered. A run
// was given up at its first look, long after.
func TestSurvivedOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		incomplete := &authorizationv1.SelfSubjectRulesReview{TypeMeta: metav1.TypeMeta{Kind: "SelfSubjectRulesReview", APIVersion: "authorization.k8s.io/v1"},
			Status: authorizationv1.SubjectRulesReviewStatus{Incomplete: true}}
		const asks = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews +"
		l, _ := play(t, exchange{"POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews", 201, incomplete},
			exchange{asks, 500, apierrors.NewInternalError(errors.New("authorization webhook timed out")).Status()},
			exchange{createURL, 201, there("ours")})
		l.options = Options{Preflight: true, Wait: true, Logs: LogsNone, IfExists: IfExistsFail}
		l.script(beat{time.Second, event.JobSeen{Job: there("ours", batchv1.JobComplete)}})
		said := &transcript{begin: time.Now()}
		l.sink = said
		if f := l.run(t.Context()); f.Outcome != event.Succeeded {
			t.Errorf("%s: %v, told %q", f.Outcome, f.Cause, said.lines)
		}
		if told := strings.Join(said.lines, "\n"); strings.Count(told, "does not answer") != 1 || strings.Count(told, "answers again") != 1 {
			t.Errorf("told\n%s", told)
		}
	})
}

// stuck is a terminal that takes no output.
type stuck struct{ entered, open chan struct{} }

func (s *stuck) AddSecrets(...event.Secret) {}

func (s *stuck) Event(event.Event) error {
	select {
	case s.entered <- struct{}{}:
	default:
	}
	<-s.open
	return nil
}

// TestStuckTerminal: a signal deletes the Job although the terminal takes nothing, the API server is busy, and has things to tell.
func TestStuckTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := exchange{removeURL, 429, apierrors.NewTooManyRequests("busy", 2).Status()}
		deleted := make(chan struct{})
		l, _ := play(t, exchange{createURL, 201, there("ours")}, busy, busy, exchange{removeURL, 200, func() any {
			l := there("ours")
			close(deleted)
			return l
		}})
		l.options = Options{Wait: true, Logs: LogsNone, OnCancel: UnfinishedDelete, IfExists: IfExistsFail}
		l.script()
		terminal := &stuck{entered: make(chan struct{}, 1), open: make(chan struct{})}
		l.sink = terminal
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan event.Finished)
		go func() { ended <- l.run(ctx) }()
		<-terminal.entered
		cancel()
		begin := time.Now()
		<-deleted
		if took := time.Since(begin); took != 4*time.Second {
			t.Errorf("deleted after %s", took)
		}
		close(terminal.open)
		if f := <-ended; f.Outcome != event.Cancelled {
			t.Errorf("got %+v", f)
		}
	})
}

// TestClosedTerminal: when nobody can be told anything any more, the Job is deleted, and the error is the sink's first one.
func TestClosedTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := play(t, exchange{createURL, 201, there("ours")}, exchange{removeURL, 200, there("ours")})
		o := Options{OnCancel: UnfinishedDelete, IfExists: IfExistsFail}
		f, err := Run(t.Context(), l.client, l.objects, o, &transcript{begin: time.Now(), fail: errors.New("broken pipe")})
		if err == nil || err.Error() != "broken pipe" || f.Outcome != event.Cancelled {
			t.Errorf("%s, %v", f.Outcome, err)
		}
	})
}

const (
	createURL = "POST " + jobsURL + "?fieldManager=kubernetes-job-action"
	removeURL = "DELETE " + jobURL
	tryURL    = "POST " + jobsURL + "?dryRun=All"
)

// TestTheNamespaceGoes: a namespace that is deleted is named as the cause of what it does to its Job.
func TestTheNamespaceGoes(t *testing.T) {
	terminating := apierrors.NewForbidden(jobsResource, "j", errors.New("unable to create new content in namespace ns because it is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause, Field: "metadata.namespace"}}
	missing := exchange{"GET " + jobURL, 404, apierrors.NewNotFound(jobsResource, "j").Status()}
	missed := event.JobSeen{Job: there("ours"), Gone: true}
	deletion := event.JobSeen{Job: there("ours"), Gone: true}
	deletion.Job.ResourceVersion = "8"
	vanishes := []beat{{time.Second, deletion}}
	fails := func(change ...func(*corev1.Pod)) []beat {
		failed := event.JobSeen{Job: counted(there("ours", batchv1.JobFailed), 0, 1)}
		failed.Job.Status.Conditions[0].Reason = "BackoffLimitExceeded"
		return []beat{{time.Second, event.PodSeen{Pod: a("p", "Running", change...)}}, {5 * time.Second, event.PodSeen{Pod: a("p", "Failed", change...)}}, {5 * time.Second, failed}}
	}
	deleted := fails(func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.Now()) })
	const gone = "namespace ns is being deleted, and Job ns/j with it, before it finished"
	// The RoleBindings of a namespace that is deleted may go first: what the run could do before is not allowed any more.
	noRight := func(verb string) *apierrors.StatusError {
		return apierrors.NewForbidden(jobsResource, "j", fmt.Errorf(`User "ci" cannot %s resource "jobs" in API group "batch" in the namespace "ns"`, verb))
	}
	mayNot := exchange{tryURL, 403, noRight("create").Status()}
	refused := []beat{{time.Second, event.PodSeen{Pod: a("p", "Running")}}, {20 * time.Second, noRight("watch")}}
	const taken = "The rights of this run were taken away meanwhile, as when its namespace is deleted: kubectl get namespace ns"
	slowly := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(3 * time.Second)
		status := terminating.Status()
		status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(status) // who asked may have gone
	})
	for _, test := range []struct {
		name      string
		exchanges []exchange
		beats     []beat
		want      string // what the cause begins with
		object    string
		hint      string // and its hint, if that matters
	}{
		{"it is being terminated", []exchange{missing, {tryURL, 403, terminating.Status()}}, vanishes, gone, "Namespace ns", ""},
		{"it is gone", []exchange{missing, {tryURL, 404, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns").Status()}}, vanishes, gone, "Namespace ns", ""},
		{"it stays", []exchange{missing, {tryURL, 201, there("x")}}, vanishes, "Job ns/j was deleted by someone else", "Job ns/j", ""},
		{"it stays, and the deletion was not seen", []exchange{missing, {tryURL, 201, there("x")}}, []beat{{time.Second, missed}}, "Job ns/j was deleted before it was seen to finish", "Job ns/j", ""},
		{"nobody may ask", []exchange{missing, {tryURL, 403, apierrors.NewForbidden(jobsResource, "j", errors.New("no")).Status()}}, vanishes, "Job ns/j was deleted by someone else", "Job ns/j", ""},
		{"nobody answers", []exchange{missing, {tryURL, 0, nil}}, vanishes, "Job ns/j was deleted by someone else", "Job ns/j", ""},
		{"its pod went first, and the Job failed", []exchange{{tryURL, 403, terminating.Status()}}, deleted, "namespace ns is being deleted, and Job ns/j has failed: ", "Namespace ns", ""},
		{"its pod was deleted, and the Job failed", []exchange{{tryURL, 201, there("x")}, {tryURL, 201, there("x")}}, deleted, `container "main" of pod p exited`, "Pod ns/p", ""},
		{"a Job just failed", nil, fails(), `container "main" of pod p exited`, "Pod ns/p", ""},
		{"it is slow to say so", []exchange{{tryURL, 403, slowly}, missing}, append(slices.Clone(deleted[:1]), beat{9 * time.Second, deletion}), gone, "Namespace ns", ""},
		{"the rights went first", []exchange{missing, mayNot}, vanishes, "Job ns/j was deleted by someone else", "Job ns/j", taken},
		{"the rights to watch went first", []exchange{{tryURL, 403, terminating.Status()}}, refused, "namespace ns is being deleted, and Job ns/j with it, before it was seen to finish; what this run may do there went first: ", "Namespace ns", ""},
		{"the rights went first, after the pods", []exchange{{tryURL, 403, terminating.Status()}}, append(slices.Clone(deleted[:1]), refused[1]), "namespace ns is being deleted, and Job ns/j with it, before it was seen to finish; what this run may do there went first: ", "Namespace ns", ""},
		{"all rights went first", []exchange{mayNot}, refused, "cannot run Job ns/j: ci may not watch jobs.batch in namespace ns", "", taken},
		{"the rights to watch were never there", []exchange{}, refused[1:], "cannot run Job ns/j: ci may not watch jobs.batch in namespace ns", "", "Check with: kubectl auth can-i watch"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := play(t, slices.Concat([]exchange{{createURL, 201, there("ours")}}, test.exchanges)...)
				l.options = Options{Wait: true, Logs: LogsNone, IfExists: IfExistsFail}
				l.script(test.beats...)
				f := l.run(t.Context())
				warned := slices.ContainsFunc(told(l), func(e event.Event) bool {
					n, ok := e.(event.Notice)
					return ok && n.Message == "namespace ns is being deleted, and Job ns/j will go with it"
				})
				if want := len(test.beats) > 1 && test.object == "Namespace ns" && l.pods[0].DeletionTimestamp != nil; warned != want {
					t.Errorf("warned of it: %t, want %t", warned, want)
				}
				if !strings.HasPrefix(f.Cause.Message, test.want) || f.Cause.Object.String() != test.object || f.Cause.Hint == "" || !strings.HasPrefix(f.Cause.Hint, test.hint) {
					t.Errorf("%s: %+v", f.Outcome, f.Cause)
				}
			})
		})
	}
}

// TestLoop plays whole runs: what the API server answers, what the watch brings and what is told, with the times.
func TestLoop(t *testing.T) {
	const s = time.Second
	made, removed := exchange{createURL, 201, there("ours")}, exchange{removeURL, 200, there("ours")}
	forbidden := apierrors.NewForbidden(jobsResource, "j", errors.New("no"))
	job := func(conditions ...batchv1.JobConditionType) event.JobSeen {
		return event.JobSeen{Job: there("ours", conditions...)}
	}
	pod := func(phase corev1.PodPhase) event.PodSeen { return event.PodSeen{Pod: a("p", phase)} }
	failed := event.JobSeen{Job: counted(there("ours", batchv1.JobFailed), 0, 1)}
	failed.Job.Status.Conditions[0].Reason = "BackoffLimitExceeded"
	other := there("other")
	listed := &corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{*a("p", "Failed", ours), *a("other", "Failed")}}
	missing := exchange{"GET " + jobURL, 404, apierrors.NewNotFound(jobsResource, "j").Status()}
	rehearsed := []exchange{missing, kinds, {accountURL + tries, 200, account()}, {"POST " + jobsURL + "?dryRun=All", 201, there("x")}, made}
	const retries = `2s info: attempt 1 of 7 failed (container "main" of pod p exited with code 3); Kubernetes tries again in about 10 s`
	follows := func(l *loop) { l.objects.After = []*unstructured.Unstructured{account()} }
	for _, test := range []struct {
		name      string
		exchanges []exchange
		options   func(*loop)
		beats     []beat
		output    *output
		cancel    time.Duration // a signal, zero without one
		limit     time.Duration // that Drain must be given; zero when it must not be asked for
		want      []string
	}{
		{"it succeeds", []exchange{made, removed}, nil,
			[]beat{{s, pod("Pending")}, {2 * s, pod("Running")}, {9 * s, pod("Succeeded")}, {9 * s, event.JobSeen{Job: counted(there("ours", batchv1.JobComplete), 1, 0)}}},
			&output{last: []event.Fact{lines("uid-p", "main", "the end")}}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s p scheduled on n1", "2s p container main runs", "2s | p works",
				"9s p container main exited with code 0", "9s | the end", "9s Job ns/j deleted", "9s finished succeeded"}},
		{"it fails, and its output is shown then", []exchange{made}, func(l *loop) { l.options.Logs = LogsOnFailure },
			[]beat{{s, pod("Running")}, {2 * s, pod("Failed")}, {3 * s, failed}},
			&output{last: []event.Fact{lines("uid-p", "main", "boom")}}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s p scheduled on n1", "1s p container main runs",
				"2s p container main exited with code 3", retries, "3s | p works", "3s | boom", "3s Job ns/j kept (it stays)", `3s finished failed: ContainerExit ["p works" "boom"]`}},
		{"it succeeds, and its output is wanted after a failure only", []exchange{made, removed}, func(l *loop) { l.options.Logs = LogsOnFailure },
			[]beat{{s, pod("Running")}, {2 * s, pod("Succeeded")}, {2 * s, job(batchv1.JobComplete)}}, &output{}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s p scheduled on n1", "1s p container main runs",
				"2s p container main exited with code 0", "2s Job ns/j deleted", "2s finished succeeded"}},
		{"lines of an output that is not shown are lost", []exchange{made, removed}, func(l *loop) { l.options.Logs = LogsOnFailure },
			[]beat{{s, event.Gap{Stream: &event.Stream{Pod: "p"}, Why: "rotated"}}, {2 * s, job(batchv1.JobComplete)}}, &output{}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "2s Job ns/j deleted", "2s finished succeeded"}},
		{"lines of an output that is shown at the end are lost", []exchange{made}, func(l *loop) { l.options.Logs = LogsOnFailure },
			[]beat{{s, lines("uid-p", "main", "first")}, {s, event.Gap{Stream: &event.Stream{Pod: "p"}, Why: "rotated"}}, {s, lines("uid-p", "main", "last")}, {2 * s, pod("Failed")}, {3 * s, failed}}, &output{}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "2s p scheduled on n1", "2s p container main exited with code 3", retries,
				"3s | first", "3s event.Gap", "3s | last", "3s Job ns/j kept (it stays)", `3s finished failed: ContainerExit ["first" "last"]`}},
		{"what serves follows its success", slices.Concat(rehearsed, []exchange{{accountURL + applies, 200, account()}, removed}), follows, []beat{{s, job(batchv1.JobComplete)}}, &output{}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s ServiceAccount ns/a applied (it stays)", "1s Job ns/j deleted", "1s finished succeeded"}},
		{"what serves is refused after its success", slices.Concat(rehearsed, []exchange{{accountURL + applies, 403, forbidden.Status()}, removed}), follows, []beat{{s, job(batchv1.JobComplete)}}, &output{}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s Job ns/j deleted", "1s finished failed: OthersNotApplied"}},
		{"what serves does not follow its failure", rehearsed, follows, []beat{{2 * s, pod("Failed")}, {3 * s, failed}}, &output{}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "2s p scheduled on n1", "2s p container main exited with code 3", retries, "3s Job ns/j kept (it stays)", "3s finished failed: ContainerExit"}},
		{"a signal before what serves is applied", slices.Concat(rehearsed, []exchange{removed}), follows, []beat{{s, job(batchv1.JobComplete)}}, &output{never: true}, 5 * s, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers",
				"7s warning: the run was told to stop before the logs were read to their end: the last lines are missing", "7s Job ns/j deleted", "7s finished cancelled: Cancelled"}},
		{"nobody waits for it", []exchange{made}, func(l *loop) { l.options.Wait = false }, nil, &output{}, 0, 0,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers, alone", "finished created"}},
		{"it stays until the cluster deletes it", []exchange{{createURL, 201, lasting(there("ours"), 60)}}, func(l *loop) { l.options.Logs, l.options.DeleteAfter = LogsNone, nil }, []beat{{s, job(batchv1.JobComplete)}}, &output{}, 0, 0,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s Job ns/j kept (the cluster deletes it in 1 min)", "1s finished succeeded"}},
		{"it takes too long", []exchange{made, removed}, func(l *loop) { l.options.Verdict.Timeout = 40 * s },
			[]beat{{s, pod("Running")}}, &output{}, 0, drainCancelLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s p scheduled on n1", "1s p container main runs", "1s | p works",
				"31s progress 0/1 done, 1 running", "40s Job ns/j deleted (this run ended before it did)", `40s finished timed-out: Timeout ["p works"]`}},
		{"it takes too long, and goes on", []exchange{made}, func(l *loop) { l.options.Verdict.Timeout, l.options.OnTimeout = 20*s, UnfinishedLeave }, nil, &output{}, 0, drainCancelLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "20s Job ns/j kept (it goes on, as on-timeout says)", "20s finished timed-out: Timeout"}},
		{"a signal", []exchange{made, removed}, nil, []beat{{s, pod("Running")}}, &output{last: []event.Fact{lines("uid-p", "main", "ending")}}, 5 * s, drainCancelLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s p scheduled on n1", "1s p container main runs", "1s | p works",
				"5s | ending", "5s Job ns/j deleted (the run was cancelled)", "5s finished cancelled: Cancelled"}},
		{"a signal after a failed attempt", []exchange{made, removed}, func(l *loop) { l.options.Logs = LogsNone }, []beat{{s, pod("Running")}, {2 * s, pod("Failed")}}, &output{}, 5 * s, 0,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s p scheduled on n1", "1s p container main runs", "2s p container main exited with code 3",
				retries,
				"5s Job ns/j deleted (the run was cancelled)", "5s finished cancelled: Cancelled"}},
		{"a signal for a Job that is left alone", []exchange{made}, func(l *loop) { l.options.OnCancel = UnfinishedLeave }, nil, &output{}, 5 * s, drainCancelLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "5s finished cancelled: Cancelled"}},
		{"a signal while the logs are read to their end", []exchange{made, removed}, nil, []beat{{s, job(batchv1.JobComplete)}}, &output{never: true}, 5 * s, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers",
				"7s warning: the run was told to stop before the logs were read to their end: the last lines are missing", "7s Job ns/j deleted", "7s finished succeeded"}},
		{"the Job is refused", []exchange{{createURL, 403, forbidden.Status()}}, nil, nil, &output{}, 0, 0, []string{"finished failed: Forbidden"}},
		{"another run deletes it before its pods are seen", []exchange{made, {"GET /api/v1/namespaces/ns/pods", 200, podList()}, removed}, nil, []beat{{s, event.JobSeen{Job: counted(there("ours", batchv1.JobComplete), 2, 1)}}},
			&output{last: []event.Fact{event.PodSeen{Pod: a("p", "Succeeded"), Gone: true}}}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s p scheduled on n1", "1s p container main exited with code 0",
				"1s warning: 2 pods of Job ns/j were gone before this run saw them: what they wrote is missing", "1s Job ns/j deleted", "1s finished succeeded"}},
		{"its main container ends, and another runs on", []exchange{made, removed}, func(l *loop) { l.options.Verdict.MainContainer = "main" }, []beat{{s, event.PodSeen{Pod: a("p", "Running", func(p *corev1.Pod) {
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "proxy"})
			p.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", FinishedAt: metav1.NewTime(time.Unix(1, 0))}}
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: "proxy", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})
		})}}}, &output{}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s p scheduled on n1", "1s p container main exited with code 0", "1s p container proxy runs", "1s | p works",
				"2s Job ns/j deleted (this run ended before it did)", "2s finished succeeded"}},
		{"its Secret is refused", []exchange{missing, {"GET /api/v1/namespaces/ns/secrets/s", 404, missing.Body}, made, {"POST /api/v1/namespaces/ns/secrets", 403, forbidden.Status()}, removed},
			func(l *loop) {
				l.objects.Owned = []runtime.Object{&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}}}
			}, nil, &output{}, 0, 0,
			[]string{"Job ns/j created", "Job ns/j deleted (the run could not be completed)", "finished failed: Forbidden"}},
		{"the watch is refused", []exchange{made, removed}, nil, []beat{{s, forbidden}}, &output{}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s Job ns/j deleted (this run ended before it did)", "1s finished failed: Forbidden"}},
		{"the watch ends", []exchange{made, removed}, nil, []beat{{s, nil}}, &output{}, 0, 0,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s Job ns/j deleted (this run ended before it did)", "1s finished failed: ApiUnreachable"}},
		{"it is replaced", []exchange{made}, nil, []beat{{s, event.JobSeen{Job: there("ours"), Gone: true}}}, &output{last: []event.Fact{event.JobSeen{Job: other}}}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s finished vanished: JobReplaced"}},
		{"it is deleted, and another has its name", []exchange{made, {"GET " + jobURL, 200, other}}, nil, []beat{{s, event.JobSeen{Job: there("ours"), Gone: true}}}, &output{}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s finished vanished: JobReplaced"}},
		{"it is deleted", []exchange{made, missing, {tryURL, 201, there("x")}}, nil,
			[]beat{{s, event.JobSeen{Job: there("ours"), Gone: true}}}, &output{}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s finished vanished: JobDeleted"}},
		{"the Job's end comes before its pod's", []exchange{made}, nil, []beat{{s, pod("Running")}, {2 * s, failed}, {2*s + 300*time.Millisecond, pod("Failed")}}, &output{}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s p scheduled on n1", "1s p container main runs", "1s | p works",
				"2s info: the Job's verdict is in; 1 pod is still ending and not waited for",
				"2.3s p container main exited with code 3", "2.3s Job ns/j kept (it stays)", `2.3s finished failed: ContainerExit ["p works"]`}},
		{"the Job's end comes without its pod's", []exchange{made, {"GET /api/v1/namespaces/ns/pods", 200, listed}}, nil, []beat{{2 * s, failed}, {2*s + 100*time.Millisecond, lines("uid-p", "main", "late")}}, &output{}, 0, drainLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "2.1s | late", "3s p scheduled on n1", "3s p container main exited with code 3", "3s Job ns/j kept (it stays)", `3s finished failed: ContainerExit ["late"]`}},
		{"a signal while the pod's end is waited for", []exchange{made}, nil, []beat{{2 * s, failed}}, &output{}, 2*s + 500*time.Millisecond, drainCancelLimit,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "2.5s Job ns/j kept (it stays)", "2.5s finished failed: BackoffLimitExceeded"}},
		{"many pods", []exchange{made, removed}, func(l *loop) { l.options.Logs = LogsNone }, []beat{{s, event.JobSeen{Job: counted(wants(there("ours"), 3), 0, 0)}},
			{6 * s, event.JobSeen{Job: counted(wants(there("ours"), 3), 1, 0)}}, {7 * s, event.JobSeen{Job: counted(wants(there("ours"), 3), 2, 0)}}, {12 * s, event.JobSeen{Job: counted(wants(there("ours"), 3), 2, 1)}},
			{50 * s, event.JobSeen{Job: wants(there("ours", batchv1.JobComplete), 3)}}}, &output{}, 0, 0,
			[]string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "6s progress 1/3 done", "12s progress 2/3 done, 1 failed: Kubernetes waits before the next attempt", "42s progress 2/3 done, 1 failed: Kubernetes waits before the next attempt", "50s Job ns/j deleted", "50s finished succeeded"}},
		{"a keyed notice is told once", []exchange{{createURL, 201, nil}}, nil, []beat{{s, event.Notice{Level: event.Info, Key: "k", Message: "hear"}},
			{2 * s, event.Notice{Level: event.Info, Key: "k", Message: "hear"}}, {3 * s, event.Notice{Level: event.Info, Message: "and"}}, {4 * s, job(batchv1.JobComplete)}}, &output{}, 0, drainLimit,
			[]string{"warning: the API server warns: odd", "Job ns/j created", "started Job ns/j: 1 pods of 0 containers", "1s info: hear", "3s info: and", "4s Job ns/j deleted", "4s finished succeeded"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, server := play(t, test.exchanges...)
				l.options = Options{Wait: true, Logs: LogsStream, DeleteAfter: []event.Outcome{event.Succeeded}, OnCancel: UnfinishedDelete, OnTimeout: UnfinishedDelete, IfExists: IfExistsFail}
				if test.options != nil {
					test.options(l)
				}
				if test.exchanges[0].Body == nil { // the API server warns while it creates the Job, twice
					server.Expect(script([]exchange{{createURL, 201, func() any {
						l.client.OnWarning("odd")
						l.client.OnWarning("odd")
						return there("ours")
					}}, removed})...)
				}
				out := l.plays(t, test.output)
				l.script(test.beats...)
				said := &transcript{begin: time.Now()}
				l.sink = said
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				l.abort = cancel
				if test.cancel > 0 {
					time.AfterFunc(test.cancel, cancel)
				}
				f := l.run(ctx)
				l.emit(f)
				if diff := cmp.Diff(test.want, said.lines); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
				if l.created != nil && f.UID != string(l.created.UID) {
					t.Errorf("the Job's UID is %q at the end, want %q", f.UID, l.created.UID)
				}
				if out.limit != test.limit {
					t.Errorf("Drain was given %s, want %s", out.limit, test.limit)
				}
			})
		})
	}
}

// TestEveryFactIsTaken: none is dropped in silence, and what is news too is told.
func TestEveryFactIsTaken(t *testing.T) {
	for _, f := range event.Facts {
		l, _ := play(t)
		l.job, l.created = there("ours"), there("ours")
		switch f.(type) {
		case event.JobSeen:
			f = event.JobSeen{Job: there("ours")}
		case event.PodSeen:
			f = event.PodSeen{Pod: a("p", corev1.PodPending, func(p *corev1.Pod) { p.Spec.NodeName = "" })}
		case event.EventSeen:
			f = event.EventSeen{Event: &corev1.Event{}}
		case event.Lines:
			f = lines("p", "main", "x")
		}
		l.take(f)
		_, news := f.(event.Event)
		if _, connection := f.(event.Connection); len(told(l)) != 1 && (news || connection) || len(told(l)) != 0 && !news && !connection {
			t.Errorf("%T: told %v", f, told(l))
		}
	}
}

// TestSignalAtTheEnd: a signal that comes just before the run lets go of its Job still deletes it.
func TestSignalAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := play(t, exchange{removeURL, 200, there("ours")})
		l.created = there("ours")
		l.options.OnCancel = UnfinishedDelete
		ctx, cancel := context.WithCancel(t.Context())
		l.stop = func() bool { return true } // the function had not been started yet
		if !l.disarm(ctx) {
			t.Error("a signal has come from nowhere")
		}
		cancel()
		if l.disarm(ctx) {
			t.Error("the signal is lost")
		}
		if f := l.cancelled(); f.Outcome != event.Cancelled || l.undeleted {
			t.Errorf("got %+v", f)
		}
	})
}

// TestHintsOfADeletedJob: what the run has deleted is not recommended for a look; what stays is.
func TestHintsOfADeletedJob(t *testing.T) {
	const hint, gone = "See more: kubectl -n ns describe pod p", "The Job was deleted; it stays for a look with %s."
	failed := verdict.Verdict{Decided: true, Outcome: event.Failed}
	unfinished := verdict.Verdict{Decided: true, Outcome: event.TimedOut, DeleteJob: true}
	for name, c := range map[string]struct {
		verdict verdict.Verdict
		options func(*loop)
		answers []exchange
		want    string
	}{
		"on-timeout: delete": {unfinished, func(l *loop) { l.options.OnTimeout = UnfinishedDelete }, []exchange{{removeURL, 200, there("ours")}}, fmt.Sprintf(gone, "on-timeout: leave")},
		"on-timeout: leave":  {unfinished, func(l *loop) { l.options.OnTimeout = UnfinishedLeave }, nil, hint},
		"cannot be deleted": {unfinished, func(l *loop) { l.options.OnTimeout = UnfinishedDelete },
			[]exchange{{removeURL, 403, apierrors.NewForbidden(jobsResource, "j", errors.New("no")).Status()}}, hint},
		"cleanup: always": {failed, func(l *loop) { l.options.DeleteAfter = []event.Outcome{event.Failed} }, []exchange{{removeURL, 200, there("ours")}}, fmt.Sprintf(gone, "cleanup: never")},
		"a TTL of 0":      {failed, func(l *loop) { l.created.Spec.TTLSecondsAfterFinished = new(int32) }, nil, fmt.Sprintf(gone, "a longer ttlSecondsAfterFinished")},
		"kept":            {failed, func(*loop) {}, nil, hint},
		"on-timeout: leave, and the end of main-container was a success": {verdict.Verdict{Decided: true, Outcome: event.Succeeded, DeleteJob: true},
			func(l *loop) { l.options.OnTimeout = UnfinishedLeave }, []exchange{{removeURL, 200, there("ours")}}, fmt.Sprintf(gone, "on-timeout: leave")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := play(t, c.answers...)
				l.created = there("ours")
				c.options(l)
				v := c.verdict
				v.Cause = &event.Cause{Hint: hint}
				if l.finishJob(t.Context(), verdict.State{}, v); v.Cause.Hint != c.want {
					t.Errorf("hint %q, want %q", v.Cause.Hint, c.want)
				}
			})
		})
	}
}

// TestHintsOfACancelledRun: the same holds for what the attempts of a Job that is cancelled died of.
func TestHintsOfACancelledRun(t *testing.T) {
	const gone = "The Job was deleted; it stays for a look with on-cancel: leave."
	held := goes(there("ours"))
	held.Finalizers = []string{"example.com/hold"}
	for name, c := range map[string]struct {
		answer exchange
		want   bool
	}{
		"it is deleted":        {exchange{removeURL, 200, there("ours")}, true},
		"it cannot be deleted": {exchange{removeURL, 403, apierrors.NewForbidden(jobsResource, "j", errors.New("no")).Status()}, false},
		"a finalizer holds it": {exchange{removeURL, 200, held}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := play(t, exchange{createURL, 201, there("ours")}, c.answer)
				l.options = Options{Wait: true, Logs: LogsStream, OnCancel: UnfinishedDelete, OnTimeout: UnfinishedDelete}
				l.plays(t, &output{})
				l.script(beat{0, event.PodSeen{Pod: a("p", corev1.PodFailed)}})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(time.Second, cancel)
				f := l.run(ctx)
				if f.Outcome != event.Cancelled || !strings.Contains(f.Cause.Message, "one attempt failed") || f.Cause.Hint == "" || strings.Contains(f.Cause.Hint, gone) != c.want {
					t.Errorf("got %s, %+v", f.Outcome, f.Cause)
				}
			})
		})
	}
}

// slow is a sink that takes a second for each 64 KiB of lines.
type slow struct{ sink }

func (s *slow) Event(e event.Event) error {
	if lines, ok := e.(event.Lines); ok {
		size := 0
		for _, l := range lines.Lines {
			size += len(l.Text)
		}
		time.Sleep(time.Duration(size) * time.Second / (64 << 10))
	}
	return s.sink.Event(e)
}

// TestTheClockInABatch: neither a batch that takes long to be told nor lines that never end hide a timeout or a signal, and no line
// is lost.
func TestTheClockInABatch(t *testing.T) {
	batch := event.Lines{Stream: &event.Stream{Container: "main"}}
	for range 40 {
		batch.Lines = append(batch.Lines, event.Line{Text: strings.Repeat("-", 64<<10)})
	}
	for name, test := range map[string]struct {
		timeout, signal time.Duration
		facts           func(out chan<- event.Fact, stop <-chan struct{})
		lines           int
		decided         bool
	}{
		"timeout in a batch": {5 * time.Second, time.Hour, func(out chan<- event.Fact, _ <-chan struct{}) { out <- batch }, 40, true},
		"signal in a batch":  {time.Hour, 5 * time.Second, func(out chan<- event.Fact, _ <-chan struct{}) { out <- batch }, 40, false},
		"timeout in lines without end": {5 * time.Second, time.Hour, func(out chan<- event.Fact, stop <-chan struct{}) {
			for {
				select {
				case out <- event.Lines{Stream: batch.Stream, Lines: batch.Lines[:1]}:
				case <-stop:
					return
				}
			}
		}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := play(t)
				told := &slow{}
				l.sink, l.created, l.job, l.since, l.options.Verdict.Timeout = told, there("ours"), there("ours"), time.Now(), test.timeout
				l.judge, l.judgeNow = true, true
				ctx, cancel := context.WithTimeout(t.Context(), test.signal)
				defer cancel()
				facts, stop := make(chan event.Fact, 16), make(chan struct{})
				var writing sync.WaitGroup
				writing.Go(func() { test.facts(facts, stop) })
				begin := time.Now()
				v := l.untilDecided(ctx, facts, make(chan error))
				if took := time.Since(begin); took > 7*time.Second || v.Decided != test.decided {
					t.Errorf("after %v: %+v", took, v)
				}
				close(stop)
				writing.Wait()
				l.takeRest()
				lines := 0
				for _, e := range told.events {
					if e, ok := e.(event.Lines); ok {
						lines += len(e.Lines)
					}
				}
				if test.lines > 0 && lines != test.lines {
					t.Errorf("%d lines", lines)
				}
			})
		})
	}
}

// TestLive: who draws the state of the Job anew gets it every second, whether there is other news or none. Everybody else gets it when there is none.
func TestLive(t *testing.T) {
	for _, test := range []struct {
		live  bool
		every time.Duration // between two lines; zero for none
		want  int           // states within a minute and a second
	}{
		{true, 0, 61}, {true, 10 * time.Millisecond, 61}, {true, time.Minute / 4, 61}, {false, 0, 2}, {false, 10 * time.Millisecond, 0}, {false, time.Minute / 4, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, _ := play(t)
			told := &sink{}
			l.sink, l.created, l.job, l.since, l.lastSaid, l.options.Live = told, there("ours"), there("ours"), time.Now(), time.Now(), test.live
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute+500*time.Millisecond)
			defer cancel()
			facts := make(chan event.Fact)
			var writing sync.WaitGroup
			if test.every > 0 {
				writing.Go(func() {
					for {
						select {
						case <-time.After(test.every):
							facts <- event.Lines{Stream: &event.Stream{}, Lines: []event.Line{{Text: "x"}}}
						case <-ctx.Done():
							return
						}
					}
				})
			}
			l.untilDecided(ctx, facts, make(chan error))
			go func() { // a line may be on its way
				for range facts {
				}
			}()
			writing.Wait()
			close(facts)
			states := 0
			for _, e := range told.events {
				if p, ok := e.(event.Progress); ok {
					states++
					if !p.Heartbeat {
						t.Errorf("%+v", p)
					}
				}
			}
			if states != test.want {
				t.Errorf("live %v, a line every %v: %d states, want %d", test.live, test.every, states, test.want)
			}
		})
	}
}
