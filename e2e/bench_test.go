package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planton/kubernetes-job-action/e2e/devcluster"
)

// rounds is how often each of two programs runs. They take turns, so that what else happens on the machine meets both.
const rounds = 5

// The goals. A benchmark fails when it misses one that does not depend on what else the machine does.
const (
	goalTrivial  = 1.0                    // wall time against kubectl
	goalStream   = 1.05                   // the same, for a long log
	goalExit     = 150 * time.Millisecond // from the Job's condition to our end
	goalMemory   = 64 << 20               // peak, with one long log
	streamLines  = 1_000_000
	streamLength = 99
)

// BenchmarkTrivial compares the whole of a Job that prints one line with what a script would do with kubectl.
func BenchmarkTrivial(b *testing.B) {
	bed := newBed(b)
	for b.Loop() {
		var ours, theirs, exits []usage
		for i := range rounds {
			name := fmt.Sprintf("trivial-%d", i)
			exit := bed.watchJob(name)
			u := bed.run(nil, "kubernetes-job-action", "--manifest", bed.job(name, "echo done"))
			ours = append(ours, u)
			if at, ok := <-exit; ok {
				exits = append(exits, usage{wall: u.ended.Sub(at)})
			}
			theirs = append(theirs, bed.kubectlTrivial(fmt.Sprintf("trivial-kubectl-%d", i)))
		}
		compare(b, ours, theirs)
		if len(exits) < rounds {
			b.FailNow() // the watch has said why
		}
		exit := median(exits, func(u usage) float64 { return float64(u.wall.Milliseconds()) })
		b.ReportMetric(exit, "exit-ms")
		b.Logf("end of the process after the Job's condition was visible: %.0f ms (median; all: %v), goal %s", exit, walls(exits), goalExit)
	}
}

// wholeLogs rotates nothing: whether a line is lost to a rotation is not a matter of speed, and would excuse whoever loses it.
var wholeLogs = devcluster.LogRotation{MaxSize: "1Gi", MaxFiles: 2, Interval: 10 * time.Second}

// BenchmarkStream compares the reading of a long log.
func BenchmarkStream(b *testing.B) {
	rotate(b, wholeLogs)
	bed := newBed(b)
	// 7 digits and 92 further bytes.
	script := fmt.Sprintf(`awk 'BEGIN { for (i = 1; i <= %d; i++) printf "%%07d%s\n", i }'`, streamLines, strings.Repeat("x", streamLength-7))
	for b.Loop() {
		var ours, theirs []usage
		for i := range rounds {
			name := fmt.Sprintf("stream-%d", i)
			ours = append(ours, bed.counted("kubernetes-job-action", 0, func(out *os.File) usage {
				return bed.run(out, "kubernetes-job-action", "--manifest", bed.job(name, script))
			}))
			theirs = append(theirs, bed.counted("kubectl", len("2006-01-02T15:04:05.000000000Z "), func(out *os.File) usage {
				return bed.kubectlStream(fmt.Sprintf("stream-kubectl-%d", i), script, out)
			}))
		}
		compare(b, ours, theirs)
		// kubectl ends with the log, and this program with the Job, which ends one or two seconds later.
		last := func(u usage) float64 { return u.last.Seconds() }
		b.ReportMetric(median(ours, last)/median(theirs, last), "last-line-ratio")
		if peak := slices.MaxFunc(ours, func(a, b usage) int { return int(a.memory - b.memory) }).memory; peak > goalMemory {
			b.Errorf("peak memory %d MiB, the goal is %d MiB", peak>>20, goalMemory>>20)
		}
	}
}

// BenchmarkNative compares the native action, whose program is in the tool cache, with the program alone: its shortest run, which needs no
// cluster, and the whole of a Job that prints one line.
func BenchmarkNative(b *testing.B) {
	bed := newBed(b)
	node, err := shared.cluster.Node(context.Background(), "24")
	if err != nil {
		b.Fatal(err)
	}
	program := filepath.Join(shared.bin, "kubernetes-job-action")
	content, err := os.ReadFile(program)
	if err != nil {
		b.Fatal(err)
	}
	arch := strings.Replace(runtime.GOARCH, "amd64", "x64", 1)
	release, err := json.Marshal(map[string]any{"version": "0.0.0", "programs": map[string]any{
		runtime.GOOS + "-" + arch: map[string]any{"size": len(content), "sha256": fmt.Sprintf("%x", sha256.Sum256(content))}}})
	cached := filepath.Join(bed.dir, "tools", "kubernetes-job-action", "0.0.0", arch)
	err = errors.Join(err, os.CopyFS(filepath.Join(bed.dir, "native"), os.DirFS("../native")), os.WriteFile(filepath.Join(bed.dir, "native", "release.json"), release, 0o600),
		os.MkdirAll(cached, 0o755), os.WriteFile(filepath.Join(cached, "kubernetes-job-action"), content, 0o755))
	if err != nil {
		b.Fatal(err)
	}
	bed.env = append(bed.env, "RUNNER_TOOL_CACHE="+filepath.Join(bed.dir, "tools"))
	env := bed.env
	run := func(input string, command ...string) usage {
		bed.env = append(slices.Clip(env), input, "INPUT_MANIFEST="+bed.job("native", "echo done"))
		return bed.run(nil, command[0], command[1:]...)
	}
	wall := func(u usage) float64 { return u.wall.Seconds() }
	for b.Loop() {
		for _, c := range []struct {
			what, input, unit string
			rounds            int
		}{{"start", "INPUT_DRY-RUN=client", "ratio", 5 * rounds}, {"Job", "INPUT_DRY-RUN=none", "job-ratio", rounds}} {
			var direct, launched []usage
			for range c.rounds {
				direct = append(direct, run(c.input, program))
				launched = append(launched, run(c.input, node, filepath.Join(bed.dir, "native", "main.cjs")))
			}
			b.ReportMetric(median(launched, wall)/median(direct, wall), c.unit)
			b.Logf("%s: %.0f ms by the launcher, %.0f ms without it: ratio %.2f (medians of %d); %v, %v", c.what, 1000*median(launched, wall), 1000*median(direct, wall),
				median(launched, wall)/median(direct, wall), c.rounds, walls(launched), walls(direct))
		}
	}
}

// BenchmarkSize tells what a user downloads, and what is behind it.
func BenchmarkSize(b *testing.B) {
	for b.Loop() {
		info, err := os.Stat(filepath.Join(shared.bin, "kubernetes-job-action"))
		if err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command("go", "list", "-m", "-f", "{{if not (or .Main .Indirect)}}{{.Path}}{{end}}", "all")
		cmd.Dir = ".."
		out, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		direct := len(strings.Fields(string(out)))
		b.ReportMetric(float64(info.Size())/(1<<20), "MiB")
		b.ReportMetric(float64(direct), "direct-deps")
		b.Logf("program %.1f MiB (-s -w), %d direct dependencies", float64(info.Size())/(1<<20), direct)
	}
}

// bed is a namespace to measure in.
type bed struct {
	testing.TB
	dir       string
	namespace string
	env       []string
}

func newBed(tb testing.TB) *bed {
	b := &bed{TB: tb, dir: tb.TempDir()}
	// The name of a benchmark is no name in Kubernetes; that of a folder is made from it.
	b.namespace = fmt.Sprintf("bench-%s-%s", strings.ToLower(rand.Text()[:6]), strings.ToLower(strings.Map(func(r rune) rune {
		if r == '/' || r == '_' {
			return '-'
		}
		return r
	}, tb.Name())))
	config := filepath.Join(b.dir, "kubeconfig")
	if err := createNamespace(config, b.namespace); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_, measured := tb.(*testing.B) // what still ends would be measured with the next one
		if err := kubectl(config, "delete", "namespace", b.namespace, fmt.Sprintf("--wait=%t", measured)); err != nil {
			tb.Error(err)
		}
	})
	// Nothing else: where the tests run, a CI system may have set what the program reads.
	b.env = []string{"KUBECONFIG=" + config, "HOME=" + b.dir,
		"PATH=" + strings.Join([]string{shared.bin, shared.cluster.Bin(), os.Getenv("PATH")}, string(os.PathListSeparator))}
	return b
}

// job writes the manifest of a Job that runs a shell script in one pod, and gives its path.
func (b *bed) job(name, script string) string {
	return b.manifest(name, map[string]any{"backoffLimit": 0, "template": map[string]any{"spec": map[string]any{
		"restartPolicy": "Never",
		"containers":    []any{map[string]any{"name": "main", "image": "busybox:1.36", "command": []string{"sh", "-c", script}}},
	}}})
}

// manifest writes the manifest of a Job; JSON is YAML.
func (b *bed) manifest(name string, spec map[string]any) string {
	b.Helper()
	data, err := json.Marshal(map[string]any{"apiVersion": "batch/v1", "kind": "Job", "metadata": map[string]any{"name": name}, "spec": spec})
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.dir, name+".yaml")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// usage is what a process, or several in a row, took.
type usage struct {
	wall   time.Duration
	cpu    time.Duration
	memory int64 // peak of resident memory of one process, in bytes
	ended  time.Time
	last   time.Duration // from the start to the last line
}

func (u *usage) add(v usage) {
	u.wall += v.wall
	u.cpu += v.cpu
	u.memory = max(u.memory, v.memory)
	u.ended = v.ended
}

// run runs a program that must succeed. Its standard output goes to out, when that is not nil.
func (b *bed) run(out *os.File, name string, args ...string) usage {
	b.Helper()
	u, said, err := b.try(out, name, args...)
	if err != nil {
		b.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, said)
	}
	return u
}

func (b *bed) try(out *os.File, name string, args ...string) (usage, string, error) {
	b.Helper()
	path := filepath.Join(shared.bin, name)
	if name == "kubectl" {
		path = filepath.Join(shared.cluster.Bin(), name)
	} else if filepath.IsAbs(name) {
		path = name
	}
	cmd := exec.Command(path, args...)
	cmd.Env = b.env
	var said bytes.Buffer
	cmd.Stderr = &said
	if out != nil {
		cmd.Stdout = out
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return usage{}, "", err
	}
	peak := make(chan int64)
	go func() { peak <- peakMemory(cmd.Process.Pid) }()
	err := cmd.Wait()
	u := usage{ended: time.Now()}
	u.wall = u.ended.Sub(start)
	u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if u.memory = <-peak; u.memory == 0 {
		b.Errorf("%s ended before its memory was read", name)
	}
	return u, said.String(), err
}

// peakMemory is what a process has taken at most until it ends, in bytes. The kernel's account of an ended one (ru_maxrss)
// is no answer: a child begins in the memory of its parent, and that counts too.
func peakMemory(pid int) (peak int64) {
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, now, ok := strings.Cut(string(status), "VmHWM:")
		if err != nil || !ok { // a zombie has no memory
			return peak
		}
		if _, err := fmt.Sscanf(now, "%d", &peak); err != nil {
			return 0
		}
		peak <<= 10
		time.Sleep(10 * time.Millisecond)
	}
}

// kubectlTrivial is a Job's way by hand. That kubectl wait does not see a failure is its user's problem.
func (b *bed) kubectlTrivial(name string) usage {
	b.Helper()
	u := b.run(nil, "kubectl", "create", "-f", b.job(name, "echo done"))
	u.add(b.run(nil, "kubectl", "wait", "--for=condition=Complete", "--timeout=5m", "job/"+name))
	u.add(b.run(nil, "kubectl", "logs", "job/"+name))
	return u
}

// kubectlStream follows a Job's log by hand. kubectl gives up when the container has not started, so it is called again.
func (b *bed) kubectlStream(name, script string, out *os.File) usage {
	b.Helper()
	u := b.run(nil, "kubectl", "create", "-f", b.job(name, script))
	for start := time.Now(); ; {
		v, said, err := b.try(out, "kubectl", "logs", "-f", "--timestamps", "job/"+name)
		u.add(v)
		if err == nil {
			break
		}
		if time.Since(start) > time.Minute {
			b.Fatalf("kubectl logs: %v\n%s", err, said)
		}
	}
	// Not counted: the next round must not run beside what is left of this one.
	b.run(nil, "kubectl", "delete", "job", name, "--wait")
	return u
}

// counted runs something that writes the lines of BenchmarkStream, and counts them; skip bytes of each line are its reader's.
func (b *bed) counted(who string, skip int, run func(*os.File) usage) usage {
	b.Helper()
	out, err := os.Create(filepath.Join(b.dir, "lines"))
	if err != nil {
		b.Fatal(err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	u := run(out)
	info, err := out.Stat()
	if err != nil {
		b.Fatal(err)
	}
	u.last = u.wall - u.ended.Sub(info.ModTime())
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		b.Fatal(err)
	}
	got, duplicates, disorder, broken := 0, 0, 0, 0
	seen, last := make([]bool, streamLines+1), 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Bytes()
		number := 0
		if len(line) == skip+streamLength {
			for _, c := range line[skip : skip+7] {
				number = 10*number + int(c-'0')
			}
		}
		if number < 1 || number > streamLines {
			if broken++; who != "kubectl" {
				b.Errorf("%q is none of the lines", line)
			}
			continue
		}
		if seen[number] {
			duplicates++
		}
		if number < last {
			disorder++
		}
		seen[number], last = true, number
		got++
	}
	b.Logf("%-22s %d lines, %d twice, %d missing, %d out of order, %d broken; %s, last line after %s, %.2f s CPU, %d MiB", who, got, duplicates,
		streamLines-(got-duplicates), disorder, broken, u.wall.Round(10*time.Millisecond), u.last.Round(10*time.Millisecond), u.cpu.Seconds(), u.memory>>20)
	if who != "kubectl" && (got != streamLines || duplicates+disorder > 0) {
		b.Errorf("not every line arrived exactly once and in order")
	}
	return u
}

// final are the conditions that decide a Job: the first two are never taken back, only followed by the others.
var final = []string{"SuccessCriteriaMet", "FailureTarget", "Complete", "Failed"}

// watchJob opens a watch on the Job, which need not exist yet, and sends when its end became visible there.
func (b *bed) watchJob(name string) <-chan time.Time {
	b.Helper()
	body := b.openWatch("/apis/batch/v1/namespaces/" + b.namespace + "/jobs?watch=true&fieldSelector=metadata.name=" + name)
	visible := make(chan time.Time, 1)
	go func() {
		defer close(visible)
		defer body.Close()
		for d := json.NewDecoder(body); ; {
			var e struct {
				Type   string
				Object struct {
					Status struct {
						Conditions []struct{ Type, Status string }
					}
				}
			}
			if err := d.Decode(&e); err != nil {
				b.Errorf("the watch on Job %s: %v", name, err)
				return
			}
			for _, c := range e.Object.Status.Conditions {
				if slices.Contains(final, c.Type) && c.Status == "True" {
					visible <- time.Now()
					return
				}
			}
			if e.Type == "DELETED" {
				b.Errorf("Job %s was deleted before it had ended", name)
				return
			}
		}
	}()
	return visible
}

// openWatch asks the API server as the administrator.
func (b *bed) openWatch(path string) io.ReadCloser {
	b.Helper()
	cmd := exec.Command(filepath.Join(shared.cluster.Bin(), "kubectl"), "config", "view", "--raw", "--output", "json")
	cmd.Env = b.env
	data, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string
				CA     []byte `json:"certificate-authority-data"`
			}
		}
		Users []struct {
			User struct {
				Certificate []byte `json:"client-certificate-data"`
				Key         []byte `json:"client-key-data"`
			}
		}
	}
	if err := json.Unmarshal(data, &config); err != nil || len(config.Clusters) != 1 || len(config.Users) != 1 {
		b.Fatalf("the kubeconfig is not as devcluster writes it: %v", err)
	}
	certificate, err := tls.X509KeyPair(config.Users[0].User.Certificate, config.Users[0].User.Key)
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.Clusters[0].Cluster.CA)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}}}
	b.Cleanup(transport.CloseIdleConnections)
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Clusters[0].Cluster.Server+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err == nil && response.StatusCode != http.StatusOK {
		response.Body.Close()
		err = errors.New(response.Status)
	}
	if err != nil {
		b.Fatalf("the watch cannot be opened: %v", err)
	}
	return response.Body
}

// compare reports the medians of ours and of kubectl's.
func compare(b *testing.B, ours, theirs []usage) {
	b.Helper()
	wall := func(u usage) float64 { return u.wall.Seconds() }
	cpu := func(u usage) float64 { return u.cpu.Seconds() }
	memory := func(u usage) float64 { return float64(u.memory) / (1 << 20) }
	goal := goalTrivial
	if b.Name() == "BenchmarkStream" {
		goal = goalStream
	}
	ratio := median(ours, wall) / median(theirs, wall)
	b.ReportMetric(median(ours, wall), "s")
	b.ReportMetric(median(theirs, wall), "kubectl-s")
	b.ReportMetric(ratio, "ratio")
	b.ReportMetric(median(ours, memory), "MiB")
	b.ReportMetric(median(theirs, memory), "kubectl-MiB")
	b.Logf("wall time %.2f s, kubectl %.2f s: ratio %.3f, goal %.2f; CPU %.2f s, kubectl %.2f s; memory %.0f MiB, kubectl %.0f MiB (medians of %d)",
		median(ours, wall), median(theirs, wall), ratio, goal, median(ours, cpu), median(theirs, cpu), median(ours, memory), median(theirs, memory), len(ours))
	b.Logf("ours: %v; kubectl: %v", walls(ours), walls(theirs))
}

func median(us []usage, of func(usage) float64) float64 {
	values := make([]float64, len(us))
	for i, u := range us {
		values[i] = of(u)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func walls(us []usage) []time.Duration {
	out := make([]time.Duration, len(us))
	for i, u := range us {
		out[i] = u.wall.Round(time.Millisecond)
	}
	return out
}
