package verdict

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/event"
)

var start = time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)

// at is the cluster's clock, in seconds after the Job's creation.
func at(seconds int) metav1.Time {
	return metav1.NewTime(start.Add(time.Duration(seconds) * time.Second))
}

func ptr[T any](v T) *T { return &v }

// state is a Job as it is a moment after its creation, seen seconds later by somebody who fails fast.
func state(seconds int, change ...func(*State)) State {
	s := State{
		Job: &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Name: "migrate", Namespace: "prod", UID: "job-uid", CreationTimestamp: at(0)},
			Spec:       batchv1.JobSpec{Completions: ptr[int32](1), Parallelism: ptr[int32](1), BackoffLimit: ptr[int32](0)},
			Status:     batchv1.JobStatus{StartTime: ptr(at(0))},
		},
		GonePods:      map[types.UID]bool{},
		FollowedSince: start,
		Now:           at(seconds).Time,
		Options:       Options{FailFast: true, Timeout: time.Hour, StartTimeout: 5 * time.Minute},
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

func job(change func(*batchv1.Job)) func(*State) { return func(s *State) { change(s.Job) } }

func condition(t batchv1.JobConditionType, reason, message string, seconds int) func(*State) {
	return func(s *State) {
		s.Job.Status.Conditions = append(s.Job.Status.Conditions, batchv1.JobCondition{
			Type: t, Status: corev1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: at(seconds),
		})
	}
}

func backoffLimitExceeded(seconds int) func(*State) {
	return condition(batchv1.JobFailureTarget, "BackoffLimitExceeded", "Job has reached the specified backoff limit", seconds)
}

func failedCount(n int32) func(*State) {
	return job(func(j *batchv1.Job) { j.Status.Failed = n })
}

// pod adds a pod with one container "main", scheduled to node-1 and created 1 s after the Job.
func pod(name string, change ...func(*corev1.Pod)) func(*State) {
	return func(s *State) {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "prod", UID: types.UID(name), CreationTimestamp: at(1)},
			Spec: corev1.PodSpec{
				NodeName:      "node-1",
				RestartPolicy: corev1.RestartPolicyNever,
				Containers:    []corev1.Container{{Name: "main", Image: "registry.example/app:1"}},
			},
			Status: corev1.PodStatus{
				Phase: corev1.PodPending, StartTime: ptr(at(1)),
				Conditions:        []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: at(1)}},
				ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}}},
			},
		}
		for _, c := range change {
			c(p)
		}
		s.Pods = append(s.Pods, p)
	}
}

func gone(s *State) { s.GonePods[s.Pods[len(s.Pods)-1].UID] = true }

func waits(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
}

func runs(p *corev1.Pod) {
	p.Status.Phase = corev1.PodRunning
	p.Status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(3)}}
}

// with gives a pod an init container.
func with(name string, now corev1.ContainerState) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: name})
		p.Status.InitContainerStatuses = append(p.Status.InitContainerStatuses, corev1.ContainerStatus{Name: name, State: now})
	}
}

func terminated(code int32, reason, message string, seconds int) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message, StartedAt: at(3), FinishedAt: at(seconds)}
}

func exits(code int32, reason, message string, seconds int) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodFailed
		if code == 0 {
			p.Status.Phase = corev1.PodSucceeded
		}
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: terminated(code, reason, message, seconds)}
	}
}

func fails(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, reason, message
	}
}

func disrupted(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, Message: message})
	}
}

// deleted is a deletion that was asked for at a time, with a grace of 30 s.
func deleted(seconds int) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.DeletionTimestamp, p.DeletionGracePeriodSeconds = ptr(at(seconds+30)), ptr[int64](30)
	}
}

func memory(limit string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)}
	}
}

func index(i int) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Annotations = map[string]string{batchv1.JobCompletionIndexAnnotation: fmt.Sprint(i)}
	}
}

func unscheduled(message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.NodeName, p.Status.StartTime, p.Status.ContainerStatuses = "", nil, nil
		p.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message, LastTransitionTime: at(1),
		}}
	}
}

// untaken is a pod that its scheduler has not looked at.
func untaken(scheduler string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.NodeName, p.Spec.SchedulerName, p.Status = "", scheduler, corev1.PodStatus{Phase: corev1.PodPending}
	}
}

// placed is a pod on a node whose kubelet has not looked at it.
func placed(node string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.NodeName, p.Status = node, corev1.PodStatus{Phase: corev1.PodPending} }
}

func scheduledAt(seconds int) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: at(seconds)}}
	}
}

// happened adds an event about the newest pod, or about the Job before there is one.
func happened(reason, message string, count int32, first, last int) func(*State) {
	return func(s *State) {
		e := &corev1.Event{Reason: reason, Message: message, Count: count, FirstTimestamp: at(first), LastTimestamp: at(last)}
		e.InvolvedObject = corev1.ObjectReference{Kind: "Job", UID: s.Job.UID}
		if len(s.Pods) > 0 {
			e.InvolvedObject = corev1.ObjectReference{Kind: "Pod", UID: s.Pods[len(s.Pods)-1].UID, FieldPath: "spec.containers{main}"}
		}
		e.Source.Component = component(e)
		s.Events = append(s.Events, e)
	}
}

// component is the component that writes such events.
func component(e *corev1.Event) string {
	switch e.InvolvedObject.Kind {
	case "Job":
		return "job-controller"
	default:
		return "kubelet"
	}
}

// confirmed decides with a cluster that confirms what events say, and may only be asked once.
func confirmed(t *testing.T, s State) Verdict {
	t.Helper()
	patient := s
	patient.Options.StartTimeout, patient.Options.Timeout = 0, 0
	v := Decide(patient)
	if v.Decided && len(v.Ask) > 0 {
		t.Error("it asks and decides")
	}
	s.Answers = map[Claim]Answer{}
	for _, q := range v.Ask {
		a := Answer{Known: true, True: true}
		for _, e := range s.Events {
			if m := createError.FindStringSubmatch(e.Message); q.Object.Kind == "Pod" && m != nil {
				a.Said = m[1]
			}
		}
		s.Answers[q.Claim] = a
	}
	if v = Decide(s); len(v.Ask) > 0 {
		t.Errorf("it asks again: %+v", v.Ask)
	}
	return v
}

// pullFails is what the kubelet tells about pulls that fail: state and events.
func pullFails(message string, count int32, last int) func(*State) {
	return func(s *State) {
		pod("migrate-x2k9", waits("ImagePullBackOff", `Back-off pulling image "registry.example/app:1": ErrImagePull: rpc error: code = Unknown desc = `+message))(s)
		happened("Failed", `Failed to pull image "registry.example/app:1": rpc error: code = Unknown desc = `+message, count, 2, last)(s)
	}
}

func refuses(message string) func(*State) {
	return happened("FailedCreate", `Error creating: pods "migrate-" is forbidden: `+message, 3, 1, 8)
}

type verdictCase struct {
	name    string
	state   State
	outcome event.Outcome
	cause   *event.Cause
}

func podCause(reason event.Reason, container string, exit *int32, message, hint string) *event.Cause {
	return &event.Cause{
		Reason: reason, Object: event.Ref{Kind: "Pod", Namespace: "prod", Name: "migrate-x2k9"},
		Container: container, ExitCode: exit, Message: message, Hint: hint,
	}
}

func jobCause(reason event.Reason, message, hint string) *event.Cause {
	return &event.Cause{Reason: reason, Object: event.Ref{Kind: "Job", Namespace: "prod", Name: "migrate"}, Message: message, Hint: hint}
}

func check(t *testing.T, cases []verdictCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := confirmed(t, c.state)
			if v.Decided != (c.outcome != "") || v.Outcome != c.outcome {
				t.Errorf("decided %v, outcome %q, want %q", v.Decided, v.Outcome, c.outcome)
			}
			if diff := cmp.Diff(c.cause, v.Cause); diff != "" {
				t.Errorf("cause (-want +got):\n%s", diff)
			}
			if v.Decided && !v.Next.IsZero() {
				t.Errorf("decided, and still waits for %v", v.Next)
			}
		})
	}
}

const (
	logsHint     = "The last lines of its log say why: kubectl -n prod logs migrate-x2k9 -c main"
	describeHint = "See more: kubectl -n prod describe pod migrate-x2k9"
	killHint     = "Kubernetes reports no memory kill of this container (a busy node may lose that report): something killed it from inside, its node ran out of memory, or the pod was deleted and did not stop in time."
)

func TestOutcome(t *testing.T) {
	external := job(func(j *batchv1.Job) { j.Spec.ManagedBy = ptr("kueue.x-k8s.io/multikueue") })
	vanish := func(s *State) { s.Gone = true }
	orphaned := job(func(j *batchv1.Job) { j.DeletionTimestamp, j.Finalizers = ptr(at(8)), []string{"orphan"} })
	replace := func(s *State) { s.Gone, s.ReplacedBy = true, "other-uid" }
	complete := condition(batchv1.JobComplete, "CompletionsReached", "Reached expected number of succeeded pods", 60)
	criteria := condition(batchv1.JobSuccessCriteriaMet, "SuccessPolicy", "Matched rules at index 0", 60)
	deletedHint := "Look for another run, a clean-up job or a person that deletes Jobs in this namespace; the audit log of the cluster knows who it was."
	check(t, []verdictCase{
		{name: "new", state: state(2)},
		{name: "running", state: state(2, pod("migrate-x2k9", runs))},
		{name: "every pod succeeded, but the Job says nothing yet", state: state(9, pod("migrate-x2k9", exits(0, "Completed", "", 8)))},
		{name: "every pod failed, but the Job says nothing yet", state: state(9, pod("migrate-x2k9", exits(3, "Error", "", 8)))},
		{name: "Complete", state: state(61, complete), outcome: event.Succeeded},
		{name: "SuccessCriteriaMet while pods end", state: state(61, criteria, pod("migrate-x2k9", runs, deleted(60))), outcome: event.Succeeded},
		{name: "SuccessCriteriaMet of another controller", state: state(61, external, criteria)},
		{name: "Complete of another controller", state: state(61, external, criteria, complete), outcome: event.Succeeded},
		{name: "Complete with status False", state: state(61, complete, job(func(j *batchv1.Job) { j.Status.Conditions[0].Status = corev1.ConditionFalse }))},
		{name: "Failed for a reason nobody knows", state: state(61, condition(batchv1.JobFailed, "QuotaOfTheMoon", "the moon\nis full.", 60)), outcome: event.Failed,
			cause: jobCause("QuotaOfTheMoon", "Job prod/migrate failed: the moon is full", "See more: kubectl -n prod describe job migrate")},
		{name: "Failed without a reason", state: state(61, condition(batchv1.JobFailed, "", "", 60)), outcome: event.Failed,
			cause: jobCause("Failed", "Job prod/migrate failed", "See more: kubectl -n prod describe job migrate")},
		{name: "gone after Complete", state: state(61, complete, vanish), outcome: event.Succeeded},
		{name: "gone after SuccessCriteriaMet", state: state(61, criteria, vanish), outcome: event.Succeeded},
		{name: "replaced after Complete", state: state(61, complete, replace), outcome: event.Succeeded},
		{name: "gone after FailureTarget", state: state(61, backoffLimitExceeded(60), failedCount(1), pod("migrate-x2k9", exits(3, "Error", "", 59)), gone, vanish), outcome: event.Failed,
			cause: podCause(event.ContainerExit, "main", ptr[int32](3), `container "main" of pod migrate-x2k9 exited with code 3`, "")},
		{name: "gone", state: state(9, pod("migrate-x2k9", runs), vanish), outcome: event.Vanished,
			cause: jobCause(event.JobDeleted, "Job prod/migrate was deleted by someone else before it finished (0 of 1 pod succeeded)", deletedHint)},
		{name: "gone, and its pods go on", state: state(9, pod("migrate-x2k9", runs), pod("b", exits(3, "Error", "", 8)), pod("c", runs, deleted(8)), pod("d", waits("ContainerCreating", "")), orphaned, vanish), outcome: event.Vanished,
			cause: jobCause(event.JobDeleted, "Job prod/migrate was deleted by someone else before it finished (0 of 1 pod succeeded); it was deleted without its pods, and these go on: migrate-x2k9, d",
				"Nobody counts or replaces them any more; this ends them: kubectl -n prod delete pod migrate-x2k9 d")},
		{name: "gone, and many pods go on", state: state(9, func(s *State) {
			for i := range 11 {
				pod(fmt.Sprint("p", i), runs)(s)
			}
		}, orphaned, vanish), outcome: event.Vanished,
			cause: jobCause(event.JobDeleted, "Job prod/migrate was deleted by someone else before it finished (0 of 1 pod succeeded); it was deleted without its pods, and these go on: p0, p1, p2, p3, p4, p5, p6, p7, p8, p9 and 1 more",
				"Nobody counts or replaces them any more; this ends them: kubectl -n prod delete pods -l batch.kubernetes.io/controller-uid=job-uid")},
		{name: "gone with its pods left, which have ended", state: state(9, pod("migrate-x2k9", exits(3, "Error", "", 8)), orphaned, vanish), outcome: event.Vanished,
			cause: jobCause(event.JobDeleted, "Job prod/migrate was deleted by someone else before it finished (0 of 1 pod succeeded)", deletedHint)},
		{name: "replaced, and its pod goes on", state: state(9, pod("migrate-x2k9", runs), orphaned, replace), outcome: event.Vanished,
			cause: jobCause(event.JobReplaced, "Job prod/migrate was deleted before it finished, and another Job was created under its name (UID other-uid instead of job-uid); it was deleted without its pods, and these go on: migrate-x2k9",
				"Nobody counts or replaces them any more; this ends them: kubectl -n prod delete pod migrate-x2k9")},
		{name: "gone with a TTL that is not over", state: state(9, job(func(j *batchv1.Job) { j.Spec.TTLSecondsAfterFinished = ptr[int32](86400) }), vanish), outcome: event.Vanished,
			cause: jobCause(event.JobDeleted, "Job prod/migrate was deleted by someone else before it finished (0 of 1 pod succeeded)", deletedHint)},
		{name: "gone with a TTL", state: state(9, job(func(j *batchv1.Job) { j.Spec.TTLSecondsAfterFinished, j.Status.Succeeded = ptr[int32](0), 1 }), vanish), outcome: event.Vanished,
			cause: jobCause(event.JobDeleted, "Job prod/migrate was deleted before it was seen to finish (1 of 1 pod succeeded)",
				"Its ttlSecondsAfterFinished of 0 s may have removed it while the cluster could not be reached: a longer one leaves time to see the end.")},
		{name: "gone, and nobody saw how", state: state(9, pod("migrate-x2k9", runs), vanish, func(s *State) { s.Missed = true }), outcome: event.Vanished,
			cause: jobCause(event.JobDeleted, "Job prod/migrate was deleted before it was seen to finish (0 of 1 pod succeeded)",
				"Its deletion itself was not seen, so the Job may have ended: another run that follows it (if-exists: attach), or a clean-up, may have deleted it then.")},
		{name: "being deleted, and its pods have just ended", state: state(70, job(func(j *batchv1.Job) { j.DeletionTimestamp, j.Finalizers = ptr(at(8)), []string{"example.com/hold"} }), pod("migrate-x2k9", exits(0, "Completed", "", 60)))},
		{name: "being deleted by finalizers, and its pods work", state: state(900, job(func(j *batchv1.Job) { j.DeletionTimestamp, j.Finalizers = ptr(at(8)), []string{"example.com/hold"} }), pod("migrate-x2k9", runs))},
		{name: "being deleted, and held", state: state(75, job(func(j *batchv1.Job) { j.DeletionTimestamp, j.Finalizers = ptr(at(8)), []string{"example.com/hold"} }), pod("migrate-x2k9", exits(0, "Completed", "", 60))), outcome: event.Vanished,
			cause: jobCause(event.JobDeleted, "Job prod/migrate is being deleted by someone, and does not finish any more (0 of 1 pod succeeded); its finalizers hold it (example.com/hold)",
				`Whoever has put them there takes them away; by force: kubectl -n prod patch job migrate --type=merge -p '{"metadata":{"finalizers":null}}'`)},
		{name: "being deleted, and held by its pods", state: state(75, job(func(j *batchv1.Job) { j.DeletionTimestamp, j.Finalizers = ptr(at(8)), []string{"foregroundDeletion"} }), pod("migrate-x2k9", exits(0, "Completed", "", 60))), outcome: event.Vanished,
			cause: jobCause(event.JobDeleted, "Job prod/migrate is being deleted by someone, and does not finish any more (0 of 1 pod succeeded)",
				"See what holds its pods, such as finalizers: kubectl -n prod get pods -l job-name=migrate -o yaml")},
		{name: "replaced", state: state(9, replace), outcome: event.Vanished,
			cause: jobCause(event.JobReplaced, "Job prod/migrate was deleted before it finished, and another Job was created under its name (UID other-uid instead of job-uid)",
				"Probably another run of the same workflow did that: give each run, and each job of a matrix, its own Job with name-suffix, or let one run wait for the other with a concurrency group.")},
		{name: "nothing seen yet", state: State{}},
		{name: "gone before it was seen", state: State{Gone: true}, outcome: event.Vanished,
			cause: &event.Cause{Reason: event.JobDeleted, Message: "the Job was deleted by someone else before it finished (0 of 1 pod succeeded)", Hint: deletedHint}},
	})
}

func TestFailure(t *testing.T) {
	limit := func(n int32) func(*State) { return job(func(j *batchv1.Job) { j.Spec.BackoffLimit = ptr(n) }) }
	failed := func(change ...func(*corev1.Pod)) State {
		return state(61, backoffLimitExceeded(60), failedCount(1), pod("migrate-x2k9", change...))
	}
	movedHint := "The program is not to blame: run it again, or let the Job survive this with a higher backoffLimit or a podFailurePolicy that ignores DisruptionTarget."
	nodeHint := "Look at the node: kubectl describe node node-1. " + movedHint
	deletedPodHint := "Somebody deleted it, or a controller that frees nodes. The program is not to blame: run it again, or let the Job survive this with a higher backoffLimit."
	check(t, []verdictCase{
		{name: "one attempt", state: failed(exits(3, "Error", "", 59)), outcome: event.Failed,
			cause: podCause(event.ContainerExit, "main", ptr[int32](3), `container "main" of pod migrate-x2k9 exited with code 3`, logsHint)},
		{name: "one attempt, and another pod that was ended for it", outcome: event.Failed, // Failed comes when the last pod has ended
			state: state(70, condition(batchv1.JobFailureTarget, "BackoffLimitExceeded", "Job has reached the specified backoff limit", 60), backoffLimitExceeded(65), failedCount(2), pod("migrate-x2k9", exits(3, "Error", "", 59)), pod("b", exits(143, "Error", "", 62), deleted(61))),
			cause: podCause(event.ContainerExit, "main", ptr[int32](3), `container "main" of pod migrate-x2k9 exited with code 3`, logsHint)},
		{name: "three attempts", outcome: event.Failed,
			state: state(61, limit(2), backoffLimitExceeded(60), failedCount(3), pod("migrate-a", exits(1, "Error", "", 10)), pod("migrate-b", exits(2, "Error", "", 30)), pod("migrate-x2k9", exits(3, "Error", "", 59))),
			cause: podCause(event.BackoffLimitExceeded, "main", ptr[int32](3), `container "main" of pod migrate-x2k9 exited with code 3 (3 attempts, back-off limit 2)`, logsHint)},
		{name: "the last of three attempts ran out of memory", outcome: event.Failed,
			state: state(61, limit(2), backoffLimitExceeded(60), failedCount(3), pod("migrate-a", exits(1, "Error", "", 10)), pod("migrate-b", exits(2, "Error", "", 30)), pod("migrate-x2k9", memory("64Mi"), exits(137, "OOMKilled", "", 59))),
			cause: podCause(event.OOMKilled, "main", ptr[int32](137), `container "main" of pod migrate-x2k9 was killed because it used more than its memory limit of 64Mi (exit code 137) (3 attempts, back-off limit 2)`,
				"Raise resources.limits.memory of the container, or find out what needs that much.")},
		{name: "restarted in place until the limit", outcome: event.Failed,
			state: state(61, limit(2), backoffLimitExceeded(60), failedCount(1), pod("migrate-x2k9", waits("CrashLoopBackOff", "back-off 20s restarting failed container"), deleted(60), func(p *corev1.Pod) {
				p.Status.ContainerStatuses[0].RestartCount = 2
				p.Status.ContainerStatuses[0].LastTerminationState.Terminated = terminated(4, "Error", "", 58)
			})),
			cause: podCause(event.BackoffLimitExceeded, "main", ptr[int32](4), `container "main" of pod migrate-x2k9 exited with code 4 (3 attempts, back-off limit 2)`, logsHint)},
		{name: "siblings that were ended with the Job are not the cause", outcome: event.Failed,
			state: state(91, backoffLimitExceeded(60), failedCount(3), pod("migrate-a", exits(143, "Error", "", 60), deleted(60)), pod("migrate-x2k9", exits(3, "Error", "", 59)), pod("migrate-b", exits(137, "Error", "", 90), deleted(60))),
			cause: podCause(event.ContainerExit, "main", ptr[int32](3), `container "main" of pod migrate-x2k9 exited with code 3`, logsHint)},
		{name: "pods that were never seen", state: state(61, backoffLimitExceeded(60), failedCount(1)), outcome: event.Failed,
			cause: jobCause(event.BackoffLimitExceeded, "Job prod/migrate failed more often than its back-off limit of 0 allows (1 failed pod); its pods were gone before they could be looked at", "See more: kubectl -n prod describe job migrate")},
		{name: "init container", outcome: event.Failed,
			state: failed(func(p *corev1.Pod) {
				p.Status.Phase = corev1.PodFailed
				p.Spec.InitContainers = []corev1.Container{{Name: "proxy", RestartPolicy: ptr(corev1.ContainerRestartPolicyAlways)}, {Name: "wait"}}
				p.Status.InitContainerStatuses = []corev1.ContainerStatus{
					{Name: "proxy", State: corev1.ContainerState{Terminated: terminated(2, "Error", "", 5)}},
					{Name: "wait", State: corev1.ContainerState{Terminated: terminated(7, "Error", "", 59)}},
				}
			}),
			cause: podCause(event.ContainerExit, "wait", ptr[int32](7), `init container "wait" of pod migrate-x2k9 exited with code 7`, "The last lines of its log say why: kubectl -n prod logs migrate-x2k9 -c wait")},
		{name: "termination message", state: failed(exits(3, "Error", "table \x1b[31mcustomers\x1b[0m\nis locked\n", 59)), outcome: event.Failed,
			cause: podCause(event.ContainerExit, "main", ptr[int32](3), `container "main" of pod migrate-x2k9 exited with code 3: table `+"\x1b[31mcustomers\x1b[0m is locked", logsHint)},
		{name: "termination message that is only the log", outcome: event.Failed,
			state: failed(fallsBack, exits(3, "Error", "1\n2\n3\n4\n5\nlast line\n", 59)),
			cause: podCause(event.ContainerExit, "main", ptr[int32](3), `container "main" of pod migrate-x2k9 exited with code 3`, logsHint)},
		{name: "termination message of its own, which the log would have replaced", outcome: event.Failed,
			state: failed(fallsBack, exits(3, "Error", "input is missing", 59)),
			cause: podCause(event.ContainerExit, "main", ptr[int32](3), `container "main" of pod migrate-x2k9 exited with code 3: input is missing`, logsHint)},
		{name: "termination message before a memory kill", outcome: event.Failed, state: failed(exits(137, "OOMKilled", "at row 7", 59)),
			cause: podCause(event.OOMKilled, "main", ptr[int32](137), `container "main" of pod migrate-x2k9 was killed for lack of memory (exit code 137); it has no memory limit of its own: at row 7`,
				"The pod's limit or the node's memory was used up: set resources.requests.memory and resources.limits.memory to what it needs.")},
		{name: "termination message under a podFailurePolicy", outcome: event.Failed,
			state: state(61, condition(batchv1.JobFailureTarget, "PodFailurePolicy", "Container main for pod prod/migrate-x2k9 failed with exit code 3 matching FailJob rule at index 0", 60), pod("migrate-x2k9", exits(3, "Error", "at row 7", 59))),
			cause: podCause(event.PodFailurePolicy, "main", ptr[int32](3), `container "main" of pod migrate-x2k9 exited with code 3: at row 7; podFailurePolicy.rules[0] fails the Job for that`, "The policy ends the Job without further attempts: kubectl -n prod get job migrate -o jsonpath='{.spec.podFailurePolicy}'")},
		{name: "exit 137", state: failed(exits(137, "Error", "", 59)), outcome: event.Failed,
			cause: podCause(event.ContainerExit, "main", ptr[int32](137), `container "main" of pod migrate-x2k9 exited with code 137 (ended by SIGKILL)`, killHint)},
		{name: "exit 143", state: failed(exits(143, "Error", "", 59)), outcome: event.Failed,
			cause: podCause(event.ContainerExit, "main", ptr[int32](143), `container "main" of pod migrate-x2k9 exited with code 143 (ended by SIGTERM)`,
				"It was asked to stop: the pod was deleted, evicted or moved, or something in the container stopped it.")},
		{name: "exit 134", state: failed(exits(134, "Error", "", 59)), outcome: event.Failed,
			cause: podCause(event.ContainerExit, "main", ptr[int32](134), `container "main" of pod migrate-x2k9 exited with code 134 (ended by SIGABRT)`, "The program gave itself up; its last lines say why.")},
		{name: "exit 255", state: failed(exits(255, "Error", "", 59)), outcome: event.Failed,
			cause: podCause(event.ContainerExit, "main", ptr[int32](255), `container "main" of pod migrate-x2k9 exited with code 255`, "Code 255 is often an exit code of -1, or a failed connection of ssh or kubectl inside the container.")},
		{name: "out of memory without a limit", state: failed(exits(137, "OOMKilled", "", 59)), outcome: event.Failed,
			cause: podCause(event.OOMKilled, "main", ptr[int32](137), `container "main" of pod migrate-x2k9 was killed for lack of memory (exit code 137); it has no memory limit of its own`,
				"The pod's limit or the node's memory was used up: set resources.requests.memory and resources.limits.memory to what it needs.")},
		{name: "another platform's binary", outcome: event.Failed,
			state: failed(exits(128, "StartError", "failed to create containerd task: OCI runtime create failed: unable to start container process: exec /app/run: exec format error: unknown", 59)),
			cause: podCause(event.ContainerExit, "main", ptr[int32](128), `container "main" of pod migrate-x2k9 could not be started (exit code 128): exec /app/run: exec format error`,
				"The binary was built for another platform than the node's, or it is a script without a first line like #!/bin/sh.")},
		{name: "dockerd's words for a missing command", outcome: event.Failed,
			state: failed(exits(127, "ContainerCannotRun", `exec: "run": executable file not found in $PATH`, 59)),
			cause: podCause(event.ContainerExit, "main", ptr[int32](127), `container "main" of pod migrate-x2k9 could not be started (exit code 127): exec: "run": executable file not found in $PATH`,
				"The image has no such command: check command and args of the container, and that the first line of a script names an interpreter that the image has.")},
		{name: "a command line in one word", outcome: event.Failed,
			state: failed(exits(128, "StartError", `failed to create containerd task: OCI runtime create failed: unable to start container process: exec: "echo hello world": executable file not found in $PATH: unknown`, 59)),
			cause: podCause(event.ContainerExit, "main", ptr[int32](128), `container "main" of pod migrate-x2k9 could not be started (exit code 128): exec: "echo hello world": executable file not found in $PATH`,
				`The command is one word with blanks in it: write one element for each word, or ["sh", "-c", "…"]; with container-command, one line for each.`)},
		{name: "a shell and its option in one word", outcome: event.Failed,
			state: failed(exits(128, "StartError", `unable to start container process: exec: "/bin/sh -c": stat /bin/sh -c: no such file or directory: unknown`, 59)),
			cause: podCause(event.ContainerExit, "main", ptr[int32](128), `container "main" of pod migrate-x2k9 could not be started (exit code 128): exec: "/bin/sh -c": stat /bin/sh -c: no such file or directory`,
				`The command is one word with blanks in it: write one element for each word, or ["sh", "-c", "…"]; with container-command, one line for each.`)},
		{name: "nobody saw it end", state: failed(exits(137, "ContainerStatusUnknown", "The container could not be located when the pod was terminated", 59)), outcome: event.Failed,
			cause: podCause(event.NodeLost, "main", ptr[int32](137), `nobody saw how container "main" of pod migrate-x2k9 ended (the kubelet reports code 137): it was gone when the kubelet looked for it`,
				"The node or its container runtime was restarted, or the pod was removed by force. "+movedHint)},
		{name: "evicted for memory", outcome: event.Failed,
			state: failed(exits(137, "Error", "", 59), fails("Evicted", "The node was low on resource: memory. Threshold quantity: 100Mi, available: 60Mi. Container main was using 900Mi, request is 0, has larger consumption of memory. "), disrupted("TerminationByKubelet", "")),
			cause: podCause(event.Evicted, "main", ptr[int32](137), "pod migrate-x2k9 was evicted from node node-1: The node was low on resource: memory. Threshold quantity: 100Mi, available: 60Mi. Container main was using 900Mi, request is 0, has larger consumption of memory",
				"Raise resources.requests.memory to what the pod really needs: pods above their request go first.")},
		{name: "evicted for disk", state: failed(fails("Evicted", `Container main exceeded its local ephemeral storage limit "1Gi". `)), outcome: event.Failed,
			cause: podCause(event.Evicted, "", nil, `pod migrate-x2k9 was evicted from node node-1: Container main exceeded its local ephemeral storage limit "1Gi"`,
				"Write less to the container's file system and log, or raise requests and limits of ephemeral-storage.")},
		{name: "drained", state: failed(exits(143, "Error", "", 59), disrupted("EvictionByEvictionAPI", "Eviction API: evicting"), deleted(50)), outcome: event.Failed,
			cause: podCause(event.Evicted, "main", ptr[int32](143), "pod migrate-x2k9 was evicted from node node-1 through the API, as when a node is drained", movedHint)},
		{name: "preempted", state: failed(disrupted("PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod"), runs, deleted(50)), outcome: event.Failed,
			cause: podCause(event.Preempted, "", nil, "pod migrate-x2k9 was preempted on node node-1 by a pod of higher priority",
				"Give the Job a priorityClassName of its own, or a higher backoffLimit, or a podFailurePolicy that ignores DisruptionTarget.")},
		{name: "preempted by the kubelet", state: failed(fails("Preempting", "Preempted in order to admit critical pod")), outcome: event.Failed,
			cause: podCause(event.Preempted, "", nil, "pod migrate-x2k9 was ended to make room on node node-1 for a critical pod", movedHint)},
		{name: "node tainted", state: failed(runs, disrupted("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"), deleted(50)), outcome: event.Failed,
			cause: podCause(event.NodeLost, "", nil, "pod migrate-x2k9 was removed from node node-1, which is unreachable, not ready or otherwise tainted NoExecute", nodeHint)},
		{name: "node deleted", state: failed(fails("", ""), disrupted("DeletionByPodGC", "PodGC: node no longer exists")), outcome: event.Failed,
			cause: podCause(event.NodeLost, "", nil, "pod migrate-x2k9 was removed because node node-1 no longer exists", movedHint)},
		{name: "node that never was", state: failed(placed("nowhere"), fails("", ""), disrupted("DeletionByPodGC", "PodGC: node no longer exists")), outcome: event.Failed,
			cause: podCause(event.NodeLost, "", nil, "pod migrate-x2k9 was removed because node nowhere does not exist", movedHint)},
		{name: "nodeName that never was", outcome: event.Failed, state: state(61, job(func(j *batchv1.Job) { j.Spec.Template.Spec.NodeName = "nowhere" }),
			pod("migrate-x2k9", placed("nowhere"), fails("", ""), disrupted("DeletionByPodGC", "PodGC: node no longer exists")), failedCount(1), backoffLimitExceeded(60)),
			cause: podCause(event.NodeLost, "", nil, "pod migrate-x2k9 was removed because node nowhere does not exist", "Correct nodeName of the pod template, or leave it out, so that a scheduler chooses: kubectl get nodes")},
		{name: "node lost", state: failed(fails("NodeLost", "Node node-1 which was running pod migrate-x2k9 is unresponsive")), outcome: event.Failed,
			cause: podCause(event.NodeLost, "", nil, "node node-1, on which pod migrate-x2k9 ran, was lost", nodeHint)},
		{name: "node shut down", state: failed(fails("Terminated", "Pod was terminated in response to imminent node shutdown.")), outcome: event.Failed,
			cause: podCause(event.NodeLost, "", nil, "pod migrate-x2k9 was ended because node node-1 was shut down", movedHint)},
		{name: "refused by the node", state: failed(fails("OutOfcpu", "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000, used: 1900, capacity: 2000")), outcome: event.Failed,
			cause: podCause(event.Unschedulable, "", nil, "node node-1 refused pod migrate-x2k9 (OutOfcpu): Pod was rejected: Node didn't have enough resource: cpu, requested: 1000, used: 1900, capacity: 2000", describeHint)},
		{name: "deleted by someone, which its container did not survive", state: failed(exits(137, "Error", "", 50), deleted(20)), outcome: event.Failed,
			cause: podCause(event.Evicted, "main", ptr[int32](137), "pod migrate-x2k9 was deleted while it ran", deletedPodHint)},
		{name: "deleted by someone after its container had failed", state: failed(exits(3, "Error", "", 19), deleted(20)), outcome: event.Failed,
			cause: podCause(event.ContainerExit, "main", ptr[int32](3), `container "main" of pod migrate-x2k9 exited with code 3`, logsHint)},
		{name: "deleted by someone", state: state(61, backoffLimitExceeded(60), failedCount(1), pod("migrate-x2k9", runs, deleted(20)), gone), outcome: event.Failed,
			cause: podCause(event.Evicted, "", nil, "pod migrate-x2k9 was deleted while it ran", deletedPodHint)},
		{name: "a disruption that has not happened yet", state: state(9, pod("migrate-x2k9", runs, disrupted("PreemptionByScheduler", "")))},

		{name: "podFailurePolicy on an exit code", outcome: event.Failed,
			state: state(61, condition(batchv1.JobFailureTarget, "PodFailurePolicy", "Container main for pod prod/migrate-x2k9 failed with exit code 137 matching FailJob rule at index 1", 60), job(func(j *batchv1.Job) {
				j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{}, {OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpNotIn, Values: []int32{0, 3}}}}}
			})),
			cause: podCause(event.PodFailurePolicy, "main", ptr[int32](137), `container "main" of pod migrate-x2k9 exited with code 137 (ended by SIGKILL); podFailurePolicy.rules[1] (exit codes other than 0, 3) fails the Job for that`, killHint)},
		{name: "podFailurePolicy on a condition", outcome: event.Failed,
			state: state(61, condition(batchv1.JobFailureTarget, "PodFailurePolicy", "Pod prod/migrate-x2k9 has condition DisruptionTarget matching FailJob rule at index 0", 60),
				pod("migrate-x2k9", exits(137, "Error", "", 59), disrupted("EvictionByEvictionAPI", ""))),
			cause: podCause(event.PodFailurePolicy, "main", ptr[int32](137), "pod migrate-x2k9 was evicted from node node-1 through the API, as when a node is drained; podFailurePolicy.rules[0] fails the Job for its condition DisruptionTarget", movedHint)},
		{name: "podFailurePolicy in unknown words", outcome: event.Failed,
			state: state(61, condition(batchv1.JobFailureTarget, "PodFailurePolicy", "rule three", 60)),
			cause: jobCause(event.PodFailurePolicy, "the podFailurePolicy of Job prod/migrate failed it: rule three", "The policy ends the Job without further attempts: kubectl -n prod get job migrate -o jsonpath='{.spec.podFailurePolicy}'")},

		{name: "deadline while it ran", outcome: event.Failed,
			state: state(61, condition(batchv1.JobFailureTarget, "DeadlineExceeded", "Job was active longer than specified deadline", 60), job(func(j *batchv1.Job) { j.Spec.ActiveDeadlineSeconds = ptr[int64](60) }), pod("migrate-x2k9", runs, deleted(60))),
			cause: jobCause(event.DeadlineExceeded, "Job prod/migrate was active longer than its deadline of 60 s (activeDeadlineSeconds): 0 of 1 pod succeeded", "Raise activeDeadlineSeconds, or find out in its log what took so long.")},
		{name: "deadline while it could not start", outcome: event.Failed,
			state: state(61, condition(batchv1.JobFailureTarget, "DeadlineExceeded", "Job was active longer than specified deadline", 60), job(func(j *batchv1.Job) { j.Spec.ActiveDeadlineSeconds, j.Status.Failed = ptr[int64](60), 1 }),
				pod("migrate-x2k9", deleted(60), unscheduled("0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."))),
			cause: jobCause(event.DeadlineExceeded, "Job prod/migrate was active longer than its deadline of 60 s (activeDeadlineSeconds): pod migrate-x2k9 cannot be scheduled: 0/1 nodes are available: 1 Insufficient memory", "Lower the request for memory or add room to the cluster.")},
		{name: "failed indexes", outcome: event.Failed,
			state: state(61, condition(batchv1.JobFailureTarget, "FailedIndexes", "Job has failed indexes", 60), job(func(j *batchv1.Job) { j.Spec.Completions, j.Status.FailedIndexes = ptr[int32](10), ptr("1,3-5") }),
				pod("migrate-a", index(4), exits(9, "Error", "", 40)), pod("migrate-x2k9", index(3), exits(3, "Error", "", 30)), pod("migrate-b", index(0), exits(0, "Completed", "", 10))),
			cause: podCause(event.FailedIndexes, "main", ptr[int32](3), `4 of 10 indexes failed (1,3-5): container "main" of pod migrate-x2k9 (index 3) exited with code 3`, logsHint)},
		{name: "too many failed indexes, no pod seen", outcome: event.Failed,
			state: state(61, condition(batchv1.JobFailureTarget, "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes", 60), job(func(j *batchv1.Job) {
				j.Spec.Completions, j.Spec.MaxFailedIndexes, j.Status.FailedIndexes = ptr[int32](10), ptr[int32](1), ptr("1,3")
			})),
			cause: jobCause(event.MaxFailedIndexesExceeded, "2 of 10 indexes failed (1,3), more than maxFailedIndexes allows (1)", "See more: kubectl -n prod describe job migrate")},
	})
}

func TestFailFast(t *testing.T) {
	pull := func(why string) string {
		return `the image "registry.example/app:1" of container "main" of pod migrate-x2k9 cannot be pulled: ` + why
	}
	config := func(message string) func(*State) {
		return func(s *State) {
			pod("migrate-x2k9", waits("CreateContainerConfigError", message))(s)
			happened("Failed", "Error: "+message, 2, 5, 15)(s)
		}
	}
	mount := func(message string) func(*State) {
		return func(s *State) { pod("migrate-x2k9")(s); happened("FailedMount", message, 4, 2, 16)(s) }
	}
	secretVolume := func(s *State) {
		s.Pods[0].Spec.Volumes = []corev1.Volume{{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "cert"}}}}
	}
	projectedVolume := func(s *State) {
		s.Pods[0].Spec.Volumes = []corev1.Volume{{Name: "all", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "cert"}}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}, Items: []corev1.KeyToPath{{Key: "a"}}}}}}}}}
	}
	told := func(by string) func(*State) {
		return func(s *State) { s.Events[len(s.Events)-1].Source.Component = by }
	}
	const notFound = `failed to pull and unpack image "registry.example/app:1": failed to resolve reference "registry.example/app:1": registry.example/app:1: not found`
	missing := podCause(event.CreateContainerConfig, "main", nil, `container "main" of pod migrate-x2k9 cannot be created: Secret "db" does not exist in namespace prod`,
		"Create it (kubectl -n prod create secret generic db --from-literal=KEY=VALUE) or correct the name.")
	imageNotFound := podCause(event.ImagePull, "main", nil, pull("the registry has no such image or tag"), "Check name and tag, and that the image was pushed.")
	check(t, []verdictCase{
		{name: "missing secret, looked for once", state: state(200, pod("migrate-x2k9", waits("CreateContainerConfigError", `secret "db" not found`)), happened("Failed", `Error: secret "db" not found`, 1, 3, 3))},
		{name: "missing secret, looked for twice", state: state(18, pod("migrate-x2k9", waits("CreateContainerConfigError", `secret "db" not found`)), happened("Failed", `Error: secret "db" not found`, 2, 3, 16)), outcome: event.Failed, cause: missing},
		{name: "image not found", state: state(30, pullFails(notFound, 2, 14)), outcome: event.Failed, cause: imageNotFound},
		{name: "image not found, first back-off", state: state(200, pullFails(notFound, 1, 2))},
		{name: "image not found, within the grace", state: state(21, pullFails(notFound, 2, 14))},
		{name: "image not found, without fail-fast", state: state(30, pullFails(notFound, 2, 14), func(s *State) { s.Options.FailFast = false })},
		{name: "image not found, events may not be read", state: state(62, pullFails(notFound, 0, 0), func(s *State) { s.Events = nil }), outcome: event.Failed, cause: imageNotFound},
		{name: "image not found, events may not be read, within the grace", state: state(60, pullFails(notFound, 0, 0), func(s *State) { s.Events = nil })},
		{name: "image not found, as only an event says in the back-off of an old kubelet",
			state: state(30, pullFails(notFound, 2, 14), func(s *State) {
				s.Pods[0].Status.ContainerStatuses[0].State.Waiting.Message = `Back-off pulling image "registry.example/app:1"`
			})},
		{name: "private image", outcome: event.Failed,
			state: state(30, pullFails(`failed to pull and unpack image "registry.example/app:1": failed to resolve reference "registry.example/app:1": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`, 2, 14)),
			cause: podCause(event.ImagePull, "main", nil, pull("the registry refuses it: it needs credentials, or does not exist"), "Check the name, and give credentials with registry-credentials or imagePullSecrets.")},
		{name: "401 of the token server", outcome: event.Failed,
			state: state(30, pullFails(`failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://registry.example/token: 401 Unauthorized`, 2, 14)),
			cause: podCause(event.ImagePull, "main", nil, pull("the registry refuses it: it needs credentials, or does not exist"), "Check the name, and give credentials with registry-credentials or imagePullSecrets.")},
		{name: "another platform", outcome: event.Failed,
			state: state(30, pullFails(`failed to pull and unpack image "registry.example/app:1": no match for platform in manifest: not found`, 2, 14)),
			cause: podCause(event.ImagePull, "main", nil, pull("it was not built for the node's platform"), "Build it for that platform too (docker buildx build --platform linux/amd64,linux/arm64), or choose nodes with a nodeSelector on kubernetes.io/arch.")},
		{name: "rate limit heals", state: state(200, pullFails(`unexpected status from HEAD request to https://registry.example/v2/: 429 Too Many Requests`, 5, 190))},
		{name: "network heals", state: state(200, pullFails(`failed to do request: Head "https://registry.example/v2/app/manifests/1": dial tcp: lookup registry.example: no such host`, 5, 190))},
		{name: "unknown pull errors heal", state: state(200, pullFails(`the registry sings`, 5, 190))},
		{name: "never pulled", state: state(3, pod("migrate-x2k9", waits("ErrImageNeverPull", `Container image "registry.example/app:1" is not present with pull policy of Never`))), outcome: event.Failed,
			cause: podCause(event.ImagePull, "main", nil, `the image "registry.example/app:1" of container "main" of pod migrate-x2k9 is not on node node-1, and its imagePullPolicy is Never`, "Load the image onto the node, or set imagePullPolicy to IfNotPresent.")},
		{name: "invalid image name", state: state(3, pod("migrate-x2k9", waits("InvalidImageName", `Failed to apply default image tag "A:1": couldn't parse image name "A:1": invalid reference format`))), outcome: event.Failed,
			cause: podCause(event.InvalidImageName, "main", nil, `the image "registry.example/app:1" of container "main" of pod migrate-x2k9 is not a valid image name: invalid reference format`, "Correct the image: registry/repository:tag, all lower case up to the tag.")},
		{name: "missing secret", state: state(20, config(`secret "db" not found`)), outcome: event.Failed, cause: missing},
		{name: "missing secret, within the grace", state: state(19, config(`secret "db" not found`))},
		{name: "missing secret, while another pod works", state: state(60, pod("migrate-a", runs), config(`secret "db" not found`))},
		{name: "missing secret, while another pod is on its way", state: state(60, pod("migrate-a"), config(`secret "db" not found`))},
		{name: "missing secret, while a pod is not seen yet", state: state(60, job(func(j *batchv1.Job) { j.Status.Active = 2 }), config(`secret "db" not found`))},
		{name: "missing secret, while another pod ends", state: state(60, pod("migrate-a", runs, deleted(50)), config(`secret "db" not found`)), outcome: event.Failed, cause: missing},
		{name: "missing secret, while another container works", state: state(60, config(`secret "db" not found`), func(s *State) {
			p := s.Pods[0]
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "other"})
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: "other", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})
		})},
		{name: "missing secret, under another controller", state: state(60, config(`secret "db" not found`), job(func(j *batchv1.Job) { j.Spec.ManagedBy = ptr("example.com/other") }))},
		{name: "missing key", state: state(20, config(`couldn't find key password in Secret prod/db`)), outcome: event.Failed,
			cause: podCause(event.CreateContainerConfig, "main", nil, `container "main" of pod migrate-x2k9 cannot be created: Secret "db" has no key "password"`, "See the keys that it has: kubectl -n prod describe secret db")},
		{name: "missing key, and its event comes late", state: state(40, pod("migrate-x2k9", waits("CreateContainerConfigError", `couldn't find key password in Secret prod/db`)))},
		{name: "missing key, and events may not be read", state: state(60, pod("migrate-x2k9", waits("CreateContainerConfigError", `couldn't find key password in Secret prod/db`))), outcome: event.Failed,
			cause: podCause(event.CreateContainerConfig, "main", nil, `container "main" of pod migrate-x2k9 cannot be created: Secret "db" has no key "password"`, "See the keys that it has: kubectl -n prod describe secret db")},
		{name: "a slow API server heals", state: state(200, config(`failed to sync secret cache: timed out waiting for the condition`))},
		{name: "no command", outcome: event.Failed,
			state: state(20, pod("migrate-x2k9", waits("CreateContainerError", "failed to generate container spec: no command specified")),
				happened("Failed", "Error: failed to generate container spec: no command specified", 2, 5, 15)),
			cause: podCause(event.CreateContainerConfig, "main", nil, `container "main" of pod migrate-x2k9 cannot be created (CreateContainerError): failed to generate container spec: no command specified`, "The image has no command of its own: set command of the container.")},
		{name: "other errors of the runtime heal", state: state(200, pod("migrate-x2k9", waits("CreateContainerError", "context deadline exceeded")))},
		{name: "missing secret for a volume", state: state(17, mount(`MountVolume.SetUp failed for volume "tls" : secret "cert" not found`), secretVolume), outcome: event.Failed,
			cause: podCause(event.FailedMount, "", nil, `volume "tls" of pod migrate-x2k9 cannot be mounted: Secret "cert" does not exist in namespace prod`, "Create it (kubectl -n prod create secret generic cert --from-file=FILE) or correct the name.")},
		{name: "missing secret for a volume, told late as a timeout too", outcome: event.Failed,
			state: state(200, mount(`MountVolume.SetUp failed for volume "tls" : secret "cert" not found`), happened("FailedMount", "Unable to attach or mount volumes: unmounted volumes=[tls], unattached volumes=[], failed to process volumes=[]: context deadline exceeded", 1, 124, 124), secretVolume),
			cause: podCause(event.FailedMount, "", nil, `volume "tls" of pod migrate-x2k9 cannot be mounted: Secret "cert" does not exist in namespace prod`, "Create it (kubectl -n prod create secret generic cert --from-file=FILE) or correct the name.")},
		{name: "missing key for a volume", state: state(17, mount(`MountVolume.SetUp failed for volume "tls" : references non-existent secret key: tls.key`), secretVolume), outcome: event.Failed,
			cause: podCause(event.FailedMount, "", nil, `volume "tls" of pod migrate-x2k9 cannot be mounted: Secret "cert" has no key "tls.key"`, "See the keys that it has: kubectl -n prod describe secret cert")},
		{name: "missing key for a projected volume", state: state(17, mount(`MountVolume.SetUp failed for volume "all" : references non-existent config key: a`), projectedVolume), outcome: event.Failed,
			cause: podCause(event.FailedMount, "", nil, `volume "all" of pod migrate-x2k9 cannot be mounted: ConfigMap "settings" has no key "a"`, "See the keys that it has: kubectl -n prod describe configmap settings")},
		{name: "a key that nothing in the pod asks for", state: state(200, mount(`MountVolume.SetUp failed for volume "all" : references non-existent config key: b`), projectedVolume)},
		{name: "a volume that the pod does not have", state: state(200, mount(`MountVolume.SetUp failed for volume "tls" : secret "cert" not found`))},
		{name: "a Secret that the pod does not need", state: state(200, mount(`MountVolume.SetUp failed for volume "tls" : secret "other" not found`), secretVolume)},
		{name: "a path of the node, as only an event says", state: state(200, mount(`MountVolume.SetUp failed for volume "h" : hostPath type check failed: /x is not a directory`))},
		{name: "a mount error that another component tells", state: state(200, mount(`MountVolume.SetUp failed for volume "tls" : secret "cert" not found`), secretVolume, told("tenant"))},
		{name: "a mount that succeeded later", state: state(200, mount(`MountVolume.SetUp failed for volume "tls" : secret "cert" not found`), happened("Pulling", `Pulling image "registry.example/app:1"`, 1, 17, 17))},
		{name: "a mount that succeeded before an init container", state: state(200, mount(`MountVolume.SetUp failed for volume "tls" : secret "cert" not found`), func(s *State) {
			with("wait", corev1.ContainerState{Terminated: terminated(0, "Completed", "", 21)})(s.Pods[0])
		})},
		{name: "attaching heals", state: state(200, mount(`x`), func(s *State) { s.Events = nil }, happened("FailedAttachVolume", `Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) other`, 2, 2, 10))},
		{name: "sandbox heals", state: state(200, pod("migrate-x2k9"), happened("FailedCreatePodSandBox", `Failed to create pod sandbox: plugin type="calico" failed (add): connection refused`, 9, 2, 190))},
		{name: "missing claim", state: state(17, pod("migrate-x2k9", unscheduled(`0/1 nodes are available: persistentvolumeclaim "data" not found. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.`))), outcome: event.Failed,
			cause: podCause(event.Unschedulable, "", nil, `pod migrate-x2k9 cannot be scheduled: PersistentVolumeClaim "data" does not exist in namespace prod`, "Create the claim, or correct its name: kubectl -n prod get persistentvolumeclaims")},
		{name: "other reasons not to be scheduled heal", state: state(200, pod("migrate-x2k9", unscheduled("0/1 nodes are available: 1 Insufficient cpu.")))},

		{name: "quota, the pod alone", state: state(11, refuses("exceeded quota: small, requested: limits.cpu=2,pods=1, used: limits.cpu=0,pods=3, limited: limits.cpu=500m,pods=10")), outcome: event.Failed,
			cause: jobCause(event.PodCreateRejected, `no pod of the Job can be created: ResourceQuota "small" allows limits.cpu=500m,pods=10, limits.cpu=0,pods=3 is used and the pod asks for limits.cpu=2,pods=1`,
				"The pod alone is more than the quota allows: lower its requests or raise the quota (kubectl -n prod describe resourcequota small).")},
		{name: "quota, the pod alone, within the grace", state: state(10, refuses("exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0"))},
		{name: "quota that others use heals", state: state(200, refuses("exceeded quota: small, requested: pods=1, used: pods=5, limited: pods=5"))},
		{name: "webhook", state: state(11, happened("FailedCreate", `(combined from similar events): Error creating: admission webhook "images.example.com" denied the request: unsigned image`, 40, 1, 9)), outcome: event.Failed,
			cause: jobCause(event.PodCreateRejected, `no pod of the Job can be created: admission webhook "images.example.com" denies it: unsigned image`, "Change the Job to what the webhook allows, or ask those who run it.")},
		{name: "webhook that does not answer heals", state: state(200, happened("FailedCreate", `Error creating: Internal error occurred: failed calling webhook "images.example.com": connection refused`, 40, 1, 9))},
		{name: "the account that Kubernetes makes heals", state: state(200, refuses(`error looking up service account prod/default: serviceaccount "default" not found`))},
		{name: "errors of the server heal", state: state(200, happened("FailedCreate", `Error creating: etcdserver: request timed out`, 40, 1, 9))},
		{name: "invalid pod", state: state(11, happened("FailedCreate", `Error creating: Pod "migrate-abc" is invalid: spec.containers[0].image: Required value`, 40, 1, 9)), outcome: event.Failed,
			cause: jobCause(event.PodCreateRejected, `no pod of the Job can be created: Pod "migrate-abc" is invalid: spec.containers[0].image: Required value`, "See more: kubectl -n prod describe job migrate")},
		{name: "refused once, then created", state: state(200, refuses("exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0"), pod("migrate-x2k9", runs, func(p *corev1.Pod) { p.CreationTimestamp = at(9) }))},
		{name: "refused for the next attempt", state: state(60, refuses(`error looking up service account prod/runner: serviceaccount "runner" not found`), pod("migrate-a", exits(1, "Error", "", 3)), func(s *State) { s.Events[0].FirstTimestamp = at(5) }), outcome: event.Failed,
			cause: jobCause(event.PodCreateRejected, `no pod of the Job can be created: ServiceAccount "runner" does not exist in namespace prod`, "Create it (kubectl -n prod create serviceaccount runner) or correct serviceAccountName.")},
	})
}

// A verdict by fail-fast deletes the Job; one of the Job itself never does.
func TestWhoEndedIt(t *testing.T) {
	ours := Decide(state(3, pod("migrate-x2k9", waits("InvalidImageName", "x"))))
	if !ours.DeleteJob || ours.CausePod != "" {
		t.Errorf("fail-fast: %+v", ours)
	}
	theirs := Decide(state(61, backoffLimitExceeded(60), failedCount(1), pod("migrate-x2k9", exits(3, "Error", "", 59))))
	if theirs.DeleteJob || theirs.CausePod != "migrate-x2k9" || theirs.CauseContainer != "main" || theirs.Incomplete {
		t.Errorf("failed: %+v", theirs)
	}
	// What took the time of a run is said by an attempt that failed, or else by the only container that was still at work.
	for name, c := range map[string]struct {
		pods           []func(*State)
		pod, container string
	}{
		"one container":           {[]func(*State){pod("a", runs)}, "a", "main"},
		"an attempt that failed":  {[]func(*State){pod("a", exits(3, "Error", "", 9)), pod("b", runs)}, "a", "main"},
		"an init container":       {[]func(*State){pod("a", with("wait", corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(4)}}))}, "a", "wait"},
		"several pods":            {[]func(*State){pod("a", runs), pod("b", runs)}, "", ""},
		"a pod that cannot start": {[]func(*State){pod("a", waits("ImagePullBackOff", "x"))}, "", ""},
	} {
		late := Decide(state(3600, c.pods...))
		if late.Outcome != event.TimedOut || late.CausePod != c.pod || late.CauseContainer != c.container {
			t.Errorf("timed out with %s: %s, %q, %q", name, late.Outcome, late.CausePod, late.CauseContainer)
		}
	}
}

// The Job's condition may come before the last state of the pod that led to it.
func TestIncomplete(t *testing.T) {
	limit := job(func(j *batchv1.Job) { j.Spec.BackoffLimit = ptr[int32](1) })
	s := state(61, limit, backoffLimitExceeded(60), failedCount(2), pod("migrate-a", exits(3, "Error", "", 20)), pod("migrate-x2k9", runs))
	if v := Decide(s); !v.Incomplete || v.Outcome != event.Failed {
		t.Errorf("one failure of two was seen: %+v", v)
	}
	s = state(61, limit, backoffLimitExceeded(60), failedCount(2), pod("migrate-a", exits(3, "Error", "", 20)), pod("migrate-x2k9", exits(4, "Error", "", 59)))
	if v := Decide(s); v.Incomplete || *v.Cause.ExitCode != 4 {
		t.Errorf("both failures were seen: %+v", v)
	}
	uncounted := state(61, condition(batchv1.JobFailureTarget, "FailedIndexes", "", 60))
	if v := Decide(uncounted); !v.Incomplete {
		t.Errorf("no failed pod was seen: %+v", v)
	}
}

func TestPatience(t *testing.T) {
	suspend := job(func(j *batchv1.Job) { j.Spec.Suspend = ptr(true) })
	suspended := func(status corev1.ConditionStatus, seconds int) func(*State) {
		return job(func(j *batchv1.Job) {
			j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: batchv1.JobSuspended, Status: status, LastTransitionTime: at(seconds)})
		})
	}
	unhurried := func(s *State) { s.Options.Timeout = 0 }
	limit := job(func(j *batchv1.Job) { j.Spec.BackoffLimit = ptr[int32](6) })
	ended := exits(1, "Error", "", 9)
	for _, c := range []struct {
		name    string
		state   State
		outcome event.Outcome
		reason  event.Reason
		message string
		next    int // seconds; 0: none
	}{
		{name: "nothing started", state: state(299), next: 300},
		{name: "being deleted, and its pods have just ended", state: state(70, job(func(j *batchv1.Job) { j.DeletionTimestamp, j.Finalizers = ptr(at(8)), []string{"example.com/hold"} }), pod("migrate-x2k9", exits(0, "Completed", "", 60))), next: 75},
		{name: "nothing started until start-timeout", state: state(300), outcome: event.TimedOut, reason: event.StartTimeout,
			message: "Job prod/migrate started no container within 5m (start-timeout): 0/1 done"},
		{name: "unschedulable until start-timeout", outcome: event.TimedOut, reason: event.Unschedulable,
			state:   state(300, pod("migrate-x2k9", unscheduled("0/3 nodes are available: 3 node(s) had untolerated taint(s)."))),
			message: "Job prod/migrate started no container within 5m (start-timeout): pod migrate-x2k9 cannot be scheduled: 0/3 nodes are available: 3 node(s) had untolerated taint(s)"},
		{name: "nobody schedules it until start-timeout", outcome: event.TimedOut, reason: event.Unschedulable, state: state(300, pod("migrate-x2k9", untaken("nobody"))),
			message: `Job prod/migrate started no container within 5m (start-timeout): no scheduler called "nobody" has taken pod migrate-x2k9`},
		{name: "no kubelet takes it until start-timeout", outcome: event.TimedOut, reason: event.StartTimeout, state: state(300, pod("migrate-x2k9", placed("nowhere"))),
			message: `Job prod/migrate started no container within 5m (start-timeout): the kubelet of node "nowhere" has not taken pod migrate-x2k9`},
		{name: "sandbox until start-timeout", outcome: event.TimedOut, reason: event.StartTimeout,
			state:   state(300, pod("migrate-x2k9"), happened("FailedCreatePodSandBox", "Failed to create pod sandbox: no IP left", 9, 2, 290)),
			message: "Job prod/migrate started no container within 5m (start-timeout): the sandbox of pod migrate-x2k9 cannot be made: Failed to create pod sandbox: no IP left"},
		{name: "started", state: state(300, pod("migrate-x2k9", runs)), next: 3600},
		{name: "had started", state: state(300, pod("migrate-a", ended), pod("migrate-x2k9")), next: 3600},
		{name: "ready in another cluster", state: state(300, job(func(j *batchv1.Job) { j.Status.Ready = ptr[int32](1) })), next: 3600},
		{name: "timeout", state: state(3600, pod("migrate-x2k9", runs)), outcome: event.TimedOut, reason: event.Timeout,
			message: "Job prod/migrate did not finish within 1h (timeout): 0/1 done, 1 running"},
		{name: "an init container works", state: state(400, pod("migrate-x2k9", with("wait", corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(4)}}))), next: 3600},
		{name: "an init container ended", state: state(499, pod("migrate-x2k9", with("wait", corev1.ContainerState{Terminated: terminated(0, "Completed", "", 200)}))), next: 500},
		{name: "nothing started after an init container", outcome: event.TimedOut, reason: event.StartTimeout,
			state:   state(500, pod("migrate-x2k9", with("wait", corev1.ContainerState{Terminated: terminated(0, "Completed", "", 200)}))),
			message: "Job prod/migrate started no main container within 5m (start-timeout): 0/1 done, 1 creating container (8 min 19 s)"},
		{name: "only a sidecar works", outcome: event.TimedOut, reason: event.ImagePull,
			state: state(300, pullFails("x: connection refused", 2, 2), func(s *State) {
				with("proxy", corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(4)}})(s.Pods[0])
				s.Pods[0].Spec.InitContainers[0].RestartPolicy = ptr(corev1.ContainerRestartPolicyAlways)
			}),
			message: `Job prod/migrate started no main container within 5m (start-timeout): the image "registry.example/app:1" of container "main" of pod migrate-x2k9 cannot be pulled: the registry cannot be reached (x: connection refused)`},
		{name: "no limits", state: state(99999, func(s *State) { s.Options = Options{} })},
		{name: "grace ends first", state: state(3, pullFails("x: not found", 2, 2)), next: 22},
		{name: "grace of a refusal ends first", state: state(3, refuses("no PriorityClass with name high was found")), next: 11},
		{name: "suspended", state: state(3599, suspend), next: 3600},
		{name: "suspended until the timeout", state: state(3600, suspended(corev1.ConditionTrue, 5)), outcome: event.TimedOut, reason: event.Timeout,
			message: "Job prod/migrate did not finish within 1h (timeout): 0/1 done, suspended, and nobody has resumed it"},
		{name: "resumed now and then", state: state(3600, suspended(corev1.ConditionFalse, 3500)), outcome: event.TimedOut, reason: event.Timeout,
			message: "Job prod/migrate did not finish within 1h (timeout): 0/1 done"},
		{name: "queued", state: state(99999, suspend, unhurried), next: 0},
		{name: "queued until queue-timeout", outcome: event.TimedOut, reason: event.QueueTimeout,
			state:   state(500, suspended(corev1.ConditionTrue, 200), func(s *State) { s.Options.QueueTimeout = 5 * time.Minute }),
			message: "Job prod/migrate was not resumed within 5m (queue-timeout): it is suspended and waits until somebody resumes it"},
		{name: "queued, within queue-timeout", state: state(499, suspended(corev1.ConditionTrue, 200), func(s *State) { s.Options.QueueTimeout = 5 * time.Minute }), next: 500},
		{name: "resumed", state: state(1100, suspended(corev1.ConditionFalse, 1000)), next: 1300},
		{name: "resumed, then nothing started", state: state(1300, suspended(corev1.ConditionFalse, 1000)), outcome: event.TimedOut, reason: event.StartTimeout,
			message: "Job prod/migrate started no container within 5m (start-timeout): 0/1 done"},
		{name: "no parallelism", state: state(300, job(func(j *batchv1.Job) { j.Spec.Parallelism = ptr[int32](0) })), outcome: event.TimedOut, reason: event.StartTimeout,
			message: "Job prod/migrate started no container within 5m (start-timeout): 0/1 done; the Job's parallelism is 0, so it has no pods"},
		{name: "timeout after failures", outcome: event.TimedOut, reason: event.Timeout,
			state:   state(3600, limit, pod("migrate-a", exits(1, "Error", "", 9)), pod("migrate-b", exits(3, "Error", "no such schema", 30)), pod("migrate-c", runs)),
			message: `Job prod/migrate did not finish within 1h (timeout): 0/1 done, 1 running; 2 attempts failed, the last one: container "main" of pod migrate-b exited with code 3: no such schema`},
		{name: "timeout after a failure", outcome: event.TimedOut, reason: event.Timeout, state: state(3600, limit, failedCount(1), pod("migrate-a", exits(1, "Error", "", 9))),
			message: `Job prod/migrate did not finish within 1h (timeout): 0/1 done, 1 failed: Kubernetes waits before the next attempt; one attempt failed: container "main" of pod migrate-a exited with code 1`},
		{name: "timeout while an init container waits", outcome: event.TimedOut, reason: event.Timeout,
			state:   state(3600, pod("migrate-x2k9", with("wait-for-db", corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(4)}}))),
			message: `Job prod/migrate did not finish within 1h (timeout): 0/1 done, 1 running init containers (59 min 56 s): init container "wait-for-db" of pod migrate-x2k9 has been running for 59 min 56 s`},
		{name: "timeout while an init container waits without a word", outcome: event.TimedOut, reason: event.Timeout,
			state:   state(3600, pod("migrate-x2k9", with("wait", working)), silent),
			message: `Job prod/migrate did not finish within 1h (timeout): 0/1 done, 1 running init containers (59 min 56 s): init container "wait" of pod migrate-x2k9 has been running for 59 min 56 s and has written nothing to its log`},
		{name: "timeout while a pod is told to stop", outcome: event.TimedOut, reason: event.Timeout,
			state:   state(3600, limit, pod("migrate-x2k9", runs, deleted(3590))),
			message: "Job prod/migrate did not finish within 1h (timeout): 0/1 done, 1 terminating (10 s)"},
		{name: "resumed before we looked", state: state(200, suspended(corev1.ConditionFalse, -100)), next: 300},
		{name: "suspended with a pod that cannot start", state: state(99, suspend, pod("migrate-x2k9", waits("InvalidImageName", "x"))), next: 3600},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := confirmed(t, c.state)
			if v.Outcome != c.outcome || v.Decided != (c.outcome != "") || v.DeleteJob != v.Decided {
				t.Errorf("outcome %q, decided %v, delete %v", v.Outcome, v.Decided, v.DeleteJob)
			}
			if v.Cause != nil && (v.Cause.Reason != c.reason || v.Cause.Message != c.message) || (v.Cause == nil) != (c.reason == "") {
				t.Errorf("cause %v", v.Cause)
			}
			var next time.Time
			if c.next > 0 {
				next = at(c.next).Time
			}
			if !v.Next.Equal(next) {
				t.Errorf("next %v, want %v", v.Next, next)
			}
		})
	}
}

func TestSchedulingHint(t *testing.T) {
	big := pod("migrate-x2k9", unscheduled("0/5 nodes are available: 1 Insufficient cpu, 1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint(s), 1 node(s) didn't match Pod's node affinity/selector, 1 Too many pods. preemption: none."), func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("6"), "nvidia.com/gpu": resource.MustParse("1")}
		p.Spec.NodeSelector = map[string]string{"zone": "b", "disk": "ssd"}
	})
	v := Decide(state(300, big))
	want := "Lower the request for cpu (the pod asks for 6) or add room to the cluster. Lower the request for nvidia.com/gpu (the pod asks for 1) or add room to the cluster. " +
		"Add a toleration for the taint (kubectl get nodes -o custom-columns=NAME:.metadata.name,TAINTS:.spec.taints). " +
		"Nodes lack the labels disk=ssd, zone=b that nodeSelector or nodeAffinity ask for (kubectl get nodes --show-labels). " +
		"The nodes have reached their number of pods: wait for others to end or add nodes."
	if v.Cause == nil || v.Cause.Hint != want {
		t.Errorf("hint %v", v.Cause)
	}
}

func TestProgress(t *testing.T) {
	three := job(func(j *batchv1.Job) { j.Spec.Completions, j.Spec.Parallelism = ptr[int32](10), ptr[int32](5) })
	gated := pod("migrate-x2k9", unscheduled(""), func(p *corev1.Pod) {
		p.Status.Conditions[0].Reason = corev1.PodReasonSchedulingGated
		p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/wait"}}
	})
	for _, c := range []struct {
		name  string
		state State
		want  string
	}{
		{"new", state(9), "0/1 done"},
		{"work queue", state(9, job(func(j *batchv1.Job) { j.Spec.Completions, j.Spec.Parallelism = nil, ptr[int32](4) })), "0 done"},
		{"counted and noted pods", state(9, three, job(func(j *batchv1.Job) {
			j.Status.Succeeded, j.Status.Failed = 2, 1
			j.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Succeeded: []types.UID{"a"}, Failed: []types.UID{"b", "c"}}
		})), "3/10 done, 3 failed"},
		{"groups", state(46, three, pod("a", runs), pod("b"), happened("Pulling", "Pulling image", 1, 1, 1), pod("c", unscheduled("0/1 nodes are available: 1 Too many pods.")), pod("d", unscheduled("")), pod("e", runs, deleted(40))),
			"0/10 done, 1 running, 2 being scheduled (45 s), 1 pulling image (45 s), 1 terminating (6.0 s): pod c cannot be scheduled: 0/1 nodes are available: 1 Too many pods"},
		{"pulled", state(9, pod("a"), happened("Pulling", "", 1, 1, 1), happened("Pulled", "", 1, 4, 4)), "0/1 done, 1 creating container (8.0 s)"},
		{"ended, the sidecar still runs", state(9, pod("a", exits(0, "Completed", "", 7), func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning })), "0/1 done, 1 ending (2.0 s)"},
		{"restarting", state(9, pod("a", waits("CrashLoopBackOff", ""), func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].LastTerminationState.Terminated = terminated(1, "Error", "", 5)
		})), "0/1 done, 1 waiting to be restarted (4.0 s)"},
		{"init containers", state(9, pod("a", waits("PodInitializing", ""), with("wait", corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(4)}}))), "0/1 done, 1 running init containers (5.0 s)"},
		{"a sidecar whose startup probe does not succeed", state(20, pod("a", mesh(func(c *corev1.Container, s *corev1.ContainerStatus) {
			c.StartupProbe, s.State, s.Started = &corev1.Probe{}, working, ptr(false)
		}))), `0/1 done, 1 waiting for a sidecar (19 s): the startup probe of sidecar "mesh" of pod a has not succeeded`},
		{"and that is restarted for that", state(20, pod("a", mesh(func(c *corev1.Container, s *corev1.ContainerStatus) {
			c.StartupProbe, s.State, s.Started, s.RestartCount, s.LastTerminationState.Terminated = &corev1.Probe{}, working, ptr(false), 2, terminated(137, "Error", "", 12)
		}))), `0/1 done, 1 waiting for a sidecar (19 s): the startup probe of sidecar "mesh" of pod a has not succeeded; it was restarted (2 times), and exited with code 137`},
		{"a sidecar that ends again and again", state(20, pod("a", mesh(func(_ *corev1.Container, s *corev1.ContainerStatus) {
			s.State.Waiting, s.RestartCount, s.LastTerminationState.Terminated = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}, 1, terminated(1, "Error", "", 12)
		}))), `0/1 done, 1 waiting for a sidecar (19 s): sidecar "mesh" of pod a has not started; it was restarted (1 time), and exited with code 1`},
		{"a sidecar that has started", state(20, pod("a", mesh(func(_ *corev1.Container, s *corev1.ContainerStatus) { s.State, s.Started = working, ptr(true) }))), "0/1 done, 1 creating container (19 s)"},
		{"a sidecar that is created", state(20, pod("a", mesh(func(_ *corev1.Container, s *corev1.ContainerStatus) {
			s.State.Waiting, s.Started = &corev1.ContainerStateWaiting{Reason: "PodInitializing"}, ptr(false)
		}))), "0/1 done, 1 creating container (19 s)"},
		{"a first failed pull", state(9, pullFails("dial tcp: no route to host", 1, 2)),
			`0/1 done, 1 waiting for its image (8.0 s): the image "registry.example/app:1" of container "main" of pod migrate-x2k9 cannot be pulled: the registry cannot be reached (dial tcp: no route to host)`},
		{"rate limit", state(9, pullFails("toomanyrequests: You have reached your pull rate limit", 1, 2)),
			`0/1 done, 1 waiting for its image (8.0 s): the image "registry.example/app:1" of container "main" of pod migrate-x2k9 cannot be pulled: the registry's rate limit is reached (toomanyrequests: You have reached your pull rate limit)`},
		{"gates", state(9, gated), "0/1 done, 1 held by scheduling gates (8.0 s): pod migrate-x2k9 is held by scheduling gates: example.com/wait"},
		{"autoscaler", state(9, pod("migrate-x2k9", unscheduled("0/1 nodes are available: 1 Insufficient cpu.")), happened("NotTriggerScaleUp", "", 1, 2, 2), happened("TriggeredScaleUp", "pod triggered scale-up", 1, 5, 5)),
			"0/1 done, 1 being scheduled (8.0 s): pod migrate-x2k9 cannot be scheduled: 0/1 nodes are available: 1 Insufficient cpu; the cluster autoscaler adds a node for it"},
		{"autoscaler cannot", state(9, pod("migrate-x2k9", unscheduled("0/1 nodes are available: 1 Insufficient cpu.")), happened("NotTriggerScaleUp", "", 1, 2, 2)),
			"0/1 done, 1 being scheduled (8.0 s): pod migrate-x2k9 cannot be scheduled: 0/1 nodes are available: 1 Insufficient cpu; the cluster autoscaler cannot add a node that would do"},
		{"no scheduler yet", state(10, pod("a", untaken("nobody"))), "0/1 done, 1 being scheduled (9.0 s)"},
		{"no scheduler", state(11, pod("a", untaken("nobody"))), `0/1 done, 1 being scheduled (10 s): no scheduler called "nobody" has taken pod a`},
		{"the cluster's scheduler is busy", state(60, pod("a", untaken("default-scheduler"))), "0/1 done, 1 being scheduled (59 s)"},
		{"no kubelet yet", state(10, pod("a", placed("nowhere"))), "0/1 done, 1 creating container (9.0 s)"},
		{"no kubelet", state(11, pod("a", placed("nowhere"))), `0/1 done, 1 waiting for its node (10 s): the kubelet of node "nowhere" has not taken pod a`},
		{"no kubelet of the node that the scheduler chose yet", state(14, pod("a", placed("node-1"), scheduledAt(5))), "0/1 done, 1 creating container (13 s)"},
		{"no kubelet of the node that the scheduler chose", state(15, pod("a", placed("node-1"), scheduledAt(5))), `0/1 done, 1 waiting for its node (14 s): the kubelet of node "node-1" has not taken pod a`},
		{"refused in part", state(9, three, refuses("exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"), pod("a", runs)),
			`0/10 done, 1 running: no further pod of the Job can be created: ResourceQuota "q" allows pods=1, pods=1 is used and the pod asks for pods=1`},
		{"Kueue", state(9, job(func(j *batchv1.Job) {
			j.Spec.Suspend, j.Labels = ptr(true), map[string]string{"kueue.x-k8s.io/queue-name": "team-a"}
		})), `0/1 done, suspended: it waits in the Kueue queue "team-a"`},
		{"in another cluster", state(9, job(func(j *batchv1.Job) { j.Status.Ready = ptr[int32](2) })), "0/1 done, 2 running"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Decide(c.state).Progress
			if got := p.String(); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if want := c.state.Now.Sub(start); p.Elapsed != want {
				t.Errorf("elapsed %v, want %v", p.Elapsed, want)
			}
		})
	}
}

// mesh gives a pod a native sidecar.
func mesh(change func(*corev1.Container, *corev1.ContainerStatus)) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		with("mesh", corev1.ContainerState{})(p)
		p.Spec.InitContainers[0].RestartPolicy = ptr(corev1.ContainerRestartPolicyAlways)
		change(&p.Spec.InitContainers[0], &p.Status.InitContainerStatuses[0])
	}
}

// beside gives a pod a second main container, which works.
func beside(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: name})
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(3)}}})
	}
}

func still(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }

// TestLingers: the work of a pod has ended, and another container keeps it from ending.
func TestLingers(t *testing.T) {
	proxied := func(code int32, more ...func(*corev1.Pod)) func(*State) {
		return pod("migrate-x2k9", append([]func(*corev1.Pod){beside("proxy"), exits(code, "Error", "", 9), still}, more...)...)
	}
	named := func(name string) func(*State) { return func(s *State) { s.Options.MainContainer = name } }
	failed := func(message, hint string) *event.Cause {
		return podCause(event.ContainerExit, "main", ptr[int32](1), `container "main" of pod migrate-x2k9 exited with code 1`+message, hint)
	}
	logHint := "The last lines of its log say why: kubectl -n prod logs migrate-x2k9 -c main"
	const runsOn = `; "proxy" runs on and keeps pod migrate-x2k9 and its Job from ending`
	check(t, []verdictCase{
		{name: "failed, within the grace", state: state(23, proxied(1))},
		{name: "failed, and no attempt is left", state: state(24, proxied(1)), outcome: event.Failed, cause: failed(runsOn, lingerHint)},
		{name: "failed, and an attempt is left", state: state(24, proxied(1), job(func(j *batchv1.Job) { j.Spec.BackoffLimit = ptr[int32](1) }))},
		{name: "failed, without fail-fast", state: state(24, proxied(1), func(s *State) { s.Options.FailFast = false })},
		{name: "failed, and is restarted", state: state(24, proxied(1, func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure }))},
		{name: "failed, and another pod works", state: state(24, proxied(1), pod("b", runs))},
		{name: "succeeded", state: state(99, proxied(0))},
		{name: "the failed one is not what counts", state: state(99, proxied(1, func(p *corev1.Pod) { p.Annotations = map[string]string{defaultContainer: "proxy"} }))},
		{name: "succeeded, timeout", state: state(3600, proxied(0)), outcome: event.TimedOut,
			cause: jobCause(event.Timeout, `Job prod/migrate did not finish within 1h (timeout): 0/1 done, 1 running; container "main" has ended with code 0, but "proxy" runs on and keeps pod migrate-x2k9 and its Job from ending`, lingerHint)},
		{name: "main-container succeeded", state: state(11, proxied(0), named("main")), outcome: event.Succeeded},
		{name: "main-container succeeded a moment ago", state: state(10, proxied(0), named("main"))},
		{name: "main-container failed", state: state(11, proxied(1), named("main")), outcome: event.Failed, cause: failed("", logHint)},
		{name: "main-container works", state: state(99, proxied(1), named("proxy"))},
		{name: "one main-container of two has succeeded", state: state(99, proxied(0), named("main"), job(func(j *batchv1.Job) { j.Spec.Completions = ptr[int32](2) }))},
		{name: "both have succeeded", outcome: event.Succeeded, state: state(99, proxied(0), named("main"), pod("b", exits(0, "Completed", "", 9)), job(func(j *batchv1.Job) { j.Spec.Completions = ptr[int32](2) }))},
	})
	// Another run that follows the Job may be the first to end it.
	vanish := func(s *State) { s.Gone = true }
	stopped := func(at int) func(*corev1.Pod) { // the proxy, by the pod's deletion 2 s before
		return func(p *corev1.Pod) {
			deleted(at - 2)(p)
			p.Status.Phase, p.Status.ContainerStatuses[1].State = corev1.PodFailed, corev1.ContainerState{Terminated: terminated(143, "Error", "", at)}
		}
	}
	wasDeleted := jobCause(event.JobDeleted, "Job prod/migrate was deleted by someone else before it finished (0 of 1 pod succeeded)",
		"Look for another run, a clean-up job or a person that deletes Jobs in this namespace; the audit log of the cluster knows who it was.")
	check(t, []verdictCase{
		{name: "main-container succeeded, and the Job is gone", state: state(10, proxied(0), named("main"), vanish), outcome: event.Succeeded},
		{name: "main-container succeeded, and the Job goes", state: state(10, proxied(0), named("main"), job(func(j *batchv1.Job) { j.DeletionTimestamp = ptr(at(10)) })), outcome: event.Succeeded},
		{name: "main-container succeeded, and its pod is gone too", state: state(14, proxied(0, stopped(13)), gone, named("main"), vanish), outcome: event.Succeeded},
		{name: "main-container succeeded, and the proxy ends well when it is stopped", state: state(14, proxied(0, stopped(13), func(p *corev1.Pod) {
			p.Status.Phase, p.Status.ContainerStatuses[1].State.Terminated.ExitCode = corev1.PodSucceeded, 0
		}), named("main"), vanish), outcome: event.Succeeded},
		{name: "main-container ends well when it is stopped with the Job", state: state(14, proxied(0, stopped(11), func(p *corev1.Pod) {
			p.Status.Phase, p.Status.ContainerStatuses[1].State.Terminated.ExitCode = corev1.PodSucceeded, 0
		}), named("main"), vanish), outcome: event.Vanished, cause: wasDeleted},
		{name: "main-container failed, and its pod is gone too", state: state(14, proxied(1, stopped(13)), gone, named("main"), vanish), outcome: event.Failed,
			cause: podCause(event.ContainerExit, "main", ptr[int32](1), `container "main" of pod migrate-x2k9 exited with code 1`, "")},
		{name: "main-container was stopped with the Job", state: state(14, proxied(0, stopped(11)), gone, named("main"), vanish), outcome: event.Vanished, cause: wasDeleted},
		{name: "an earlier attempt failed, and the Job is gone", state: state(20, pod("migrate-x2k9", beside("proxy"), exits(1, "Error", "", 9), stopped(9), deleted(18)), gone, named("main"), vanish), outcome: event.Vanished, cause: wasDeleted},
		{name: "one main-container of two has succeeded, and the Job is gone", state: state(99, proxied(0), named("main"), job(func(j *batchv1.Job) { j.Spec.Completions = ptr[int32](2) }), vanish), outcome: event.Vanished,
			cause: jobCause(event.JobDeleted, "Job prod/migrate was deleted by someone else before it finished (0 of 2 pods succeeded)", wasDeleted.Hint)},
	})
	if v := Decide(state(11, proxied(0), named("main"))); !v.DeleteJob {
		t.Error("a Job whose rest runs on is not deleted")
	}
}

// TestAskedToStop: a pod that was told to stop while it worked may count as succeeded.
func TestAskedToStop(t *testing.T) {
	done := condition(batchv1.JobComplete, "", "", 60)
	ends := exits(0, "Completed", "", 20)
	queue := job(func(j *batchv1.Job) { j.Spec.Completions, j.Spec.Parallelism = nil, ptr[int32](3) })
	const incomplete = " while it worked, and then ended with code 0: its work may be incomplete"
	for _, c := range []struct {
		name  string
		state State
		want  string // "" for no warning
	}{
		{"nobody", state(61, done, pod("a", ends)), ""},
		{"evicted through the API", state(61, done, pod("a", ends, disrupted("EvictionByEvictionAPI", "Eviction API: evicting"))), "pod a was evicted (Eviction API: evicting)" + incomplete},
		{"deleted", state(61, done, pod("a", ends, deleted(15))), "pod a was deleted" + incomplete},
		{"deleted after its work", state(61, done, pod("a", ends, deleted(25))), ""},
		{"deleted, by its event alone", state(61, done, pod("a", ends, deleted(21)), happened("Killing", "Stopping container main", 1, 15, 15)), "pod a was deleted" + incomplete},
		{"stopped because the Job had succeeded", state(61, condition(batchv1.JobSuccessCriteriaMet, "SuccessPolicy", "", 10), pod("a", ends), happened("Killing", "Stopping container main", 1, 10, 10)), ""},
		{"deleted because the Job had succeeded", state(61, condition(batchv1.JobSuccessCriteriaMet, "SuccessPolicy", "", 10), pod("a", ends, deleted(10))), ""},
		{"over its emptyDir", state(61, done, pod("a", ends), happened("Evicted", `Usage of EmptyDir volume "d" exceeds the limit "1Mi".`, 1, 18, 18)), `pod a was evicted (Usage of EmptyDir volume "d" exceeds the limit "1Mi")` + incomplete},
		{"liveness", state(61, done, pod("a", ends), happened("Killing", "Container main failed liveness probe, will be restarted", 1, 18, 18)), "pod a was stopped by the kubelet (Container main failed liveness probe, will be restarted)" + incomplete},
		{"its sidecar was stopped behind it", state(61, done, pod("a", ends), happened("Killing", "Stopping container proxy", 1, 20, 20), func(s *State) {
			s.Events[0].InvolvedObject.FieldPath = "spec.initContainers{proxy}"
		}), ""},
		{"stopped after its work", state(61, done, pod("a", ends), happened("Preempted", "by a pod", 1, 40, 40)), ""},
		{"preempted", state(61, done, pod("a", ends), happened("Preempted", "Preempted by pod x on node n", 1, 17, 17)), "pod a was preempted (Preempted by pod x on node n)" + incomplete},
		{"a worker of a queue failed", state(61, done, queue, pod("a", ends), pod("b", exits(3, "Error", "lost it", 30))), `container "main" of pod b exited with code 3: lost it; it was not replaced, because other workers had succeeded`},
		{"a worker failed first, and another took its place", state(61, done, queue, pod("a", exits(3, "Error", "", 9)), pod("b", ends), pod("c", ends), pod("d", ends)), ""},
		{"one of two failed workers was replaced", state(61, done, queue, pod("a", exits(3, "Error", "", 9)), pod("b", ends), pod("c", exits(4, "Error", "", 30)), pod("d", ends)),
			`container "main" of pod c exited with code 4; it was not replaced, because other workers had succeeded`},
		{"an attempt failed", state(61, done, pod("a", exits(3, "Error", "", 9)), pod("b", ends)), ""},
	} {
		var got []string
		for _, w := range Decide(c.state).Warnings {
			got = append(got, w.Message)
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func fallsBack(p *corev1.Pod) {
	p.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
}

// TestProbe: what a container was killed for stands in an event only.
func TestProbe(t *testing.T) {
	probed := func(code int32, more ...func(*corev1.Pod)) State {
		s := state(61, backoffLimitExceeded(60), failedCount(1), pod("migrate-x2k9", append([]func(*corev1.Pod){exits(code, "Error", "", 40)}, more...)...),
			happened("Unhealthy", "Liveness probe failed: connection refused\n", 3, 20, 28), happened("Killing", "Stopping container main", 1, 30, 30))
		if code == 0 {
			s.Job.Status = batchv1.JobStatus{}
			condition(batchv1.JobComplete, "", "", 60)(&s)
		}
		return s
	}
	const last = `container "main" of pod migrate-x2k9 exited with code 137 (ended by SIGKILL)`
	if v := Decide(probed(137)); v.Cause.Message != last+"; the kubelet stopped it: Liveness probe failed: connection refused" || strings.Contains(v.Cause.Hint, "memory") {
		t.Errorf("without a restart: %v", v.Cause)
	}
	if v := Decide(probed(137, deleted(25))); strings.Contains(v.Cause.Message, "Liveness") {
		t.Errorf("deleted, with a probe that had failed: %v", v.Cause)
	}
	if v := Decide(probed(0)); len(v.Warnings) != 1 || v.Warnings[0].Message != "pod migrate-x2k9 was stopped by the kubelet (Liveness probe failed: connection refused) while it worked, and then ended with code 0: its work may be incomplete" {
		t.Errorf("ended with 0: %v", v.Warnings)
	}
	survived := state(61, backoffLimitExceeded(60), failedCount(1), pod("migrate-x2k9", exits(1, "Error", "", 40)), happened("Unhealthy", "Startup probe failed: not yet", 3, 20, 28))
	if v := Decide(survived); strings.Contains(v.Cause.Message, "probe") {
		t.Errorf("a probe that stopped nothing: %v", v.Cause)
	}
	v := Decide(state(61, backoffLimitExceeded(60), failedCount(1), pod("migrate-x2k9", exits(137, "Error", "", 40)), happened("Killing", "Container main failed liveness probe, will be restarted", 1, 30, 30)))
	if want := `container "main" of pod migrate-x2k9 exited with code 137 (ended by SIGKILL); the kubelet stopped it: Container main failed liveness probe, will be restarted`; v.Cause == nil || v.Cause.Message != want || strings.Contains(v.Cause.Hint, "memory") {
		t.Errorf("cause %v", v.Cause)
	}
}

// silent says that the init container "wait" of the newest pod has written nothing.
func silent(s *State) {
	s.Silent = map[Output]bool{{Pod: s.Pods[len(s.Pods)-1].UID, Container: "wait"}: true}
}

// working is the state of a container that began 4 s after the Job.
var working = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(4)}}

// TestNextNotice: what only the clock makes true is told in time, without a wait for the next heartbeat.
func TestNextNotice(t *testing.T) {
	for name, c := range map[string]struct {
		state State
		want  int
	}{
		"a classic sidecar":         {state(10, pod("a", beside("proxy"), exits(0, "Completed", "", 9), still)), 24},
		"it has been told":          {state(24, pod("a", beside("proxy"), exits(0, "Completed", "", 9), still)), 3600},
		"an init container":         {state(10, pod("a", with("wait", working))), 24},
		"it has worked for a while": {state(24, pod("a", with("wait", working))), 3600},
	} {
		if v := Decide(c.state); !v.Next.Equal(at(c.want).Time) {
			t.Errorf("%s: next %v, want %v", name, v.Next, at(c.want))
		}
	}
}

// TestDeleted: no hint sends users to what was deleted.
func TestDeleted(t *testing.T) {
	const kept = "The Job was deleted; it stays for a look with cleanup: never."
	for in, want := range map[string]string{
		"The last lines of its log say why: kubectl -n prod logs a-x.y -c main":                                           "The last lines of its log say why. " + kept,
		"See more: kubectl -n prod describe pod a":                                                                        kept,
		"See what it waits for: kubectl -n prod describe job a.b; or give it more time with start-timeout.":               "Give it more time with start-timeout. " + kept,
		`Leave suspend out of the manifest, or resume it in time: kubectl patch job a -p '{"spec":{"suspend":false}}'`:    "Leave suspend out of the manifest, or resume it in time. " + kept,
		"The policy ends the Job without further attempts: kubectl -n p get job a -o jsonpath='{.spec.podFailurePolicy}'": "The policy ends the Job without further attempts. " + kept,
		"Look at the node: kubectl describe node n. " + movedHint:                                                         "Look at the node: kubectl describe node n. " + movedHint,
		"Create it (kubectl -n prod create secret generic s --from-literal=KEY=VALUE) or correct the name.":               "Create it (kubectl -n prod create secret generic s --from-literal=KEY=VALUE) or correct the name.",
		"Code 255 is often an exit code of -1, or a failed connection of ssh or kubectl inside the container.":            "Code 255 is often an exit code of -1, or a failed connection of ssh or kubectl inside the container.",
		"": "",
	} {
		c := &event.Cause{Hint: in}
		Deleted(c, "cleanup: never")
		if c.Hint != want {
			t.Errorf("%q becomes %q, want %q", in, c.Hint, want)
		}
	}
	Deleted(nil, "cleanup: never")
}

// TestTimedOut: what a Job had come to when its time was over, and what to do about that.
func TestTimedOut(t *testing.T) {
	two := job(func(j *batchv1.Job) { j.Spec.Completions, j.Spec.Parallelism = ptr[int32](2), ptr[int32](2) })
	done := exits(0, "Completed", "", 3598)
	check(t, []verdictCase{
		{name: "no container has run", outcome: event.TimedOut, state: state(200, pod("a"), func(s *State) { s.Options.Timeout = 200 * time.Second }),
			cause: jobCause(event.Timeout, "Job prod/migrate did not finish within 3m20s (timeout): 0/1 done, 1 creating container (3 min 19 s)", "Give it more time with timeout.")},
		{name: "it works", outcome: event.TimedOut, state: state(3600, pod("a", runs)),
			cause: jobCause(event.Timeout, "Job prod/migrate did not finish within 1h (timeout): 0/1 done, 1 running", "Give it more time with timeout, or find out in its log what took so long.")},
		{name: "its work has succeeded", outcome: event.TimedOut, state: state(3600, pod("a", done)),
			cause: jobCause(event.Timeout, "Job prod/migrate did not finish within 1h (timeout): 0/1 done; its work has succeeded, and Kubernetes has not counted it yet",
				"Give it more time with timeout. Whoever runs it again does the work again.")},
		{name: "its work has succeeded, and its pod has not ended", outcome: event.TimedOut, state: state(3600, pod("a", done, func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning })),
			cause: jobCause(event.Timeout, "Job prod/migrate did not finish within 1h (timeout): 0/1 done, 1 ending (2.0 s); its work has succeeded, and Kubernetes has not counted it yet",
				"Give it more time with timeout. Whoever runs it again does the work again.")},
		{name: "its work has succeeded in a pod that was deleted", outcome: event.TimedOut, state: state(3600, pod("a", done, deleted(3590))),
			cause: jobCause(event.Timeout, "Job prod/migrate did not finish within 1h (timeout): 0/1 done", "Give it more time with timeout, or find out in its log what took so long.")},
		{name: "its parallelism was set to 0", outcome: event.TimedOut, state: state(3600, job(func(j *batchv1.Job) { j.Spec.Parallelism = ptr[int32](0) }), pod("a", exits(137, "Error", "", 90), deleted(60))),
			cause: &event.Cause{Reason: event.Timeout, Object: event.Ref{Kind: "Pod", Namespace: "prod", Name: "a"}, Container: "main", ExitCode: ptr[int32](137),
				Message: "Job prod/migrate did not finish within 1h (timeout): 0/1 done; one attempt failed: pod a was deleted while it ran; the Job's parallelism is 0, so it has no pods",
				Hint:    `Raise it: kubectl -n prod patch job migrate -p '{"spec":{"parallelism":1}}'`}},
		{name: "half of its work has succeeded", outcome: event.TimedOut, state: state(3600, two, pod("a", done), pod("b", runs)),
			cause: jobCause(event.Timeout, "Job prod/migrate did not finish within 1h (timeout): 0/2 done, 1 running", "Give it more time with timeout, or find out in its log what took so long.")},
	})
}

// killedBefore is a container whose first run was killed for lack of memory.
func killedBefore(p *corev1.Pod) {
	p.Status.ContainerStatuses[0].LastTerminationState.Terminated = terminated(137, "OOMKilled", "", 5)
}

// At the end, a warning is told by the result alone, and once for all pods that are alike.
func TestWarningsAtTheEnd(t *testing.T) {
	out := exits(137, "OOMKilled", "", 9)
	failed := Decide(state(61, backoffLimitExceeded(60), failedCount(4), pod("a", out), pod("b", out), pod("c", out), pod("d", exits(137, "OOMKilled", "", 19))))
	want := []event.Cause{{Reason: event.OOMKilled, Object: event.Ref{Kind: "Pod", Namespace: "prod", Name: "a"}, Container: "main", ExitCode: ptr[int32](137),
		Message: `container "main" of pod a was killed for lack of memory (exit code 137); it has no memory limit of its own (the same in 2 more pods)`,
		Hint:    "The pod's limit or the node's memory was used up: set resources.requests.memory and resources.limits.memory to what it needs."}}
	if diff := cmp.Diff(want, failed.Warnings); diff != "" {
		t.Errorf("failed (-want +got):\n%s", diff)
	}
	succeeded := Decide(state(61, condition(batchv1.JobComplete, "", "", 60), pod("a", memory("1Gi"), exits(0, "Completed", "", 9), killedBefore)))
	if len(succeeded.Warnings) != 1 || len(failed.Notices) > 0 || len(succeeded.Notices) > 0 {
		t.Errorf("warnings of the one that succeeded %v, notices %v and %v", succeeded.Warnings, succeeded.Notices, failed.Notices)
	}
}

func TestNotices(t *testing.T) {
	retried := job(func(j *batchv1.Job) { j.Spec.BackoffLimit = ptr[int32](6) })
	suspend := job(func(j *batchv1.Job) { j.Spec.Suspend = ptr(true) })
	for _, c := range []struct {
		name  string
		state State
		want  []event.Notice
	}{
		{"nothing to say", state(9, pod("a", runs)), nil},
		{"suspended", state(9, suspend), []event.Notice{{Level: event.Info, Key: "suspended",
			Message: "Job prod/migrate is suspended and waits until somebody resumes it", Hint: `Leave suspend out of the manifest, or resume it in time: kubectl -n prod patch job migrate -p '{"spec":{"suspend":false}}'`}}},
		{"suspended after it was created", state(9, suspend, job(func(j *batchv1.Job) { j.Generation = 2 })), []event.Notice{{Level: event.Info, Key: "suspended",
			Message: "Job prod/migrate is suspended and waits until somebody resumes it", Hint: `Somebody has changed it since it was created; resume it in time: kubectl -n prod patch job migrate -p '{"spec":{"suspend":false}}'`}}},
		{"Kueue", state(9, suspend, job(func(j *batchv1.Job) { j.Labels = map[string]string{"kueue.x-k8s.io/queue-name": "team-a"} })), []event.Notice{{Level: event.Info, Key: "queued",
			Message: `Job prod/migrate waits in the Kueue queue "team-a" until Kueue admits it`, Hint: "See why it does not: kubectl -n prod get workloads,localqueues"}}},
		{"another controller", state(9, job(func(j *batchv1.Job) { j.Spec.ManagedBy = ptr("kueue.x-k8s.io/multikueue") })), []event.Notice{{Level: event.Info, Key: "managed-by",
			Message: `Job prod/migrate is run by the controller "kueue.x-k8s.io/multikueue", not by Kubernetes' own; its pods may be in another cluster, and fail-fast does not apply`}}},
		{"Kubernetes' own controller, by name", state(9, job(func(j *batchv1.Job) { j.Spec.ManagedBy = ptr(batchv1.JobControllerName) })), nil},
		{"being deleted", state(9, job(func(j *batchv1.Job) { j.DeletionTimestamp = ptr(at(8)) })), []event.Notice{{Level: event.Warning, Key: "deleting", Message: "Job prod/migrate is being deleted by someone"}}},
		{"being deleted, and held", state(9, job(func(j *batchv1.Job) {
			j.DeletionTimestamp, j.Finalizers = ptr(at(8)), []string{"orphan", "example.com/hold"}
		})), []event.Notice{{Level: event.Warning, Key: "deleting",
			Message: "Job prod/migrate is being deleted by someone; its finalizers hold it (example.com/hold)",
			Hint:    `Whoever has put them there takes them away; by force: kubectl -n prod patch job migrate --type=merge -p '{"metadata":{"finalizers":null}}'`}}},
		{"pods still end", state(61, condition(batchv1.JobSuccessCriteriaMet, "SuccessPolicy", "", 60), pod("a", runs, deleted(60)), pod("b", runs)), []event.Notice{{Level: event.Info, Key: "terminating",
			Message: "the Job's verdict is in; 2 pods are still ending and not waited for"}}},
		{"memory kill of a run that was restarted", state(12, pod("a", memory("1Gi"), runs, killedBefore), pod("b", memory("1Gi"), runs, killedBefore), pod("c", runs)), []event.Notice{{Level: event.Warning, Key: "warning/OOMKilled/a/main",
			Message: `container "main" of pod a was killed because it used more than its memory limit of 1Gi (exit code 137) (the same in 1 more pod)`, Hint: "Raise resources.limits.memory of the container, or find out what needs that much."}}},
		{"an attempt failed", state(12, retried, failedCount(1), pod("a", exits(3, "Error", "", 9))), []event.Notice{{Level: event.Info, Key: "attempt/a/1",
			Message: `attempt 1 of 7 failed (container "main" of pod a exited with code 3); Kubernetes tries again in about 10 s`, Hint: "What must not run twice, such as a migration, wants backoffLimit: 0."}}},
		{"two attempts failed", state(42, retried, failedCount(2), pod("a", exits(3, "Error", "", 9)), pod("b", exits(4, "Error", "", 40))), []event.Notice{
			{Level: event.Info, Key: "attempt/a/1", Message: `attempt 1 of 7 failed (container "main" of pod a exited with code 3); Kubernetes tries again in about 10 s`, Hint: "What must not run twice, such as a migration, wants backoffLimit: 0."},
			{Level: event.Info, Key: "attempt/b/1", Message: `attempt 2 of 7 failed (container "main" of pod b exited with code 4); Kubernetes tries again in about 20 s`}}},
		{"the last attempt failed", state(12, failedCount(1), pod("a", exits(3, "Error", "", 9))), nil},
		{"nothing to run", state(2, job(func(j *batchv1.Job) { j.Spec.Completions = ptr[int32](0) }), condition(batchv1.JobComplete, "", "", 1)), []event.Notice{{Level: event.Warning, Key: "no-pods",
			Message: "Job prod/migrate succeeded without running anything", Hint: "Its completions are 0."}}},
		{"a classic sidecar, at first", state(23, pod("a", beside("proxy"), exits(0, "Completed", "", 9), still)), nil},
		{"a classic sidecar runs on", state(24, pod("a", beside("proxy"), exits(0, "Completed", "", 9), still)), []event.Notice{{Level: event.Warning, Key: "lingers/proxy",
			Message: `container "main" has ended with code 0, but "proxy" runs on and keeps pod a and its Job from ending`, Hint: lingerHint}}},
		{"an attempt failed, and its pod has not ended yet", state(12, retried, pod("a", exits(3, "Error", "", 9), still)), []event.Notice{{Level: event.Info, Key: "attempt/a/1",
			Message: `attempt 1 of 7 failed (container "main" of pod a exited with code 3); Kubernetes tries again in about 10 s`, Hint: "What must not run twice, such as a migration, wants backoffLimit: 0."}}},
		{"an attempt failed, and a classic sidecar keeps its pod", state(12, retried, pod("a", beside("proxy"), exits(3, "Error", "", 9), still)), []event.Notice{{Level: event.Info, Key: "attempt/a/1",
			Message: `attempt 1 of 7 failed (container "main" of pod a exited with code 3); "proxy" runs on and keeps pod a and its Job from ending`, Hint: "What must not run twice, such as a migration, wants backoffLimit: 0."}}},
		{"restarted in place", state(12, retried, pod("a", runs, func(p *corev1.Pod) {
			p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
			p.Status.ContainerStatuses[0].RestartCount, p.Status.ContainerStatuses[0].LastTerminationState.Terminated = 1, terminated(5, "Error", "", 9)
		})), []event.Notice{{Level: event.Info, Key: "attempt/a/1",
			Message: `attempt 1 of 7 failed (container "main" of pod a exited with code 5); the container is started again in its pod`, Hint: "What must not run twice, such as a migration, wants backoffLimit: 0."}}},
		{"a pod was told to stop, and may still succeed", state(12, retried, pod("a", runs, deleted(9), disrupted("EvictionByEvictionAPI", "Eviction API: evicting"))), nil},
		{"a worker failed, and another had succeeded", state(12, retried, job(func(j *batchv1.Job) {
			j.Spec.Completions, j.Spec.Parallelism, j.Status.Succeeded, j.Status.Failed = nil, ptr[int32](3), 1, 1
		}), pod("a", exits(3, "Error", "", 9)), pod("b", exits(0, "Completed", "", 5)), pod("c", runs)), nil},
		{"a worker failed, and none had succeeded", state(12, retried, failedCount(1), job(func(j *batchv1.Job) { j.Spec.Completions, j.Spec.Parallelism = nil, ptr[int32](3) }),
			pod("a", exits(3, "Error", "", 9)), pod("b", runs), pod("c", runs)), []event.Notice{{Level: event.Info, Key: "attempt/a/1",
			Message: `attempt 1 of 7 failed (container "main" of pod a exited with code 3); Kubernetes tries again in about 10 s`, Hint: "What must not run twice, such as a migration, wants backoffLimit: 0."}}},
		{"a silent init container, at first", state(23, pod("a", with("wait", working)), silent), nil},
		{"a silent init container", state(24, pod("a", with("wait", working)), silent), []event.Notice{{Level: event.Info, Key: "silent/wait",
			Message: `init container "wait" of pod a has been running for 20 s and has written nothing to its log`, Hint: silentHint}}},
		{"an init container that writes", state(24, pod("a", with("wait", working))), nil},
		{"memory kill that may become the cause", state(12, failedCount(1), pod("a", exits(137, "OOMKilled", "", 9))), nil},
		{"memory kill that is the cause", state(61, backoffLimitExceeded(60), failedCount(1), pod("a", exits(137, "OOMKilled", "", 9))), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Decide(c.state).Notices, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestResult(t *testing.T) {
	complete := state(75, condition(batchv1.JobComplete, "CompletionsReached", "", 70),
		job(func(j *batchv1.Job) {
			j.Status.StartTime, j.Status.CompletionTime, j.Status.Succeeded, j.Status.Failed = ptr(at(2)), ptr(at(70)), 1, 1
		}),
		pod("a", index(0), exits(3, "Error", "", 9)), gone, pod("b", index(0), exits(0, "Completed", "", 60), func(p *corev1.Pod) { p.Status.ContainerStatuses[0].RestartCount = 2 }))
	v := Decide(complete)
	want := event.Finished{
		Outcome: event.Succeeded, Job: event.Ref{Kind: "Job", Namespace: "prod", Name: "migrate"}, UID: "job-uid",
		Attempts: 2, Succeeded: 1, Failed: 1, StartedAt: at(2).Time, CompletedAt: at(70).Time, Duration: 70 * time.Second,
		Times: event.Times{Queue: time.Second, Pull: 2 * time.Second, Run: 57 * time.Second, End: 10 * time.Second},
		Pods: []event.PodResult{
			{Name: "a", Index: ptr(0), Node: "node-1", Phase: "Failed", Reason: "ContainerExit", ExitCode: ptr[int32](3), StartedAt: ptr(at(1).Time), EndedAt: ptr(at(9).Time),
				Attempt: 1, CreatedAt: ptr(at(1).Time), Times: event.Times{Pull: 2 * time.Second, Run: 6 * time.Second},
				Container: "main", Message: `container "main" of pod a (index 0) exited with code 3`},
			{Name: "b", Index: ptr(0), Node: "node-1", Phase: "Succeeded", ExitCode: ptr[int32](0), Restarts: 2, StartedAt: ptr(at(1).Time), EndedAt: ptr(at(60).Time),
				Attempt: 2, CreatedAt: ptr(at(1).Time), Times: event.Times{Pull: 2 * time.Second, Run: 57 * time.Second}},
		},
	}
	if diff := cmp.Diff(want, Result(complete, v)); diff != "" {
		t.Errorf("succeeded (-want +got):\n%s", diff)
	}

	early := state(61, condition(batchv1.JobFailureTarget, "DeadlineExceeded", "", 60), pod("a", runs), pod("b", exits(0, "Completed", "", 9)))
	if f := Result(early, Decide(early)); f.Failed != 1 || f.Attempts != 2 || !f.CompletedAt.Equal(at(60).Time) || f.Duration != time.Minute || f.Pods[0].EndedAt != nil || f.Pods[0].ExitCode != nil {
		t.Errorf("failed, pods still end: %+v", f)
	}

	ours := state(3600, pod("a", waits("ImagePullBackOff", "")), job(func(j *batchv1.Job) { j.Status.FailedIndexes = ptr("1,3") }))
	if f := Result(ours, Decide(ours)); f.Outcome != event.TimedOut || f.Duration != time.Hour || !f.CompletedAt.IsZero() || f.Pods[0].Reason != "ImagePullBackOff" || f.FailedIndexes != "1,3" {
		t.Errorf("timed out: %+v", f)
	}

	// The controller has not counted the pods yet.
	late := state(62, pod("a", runs), pod("b", exits(0, "Completed", "", 61)), pod("c", exits(3, "Error", "", 61)))
	if f := Result(late, Verdict{Outcome: event.Cancelled}); f.Succeeded != 1 || f.Failed != 1 || f.Attempts != 3 {
		t.Errorf("cancelled before the pods were counted: %+v", f)
	}

	if f := Result(State{}, Verdict{Outcome: event.Vanished}); f.Duration != 0 || f.Attempts != 0 || f.Pods != nil {
		t.Errorf("nothing was seen: %+v", f)
	}
}

// TestHealedMount: a mount that failed for a while, on a node that has the image, and a container that is long in the making. Only
// the events that Wants keeps are there, as in a run.
func TestHealedMount(t *testing.T) {
	trouble := happened("FailedMount", `MountVolume.SetUp failed for volume "v" : configmap "note" not found`, 1, 2, 2)
	for _, c := range []struct {
		after  string // what the kubelet told last
		ends   bool
		waits  string
		change func(*State)
	}{
		{"nothing", true, "waiting for volumes", func(*State) {}},
		{"Pulling", false, "pulling image", happened("Pulling", "Pulling image", 1, 14, 14)},
		{"Pulled", false, "creating container", happened("Pulled", "Container image already present on machine", 1, 14, 14)},
		{"Created", false, "creating container", happened("Created", "Container created", 1, 14, 14)},
		{"Started", false, "creating container", happened("Started", "Container started", 1, 14, 14)},
	} {
		s := state(18, pod("p"), trouble, c.change)
		s.Pods[0].Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "note"}}}}}
		s.Events = slices.DeleteFunc(s.Events, func(e *corev1.Event) bool { return !Wants(e) })
		v := confirmed(t, s)
		if v.Decided != c.ends || v.Progress.Waiting[0].For != c.waits {
			t.Errorf("%s: decided %t (%v), %s", c.after, v.Decided, v.Cause, v.Progress)
		}
	}
}

// TestWants: what is said a thousand times and explains nothing is not kept.
func TestWants(t *testing.T) {
	for reason, want := range map[string]bool{"Pulled": true, "FailedMount": true, "FailedCreate": true, "Failed": true, "NotTriggerScaleUp": true,
		"SuccessfulCreate": false, "Scheduled": false, "Killing": true, "Evicted": true, "Preempted": true, "BackOff": false, "": false} {
		if Wants(&corev1.Event{Reason: reason}) != want {
			t.Errorf("%s: want %t", reason, want)
		}
	}
}

// TestSeen reads the times of the three shapes that events come in.
func TestSeen(t *testing.T) {
	series := &corev1.Event{EventTime: metav1.NewMicroTime(at(1).Time), Series: &corev1.EventSeries{Count: 4, LastObservedTime: metav1.NewMicroTime(at(7).Time)}}
	for _, c := range []struct {
		name        string
		event       *corev1.Event
		first, last int
		count       int
	}{
		{"counted", &corev1.Event{FirstTimestamp: at(1), LastTimestamp: at(5), Count: 3}, 1, 5, 3},
		{"in a series", series, 1, 7, 4},
		{"with nothing but its creation", &corev1.Event{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(2)}}, 2, 2, 1},
	} {
		first, last, count := seen(c.event)
		if !first.Equal(at(c.first).Time) || !last.Equal(at(c.last).Time) || count != c.count {
			t.Errorf("%s: %s to %s, %d times", c.name, first, last, count)
		}
	}
}

// TestTimeoutHint: what holds the Job up says what to do, not the timeout.
func TestTimeoutHint(t *testing.T) {
	s := state(3600, pod("migrate-x2k9", unscheduled(`0/1 nodes are available: 1 Insufficient cpu.`)))
	s.Options = Options{Timeout: time.Hour}
	v := Decide(s)
	if v.Outcome != event.TimedOut || v.Cause.Reason != event.Timeout || v.Cause.Hint != "Lower the request for cpu or add room to the cluster." {
		t.Errorf("%s: %+v", v.Outcome, v.Cause)
	}
}

// TestNodeThatNobodyNames: a pod that was lost with its node, whose name is not known.
func TestNodeThatNobodyNames(t *testing.T) {
	v := Decide(state(61, backoffLimitExceeded(60), failedCount(1), pod("migrate-x2k9", func(p *corev1.Pod) {
		p.Spec.NodeName, p.Status.Phase, p.Status.Reason = "", corev1.PodFailed, "NodeLost"
	})))
	if v.Cause.Reason != event.NodeLost || !strings.Contains(v.Cause.Message, "node, on which pod migrate-x2k9 ran, was lost") || strings.Contains(v.Cause.Hint, "kubectl describe node") {
		t.Errorf("%+v", v.Cause)
	}
}
