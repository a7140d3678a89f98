package cluster

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// kubeconfig has two contexts of one cluster and one of another.
const kubeconfig = `apiVersion: v1
kind: Config
current-context: dev
clusters:
- name: dev-cluster
  cluster: {server: "https://dev.example:6443"}
- name: prod-cluster
  cluster: {server: "https://prod.example:6443"}
users:
- name: me
  user: {token: s3cr3t-token}
contexts:
- name: dev
  context: {cluster: dev-cluster, user: me, namespace: team}
- name: prod
  context: {cluster: prod-cluster, user: me}
- name: prod-admin
  context: {cluster: prod-cluster, user: me}
`

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// wrapped breaks a text into lines of 76 characters, as base64 does without -w0.
func wrapped(s string) string {
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76] + "\n")
		s = s[76:]
	}
	return b.String() + s + "\n"
}

// agent is what GitLab writes for its agents: a context for each, and none of them current.
func agent(contexts ...string) string {
	text := "apiVersion: v1\nkind: Config\ncurrent-context: \"\"\nclusters:\n- name: gitlab\n  cluster: {server: \"https://kas.example/k8s-proxy\"}\nusers:\n- name: agent:42\n  user: {token: \"ci:42:s3cr3t-job-token\"}\ncontexts:\n"
	for _, c := range contexts {
		text += "- name: " + c + "\n  context: {cluster: gitlab, user: \"agent:42\"}\n"
	}
	return text
}

// with replaces a part of the kubeconfig.
func with(old, new string) string {
	if !strings.Contains(kubeconfig, old) {
		panic("not in the kubeconfig: " + old)
	}
	return strings.ReplaceAll(kubeconfig, old, new)
}

// connect connects with an environment that has nothing but what is given.
func connect(t *testing.T, o Options, env map[string]string) (*Client, []event.Notice, error) {
	t.Helper()
	t.Setenv("KUBERNETES_SERVICE_HOST", "") // client-go reads it
	o.LookupEnv = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	return Connect(o)
}

func TestConnect(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	absolute := write("kubeconfig", kubeconfig)
	write("users.yaml", "kind: Config\nusers:\n- {name: other, user: {token: s3cr3t-token}}\n")
	write("contexts.yaml", "kind: Config\nclusters:\n- {name: c, cluster: {server: \"https://merged.example\"}}\ncontexts:\n- {name: merged, context: {cluster: c, user: other}}\n")
	write(".kube/config", with("dev.example", "home.example"))
	write("ca.crt", "") // makes it past clientcmd, not past crypto/x509
	single := strings.Split(kubeconfig, "- name: prod\n")[0]

	tests := []struct {
		name    string
		o       Options
		env     map[string]string
		server  string
		context string
		ns      string
		notice  string
	}{
		{"YAML", Options{Kubeconfig: kubeconfig}, nil, "https://dev.example:6443", "dev", "team", ""},
		{"JSON", Options{Kubeconfig: `{"clusters":[{"name":"c","cluster":{"server":"https://json.example"}}],"users":[{"name":"u","user":{"token":"t0ken-of-u"}}],"contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}]}`}, nil, "https://json.example", "x", "default", "the kubeconfig has no current context; its only one is used: x"},
		{"base64", Options{Kubeconfig: encoded(kubeconfig)}, nil, "https://dev.example:6443", "dev", "team", ""},
		{"base64 in lines", Options{Kubeconfig: wrapped(encoded(kubeconfig))}, nil, "https://dev.example:6443", "dev", "team", ""},
		{"base64 without padding, for URLs", Options{Kubeconfig: base64.RawURLEncoding.EncodeToString([]byte(kubeconfig + "\n"))}, nil, "https://dev.example:6443", "dev", "team", ""},
		{"a server with a blank at its end", Options{Kubeconfig: with("https://dev.example:6443", "https://dev.example:6443/ ")}, nil, "https://dev.example:6443/", "dev", "team", ""},
		{"a token with a newline at its end", Options{Kubeconfig: with("{token: s3cr3t-token}", `{token: "s3cr3t-token\r\n"}`)}, nil, "https://dev.example:6443", "dev", "team", ""},
		{"~/.kube/config in GitLab", Options{}, map[string]string{"CI": "true", "HOME": dir}, "https://home.example:6443", "dev", "team", "the runner's own credentials: " + dir + "/.kube/config"},
		{"a path", Options{Kubeconfig: absolute}, nil, "https://dev.example:6443", "dev", "team", ""},
		{"a relative path", Options{Kubeconfig: "kubeconfig"}, nil, "https://dev.example:6443", "dev", "team", ""},
		{"$KUBECONFIG", Options{}, map[string]string{"KUBECONFIG": absolute}, "https://dev.example:6443", "dev", "team", ""},
		{"$KUBECONFIG with a list, merged, one missing", Options{}, map[string]string{"KUBECONFIG": "users.yaml:nowhere.yaml:contexts.yaml"}, "https://merged.example", "merged", "default", "its only one is used: merged"},
		{"$KUBECONFIG with the text itself, a GitLab variable of the wrong type", Options{}, map[string]string{"KUBECONFIG": kubeconfig}, "https://dev.example:6443", "dev", "team", ""},
		{"the option before $KUBECONFIG", Options{Kubeconfig: kubeconfig}, map[string]string{"KUBECONFIG": "/nowhere"}, "https://dev.example:6443", "dev", "team", ""},
		{"~/.kube/config", Options{}, map[string]string{"HOME": dir}, "https://home.example:6443", "dev", "team", ""},
		{"the context that is asked for", Options{Kubeconfig: kubeconfig, Context: "prod", ClusterName: "dev-cluster"}, nil, "https://prod.example:6443", "prod", "default", ""},
		{"the cluster's name is a context", Options{Kubeconfig: kubeconfig, ClusterName: "prod-admin"}, nil, "https://prod.example:6443", "prod-admin", "default", ""},
		{"the cluster's name is one context's cluster", Options{Kubeconfig: with("current-context: dev", "current-context: prod"), ClusterName: "dev-cluster"}, nil, "https://dev.example:6443", "dev", "team", ""},
		{"the cluster's name is unknown, but there is one context", Options{Kubeconfig: single, ClusterName: "elsewhere"}, nil, "https://dev.example:6443", "dev", "team", `names the cluster "elsewhere"; the only context of the kubeconfig is "dev"`},
		{"none is current, but there is one", Options{Kubeconfig: strings.Replace(single, "current-context: dev\n", "", 1)}, nil, "https://dev.example:6443", "dev", "team", "the kubeconfig has no current context; its only one is used: dev"},
		{"GitLab's agent, in a File variable", Options{}, map[string]string{"KUBECONFIG": write("project.tmp/KUBECONFIG", agent("group/ops:production"))}, "https://kas.example/k8s-proxy", "group/ops:production", "default", "$KUBECONFIG has no current context; its only one is used: group/ops:production"},
		{"one of GitLab's agents", Options{Context: "group/ops:staging"}, map[string]string{"KUBECONFIG": write("project.tmp/AGENTS", agent("group/ops:production", "group/ops:staging"))}, "https://kas.example/k8s-proxy", "group/ops:staging", "default", ""},
		{"credentials in the address", Options{Kubeconfig: with("https://dev.example", "https://me:s3cr3t@dev.example")}, nil, "https://dev.example:6443", "dev", "team", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.o.Dir = dir
			c, notices, err := connect(t, test.o, test.env)
			if err != nil {
				t.Fatal(err)
			}
			if c.Server != test.server || c.Context != test.context || c.Namespace != test.ns {
				t.Errorf("got server %q, context %q, namespace %q; want %q, %q, %q", c.Server, c.Context, c.Namespace, test.server, test.context, test.ns)
			}
			var said string
			for _, n := range notices {
				said += n.Message
			}
			if test.notice == "" && said != "" || !strings.Contains(said, test.notice) {
				t.Errorf("notices %q, want %q", said, test.notice)
			}
		})
	}
}

func TestConnectErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file("manifest.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata: {name: s3cr3t}\n", 0o600)
	file("encoded", encoded(kubeconfig), 0o600)
	file("broken.yaml", "a: b: s3cr3t\n", 0o600)
	file("ca.crt", "s3cr3t", 0o600)
	many := strings.Repeat("a: 1\n", mostKubeconfig/5+1)
	file("many.yaml", many, 0o600)
	file("half.yaml", kubeconfig+strings.Repeat("#", mostKubeconfig/2), 0o600)

	pair, authority := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	cert := string(authority)
	_, other := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
	cluster := func(fields string) Options {
		return Options{Kubeconfig: with(`{server: "https://dev.example:6443"}`, `{server: "https://dev.example:6443", `+fields+"}")}
	}
	user := func(fields string) Options { return Options{Kubeconfig: with("{token: s3cr3t-token}", "{"+fields+"}")} }
	home := filepath.Dir(file("config", kubeconfig, 0o600))
	if err := os.Mkdir(filepath.Join(home, ".kube"), 0o700); err != nil {
		t.Fatal(err)
	}
	file(".kube/config", kubeconfig, 0o600)

	tests := []struct {
		name    string
		o       Options
		env     map[string]string
		message string
		hint    string
	}{
		{"nothing at all", Options{}, nil, "no kubeconfig was given, $KUBECONFIG is not set, and this does not run in a pod of a cluster", "--kubeconfig PATH"},
		{"nothing, with a home", Options{}, map[string]string{"HOME": "/nowhere"}, "there is no /nowhere/.kube/config", "--kubeconfig PATH"},
		{"nothing, in CI", Options{}, map[string]string{"CI": "true"}, "no kubeconfig was given, $KUBECONFIG is not set, and this does not run in a pod of a cluster", "secrets.KUBECONFIG"},
		{"nothing, with a home that is no folder", Options{}, map[string]string{"HOME": "/dev/null"}, "there is no /dev/null/.kube/config", "--kubeconfig PATH"},
		{"an empty secret", Options{}, map[string]string{"GITHUB_ACTIONS": "true", "INPUT_KUBECONFIG": ""}, "no kubeconfig was given", "An empty secret looks like a missing one. Secrets are empty in pull requests from forks"},
		{"an empty secret as $KUBECONFIG", Options{}, map[string]string{"KUBECONFIG": "", "HOME": home}, "$KUBECONFIG is set, but is empty", "Secrets are empty in pull requests from forks"},
		{"text in quotes", Options{Kubeconfig: "'" + kubeconfig + "'"}, nil, "the kubeconfig is not YAML", "It stands in quotes"},
		{"text with written line breaks", Options{Kubeconfig: strings.ReplaceAll(kubeconfig, "\n", `\n`)}, nil, "the kubeconfig is not YAML", `Its line breaks are written as \n`},
		{"text on one line", Options{Kubeconfig: strings.ReplaceAll(kubeconfig, "\n", " ")}, nil, "the kubeconfig is not YAML", "Its line breaks are gone"},
		{"an expression that nobody replaced", Options{Kubeconfig: "${{ secrets.KUBECONFIG }}"}, nil, "the kubeconfig is the name of a variable that nobody has replaced", "Expressions of GitHub"},
		{"a variable that nobody replaced", Options{Kubeconfig: "$KUBE_CONFIG"}, nil, "the kubeconfig is the name of a variable that nobody has replaced", "secrets.KUBECONFIG"},
		{"a command that nobody ran", Options{Kubeconfig: "$(cat config)"}, nil, "the kubeconfig is the name of a variable that nobody has replaced", ""},
		{"a token alone", Options{Kubeconfig: "eyJhbGciOiJzM2NyM3QifQ.eyJzdWIiOiJ4In0.s3cr3t"}, nil, "the kubeconfig is a token, which alone does not say where the cluster is", "a whole kubeconfig"},
		{"a user without credentials", user(""), nil, `its user "me" holds no credentials`, "a token, a client certificate with its key, or exec"},
		{"a user that is null", Options{Kubeconfig: with("user: {token: s3cr3t-token}", "user:")}, nil, `its user "me" holds no credentials`, ""},
		{"a user with an empty token", user(`token: ""`), nil, `its user "me" holds no credentials`, "empty"},
		{"a token with blanks", user(`token: "s3cr3t token"`), nil, "the token of its user holds a blank", ""},
		{"a token with its header's word", user(`token: "Bearer s3cr3t"`), nil, "the token of its user begins with Bearer", "the token alone"},
		{"a token in base64", user("token: " + encoded("eyJs3cr3t")), nil, "the token of its user is base64 of a token", "base64 -d"},
		{"a token in quotes", user(`token: '"s3cr3t"'`), nil, "the token of its user holds a quotation mark", ""},
		{"a token that was left out", user("token: REDACTED"), nil, "the token of its user is what kubectl config view shows instead of it", "--raw"},
		{"an authority that was left out", cluster("certificate-authority-data: DATA+OMITTED"), nil, "is what kubectl config view shows instead of it", "--raw"},
		{"a token's file that is empty", user("tokenFile: " + file("empty", "\n", 0o600)), nil, "the tokenFile of its user is empty", ""},
		{"a token's file with two lines", user("tokenFile: " + file("two", "s3cr3t\ns3cr3t\n", 0o600)), nil, "the tokenFile of its user holds a line break", "on one line"},
		{"a token's file with a byte order mark", user("tokenFile: " + file("mark", "\ufeffs3cr3t\n", 0o600)), nil, "the tokenFile of its user holds a character that is not ASCII", ""},
		{"an authority that is not base64", cluster(`certificate-authority-data: "-----BEGIN s3cr3t"`), nil, `the kubeconfig is not a kubeconfig: the certificate-authority-data of the cluster "dev-cluster" is not base64`, "base64 -w0"},
		{"a key that is not base64", user(`client-key-data: "s3cr 3t"`), nil, `the kubeconfig is not a kubeconfig: the client-key-data of the user "me" is not base64`, "base64 -w0"},
		{"a boolean in quotes", cluster(`insecure-skip-tls-verify: "true"`), nil, "the kubeconfig is not a kubeconfig: clusters.cluster.insecure-skip-tls-verify cannot be a text", ""},
		{"a plugin's arguments in one text", user(`exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: sh, args: "-c s3cr3t"}`), nil, "users.user.exec.args cannot be a text", ""},
		{"an empty file", Options{Kubeconfig: file("nothing", " \n", 0o600)}, nil, "nothing is empty", "Secrets are empty in pull requests from forks"},
		{"a list where a text should be", Options{Kubeconfig: with("current-context: dev", "current-context: [dev]")}, nil, "current-context cannot be a list", ""},
		{"a key that is encrypted", user("client-certificate-data: " + encoded(cert) + ", client-key-data: " + encoded("-----BEGIN ENCRYPTED PRIVATE KEY-----\ns3cr3t\n-----END ENCRYPTED PRIVATE KEY-----\n")), nil, "the client-key-data of its user is encrypted", "openssl"},
		{"a plugin with its arguments", user(`exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: "aws-none eks get-token"}`), nil, "the command of its user's exec is one word with blanks in it", "args"},
		{"a plugin without a command", user(`exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: ""}`), nil, "the exec of its user has no command", ""},
		{"no such file", Options{Kubeconfig: "deploy/kubeconfig.yaml"}, nil, `the kubeconfig: there is no file "deploy/kubeconfig.yaml"`, "Relative paths start at " + dir},
		{"a home that is not expanded", Options{Kubeconfig: "~/.kube/config"}, nil, `there is no file "~/.kube/config"`, "~ is not expanded"},
		{"no such files in $KUBECONFIG", Options{}, map[string]string{"KUBECONFIG": "/nowhere/a:/nowhere/b"}, `$KUBECONFIG: there is no file "/nowhere/a:/nowhere/b"`, ""},
		{"a directory", Options{Kubeconfig: dir}, nil, "is a directory", ""},
		{"a file with base64", Options{Kubeconfig: "encoded"}, nil, "is not a kubeconfig: it holds no keys and values", "It is base64"},
		{"a file that is not YAML", Options{Kubeconfig: "broken.yaml"}, nil, "broken.yaml is not a kubeconfig: mapping values are not allowed in this context", ""},
		{"a manifest", Options{Kubeconfig: "manifest.yaml"}, nil, "manifest.yaml is a Job and not a kubeconfig", ""},
		{"YAML without contexts", Options{Kubeconfig: "kind: Config\nusers: []\n"}, nil, "the kubeconfig has no contexts", "--flatten"},
		{"broken YAML", Options{Kubeconfig: "clusters:\n- name: s3cr3t\n foo: [\n"}, nil, "the kubeconfig is not YAML: line 2: did not find expected key", "indentation"},
		{"YAML of the wrong shape", Options{Kubeconfig: "clusters: s3cr3t\n"}, nil, "the kubeconfig is not a kubeconfig", ""},
		{"a large text", Options{Kubeconfig: many}, nil, "the kubeconfig is larger than 256 KiB", "--minify"},
		{"a large text in base64", Options{Kubeconfig: encoded(many)}, nil, "the kubeconfig is larger than 256 KiB", "--minify"},
		{"a large file", Options{Kubeconfig: "many.yaml"}, nil, "the kubeconfig is larger than 256 KiB", "--minify"},
		{"files that are large together", Options{}, map[string]string{"KUBECONFIG": "half.yaml:half.yaml"}, "$KUBECONFIG is larger than 256 KiB", "--minify"},
		{"base64 twice", Options{Kubeconfig: encoded(encoded(kubeconfig))}, nil, "the kubeconfig is base64 of base64", "Encode it once"},
		{"base64 of something else", Options{Kubeconfig: encoded(strings.Repeat("s3cr3t ", 20))}, nil, "is base64, but what it holds is not a kubeconfig", ""},
		{"base64 cut off", Options{Kubeconfig: encoded(kubeconfig)[:101]}, nil, "looks like base64, but is cut off or damaged", ""},
		{"some text", Options{Kubeconfig: "s3cr3t"}, nil, "is neither YAML, nor base64, nor the path of a file", ""},
		{"an unknown context", Options{Kubeconfig: kubeconfig, Context: "staging"}, nil, `the kubeconfig has no context "staging"; it has: dev, prod, prod-admin`, "Set context"},
		{"an unknown cluster", Options{Kubeconfig: kubeconfig, ClusterName: "staging"}, nil, `the manifest names the cluster "staging", but no context of the kubeconfig has that name or belongs to it; there are: dev, prod, prod-admin`, "Set context"},
		{"a cluster with two contexts", Options{Kubeconfig: kubeconfig, ClusterName: "prod-cluster"}, nil, `several contexts of the kubeconfig belong to the cluster "prod-cluster" that the manifest names: prod, prod-admin`, "Set context"},
		{"none is current", Options{Kubeconfig: with("current-context: dev\n", "")}, nil, "the kubeconfig has no current context; it has: dev, prod, prod-admin", "GitLab"},
		{"several of GitLab's agents", Options{}, map[string]string{"KUBECONFIG": agent("group/ops:staging", "group/ops:production")}, "$KUBECONFIG has no current context; it has: group/ops:production, group/ops:staging", "Set context to one of them. (The kubeconfig of GitLab's agent has one for each agent, named path/to/project:agent.)"},
		{"the current one is missing", Options{Kubeconfig: with("current-context: dev\n", "current-context: gone\n")}, nil, `the current context "gone" of the kubeconfig does not exist in it`, ""},
		{"the context's cluster is missing", Options{Kubeconfig: with("- name: dev-cluster", "- name: renamed")}, nil, `context "dev" of the kubeconfig cannot be used: its cluster "dev-cluster" is not there`, ""},
		{"the context's user is missing", Options{Kubeconfig: with("- name: me", "- name: renamed")}, nil, `cannot be used: its user "me" is not there`, ""},
		{"no server", Options{Kubeconfig: with(`cluster: {server: "https://dev.example:6443"}`, `cluster: {insecure-skip-tls-verify: true}`)}, nil, `no server found for cluster "dev-cluster"`, ""},
		{"a server without a scheme", Options{Kubeconfig: with("https://dev.example:6443", "dev.example")}, nil, `its server is not an address`, "https://host:6443"},
		{"a missing authority", Options{Kubeconfig: with(`{server: "https://dev.example:6443"}`, `{server: "https://dev.example", certificate-authority: /home/me/ca.crt}`)}, nil, "unable to read certificate-authority /home/me/ca.crt", "--flatten"},
		{"a missing key", Options{Kubeconfig: with("{token: s3cr3t-token}", "{client-certificate: me.crt, client-key: me.key}")}, nil, "unable to read client-cert " + filepath.Join(dir, "me.crt"), "--flatten"},
		{"a missing token file", Options{Kubeconfig: with("{token: s3cr3t-token}", "{tokenFile: /run/token}")}, nil, "/run/token", "--flatten"},
		{"an authority that is none", Options{Kubeconfig: with(`{server: "https://dev.example:6443"}`, `{server: "https://dev.example", certificate-authority: ca.crt}`)}, nil, `context "dev" of the kubeconfig cannot be used: the certificate-authority of its cluster is not a certificate in PEM`, "base64 -w0"},
		{"a key that is none", Options{Kubeconfig: with("{token: s3cr3t-token}", "{client-certificate-data: czNjcjN0, client-key-data: czNjcjN0}")}, nil, `context "dev" of the kubeconfig cannot be used: the client-certificate-data of its user is not a certificate in PEM`, "base64 -w0"},
		{"a plugin that is not here", Options{Kubeconfig: with("{token: s3cr3t-token}", "{exec: {apiVersion: client.authentication.k8s.io/v1, command: aws-none, interactiveMode: Never}}")}, nil,
			`its credentials come from the program "aws-none", which is not here`, "kubectl create token"},
		{"a kubeconfig of the machine, on GitHub", Options{}, map[string]string{"GITHUB_ACTIONS": "true", "INPUT_KUBECONFIG": "", "HOME": home}, home + "/.kube/config is not used on GitHub without being asked for", "Secrets are empty in pull requests from forks"},
		{"$KUBECONFIG with white space alone", Options{}, map[string]string{"KUBECONFIG": " \n", "HOME": home}, "$KUBECONFIG is set, but is empty", "no secret of the repository, its organization or the job's environment has this name"},
		{"the service account, where there is none", Options{Kubeconfig: "in-cluster"}, map[string]string{"HOME": home}, "the service account of the pod that this runs in cannot be used", "automountServiceAccountToken"},
		{"a plugin of a version that is gone", user("exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: sh}"), nil, `the apiVersion of its user's exec is "client.authentication.k8s.io/v1alpha1"`, "client.authentication.k8s.io/v1beta1"},
		{"a plugin without interactiveMode", user("exec: {apiVersion: client.authentication.k8s.io/v1, command: sh}"), nil, "the exec of its user has no interactiveMode", "Set it to Never"},
		{"insecure, with an authority", cluster("insecure-skip-tls-verify: true, certificate-authority-data: " + encoded(cert)), nil, "its cluster has both insecure-skip-tls-verify and certificate-authority-data, which exclude each other", ""},
		{"insecure, with an authority's file", cluster("insecure-skip-tls-verify: true, certificate-authority: " + file("authority.crt", cert, 0o600)), nil, "both insecure-skip-tls-verify and certificate-authority,", "Take insecure-skip-tls-verify out"},
		{"a key for an authority", cluster("certificate-authority-data: " + encoded(key)), nil, "the certificate-authority-data of its cluster is not a certificate in PEM, but a private key", "base64 -w0"},
		{"an authority that is encoded twice", cluster("certificate-authority-data: " + encoded(encoded(cert))), nil, "but base64 of it: it was encoded twice", "base64 -w0"},
		{"a certificate for a key", user("client-certificate-data: " + encoded(cert) + ", client-key-data: " + encoded(cert)), nil, "the client-key-data of its user is not a key in PEM, but a certificate", "base64 -w0"},
		{"a key for a certificate", user("client-certificate-data: " + encoded(key) + ", client-key-data: " + encoded(key)), nil, "the client-certificate-data of its user is not a certificate in PEM, but a private key", "base64 -w0"},
		{"a key of another certificate", user("client-certificate-data: " + encoded(string(other)) + ", client-key-data: " + encoded(key)), nil, "the client-certificate-data and the client-key-data of its user cannot be used together: tls: private key does not match public key", ""},
		{"a token with a line break", user(`token: "s3cr3t\ntoken"`), nil, "the token of its user holds a line break", "on one line"},
		{"a token with a carriage return", user(`token: "s3cr3t\rtoken"`), nil, "the token of its user holds a line break", "on one line"},
		{"a token with a control character", user(`token: "s3cr3t\u0007token"`), nil, "the token of its user holds a control character", ""},
		{"an impersonation with a line break", user(`as: "x\ny"`), nil, "the as of its user holds a line break", "on one line"},
		{"an impersonated group with a line break", user(`as: x, as-groups: ["x\ny"]`), nil, "the as-groups of its user holds a line break", "on one line"},
		{"a server with a port that is none", Options{Kubeconfig: with("https://dev.example:6443", "https://127.0.0.1:99999")}, nil, "its server is not an address", "https://host:6443"},
		{"a proxy with a port that is none", cluster(`proxy-url: "http://127.0.0.1:99999"`), nil, "its proxy-url is not the address of a proxy", ""},
		{"an auth provider", Options{Kubeconfig: with("{token: s3cr3t-token}", "{auth-provider: {name: gcp}}")}, nil, `needs the auth provider "gcp"`, "get-gke-credentials"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.o.Dir = dir
			_, _, err := connect(t, test.o, test.env)
			var cause *event.Cause
			if !errors.As(err, &cause) {
				t.Fatalf("got %v, want a cause", err)
			}
			if cause.Reason != event.InvalidInput || !strings.Contains(cause.Message, test.message) || !strings.Contains(cause.Hint, test.hint) {
				t.Errorf("got %s: %s\nhint: %s\nwant %q, hint %q", cause.Reason, cause.Message, cause.Hint, test.message, test.hint)
			}
			if strings.Contains(cause.Hint, "Paths inside a kubeconfig") && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the hint is about paths: %v", err)
			}
			if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "czNjcjN0") {
				t.Errorf("a credential is shown: %v", err)
			}
		})
	}
}

// TestInPod asks for the pod's service account, whose files are at a fixed place: only a test that runs in a pod itself finds them.
func TestInPod(t *testing.T) {
	_, missing := os.Stat("/var/run/secrets/kubernetes.io/serviceaccount/token")
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	for name, test := range map[string]struct {
		o    Options
		ci   string
		want string // "": the service account, which only a test in a pod can use
	}{
		"outside of CI":     {Options{}, "", ""},
		"in CI":             {Options{}, "true", "is used in CI only when it is asked for"},
		"in CI, asked for":  {Options{Kubeconfig: "in-cluster"}, "true", ""},
		"with a kubeconfig": {Options{Kubeconfig: "nowhere.yaml"}, "", "there is no file"},
	} {
		test.o.LookupEnv = func(name string) (string, bool) { return map[string]string{"CI": test.ci}[name], name == "CI" }
		_, _, err := Connect(test.o)
		switch {
		case test.want == "" && missing == nil && err == nil:
		case test.want == "" && missing != nil && err != nil && strings.Contains(err.Error(), "the service account of the pod that this runs in cannot be used"):
		case test.want != "" && err != nil && strings.Contains(err.Error(), test.want):
		default:
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTokenOfThePod(t *testing.T) {
	var told []event.Secret
	if _, _, err := ofPod(Options{AddSecrets: func(s ...event.Secret) { told = append(told, s...) }}, &rest.Config{BearerToken: "pod-token"}); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].Value != "pod-token" || !told[0].Credential {
		t.Errorf("told %v", told)
	}
}

// TestQuiet: what client-go logs, errors too, does not reach the user's terminal.
func TestQuiet(t *testing.T) {
	quiet()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	terminal := os.Stderr
	os.Stderr = file
	klog.ErrorS(errors.New("odd"), "an error")
	klog.Background().WithName("client").Error(errors.New("odd"), "an error")
	utilruntime.HandleError(errors.New("odd"))
	klog.Flush()
	if log.Writer() != io.Discard { // net/http: "Unsolicited response received on idle HTTP channel starting with …"
		t.Error("what net/http logs is shown")
	}
	os.Stderr = terminal
	if text, err := os.ReadFile(file.Name()); err != nil || len(text) > 0 {
		t.Errorf("%q is shown (%v)", text, err)
	}
}
