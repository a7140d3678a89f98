package app

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kubeconfigOf is a kubeconfig with one context; cluster and user are written as JSON.
func kubeconfigOf(cluster, user string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}],
  clusters: [{name: c, cluster: {%s}}], users: [{name: u, user: {%s}}]}`, cluster, user)
}

// TestBrokenKubeconfigs: a kubeconfig that cannot be used is a clear finding, whatever is wrong with it and in whichever way it is
// given, and nothing secret of it is quoted: as text, in base64, and as a file.
func TestBrokenKubeconfigs(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	const secret = "hunter2hunter2"
	const server = `server: "https://127.0.0.1:1"`
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	login := func(fields string) string {
		return "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, args: [--token=" + secret + "], env: [{name: A, value: " + secret + "}]" + fields + "}"
	}
	pem := "-----BEGIN PRIVATE KEY-----\n" + b64(secret) + "\n-----END PRIVATE KEY-----\n"
	good := kubeconfigOf(server, "token: "+secret)
	device := "/dev/zero"
	tests := []struct{ name, text, want string }{
		// What is no kubeconfig at all.
		{"a raw token", secret, "is neither YAML, nor base64, nor the path of a file"},
		{"a long raw token", strings.Repeat(secret, 9), "base64"},
		{"a JWT", b64(`{"alg":"RS256"}`) + "." + b64(secret) + "." + b64(secret), "is neither YAML, nor base64"},
		{"a key in PEM", pem, "is not YAML"},
		{"a bearer header", "Authorization: Bearer " + secret, "has no contexts"},
		{"user and password", "admin:" + secret, "is neither YAML"},
		{"a token under a key", "token: " + secret, "has no contexts"},
		{"a list", "- token: " + secret, "is not YAML: it holds no keys and values"},
		{"base64 of base64", b64(b64(good)), "is base64 of base64"},
		{"base64, cut off", b64(good)[:121], "cut off or damaged"},
		{"base64 of something else", b64(strings.Repeat(secret+" ", 9)), "is base64, but what it holds is not a kubeconfig"},
		{"a path with a secret before it", secret + " /etc/kubeconfig", "is neither YAML"},
		{"a quoted kubeconfig", `"` + strings.ReplaceAll(good, `"`, `\"`) + `"`, "the kubeconfig"},
		{"a Secret", "apiVersion: v1\nkind: Secret\nstringData: {token: " + secret + "}", "is a Secret and not a kubeconfig"},
		{"a manifest", "apiVersion: batch/v1\nkind: Job\nmetadata: {name: " + secret + "}", "is a Job and not a kubeconfig"},
		// What is no YAML, or has another shape.
		{"indentation lost", "users:\n- name: u\nuser:\n token: " + secret + "\n  x: [", "is not YAML"},
		{"a tab", "users:\n\t- token: " + secret + "\n", "is not YAML"},
		{"an open quote", "users: \"" + secret, "the kubeconfig"},
		{"an unknown anchor", "users: *" + secret, "is not YAML: it cannot be parsed"},
		{"an unknown tag", "users: !" + secret + " x", "the kubeconfig"},
		{"a key twice", "token: " + secret + "\ntoken: " + secret, "the kubeconfig"},
		{"users that are a word", "users: " + secret + "\ncontexts: []", "is not a kubeconfig"},
		{"users that are a map", "users: {u: {token: " + secret + "}}", "is not a kubeconfig"},
		{"a token that is a list", kubeconfigOf(server, "token: ["+secret+"]"), "is not a kubeconfig"},
		{"a token that is a map", kubeconfigOf(server, "token: {value: "+secret+"}"), "is not a kubeconfig"},
		{"another version", strings.Replace(good, "apiVersion: v1", "apiVersion: v9", 1), "is not a kubeconfig"},
		{"no contexts", "kind: Config\nusers: [{name: u, user: {token: " + secret + "}}]", "has no contexts"},
		{"a current context that is not there", strings.Replace(good, "current-context: x", "current-context: other", 1), `the current context "other" of the kubeconfig does not exist in it`},
		{"a cluster that is not there", strings.Replace(good, "cluster: c,", "cluster: d,", 1), `its cluster "d" is not there`},
		{"a user that is not there", strings.Replace(good, "user: u}", "user: v}", 1), `its user "v" is not there`},
		{"a namespace that is no name", strings.Replace(good, "user: u}", "user: u, namespace: A_B}", 1), `namespace "A_B"`},
		// Addresses.
		{"no server", kubeconfigOf("", "token: "+secret), `no server found for cluster "c"`},
		{"user information without a scheme", kubeconfigOf(`server: "admin:`+secret+`@api.example:6443"`, ""), "its server is not an address"},
		{"user information that is not escaped", kubeconfigOf(`server: "https://admin:`+secret+`%zz@api.example"`, ""), "its server is not an address"},
		{"a server of another scheme", kubeconfigOf(`server: "ftp://admin:`+secret+`@api.example"`, ""), "its server is not an address"},
		{"a port that is none", kubeconfigOf(`server: "https://admin:`+secret+`@api.example:port"`, ""), "its server is not an address"},
		{"a proxy of another scheme", kubeconfigOf(server+`, proxy-url: "foo://u:`+secret+`@proxy.example"`, ""), "its proxy-url is not the address of a proxy"},
		{"a proxy that is not escaped", kubeconfigOf(server+`, proxy-url: "http://u:`+secret+`%zz@proxy.example"`, ""), "its proxy-url is not the address of a proxy"},
		{"a proxy without a scheme", kubeconfigOf(server+`, proxy-url: "u:`+secret+`@proxy.example:3128"`, ""), "its proxy-url is not the address of a proxy"},
		// Keys, authorities and files.
		{"an authority that is no base64", kubeconfigOf(server+`, certificate-authority-data: "`+secret+`!"`, ""), "is not a kubeconfig"},
		{"an authority that is none", kubeconfigOf(server+", certificate-authority-data: "+b64(secret), ""), "cannot be used"},
		{"a key that is no base64", kubeconfigOf(server, `client-certificate-data: "`+secret+`!", client-key-data: "`+secret+`!"`), "is not a kubeconfig"},
		{"a key that is none", kubeconfigOf(server, "client-certificate-data: "+b64(secret)+", client-key-data: "+b64(secret)), "cannot be used"},
		{"a certificate without a key", kubeconfigOf(server, "client-certificate-data: "+b64(secret)), "the client-certificate-data of its user is not a certificate"},
		{"a key that is not there", kubeconfigOf(server, "client-certificate: /nowhere/crt, client-key: /nowhere/key, token: "+secret), "/nowhere/crt"},
		{"a key that is a device", kubeconfigOf(server, "client-certificate: "+device+", client-key: "+device), "/dev/zero is not a plain file"},
		{"an authority that is a device", kubeconfigOf(server+", certificate-authority: "+device, "token: "+secret), "/dev/zero is not a plain file"},
		{"a token file that is a device", kubeconfigOf(server, "tokenFile: "+device), "/dev/zero is not a plain file"},
		{"a token file that is a folder", kubeconfigOf(server, "tokenFile: /etc"), "/etc is a directory"},
		// How to log in.
		{"token and password", kubeconfigOf(server, "token: "+secret+", username: u, password: "+secret), "more than one authentication method found"},
		{"an auth provider", kubeconfigOf(server, "auth-provider: {name: oidc, config: {id-token: "+secret+"}}"), `needs the auth provider "oidc"`},
		{"a plugin that is not here", kubeconfigOf(server, login(", command: nowhere-login")), `the program "nowhere-login", which is not here`},
		{"a plugin without a command", kubeconfigOf(server, login("")), "command"},
		{"a plugin of an unknown version", kubeconfigOf(server, strings.Replace(login(", command: sh"), "v1,", "v9,", 1)), "client.authentication.k8s.io/v9"},
		{"a plugin without interactiveMode", kubeconfigOf(server, strings.Replace(login(", command: sh"), "interactiveMode: Never, ", "", 1)), "has no interactiveMode"},
		{"a plugin in an unknown mode", kubeconfigOf(server, strings.Replace(login(", command: sh"), "Never", "Often", 1)), "invalid interactiveMode"},
		{"a plugin whose variable has no name", kubeconfigOf(server, strings.Replace(login(", command: sh"), "name: A", `name: ""`, 1)), "env variable name must be specified"},
		{"a plugin and an auth provider", kubeconfigOf(server, login(", command: sh")+", auth-provider: {name: oidc, config: {id-token: "+secret+"}}"), "auth provider"},
	}
	if len(tests) < 50 {
		t.Errorf("only %d kubeconfigs", len(tests))
	}
	for _, test := range tests {
		dir := folder(t, map[string]string{"job.yaml": goodManifest, "kubeconfig": test.text})
		for way, value := range map[string]string{"text": test.text, "base64": b64(test.text), "file": filepath.Join(dir, "kubeconfig")} {
			t.Run(test.name+"/"+way, func(t *testing.T) {
				begin := time.Now()
				got := call(t, dir, "", map[string]string{"INPUT_KUBECONFIG": value}, "-f", "job.yaml")
				said := got.stdout + got.stderr
				if got.code != 2 || !strings.Contains(said, "✗") || way == "text" && !strings.Contains(said, test.want) {
					t.Errorf("exit code %d, want %q:\n%s", got.code, test.want, said)
				}
				for _, form := range []string{secret, b64(secret), secret[:8]} {
					if strings.Contains(said, form) {
						t.Errorf("%q is shown:\n%s", form, said)
					}
				}
				if took := time.Since(begin); took > 30*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		}
	}
}

// TestWhereIsSaidFirst: the server, the namespace and where the credentials were found are said before anything is asked of the cluster.
func TestWhereIsSaidFirst(t *testing.T) {
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	var stderr bytes.Buffer
	said := ""
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if said == "" {
			said = stderr.String()
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	authority := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	env := map[string]string{"KUBECONFIG": kubeconfigOf(fmt.Sprintf("server: %q, certificate-authority-data: %s", server.URL, authority), "token: t")}
	code := Main(Process{Args: []string{"-f", "job.yaml", "-n", "shop"}, Stdout: io.Discard, Stderr: &stderr, Dir: dir, LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	if want := fmt.Sprintf("the Job goes to namespace shop of %s (context \"x\" of $KUBECONFIG)\n", server.URL); code != 3 || !strings.Contains(said, want) {
		t.Errorf("exit code %d; said before the first request: %q; in all:\n%s", code, said, &stderr)
	}
}

// TestKubeconfigIsAPlainFile: what may never end is not read.
func TestKubeconfigIsAPlainFile(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	large, err := os.Create(filepath.Join(dir, "large.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := large.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}
	large.Close()
	fifo := filepath.Join(dir, "pipe")
	for path, want := range map[string]string{
		"/dev/zero":  "the kubeconfig cannot be read: /dev/zero is not a plain file",
		large.Name(): "is larger than 256 KiB",
		fifo:         "is not a plain file\n  → It is read more than once, which a pipe is not made for. Give its text instead: KUBECONFIG=\"$(…)\"\n",
	} {
		if path == fifo {
			mkfifo(t, fifo)
		}
		for _, variable := range []string{"KUBECONFIG", "INPUT_KUBECONFIG"} {
			got := call(t, dir, "", map[string]string{variable: path}, "-f", "job.yaml")
			if got.code != 2 || !strings.Contains(got.stderr, want) {
				t.Errorf("%s=%s: exit code %d:\n%s", variable, path, got.code, got.stderr)
			}
		}
	}
}

func mkfifo(t *testing.T, path string) {
	t.Helper()
	if err := exec.Command("mkfifo", path).Run(); err != nil {
		t.Fatal(err)
	}
}
