package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/planton/kubernetes-job-action/e2e/faultproxy"
)

// cancelTime is what a cancelled run may take: GitHub's runner sends the next signal then.
const cancelTime = 7500 * time.Millisecond

// slowAnswer is how long a slow API server takes.
const slowAnswer = 3 * time.Second

// cancelling is a situation in which a run is cancelled.
type cancelling struct {
	name   string
	script string // of the Job; "" for one whose image is never pulled
	grace  int    // of its pods, in seconds
	at     string // what the run has said then
	slow   string // the method of the requests that take long from then on; "*" for all
	during bool   // the signal comes when the first DELETE has
	again  bool   // and another one then, while the deletion is not answered
	code   int
}

var cancellings = []cancelling{
	{name: "log-flood", script: "while :; do seq 1 1000; done", at: "(?m)^1000$", code: 130},
	{name: "slow-API", script: "echo working; sleep 600", at: "(?m)^working$", slow: "*", code: 130},
	{name: "image-pull", at: "following Job", code: 130},
	{name: "before-the-first-pod", script: "sleep 600", at: "Job \\S+ created", code: 130},
	{name: "slow-clean-up", script: "echo working", at: "(?m)^working$", slow: "DELETE", during: true, code: 0},
	{name: "second-signal", script: "echo working; sleep 600", at: "(?m)^working$", again: true, code: 130},
	{name: "pods-of-30s", script: "trap '' TERM; echo working; sleep 600", grace: 30, at: "(?m)^working$", code: 130},
}

// TestCancelTimes measures how long it takes from a signal to the answer of the deletion, and to the end of the run. -soak repeats it.
func TestCancelTimes(t *testing.T) {
	for _, c := range cancellings {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			times := 1
			if *soak {
				times = *soakRuns
			}
			bed := newBed(t)
			image := "busybox:1.36"
			pulled := make(chan struct{}, 1)
			if c.script == "" {
				image = bed.silentRegistry(pulled) + "/none:1"
			}
			var answered, ended []time.Duration
			for i := range times {
				a, e := bed.cancel(c, fmt.Sprintf("%s-%d", strings.ToLower(c.name), i), image, pulled)
				answered, ended = append(answered, a), append(ended, e)
			}
			t.Logf("from the signal to the answer of the deletion: p50 %s, max %s; to the end of the run: p50 %s, max %s (%d runs)",
				p50(answered), slices.Max(answered), p50(ended), slices.Max(ended), times)
		})
	}
}

func p50(all []time.Duration) time.Duration { return slices.Sorted(slices.Values(all))[len(all)/2] }

// cancel cancels one run, and says how long after the signal its Job's deletion was answered and it ended.
func (b *bed) cancel(c cancelling, name, image string, pulled <-chan struct{}) (answered, ended time.Duration) {
	var slow atomic.Bool
	deletes := make(chan struct{}, 10)
	front, config := b.fronted(func(r *http.Request) faultproxy.Fault {
		if r.Method == http.MethodDelete {
			deletes <- struct{}{}
			if c.again {
				<-r.Context().Done()
			}
		}
		if slow.Load() && (c.slow == "*" || c.slow == r.Method) {
			time.Sleep(slowAnswer)
		}
		return faultproxy.None
	})
	slow.Store(c.slow == http.MethodDelete)
	defer front.Close()
	spec := map[string]any{"restartPolicy": "Never", "terminationGracePeriodSeconds": c.grace,
		"containers": []any{map[string]any{"name": "main", "image": image, "command": []string{"sh", "-c", c.script}}}}
	run := b.command("--kubeconfig", config, "--manifest", b.manifest(name, map[string]any{"backoffLimit": 0, "template": map[string]any{"spec": spec}}))
	told := newHeard()
	run.Stdout, run.Stderr = told, told
	if err := run.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = run.Process.Kill() }() // of one that a failed test leaves
	told.until(b, c.at, 2*time.Minute)
	wait := func(for_ string, it <-chan struct{}) {
		select {
		case <-it:
		case <-time.After(2 * time.Minute):
			b.Fatalf("no %s, but\n%s", for_, told)
		}
	}
	if c.script == "" {
		wait("pull", pulled)
	}
	if c.during {
		wait("deletion", deletes)
	}
	slow.Store(c.slow != "")
	signal := time.Now()
	if err := run.Process.Signal(syscall.SIGINT); err != nil {
		b.Fatal(err)
	}
	if c.again {
		wait("deletion", deletes)
		signal = time.Now()
		if err := run.Process.Signal(syscall.SIGTERM); err != nil { // a second SIGINT may be the same wish
			b.Fatal(err)
		}
	}
	_ = run.Wait() // its code says it
	ended = time.Since(signal)
	if code := run.ProcessState.ExitCode(); code != c.code || ended > cancelTime {
		b.Errorf("%s: code %d after %s:\n%.5000s", name, code, ended, told)
	}
	if c.again {
		if strings.Contains(told.String(), "was cancelled") {
			b.Errorf("%s: it waited for the deletion all the same:\n%.5000s", name, told)
		}
		return 0, ended
	}
	for _, a := range front.Answers() {
		if strings.HasPrefix(a.Request, "DELETE ") && strings.HasSuffix(a.Request, "/jobs/"+name) {
			return a.At.Sub(signal), ended
		}
	}
	b.Errorf("%s: no deletion was answered:\n%.5000s", name, told)
	return 0, ended
}

// silentRegistry is the host of a registry that takes requests and says nothing.
func (b *bed) silentRegistry(pulled chan<- struct{}) string {
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case pulled <- struct{}{}:
		default:
		}
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}))
	host := b.namespace + ".test"
	forget, err := shared.cluster.SetRegistry(host, server.URL)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := forget(); err != nil {
			b.Error(err)
		}
		close(over) // containerd tries again when its connection breaks, and Close waits for whoever is being answered
		server.Close()
	})
	return host
}

// TestNextRunNeverOverlaps cancels a run and starts the next one in the moment in which it ends, again and again: by the pods' own clock,
// none begins before the one before it has ended.
func TestNextRunNeverOverlaps(t *testing.T) {
	turns := 2
	if *soak {
		turns = *soakRuns
	}
	bed := newBed(t)
	dir := filepath.Join(bed.dir, "clock")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const script = `note() { echo $1 $(cut -d' ' -f1 /proc/uptime) >> /clock/times; }
trap 'sleep 2; note end; exit 1' TERM
note begin; echo begin; while :; do sleep 0.1; done`
	manifest := bed.manifest("turn", map[string]any{"backoffLimit": 0, "template": map[string]any{"spec": map[string]any{"restartPolicy": "Never",
		"containers": []any{map[string]any{"name": "main", "image": "busybox:1.36", "command": []string{"sh", "-c", script},
			"volumeMounts": []any{map[string]any{"name": "clock", "mountPath": "/clock"}}}},
		"volumes": []any{map[string]any{"name": "clock", "hostPath": map[string]any{"path": dir}}}}}})
	for range turns + 1 {
		run, told := bed.command("--manifest", manifest), newHeard()
		run.Stdout, run.Stderr = told, told
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		told.until(t, "(?m)^begin$", 2*time.Minute)
		if err := run.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = run.Wait() // its code says it
		if code := run.ProcessState.ExitCode(); code != 130 {
			t.Fatalf("code %d:\n%s", code, told)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "times"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	last, overlaps := 0.0, 0
	for i, line := range lines {
		what, at, _ := strings.Cut(line, " ")
		now, err := strconv.ParseFloat(at, 64)
		if err != nil {
			t.Fatal(err)
		}
		if what != [2]string{"begin", "end"}[i%2] || now < last {
			overlaps++
		}
		last = now
	}
	if begins := (len(lines) + 1) / 2; overlaps > 0 || begins != turns+1 {
		t.Errorf("%d overlaps of %d runs:\n%s", overlaps, begins, text)
	}
	t.Logf("%d turns without an overlap", turns-overlaps)
}
