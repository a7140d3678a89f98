//go:build unix

package cluster

import (
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// serving is an API server over TLS, as a kubeconfig names its cluster.
func serving(t *testing.T, handler http.HandlerFunc) (cluster map[string]any) {
	t.Helper()
	cert, authority := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return map[string]any{"server": server.URL, "certificate-authority-data": authority}
}

// TestSecretsOfKubeconfig: everything in a kubeconfig that must not be shown is told before Connect says anything, also when it ends with
// an error; names, paths and words are not.
func TestSecretsOfKubeconfig(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"token": "of-a-file", "key": "key-of-a-file", "crt": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const server = "https://dev.example"
	tests := []struct {
		name          string
		cluster, user map[string]any
		want          []string
	}{
		{"a token", nil, map[string]any{"token": "tok"}, []string{"tok"}},
		{"a password", nil, map[string]any{"username": "me", "password": "pass"}, []string{"me:pass", "pass"}},
		{"a key", nil, map[string]any{"client-certificate-data": []byte("c"), "client-key-data": []byte("key")}, []string{"key"}},
		{"files", map[string]any{"server": "nonsense://"}, map[string]any{"tokenFile": "token", "client-certificate": "crt", "client-key": "key"}, []string{"key-of-a-file", "of-a-file"}},
		{"files that are not there", nil, map[string]any{"tokenFile": "nowhere"}, nil},
		{"the address", map[string]any{"server": "https://me:p%40ss@dev.example"}, nil, []string{"me:p@ss", "p%40ss", "p@ss"}},
		{"a token in the address", map[string]any{"server": "https://tok@dev.example"}, nil, []string{"tok", "tok", "tok:tok"}},
		{"an address that cannot be parsed", map[string]any{"server": "me:p@ss%zz@dev.example:6443"}, nil, []string{"p@ss%zz"}},
		{"the proxy", map[string]any{"server": server, "proxy-url": "foo://me:pass@proxy"}, nil, []string{"me:pass", "pass", "pass"}},
		{"the plugin's variables", nil, map[string]any{"exec": map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "nowhere",
			"env": []any{map[string]any{"name": "AAD_SECRET", "value": "env-secret"}, map[string]any{"name": "AWS_PROFILE", "value": "default"}, map[string]any{"name": "EMPTY", "value": ""}}}}, []string{"env-secret"}},
		{"the plugin's arguments", nil, map[string]any{"exec": map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "nowhere",
			"args": []any{"get-token", "--client-secret", "hunter2secret", "--password=Tr0ub4dor&3xyz", "--token-cache-dir", "/home/runner", "--login", "spn", "--token", "--cluster", "c"},
			"env":  []any{map[string]any{"name": "OCI_CLI_PROFILE", "value": "DEFAULT"}, map[string]any{"name": "EMPTY", "value": ""}}}}, []string{"/home/runner", "DEFAULT", "Tr0ub4dor&3xyz", "hunter2secret"}},
		{"an auth provider", nil, map[string]any{"auth-provider": map[string]any{"name": "oidc", "config": map[string]any{"id-token": "id", "client-secret": "cs", "idp-issuer-url": "https://idp"}}}, []string{"cs", "id"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.cluster == nil {
				test.cluster = map[string]any{"server": server}
			}
			if test.user == nil {
				test.user = map[string]any{"username": ""}
			}
			var told []string
			_, _, _ = connect(t, Options{Kubeconfig: clusterOf(t, test.cluster, test.user), Dir: dir, AddSecrets: func(secrets ...event.Secret) {
				for _, s := range secrets {
					told = append(told, s.Value)
					// An ordinary word among a plugin's variables and arguments is not for the CI system's own mask.
					if s.Credential != (s.Value != "DEFAULT" && s.Value != "/home/runner") || !strings.HasSuffix(s.Name, " of the kubeconfig") {
						t.Errorf("%+v", s)
					}
				}
			}}, nil)
			slices.Sort(told)
			if !slices.Equal(told, test.want) {
				t.Errorf("told %q, want %q", told, test.want)
			}
		})
	}
}

// TestNewTokensAreTold: a token that is made during a run is known before the server can repeat it, and each is told once.
func TestNewTokensAreTold(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(token, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	var log []string
	add := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, text)
	}
	accepted := "first"
	cluster := serving(t, func(w http.ResponseWriter, r *http.Request) {
		add("asked with " + r.Header.Get("Authorization"))
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+accepted {
			answer(w, http.StatusUnauthorized, errToken.Status())
			return
		}
		answer(w, http.StatusOK, &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}})
	})
	write("first")
	c := dialled(t, cluster, map[string]any{"tokenFile": token})
	c.OnSecret = func(s event.Secret) { add("told " + s.Value) }
	for range 2 {
		if err := look(t, c); err != nil {
			t.Fatal(err)
		}
	}
	write("second")
	mu.Lock()
	accepted = "second"
	mu.Unlock()
	if err := look(t, c); err != nil {
		t.Fatal(err)
	}
	want := "asked with Bearer first, asked with Bearer first, asked with Bearer first, told second, asked with Bearer second"
	if got := strings.Join(log, ", "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestRedirect: the token does not go where an answer sends it.
func TestRedirect(t *testing.T) {
	elsewhere := serving(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed, with %q", r.Header.Get("Authorization"))
	})
	for _, code := range []int{301, 302, 303, 307, 308} {
		asked := 0
		cluster := serving(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			http.Redirect(w, r, elsewhere["server"].(string)+r.URL.Path, code)
		})
		c := dialled(t, cluster, map[string]any{"token": "s3cr3t"})
		err := look(t, c)
		var cause *event.Cause
		if !errors.As(err, &cause) || cause.Reason != event.APIUnreachable || !strings.Contains(cause.Message, fmt.Sprintf("answers with a redirect (%d), which is not followed", code)) || asked != 1 {
			t.Errorf("%d: %v after %d requests", code, err, asked)
		}
		if _, err := c.OpenLog(t.Context(), "ns", "p", &corev1.PodLogOptions{}); err == nil {
			t.Errorf("%d: a log was opened", code)
		}
		if _, err := c.Pods("ns").Watch(t.Context(), metav1.ListOptions{}); err == nil {
			t.Errorf("%d: a watch was opened", code)
		}
	}
}

// allocated is how much memory f asks for.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// TestLongAnswers: an answer without end, packed or not, ends with an error.
func TestLongAnswers(t *testing.T) {
	var stopped sync.WaitGroup
	endless := func(w io.Writer) {
		defer stopped.Done()
		piece := []byte(strings.Repeat(" ", 1<<20))
		for {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"endless": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			endless(w)
		},
		"a gzip bomb": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			packed, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
			endless(packed)
		},
		"an endless error": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			endless(w)
		},
	} {
		t.Run(name, func(t *testing.T) {
			stopped.Add(1)
			c := dialled(t, serving(t, handler), map[string]any{"token": "s3cr3t"})
			c.APITimeout = time.Minute
			var err error
			took := allocated(func() { err = look(t, c) })
			var cause *event.Cause
			if !errors.As(err, &cause) || cause.Reason != event.APIUnreachable || !strings.Contains(cause.Message, "longer than 64 MiB") {
				t.Errorf("got %v", err)
			}
			stopped.Wait()
			t.Logf("%d MB", took>>20)
		})
	}
	// client-go reads an error whole, also where it would read an answer piece by piece.
	for name, ask := range map[string]func(*Client) error{
		"of a watch": func(c *Client) error {
			_, err := c.Pods("ns").Watch(t.Context(), metav1.ListOptions{})
			return err
		},
		"of a log": func(c *Client) error {
			_, err := c.OpenLog(t.Context(), "ns", "p", &corev1.PodLogOptions{})
			return err
		},
	} {
		t.Run("an endless error "+name, func(t *testing.T) {
			stopped.Add(1)
			c := dialled(t, serving(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusNotFound)
				defer stopped.Done()
				for range 200 {
					if _, err := w.Write([]byte(strings.Repeat(" ", 1<<20-1) + "\n")); err != nil {
						return
					}
				}
				t.Error("all of it was read")
			}), map[string]any{"token": "s3cr3t"})
			if err := ask(c); err == nil {
				t.Error("no error")
			}
			stopped.Wait()
		})
	}
	t.Run("one piece of news", func(t *testing.T) {
		stopped.Add(1)
		c := dialled(t, serving(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintln(w, `{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1"}}`)
			endless(w)
		}), map[string]any{"token": "s3cr3t"})
		w, err := c.Pods("ns").Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		news := 0
		for range w.ResultChan() {
			news++
		}
		if news < 1 {
			t.Error("what came before was lost")
		}
		stopped.Wait()
	})
}

// TestLongLifeIsNoLongAnswer: a log and the news of a watch may be as long as they are, together.
func TestLongLifeIsNoLongAnswer(t *testing.T) {
	pieces := mostAnswer>>20 + 10
	piece := strings.Repeat("x", 1<<20)
	c := dialled(t, serving(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for range pieces {
			if strings.HasSuffix(r.URL.Path, "/log") {
				fmt.Fprint(w, piece)
			} else {
				fmt.Fprintf(w, `{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"annotations":{"a":"%s"}}}}`+"\n", piece)
			}
		}
	}), map[string]any{"token": "s3cr3t"})
	log, err := c.OpenLog(t.Context(), "ns", "p", &corev1.PodLogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, log); n != int64(pieces)<<20 || err != nil {
		t.Errorf("%d bytes of a log, %v", n, err)
	}
	pieces = mostFrame>>20 + 4
	w, err := c.Pods("ns").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	news := 0
	for e := range w.ResultChan() {
		if e.Type == "ADDED" {
			news++
		}
	}
	if news != pieces {
		t.Errorf("%d pieces of news", news)
	}
}

// TestPluginIsHeard: what a credential plugin writes to its standard error comes to us line by line, whatever it is, before the error of
// the request that it was run for; ours gets none of it.
func TestPluginIsHeard(t *testing.T) {
	ours, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	terminal := os.Stderr
	os.Stderr = ours
	defer func() { os.Stderr = terminal }()
	for name, test := range map[string]struct {
		script string
		want   []string
	}{
		"lines":               {`printf '::stop-commands::x\n::set-output name=a::b\n\n\33[2Jlast, without an end' >&2`, []string{"::stop-commands::x", "::set-output name=a::b", "\x1b[2Jlast, without an end"}},
		"a line that is long": {`head -c 9000 /dev/zero | tr '\0' a >&2; echo >&2; echo next >&2`, []string{strings.Repeat("a", pluginLine) + event.Ellipsis, "next"}},
		"many lines":          {fmt.Sprintf(`i=0; while [ $i -lt %d ]; do echo line >&2; i=$((i+1)); done`, pluginLines+100), append(slices.Repeat([]string{"line"}, pluginLines), "(it writes more; no more of it is shown)")},
		"nothing":             {`:`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "login")
			if err := os.WriteFile(program, []byte("#!/bin/sh\n"+test.script+"\nexit 1\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			c := dialled(t, map[string]any{"server": "https://127.0.0.1:1"}, map[string]any{"exec": map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "command": program, "interactiveMode": "Never"}})
			var got []string
			c.HearPlugin(func(name, line string) {
				if name != "login" {
					t.Errorf("the program is called %q", name)
				}
				got = append(got, line)
			})
			err := look(t, c)
			var cause *event.Cause
			if !errors.As(err, &cause) || cause.Reason != event.Unauthorized {
				t.Errorf("got %v", err)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("heard %d lines %.200q, want %d", len(got), got, len(test.want))
			}
		})
	}
	if text, err := os.ReadFile(ours.Name()); err != nil || len(text) > 0 {
		t.Errorf("our standard error has %q (%v)", text, err)
	}
}

// TestPluginTokenIsToldFirst: what a credential plugin writes may hold the token that it is about to give, so the token is told first.
func TestPluginTokenIsToldFirst(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "login")
	script := fmt.Sprintf(`#!/bin/sh
echo x >>%[1]s/calls
token=s3cr3t-$(($(wc -l <%[1]s/calls)))
echo "got $token" >&2
printf '{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": "%%s"}}' "$token"
`, dir)
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	c := dialled(t, serving(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer s3cr3t-1" { // has expired
			answer(w, http.StatusUnauthorized, &metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Code: http.StatusUnauthorized, Reason: metav1.StatusReasonUnauthorized})
			return
		}
		answer(w, http.StatusOK, &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}})
	}), map[string]any{"exec": map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "command": program, "interactiveMode": "Never"}})
	var mu sync.Mutex
	var got []string
	add := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, text)
	}
	c.OnSecret = func(s event.Secret) { add("secret " + s.Value) }
	c.HearPlugin(func(_, line string) { add(line) })
	if err := look(t, c); err != nil {
		t.Fatal(err)
	}
	if want := []string{"secret s3cr3t-1", "got s3cr3t-1", "secret s3cr3t-2", "got s3cr3t-2"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestPluginThatWaits: a plugin that wants something of the user, and gives no token before, is heard all the same.
func TestPluginThatWaits(t *testing.T) {
	dir := t.TempDir()
	program, pipe := filepath.Join(dir, "login"), filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho confirm it on your telephone >&2\nread answer <"+pipe+"\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := dialled(t, map[string]any{"server": "https://127.0.0.1:1"}, map[string]any{"exec": map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "command": program, "interactiveMode": "Never"}})
	heard := make(chan string, 9)
	c.HearPlugin(func(_, line string) { heard <- line })
	done := make(chan error)
	go func() { done <- look(t, c) }()
	if line := <-heard; line != "confirm it on your telephone" {
		t.Errorf("heard %q", line)
	}
	if err := os.WriteFile(pipe, []byte("yes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("no error")
	}
}

// TestInsecure: a connection that others can read or change is warned of, and credentials that are the machine's.
func TestInsecure(t *testing.T) {
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".kube"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".kube", "config"), []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		o    Options
		env  map[string]string
		want string
	}{
		"https":                   {Options{Kubeconfig: kubeconfig}, nil, ""},
		"http":                    {Options{Kubeconfig: with("https://dev", "http://dev")}, nil, "address begins with http://"},
		"no verification":         {Options{Kubeconfig: with(`server: "https://dev`, `insecure-skip-tls-verify: true, server: "https://dev`)}, nil, "insecure-skip-tls-verify"},
		"of another cluster":      {Options{Kubeconfig: with(`server: "https://prod`, `insecure-skip-tls-verify: true, server: "https://prod`)}, nil, ""},
		"the machine's, in CI":    {Options{}, map[string]string{"HOME": home, "CI": "true"}, "this runs with the runner's own credentials: " + home},
		"one's own":               {Options{}, map[string]string{"HOME": home}, ""},
		"$KUBECONFIG, in CI":      {Options{}, map[string]string{"KUBECONFIG": kubeconfig, "CI": "true"}, ""},
		"the kubeconfig's, in CI": {Options{Kubeconfig: kubeconfig}, map[string]string{"HOME": home, "CI": "true"}, ""},
	} {
		_, notices, err := connect(t, test.o, test.env)
		if err != nil {
			t.Error(name, err)
		}
		said := ""
		for _, n := range notices {
			said += n.Message
			if n.Level != event.Warning || n.Hint == "" {
				t.Errorf("%s: %+v", name, n)
			}
		}
		if test.want == "" && said != "" || !strings.Contains(said, test.want) {
			t.Errorf("%s: %q, want %q", name, said, test.want)
		}
	}
}
