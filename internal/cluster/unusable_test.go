package cluster

import (
	"encoding/base64"
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

// A kubeconfig that cannot be used, or that has odd things in it, is never quoted where a credential may stand: as text, in base64, in a
// file. Names and paths are quoted.
func TestKubeconfigsAreNotQuoted(t *testing.T) {
	const s = "s3cr3t"
	user := func(fields string) string { return with("{token: s3cr3t-token}", fields) }
	server := func(fields string) string { return with(`{server: "https://dev.example:6443"}`, fields) }
	dir := t.TempDir()
	refused, forms := 0, map[string]string{
		"token: an open quote":           user(`{token: "s3cr3t}`),
		"token: an open single quote":    user(`{token: 's3cr3t}`),
		"token: open braces":             user(`{token: s3cr3t`),
		"token: a list":                  user(`{token: [s3cr3t]}`),
		"token: a mapping":               user(`{token: {s3cr3t: x}}`),
		"token: a block mark":            user("\n    token: |s3cr3t"),
		"token: an at sign":              user(`{token: @s3cr3t}`),
		"token: a percent sign":          user(`{token: %s3cr3t}`),
		"token: two colons":              user("\n    token: s3cr3t: x"),
		"token: an unknown escape":       user(`{token: "\ys3cr3t"}`),
		"token: a tab":                   user("\n\ttoken: s3cr3t"),
		"token: twice":                   user("{token: x, token: s3cr3t}"),
		"token: a line break":            user(`{token: "s3cr3t\nx"}`),
		"token: a control character":     user(`{token: "s3cr3t\x01"}`),
		"token: an alias":                user("{token: *s3cr3t}"),
		"token: a tag":                   user("{token: !s3cr3t x}"),
		"token: a wrong tag":             user("{token: !!int s3cr3t}"),
		"token: another spelling":        user("{Token: s3cr3t}"),
		"token: a typo":                  user("{tokn: s3cr3t}"),
		"token: beside its file":         user("{token: s3cr3t, tokenFile: /nowhere}"),
		"password: a list":               user("{username: me, password: [s3cr3t]}"),
		"password: beside a token":       user("{username: me, password: s3cr3t, token: s3cr3t}"),
		"password: no name":              user("{password: s3cr3t}"),
		"key: not base64":                user("{client-certificate-data: s3cr3t, client-key-data: s3cr3t}"),
		"key: a PEM as it is":            user(`{client-certificate-data: "-----BEGIN CERTIFICATE-----\ns3cr3t", client-key-data: "-----BEGIN KEY-----\ns3cr3t"}`),
		"key: no PEM":                    user("{client-certificate-data: czNjcjN0, client-key-data: czNjcjN0}"),
		"key: without a certificate":     user("{client-key-data: czNjcjN0}"),
		"key: a number":                  user("{client-certificate-data: 12, client-key-data: s3cr3t!}"),
		"auth-provider: a text":          user("{auth-provider: s3cr3t}"),
		"auth-provider: its tokens":      user("{auth-provider: {name: gcp, config: {access-token: s3cr3t}}}"),
		"auth-provider: unknown":         user("{auth-provider: {name: none, config: {refresh-token: s3cr3t}}}"),
		"exec: a text":                   user("{exec: s3cr3t}"),
		"exec: an argument":              user("{exec: {apiVersion: client.authentication.k8s.io/v1, command: none-here, interactiveMode: Never, args: [--token=s3cr3t]}}"),
		"exec: its environment":          user("{exec: {apiVersion: client.authentication.k8s.io/v1, command: none-here, interactiveMode: Never, env: [{name: A, value: s3cr3t}]}}"),
		"exec: environment of texts":     user("{exec: {apiVersion: client.authentication.k8s.io/v1, command: none-here, interactiveMode: Never, env: [A=s3cr3t]}}"),
		"exec: no interactive mode":      user("{exec: {apiVersion: client.authentication.k8s.io/v1, command: none-here, args: [s3cr3t]}}"),
		"exec: an unknown version":       user("{exec: {apiVersion: v9, command: none-here, interactiveMode: Never, args: [s3cr3t]}}"),
		"authority: a text":              server(`{server: "https://dev.example", certificate-authority-data: s3cr3t}`),
		"authority: no certificate":      server(`{server: "https://dev.example", certificate-authority-data: czNjcjN0}`),
		"authority: and no verification": server(`{server: "https://dev.example", certificate-authority-data: czNjcjN0, insecure-skip-tls-verify: true}`),
		"contexts: a text":               with("contexts:\n", "contexts: s3cr3t\nx:\n"),
		"users: a mapping":               with("users:\n- name: me\n  user: {token: s3cr3t-token}", "users: {me: {token: s3cr3t}}"),
		"a token alone":                  "s3cr3t-token",
		"a JWT":                          "eyJhbGciOiJSUzI1NiJ9.s3cr3t-eyJzdWIiOiJtZSJ9.s3cr3t",
		"a PEM":                          "-----BEGIN RSA PRIVATE KEY-----\ns3cr3ts3cr3t\n-----END RSA PRIVATE KEY-----\n",
		"a variable":                     "TOKEN=s3cr3t",
		"a token's answer":               `{"access_token": "s3cr3t", "expires_in": 3600}`,
		"a list":                         "- s3cr3t\n",
		"base64 of base64":               encoded(encoded(kubeconfig)),
		"cut base64":                     encoded(kubeconfig)[:len(encoded(kubeconfig))-7],
		"damaged base64":                 strings.Replace(encoded(kubeconfig), "a", "!", 3),
		"two documents":                  kubeconfig + "---\n" + kubeconfig,
	}
	for name, text := range forms {
		file := filepath.Join(dir, fmt.Sprintf("%x", name))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for way, given := range map[string]string{"text": text, "base64": base64.StdEncoding.EncodeToString([]byte(text)), "file": file} {
			t.Run(name+"/"+way, func(t *testing.T) {
				_, notices, err := connect(t, Options{Kubeconfig: given, Dir: dir}, nil)
				if err != nil {
					refused++
				}
				if said := fmt.Sprintf("%v %+v", err, notices); strings.Contains(said, s) || strings.Contains(said, "czNjcjN0") || strings.Contains(said, given) && way != "file" {
					t.Errorf("a credential is shown: %s", said)
				}
			})
		}
	}
	if refused < 2*len(forms) {
		t.Errorf("%d of %d were refused: the table has lost its point", refused, 3*len(forms))
	}
}

// A server that answers with a page instead of a status, as a proxy does: the error is short, and one line.
func TestErrorPages(t *testing.T) {
	page := "<html><body>" + strings.Repeat("<p>\x1b[2Jno such tunnel</p>\r\n", 4000)
	for name, code := range map[string]int{"a page with 400": http.StatusBadRequest, "a page with 404": http.StatusNotFound, "a page with 502": http.StatusBadGateway, "a page with 200": http.StatusOK} {
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
			if err == nil || !asked || len(err.Error()) > 2000 || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("asked: %t, an error of %d bytes: %.300q", asked, len(fmt.Sprint(err)), fmt.Sprint(err))
			}
		})
	}
}

// Warnings come one by one, however many an answer has.
func TestManyWarnings(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 80 {
			w.Header().Add("Warning", fmt.Sprintf(`299 - "warning %d"`, i))
		}
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
		if !strings.HasPrefix(text, "warning ") {
			t.Errorf("%q is told", text)
		}
	}
	if len(warned) != 80 {
		t.Errorf("%d warnings are told, want 80", len(warned))
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
