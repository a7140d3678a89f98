package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/planton/kubernetes-job-action/internal/apitest"
	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// leases plays the API server of the one Lease ns/deploy, for any number of runs.
type leases struct {
	t *testing.T

	mu       sync.Mutex
	lease    *coordinationv1.Lease // nil while there is none
	version  int
	requests []string // the writes: when, which, who holds it then

	begin   time.Time
	slow    atomic.Int64                                    // the nanoseconds that every answer takes
	trouble func(method string, do func()) http.HandlerFunc // answers instead when it is not nil; do does what was asked
}

var leasesResource = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

func newLeases(t *testing.T, lease *coordinationv1.Lease) *leases {
	s := &leases{t: t, begin: time.Now()}
	if lease != nil {
		s.put(lease)
	}
	return s
}

// put writes the Lease as somebody else does; nil deletes it.
func (s *leases) put(lease *coordinationv1.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(lease)
}

// touch renews the Lease for whoever holds it.
func (s *leases) touch() { s.put(s.now()) }

func (s *leases) set(lease *coordinationv1.Lease) {
	if s.lease = lease; lease != nil {
		s.version++
		s.lease = lease.DeepCopy()
		s.lease.TypeMeta = metav1.TypeMeta{Kind: "Lease", APIVersion: "coordination.k8s.io/v1"}
		s.lease.Namespace, s.lease.Name, s.lease.ResourceVersion = "ns", "deploy", strconv.Itoa(s.version)
	}
}

func (s *leases) now() *coordinationv1.Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease.DeepCopy()
}

func (s *leases) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			s.t.Error(err)
		}
	}
	time.Sleep(time.Duration(s.slow.Load()))
	code, answer := 0, any(nil)
	do := func() { code, answer = s.do(r.Method, body) }
	if s.trouble != nil {
		if instead := s.trouble(r.Method, do); instead != nil {
			instead(w, r)
			return
		}
	}
	do()
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(answer); err != nil && r.Context().Err() == nil {
		s.t.Error(err)
	}
}

// do carries a request out as the API server does: with optimistic concurrency.
func (s *leases) do(method string, body []byte) (int, any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refuse := func(err *apierrors.StatusError) (int, any) {
		status := err.Status()
		status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		return int(status.Code), status
	}
	if method == http.MethodGet {
		if s.lease == nil {
			return refuse(apierrors.NewNotFound(leasesResource, "deploy"))
		}
		return 200, s.lease
	}
	sent := &coordinationv1.Lease{}
	if err := decode(body, sent); err != nil {
		s.t.Error(err)
	}
	code := 200
	switch {
	case method == http.MethodPost && s.lease != nil:
		return refuse(apierrors.NewAlreadyExists(leasesResource, "deploy"))
	case method == http.MethodPost:
		code = 201
	case s.lease == nil:
		return refuse(apierrors.NewNotFound(leasesResource, "deploy"))
	case sent.ResourceVersion != s.lease.ResourceVersion:
		return refuse(apierrors.NewConflict(leasesResource, "deploy", errors.New("it has been modified")))
	}
	s.set(sent)
	s.requests = append(s.requests, fmt.Sprintf("%s %s %s", time.Since(s.begin).Round(time.Second), method, holder(s.lease)))
	return code, s.lease
}

// nowhere answers the first writes as an API server does that has no such namespace.
func nowhere(writes int) func(string, func()) http.HandlerFunc {
	return func(method string, _ func()) http.HandlerFunc {
		if method == http.MethodGet || writes == 0 {
			return nil
		}
		writes--
		return func(w http.ResponseWriter, _ *http.Request) {
			status := apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns").Status()
			status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
			w.WriteHeader(404)
			_ = json.NewEncoder(w).Encode(status)
		}
	}
}

// play makes the loop of a run that wants the lock, on an API server that plays the other exchanges.
func (s *leases) play(holder string, exchanges ...exchange) (*loop, *apitest.Server, *transcript) {
	return s.loop(holder, script(exchanges), func(r *http.Request) string { return r.Method + " " + r.URL.RequestURI() })
}

func (s *leases) loop(holder string, exchanges []apitest.Exchange, name func(*http.Request) string) (*loop, *apitest.Server, *transcript) {
	server := apitest.NewLanes(s.t, func(r *http.Request) (string, string) {
		if strings.Contains(r.URL.Path, "/leases") {
			return "lease", "lease"
		}
		return "", name(r)
	}, map[string][]apitest.Exchange{"": exchanges, "lease": {{Want: "lease +", Body: http.HandlerFunc(s.ServeHTTP)}}})
	l := playOn(s.t, server)
	l.options = Options{Wait: true, Logs: LogsNone, DeleteAfter: []event.Outcome{event.Succeeded}, OnCancel: UnfinishedDelete, OnTimeout: UnfinishedDelete,
		IfExists: IfExistsReplaceFinished, Lock: Lock{Name: "deploy", Holder: holder, Timeout: time.Hour}}
	l.objects.Job.Annotations = map[string]string{cluster.NonceAnnotation: "nonce of " + holder}
	said := &transcript{begin: s.begin}
	l.sink = said
	return l, server, said
}

// heldBy is a Lease that another run made, whose clock is two hours ahead.
func heldBy(who string) *coordinationv1.Lease {
	later, seconds := metav1.NewMicroTime(time.Now().Add(2*time.Hour)), int32(60)
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{event.ManagedByLabel: event.ManagedBy},
		Annotations: map[string]string{cluster.NonceAnnotation: "nonce of " + who}}}
	l.Spec = coordinationv1.LeaseSpec{HolderIdentity: &who, LeaseDurationSeconds: &seconds, AcquireTime: &later, RenewTime: &later}
	return l
}

// freed is the same Lease without a holder; job is the last one that was created under it, "" for none.
func freed(who, job string) *coordinationv1.Lease {
	l := heldBy(who)
	l.Spec.HolderIdentity = nil
	delete(l.Annotations, cluster.NonceAnnotation)
	if job != "" {
		l.Annotations = with(with(l.Annotations, lockJobAnnotation, job), lockJobNonceAnnotation, "nonce of "+who)
	}
	return l
}

const podsURL = "GET /api/v1/namespaces/ns/pods?fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed&labelSelector=batch.kubernetes.io%2Fjob-name%3D"

func podList(pods ...*corev1.Pod) *corev1.PodList {
	l := &corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
	for _, p := range pods {
		l.Items = append(l.Items, *p)
	}
	return l
}

func sameText(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// at does something after a while, while the test goes on.
func at(after time.Duration, do func()) { time.AfterFunc(after, do) }

// TestLock plays whole runs under a lock.
func TestLock(t *testing.T) {
	const s = time.Second
	made, removed := exchange{createURL, 201, there("ours")}, exchange{removeURL, 200, there("ours")}
	missing := apierrors.NewNotFound(jobsResource, "j").Status()
	complete := beat{s, event.JobSeen{Job: there("ours", batchv1.JobComplete)}}
	predecessor := func(conditions ...batchv1.JobConditionType) *batchv1.Job {
		j := there("theirs", conditions...)
		j.Name, j.Annotations = "other", map[string]string{cluster.NonceAnnotation: "nonce of A"}
		return j
	}
	const getOther = "GET " + jobsURL + "/other"
	begun := []string{"Job ns/j created", "started Job ns/j: 1 pods of 0 containers"}
	after := func(d string, more ...string) []string {
		var out []string
		for _, m := range more {
			out = append(out, d+" "+m)
		}
		return out
	}
	for _, test := range []struct {
		name      string
		before    func() *coordinationv1.Lease
		exchanges []exchange
		change    func(l *loop, s *leases, server *apitest.Server)
		beats     []beat
		cancel    time.Duration
		want      []string // told
		writes    []string
		left      bool                                    // the Job goes on without the lock
		kept      bool                                    // the lock could not be released
		check     func(t *testing.T, told, writes string) // instead of want and writes
	}{
		{"it is free, renewed, and released", nil, []exchange{made, removed}, nil, []beat{{40 * s, complete.fact}}, 0,
			slices.Concat([]string{"info: lock deploy taken"}, begun, []string{"30s progress 0/1 done", "40s Job ns/j deleted", "40s info: lock deploy released", "40s finished succeeded"}),
			[]string{"0s POST held by B", "15s PUT held by B", "30s PUT held by B", "40s PUT held by nobody"}, false, false, nil},
		{"the run before has released it", func() *coordinationv1.Lease { return freed("A", "") }, []exchange{made, removed}, nil, []beat{complete}, 0,
			slices.Concat([]string{"info: lock deploy taken"}, begun, after("1s", "Job ns/j deleted", "info: lock deploy released", "finished succeeded")),
			[]string{"0s PUT held by B", "1s PUT held by nobody"}, false, false, nil},
		{"somebody has emptied its holder", func() *coordinationv1.Lease { return heldBy("") }, []exchange{made, removed}, nil, []beat{complete}, 0,
			slices.Concat([]string{"info: lock deploy taken"}, begun, after("1s", "Job ns/j deleted", "info: lock deploy released", "finished succeeded")),
			[]string{"0s PUT held by B", "1s PUT held by nobody"}, false, false, nil},
		{"it names what no Job can be called", func() *coordinationv1.Lease { return freed("A", "../../pods?x=a b") }, []exchange{made, removed}, nil, []beat{complete}, 0,
			slices.Concat([]string{"info: lock deploy taken"}, begun, after("1s", "Job ns/j deleted", "info: lock deploy released", "finished succeeded")),
			[]string{"0s PUT held by B", "0s PUT held by B", "1s PUT held by nobody"}, false, false, nil},
		{"it names a Job with more letters than any can have", func() *coordinationv1.Lease { return freed("A", strings.Repeat("a", 64)) }, []exchange{made, removed}, nil, []beat{complete}, 0,
			slices.Concat([]string{"info: lock deploy taken"}, begun, after("1s", "Job ns/j deleted", "info: lock deploy released", "finished succeeded")),
			[]string{"0s PUT held by B", "0s PUT held by B", "1s PUT held by nobody"}, false, false, nil},
		{"another run holds it for a while", func() *coordinationv1.Lease { return heldBy("A") }, []exchange{made, removed}, func(_ *loop, l *leases, _ *apitest.Server) {
			for _, d := range []time.Duration{15 * s, 30 * s, 45 * s, 60 * s} {
				at(d, l.touch)
			}
			at(65*s, func() { l.put(freed("A", "")) })
		}, []beat{complete}, 0,
			slices.Concat([]string{"info: waits for lock deploy, held by A since 0.0 s ago", "30s info: waits for lock deploy, held by A since 0.0 s ago", "1m0s info: waits for lock deploy, held by A since 0.0 s ago"},
				after("1m6s", append([]string{"info: lock deploy taken"}, begun...)...), after("1m7s", "Job ns/j deleted", "info: lock deploy released", "finished succeeded")),
			[]string{"1m6s PUT held by B", "1m7s PUT held by nobody"}, false, false, nil},
		{"its holder was killed", func() *coordinationv1.Lease {
			l := heldBy("A")
			*l.Spec.AcquireTime = metav1.NewMicroTime(time.Now().Add(-2 * time.Minute))
			return l
		}, []exchange{made, removed}, nil, []beat{complete}, 0,
			slices.Concat([]string{"info: waits for lock deploy, held by A since 2 min ago",
				"30s info: waits for lock deploy, held by A since 2 min 30 s ago, who has not renewed it for 30 s; it is taken over after 1 min",
				"1m0s warning: lock deploy is taken over: it was held by A, and not renewed for 1 min"},
				after("1m0s", append([]string{"info: lock deploy taken"}, begun...)...), after("1m1s", "Job ns/j deleted", "info: lock deploy released", "finished succeeded")),
			[]string{"1m0s PUT held by B", "1m1s PUT held by nobody"}, false, false, nil},
		{"its holder was killed, and its Job still runs", func() *coordinationv1.Lease {
			l := heldBy("A")
			l.Annotations = with(with(l.Annotations, lockJobAnnotation, "other"), lockJobNonceAnnotation, "nonce of A")
			return l
		}, []exchange{{getOther, 200, predecessor()}, {getOther, 200, predecessor(batchv1.JobComplete)}, {podsURL + "other", 200, podList()}, made, removed},
			nil, []beat{complete}, 0,
			slices.Concat([]string{"info: waits for lock deploy, held by A since 0.0 s ago",
				"30s info: waits for lock deploy, held by A since 0.0 s ago, who has not renewed it for 30 s; it is taken over after 1 min",
				"1m0s warning: lock deploy is taken over: it was held by A, and not renewed for 1 min",
				"1m0s info: waits for lock deploy, Job ns/other, of the run before, is still running (kubectl -n ns delete job other ends it)"},
				after("1m2s", append([]string{"info: lock deploy taken"}, begun...)...), after("1m3s", "Job ns/j deleted", "info: lock deploy released", "finished succeeded")),
			[]string{"1m0s PUT held by B", "1m2s PUT held by B", "1m3s PUT held by nobody"}, false, false, nil},
		{"pods of the run before still end", func() *coordinationv1.Lease { return freed("A", "other") },
			[]exchange{{getOther, 404, missing}, {podsURL + "other", 200, podList(a("old", corev1.PodRunning))}, {getOther, 404, missing}, {podsURL + "other", 200, podList()}, made, removed}, nil, []beat{complete}, 0,
			slices.Concat([]string{"info: waits for lock deploy, pod old of Job ns/other, of the run before, is still ending"},
				after("2s", append([]string{"info: lock deploy taken"}, begun...)...), after("3s", "Job ns/j deleted", "info: lock deploy released", "finished succeeded")),
			[]string{"0s PUT held by B", "2s PUT held by B", "3s PUT held by nobody"}, false, false, nil},
		{"the Job's name is another's by now", func() *coordinationv1.Lease { return freed("C", "other") },
			[]exchange{{getOther, 200, predecessor()}, {podsURL + "other", 200, podList(a("new", corev1.PodRunning, func(p *corev1.Pod) {
				p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(predecessor(), batchv1.SchemeGroupVersion.WithKind("Job"))}
			}))}, made, removed}, nil, []beat{complete}, 0,
			slices.Concat([]string{"info: lock deploy taken"}, begun, after("1s", "Job ns/j deleted", "info: lock deploy released", "finished succeeded")),
			[]string{"0s PUT held by B", "0s PUT held by B", "1s PUT held by nobody"}, false, false, nil},
		{"it is not free in time", func() *coordinationv1.Lease { return heldBy("A") }, nil, func(l *loop, _ *leases, _ *apitest.Server) { l.options.Lock.Timeout = 25 * s }, nil, 0,
			[]string{"info: waits for lock deploy, held by A since 0.0 s ago", "25s finished failed: LockTimeout"}, nil, false, false, nil},
		{"timeout is over while it is waited for", func() *coordinationv1.Lease { return heldBy("A") }, nil, func(l *loop, _ *leases, _ *apitest.Server) { l.options.Verdict.Timeout = 25 * s }, nil, 0,
			[]string{"info: waits for lock deploy, held by A since 0.0 s ago", "25s finished timed-out: Timeout"}, nil, false, false, nil},
		{"timeout counts from before it was waited for", func() *coordinationv1.Lease { return freed("A", "other") },
			[]exchange{{getOther, 200, predecessor()}, {getOther, 200, predecessor("Complete")}, {podsURL + "other", 200, podList()}, made, {removeURL, 200, func() any {
				time.Sleep(s)
				return there("ours")
			}}},
			func(l *loop, _ *leases, _ *apitest.Server) { l.options.Verdict.Timeout = 12 * s }, nil, 0,
			slices.Concat([]string{"info: waits for lock deploy, Job ns/other, of the run before, is still running (kubectl -n ns delete job other ends it)"},
				after("2s", append([]string{"info: lock deploy taken"}, begun...)...), []string{"12s info: lock deploy released", "13s Job ns/j deleted (this run ended before it did)", "13s finished timed-out: Timeout"}),
			[]string{"0s PUT held by B", "2s PUT held by B", "12s PUT held by nobody"}, false, false, nil},
		{"a signal while it is waited for", func() *coordinationv1.Lease { return heldBy("A") }, nil, nil, nil, 5 * s,
			[]string{"info: waits for lock deploy, held by A since 0.0 s ago", "5s finished cancelled: Cancelled"}, nil, false, false, nil},
		{"a signal while the Job runs, and every answer takes long", nil, []exchange{made, {removeURL, 200, func() any {
			time.Sleep(4 * s)
			return there("ours")
		}}}, func(_ *loop, l *leases, _ *apitest.Server) {
			at(s, func() { l.slow.Store(int64(3 * s)) })
		}, nil, 5 * s,
			slices.Concat([]string{"info: lock deploy taken"}, begun, []string{"8s info: lock deploy released", "9s Job ns/j deleted (the run was cancelled)", "9s finished cancelled: Cancelled"}),
			[]string{"0s POST held by B", "8s PUT held by nobody"}, false, false, nil},
		{"a signal during a renewal, and every answer takes long", nil, []exchange{made, removed}, func(_ *loop, l *leases, _ *apitest.Server) {
			at(s, func() { l.slow.Store(int64(1500 * time.Millisecond)) })
		}, nil, 16 * s,
			slices.Concat([]string{"info: lock deploy taken"}, begun, []string{"16s Job ns/j deleted (the run was cancelled)", "20.5s info: lock deploy released", "20.5s finished cancelled: Cancelled"}),
			[]string{"0s POST held by B", "17s PUT held by B", "21s PUT held by nobody"}, false, false, nil},
		{"a signal for a Job that is left alone", nil, []exchange{made}, func(l *loop, _ *leases, _ *apitest.Server) { l.options.OnCancel = UnfinishedLeave }, nil, 5 * s,
			slices.Concat([]string{"info: lock deploy taken"}, begun, after("5s", "info: lock deploy released", "finished cancelled: Cancelled")), []string{"0s POST held by B", "5s PUT held by nobody"}, true, false, nil},
		{"it takes too long, and goes on", nil, []exchange{made}, func(l *loop, _ *leases, _ *apitest.Server) {
			l.options.Verdict.Timeout, l.options.OnTimeout = 5*s, UnfinishedLeave
		}, nil, 0, slices.Concat([]string{"info: lock deploy taken"}, begun, after("5s", "Job ns/j kept (it goes on, as on-timeout says)", "info: lock deploy released", "finished timed-out: Timeout")),
			[]string{"0s POST held by B", "5s PUT held by nobody"}, true, false, nil},
		{"a signal while the API server is away", nil, []exchange{made}, func(_ *loop, _ *leases, server *apitest.Server) { at(4*s, func() { server.Down(apitest.Refused) }) }, nil, 5 * s,
			nil, nil, false, true, func(t *testing.T, told, writes string) {
				if !strings.Contains(told, "\n10s warning: lock deploy could not be released, and is free in 1 min: ") || !strings.HasSuffix(told, "\n10s finished cancelled: Cancelled") || writes != "0s POST held by B" {
					t.Errorf("told\n%s\nwritten\n%s", told, writes)
				}
			}},
		{"there is no namespace", nil, []exchange{{"POST /api/v1/namespaces?fieldManager=kubernetes-job-action", 201, &corev1.Namespace{TypeMeta: metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"}}},
			{"POST /api/v1/namespaces?fieldManager=kubernetes-job-action", 409, apierrors.NewAlreadyExists(schema.GroupResource{Resource: "namespaces"}, "ns").Status()}, made, removed}, func(l *loop, s *leases, _ *apitest.Server) {
			l.objects.CreateNamespace = true
			s.trouble = nowhere(1)
		}, []beat{complete}, 0, slices.Concat([]string{"Namespace ns created (it stays)", "info: lock deploy taken"}, begun, after("1s", "Job ns/j deleted", "info: lock deploy released", "finished succeeded")),
			[]string{"0s POST held by B", "1s PUT held by nobody"}, false, false, nil},
		{"there is no namespace, and nobody makes it", nil, nil, func(_ *loop, s *leases, _ *apitest.Server) { s.trouble = nowhere(1) }, nil, 0, []string{"finished failed: InvalidInput"}, nil, false, false, nil},
		{"a signal while it is written", nil, nil, func(_ *loop, l *leases, _ *apitest.Server) {
			l.trouble = func(method string, do func()) http.HandlerFunc {
				if method != http.MethodPost {
					return nil
				}
				return func(_ http.ResponseWriter, r *http.Request) {
					do()
					<-r.Context().Done()
				}
			}
		}, nil, 5 * s, []string{"5s info: lock deploy released", "5s finished cancelled: Cancelled"}, []string{"0s POST held by B", "5s PUT held by nobody"}, false, false, nil},
		{"nobody answers a renewal for a while", nil, []exchange{made, removed}, func(_ *loop, _ *leases, server *apitest.Server) {
			at(10*s, func() { server.Down(apitest.Refused) })
			at(50*s, func() { server.Down(nil) })
		}, []beat{{80 * s, complete.fact}}, 0, nil, nil, false, false, func(t *testing.T, told, writes string) {
			if !strings.HasSuffix(told, "1m20s finished succeeded") || strings.Contains(told, "renewed") {
				t.Errorf("told\n%s", told)
			}
			if !regexp.MustCompile(`^0s POST held by B\n5[0-9]s PUT held by B\n`).MatchString(writes) { // as soon as it answers again
				t.Errorf("written\n%s", writes)
			}
		}},
		{"it was lost", nil, []exchange{made, removed}, func(_ *loop, l *leases, _ *apitest.Server) { at(10*s, func() { l.put(heldBy("C")) }) }, nil, 0,
			slices.Concat([]string{"info: lock deploy taken"}, begun, after("15s", "Job ns/j deleted (this run ended before it did)", "finished failed: LockLost")), []string{"0s POST held by B"}, false, false, nil},
		{"somebody deletes it", nil, []exchange{made, removed}, func(_ *loop, l *leases, _ *apitest.Server) { at(10*s, func() { l.put(nil) }) }, []beat{{20 * s, complete.fact}}, 0,
			slices.Concat([]string{"info: lock deploy taken"}, begun, []string{"15s warning: somebody has deleted Lease ns/deploy; it is made again"}, after("20s", "Job ns/j deleted", "info: lock deploy released", "finished succeeded")),
			[]string{"0s POST held by B", "15s POST held by B", "20s PUT held by nobody"}, false, false, nil},
		{"it is not of this tool", func() *coordinationv1.Lease {
			l := heldBy("kube-scheduler")
			l.Labels, l.Spec.HolderIdentity = nil, nil
			return l
		}, nil, nil, nil, 0, []string{"finished failed: InvalidInput"}, nil, false, false, nil},
		{"the answer is lost", nil, []exchange{made, removed}, func(_ *loop, l *leases, _ *apitest.Server) {
			lost := false
			l.trouble = func(method string, do func()) http.HandlerFunc {
				if method != http.MethodPost || lost {
					return nil
				}
				lost = true
				return func(w http.ResponseWriter, _ *http.Request) {
					do()
					w.WriteHeader(http.StatusBadGateway)
				}
			}
		}, []beat{complete}, 0, nil, nil, false, false, func(t *testing.T, told, writes string) {
			if !strings.HasSuffix(told, "finished succeeded") || strings.Contains(told, "waits") || writes != "0s POST held by B\n0s PUT held by B\n1s PUT held by nobody" {
				t.Errorf("told\n%s\nwritten\n%s", told, writes)
			}
		}},
		{"nobody waits for the Job", nil, []exchange{made}, func(l *loop, _ *leases, _ *apitest.Server) { l.options.Wait = false }, nil, 0,
			[]string{"info: lock deploy taken", begun[0], begun[1] + ", alone", "info: lock deploy released", "finished created"}, []string{"0s POST held by B", "0s PUT held by nobody"}, true, false, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var before *coordinationv1.Lease
				if test.before != nil {
					before = test.before()
				}
				store := newLeases(t, before)
				l, server, said := store.play("B", test.exchanges...)
				if test.change != nil {
					test.change(l, store, server)
				}
				l.script(test.beats...)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.cancel > 0 {
					at(test.cancel, cancel)
				}
				l.emit(l.run(ctx))
				if test.check != nil {
					test.check(t, strings.Join(said.lines, "\n"), strings.Join(store.requests, "\n"))
				} else {
					sameText(t, "told", test.want, said.lines)
					sameText(t, "written", test.writes, store.requests)
				}
				lease := store.now()
				if lease != nil && lease.Annotations[cluster.NonceAnnotation] == "nonce of B" && !test.kept {
					t.Errorf("the lock is still held: %v", lease)
				}
				if lease != nil && lease.Annotations[lockJobNonceAnnotation] == "nonce of B" && (test.left || lease.Annotations[lockJobAnnotation] != "j") {
					t.Errorf("the Lease names a Job: %v", lease.Annotations)
				}
			})
		})
	}
}

// TestLockCauses: whoever cannot have the lock learns who has it, and what to do.
func TestLockCauses(t *testing.T) {
	for _, test := range []struct {
		name   string
		lease  func() *coordinationv1.Lease
		change func(*leases)
		want   string
		class  event.Class
	}{
		{"not in time", func() *coordinationv1.Lease { return heldBy("https://ci.example/runs/1") }, nil,
			"lock deploy was not free within 50 s (lock-timeout): held by https://ci.example/runs/1. When nobody works under it any more, this takes it off: kubectl -n ns delete lease deploy", event.OurTimeout},
		{"foreign", func() *coordinationv1.Lease {
			l := heldBy("kube-scheduler")
			l.Labels = nil
			return l
		}, nil, "Lease ns/deploy exists already, and is no lock of this tool; it is held by kube-scheduler. Choose another name for the lock.", event.InputWrong},
		{"lost before the Job exists", func() *coordinationv1.Lease { return freed("A", "other") }, func(s *leases) { at(10*time.Second, func() { s.put(heldBy("C")) }) },
			"lock deploy was lost: it is now held by C. A run that is suspended, or cannot reach the cluster, for 1 min loses its lock; so does one whose Lease somebody deletes.", event.ClusterSays},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newLeases(t, test.lease())
				var exchanges []exchange
				if test.change != nil {
					test.change(store)
					for range 8 {
						exchanges = append(exchanges, exchange{"GET " + jobsURL + "/other", 404, apierrors.NewNotFound(jobsResource, "other").Status()}, exchange{podsURL + "other", 200, podList(a("old", corev1.PodRunning))})
					}
				}
				l, _, _ := store.play("B", exchanges...)
				l.options.Lock.Timeout = 50 * time.Second
				f := l.run(t.Context())
				if f.Outcome != event.Failed || f.Cause.Error() != test.want || f.Cause.Reason.Class() != test.class || l.created != nil {
					t.Errorf("got %s (%d): %v", f.Outcome, f.Cause.Reason.Class(), f.Cause)
				}
			})
		})
	}
}

// TestLockAfterOutage: while the API server answers nobody, no lock expires.
func TestLockAfterOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newLeases(t, heldBy("A"))
		l, server, said := store.play("B", exchange{createURL, 201, there("ours")})
		l.options.Wait = false
		at(10*time.Second, func() { server.Down(apitest.Refused) })
		at(50*time.Second, func() { server.Down(nil) })
		l.emit(l.run(t.Context()))
		// Somebody asks again up to 5 s after 50 s, and then nobody renews the lock for a minute.
		if took := time.Since(store.begin); took < 110*time.Second || took > 118*time.Second {
			t.Errorf("taken after %s: %q", took, said.lines)
		}
	})
}

// TestLockTogether: of runs that see at the same moment that a lock is free, or has expired, one has it, and the others wait for its end.
func TestLockTogether(t *testing.T) {
	for name, lease := range map[string]func() *coordinationv1.Lease{
		"new":     func() *coordinationv1.Lease { return nil },
		"free":    func() *coordinationv1.Lease { return freed("A", "") },
		"expired": func() *coordinationv1.Lease { return heldBy("A") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const runs = 5
				store := newLeases(t, lease())
				var mu sync.Mutex
				writes, atWork, waited := 0, 0, 0
				store.trouble = func(method string, _ func()) http.HandlerFunc {
					if method != http.MethodGet {
						mu.Lock()
						writes++
						early := writes <= runs
						mu.Unlock()
						if early { // all have seen the same before anybody writes
							time.Sleep(time.Second)
						}
					}
					return nil
				}
				cluster := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					code, answer := 200, any(there("ours"))
					switch {
					case r.Method == http.MethodPost:
						if atWork++; atWork > 1 {
							t.Error("two Jobs at work")
						}
					case r.Method == http.MethodDelete:
						atWork--
					case strings.HasSuffix(r.URL.Path, "/pods"):
						answer = podList()
					default:
						status := apierrors.NewNotFound(jobsResource, "j").Status()
						status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
						code, answer = 404, status
					}
					w.WriteHeader(code)
					if err := json.NewEncoder(w).Encode(answer); err != nil {
						t.Error(err)
					}
				})
				var all sync.WaitGroup
				for i := range runs {
					l, _, said := store.loop(string(rune('B'+i)), []apitest.Exchange{{Want: "cluster +", Body: cluster}}, func(*http.Request) string { return "cluster" })
					l.script(beat{20 * time.Second, event.JobSeen{Job: there("ours", batchv1.JobComplete)}})
					all.Go(func() {
						f := l.run(t.Context())
						mu.Lock()
						defer mu.Unlock()
						if f.Outcome != event.Succeeded {
							t.Errorf("%s: %v", l.options.Lock.Holder, f.Cause)
						}
						if slices.ContainsFunc(said.lines, func(line string) bool {
							return strings.Contains(line, "waits for lock deploy, held by ") && !strings.Contains(line, "held by A")
						}) {
							waited++
						}
					})
				}
				all.Wait()
				if waited != runs-1 {
					t.Errorf("%d of %d runs have waited", waited, runs)
				}
			})
		})
	}
}
