package run

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/report"
	"github.com/planton/kubernetes-job-action/internal/report/json"
)

// masked is a sink that gets what the program's get.
type masked struct{ *report.Fanout }

func (m masked) AddSecrets(s ...event.Secret) { m.Fanout.AddSecrets(s...) }

// TestRecordManyPods plays an Indexed Job of 2,000 pods, 200 at a time, every twentieth of which fails in one of three ways, and keeps what
// a run tells of it with the recorded runs.
func TestRecordManyPods(t *testing.T) {
	const count, parallel = 2000, 200
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		at := func(ms int) metav1.Time {
			return metav1.NewTime(began.Add(time.Duration(ms) * time.Millisecond).Truncate(time.Second))
		}
		indexed := batchv1.IndexedCompletion
		made := func(conditions ...batchv1.JobConditionType) *batchv1.Job {
			j := wants(there("ours", conditions...), count)
			j.CreationTimestamp, j.Status.StartTime = at(0), &metav1.Time{Time: began}
			j.Spec.Parallelism, j.Spec.CompletionMode, j.Spec.BackoffLimitPerIndex = new(int32(parallel)), &indexed, new(int32(0))
			return j
		}
		l, _ := play(t, exchange{createURL, 201, made()})
		l.options = Options{Wait: true, Logs: LogsNone, OnCancel: UnfinishedDelete, OnTimeout: UnfinishedLeave, IfExists: IfExistsFail}
		var out bytes.Buffer
		l.sink = masked{report.New(json.New(&out))}

		var beats []beat
		say := func(ms int, f event.Fact) { beats = append(beats, beat{time.Duration(ms/1000+1) * time.Second, f}) }
		succeeded, failed, end := int32(0), int32(0), 0
		for i := range count {
			name := fmt.Sprintf("j-%d-%05x", i, i*7919%1048573)
			created := 500 + i/parallel*40000 + i%parallel*50
			scheduled, started := created+200+i%5*100, created+2000+i%7*900
			ended := started + 20000 + i%11*500
			end = max(end, ended)
			pod := func(change func(*corev1.Pod, *corev1.ContainerStatus)) *corev1.Pod {
				p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: at(created),
					Annotations: map[string]string{batchv1.JobCompletionIndexAnnotation: fmt.Sprint(i)}},
					Spec: corev1.PodSpec{NodeName: fmt.Sprint("node-", i%40), RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "worker", Image: "busybox:1.36"}}},
					Status: corev1.PodStatus{Phase: corev1.PodPending, StartTime: new(at(scheduled)),
						Conditions:        []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: at(scheduled)}},
						ContainerStatuses: []corev1.ContainerStatus{{Name: "worker", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}}}}}
				change(p, &p.Status.ContainerStatuses[0])
				return p
			}
			said := func(ms int, kind, reason, message string) {
				e := &corev1.Event{ObjectMeta: metav1.ObjectMeta{UID: types.UID(name + reason), CreationTimestamp: at(ms)}, Type: kind, Reason: reason, Message: message, Count: 1}
				e.InvolvedObject = corev1.ObjectReference{Kind: "Pod", UID: types.UID("uid-" + name)}
				say(ms, event.EventSeen{Event: e})
			}
			say(scheduled, event.PodSeen{Pod: pod(func(*corev1.Pod, *corev1.ContainerStatus) {})})
			said(scheduled, "Normal", "Pulled", `Container image "busybox:1.36" already present on machine`)
			say(started, event.PodSeen{Pod: pod(func(p *corev1.Pod, c *corev1.ContainerStatus) {
				p.Status.Phase, c.State = corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(started)}}
			})})
			code, reason, text := int32(0), "Completed", []string{fmt.Sprintf("shard %d: %d rows", i, i*31%977)}
			if i%20 == 7 {
				switch i / 20 % 3 {
				case 0:
					code, reason, text = 1, "Error", []string{"Traceback (most recent call last):", fmt.Sprintf(`  File "/app/load.py", line 88, in shard_%d`, i),
						fmt.Sprintf("ConnectionError: shard-%d.db:5432 refused the connection after %d ms", i, i*3)}
				case 1:
					code, reason, text = 28, "Error", []string{fmt.Sprintf("FATAL: no space left on device after %d rows", i*17)}
				default:
					code, reason = 137, "OOMKilled"
				}
			}
			stream := &event.Stream{Namespace: "ns", Pod: name, PodUID: "uid-" + name, Container: "worker", ContainerID: "containerd://" + name, Kind: event.Main, Index: i, Attempt: 1}
			var told []event.Line
			for _, line := range text {
				told = append(told, event.Line{At: began.Add(time.Duration(ended-100) * time.Millisecond), Text: line})
			}
			say(ended-50, event.Lines{Stream: stream, Lines: told})
			say(ended, event.PodSeen{Pod: pod(func(p *corev1.Pod, c *corev1.ContainerStatus) {
				p.Status.Phase = corev1.PodSucceeded
				if code != 0 {
					p.Status.Phase = corev1.PodFailed
				}
				c.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: at(started), FinishedAt: at(ended)}}
			})})
			if code == 0 {
				succeeded++
			} else {
				failed++
			}
			if i%100 == 99 {
				j := counted(made(), succeeded, failed)
				j.Status.Active = parallel
				say(ended+1000, event.JobSeen{Job: j})
			}
		}
		j := counted(made(batchv1.JobFailed), succeeded, failed)
		var indexes []byte
		for i := 7; i < count; i += 20 {
			indexes = fmt.Appendf(indexes, ",%d", i)
		}
		j.Status.FailedIndexes = new(string(indexes[1:]))
		j.Status.Conditions[0].Reason, j.Status.Conditions[0].Message = batchv1.JobReasonFailedIndexes, "Job has failed indexes"
		j.Status.Conditions[0].LastTransitionTime = at(end + 2000)
		say(end+2000, event.JobSeen{Job: j})
		// One thing at a time, so that what is told does not depend on who comes first.
		slices.SortStableFunc(beats, func(a, b beat) int { return int(a.at - b.at) })
		for i := 1; i < len(beats); i++ {
			beats[i].at = max(beats[i].at, beats[i-1].at+time.Microsecond)
		}
		l.script(beats...)
		finished := l.run(t.Context())
		l.emit(finished)
		if finished.Failed != 100 || finished.Succeeded != 1900 || finished.Outcome != event.Failed {
			t.Fatalf("%s, %d failed, %d succeeded", finished.Outcome, finished.Failed, finished.Succeeded)
		}
		golden.Compare(t, "../../testdata/runs/2000-pods.jsonl.gz", out.String())
	})
}
