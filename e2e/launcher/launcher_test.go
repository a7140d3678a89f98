// Package launcher tests the launcher of the native action, native/main.cjs, on the Node.js of GitHub's runner and on the one before. The
// program that it starts is played by this test's own binary.
package launcher

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/planton/kubernetes-job-action/e2e/devcluster"
)

var (
	nodes   = map[string]string{} // the programs of Node.js by their major version
	modules string                // the folder that they lie in
)

func TestMain(m *testing.M) {
	if mode, played := os.LookupEnv("PLAYED"); played {
		play(mode)
	}
	flag.Parse()
	installer, err := devcluster.Open("", os.Stderr)
	for _, major := range []string{"20", "24"} {
		if err == nil {
			nodes[major], err = installer.Node(context.Background(), major)
		}
	}
	if err == nil {
		modules, err = installer.NodeModules(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the launcher cannot be tested:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// play is the program: it says what it is given, and ends as the mode says.
func play(mode string) {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println("played")
		os.Exit(0)
	}
	json.NewEncoder(os.Stdout).Encode(said{os.Getpid(), os.Args[1:], os.Getenv("INPUT_SECRET-ENV")})
	if marker := os.Getenv("MARKER"); marker != "" {
		os.WriteFile(marker, nil, 0o600)
	}
	how, what, _ := strings.Cut(mode, " ")
	n, _ := strconv.Atoi(what)
	switch how {
	case "exit":
		os.Exit(n)
	case "die":
		syscall.Kill(os.Getpid(), syscall.Signal(n))
	case "hear": // signals, until standard input ends
		heard, end := make(chan os.Signal, 10), make(chan struct{})
		signal.Notify(heard, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		go func() { io.Copy(io.Discard, os.Stdin); close(end) }()
		for fmt.Println("ready"); ; {
			select {
			case s := <-heard:
				fmt.Println(s)
			case <-end:
				os.Exit(130)
			}
		}
	}
	select {}
}

type said struct {
	PID   int
	Args  []string
	Input string
}

// form is one way to become the program.
type form struct {
	node    string
	prelude string // run before the launcher
	replace bool   // the process of Node.js becomes the program
}

var forms = map[string]form{
	"Node 24":            {node: "24", replace: true},
	"Node 24, no execve": {node: "24", prelude: "delete process.execve"},
	"Node 20":            {node: "20"},
}

// windows makes the launcher take its way for Windows.
const windows = `Object.defineProperty(process, "platform", {value: "win32"})`

// bench is a copy of the action with a release of its own.
type bench struct {
	*testing.T
	dir     string
	env     map[string]string
	version string
	content []byte
	server  *httptest.Server
	asked   atomic.Int32
	answer  http.HandlerFunc // nil: the asset
}

// played is the program, read once.
var played = sync.OnceValues(func() ([]byte, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

var squeezed = sync.OnceValue(func() []byte {
	content, _ := played()
	return squeeze(content)
})

func squeeze(content []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	w.Write(content)
	w.Close()
	return b.Bytes()
}

func newBench(t *testing.T) *bench {
	t.Helper()
	content, err := played()
	if err != nil {
		t.Fatal(err)
	}
	// Runners lie in folders of any name.
	b := &bench{T: t, dir: filepath.Join(t.TempDir(), "ein Läufer"), version: "1.2.3", content: content}
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.asked.Add(1)
		if b.answer != nil {
			b.answer(w, r)
		} else {
			w.Write(squeezed())
		}
	}))
	t.Cleanup(b.server.Close)
	for _, folder := range []string{"native", "setup"} {
		if err := os.CopyFS(filepath.Join(b.dir, folder), os.DirFS("../../"+folder)); err != nil {
			t.Fatal(err)
		}
	}
	b.env = map[string]string{"PLAYED": "exit 0", "RUNNER_TOOL_CACHE": filepath.Join(b.dir, "cache"), "RUNNER_TEMP": filepath.Join(b.dir, "temp"), "MARKER": filepath.Join(b.dir, "executed")}
	b.release(b.server.URL)
	return b
}

// arch is this machine's, as Node.js names it.
var arch = strings.Replace(runtime.GOARCH, "amd64", "x64", 1)

func (b *bench) release(url string) {
	b.Helper()
	sum := sha256.Sum256(b.content)
	programs := map[string]any{}
	for _, platform := range []string{runtime.GOOS + "-" + arch, "win32-" + arch} { // the second is what windows plays
		programs[platform] = map[string]any{"file": "program.gz", "size": len(b.content), "sha256": hex.EncodeToString(sum[:])}
	}
	b.write("native/release.json", map[string]any{"version": b.version, "url": url, "programs": programs})
}

func (b *bench) write(file string, value any) {
	b.Helper()
	data, err := json.Marshal(value)
	if err == nil {
		err = os.WriteFile(filepath.Join(b.dir, file), data, 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// kept is where the program lies in a folder of the runner.
func (b *bench) kept(folder string) string {
	return filepath.Join(b.dir, folder, "kubernetes-job-action", b.version, arch, "kubernetes-job-action")
}

// own makes the program the user's own.
func (b *bench) own(name string, content []byte) string {
	b.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, content, 0o755); err != nil {
		b.Fatal(err)
	}
	b.env["KUBERNETES_JOB_ACTION_BINARY"] = path
	return path
}

// command starts a script of the action as the runner does: with nothing in the environment but what is given.
func (b *bench) command(f form, script string) *exec.Cmd {
	b.Helper()
	args := []string{filepath.Join(b.dir, script)}
	if f.prelude != "" {
		prelude := filepath.Join(b.TempDir(), "prelude.cjs")
		if err := os.WriteFile(prelude, []byte(f.prelude), 0o600); err != nil {
			b.Fatal(err)
		}
		args = []string{"--require", prelude, args[0]}
	}
	cmd := exec.Command(nodes[f.node], args...)
	cmd.Dir = b.dir
	for name, value := range b.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

type ended struct {
	code           int
	stdout, stderr string
	pid            int
}

func (b *bench) run(f form, script string) ended {
	b.Helper()
	cmd := b.command(f, script)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.Exited()) {
		b.Fatalf("%v\n%s", err, stderr.String())
	}
	return ended{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), cmd.Process.Pid}
}

// ran checks that the program has run, and nobody beside it has said anything.
func (b *bench) ran(e ended) said {
	b.Helper()
	var s said
	line, rest, _ := strings.Cut(e.stdout, "\n")
	if err := json.Unmarshal([]byte(line), &s); err != nil || rest != "" || e.stderr != "" {
		b.Fatalf("exit code %d, %q, %q", e.code, e.stdout, e.stderr)
	}
	return s
}

func (b *bench) requests(want int32) {
	b.Helper()
	if got := b.asked.Load(); got != want {
		b.Errorf("%d requests, want %d", got, want)
	}
}

// files are all in the runner's folders.
func (b *bench) files() (found []string) {
	b.Helper()
	for _, folder := range []string{"cache", "temp"} {
		filepath.WalkDir(filepath.Join(b.dir, folder), func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				found = append(found, path)
			}
			return nil
		})
	}
	return found
}

func each(t *testing.T, test func(*testing.T, form)) {
	for name, f := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, f)
		})
	}
}

// The program gets the environment as it is, hyphens and line breaks included, and its exit code is the step's.
func TestLaunch(t *testing.T) {
	each(t, func(t *testing.T, f form) {
		b := newBench(t)
		b.env["INPUT_SECRET-ENV"] = "A=\"1\" $x ß\nB=2\n"
		for _, code := range []int{0, 1, 2, 3, 4, 5, 6, 130} {
			b.env["PLAYED"] = fmt.Sprintf("exit %d", code)
			e := b.run(f, "native/main.cjs")
			s := b.ran(e)
			if e.code != code || len(s.Args) != 0 || s.Input != b.env["INPUT_SECRET-ENV"] || (s.PID == e.pid) != f.replace {
				t.Errorf("exit code %d, want %d; process %d said %+v", e.code, code, e.pid, s)
			}
		}
		b.requests(1) // the rest came from the tool cache
		if files := b.files(); len(files) != 1 || files[0] != b.kept("cache") {
			t.Errorf("files %q", files)
		}
	})
}

// The post step looks for the program only when the main step has left a record.
func TestPost(t *testing.T) {
	each(t, func(t *testing.T, f form) {
		b := newBench(t)
		if e := b.run(f, "native/post.cjs"); e.code != 0 || e.stdout+e.stderr != "" {
			t.Errorf("%+v", e)
		}
		b.requests(0)
		b.env["STATE_job"] = "{}"
		b.env["PLAYED"] = "exit 3"
		e := b.run(f, "native/post.cjs")
		if s := b.ran(e); e.code != 3 || len(s.Args) != 1 || s.Args[0] != "post" {
			t.Errorf("exit code %d, %+v", e.code, s)
		}
	})
}

// listening is the launcher, whose program tells the signals that it hears.
type listening struct {
	*bench
	cmd   *exec.Cmd
	pid   int // of the program
	stdin io.Closer
	lines *bufio.Reader
}

func (b *bench) listen(f form) *listening {
	b.Helper()
	b.env["PLAYED"] = "hear"
	l := &listening{bench: b, cmd: b.command(f, "native/main.cjs")}
	l.cmd.Stderr = os.Stderr
	stdin, err := l.cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := l.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	l.stdin, l.lines = stdin, bufio.NewReader(stdout)
	// When nothing is heard, the program ends, and with it the wait for a line.
	patience := time.AfterFunc(time.Minute, func() { stdin.Close() })
	b.Cleanup(func() { patience.Stop(); stdin.Close(); l.cmd.Process.Kill() })
	var s said
	if err := json.Unmarshal([]byte(l.line()), &s); err != nil {
		b.Fatal(err)
	}
	if l.pid = s.PID; l.line() != "ready\n" {
		b.Fatal("the program is not ready")
	}
	return l
}

func (l *listening) line() string {
	l.Helper()
	line, err := l.lines.ReadString('\n')
	if err != nil {
		l.Fatalf("nothing more is heard: %v", err)
	}
	return line
}

// end ends the program, which has nothing more to tell.
func (l *listening) end() {
	l.Helper()
	l.stdin.Close()
	rest, err := io.ReadAll(l.lines)
	if err != nil {
		l.Fatal(err)
	}
	if err := l.cmd.Wait(); len(rest) != 0 || l.cmd.ProcessState.ExitCode() != 130 {
		l.Errorf("%v, and in the end %q", err, rest)
	}
}

// A signal to the one process id that the runner knows reaches the program, each once.
func TestSignals(t *testing.T) {
	each(t, func(t *testing.T, f form) {
		l := newBench(t).listen(f)
		for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
			if err := l.cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			if got := l.line(); got != s.String()+"\n" {
				t.Errorf("%v: the program heard %q", s, got)
			}
		}
		l.end()
	})
}

// A console of Windows gives Ctrl-C to the program too. The launcher outlives it, and does not give it to the program once more, for which the
// second signal would be the last.
func TestWindowsConsole(t *testing.T) {
	b := newBench(t)
	// The prelude tells when all that listens in the launcher has been called.
	l := b.listen(form{node: "24", prelude: windows + `; process.on("SIGINT", () => setImmediate(() => require("fs").writeSync(1, "launcher\n")))`})
	for _, c := range []struct {
		pid  int
		s    syscall.Signal
		want string
	}{{l.cmd.Process.Pid, syscall.SIGINT, "launcher\n"}, {l.pid, syscall.SIGTERM, "terminated\n"}, {l.pid, syscall.SIGINT, "interrupt\n"}} {
		if err := syscall.Kill(c.pid, c.s); err != nil {
			t.Fatal(err)
		}
		if got := l.line(); got != c.want {
			t.Errorf("%v: heard %q, want %q", c.s, got, c.want)
		}
	}
	l.end()
	if files := b.files(); len(files) != 1 || files[0] != b.kept("cache")+".exe" {
		t.Errorf("files %q", files)
	}
}

// A program that a signal ends takes the launcher with it, by the same one.
func TestKilledProgram(t *testing.T) {
	each(t, func(t *testing.T, f form) {
		for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
			b := newBench(t)
			b.env["PLAYED"] = fmt.Sprintf("die %d", s)
			cmd := b.command(f, "native/main.cjs")
			err := cmd.Run()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != s {
				t.Errorf("%v: %v", s, err)
			}
		}
	})
}

// Nothing that is not the release's program is executed or kept.
func TestRefused(t *testing.T) {
	long := make([]byte, 1<<16)
	for name, c := range map[string]struct {
		prepare  func(*bench)
		requests int32
		want     string // of the error, and code 2
	}{
		"another program of the same size": {func(b *bench) {
			other := bytes.Clone(b.content)
			other[len(other)-1]++
			b.answer = func(w http.ResponseWriter, _ *http.Request) { w.Write(squeeze(other)) }
		}, 3, "its SHA-256 is "},
		"a longer program": {func(b *bench) {
			b.answer = func(w http.ResponseWriter, _ *http.Request) { w.Write(squeeze(append(bytes.Clone(b.content), 0))) }
		}, 3, "it is larger than the "},
		"a bomb": {func(b *bench) {
			b.answer = func(w http.ResponseWriter, _ *http.Request) {
				for z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed); ; {
					if _, err := z.Write(long); err != nil {
						return
					}
				}
			}
		}, 3, "it is larger than the "},
		"a stream without content": {func(b *bench) {
			empty := bytes.Repeat(squeeze(nil), 1000)
			b.answer = func(w http.ResponseWriter, _ *http.Request) {
				for {
					if _, err := w.Write(empty); err != nil {
						return
					}
				}
			}
		}, 3, "it is larger than the "},
		"a shorter program": {func(b *bench) {
			b.answer = func(w http.ResponseWriter, _ *http.Request) { w.Write(squeeze(b.content[:1000])) }
		}, 3, "its SHA-256 is "},
		"no gzip": {func(b *bench) {
			b.answer = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>sign in</html>") }
		}, 3, "it is no gzip file"},
		"half of it": {func(b *bench) {
			b.answer = func(w http.ResponseWriter, _ *http.Request) { w.Write(squeezed()[:1<<16]) }
		}, 3, "unexpected end of file"},
		"a connection that breaks": {func(b *bench) {
			b.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(len(squeezed())))
				w.Write(squeezed()[:1<<16])
			}
		}, 3, "the connection broke"},
		"not found": {func(b *bench) { b.answer = http.NotFound }, 3, " is 404"},
		"an error of the server": {func(b *bench) {
			b.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
		}, 3, " is 503"},
		"redirects without end": {func(b *bench) {
			b.answer = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }
		}, 18, " is 302"},
		"a redirect to no URL": {func(b *bench) {
			b.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://[")
				w.WriteHeader(http.StatusFound)
			}
		}, 3, "Invalid URL"},
		"a redirect to another protocol": {func(b *bench) {
			b.answer = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "ftp://127.0.0.1/x", http.StatusFound)
			}
		}, 3, `Protocol "ftp:" not supported`},
		"nobody answers": {func(b *bench) { b.server.Close() }, 0, "ECONNREFUSED"},
		"no release":     {func(b *bench) { b.write("native/release.json", map[string]any{}) }, 0, "it is no release: use a release"},
		"another platform": {func(b *bench) {
			b.write("native/release.json", map[string]any{"version": "1.2.3", "programs": map[string]any{"aix-ppc64": 0}})
		}, 0, "only for aix-ppc64"},
		"no runner": {func(b *bench) { delete(b.env, "RUNNER_TOOL_CACHE"); delete(b.env, "RUNNER_TEMP") }, 1, "neither RUNNER_TOOL_CACHE nor RUNNER_TEMP is set"},
		"no place": {func(b *bench) {
			file := filepath.Join(b.dir, "file")
			os.WriteFile(file, nil, 0o600)
			b.env["RUNNER_TOOL_CACHE"], b.env["RUNNER_TEMP"] = file, file
		}, 1, "there is no place where the program can be kept and started: "},
		"a program of one's own with a relative path": {func(b *bench) { b.env["KUBERNETES_JOB_ACTION_BINARY"] = "bin/x" }, 0, `"bin/x", and must be an absolute path`},
		"white space as the path":                     {func(b *bench) { b.env["KUBERNETES_JOB_ACTION_BINARY"] = " \n" }, 0, `" \n", and must be an absolute path`},
		"a program of one's own that is missing":      {func(b *bench) { b.env["KUBERNETES_JOB_ACTION_BINARY"] = "/no/such/%file\n::error::x" }, 0, "fails: ENOENT"},
		"a folder":                                    {func(b *bench) { b.env["KUBERNETES_JOB_ACTION_BINARY"] = b.dir }, 0, "fails: EACCES"},
		"one that is not executable":                  {func(b *bench) { os.Chmod(b.own("x", b.content), 0o644) }, 0, "fails: EACCES"},
		"one of another system":                       {func(b *bench) { b.own("x", []byte("\x7fELF\x02\x01\x01")) }, 0, `its command "version" `},
		"something else":                              {func(b *bench) { b.own("x", []byte("#!/bin/sh\nexit 3\n")) }, 0, "ends with code 3"},
		"a script without an interpreter":             {func(b *bench) { b.own("x", []byte("echo 1.2.3\n")) }, 0, "is a script whose first line does not begin with #!"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, f := range []form{forms["Node 24"], forms["Node 20"]} {
				b := newBench(t)
				c.prepare(b)
				e := b.run(f, "native/main.cjs")
				if e.code != 2 || e.stdout != "" || !strings.HasPrefix(e.stderr, "::error title=Kubernetes Job::") || !strings.Contains(e.stderr, c.want) || strings.Count(e.stderr, "\n") != 1 {
					t.Errorf("Node %s: exit code %d, %q, %q", f.node, e.code, e.stdout, e.stderr)
				}
				b.requests(c.requests)
				if _, err := os.Stat(b.env["MARKER"]); err == nil {
					t.Error("it was executed")
				}
				if files := b.files(); len(files) != 0 {
					t.Errorf("files %q", files)
				}
			}
		})
	}
}

// A download is tried again, redirects are followed, and what was kept is not trusted.
func TestDownload(t *testing.T) {
	for name, c := range map[string]struct {
		prepare  func(*bench)
		requests int32
		kept     string
	}{
		"at once": {func(*bench) {}, 1, "cache"},
		"the third time": {func(b *bench) {
			b.answer = func(w http.ResponseWriter, _ *http.Request) {
				switch b.asked.Load() {
				case 1:
					w.WriteHeader(http.StatusTooManyRequests)
				case 2:
					w.Write(squeezed()[:1<<16])
				default:
					w.Write(squeezed())
				}
			}
		}, 3, "cache"},
		"by redirects": {func(b *bench) {
			b.answer = func(w http.ResponseWriter, r *http.Request) {
				if n := b.asked.Load(); n < 3 {
					http.Redirect(w, r, fmt.Sprintf("/%d", n), http.StatusFound)
				} else {
					w.Write(squeezed())
				}
			}
		}, 3, "cache"},
		"what is kept is another program": {func(b *bench) { b.keep("cache", bytes.Repeat([]byte{'x'}, len(b.content)), 0o755) }, 1, "cache"},
		"what is kept is cut":             {func(b *bench) { b.keep("cache", b.content[:1000], 0o755) }, 1, "cache"},
		"what is kept cannot be executed": {func(b *bench) { b.keep("cache", b.content, 0o644) }, 1, "cache"},
		"it is kept for the job":          {func(b *bench) { b.keep("temp", b.content, 0o755) }, 0, "temp"},
		"the cache cannot be written": {func(b *bench) {
			if err := os.WriteFile(filepath.Join(b.dir, "cache"), nil, 0o600); err != nil {
				b.Fatal(err)
			}
			b.env["RUNNER_TOOL_CACHE"] += "/x"
		}, 1, "temp"},
		"the variable is empty": {func(b *bench) { b.env["KUBERNETES_JOB_ACTION_BINARY"] = "" }, 1, "cache"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, f := range []form{forms["Node 24"], forms["Node 20"]} {
				b := newBench(t)
				c.prepare(b)
				e := b.run(f, "native/main.cjs")
				if b.ran(e); e.code != 0 {
					t.Errorf("exit code %d", e.code)
				}
				b.requests(c.requests)
				if content, err := os.ReadFile(b.kept(c.kept)); err != nil || !bytes.Equal(content, b.content) {
					t.Errorf("what is kept is not the program (%v)", err)
				}
			}
		})
	}
}

func (b *bench) keep(folder string, content []byte, mode os.FileMode) {
	b.Helper()
	file := b.kept(folder)
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, content, mode)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// A tool cache that cannot be used is left as it was, and the program is kept for the job. Without any place, each is named.
func TestPlaces(t *testing.T) {
	for name, c := range map[string]struct {
		flags   uintptr
		options string
		want    string // as Node.js calls it
	}{
		"full":                      {0, "size=1m", "ENOSPC"},
		"read-only":                 {syscall.MS_RDONLY, "", "ENOENT"},
		"mounted without execution": {syscall.MS_NOEXEC, "", "EACCES"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			mount := func(folder string) {
				t.Helper()
				path := filepath.Join(b.dir, folder)
				err := os.Mkdir(path, 0o755)
				if err == nil {
					err = syscall.Mount("launcher", path, "tmpfs", c.flags, c.options)
				}
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := syscall.Unmount(path, 0); err != nil {
						t.Error(err)
					}
				})
			}
			mount("cache")
			b.ran(b.run(forms["Node 24"], "native/main.cjs"))
			b.ran(b.run(forms["Node 20"], "native/main.cjs"))
			b.requests(1)
			if files := b.files(); len(files) != 1 || files[0] != b.kept("temp") {
				t.Errorf("files %q", files)
			}
			if err := os.RemoveAll(b.env["RUNNER_TEMP"]); err != nil {
				t.Fatal(err)
			}
			mount("temp")
			e := b.run(forms["Node 24"], "native/main.cjs")
			for _, folder := range []string{"cache", "temp"} {
				if want := b.kept(folder) + ": " + c.want; e.code != 2 || !strings.Contains(e.stderr, want) {
					t.Errorf("exit code %d, %q, want %q", e.code, e.stderr, want)
				}
			}
			if files := b.files(); len(files) != 0 {
				t.Errorf("files %q", files)
			}
		})
	}
}

// A server that says nothing more is left after a while, and the download as a whole has an end. The prelude makes time pass faster.
func TestSlowServer(t *testing.T) {
	for name, c := range map[string]struct{ prelude, want string }{
		"nothing comes": {`const http = require("http"), {request} = http
			http.request = (url, options) => request(url, {...options, timeout: options.timeout / 30})`, "the connection broke, or nothing came for 30 s"},
		"it never ends": {`const {timeout} = AbortSignal
			AbortSignal.timeout = (ms) => timeout.call(AbortSignal, ms / 30)`, "it takes more than five minutes"},
	} {
		for _, when := range []string{"before the answer", "in the middle"} {
			t.Run(name+", "+when, func(t *testing.T) {
				t.Parallel()
				for _, node := range []string{"20", "24"} {
					b := newBench(t)
					b.answer = func(w http.ResponseWriter, r *http.Request) {
						if when == "in the middle" {
							w.Write(squeezed()[:1<<16])
							w.(http.Flusher).Flush()
						}
						<-r.Context().Done()
					}
					if e := b.run(form{node: node, prelude: c.prelude}, "native/main.cjs"); e.code != 2 || !strings.Contains(e.stderr, c.want) {
						t.Errorf("exit code %d, %q", e.code, e.stderr)
					}
					if b.asked.Load() == 0 {
						t.Error("the server was not asked")
					}
				}
			})
		}
	}
}

// The download leads from http to https, and to another host, whose certificate only the runner's administrator knows.
func TestCertificate(t *testing.T) {
	for _, f := range []form{forms["Node 24"], forms["Node 20"]} {
		b := newBench(t)
		secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(squeezed()) }))
		t.Cleanup(secure.Close)
		secure.Config.ErrorLog = log.New(io.Discard, "", 0)
		b.answer = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, secure.URL, http.StatusFound) }
		if e := b.run(f, "native/main.cjs"); e.code != 2 || !strings.Contains(e.stderr, "certificate") || len(b.files()) != 0 {
			t.Errorf("%+v", e)
		}
		b.env["NODE_EXTRA_CA_CERTS"] = filepath.Join(b.dir, "ca.pem")
		if err := os.WriteFile(b.env["NODE_EXTRA_CA_CERTS"], pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		b.ran(b.run(f, "native/main.cjs"))
	}
}

// Steps that begin at the same time on one runner do not disturb each other.
func TestDownloadAtTheSameTime(t *testing.T) {
	b := newBench(t)
	var cmds []*exec.Cmd
	for range 6 {
		cmd := b.command(forms["Node 24"], "native/main.cjs")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if files := b.files(); len(files) != 1 {
		t.Errorf("files %q", files)
	}
}

// The user's own program is used as it is, whatever the release says.
func TestOwnProgram(t *testing.T) {
	each(t, func(t *testing.T, f form) {
		b := newBench(t)
		b.write("native/release.json", map[string]any{})
		b.own("mine", append(bytes.Clone(b.content), "more"...))
		b.env["PLAYED"] = "exit 5"
		if e := b.run(f, "native/main.cjs"); e.code != 5 {
			t.Errorf("%+v", e)
		}
		b.requests(0)
	})
}

// A program of Windows begins with letters, and yet is no script. (This one is one, for this machine.)
func TestOwnProgramOfWindows(t *testing.T) {
	b := newBench(t)
	b.own("mine.exe", []byte("MZ=played\necho $MZ\n"))
	if e := b.run(form{node: "24", prelude: windows}, "native/main.cjs"); e.code != 0 || e.stdout != "played\n" || e.stderr != "" {
		t.Errorf("%+v", e)
	}
}

// The variables of proxies count, on the Node.js of today's runners.
func TestProxy(t *testing.T) {
	b := newBench(t)
	var asked atomic.Value
	b.answer = func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.RequestURI)
		w.Write(squeezed())
	}
	b.release("http://release.example/v1.2.3")
	b.env["http_proxy"] = b.server.URL
	b.ran(b.run(forms["Node 24"], "native/main.cjs"))
	if got := asked.Load(); got != "http://release.example/v1.2.3/program.gz" {
		t.Errorf("the proxy was asked for %v", got)
	}

	// A tunnel, for https; what is behind it is no TLS, so the download fails, and names the release.
	b = newBench(t)
	b.answer = func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Method + " " + r.RequestURI)
		w.WriteHeader(http.StatusForbidden)
	}
	b.release("https://release.example/v1.2.3")
	b.env["HTTPS_PROXY"] = b.server.URL
	if e := b.run(forms["Node 24"], "native/main.cjs"); e.code != 2 || !strings.Contains(e.stderr, "the program cannot be had from https://release.example/v1.2.3/program.gz") {
		t.Errorf("%+v", e)
	}
	if got := asked.Load(); got != "CONNECT release.example:443" {
		t.Errorf("the proxy was asked for %v", got)
	}
}

// What goes wrong at a proxy is told without the password in its URL; a Node.js that knows no proxies says so.
func TestProxyRefused(t *testing.T) {
	for name, c := range map[string]struct{ node, proxy, want string }{
		"it wants another password": {"24", "http://user:s3cret@%s", "407 Proxy Authentication Required"},
		"its URL cannot be read":    {"24", "http://user:s3cret/@%s", "HTTPS_PROXY or HTTP_PROXY is no URL of a proxy"},
		"Node 20":                   {"20", "http://user:s3cret@%s", "(Node.js v20."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.answer = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }
			b.release("https://127.0.0.1:1/v1.2.3") // nobody listens there
			b.env["HTTPS_PROXY"] = fmt.Sprintf(c.proxy, b.server.Listener.Addr())
			e := b.run(form{node: c.node}, "native/main.cjs")
			if e.code != 2 || !strings.Contains(e.stderr, c.want) || strings.Contains(e.stderr, "s3cret") {
				t.Errorf("exit code %d, %q", e.code, e.stderr)
			}
			if strings.HasPrefix(c.want, "407") {
				b.requests(3)
			} else {
				b.requests(0)
			}
		})
	}
}

// A signal in the middle of a download ends it at once, and leaves nothing.
func TestCancelledDownload(t *testing.T) {
	each(t, func(t *testing.T, f form) {
		b := newBench(t)
		arrived := make(chan struct{}, 1)
		b.answer = func(w http.ResponseWriter, r *http.Request) {
			w.Write(squeezed()[:1<<16])
			w.(http.Flusher).Flush()
			arrived <- struct{}{}
			<-r.Context().Done()
		}
		cmd := b.command(f, "native/main.cjs")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-arrived
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		err := cmd.Wait()
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGINT || time.Since(start) > 20*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		if files := b.files(); len(files) != 0 {
			t.Errorf("files %q", files)
		}
	})
}

// The setup action puts the program's folder on the PATH of later steps, under the command's name.
func TestSetup(t *testing.T) {
	for _, f := range []form{forms["Node 24"], forms["Node 20"]} {
		b := newBench(t)
		b.env["GITHUB_PATH"] = filepath.Join(b.dir, "path")
		if err := os.WriteFile(b.env["GITHUB_PATH"], []byte("/first\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		// Nothing waits for the rest of an answer that leads on.
		b.answer = func(w http.ResponseWriter, r *http.Request) {
			if b.asked.Load() > 1 {
				w.Write(squeezed())
				return
			}
			w.Header().Set("Location", "/")
			w.WriteHeader(http.StatusFound)
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Second):
				t.Error("the launcher still reads what leads on")
			}
		}
		if e := b.run(f, "setup/main.cjs"); e.code != 0 || e.stdout+e.stderr != "" {
			t.Errorf("%+v", e)
		}
		if got, err := os.ReadFile(b.env["GITHUB_PATH"]); string(got) != "/first\n"+filepath.Dir(b.kept("cache"))+"\n" {
			t.Errorf("%q, %v", got, err)
		}
		// Once more, and another version, which comes first on the PATH of later steps: the runner puts each line in front of the earlier ones.
		if e := b.run(f, "setup/main.cjs"); e.code != 0 || e.stdout+e.stderr != "" {
			t.Errorf("%+v", e)
		}
		b.requests(2)
		b.version = "2.0.0"
		b.release(b.server.URL)
		if e := b.run(f, "setup/main.cjs"); e.code != 0 || e.stdout+e.stderr != "" {
			t.Errorf("%+v", e)
		}
		b.requests(3)
		if got, err := os.ReadFile(b.env["GITHUB_PATH"]); !strings.HasSuffix(string(got), "/1.2.3/"+arch+"\n"+filepath.Dir(b.kept("cache"))+"\n") || len(b.files()) != 2 {
			t.Errorf("%q, %v, files %q", got, err, b.files())
		}
		for _, c := range []struct{ name, want string }{{"mine", " must be named kubernetes-job-action, because"}, {"kubernetes-job-action", ""}} {
			path := b.own(c.name, b.content)
			e := b.run(f, "setup/main.cjs")
			got, _ := os.ReadFile(b.env["GITHUB_PATH"])
			if (e.code == 0) != (c.want == "") || !strings.Contains(e.stderr, c.want) || strings.HasSuffix(string(got), filepath.Dir(path)+"\n") != (c.want == "") {
				t.Errorf("%s: %+v, %q", c.name, e, got)
			}
		}
		delete(b.env, "GITHUB_PATH")
		if e := b.run(f, "setup/main.cjs"); e.code != 2 || !strings.Contains(e.stderr, "GITHUB_PATH is not set") {
			t.Errorf("%+v", e)
		}
	}
}
