package app

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const hostileToken = "KUBETOKEN123456"

// hostile plays an API server over TLS that does as it likes, and gives a kubeconfig for it, whose token is hostileToken.
func hostile(t *testing.T, handler http.HandlerFunc) (kubeconfig string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return kubeconfigOf(fmt.Sprintf("server: %q, certificate-authority-data: %s", server.URL, base64.StdEncoding.EncodeToString(authority)), "token: "+hostileToken)
}

// endless writes until nobody reads any more.
func endless(w io.Writer, piece string) {
	for {
		if _, err := io.WriteString(w, piece); err != nil {
			return
		}
	}
}

func asJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

// TestHostileServer: whatever answers in the place of the API server, the run ends soon, with a sentence, without the token, and with
// little memory.
func TestHostileServer(t *testing.T) {
	megabyte := strings.Repeat(" ", 1<<20)
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"a gzip bomb": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			packed, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
			endless(packed, megabyte)
		}, "an answer of the API server is longer than 64 MiB"},
		"an endless body": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			endless(w, megabyte)
		}, "an answer of the API server is longer than 64 MiB"},
		"80 warnings": {func(w http.ResponseWriter, r *http.Request) {
			for i := range 80 {
				w.Header().Add("Warning", fmt.Sprintf(`299 - "\u001b[2J::error::%d %s"`, i, strings.Repeat("x", 1000)))
			}
			asJSON(w, 401, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 401})
		}, "does not accept the credentials"},
		"a page of 100 KB": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(400)
			fmt.Fprint(w, "<html>"+strings.Repeat("<p>no", 20_000))
		}, "is no API server: it sent a web page (HTTP 400)"},
		"a text of 100 KB": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			fmt.Fprint(w, strings.Repeat("no\n", 33_000))
		}, "list the pods of Job"},
		"the token in its answer": {func(w http.ResponseWriter, r *http.Request) {
			asJSON(w, 400, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 400, "reason": "BadRequest",
				"message": "request was: Authorization: " + r.Header.Get("Authorization")})
		}, "request was: Authorization: Bearer ***"},
		"the token in a warning": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Warning", fmt.Sprintf("299 - %q", r.Header.Get("Authorization")))
			asJSON(w, 401, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 401})
		}, "the API server warns: Bearer ***"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				t.Errorf("the redirect was followed, with %q", r.Header.Get("Authorization"))
			}
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "redirect (307), which is not followed"},
	} {
		for _, format := range []string{"text", "github"} {
			t.Run(name+"/"+format, func(t *testing.T) {
				dir := folder(t, map[string]string{"job.yaml": goodManifest})
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				begin := time.Now()
				got := call(t, dir, "", map[string]string{"INPUT_KUBECONFIG": hostile(t, test.handler), "INPUT_FORMAT": format}, "-f", "job.yaml")
				runtime.ReadMemStats(&after)
				said := got.stdout + got.stderr
				if got.code != 2 && got.code != 3 || !strings.Contains(said, test.want) {
					t.Errorf("exit code %d, want %q:\n%.2000s", got.code, test.want, said)
				}
				shown := said
				if format == "github" { // where the runner is told what to mask
					shown = ""
					for line := range strings.Lines(said) {
						if !strings.HasPrefix(line, "::add-mask::") {
							shown += line
						}
					}
				}
				if strings.Contains(shown, hostileToken) || strings.Contains(shown, "\x1b[2J") {
					t.Errorf("shown:\n%.2000s", shown)
				}
				if took := time.Since(begin); took > 30*time.Second || len(said) > 200_000 {
					t.Errorf("%s, %d bytes of output", took, len(said))
				}
				if used := int(after.HeapSys-before.HeapSys) >> 20; int64(after.HeapSys) > int64(before.HeapSys) && used > 256 && !raceDetector { // it takes memory of its own
					t.Errorf("%d MB", used)
				}
			})
		}
	}
}

// TestServerWithoutTLS: the token is not sent to a server without TLS, and the user is warned.
func TestServerWithoutTLS(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		if got := r.Header.Get("Authorization"); got != "" {
			t.Errorf("it was sent %q", got)
		}
		asJSON(w, 401, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 401})
	}))
	defer server.Close()
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	got := call(t, dir, "", map[string]string{"INPUT_KUBECONFIG": kubeconfigOf(fmt.Sprintf("server: %q", server.URL), "token: "+hostileToken)}, "-f", "job.yaml")
	if got.code != 3 || asked == 0 || !strings.Contains(got.stderr, "address begins with http://") {
		t.Errorf("exit code %d after %d requests:\n%s", got.code, asked, got.stderr)
	}
}

// TestFloodOfEvents: 40 events of 1 MB about pods of somebody, and 40 about the Job, fill no memory, and the run ends as the Job does.
func TestFloodOfEvents(t *testing.T) {
	const total = 40
	large := strings.Repeat("x", 1<<20)
	uid := "11111111-1111-1111-1111-111111111111"
	jobOf := func(conditions ...any) map[string]any {
		return map[string]any{"kind": "Job", "apiVersion": "batch/v1", "metadata": map[string]any{"name": "migrate", "namespace": "default", "uid": uid, "resourceVersion": fmt.Sprint(5 + len(conditions))},
			"spec": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"a": "b"}}}, "status": map[string]any{"conditions": conditions}}
	}
	var before, after runtime.MemStats
	var flooded sync.WaitGroup
	flooded.Add(2)
	kubeconfig := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		watch := q.Get("watch") == "true"
		list := func(kind, apiVersion, next string, items ...any) {
			asJSON(w, 200, map[string]any{"kind": kind, "apiVersion": apiVersion, "items": items, "metadata": map[string]any{"resourceVersion": "6", "continue": next}})
		}
		switch {
		case r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/jobs"):
			asJSON(w, 201, jobOf())
		case strings.HasSuffix(r.URL.Path, "/events") && watch:
			flooded.Done()
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, "/events"):
			var at, size int
			_, _ = fmt.Sscan(q.Get("continue"), &at)
			_, _ = fmt.Sscan(q.Get("limit"), &size)
			about := "22222222-2222-2222-2222-222222222222"
			if strings.Contains(q.Get("fieldSelector"), "involvedObject.uid") {
				about = uid
			}
			var items []any
			for i := at; i < at+size && i < total; i++ {
				items = append(items, map[string]any{"metadata": map[string]any{"name": fmt.Sprint(i), "uid": fmt.Sprint(about, i), "resourceVersion": "3"},
					"reason": "FailedCreate", "message": large, "involvedObject": map[string]any{"kind": "Job", "uid": about}})
			}
			next := ""
			if at+size < total {
				next = fmt.Sprint(at + size)
			}
			list("EventList", "v1", next, items...)
		case strings.HasSuffix(r.URL.Path, "/pods") && !watch:
			list("PodList", "v1", "")
		case strings.HasSuffix(r.URL.Path, "/pods"):
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, "/jobs") && watch:
			w.(http.Flusher).Flush()
			flooded.Wait()
			runtime.GC()
			runtime.GC() // what this server's encoder has pooled goes with the second one
			runtime.ReadMemStats(&after)
			_ = json.NewEncoder(w).Encode(map[string]any{"type": "MODIFIED", "object": jobOf(map[string]any{"type": "Complete", "status": "True"})})
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			asJSON(w, 404, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound", "details": map[string]any{"name": "migrate"}})
		}
	})
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	runtime.GC()
	runtime.ReadMemStats(&before)
	got := call(t, dir, "", map[string]string{"INPUT_KUBECONFIG": kubeconfig, "INPUT_PREFLIGHT": "false", "INPUT_CLEANUP": "never", "INPUT_IF-EXISTS": "fail", "INPUT_START-TIMEOUT": "4m"}, "-f", "job.yaml")
	if got.code != 0 {
		t.Errorf("exit code %d:\n%.2000s\n%.2000s", got.code, got.stdout, got.stderr)
	}
	took := float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)) / (1 << 20)
	t.Logf("%.1f MB are held, %.0f MB at most", took, float64(int64(after.HeapSys)-int64(before.HeapSys))/(1<<20))
	if took > 30 {
		t.Errorf("%.0f MB are held", took)
	}
}
