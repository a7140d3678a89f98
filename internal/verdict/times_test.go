package verdict

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/randfill"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// seconds are the parts of a time in seconds: queue, node, pull, init, run, end.
func seconds(t event.Times) [6]float64 {
	return [6]float64{t.Queue.Seconds(), t.Node.Seconds(), t.Pull.Seconds(), t.Init.Seconds(), t.Run.Seconds(), t.End.Seconds()}
}

func sum(t event.Times) time.Duration { return t.Queue + t.Node + t.Pull + t.Init + t.Run + t.End }

func created(seconds int) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.CreationTimestamp = at(seconds) }
}

func scheduled(seconds int) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for i := range p.Status.Conditions {
			if p.Status.Conditions[i].Type == corev1.PodScheduled {
				p.Status.Conditions[i].LastTransitionTime = at(seconds)
			}
		}
	}
}

// worked gives the main container a run that ended.
func worked(code int32, from, to int) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		exits(code, "", "", to)(p)
		p.Status.ContainerStatuses[0].State.Terminated.StartedAt = at(from)
	}
}

// initWorked gives a pod an init container that ended.
func initWorked(code int32, from, to int) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		with(fmt.Sprint("init-", len(p.Spec.InitContainers)), corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, StartedAt: at(from), FinishedAt: at(to)}})(p)
	}
}

func unready(seconds int) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: at(seconds)},
			corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionFalse, LastTransitionTime: at(seconds + 50)})
	}
}

func complete(seconds int) func(*State) {
	return func(s *State) {
		condition(batchv1.JobComplete, "CompletionsReached", "", seconds)(s)
		s.Job.Status.CompletionTime = ptr(at(seconds))
	}
}

func suspended(status corev1.ConditionStatus, seconds int) func(*State) {
	return func(s *State) {
		s.Job.Status.Conditions = append(s.Job.Status.Conditions, batchv1.JobCondition{Type: batchv1.JobSuspended, Status: status, LastTransitionTime: at(seconds)})
	}
}

// TestTimes: where the time of a Job and of its pods went: queue, node, pull, init, run, end.
func TestTimes(t *testing.T) {
	sidecar := func(p *corev1.Pod) {
		always := corev1.ContainerRestartPolicyAlways
		with("proxy", corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(4)}})(p)
		p.Spec.InitContainers[len(p.Spec.InitContainers)-1].RestartPolicy = &always
	}
	second := func(from, to int) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second"})
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: "second",
				State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: at(from), FinishedAt: at(to)}}})
		}
	}
	// restarted is a main container that runs again: of its first runs, the state knows the last.
	restarted := func(count int32, from, to, again int) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			runs(p)
			c := &p.Status.ContainerStatuses[0]
			c.RestartCount = count
			c.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, StartedAt: at(from), FinishedAt: at(to)}
			c.State.Running.StartedAt = at(again)
		}
	}
	for name, c := range map[string]struct {
		state State
		job   [6]float64
		pods  [][6]float64
	}{
		"every step": {
			state(99, complete(40), pod("a", created(2), scheduled(5), initWorked(0, 9, 12), initWorked(0, 14, 20), worked(0, 21, 35), unready(37))),
			[6]float64{2, 3, 4 + 2 + 1, 3 + 6, 14, 5}, [][6]float64{{0, 3, 7, 9, 14, 2}},
		},
		"several containers: from the first start to the last end": {
			state(99, complete(40), pod("a", created(0), scheduled(0), worked(0, 10, 20), second(8, 30))),
			[6]float64{0, 0, 8, 0, 22, 10}, [][6]float64{{0, 0, 8, 0, 22, 0}},
		},
		"a sidecar is no work": {
			state(99, complete(40), pod("a", created(0), scheduled(0), sidecar, worked(0, 10, 30), unready(39))),
			[6]float64{0, 0, 10, 0, 20, 10}, [][6]float64{{0, 0, 10, 0, 20, 9}},
		},
		"no pod": {state(60), [6]float64{60}, nil},
		"no node": {
			state(60, pod("a", created(1), unscheduled("no"))),
			[6]float64{1, 59}, [][6]float64{{0, 59}},
		},
		"an image that cannot be pulled": {
			state(60, pod("a", created(1), scheduled(2), waits("ImagePullBackOff", ""))),
			[6]float64{1, 1, 58}, [][6]float64{{0, 1, 58}},
		},
		"it still runs": {
			state(60, pod("a", created(0), scheduled(0), runs)),
			[6]float64{0, 0, 3, 0, 57, 0}, [][6]float64{{0, 0, 3, 0, 57, 0}},
		},
		"an init container fails": {
			state(60, backoffLimitExceeded(30), pod("a", created(0), scheduled(1), initWorked(1, 4, 10), fails("", ""), unready(2))),
			[6]float64{0, 1, 3, 6, 0, 20}, [][6]float64{{0, 1, 3, 6, 0, 0}},
		},
		"a container that could not be started": {
			state(60, backoffLimitExceeded(20), pod("a", created(0), scheduled(1), worked(128, 0, 10), func(p *corev1.Pod) {
				p.Status.ContainerStatuses[0].State.Terminated.StartedAt = metav1.Unix(0, 0)
			})),
			[6]float64{0, 1, 9, 0, 0, 10}, [][6]float64{{0, 1, 9}},
		},
		"refused by its node": {
			state(60, backoffLimitExceeded(20), pod("a", created(0), scheduled(1), fails("OutOfcpu", ""), func(p *corev1.Pod) { p.Status.ContainerStatuses = nil })),
			[6]float64{0, 1, 0, 0, 0, 19}, [][6]float64{{0, 1}},
		},
		"two attempts and the pause between them": {
			state(99, complete(60), pod("a", created(0), scheduled(0), worked(1, 2, 10)), pod("b", created(20), scheduled(21), worked(0, 22, 50))),
			[6]float64{10, 1, 2 + 1, 0, 8 + 28, 10}, [][6]float64{{0, 0, 2, 0, 8, 0}, {0, 1, 1, 0, 28, 0}},
		},
		"pods side by side: the furthest counts": {
			state(99, complete(50), pod("a", created(0), scheduled(30), worked(0, 40, 45)), pod("b", created(0), scheduled(10), initWorked(0, 15, 20), worked(0, 25, 35))),
			[6]float64{0, 10, 5 + 5 + 5, 5, 10 + 5, 5}, [][6]float64{{0, 30, 10, 0, 5, 0}, {0, 10, 10, 5, 10, 0}},
		},
		"suspended from the start, and resumed": {
			state(99, complete(60), suspended(corev1.ConditionFalse, 30), pod("a", created(31), scheduled(32), worked(0, 35, 55))),
			[6]float64{31, 1, 3, 0, 20, 5}, [][6]float64{{0, 1, 3, 0, 20, 0}},
		},
		"suspended at work, and resumed": {
			state(99, complete(90), suspended(corev1.ConditionFalse, 60),
				pod("a", created(0), scheduled(0), worked(137, 5, 20)), gone, pod("b", created(62), scheduled(62), worked(0, 65, 85))),
			[6]float64{42, 0, 5 + 3, 0, 15 + 20, 5}, [][6]float64{{0, 0, 5, 0, 15, 0}, {0, 0, 3, 0, 20, 0}},
		},
		"suspended now": {
			state(60, suspended(corev1.ConditionTrue, 20), pod("a", created(0), scheduled(0), worked(137, 5, 22)), gone),
			[6]float64{38, 0, 5, 0, 17, 0}, [][6]float64{{0, 0, 5, 0, 17, 0}},
		},
		"deleted at work": {
			state(60, pod("a", created(0), scheduled(0), runs, deleted(10)), gone),
			[6]float64{0, 0, 3, 0, 37, 20}, [][6]float64{{0, 0, 3, 0, 37, 0}},
		},
		"being deleted": {
			state(60, pod("a", created(0), scheduled(0), runs, deleted(10))),
			[6]float64{0, 0, 3, 0, 57, 0}, [][6]float64{{0, 0, 3, 0, 57, 0}},
		},
		"restarted in place": {
			state(60, pod("a", created(0), scheduled(0), restarted(1, 10, 20, 30))),
			[6]float64{0, 0, 10, 0, 50, 0}, [][6]float64{{0, 0, 10, 0, 50, 0}},
		},
		"restarted in place more often than its state knows": {
			state(60, pod("a", created(0), scheduled(0), restarted(5, 40, 45, 50)), func(s *State) {
				s.Starts = map[Output]time.Time{{"a", "main"}: at(10).Time, {"b", "main"}: at(1).Time}
			}),
			[6]float64{0, 0, 10, 0, 50, 0}, [][6]float64{{0, 0, 10, 0, 50, 0}},
		},
		"a node whose clock is behind": {
			state(60, complete(40), pod("a", created(10), scheduled(11), worked(0, 2, 30))),
			[6]float64{10, 1, 0, 0, 19, 10}, [][6]float64{{0, 1, 0, 0, 19, 0}},
		},
		"a node whose clock is ahead": {
			state(60, complete(40), pod("a", created(10), scheduled(11), worked(0, 50, 70))),
			[6]float64{10, 1, 29, 0, 0, 0}, [][6]float64{{0, 1, 39, 0, 20, 0}},
		},
		"our clock is behind": {
			state(60, pod("a", created(0), scheduled(0), runs), func(s *State) { s.FollowedSince, s.Now = at(-500).Time, at(-440).Time }),
			[6]float64{0, 0, 3, 0, 57, 0}, [][6]float64{{0, 0, 3, 0, 57, 0}},
		},
		"our clock is ahead": {
			state(60, pod("a", created(0), scheduled(0), runs), func(s *State) { s.FollowedSince, s.Now = at(500).Time, at(560).Time }),
			[6]float64{0, 0, 3, 0, 57, 0}, [][6]float64{{0, 0, 3, 0, 57, 0}},
		},
		"followed long after its creation": {
			state(60, pod("a", created(0), scheduled(0), runs), func(s *State) { s.FollowedSince, s.Joined = at(50).Time, true }),
			[6]float64{0, 0, 3, 0, 57, 0}, [][6]float64{{0, 0, 3, 0, 57, 0}},
		},
		"suspended, and deleted": {
			state(60, suspended(corev1.ConditionTrue, 0), job(func(j *batchv1.Job) { j.Status.StartTime = nil }), func(s *State) { s.Gone = true }),
			[6]float64{60}, nil,
		},
		"no time stamps": {
			state(60, func(s *State) { s.Job.CreationTimestamp = metav1.Time{} }, pod("a", func(p *corev1.Pod) {
				p.CreationTimestamp, p.Status.Conditions[0].LastTransitionTime = metav1.Time{}, metav1.Time{}
			})),
			[6]float64{}, [][6]float64{{}},
		},
		"a pod without the time of its scheduling": {
			state(60, pod("a", created(0), runs, func(p *corev1.Pod) { p.Status.Conditions, p.Status.StartTime = nil, ptr(at(2)) })),
			[6]float64{0, 2, 1, 0, 57, 0}, [][6]float64{{0, 2, 1, 0, 57, 0}},
		},
	} {
		f := Result(c.state, Verdict{})
		if got := seconds(f.Times); got != c.job {
			t.Errorf("%s: the Job has %v, want %v", name, got, c.job)
		}
		var pods [][6]float64
		for _, p := range f.Pods {
			pods = append(pods, seconds(p.Times))
		}
		if diff := cmp.Diff(c.pods, pods); diff != "" {
			t.Errorf("%s: pods (-want +got):\n%s", name, diff)
		}
	}
}

// TestTimesAddUp: whatever the time stamps are, no part is negative, and the parts are the time from the creation to the end.
func TestTimesAddUp(t *testing.T) {
	const seeds = 500
	with := 0
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := arbitrary(randfill.NewWithSeed(int64(seed)))
		if seed%2 == 0 { // a Job that is nearly right
			any := func() int { return r.IntN(100) }
			s = state(any(), suspended([]corev1.ConditionStatus{"True", "False"}[r.IntN(2)], any()))
			for i := range r.IntN(5) {
				changes := []func(*corev1.Pod){created(any()), scheduled(any())}
				for range r.IntN(3) {
					changes = append(changes, initWorked(int32(r.IntN(2)), any(), any()))
				}
				pod(fmt.Sprint(i), append(changes, []func(*corev1.Pod){runs, worked(0, any(), any()), worked(1, any(), any()), unready(any()), deleted(any())}[r.IntN(5)])...)(&s)
				if r.IntN(3) == 0 {
					gone(&s)
				}
			}
			if r.IntN(2) == 0 {
				complete(any())(&s)
			}
		}
		f := Result(s, Verdict{})
		w := look(s)
		all := []event.Times{f.Times}
		want := []time.Duration{0}
		if created := w.job.CreationTimestamp.Time; !created.IsZero() {
			want[0] = w.until().Sub(created)
			with++
			if f.Duration < want[0] || f.Duration > want[0] && f.Duration != f.CompletedAt.Sub(f.StartedAt) {
				t.Errorf("seed %d: the Job took %v, and its parts add up to %v", seed, f.Duration, want[0])
			}
		}
		for i, p := range f.Pods {
			all = append(all, p.Times)
			want = append(want, 0)
			if end := w.podEnd(w.Pods[i]); p.CreatedAt != nil && end.After(*p.CreatedAt) {
				want[i+1] = end.Sub(*p.CreatedAt)
			}
		}
		for i, times := range all {
			if sum(times) != want[i] {
				t.Errorf("seed %d: the parts %+v add up to %v, want %v", seed, times, sum(times), want[i])
			}
			if min(times.Queue, times.Node, times.Pull, times.Init, times.Run, times.End) < 0 {
				t.Errorf("seed %d: negative: %+v", seed, times)
			}
		}
	}
	if with < seeds/2 {
		t.Errorf("only %d Jobs had a time", with)
	}
}

// TestStarts: what is remembered of a container that the kubelet forgets.
func TestStarts(t *testing.T) {
	s := state(9, pod("a", initWorked(0, 2, 3), worked(0, 5, 8)), pod("b"))
	got := map[Output]time.Time{}
	for _, p := range s.Pods {
		for c, first := range Starts(p) {
			got[c] = first
		}
	}
	if diff := cmp.Diff(map[Output]time.Time{{"a", "init-0"}: at(2).Time, {"a", "main"}: at(5).Time}, got); diff != "" {
		t.Error(diff)
	}
}

// TestPodResults: an end says of each pod its attempt, and how it failed.
func TestPodResults(t *testing.T) {
	f := Result(state(60, pod("a", index(1), exits(3, "Error", "", 9)), pod("b", index(0), exits(0, "", "", 9)), pod("c", index(1), runs)), Verdict{})
	var got []string
	for _, p := range f.Pods {
		got = append(got, fmt.Sprintf("%s %d %v %q %q", p.Name, p.Attempt, p.CreatedAt.Equal(at(1).Time), p.Container, p.Message))
	}
	want := []string{
		`a 1 true "main" "container \"main\" of pod a (index 1) exited with code 3"`, `b 1 true "" ""`, `c 2 true "" ""`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// The controller deletes what still works when the Job has failed: that is no eviction.
	for when, want := range map[int]event.PodResult{59: {Reason: "Evicted", Message: "pod a was deleted while it ran"}, 60: {Reason: "DeadlineExceeded", Message: "pod a was ended with its Job"}} {
		f := Result(state(61, condition(batchv1.JobFailureTarget, "DeadlineExceeded", "", 60), pod("a", runs, deleted(when))), Verdict{})
		if p := f.Pods[0]; p.Reason != want.Reason || p.Message != want.Message {
			t.Errorf("deleted at %d: %q, %q, want %q, %q", when, p.Reason, p.Message, want.Reason, want.Message)
		}
	}
}

// TestPast: the events at the end are in order, name their objects, and those of others are left out.
func TestPast(t *testing.T) {
	s := state(60, pod("a"))
	said := func(uid types.UID, kind, reason, message string, count int32, last int) {
		e := &corev1.Event{Type: kind, Reason: reason, Message: message, Count: count, FirstTimestamp: at(1), LastTimestamp: at(last)}
		e.InvolvedObject.UID = uid
		s.Past = append(s.Past, e)
	}
	said("a", "Warning", "BackOff", "Back-off\npulling", 4, 30)
	said("job-uid", "Normal", "SuccessfulCreate", "Created pod: a", 1, 1)
	said("of another Job", "Warning", "Lie", "x", 1, 2)
	want := []event.Past{
		{At: at(1).Time, Object: event.Ref{Kind: "Job", Namespace: "prod", Name: "migrate"}, Type: "Normal", Reason: "SuccessfulCreate", Message: "Created pod: a", Count: 1},
		{At: at(30).Time, Object: event.Ref{Kind: "Pod", Namespace: "prod", Name: "a"}, Type: "Warning", Reason: "BackOff", Message: "Back-off pulling", Count: 4},
	}
	if diff := cmp.Diff(want, Result(s, Verdict{}).Events); diff != "" {
		t.Error(diff)
	}
}

// TestTerminationMessage: what `result-from: termination-message` gives.
func TestTerminationMessage(t *testing.T) {
	says := func(code int32, message string) func(*corev1.Pod) { return exits(code, "", message, 9) }
	many := func(n int32, indexed bool) func(*State) {
		return job(func(j *batchv1.Job) {
			j.Spec.Completions = ptr(n)
			if indexed {
				j.Spec.CompletionMode = ptr(batchv1.IndexedCompletion)
			}
		})
	}
	second := func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second"})
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: "second", State: corev1.ContainerState{Terminated: terminated(0, "", "of the second", 9)}})
	}
	fromLog := func(p *corev1.Pod) {
		p.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	}
	long := strings.Repeat("x", 4096)
	var array []string
	full := state(60, many(100, true))
	for i := range 100 {
		pod(fmt.Sprint(i), index(i), says(0, long))(&full)
		array = append(array, `"`+long+`"`)
		if i >= 63 {
			array[i] = "null"
		}
	}
	for name, c := range map[string]struct {
		state State
		want  string // "-" for none
		short bool
	}{
		"none":                        {state(60, pod("a", says(0, ""))), "-", false},
		"no pod":                      {state(60), "-", false},
		"one":                         {state(60, pod("a", says(0, "{\"rows\":\n3}\n"))), "{\"rows\":\n3}", false},
		"only the end of a line":      {state(60, pod("a", says(0, "\r\n"))), "-", false},
		"with the end of a line":      {state(60, many(2, true), pod("a", index(0), says(0, "42\n")), pod("b", index(1), says(0, " 4 \r\n\n"))), `["42"," 4 "]`, false},
		"the attempt that succeeded":  {state(60, pod("a", says(1, "bad")), pod("b", says(0, "good"))), "good", false},
		"it succeeded without one":    {state(60, pod("a", says(1, "bad")), pod("b", says(0, ""))), "-", false},
		"the last that failed":        {state(60, pod("a", says(1, "first")), pod("b", says(1, "second")), pod("c", runs)), "second", false},
		"an index alone is one":       {state(60, many(1, true), pod("a", index(0), says(0, "good"))), "good", false},
		"the first of several":        {state(60, pod("a", says(0, "of the first"), second)), "of the first", false},
		"main-container":              {state(60, pod("a", says(0, "of the first"), second), func(s *State) { s.Options.MainContainer = "second" }), "of the second", false},
		"indexes":                     {state(60, many(4, true), pod("a", index(2), says(0, `"q"`)), pod("b", index(0), says(1, "no")), pod("c", index(9), says(0, "else"))), `["no",null,"\"q\"",null]`, false},
		"several without indexes":     {state(60, many(3, false), pod("a", says(1, "no")), pod("b", says(0, "b")), pod("c", says(0, ""))), `["b",null]`, false},
		"several, and none yet":       {state(60, many(3, false)), "[]", false},
		"more than there is room for": {full, "[" + strings.Join(array, ",") + "]", true},
		"restarted, and says no more": {state(60, pod("a", runs, func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].LastTerminationState.Terminated = terminated(1, "", "before", 5)
		})), "before", false},
		"as long as Kubernetes keeps one":       {state(60, pod("a", says(0, long))), long, true},
		"the end of a line is one of them":      {state(60, pod("a", says(0, long[1:]+"\n"))), long[1:], true},
		"one byte less":                         {state(60, pod("a", says(0, long[1:]))), long[1:], false},
		"an index's is as long":                 {state(60, many(2, true), pod("a", index(1), says(0, long))), `[null,"` + long + `"]`, true},
		"another attempt's was as long":         {state(60, pod("a", says(1, long)), pod("b", says(0, "good"))), "good", false},
		"as long as with three others":          {state(60, pod("a", says(0, long[:3<<10]), second, second, second)), long[:3<<10], true},
		"shorter than with three others":        {state(60, pod("a", says(0, long[:3<<10-1]), second, second, second)), long[:3<<10-1], false},
		"as long as of a log":                   {state(60, pod("a", says(1, long[:2<<10]), fromLog)), long[:2<<10], true},
		"as long in a file":                     {state(60, pod("a", says(1, long[:2<<10]))), long[:2<<10], false},
		"as long in a file, as it did not fail": {state(60, pod("a", says(0, long[:2<<10]), fromLog)), long[:2<<10], false},
		"one that is longer than ever":          {state(60, pod("a", says(0, strings.Repeat("x", maxResult+1)))), strings.Repeat("x", maxResult-3) + "…", true},
	} {
		if f := Result(c.state, Verdict{}); f.Result != nil {
			t.Errorf("%s: not asked for, and given", name)
		}
		c.state.Options.ResultFrom = ResultFromTerminationMessage
		f := Result(c.state, Verdict{Warnings: []event.Cause{}})
		got := "-"
		if f.Result != nil {
			got = *f.Result
		}
		if got != c.want || len(f.Warnings) > 0 != c.short || len(got) > maxResult {
			t.Errorf("%s: %.200q, warnings %v; want %.200q", name, got, f.Warnings, c.want)
		}
	}
	huge := state(60, many(1<<31-1, true), pod("a", index(1), says(0, "x")))
	huge.Options.ResultFrom = ResultFromTerminationMessage
	if f := Result(huge, Verdict{}); f.Result == nil || len(*f.Result) > maxResult || !strings.HasPrefix(*f.Result, `[null,"x",null,`) || len(f.Warnings) != 1 {
		t.Errorf("a Job with any number of indexes: %.50v", f.Result)
	}
}

// BenchmarkResult: 10,000 pods.
func BenchmarkResult(b *testing.B) {
	s := state(6000, complete(5500), job(func(j *batchv1.Job) { j.Spec.Completions = ptr[int32](10000) }))
	for i := range 10000 {
		pod(fmt.Sprint(i), index(i), created(i/2), scheduled(i/2+1), worked(int32(i%2), i/2+3, i/2+60))(&s)
	}
	b.ReportAllocs()
	for b.Loop() {
		if f := Result(s, Verdict{}); sum(f.Times) != 5500*time.Second {
			b.Fatal(f.Times)
		}
	}
}
