package cluster

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A server that answers with a page instead of a status, as a proxy does: the error is short, and one line.
func TestErrorPages(t *testing.T) {
	page := "<html><body>" + strings.Repeat("<p>\x1b[2Jno such tunnel</p>\r\n", 4000)
	for name, code := range map[string]int{"a page with 400": http.StatusBadRequest, "a page with 403": http.StatusForbidden, "a page with 404": http.StatusNotFound, "a page with 502": http.StatusBadGateway, "a page with 200": http.StatusOK} {
		t.Run(name, func(t *testing.T) {
			asked := false
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked = true
				w.Header().Set("Content-Type", "text/html")
				w.WriteHeader(code)
				fmt.Fprint(w, page)
			}))
			defer server.Close()
			err := look(t, dialled(t, map[string]any{"server": server.URL}, map[string]any{"token": "s3cr3t"}))
			if page := "is no API server: it sent a web page"; code < 500 && !strings.Contains(fmt.Sprint(err), page) {
				t.Errorf("%v does not say that %s", err, page)
			}
			if err == nil || !asked || len(err.Error()) > 2000 || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("asked: %t, an error of %d bytes: %.300q", asked, len(fmt.Sprint(err)), fmt.Sprint(err))
			}
		})
	}
}

// A server that wants a longer pause than a try may take: that is told, and not that nobody answers.
func TestLongRetryAfter(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Retry-After", "1000")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	err := look(t, dialled(t, map[string]any{"server": server.URL}, map[string]any{"token": "s3cr3t"}))
	if asked == 0 || !strings.Contains(fmt.Sprint(err), "the API server has too many requests (429)") {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

// Warnings come one by one, however many an answer has.
func TestManyWarnings(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 80 {
			w.Header().Add("Warning", fmt.Sprintf(`299 - "warning %d"`, i))
		}
		w.Header().Add("Warning", fmt.Sprintf(`299 - "warning %s"`, strings.Repeat("x", 100_000)))
		w.Header().Add("Warning", `nonsense`)
		w.Header().Add("Warning", `110 proxy "stale"`)
		answer(w, http.StatusOK, &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}})
	}))
	defer server.Close()
	c := dialled(t, map[string]any{"server": server.URL}, map[string]any{"token": "s3cr3t"})
	warned := map[string]bool{}
	c.OnWarning = func(text string) { warned[text] = true }
	if err := look(t, c); err != nil {
		t.Fatal(err)
	}
	for text := range warned {
		if !strings.HasPrefix(text, "warning ") || len(text) > mostWarning {
			t.Errorf("%q is told", text)
		}
	}
	if len(warned) != 81 {
		t.Errorf("%d warnings are told, want 81", len(warned))
	}
}

// A token is not sent where everybody on the way can read it.
func TestNoTokenWithoutTLS(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s3cr3t"), 0o600); err != nil {
		t.Fatal(err)
	}
	for scheme, start := range map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer} {
		for name, user := range map[string]map[string]any{"token": {"token": "s3cr3t"}, "file": {"tokenFile": file}, "password": {"username": "me", "password": "s3cr3t"}} {
			t.Run(scheme+"/"+name, func(t *testing.T) {
				var asked, sent int
				server := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					asked++
					if r.Header.Get("Authorization") != "" {
						sent++
					}
					answer(w, http.StatusOK, &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}})
				}))
				defer server.Close()
				to := map[string]any{"server": server.URL}
				want := 0
				if scheme == "https" {
					want, to["insecure-skip-tls-verify"] = 1, true
				}
				if err := look(t, dialled(t, to, user)); err != nil || asked != 1 || sent != want {
					t.Errorf("%v; %d requests, %d with credentials, want %d", err, asked, sent, want)
				}
			})
		}
	}
}
