package run

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/planton/kubernetes-job-action/internal/apitest"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// TestTimeoutIsAllIn: whatever a run does when its timeout of 10 s is over, and whether or not anybody answers, it ends then, but for what
// its Job's deletion may take.
func TestTimeoutIsAllIn(t *testing.T) {
	const s = time.Second
	made, removed := exchange{createURL, 201, there("ours")}, exchange{removeURL, 200, there("ours")}
	missing := exchange{"GET " + jobURL, 404, apierrors.NewNotFound(jobsResource, "j").Status()}
	silent := func(want string) exchange { return exchange{want, 0, nil} }
	const review = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
	left := exchange{podsURL + "j", 200, podList(a("j-1", "Running", ours))}
	waits := []exchange{left, missing, {"POST " + jobsURL + "?dryRun=All", 201, there("x")}}
	secret := &corev1.Secret{}
	secret.Namespace, secret.Name = "ns", "s"
	noSecret := exchange{"GET /api/v1/namespaces/ns/secrets/s", 404, missing.Body}
	ended := func(at time.Duration) beat { return beat{at, event.JobSeen{Job: there("ours", batchv1.JobComplete)}} }
	for _, test := range []struct {
		name      string
		exchanges []exchange
		change    func(*loop, *apitest.Server)
		beats     []beat
		output    *output
		took      time.Duration
		want      []string // each is in what is told
	}{
		{"the rights are asked for", []exchange{silent(review)}, func(l *loop, _ *apitest.Server) { l.options.Preflight = true }, nil, nil, 10 * s,
			[]string{"timed-out: Timeout: the run was not done within 10 s (timeout): cannot ask what is allowed in namespace ns: the API server https://api.example does not answer in time"}},
		{"the API server refuses every connection", []exchange{silent(podsURL + "j")}, func(l *loop, p *apitest.Server) {
			p.Expect()
			p.Down(apitest.Refused)
			l.client.Health.Answered() // its address is right
		}, nil, nil, 10 * s, []string{"timed-out: Timeout: the run was not done within 10 s (timeout): cannot list the pods of Job ns/j: the API server https://api.example refuses the connection"}},
		{"a lock is waited for, and the API server goes", []exchange{{"GET /apis/coordination.k8s.io/v1/namespaces/ns/leases/x +", 200, func() any {
			l := heldBy("other")
			l.TypeMeta = metav1.TypeMeta{Kind: "Lease", APIVersion: "coordination.k8s.io/v1"}
			return l
		}}}, func(l *loop, p *apitest.Server) {
			l.options.Lock = Lock{Name: "x"}
			time.AfterFunc(5*s, func() { p.Down(apitest.Refused) })
		}, nil, nil, 10 * s, []string{"timed-out: Timeout: the run was not done within 10 s (timeout): lock x is not free: held by other; the API server https://api.example has not answered for 4.0 s"}},
		{"an earlier Job's pods are waited for", slices.Concat(waits, slices.Repeat([]exchange{left, missing}, 21)), func(l *loop, _ *apitest.Server) { l.options.Verdict.Timeout += 100 * time.Millisecond }, nil, nil, 10*s + 100*time.Millisecond,
			[]string{"timed-out: Timeout: the run was not done within 10 s (timeout): the pods of an earlier Job ns/j have not ended (j-1)"}},
		{"the Job's creation is not answered", []exchange{silent(createURL), {"GET " + jobURL, 200, there("ours")}, removed}, nil, nil, nil, 10 * s,
			[]string{"Job ns/j deleted (the run could not be completed)", "timed-out: Timeout: the run was not done within 10 s (timeout): cannot create Job ns/j: the API server https://api.example does not answer in time"}},
		{"the Job's creation is not answered, and it is to be left", []exchange{silent(createURL), {"GET " + jobURL, 200, there("ours")}}, func(l *loop, _ *apitest.Server) { l.options.OnTimeout = UnfinishedLeave }, nil, nil, 10 * s,
			[]string{"Job ns/j kept (it goes on, as on-timeout says)", "timed-out: Timeout: "}},
		{"nothing is known of the Job's creation", []exchange{silent(createURL), silent("GET " + jobURL)}, nil, nil, nil, 10*s + deleteLimit,
			[]string{"timed-out: Timeout: the run was not done within 10 s (timeout): ", "whether Job ns/j was created is not known", "kubectl -n ns get job j"}},
		{"a Secret is not taken", []exchange{missing, noSecret, made, silent("POST /api/v1/namespaces/ns/secrets"), removed}, func(l *loop, _ *apitest.Server) {
			l.objects.Owned = []runtime.Object{secret}
			l.options.OnTimeout = UnfinishedLeave
		}, nil, nil, 10 * s, []string{"Job ns/j deleted (the run could not be completed)", "timed-out: Timeout: "}},
		{"the API server is gone", []exchange{made}, nil, []beat{{5 * s, "down"}}, nil, 10*s + deleteLimit,
			[]string{"Job ns/j could not be deleted: ", "kubectl -n ns delete job j", "timed-out: Timeout: Job ns/j did not finish within 10s (timeout): 0/1 done; the API server https://api.example has not answered for 5.0 s"}},
		{"the API server says nothing any more", []exchange{made, silent(removeURL)}, nil, nil, nil, 10*s + deleteLimit,
			[]string{"Job ns/j could not be deleted: the API server https://api.example did not answer within 5.0 s", "kubectl -n ns delete job j", "timed-out: Timeout: "}},
		{"the logs are read to their end after a success", []exchange{made, removed}, nil, []beat{ended(9 * s)}, &output{never: true}, 10*s + drainCancelLimit,
			[]string{"timeout was over before the logs were read to their end: the last lines are missing", "succeeded"}},
		{"the logs are read to their end after the timeout", []exchange{made, removed}, nil, nil, &output{}, 10 * s, []string{"timed-out: Timeout: "}},
		{"the pods are looked at once more", []exchange{made, silent("GET /api/v1/namespaces/ns/pods"), removed}, nil, []beat{{9 * s, event.JobSeen{Job: counted(there("ours", batchv1.JobComplete), 1, 0)}}}, &output{}, 10 * s,
			[]string{"the last state of the pods is not known, lines may be missing", "succeeded"}},
		{"a succeeded Job is deleted", []exchange{made, silent(removeURL)}, nil, []beat{ended(9 * s)}, nil, 10*s + deleteLimit,
			[]string{"Job ns/j could not be deleted: the API server https://api.example did not answer within 5.0 s", "kubectl -n ns delete job j", "succeeded"}},
		{"what serves is not taken", []exchange{missing, kinds, {accountURL + tries, 200, account()}, waits[2], made, silent(accountURL + applies), removed}, func(l *loop, _ *apitest.Server) {
			l.objects.After = []*unstructured.Unstructured{account()}
		}, []beat{ended(9 * s)}, nil, 10 * s, []string{"failed: OthersNotApplied: Job ns/j succeeded, but what was to follow is not complete: the run was not done within 10 s (timeout): cannot apply ServiceAccount ns/a: the API server https://api.example does not answer in time"}},
		{"what was to be done first has taken a while", []exchange{left, missing, waits[2], left, missing, left, missing, free, free, made, removed}, nil, nil, nil, 10 * s, []string{"Job ns/j deleted (this run ended before it did)", "timed-out: Timeout: "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, server := play(t, test.exchanges...)
				l.options = Options{Wait: true, Logs: LogsNone, DeleteAfter: []event.Outcome{event.Succeeded}, OnCancel: UnfinishedDelete, OnTimeout: UnfinishedDelete, IfExists: IfExistsReplaceFinished}
				l.options.Verdict.Timeout = 10 * s
				l.objects.Job.Annotations = there("ours").Annotations
				if test.change != nil {
					test.change(l, server)
				}
				if test.output != nil {
					l.options.Logs = LogsStream
					l.plays(t, test.output)
				}
				for i, b := range test.beats {
					if b.fact == "down" {
						test.beats[i].fact = func() {
							server.Down(apitest.Refused)
							begin := time.Now()
							l.client.Health.Failed(begin, io.EOF)
							time.AfterFunc(3*s, func() { l.client.Health.Failed(begin, io.EOF) })
						}
					}
				}
				l.script(test.beats...)
				begin := time.Now()
				f := l.run(t.Context())
				if took := time.Since(begin); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
				if l.created != nil && f.UID != string(l.created.UID) {
					t.Errorf("the Job's UID is %q at the end, want %q", f.UID, l.created.UID)
				}
				var all []string
				for _, e := range told(l) {
					switch e := e.(type) {
					case event.Notice:
						all = append(all, e.Message, e.Hint)
					case event.Object:
						all = append(all, strings.TrimSuffix(fmt.Sprintf("%s %s (%s)", e.Object, e.Action, e.Detail), " ()"))
					}
				}
				end := string(f.Outcome)
				if f.Cause != nil {
					end += fmt.Sprintf(": %s: %s; %s", f.Cause.Reason, f.Cause.Message, f.Cause.Hint)
				}
				all = append(all, end)
				for _, want := range test.want {
					if !slices.ContainsFunc(all, func(text string) bool { return strings.Contains(text, want) }) {
						t.Errorf("nothing says %q in\n%s", want, strings.Join(all, "\n"))
					}
				}
			})
		})
	}
}
