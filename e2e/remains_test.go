package e2e

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/planton/kubernetes-job-action/e2e/faultproxy"
)

// What may remain of a run. The objects of the file that are no part of the Job always do.
const (
	nothing    = "nothing"
	finished   = "the finished Job, its pods, Secrets and ConfigMaps"
	unfinished = "the Job, which goes on, its pods, Secrets and ConfigMaps"
)

// remains is what is there after each ending with each policy. README.md has it too.
var remains = []struct {
	name    string   // of the test
	ending  string   // as in the row before when it is ""
	policy  string   // the options that decide
	options []string // of the run, beside those
	code    int      // -1: a signal ended it
	left    string
	why     string // after what is left in the table
	says    string // what the output says, as an expression
	drive   func(r *remaining)
}{
	{"success_auto", "the Job succeeds", "`cleanup: auto`", nil, 0, nothing, "", `Job \S+/left deleted$`, nil},
	{"success_on-success", "", "`cleanup: on-success`", []string{"--cleanup=on-success"}, 0, nothing, "", `Job \S+/left deleted$`, nil},
	{"success_always", "", "`cleanup: always`", []string{"--cleanup=always"}, 0, nothing, "", `Job \S+/left deleted$`, nil},
	{"success_never", "", "`cleanup: never`", []string{"--cleanup=never"}, 0, finished, "", `Job \S+/left kept \(it stays\)$`, nil},
	{"success_kept", "", "`if-exists: keep-succeeded`", []string{"--if-exists=keep-succeeded"}, 0, finished, ", for a day", `Job \S+/left kept \(the cluster deletes it in 24 h\)$`, nil},
	{"success_locked", "", "with `lock`", []string{"--lock=work"}, 0, nothing, " but the Lease, without a holder", `lock work released$`, nil},
	{"success_undeletable", "it succeeds, and cannot be deleted", "any that deletes it", []string{"--api-timeout=10s"}, 0, finished, "; the command that deletes them is told", `kubectl -n \S+ delete job left`, nil},
	{"failure_auto", "the Job fails", "`cleanup: auto`", nil, 1, finished, ", for a day", `Job \S+/left kept \(the cluster deletes it in 24 h\)$`, nil},
	{"failure_on-success", "", "`cleanup: on-success`", []string{"--cleanup=on-success"}, 1, finished, "", `Job \S+/left kept \(it stays\)$`, nil},
	{"failure_never", "", "`cleanup: never`", []string{"--cleanup=never"}, 1, finished, "", `Job \S+/left kept \(it stays\)$`, nil},
	{"failure_always", "", "`cleanup: always`", []string{"--cleanup=always"}, 1, nothing, "", `The Job was deleted; it stays for a look with cleanup: never\.`, nil},
	{"timeout_delete", "a timeout, fail-fast", "`on-timeout: delete`", []string{"--timeout=20s"}, 4, nothing, "", `Job \S+/left deleted \(this run ended before it did`, nil},
	{"timeout_leave", "", "`on-timeout: leave`", []string{"--timeout=20s", "--on-timeout=leave"}, 4, unfinished, "", `Job \S+/left kept \(it goes on, as on-timeout says\)$`, nil},
	{"cancel_delete", "a signal", "`on-cancel: delete`", nil, 130, nothing, "", `Job \S+/left deleted \(the run was cancelled`, (*remaining).interrupt},
	{"cancel_leave", "", "`on-cancel: leave`", []string{"--on-cancel=leave"}, 130, unfinished, "", `Job \S+/left was cancelled; the Job goes on, as on-cancel says$`, (*remaining).interrupt},
	{"kill", "the run is killed", "any", nil, -1, unfinished, ", until its deadline, a minute after `timeout`", ``, (*remaining).kill},
	{"kill_post", "", "any, and the action's post step", nil, -1, nothing, "", `Job \S+/left deleted \(the main step was killed`, (*remaining).killAndPost},
	{"gone", "the API server is gone for `api-timeout`", "any", []string{"--api-timeout=5s"}, 3, unfinished, "", `The Job may still run: kubectl -n \S+ get job left\.`, (*remaining).cutOff},
	{"gone_timeout", "it is gone, and `timeout` is over", "`on-timeout: delete`", []string{"--timeout=30s"}, 4, unfinished, "; the command that deletes it is told", `kubectl -n \S+ delete job left`, (*remaining).cutOff},
	{"gone_cancel", "it is gone, and a signal comes", "`on-cancel: delete`", nil, 130, unfinished, "; the command that deletes it is told", `kubectl -n \S+ delete job left`, (*remaining).cutOffAndInterrupt},
}

// remaining is one run whose remains are looked at.
type remaining struct {
	*bed
	run   *exec.Cmd
	told  *heard
	relay *faultproxy.Relay
}

func (r *remaining) interrupt()   { r.signal(syscall.SIGINT) }
func (r *remaining) kill()        { r.signal(syscall.SIGKILL) }
func (r *remaining) cutOff()      { r.relay.Close() }
func (r *remaining) killAndPost() { r.kill() }
func (r *remaining) cutOffAndInterrupt() {
	r.cutOff()
	r.interrupt()
}

func (r *remaining) signal(s syscall.Signal) {
	if err := r.run.Process.Signal(s); err != nil {
		r.Error(err)
	}
}

// post runs the post step with what the main step has saved, as the runner does.
func (r *remaining) post() {
	post := exec.Command("sh", "-c", `env $(sed -n 'N; N; s/^\(.*\)<<.*\n\(.*\)\n.*$/STATE_\1=\2/p' "$GITHUB_STATE") kubernetes-job-action post`)
	post.Env, post.Stdout, post.Stderr = r.run.Env, r.told, r.told
	if err := post.Run(); err != nil {
		r.Errorf("the post step: %v", err)
	}
}

// left lists the objects that are there: the kinds and names, those that are going with a minus.
func (r *remaining) left() string {
	out, err := r.kubectl("get", "jobs,pods,secrets,configmaps,leases", "-o", `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.deletionTimestamp} {.spec.holderIdentity}{"\n"}{end}`)
	if err != nil {
		return err.Error()
	}
	var all []string
	for line := range strings.Lines(out) {
		what, state, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch state = strings.TrimSpace(state); {
		case what == "ConfigMap/kube-root-ca.crt":
			continue
		case strings.HasPrefix(what, "Pod/left-"):
			what = "Pod"
		}
		if state != "" {
			what += " -"
		}
		all = append(all, what)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// TestRemains: after each ending and with each policy, exactly the promised objects remain.
func TestRemains(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	table := "| the run ends because | with | what remains |\n|---|---|---|\n"
	ending := ""
	for _, cell := range remains {
		ending = cmp.Or(cell.ending, ending)
		table += fmt.Sprintf("| %s | %s | %s%s |\n", ending, cell.policy, cell.left, cell.why)
	}
	if !strings.Contains(string(readme), table) {
		t.Errorf("README.md has another table than this\n%s", table)
	}
	for _, cell := range remains {
		t.Run(cell.name, func(t *testing.T) {
			t.Parallel()
			r := &remaining{bed: newBed(t), told: newHeard()}
			script := "trap exit TERM; echo working; sleep 600 & wait"
			switch code := cell.code; {
			case strings.HasPrefix(cell.name, "success"):
				script = "echo working"
			case code == 1:
				script = "echo working; exit 1"
			}
			manifest := filepath.Join(r.dir, "manifest.yaml")
			if err := os.WriteFile(manifest, fmt.Appendf(nil, remainsManifest, r.namespace, script), 0o600); err != nil {
				t.Fatal(err)
			}
			config := filepath.Join(r.dir, "kubeconfig")
			switch {
			case strings.HasPrefix(cell.name, "gone"):
				r.relay, config = r.relayed()
			case cell.name == "success_undeletable":
				_, config = r.fronted(func(q *http.Request) faultproxy.Fault {
					if q.Method == http.MethodDelete {
						return faultproxy.Unavailable
					}
					return faultproxy.None
				})
			}
			r.run = r.command(append([]string{"--kubeconfig", config, "--manifest", manifest, "--secret-env", "TOKEN=hunter2secret"}, cell.options...)...)
			r.run.Stdout, r.run.Stderr = r.told, r.told
			if cell.name == "kill_post" {
				r.run.Env = append(r.run.Env, "GITHUB_ACTIONS=true", "GITHUB_STATE="+filepath.Join(r.dir, "state"))
			}
			if err := r.run.Start(); err != nil {
				t.Fatal(err)
			}
			if cell.drive != nil {
				at := "(?m)^working$"
				if cell.name == "gone_timeout" { // which counts from the beginning
					at = "following Job"
				}
				r.told.until(t, at, 2*time.Minute)
				cell.drive(r)
			}
			driven := time.Now()
			err := r.run.Wait()
			if code := r.run.ProcessState.ExitCode(); code != cell.code || err != nil && !errors.As(err, new(*exec.ExitError)) {
				t.Errorf("code %d, %v", code, err)
			}
			// The timeout, and the tries to delete the Job; api-timeout, where nothing else ends the run, is two minutes.
			if took := time.Since(driven); r.relay != nil && took > time.Minute {
				t.Errorf("it took %s without an API server", took)
			}
			if cell.name == "kill_post" {
				r.post()
			}
			want := "ConfigMap/mine"
			if cell.left != nothing {
				want = "ConfigMap/mine, ConfigMap/note, Job/left, Pod, Secret/left-env-secrets"
			}
			if cell.name == "success_locked" {
				want += ", Lease/work"
			}
			got := r.left()
			for end := time.Now().Add(2 * time.Minute); got != want && time.Now().Before(end); got = r.left() {
				time.Sleep(200 * time.Millisecond) // until the garbage collector has come, or the Job controller: nothing that went comes back
			}
			if got != want {
				t.Errorf("there are %s; want %s", got, want)
			}
			if !regexp.MustCompile("(?m)" + cell.says).MatchString(r.told.String()) {
				t.Errorf("nothing says %s", cell.says)
			}
			if t.Failed() {
				t.Log(r.told.String())
			}
		})
	}
}

const remainsManifest = `apiVersion: kubernetes.project-planton.org/v1
kind: KubernetesJob
metadata: {name: left}
spec:
  namespace: {value: %q}
  image: {repo: busybox, tag: "1.36"}
  resources: {requests: {cpu: 10m, memory: 16Mi}}
  backoffLimit: 0
  configMaps: {note: hello}
  command: [sh, -c, %q]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: mine}
`

// command is a run of the program that has not begun.
func (b *bed) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(shared.bin, "kubernetes-job-action"), args...)
	cmd.Env = b.env
	return cmd
}

// kubeconfig reads a value of the administrator's kubeconfig.
func (b *bed) kubeconfig(key string) string {
	text, err := os.ReadFile(shared.cluster.Kubeconfig())
	if err != nil {
		b.Fatal(err)
	}
	match := regexp.MustCompile(`(?m)^\s*` + key + `: (\S+)$`).FindSubmatch(text)
	if match == nil {
		b.Fatalf("the kubeconfig has no %s", key)
	}
	return string(match[1])
}

// relayed puts a relay before the API server, and gives the kubeconfig that leads over it.
func (b *bed) relayed() (*faultproxy.Relay, string) {
	server := b.kubeconfig("server")
	relay, err := faultproxy.NewRelay(strings.TrimPrefix(server, "https://"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(relay.Close)
	text, err := os.ReadFile(filepath.Join(b.dir, "kubeconfig"))
	if err != nil {
		b.Fatal(err)
	}
	return relay, b.config("relayed", strings.Replace(string(text), server, "https://"+relay.Addr(), 1))
}

// fronted puts a front before the API server, and gives the kubeconfig that leads to it.
func (b *bed) fronted(choose func(*http.Request) faultproxy.Fault) (*faultproxy.Front, string) {
	var data [3][]byte
	for i, key := range []string{"client-certificate-data", "client-key-data", "certificate-authority-data"} {
		var err error
		if data[i], err = base64.StdEncoding.DecodeString(b.kubeconfig(key)); err != nil {
			b.Fatal(err)
		}
	}
	cert, err := tls.X509KeyPair(data[0], data[1])
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data[2])
	front, err := faultproxy.NewFront(b.kubeconfig("server"), &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}, choose)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(front.Close)
	return front, b.config("fronted", fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u, namespace: %s}}],
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}], users: [{name: u, user: {token: any}}]}
`, b.namespace, front.URL(), base64.StdEncoding.EncodeToString(front.CA())))
}

func (b *bed) config(name, text string) string {
	path := filepath.Join(b.dir, name+".kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// heard is what a process writes, while it does.
type heard struct {
	more chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

func newHeard() *heard { return &heard{more: make(chan struct{}, 1)} }

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text.Write(p)
	select {
	case h.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// until waits until the text has a match.
func (h *heard) until(t testing.TB, expression string, limit time.Duration) {
	t.Helper()
	late, match := time.After(limit), regexp.MustCompile(expression)
	for !match.MatchString(h.String()) {
		select {
		case <-h.more:
		case <-late:
			t.Fatalf("no %s in %s, but\n%s", expression, limit, h.String())
		}
	}
}
