package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/apitest"
	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
)

// step is one request that the API server of a test expects, and how it answers.
type step struct {
	want   string // "list 0", "watch 7": the verb and the resource version
	answer func(http.ResponseWriter, *http.Request)
	often  bool // once or more
}

// script is what the API server of a test expects for each kind of object, in order.
type script map[string][]step

// kindOf tells which of the watches a request belongs to, and checks its selector.
func kindOf(r *http.Request) string {
	q := r.URL.Query()
	switch r.URL.Path + " " + q.Get("fieldSelector") + q.Get("labelSelector") {
	case "/apis/batch/v1/namespaces/ns/jobs metadata.name=migrate":
		return "job"
	case "/api/v1/namespaces/ns/pods app=migrate,tier in (back,front)":
		return "pods"
	case "/api/v1/namespaces/ns/events involvedObject.uid=uid-1":
		return "job events"
	case "/api/v1/namespaces/ns/events involvedObject.kind=Pod":
		return "pod events"
	}
	return "unexpected " + r.URL.String()
}

// server plays a script.
func (s script) server(t *testing.T) *apitest.Server {
	exchanges := map[string][]apitest.Exchange{}
	for kind, steps := range s {
		for _, step := range steps {
			e := apitest.Exchange{Want: step.want, Body: http.HandlerFunc(step.answer)}
			if step.often {
				e.Want += " +"
			}
			exchanges[kind] = append(exchanges[kind], e)
		}
	}
	return apitest.NewLanes(t, func(r *http.Request) (string, string) {
		q := r.URL.Query()
		got := "list " + q.Get("resourceVersion")
		if q.Get("watch") != "" {
			got = "watch " + q.Get("resourceVersion")
			if q.Get("allowWatchBookmarks") != "true" || q.Get("timeoutSeconds") != "604800" {
				t.Errorf("watch without bookmarks or with a short life: %s", r.URL)
			}
		} else if events := strings.Contains(kindOf(r), "events"); !events && q.Get("limit") != "500" || events && q.Get("limit") != "20" {
			t.Errorf("list without its limit: %s", r.URL)
		}
		if c := q.Get("continue"); c != "" {
			got += " continue " + c
		}
		return kindOf(r), got
	}, exchanges)
}

// The answers.

func list(version string, items ...any) func(http.ResponseWriter, *http.Request) {
	return page(version, "", items...)
}

func page(version, next string, items ...any) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		kind := map[string]string{"job": "JobList", "pods": "PodList"}[kindOf(r)]
		if kind == "" {
			kind = "EventList"
		}
		apiVersion := "v1"
		if kind == "JobList" {
			apiVersion = "batch/v1"
		}
		write(w, map[string]any{"kind": kind, "apiVersion": apiVersion, "items": items,
			"metadata": map[string]any{"resourceVersion": version, "continue": next}})
	}
}

// stream sends watch events and ends the watch.
func stream(changes ...map[string]any) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		for _, c := range changes {
			write(w, c)
			w.(http.Flusher).Flush()
		}
	}
}

// open sends watch events and leaves the watch open.
func open(changes ...map[string]any) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		stream(changes...)(w, r)
		<-r.Context().Done()
	}
}

// lasting is a watch that ends after a while.
func lasting(d time.Duration, changes ...map[string]any) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		stream(changes...)(w, r)
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
	}
}

func status(code int, reason metav1.StatusReason) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		write(w, failure(code, reason))
	}
}

func failure(code int, reason metav1.StatusReason) metav1.Status {
	return metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
		Code: int32(code), Reason: reason, Message: "scripted " + string(reason)}
}

func write(w http.ResponseWriter, v any) {
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

func change(typ string, object any) map[string]any {
	return map[string]any{"type": typ, "object": object}
}

func added(o any) map[string]any    { return change("ADDED", o) }
func modified(o any) map[string]any { return change("MODIFIED", o) }
func deleted(o any) map[string]any  { return change("DELETED", o) }
func bookmark(kind, version string) map[string]any {
	apiVersion := "v1"
	if kind == "Job" {
		apiVersion = "batch/v1"
	}
	return change("BOOKMARK", map[string]any{"kind": kind, "apiVersion": apiVersion, "metadata": map[string]any{"resourceVersion": version}})
}

var expired = change("ERROR", failure(http.StatusGone, metav1.StatusReasonExpired))

// newJob has a selector of its own: pods of others may match it, and none needs to have the Job's UID as a label.
func newJob(uid, version string) *batchv1.Job {
	manual := true
	return &batchv1.Job{TypeMeta: metav1.TypeMeta{Kind: "Job", APIVersion: "batch/v1"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "migrate", UID: types.UID(uid), ResourceVersion: version},
		Spec: batchv1.JobSpec{ManualSelector: &manual, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "migrate"},
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpIn, Values: []string{"back", "front"}}}}}}
}

// createdAt is the pod with the time of its creation, in seconds.
func createdAt(seconds int64, p *corev1.Pod) *corev1.Pod {
	p.CreationTimestamp = metav1.Unix(seconds, 0)
	return p
}

func newPod(name, version string) *corev1.Pod {
	return &corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name), ResourceVersion: version,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(newJob("uid-1", ""), batchv1.SchemeGroupVersion.WithKind("Job"))},
			ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "kubelet"}}}}
}

func ownedBy(pod *corev1.Pod, owners ...metav1.OwnerReference) *corev1.Pod {
	pod.OwnerReferences = owners
	return pod
}

func newEvent(name, version, about string) *corev1.Event {
	return &corev1.Event{TypeMeta: metav1.TypeMeta{Kind: "Event", APIVersion: "v1"},
		ObjectMeta:     metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name), ResourceVersion: version},
		InvolvedObject: corev1.ObjectReference{UID: types.UID(about)}}
}

// text writes what was told in one line.
func text(e event.Fact) string {
	gone := map[bool]string{true: " gone"}
	switch e := e.(type) {
	case event.JobSeen:
		return fmt.Sprintf("job %s@%s%s", e.Job.UID, e.Job.ResourceVersion, gone[e.Gone])
	case event.PodSeen:
		if e.Pod.ManagedFields != nil {
			return "a pod with managed fields"
		}
		return fmt.Sprintf("pod %s@%s%s", e.Pod.Name, e.Pod.ResourceVersion, gone[e.Gone])
	case event.EventSeen:
		return fmt.Sprintf("event %s@%s", e.Event.Name, e.Event.ResourceVersion)
	case event.Connection:
		if e.Err != nil {
			if request, ok := e.Err.(*url.Error); ok {
				return "lost: " + request.Err.Error()
			}
			return "lost: " + e.Err.Error()
		}
		return "found"
	case event.Notice:
		return "notice " + e.Key
	}
	return fmt.Sprintf("%T", e)
}

// quietly completes a script by kinds where nothing happens.
func quietly(s script) script {
	if s["job"] == nil {
		s["job"] = []step{{want: "watch 5", answer: open()}}
	}
	for _, kind := range []string{"pods", "job events", "pod events"} {
		if s[kind] == nil {
			s[kind] = []step{{want: "list 0", answer: list("6")}, {want: "watch 6", answer: open()}}
		}
	}
	return s
}

// play follows a Job against a script. during runs when everything is still; it may be nil. The answer is all that was told,
// with the time since the beginning where it is not zero, and Follow's error.
func play(t *testing.T, s script, during func(*apitest.Server)) (told []string, lasted time.Duration, failed error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := quietly(s).server(t)
		const kubeconfig = `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
			clusters: [{name: c, cluster: {server: "https://api.example"}}], users: [{name: u, user: {token: t}}]}`
		client, _, err := cluster.Connect(cluster.Options{Kubeconfig: kubeconfig, LookupEnv: func(string) (string, bool) { return "", false },
			Wrap: func(http.RoundTripper) http.RoundTripper { return server }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		out := make(chan event.Fact)
		done := make(chan error, 1)
		go func() {
			defer close(out)
			begin := time.Now()
			health := &outage.Health{Tell: func(c event.Connection) { out <- c }}
			err := Follow(ctx, client, health, newJob("uid-1", "5"), out)
			lasted = time.Since(begin)
			done <- err
		}()
		begin := time.Now()
		collected := make(chan struct{})
		go func() {
			defer close(collected)
			for e := range out {
				line := text(e)
				if d := time.Since(begin).Round(time.Second); d > 0 {
					line += " after " + d.String()
				}
				told = append(told, line)
			}
		}()
		synctest.Wait()
		if during != nil {
			during(server)
		}
		// A minute is longer than every pause, so that what was going to happen has happened.
		time.Sleep(time.Minute)
		synctest.Wait()
		cancel()
		failed = <-done
		<-collected
	})
	return told, lasted, failed
}

func TestFollow(t *testing.T) {
	ours := func(v string) *batchv1.Job { return newJob("uid-1", v) }
	other := func(v string) *batchv1.Job { return newJob("uid-2", v) }
	tests := []struct {
		name   string
		script script
		want   []string
	}{
		{"nothing happens: seven requests", script{}, nil},
		{"the job from the version of its creation on", script{
			"job": {{want: "watch 5", answer: open(modified(ours("7")), modified(ours("9")))}},
		}, []string{"job uid-1@7", "job uid-1@9"}},
		{"what is there at the first look is news", script{
			"pods":       {{want: "list 0", answer: list("8", newPod("a", "3"), newPod("b", "8"))}, {want: "watch 8", answer: open(added(newPod("c", "9")))}},
			"job events": {{want: "list 0", answer: list("8", newEvent("e", "4", "uid-1"))}, {want: "watch 8", answer: open()}},
		}, []string{"event e@4", "pod a@3", "pod b@8", "pod c@9"}},
		{"closed by the server: goes on where it was", script{
			"job":  {{want: "watch 5", answer: stream(modified(ours("7")))}, {want: "watch 7", answer: stream(modified(ours("8")))}, {want: "watch 8", answer: open(modified(ours("9")))}},
			"pods": {{want: "list 0", answer: list("6")}, {want: "watch 6", answer: stream(added(newPod("a", "7")))}, {want: "watch 7", answer: open(modified(newPod("a", "8")))}},
		}, []string{"job uid-1@7", "job uid-1@8", "job uid-1@9", "pod a@7", "pod a@8"}},
		{"bookmarks move the version and say nothing", script{
			"job": {{want: "watch 5", answer: stream(bookmark("Job", "40"))}, {want: "watch 40", answer: open(modified(ours("41")))}},
		}, []string{"job uid-1@41"}},
		{"410 as answer: listed anew, nothing told twice", script{
			"pods": {
				{want: "list 0", answer: list("6", newPod("a", "6"), newPod("b", "5"))}, {want: "watch 6", answer: stream(modified(newPod("a", "7")))},
				{want: "watch 7", answer: status(http.StatusGone, metav1.StatusReasonExpired)},
				{want: "list ", answer: list("30", newPod("a", "7"), newPod("b", "20"), newPod("c", "21"))}, {want: "watch 30", answer: open()},
			},
		}, []string{"pod a@6", "pod a@7", "pod b@5", "pod b@20", "pod c@21"}},
		{"410 in the stream", script{
			"job": {{want: "watch 5", answer: stream(modified(ours("7")), expired)}, {want: "list ", answer: list("30", ours("7"))}, {want: "watch 30", answer: open(modified(ours("31")))}},
		}, []string{"job uid-1@7", "job uid-1@31"}},
		{"an unreadable watch event: listed anew", script{
			"job": {{want: "watch 5", answer: stream(change("NONSENSE", ours("6")))}, {want: "list ", answer: list("30", ours("7"))}, {want: "watch 30", answer: open()}},
		}, []string{"job uid-1@7"}},
		{"the list in pages", script{
			"pods": {
				{want: "list 0", answer: page("6", "next", newPod("a", "3"))}, {want: "list  continue next", answer: page("6", "", newPod("b", "4"))}, {want: "watch 6", answer: stream(expired)},
				{want: "list ", answer: page("9", "more", newPod("b", "4"))}, {want: "list  continue more", answer: page("9", "", newPod("c", "8"))}, {want: "watch 9", answer: open()},
			},
		}, []string{"pod a@3", "pod a@3 gone", "pod b@4", "pod c@8"}},
		{"a deletion", script{
			"pods": {{want: "list 0", answer: list("6", newPod("a", "6"))}, {want: "watch 6", answer: open(modified(newPod("a", "7")), deleted(newPod("a", "8")))}},
		}, []string{"pod a@6", "pod a@7", "pod a@8 gone"}},
		{"a deletion that was missed", script{
			"pods": {{want: "list 0", answer: list("6", newPod("a", "6"), newPod("b", "6"))}, {want: "watch 6", answer: stream(expired)}, {want: "list ", answer: list("30", newPod("b", "6"))}, {want: "watch 30", answer: open()}},
		}, []string{"pod a@6", "pod a@6 gone", "pod b@6"}},
		{"nothing after a deletion, and that once", script{
			"pods": {{want: "list 0", answer: list("6", newPod("a", "6"))}, {want: "watch 6", answer: stream(deleted(newPod("a", "8")), deleted(newPod("a", "8")), modified(newPod("a", "7")), expired)},
				{want: "list ", answer: list("7", newPod("a", "7"))}, {want: "watch 7", answer: open(deleted(newPod("a", "8")))}},
		}, []string{"pod a@6", "pod a@8 gone"}},
		{"a deletion of what was never seen", script{
			"pods": {{want: "list 0", answer: list("6")}, {want: "watch 6", answer: open(deleted(newPod("a", "8")), added(newPod("a", "7")))}},
		}, []string{"pod a@8 gone"}},
		{"pods of others, one that is adopted, and one that is let go", script{
			"pods": {{want: "list 0", answer: list("8", newPod("a", "6"), ownedBy(newPod("b", "7")))}, {want: "watch 8", answer: open(
				added(ownedBy(newPod("c", "9"), *metav1.NewControllerRef(other("5"), batchv1.SchemeGroupVersion.WithKind("Job")))),
				added(ownedBy(newPod("d", "10"), metav1.OwnerReference{Kind: "Job", Name: "migrate", UID: "uid-1"})),
				modified(newPod("b", "11")), modified(ownedBy(newPod("a", "12"))), deleted(ownedBy(newPod("a", "13"))), deleted(ownedBy(newPod("c", "14"))))}},
		}, []string{"pod a@6", "pod a@12", "pod a@13 gone", "pod b@11"}},
		{"the name is taken by another job", script{
			"job": {{want: "watch 5", answer: open(modified(ours("7")), deleted(ours("8")), added(other("9")), modified(other("10")))}},
		}, []string{"job uid-1@7", "job uid-1@8 gone", "job uid-2@9", "job uid-2@10"}},
		{"the name was taken by another job unseen", script{
			"job": {{want: "watch 5", answer: stream(expired)}, {want: "list ", answer: list("30", other("9"))}, {want: "watch 30", answer: open()}},
		}, []string{"job uid-1@5 gone", "job uid-2@9"}},
		{"the job was deleted unseen, before its first change", script{
			"job": {{want: "watch 5", answer: status(http.StatusGone, metav1.StatusReasonExpired)}, {want: "list ", answer: list("30")}, {want: "watch 30", answer: open()}},
		}, []string{"job uid-1@5 gone"}},
		{"events before their pod, of others, and repeated", script{
			"pods": {{want: "list 0", answer: list("6")}, {want: "watch 6", answer: func(w http.ResponseWriter, r *http.Request) {
				lasting(2*time.Second)(w, r)
				open(added(newPod("a", "7")))(w, r)
			}}},
			"pod events": {{want: "list 0", answer: list("6", newEvent("x", "4", "uid-foreign"))},
				{want: "watch 6", answer: stream(added(newEvent("e", "7", "uid-a")), added(newEvent("y", "8", "uid-foreign")))},
				{want: "watch 8", answer: func(w http.ResponseWriter, r *http.Request) {
					lasting(3*time.Second)(w, r)
					stream(modified(newEvent("e", "9", "uid-a")), deleted(newEvent("e", "10", "uid-a")), expired)(w, r)
				}},
				{want: "list ", answer: list("20", newEvent("e2", "11", "uid-a"), newEvent("x", "4", "uid-foreign"))}, {want: "watch 20", answer: open()}},
		}, []string{"event e2@11 after 3s", "event e@7 after 2s", "event e@9 after 3s", "pod a@7 after 2s"}},
		{"events are forbidden: one notice", script{
			"job events": {{want: "list 0", answer: status(http.StatusForbidden, metav1.StatusReasonForbidden)}},
			"pod events": {{want: "list 0", answer: list("6")}, {want: "watch 6", answer: open()}},
			"job":        {{want: "watch 5", answer: open(modified(ours("7")))}},
		}, []string{"job uid-1@7", "notice access:events"}},
		{"a short trouble is not mentioned", script{
			"job": {{want: "watch 5", answer: stream(modified(ours("7")))}, {want: "watch 7", answer: status(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests)},
				{want: "watch 7", answer: status(http.StatusBadGateway, "")}, {want: "watch 7", answer: open(modified(ours("8")))}},
		}, []string{"job uid-1@7", "job uid-1@8"}},
		{"credentials are renewed", script{
			"job": {{want: "watch 5", answer: lasting(steady + time.Millisecond)}, {want: "watch 5", answer: status(http.StatusUnauthorized, metav1.StatusReasonUnauthorized)}, {want: "watch 5", answer: open(modified(ours("7")))}},
		}, []string{"job uid-1@7 after 1s"}},
		{"cut off every two seconds", script{
			"job": {{want: "watch 5", answer: lasting(2 * time.Second)}, {want: "watch 5", answer: lasting(2*time.Second, modified(ours("7")))}, {want: "watch 7", answer: lasting(2 * time.Second)}, {want: "watch 7", answer: open(modified(ours("8")))}},
		}, []string{"job uid-1@7 after 2s", "job uid-1@8 after 6s"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := play(t, test.script, nil)
			if err != nil {
				t.Errorf("Follow: %v", err)
			}
			if diff := cmp.Diff(ordered(test.want), ordered(got)); diff != "" {
				t.Error("told (-want +got):\n" + diff)
			}
		})
	}
}

// ordered sorts what was told by its object, and keeps the order for each: the watches have none among each other.
func ordered(lines []string) map[string][]string {
	by := map[string][]string{}
	for _, line := range lines {
		object, _, _ := strings.Cut(line, "@")
		if strings.HasPrefix(line, "job ") {
			object = "job"
		}
		by[object] = append(by[object], line)
	}
	return by
}

// TestFollowInOrder: a list has the order of names, and is told in that of creation, by which attempts are numbered.
func TestFollowInOrder(t *testing.T) {
	got, _, err := play(t, script{
		"pods": {{want: "list 0", answer: list("8", createdAt(9, newPod("a", "7")), createdAt(3, newPod("b", "8")), createdAt(3, newPod("c", "5")))}, {want: "watch 8", answer: open()}},
	}, nil)
	if diff := cmp.Diff([]string{"pod b@8", "pod c@5", "pod a@7"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	// The order is that of all pages.
	got, _, err = play(t, script{
		"pods": {{want: "list 0", answer: page("8", "b", createdAt(9, newPod("a", "7")))}, {want: "list  continue b", answer: list("8", createdAt(3, newPod("b", "8")), createdAt(12, newPod("c", "5")))}, {want: "watch 8", answer: open()}},
	}, nil)
	if diff := cmp.Diff([]string{"pod b@8", "pod a@7", "pod c@5"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestFollowOutage: however connections fail, the outage is told once, and its end once. client-go takes a watch whose connection
// breaks for one that brings nothing (Request.Watch in rest/request.go).
func TestFollowOutage(t *testing.T) {
	for _, test := range []struct {
		name string
		how  error
		lost string
	}{
		{"refused", apitest.Refused, "lost: dial tcp: connect: connection refused"},
		{"reset", apitest.Reset, "lost: the watch ended at once: unexpected EOF"},
		{"cut", io.EOF, "lost: the watch ended at once: unexpected EOF"},
		{"timed out", os.ErrDeadlineExceeded, "lost: the watch ended at once: unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := script{
				"job":        {{want: "watch 5", answer: lasting(steady + time.Millisecond)}, {want: "watch 5", answer: open(modified(newJob("uid-1", "7")))}},
				"pods":       {{want: "list 0", answer: list("6")}, {want: "watch 6", answer: lasting(steady + time.Millisecond)}, {want: "watch 6", answer: open()}},
				"job events": {{want: "list 0", answer: list("6")}, {want: "watch 6", answer: lasting(steady + time.Millisecond)}, {want: "watch 6", answer: open()}},
				"pod events": {{want: "list 0", answer: list("6")}, {want: "watch 6", answer: lasting(steady + time.Millisecond)}, {want: "watch 6", answer: open()}},
			}
			got, _, err := play(t, s, func(server *apitest.Server) {
				server.Down(test.how)
				time.Sleep(20 * time.Second)
				server.Down(nil)
			})
			if err != nil {
				t.Errorf("Follow: %v", err)
			}
			var what []string
			for _, line := range got {
				line, _, _ = strings.Cut(line, " after ")
				what = append(what, line)
			}
			if diff := cmp.Diff([]string{test.lost, "found"}, withoutPrefix(what, "job ")); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if len(got) != 3 {
				t.Errorf("told %q, want an outage, its end and one state of the job", got)
			}
		})
	}
}

// TestFollowEmptyWatches: watches that are taken and closed at once, each time, are an outage; watches that stay open and silent end one.
func TestFollowEmptyWatches(t *testing.T) {
	closed := step{want: "watch 5", answer: stream()}
	got, _, err := play(t, script{"job": {closed, closed, closed, closed, closed, closed, closed, {want: "watch 5", answer: open()}},
		"pods": {{want: "list 0", answer: list("6")}, {want: "watch 6", answer: lasting(time.Hour)}},
	}, nil)
	if err != nil || len(got) != 2 || !strings.HasPrefix(got[0], "lost: the watch ended at once") || !strings.HasPrefix(got[1], "found") {
		t.Errorf("told %q, %v, want an outage and its end", got, err)
	}
}

func withoutPrefix(lines []string, prefix string) (rest []string) {
	for _, l := range lines {
		if !strings.HasPrefix(l, prefix) {
			rest = append(rest, l)
		}
	}
	return rest
}

func TestFollowRefused(t *testing.T) {
	forbidden := status(http.StatusForbidden, metav1.StatusReasonForbidden)
	unauthorized := status(http.StatusUnauthorized, metav1.StatusReasonUnauthorized)
	never := []step{}
	tests := []struct {
		name    string
		script  script
		is      func(error) bool
		atLeast time.Duration
	}{
		{"the pods, at once", script{"pods": {{want: "list 0", answer: slowly(forbidden)}}, "pod events": never}, apierrors.IsForbidden, 0},
		{"the watch on the pods, at once", script{"pods": {{want: "list 0", answer: list("6")}, {want: "watch 6", answer: slowly(forbidden)}}}, apierrors.IsForbidden, 0},
		{"the job, after new credentials", script{"job": {{want: "watch 5", answer: slowly(unauthorized)}, {want: "watch 5", answer: slowly(unauthorized)}}}, apierrors.IsUnauthorized, 0},
		{"the job, for longer than the authorizer of a restarted server needs", script{"job": {{want: "watch 5", answer: lasting(steady + time.Millisecond)}, {want: "watch 5", answer: forbidden, often: true}}},
			apierrors.IsForbidden, grace},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, lasted, err := play(t, test.script, nil)
			if lasted < test.atLeast || lasted > test.atLeast+15*time.Second {
				t.Errorf("refused after %s, want %s and a little", lasted, test.atLeast)
			}
			if !test.is(err) {
				t.Errorf("Follow: %v", err)
			}
			if len(got) != 0 {
				t.Errorf("told %q, want nothing", got)
			}
		})
	}
}

// TestFollowRefusedForAWhile is an API server that has just restarted.
func TestFollowRefusedForAWhile(t *testing.T) {
	forbidden := status(http.StatusForbidden, metav1.StatusReasonForbidden)
	got, _, err := play(t, script{"job": {{want: "watch 5", answer: lasting(steady + time.Millisecond)}, {want: "watch 5", answer: forbidden}, {want: "watch 5", answer: forbidden}, {want: "watch 5", answer: forbidden},
		{want: "watch 5", answer: open(modified(newJob("uid-1", "7")))}}}, nil)
	if err != nil || len(got) != 1 {
		t.Errorf("Follow told %q and returned %v, want one state and no error", got, err)
	}
}

// An outage between two refusals is no refusal: the second one is that of a server that has restarted again.
func TestFollowRefusedBeforeAndAfterAnOutage(t *testing.T) {
	forbidden, unavailable := status(http.StatusForbidden, metav1.StatusReasonForbidden), status(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)
	ours := newJob("uid-1", "7")
	got, _, err := play(t, script{
		"job": {{want: "watch 5", answer: lasting(steady + time.Millisecond)}, {want: "watch 5", answer: forbidden}, {want: "watch 5", answer: func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(grace + time.Second)
			unavailable(w, r)
		}}, {want: "watch 5", answer: forbidden}, {want: "watch 5", answer: open(modified(ours))}},
		"pods": {{want: "list 0", answer: list("6")}, {want: "watch 6", answer: lasting(steady + time.Millisecond)}, {want: "watch 6", answer: forbidden}, {want: "watch 6", answer: func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(grace + time.Second)
			status(http.StatusGone, metav1.StatusReasonExpired)(w, r)
		}}, {want: "list ", answer: forbidden}, {want: "list ", answer: list("8")}, {want: "watch 8", answer: open()}},
	}, nil)
	// Whether the outage is told depends on which of the two is answered first.
	if states := withoutPrefix(withoutPrefix(got, "lost"), "found"); err != nil || len(states) != 1 {
		t.Errorf("Follow told %q and returned %v, want one state and no error", got, err)
	}
}

// slowly answers after the other watches had their requests.
func slowly(answer func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Second) // of a synctest bubble's clock
		answer(w, r)
	}
}

// TestFollowRetryAfter: a server that says when to come again is not asked before.
func TestFollowRetryAfter(t *testing.T) {
	busy := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTooManyRequests)
		s := failure(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests)
		s.Details = &metav1.StatusDetails{RetryAfterSeconds: 7}
		write(w, s)
	}
	got, _, err := play(t, script{"job": {{want: "watch 5", answer: busy}, {want: "watch 5", answer: open(modified(newJob("uid-1", "7")))}}}, nil)
	if err != nil || cmp.Diff([]string{"job uid-1@7 after 7s"}, got) != "" {
		t.Errorf("told %q, %v", got, err)
	}
}

// TestHeldEvents: of the events about pods of others, which fill the namespace, only the newest are kept.
func TestHeldEvents(t *testing.T) {
	f := &follower{about: map[types.UID]bool{}, told: map[types.UID]string{}}
	for i := range mostHeld + 2 {
		f.place(t.Context(), newEvent(fmt.Sprint(i), "1", "other"))
	}
	if len(f.held) != mostHeld || f.held[0].Name != "2" {
		t.Errorf("%d are held, the oldest is %s", len(f.held), f.held[0].Name)
	}
}
