package run

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// failedPods are pods a0, a1, … whose container main failed.
func failedPods(n int) (pods []*corev1.Pod, results []event.PodResult) {
	for i := range n {
		uid := fmt.Sprint("a", i)
		pods = append(pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)}})
		results = append(results, event.PodResult{Name: uid, Container: "main"})
	}
	return pods, results
}

// numbered are n lines, each of a width.
func numbered(n, width int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%0*d", width, i))
	}
	return all
}

// TestTailsOfManyPodsAreBounded: 10,000 pods that write without end are kept in the memory of a few.
func TestTailsOfManyPodsAreBounded(t *testing.T) {
	const pods = 10000
	kept, text := newTails(), numbered(traceLines+5, tailWidth)
	for i := range pods {
		kept.add(lines(fmt.Sprint("a", i), "main", text...))
		if kept.size > mostTails {
			t.Fatalf("after pod %d, %d bytes are kept", i, kept.size)
		}
	}
	size, all := 0, 0
	for _, containers := range kept.pods {
		for _, c := range containers {
			size += cost(c.lines)
			all++
		}
	}
	if size != kept.size || size < mostTails/4 {
		t.Errorf("%d bytes are kept, and %d are said to be", size, kept.size)
	}
	if newest := kept.last(fmt.Sprint("a", pods-1), "main", tailLines); len(newest) < 1 {
		t.Errorf("the last pod has %d lines", len(newest))
	}
	for pod := range kept.pods {
		kept.drop(pod)
	}
	if kept.size != 0 || len(kept.pods) != 0 {
		t.Errorf("%d bytes are left when nothing is", kept.size)
	}
	t.Logf("%d of %d pods have lines", all, pods)
}

// TestTailsOfFailedPods: as many pods as possible have a few lines, before one has more.
func TestTailsOfFailedPods(t *testing.T) {
	for name, c := range map[string]struct {
		pods, lines, width int
		want               []int // how many pods have 0, 1, … lines
	}{
		"one":                        {1, 20, 10, []int{10: 1}},
		"it wrote little":            {3, 2, 10, []int{2: 3}},
		"room for all":               {200, 20, 10, []int{10: 200}},
		"room for more of some":      {70, 20, tailWidth, []int{3: 40, 4: 30, 10: 0}},
		"room for the few":           {1000, 20, 10, []int{3: 458, 4: 542, 10: 0}},
		"no room for the few of all": {100, 20, tailWidth, []int{0: 20, 3: 80, 10: 0}},
	} {
		kept := newTails()
		pods, results := failedPods(c.pods)
		for _, p := range pods {
			kept.add(lines(string(p.UID), "main", numbered(c.lines, c.width)...))
		}
		kept.explain(pods, results)
		have, size := make([]int, podLines+1), 0
		for _, r := range results {
			have[len(r.Tail)]++
			size += cost(r.Tail)
			if !slices.Equal(r.Tail, numbered(c.lines, c.width)[c.lines-len(r.Tail):]) {
				t.Errorf("%s: %s has %q", name, r.Name, r.Tail)
			}
		}
		if diff := cmp.Diff(c.want, have[:len(c.want)]); diff != "" || size > mostOfPods {
			t.Errorf("%s: %d bytes, pods with so many lines (-want +got):\n%s", name, size, diff)
		}
	}

	kept := newTails()
	pods, results := failedPods(3)
	for i, p := range pods {
		kept.add(lines(string(p.UID), "main", strings.Repeat("x", i)))
		kept.add(lines(string(p.UID), "proxy", "of the proxy"))
	}
	results[0].Container, results[1].Container = "", "proxy"
	kept.explain(pods, results)
	if diff := cmp.Diff([][]string{nil, {"of the proxy"}, {"xx"}}, [][]string{results[0].Tail, results[1].Tail, results[2].Tail}); diff != "" {
		t.Errorf("whose lines: %s", diff)
	}
}

// TestEndOfARun: the end holds what became of each pod: where its time went, also when the kubelet forgot its first runs, its last lines, and
// what Kubernetes said.
func TestEndOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := play(t, exchange{createURL, 201, there("ours")})
		l.options = Options{Wait: true, Logs: LogsStream, OnCancel: UnfinishedDelete, IfExists: IfExistsFail}
		began := time.Now().Truncate(time.Second)
		at := func(seconds int) metav1.Time { return metav1.NewTime(began.Add(time.Duration(seconds) * time.Second)) }
		l.objects.Job.CreationTimestamp = at(0)
		l.plays(t, &output{})
		runs := func(restarts int32, first, last int) *corev1.Pod {
			return a("p", corev1.PodRunning, func(p *corev1.Pod) {
				p.CreationTimestamp = at(1)
				c := &p.Status.ContainerStatuses[0]
				c.RestartCount, c.State.Running.StartedAt = restarts, at(last)
				if restarts > 0 {
					c.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 3, StartedAt: at(first), FinishedAt: at(last)}
				}
			})
		}
		failed := runs(3, 30, 40)
		failed.Status.Phase = corev1.PodFailed
		failed.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, StartedAt: at(40), FinishedAt: at(50)}}
		j := there("ours", batchv1.JobFailed)
		j.CreationTimestamp, j.Status.Conditions[0].LastTransitionTime = at(0), at(55)
		said := &corev1.Event{Type: "Normal", Reason: "Pulling", Message: "Pulling image", LastTimestamp: at(2)}
		said.InvolvedObject.UID = "uid-p"
		l.script(beat{time.Second, event.PodSeen{Pod: runs(0, 0, 5)}}, beat{2 * time.Second, event.EventSeen{Event: said}},
			beat{time.Minute, event.PodSeen{Pod: failed}}, beat{time.Minute, event.JobSeen{Job: j}})
		above := numbered(150, 10)
		l.tails.add(lines("uid-p", "main", above...))
		f := l.run(t.Context())
		if diff := cmp.Diff(append(above[150-traceLines+1:], "p works"), f.Trace); diff != "" {
			t.Errorf("the trace: %s", diff)
		}
		if diff := cmp.Diff(f.Trace[len(f.Trace)-tailLines:], f.Tail); diff != "" {
			t.Errorf("the last lines: %s", diff)
		}
		if want := (event.Times{Queue: time.Second, Pull: 4 * time.Second, Run: 45 * time.Second, End: 5 * time.Second}); f.Times != want || len(f.Pods) != 1 {
			t.Fatalf("the Job: %+v, want %+v, %d pods", f.Times, want, len(f.Pods))
		}
		if want := (event.Times{Pull: 4 * time.Second, Run: 45 * time.Second}); f.Pods[0].Times != want || f.Pods[0].Container != "main" || f.Pods[0].Attempt != 1 {
			t.Errorf("the pod: %+v", f.Pods[0])
		}
		if diff := cmp.Diff(append(above[150-podLines+1:], "p works"), f.Pods[0].Tail); diff != "" {
			t.Errorf("its lines: %s", diff)
		}
		want := []event.Past{{At: at(2).Time, Object: event.Ref{Kind: "Pod", Namespace: "ns", Name: "p"}, Type: "Normal", Reason: "Pulling", Message: "Pulling image", Count: 1}}
		if diff := cmp.Diff(want, f.Events); diff != "" {
			t.Errorf("the events: %s", diff)
		}
	})
}

// TestPastIsBounded: warnings come before all else, newer ones before older ones, and one that is counted again is not kept twice.
func TestPastIsBounded(t *testing.T) {
	var p past
	say := func(uid, kind string, at int) {
		p.add(&corev1.Event{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid), CreationTimestamp: metav1.Unix(int64(at), 0)}, Type: kind, Count: int32(at)})
	}
	for i := range 3 * mostPast {
		say(fmt.Sprint("n", i), "Normal", i)
		if i%6 == 0 { // half of what is kept
			say(fmt.Sprint("w", i), "Warning", i)
		}
		say("again", "Warning", i)
	}
	kinds := map[string]int{}
	oldest := time.Unix(1<<40, 0)
	for _, e := range p {
		kinds[e.Type]++
		if e.Type == "Normal" && e.CreationTimestamp.Time.Before(oldest) {
			oldest = e.CreationTimestamp.Time
		}
	}
	if len(p) != mostPast || kinds["Warning"] != 51 || oldest.Unix() != 3*mostPast-49 {
		t.Errorf("%d events, %v, from %d", len(p), kinds, oldest.Unix())
	}
	for i := range 2 * mostPast {
		say(fmt.Sprint("x", i), "Warning", 1000+i)
	}
	if len(p) != mostPast || p[0].Count != 1100 {
		t.Errorf("%d events, the first %+v", len(p), p[0])
	}
}
