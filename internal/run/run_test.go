package run

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

func lines(pod, container string, texts ...string) event.Lines {
	e := event.Lines{Stream: &event.Stream{PodUID: pod, Container: container, Index: -1}}
	for _, t := range texts {
		e.Lines = append(e.Lines, event.Line{At: time.Unix(1, 0).UTC(), Text: t})
	}
	return e
}

func TestTailsKeepTheLastLines(t *testing.T) {
	kept := newTails()
	var all []string
	for i := range 3 * traceLines {
		all = append(all, strings.Repeat("x", i))
		kept.add(lines("a", "main", all[i]))
	}
	kept.add(lines("a", "sidecar", "other", strings.Repeat("y", 2*tailWidth)))
	if diff := cmp.Diff(all[2*traceLines:], kept.last("a", "main", traceLines)); diff != "" {
		t.Error(diff)
	}
	if got := kept.last("a", "sidecar", tailLines); len(got) != 2 || got[0] != "other" || len(got[1]) != tailWidth {
		t.Errorf("got %d lines", len(got))
	}
	// Of a line in pieces, the first piece says enough. The others may begin with the end of a secret.
	pieces := lines("a", "long", "first", "second", "third")
	pieces.Lines[0].More, pieces.Lines[1].More = true, true
	kept.add(event.Lines{Stream: pieces.Stream, Lines: pieces.Lines[:2]})
	kept.add(event.Lines{Stream: pieces.Stream, Lines: pieces.Lines[2:]})
	kept.add(lines("a", "long", "next"))
	if diff := cmp.Diff([]string{"first", "next"}, kept.last("a", "long", tailLines)); diff != "" {
		t.Error(diff)
	}
	kept.drop("a")
	if kept.last("a", "main", tailLines) != nil {
		t.Error("the lines of a dropped pod are kept")
	}
}

func TestSpoolReplays(t *testing.T) {
	var s spool
	defer s.close()
	want := []event.Event{lines("a", "main", "one", "two"), lines("b", "main", "\x00\xff")}
	for _, e := range want {
		if err := s.add(e.(event.Lines)); err != nil {
			t.Fatal(err)
		}
	}
	var got []event.Event
	if err := s.replay(func(e event.Event) { got = append(got, e) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestSpoolWithoutADisk: output that cannot be kept for a failure is shown at once, and why is told once.
func TestSpoolWithoutADisk(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "nowhere"))
	l, _ := play(t)
	l.spool = &spool{}
	want := []event.Event{lines("a", "main", "one"), lines("a", "main", "two")}
	for _, e := range want {
		l.take(e.(event.Fact))
	}
	told := told(l)
	if n, ok := told[0].(event.Notice); !ok || n.Level != event.Warning || !strings.HasPrefix(n.Message, "output cannot be kept for a failure, so it is shown now: ") {
		t.Errorf("told first: %v", told[0])
	}
	if diff := cmp.Diff(want, told[1:]); diff != "" {
		t.Error(diff)
	}
}

func job(conditions ...batchv1.JobConditionType) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "j"}}
	for _, c := range conditions {
		j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: c, Status: corev1.ConditionTrue})
	}
	return j
}

func TestAllowed(t *testing.T) {
	ref := event.Ref{Kind: "Job", Namespace: "ns", Name: "j"}
	running, failed := there("old"), there("old", batchv1.JobFailureTarget, batchv1.JobFailed)
	for _, c := range []struct {
		ifExists IfExists
		old      *batchv1.Job
		want     string
	}{
		{IfExistsReplace, running, ""},
		{IfExistsReplace, failed, ""},
		{IfExistsReplaceFinished, failed, ""},
		{IfExistsReplaceFinished, there("old", batchv1.JobComplete), ""},
		{IfExistsReplaceFinished, there("old", batchv1.JobFailureTarget), ""},
		{IfExistsReplaceFinished, goes(there("old")), ""},
		{IfExistsFail, goes(there("old")), ""},
		{IfExistsReplaceFinished, running, "Job ns/j exists already and is still running"},
		{IfExistsFail, failed, "Job ns/j exists already (failed)"},
		{IfExistsFail, there("old", batchv1.JobComplete), "Job ns/j exists already (succeeded)"},
	} {
		err := allowed(c.ifExists, ref, c.old)
		var cause *event.Cause
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s, %s: %v", c.ifExists, state(c.old), err)
		case c.want != "" && (!errors.As(err, &cause) || cause.Message != c.want || cause.Hint == ""):
			t.Errorf("%s, %s: %v, want %q and a hint", c.ifExists, state(c.old), err, c.want)
		}
	}
}

func TestNews(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ended := func(code int32, reason string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}
	}
	pod := func(node string, phase corev1.PodPhase, restarts int32, state, last corev1.ContainerState) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "p", Annotations: map[string]string{batchv1.JobCompletionIndexAnnotation: "3"}},
			Spec:       corev1.PodSpec{NodeName: node},
			Status: corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{
				{Name: "main", RestartCount: restarts, State: state, LastTerminationState: last}}},
		}
	}
	none := corev1.ContainerState{}
	for _, c := range []struct {
		name         string
		before, now  *corev1.Pod
		gone         bool
		failuresOnly bool
		want         []string
	}{
		{"scheduled", pod("", "Pending", 0, none, none), pod("n1", "Pending", 0, none, none), false, false, []string{"scheduled on n1"}},
		{"running at first look", nil, pod("n1", "Running", 0, running, none), false, false, []string{"scheduled on n1", "container main runs"}},
		{"nothing new", pod("n1", "Running", 0, running, none), pod("n1", "Running", 0, running, none), false, false, nil},
		{"ended", pod("n1", "Running", 0, running, none), pod("n1", "Failed", 0, ended(137, "OOMKilled"), none), false, false,
			[]string{"container main exited with code 137 (OOMKilled)"}},
		{"restarted", pod("n1", "Running", 0, running, none), pod("n1", "Running", 1, running, ended(1, "Error")), false, false,
			[]string{"container main exited with code 1", "container main runs again (restart 1)"}},
		{"end is told once", pod("n1", "Running", 0, ended(1, "Error"), none), pod("n1", "Running", 1, running, ended(1, "Error")), false, false,
			[]string{"container main runs again (restart 1)"}},
		{"end is told once, back-off in between", pod("n1", "Running", 0, none, ended(1, "Error")), pod("n1", "Running", 1, running, ended(1, "Error")), false, false,
			[]string{"container main runs again (restart 1)"}},
		{"restarted and ended between two looks", pod("n1", "Running", 0, ended(1, "Error"), none), pod("n1", "Running", 1, ended(2, "Error"), ended(1, "Error")), false, false,
			[]string{"container main exited with code 2"}},
		{"deleted", pod("n1", "Running", 0, running, none), pod("n1", "Running", 0, running, none), true, false, []string{"was deleted while it was running"}},
		{"many pods: start", nil, pod("n1", "Running", 0, running, none), false, true, nil},
		{"many pods: success", pod("n1", "Running", 0, running, none), pod("n1", "Succeeded", 0, ended(0, "Completed"), none), false, true, nil},
		{"many pods: failure", pod("n1", "Running", 0, running, none), pod("n1", "Failed", 0, ended(3, "Error"), none), false, true,
			[]string{"container main exited with code 3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, e := range news(c.before, c.now, c.gone, c.failuresOnly) {
				a := e.(event.Attempt)
				if a.Pod != "p" || a.Index != 3 {
					t.Errorf("news of pod %q, index %d", a.Pod, a.Index)
				}
				got = append(got, a.Message)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
