package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const (
	// goalScaleMemory is the peak with thousands of pods.
	goalScaleMemory = 200 << 20
	// goalScaleExit is how long after the Job's end the run may take. A test allows more: its machine may be busy.
	goalScaleExit = time.Second
	looseExit     = 15 * time.Second

	fakeLabel = "kubernetes-job-action/played-by-kwok"
)

// TestManyPods has one Job run 60 pods at once on the real kubelet.
func TestManyPods(t *testing.T) {
	const pods, lines = 60, 50
	bed := newBed(t)
	script := fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo line-$i; done", lines)
	got := bed.indexed("many", pods, pods, lines, map[string]any{"containers": []any{map[string]any{
		"name": "main", "image": "busybox:1.36", "command": []string{"sh", "-c", script},
		"resources": map[string]any{"requests": map[string]string{"cpu": "1m", "memory": "4Mi"}},
	}}})
	bed.judge(got, looseExit)
}

// TestScale has one Job run many pods on a node that kwok plays. The node is gone before the scenarios, which count the nodes.
func TestScale(t *testing.T) {
	bed := newBed(t)
	bed.judge(bed.scale(200, 100), looseExit)
}

// BenchmarkScale does the same with ten times as many.
func BenchmarkScale(b *testing.B) {
	bed := newBed(b)
	for b.Loop() {
		got := bed.scale(2000, 200)
		bed.judge(got, goalScaleExit)
		b.ReportMetric(got.wall.Seconds(), "s")
		b.ReportMetric(got.cpu.Seconds(), "cpu-s")
		b.ReportMetric(float64(got.memory)/(1<<20), "MiB")
		b.ReportMetric(float64(got.exit.Milliseconds()), "exit-ms")
	}
}

// crowd is what a run of many pods took.
type crowd struct {
	usage
	exit time.Duration // from the Job's condition to the end of the process
}

func (b *bed) judge(got crowd, limit time.Duration) {
	b.Helper()
	if got.memory > goalScaleMemory {
		b.Errorf("peak memory %d MiB, the goal is %d MiB", got.memory>>20, goalScaleMemory>>20)
	}
	if got.exit > limit {
		b.Errorf("the end came %s after the Job's condition, the limit is %s", got.exit, limit)
	}
}

// scale runs an Indexed Job on a node that is played.
func (b *bed) scale(pods, parallelism int) crowd {
	const lines = 50
	b.Helper()
	b.startKwok(lines)
	return b.indexed("scale", pods, parallelism, lines, map[string]any{
		"nodeSelector": map[string]string{fakeLabel: "true"},
		"tolerations":  []any{map[string]string{"operator": "Exists"}},
		"containers":   []any{map[string]any{"name": "main", "image": "played"}},
	})
}

// indexed runs an Indexed Job whose pods write line-1 to line-<lines> each, and checks that all of that arrived.
func (b *bed) indexed(name string, pods, parallelism, lines int, podSpec map[string]any) crowd {
	b.Helper()
	podSpec["restartPolicy"] = "Never"
	manifest := b.manifest(name, map[string]any{"backoffLimit": 0, "completionMode": "Indexed", "completions": pods, "parallelism": parallelism,
		"template": map[string]any{"spec": podSpec}})
	out, err := os.Create(filepath.Join(b.dir, name+".out"))
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	exit := b.watchJob(name)
	got := crowd{usage: b.run(out, "kubernetes-job-action", "--manifest", manifest)}
	at, ok := <-exit
	if !ok {
		b.FailNow() // the watch has said why
	}
	got.exit = got.ended.Sub(at)
	b.countIndexed(out, pods, lines)
	b.Logf("%d pods, %d at once, %d lines: %s, end %s after the Job's condition; %.2f s CPU, %d MiB", pods, parallelism, pods*lines,
		got.wall.Round(time.Millisecond), got.exit.Round(time.Millisecond), got.cpu.Seconds(), got.memory>>20)
	return got
}

var indexedLine = regexp.MustCompile(`^\[ *(\d+)\] line-(\d+)$`)

// countIndexed wants each line of each index once and in order, and nothing else.
func (b *bed) countIndexed(out *os.File, pods, lines int) {
	b.Helper()
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		b.Fatal(err)
	}
	next := make([]int, pods)
	for in := bufio.NewScanner(out); in.Scan(); {
		m := indexedLine.FindStringSubmatch(in.Text())
		if m == nil {
			b.Fatalf("%q is none of the lines", in.Text())
		}
		index, _ := strconv.Atoi(m[1])
		number, _ := strconv.Atoi(m[2])
		if index >= pods || number != next[index]+1 {
			b.Fatalf("index %d: line %d came after line %d", index, number, next[index])
		}
		next[index] = number
	}
	for index, n := range next {
		if n != lines {
			b.Errorf("index %d: %d of %d lines", index, n, lines)
		}
	}
}

// startKwok makes a node that only pods of b's Jobs go to, and plays its kubelet. Each pod's log has that many lines.
func (b *bed) startKwok(lines int) {
	b.Helper()
	program, err := shared.cluster.Kwok(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	config, err := os.ReadFile("testdata/kwok/config.yaml")
	if err != nil {
		b.Fatal(err)
	}
	var log bytes.Buffer
	for i := 1; i <= lines; i++ {
		fmt.Fprintf(&log, "%s stdout F line-%d\n", time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z07:00"), i)
	}
	logFile, configFile := filepath.Join(b.dir, "played.log"), filepath.Join(b.dir, "kwok.yaml")
	for path, content := range map[string][]byte{logFile: log.Bytes(), configFile: bytes.Replace(config, []byte("LOGFILE"), []byte(logFile), 1)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	port := freePort(b)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	pki := filepath.Join(shared.cluster.Dir(), "pki")
	admin := shared.cluster.Kubeconfig()
	cmd := exec.Command(program, "--kubeconfig", admin, "--config", configFile, "--manage-all-nodes=false", "--manage-nodes-with-label-selector", fakeLabel+"=true",
		"--node-ip", "127.0.0.1", "--node-port", strconv.Itoa(port), "--server-address", address,
		// The API server trusts the kubelet's certificate; it is for the same address.
		"--tls-cert-file", filepath.Join(pki, "kubelet-server.crt"), "--tls-private-key-file", filepath.Join(pki, "kubelet-server.key"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), "HOME="+b.dir) // it reads a configuration there
	said, err := os.Create(filepath.Join(b.dir, "kwok.log"))
	if err != nil {
		b.Fatal(err)
	}
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if b.Failed() {
			text, _ := os.ReadFile(said.Name()) // it only helps
			b.Logf("kwok said:\n%s", text[max(0, len(text)-4000):])
		}
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	node, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{"name": "played-by-kwok", "labels": map[string]string{fakeLabel: "true"}},
		"spec":     map[string]any{"taints": []any{map[string]string{"key": fakeLabel, "value": "true", "effect": "NoSchedule"}}},
		"status": map[string]any{
			"addresses":   []any{map[string]string{"type": "Hostname", "address": "localhost"}},
			"capacity":    map[string]string{"cpu": "1k", "memory": "1Ti", "pods": "10k"},
			"allocatable": map[string]string{"cpu": "1k", "memory": "1Ti", "pods": "10k"},
		}})
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.dir, "node.json")
	if err := os.WriteFile(path, node, 0o600); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		// While kwok still lives: nobody else ends its pods.
		for _, args := range [][]string{{"--namespace", b.namespace, "delete", "jobs", "--all", "--cascade=foreground"}, {"delete", "node", "--ignore-not-found", "played-by-kwok"}} {
			if err := kubectl(admin, args...); err != nil {
				b.Error(err)
			}
		}
	})
	// What a run that was killed left.
	if err := kubectl(admin, "delete", "node", "--ignore-not-found", "played-by-kwok"); err != nil {
		b.Fatal(err)
	}
	if err := kubectl(admin, "create", "-f", path); err != nil {
		b.Fatal(err)
	}
	if err := kubectl(admin, "wait", "--for=condition=Ready", "--timeout=2m", "node/played-by-kwok"); err != nil {
		b.Fatal(err)
	}
}

// freePort is a port that nobody listens on. Somebody may take it before its user does; then the node does not get ready.
func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
