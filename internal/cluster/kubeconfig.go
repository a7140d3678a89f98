package cluster

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"github.com/planton/kubernetes-job-action/internal/event"
)

const (
	viewHint   = "Check its clusters, users and contexts: kubectl config view"
	secretHint = "In a workflow, keep the kubeconfig in a secret, as YAML or base64, and pass it: kubeconfig: ${{ secrets.KUBECONFIG }}"
	forkHint   = " An empty secret looks like a missing one. Secrets are empty in pull requests from forks, in runs that Dependabot starts (it has secrets of its own), and when no secret of the repository, its organization or the job's environment has this name."
	embedHint  = "Paths inside a kubeconfig mean the machine that it was written on, and a container has other files. A kubeconfig that needs none is made by: kubectl config view --raw --flatten --minify"
)

// target is the cluster that was found.
type target struct {
	name      string // what messages call the place where it was found
	context   string
	namespace string
	config    *rest.Config
}

// InCluster is the kubeconfig that stands for the service account of the pod that this runs in.
const InCluster = "in-cluster"

// locate finds the cluster: the option, $KUBECONFIG, ~/.kube/config, and the service account of the pod that this runs in. The last
// two belong to the machine: an empty secret must not lead there. GitHub's runner sets every input, if only to "".
func locate(o Options) (*target, []event.Notice, error) {
	variable, set := o.LookupEnv("KUBECONFIG")
	switch {
	case o.Kubeconfig == InCluster:
		return fromPod(o)
	case o.Kubeconfig != "":
		return fromKubeconfig(o, o.Kubeconfig, "the kubeconfig")
	case set && strings.TrimSpace(variable) == "": // kubectl would go on with ~/.kube/config, which may be another cluster's
		return nil, nil, invalid("$KUBECONFIG is set, but is empty", "Give it a value, or unset it. "+secretHint+"."+forkHint, nil)
	case set:
		return fromKubeconfig(o, variable, "$KUBECONFIG")
	}
	github, _ := o.LookupEnv("GITHUB_ACTIONS")
	hint := secretHint
	switch {
	case github == "true":
		hint += "." + forkHint
	case !inCI(o):
		hint = "Name one: --kubeconfig PATH, or the variable KUBECONFIG"
	}
	nothing := "no kubeconfig was given, $KUBECONFIG is not set, "
	// HOME differs between a runner and its containers, or is missing: then there is nothing to look for.
	if home, _ := o.LookupEnv("HOME"); home != "" {
		path := filepath.Join(home, ".kube", "config")
		_, err := os.Stat(path)
		switch {
		case err == nil && github == "true":
			return nil, nil, invalid(nothing+"and "+path+" is not used on GitHub without being asked for", "When it is meant, give its path: kubeconfig: "+path+". "+hint, nil)
		case err == nil:
			t, notices, err := fromKubeconfig(o, path, path)
			return t, append(notices, ambient(o, path)...), err
		}
		nothing += "there is no " + path + ", "
	}
	if !inPod() {
		return nil, nil, invalid(nothing+"and this does not run in a pod of a cluster", hint, nil)
	}
	if inCI(o) {
		return nil, nil, invalid(nothing+"and the service account of the pod that this runs in is used in CI only when it is asked for", "When it is meant: kubeconfig: "+InCluster+". "+hint, nil)
	}
	return fromPod(o)
}

// inPod tells whether this runs in a pod (rest.InClusterConfig).
func inPod() bool {
	return os.Getenv("KUBERNETES_SERVICE_HOST") != "" && os.Getenv("KUBERNETES_SERVICE_PORT") != ""
}

// inCI tells whether this runs in a CI system, by the variables that they set.
func inCI(o Options) bool {
	return slices.ContainsFunc([]string{"CI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD", "JENKINS_URL", "TEAMCITY_VERSION", "BUILDKITE"}, func(name string) bool {
		v, _ := o.LookupEnv(name)
		return v != "" && v != "false"
	})
}

// ambient warns, in CI, of credentials that belong to the machine and not to the run: that of a fork gets them too, as it has no secrets.
func ambient(o Options, what string) []event.Notice {
	if !inCI(o) {
		return nil
	}
	return []event.Notice{{Level: event.Warning, Key: "ambient-credentials", Message: "no kubeconfig was given and $KUBECONFIG is not set, so this runs with the runner's own credentials: " + what,
		Hint: "Whoever can start a run on this runner can use them, from a fork too. Give the kubeconfig of an identity of its own."}}
}

// fromPod is the cluster of the pod that this runs in.
func fromPod(o Options) (*target, []event.Notice, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, nil, invalid(fmt.Sprintf("the service account of the pod that this runs in cannot be used: %v", err), "In a pod of the cluster, it takes automountServiceAccountToken. Elsewhere, give a kubeconfig.", err)
	}
	return ofPod(o, config)
}

func ofPod(o Options, config *rest.Config) (*target, []event.Notice, error) {
	t := &target{name: "the pod's service account", namespace: "default", config: config}
	if o.AddSecrets != nil {
		o.AddSecrets(event.Secret{Name: "the token of the pod's service account", Value: config.BearerToken, Credential: true})
	}
	// Written by the kubelet beside the token (k8s.io/client-go/tools/clientcmd, inClusterClientConfig.Namespace).
	if ns, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace"); err == nil {
		if s := strings.TrimSpace(string(ns)); s != "" {
			t.namespace = s
		}
	}
	if o.Context != "" {
		return nil, nil, invalid(fmt.Sprintf("context %q was asked for, but there is no kubeconfig: the cluster is that of the pod this runs in", o.Context),
			"Give a kubeconfig, or leave context out.", nil)
	}
	if o.ClusterName != "" {
		return t, []event.Notice{{Level: event.Warning, Key: "target-cluster",
			Message: fmt.Sprintf("the manifest names the cluster %q; the Job goes to the cluster that this runs in, whose name is not known", o.ClusterName)}}, nil
	}
	return t, nil, nil
}

// fromKubeconfig is the cluster that a kubeconfig tells of.
func fromKubeconfig(o Options, text, name string) (*target, []event.Notice, error) {
	kubeconfig, err := read(text, name, o.Dir)
	if err != nil {
		return nil, nil, err
	}
	for _, u := range kubeconfig.AuthInfos {
		u.Token = strings.TrimSpace(u.Token) // what a file ends with is copied along
	}
	for _, c := range kubeconfig.Clusters {
		c.Server = strings.TrimSpace(c.Server)
	}
	if o.AddSecrets != nil {
		o.AddSecrets(credentials(kubeconfig)...)
	}
	context, notices, err := choose(kubeconfig, name, o.Context, o.ClusterName)
	if err != nil {
		return nil, nil, err
	}
	t := &target{name: fmt.Sprintf("context %q of %s", context, name), context: context}
	refers := kubeconfig.Contexts[context]
	if kubeconfig.Clusters[refers.Cluster] == nil {
		return nil, nil, invalid(fmt.Sprintf("%s cannot be used: its cluster %q is not there", t.name, refers.Cluster), viewHint, nil)
	}
	if kubeconfig.AuthInfos[refers.AuthInfo] == nil {
		return nil, nil, invalid(fmt.Sprintf("%s cannot be used: its user %q is not there", t.name, refers.AuthInfo), viewHint, nil)
	}
	if err := usable(t, kubeconfig); err != nil {
		return nil, nil, err
	}
	client := clientcmd.NewNonInteractiveClientConfig(*kubeconfig, context, &clientcmd.ConfigOverrides{}, nil)
	if t.config, err = client.ClientConfig(); err != nil {
		return nil, nil, invalid(fmt.Sprintf("%s cannot be used: %s", t.name, withoutPrefix(err)), hintOf(err), err)
	}
	if t.namespace, _, err = client.Namespace(); err != nil {
		return nil, nil, invalid(fmt.Sprintf("the namespace of %s cannot be used: %v", t.name, err), "", err)
	}
	if len(validation.IsDNS1123Label(t.namespace)) > 0 {
		return nil, nil, invalid(fmt.Sprintf("%s cannot be used: its namespace %q is not the name of a namespace", t.name, t.namespace), viewHint, nil)
	}
	return t, notices, nil
}

// hintOf is the hint for an error of client-go about what a kubeconfig says.
func hintOf(err error) string {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return embedHint
	}
	return viewHint
}

// withoutPrefix is what clientcmd's validation found, without its "invalid configuration: ".
func withoutPrefix(err error) string {
	return strings.TrimPrefix(err.Error(), "invalid configuration: ")
}

// usable finds what clientcmd lets pass and what would fail, or mislead, at the first request; and what clientcmd would quote or
// read although it must not be. An address that cannot be read is never shown: it may hold a password.
func usable(t *target, kubeconfig *clientcmdapi.Config) error {
	cluster := kubeconfig.Clusters[kubeconfig.Contexts[t.context].Cluster]
	user := kubeconfig.AuthInfos[kubeconfig.Contexts[t.context].AuthInfo]
	wrong := func(why, hint string) error { return invalid(t.name+" cannot be used: "+why, hint, nil) }
	if cluster.Server != "" && !isURL(cluster.Server, "https", "http") {
		return invalid(t.name+" cannot be used: its server is not an address", "It looks like https://host:6443.", nil)
	}
	if cluster.ProxyURL != "" && !isURL(cluster.ProxyURL, "https", "http", "socks5") {
		return invalid(t.name+" cannot be used: its proxy-url is not the address of a proxy", "It looks like http://host:3128, https://… or socks5://…", nil)
	}
	for _, file := range []string{cluster.CertificateAuthority, user.ClientCertificate, user.ClientKey, user.TokenFile} {
		if err := plain(file); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return invalid(fmt.Sprintf("%s cannot be used: %v", t.name, err), embedHint, err)
		}
	}
	if p := user.AuthProvider; p != nil {
		return invalid(fmt.Sprintf("%s cannot be used: its user needs the auth provider %q, which Kubernetes clients no longer have", t.name, p.Name), pluginHint(p.Name), nil)
	}
	if why, hint := badTLS(cluster, user); why != "" {
		return wrong(why, hint)
	}
	if why, hint := badToken(user); why != "" {
		return wrong(why, hint)
	}
	if strings.HasPrefix(cluster.Server, "https://") && !strings.Contains(cluster.Server, "@") && !authenticates(user) {
		return wrong(fmt.Sprintf("its user %q holds no credentials, so the API server would know nobody", kubeconfig.Contexts[t.context].AuthInfo),
			"A user has a token, a client certificate with its key, or exec. A field that a secret fills is empty when the secret is.")
	}
	if e := user.Exec; e != nil {
		const v1, v1beta1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"
		_, err := exec.LookPath(e.Command)
		switch {
		case e.Command == "":
			return wrong("the exec of its user has no command", viewHint)
		case err != nil && strings.Contains(e.Command, " "):
			return wrong("the command of its user's exec is one word with blanks in it", "The command is the program alone. Its arguments belong into args, one element for each.")
		case e.APIVersion != v1 && e.APIVersion != v1beta1:
			return wrong(fmt.Sprintf("the apiVersion of its user's exec is %q, which is not known here", e.APIVersion), oldPlugin)
		case e.APIVersion == v1 && e.InteractiveMode == "":
			return wrong("the exec of its user has no interactiveMode, which "+v1+" needs", "Set it to Never: nobody answers questions in CI.")
		}
		if err != nil { // clientcmd has made a command with a path absolute already; one without is looked up in PATH
			return pluginMissing(t.name, e.Command, err)
		}
	}
	return nil
}

// oldPlugin is the hint for a version of credential plugins that is gone.
const oldPlugin = "Write the kubeconfig anew with the current command line program of the cluster's provider, such as aws eks update-kubeconfig; or set the apiVersion to client.authentication.k8s.io/v1beta1, when the plugin answers with that."

const (
	dataHint = "The fields that end with -data hold the PEM file in base64, encoded once: base64 -w0 ca.crt"
	rawHint  = "Without --raw, kubectl config view leaves credentials out. A whole kubeconfig is written by: kubectl config view --raw --flatten --minify"
)

// authenticates tells whether a user has anything that says who it is.
func authenticates(u *clientcmdapi.AuthInfo) bool {
	return u.Token != "" || u.TokenFile != "" || len(u.ClientCertificateData) > 0 || u.ClientCertificate != "" || u.Username != "" || u.Exec != nil || u.AuthProvider != nil
}

// badTLS is what is wrong with the keys, certificates and authorities, in the words of the kubeconfig; "" when nothing is. Files that
// cannot be read are clientcmd's to complain of.
func badTLS(cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) (why, hint string) {
	content := func(data []byte, file, field string) ([]byte, string) {
		if len(data) > 0 || file == "" {
			return data, field + "-data"
		}
		text, _ := readPlain(file)
		return text, field
	}
	authority, ofAuthority := content(cluster.CertificateAuthorityData, cluster.CertificateAuthority, "certificate-authority")
	cert, ofCert := content(user.ClientCertificateData, user.ClientCertificate, "client-certificate")
	key, ofKey := content(user.ClientKeyData, user.ClientKey, "client-key")
	no := func(field, of, what string, text []byte) (string, string) {
		if bytes.Equal(text, omitted) {
			return fmt.Sprintf("the %s of its %s is what kubectl config view shows instead of it", field, of), rawHint
		}
		return fmt.Sprintf("the %s of its %s is not a %s in PEM, %s", field, of, what, holds(text)), dataHint
	}
	switch {
	case cluster.InsecureSkipTLSVerify && len(authority) > 0:
		return "its cluster has both insecure-skip-tls-verify and " + ofAuthority + ", which exclude each other: take one of them out",
			"Take insecure-skip-tls-verify out, unless the API server's certificate comes of another authority and nobody else can be on the way."
	case len(authority) > 0 && !x509.NewCertPool().AppendCertsFromPEM(authority):
		return no(ofAuthority, "cluster", "certificate", authority)
	case len(cert) > 0 && !bytes.Contains(cert, []byte("-----BEGIN CERTIFICATE-----")):
		return no(ofCert, "user", "certificate", cert)
	case len(key) > 0 && !bytes.Contains(key, []byte("PRIVATE KEY-----")):
		return no(ofKey, "user", "key", key)
	case bytes.Contains(key, []byte("-----BEGIN ENCRYPTED ")):
		return fmt.Sprintf("the %s of its user is encrypted, and nobody gives its password here", ofKey), "Decrypt it for this use: openssl pkey -in me.key"
	case len(cert) > 0 && len(key) > 0:
		if _, err := tls.X509KeyPair(cert, key); err != nil {
			return fmt.Sprintf("the %s and the %s of its user cannot be used together: %v", ofCert, ofKey, err), dataHint
		}
	}
	return "", ""
}

// omitted is what kubectl writes in the place of keys and certificates, as it is decoded (k8s.io/client-go/tools/clientcmd/api,
// ShortenConfig); redacted stands for tokens.
var omitted, _ = base64.StdEncoding.DecodeString("DATA+OMITTED")

const redacted = "REDACTED"

// holds says what a text is that should have been PEM of another type, and quotes nothing.
func holds(text []byte) string {
	block, _ := pem.Decode(text)
	twice, _ := pem.Decode(unbase64(string(text)))
	switch {
	case block != nil && strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return "but a private key"
	case block != nil && block.Type == "CERTIFICATE":
		return "but a certificate, or what is left of one"
	case twice != nil:
		return "but base64 of it: it was encoded twice"
	}
	return "which begins with -----BEGIN"
}

// badToken is what is wrong with a user's token, or with another field that is sent in a header; "" when nothing is. No token has
// blanks (RFC 6750, b64token), and no form of the others has control characters.
func badToken(user *clientcmdapi.AuthInfo) (why, hint string) {
	const oneLine = "Write it on one line: a token that is copied from a terminal or a file is often broken into several."
	const alone = "Write the token alone, as kubectl create token prints it."
	token, of := user.Token, "token"
	if user.TokenFile != "" && token == "" {
		text, err := readPlain(user.TokenFile)
		if err != nil {
			return "", "" // clientcmd's to complain of
		}
		token, of = strings.TrimSpace(string(text)), "tokenFile"
		if token == "" {
			return "the tokenFile of its user is empty", "client-go reads " + user.TokenFile + " for each run: is it written before this one?"
		}
	}
	for _, f := range []struct {
		field  string
		values []string
	}{{of, []string{token}}, {"as", []string{user.Impersonate}}, {"as-uid", []string{user.ImpersonateUID}}, {"as-groups", user.ImpersonateGroups}} {
		for _, v := range f.values {
			switch {
			case strings.ContainsAny(v, "\r\n"):
				return "the " + f.field + " of its user holds a line break", oneLine
			case strings.ContainsFunc(v, unicode.IsControl):
				return "the " + f.field + " of its user holds a control character", oneLine
			}
		}
	}
	of = "the " + of + " of its user "
	switch {
	case token == redacted:
		return of + "is what kubectl config view shows instead of it", rawHint
	case strings.HasPrefix(strings.ToLower(token), "bearer "):
		return of + "begins with Bearer, which the request's header has already", alone
	case strings.ContainsFunc(token, unicode.IsSpace):
		return of + "holds a blank, which no token does", alone
	case strings.ContainsAny(token, `"'`):
		return of + "holds a quotation mark", alone
	case strings.ContainsFunc(token, func(r rune) bool { return r > unicode.MaxASCII }):
		return of + "holds a character that is not ASCII, such as the mark with which some programs begin a file", alone
	case !strings.Contains(token, ".") && bytes.HasPrefix(unbase64(token), []byte("eyJ")): // a JWT is base64 of a JSON object, and has dots
		return of + "is base64 of a token, as a Secret holds it", "Decode it: base64 -d"
	}
	return "", ""
}

// isURL tells whether a text is a URL with one of the schemes.
func isURL(text string, schemes ...string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
		return false
	}
	_, err = strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16)
	return err == nil
}

// pluginMissing is the error of a kubeconfig whose credentials come from a program that is not there.
func pluginMissing(name, command string, err error) error {
	return &event.Cause{Reason: event.InvalidInput, Err: err, Hint: pluginHint(filepath.Base(command)),
		Message: fmt.Sprintf("%s cannot be used: its credentials come from the program %q, which is not here (%v)", name, command, err)}
}

// pluginHint names the ways around a credential plugin.
func pluginHint(plugin string) string {
	own := "the cloud's login action"
	switch {
	case strings.Contains(plugin, "aws"):
		own = "aws-actions/configure-aws-credentials and `aws eks get-token`"
	case strings.Contains(plugin, "gke"), strings.Contains(plugin, "gcp"), strings.Contains(plugin, "gcloud"):
		own = "google-github-actions/get-gke-credentials with use_connect_gateway or a token (it writes one without a plugin)"
	case strings.Contains(plugin, "azure"), strings.Contains(plugin, "kubelogin"):
		own = "azure/aks-set-context with admin credentials or `kubelogin convert-kubeconfig`"
	case strings.Contains(plugin, "doctl"):
		own = "doctl kubernetes cluster kubeconfig save --expiry-seconds 600 in a step before"
	}
	return fmt.Sprintf("Ways around it: a kubeconfig with the token of a service account (kubectl create token NAME --duration=1h); a step before that writes a kubeconfig with a short-lived token, such as %s; or the command line program on the runner itself, where %s is installed.", own, plugin)
}

// read loads a kubeconfig from what the user gave: YAML (JSON too), base64 of it, or paths of files, as $KUBECONFIG lists
// them. Only YAML and base64 of YAML can be a mapping, so that the three cannot be mistaken for each other. Text that is
// not a path never stands in an error: it may be a credential.
func read(text, name, dir string) (*clientcmdapi.Config, error) {
	if len(text) > mostKubeconfig {
		return nil, tooLarge(name)
	}
	text = strings.TrimSpace(text)
	decoded := unbase64(text)
	switch {
	case mapping([]byte(text)) == nil:
		return parse([]byte(text), name, dir)
	case mapping(decoded) == nil:
		return parse(decoded, name, dir)
	}
	lines := strings.ContainsAny(text, "\r\n")
	if !lines {
		var paths []string
		found := false
		for _, p := range filepath.SplitList(text) {
			if p == "" {
				continue
			}
			if !filepath.IsAbs(p) {
				p = filepath.Join(dir, p)
			}
			paths = append(paths, p)
			// Any other error may come of a text that is no path, and would show it.
			_, err := os.Stat(p)
			found = found || err == nil || errors.Is(err, fs.ErrPermission)
		}
		if found {
			return readFiles(paths, name)
		}
		if unreplaced.MatchString(text) {
			return nil, invalid(name+" is the name of a variable that nobody has replaced", "Expressions of GitHub are replaced in workflows, and variables of a shell by a shell, outside of single quotes. "+secretHint, nil)
		}
		if jwt.MatchString(text) {
			return nil, invalid(name+" is a token, which alone does not say where the cluster is", "It takes a whole kubeconfig: the cluster's server and certificate-authority-data, a user with this token, and a context with both.", nil)
		}
		if looksLikePath(text) {
			hint := fmt.Sprintf("Relative paths start at %s. %s", dir, secretHint)
			if strings.HasPrefix(text, "~") || strings.HasPrefix(text, "$") {
				hint = text[:1] + " is not expanded here, because a container has another home: write the whole path. " + secretHint
			}
			return nil, invalid(fmt.Sprintf("%s: there is no file %q", name, text), hint, fs.ErrNotExist)
		}
	}
	switch {
	case decoded != nil && mapping(unbase64(string(decoded))) == nil:
		return nil, invalid(name+" is base64 of base64", "Encode it once: base64 -w0 kubeconfig", nil)
	case decoded != nil && len(text) > 64:
		return nil, invalid(name+" is base64, but what it holds is not a kubeconfig", "Encode the kubeconfig itself: base64 -w0 kubeconfig", nil)
	case base64Like.MatchString(text) && len(text) > 64:
		return nil, invalid(name+" looks like base64, but is cut off or damaged", "Encode it again and copy all of it: base64 -w0 kubeconfig", nil)
	case lines || strings.Contains(text, ": "):
		return nil, invalid(fmt.Sprintf("%s is not YAML: %v", name, mapping([]byte(text))), textHint(text), nil)
	default:
		return nil, invalid(name+" is neither YAML, nor base64, nor the path of a file (its text is not shown: it may be a secret)", secretHint, nil)
	}
}

// textHint says what may have happened to the text of a kubeconfig on its way.
func textHint(text string) string {
	first, last := text[0], text[len(text)-1]
	switch lines := strings.Contains(text, "\n"); {
	case first == last && (first == '\'' || first == '"'):
		return "It stands in quotes, which belong to a shell or to YAML: take them away."
	case !lines && strings.Contains(text, `\n`):
		return `Its line breaks are written as \n: give it as it is in the file, or as base64: base64 -w0 kubeconfig`
	case !lines:
		return `Its line breaks are gone: a shell keeps them in "$VARIABLE" with quotes, and base64 has none: base64 -w0 kubeconfig`
	}
	return "Check that the indentation survived: in a workflow, a secret keeps it, a plain string may not."
}

var (
	unreplaced = regexp.MustCompile(`^(?:\$\{\{[^{}]*\}\}|\{\{[^{}]*\}\}|\$\{?[A-Za-z_]\w*\}?|\$\([^()]*\)|%\w+%|<[\w -]+>)$`)
	jwt        = regexp.MustCompile(`^eyJ[\w-]+\.[\w-]+\.[\w-]*$`)
	base64Like = regexp.MustCompile(`^[A-Za-z0-9+/_=][A-Za-z0-9+/_=\s-]+$`) // PEM begins with hyphens
	spaces     = regexp.MustCompile(`\s`)
)

// unbase64 decodes base64 of both alphabets, with line breaks and with or without padding; nil when the text is none.
func unbase64(text string) []byte {
	text = strings.TrimRight(spaces.ReplaceAllString(text, ""), "=")
	text = strings.NewReplacer("-", "+", "_", "/").Replace(text)
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(decoded) == 0 {
		return nil
	}
	return decoded
}

// mapping returns nil when the text is a YAML mapping, and else what is wrong with it, in words that quote nothing of it.
func mapping(text []byte) error {
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		_, why, _ := strings.Cut(err.Error(), "yaml: ")
		if why == "" || strings.ContainsAny(why, "`'\"") {
			why = "it cannot be parsed"
		}
		return errors.New(why)
	}
	if m, ok := value.(map[string]any); !ok || len(m) == 0 {
		return errors.New("it holds no keys and values")
	}
	return nil
}

// looksLikePath tells whether a user who wrote this meant a file.
func looksLikePath(text string) bool {
	if len(text) > 4096 || strings.ContainsAny(text, " =") {
		return false
	}
	return filepath.IsAbs(text) || strings.HasPrefix(text, ".") || strings.HasPrefix(text, "~") ||
		slices.Contains([]string{".yaml", ".yml", ".json", ".conf", ".config", ".kubeconfig"}, filepath.Ext(text)) ||
		strings.Contains(text, "kubeconfig") || strings.Contains(text, ".kube/")
}

// parse loads a kubeconfig that was given as text.
func parse(text []byte, name, dir string) (*clientcmdapi.Config, error) {
	if err := isConfig(text, name); err != nil {
		return nil, err
	}
	kubeconfig, err := clientcmd.Load(text)
	if err != nil {
		return nil, malformed(text, name, err)
	}
	if len(kubeconfig.Contexts) == 0 {
		return nil, noContexts(name)
	}
	// Relative paths in it start where relative paths of options do.
	origin := filepath.Join(dir, "kubeconfig")
	for _, c := range kubeconfig.Clusters {
		c.LocationOfOrigin = origin
	}
	for _, u := range kubeconfig.AuthInfos {
		u.LocationOfOrigin = origin
	}
	if err := clientcmd.ResolveLocalPaths(kubeconfig); err != nil {
		return nil, invalid(fmt.Sprintf("the paths in %s cannot be resolved: %v", name, err), embedHint, err)
	}
	return kubeconfig, nil
}

const (
	// mostKubeconfig is how many bytes a kubeconfig may have, be it text or several files. It is parsed more than once, and YAML of a few MB
	// takes many seconds and a GB. A variable of the environment is at most half as long (Linux, MAX_ARG_STRLEN).
	mostKubeconfig = 256 << 10
	// mostFile is the same for a file that it names: all authorities of a Linux distribution take some 220 KB.
	mostFile = 4 << 20
)

// tooLarge is the error of a kubeconfig that is not even parsed.
func tooLarge(name string) error {
	return invalid(fmt.Sprintf("%s is larger than %d KiB", name, mostKubeconfig>>10), "One of a single cluster is made by: kubectl config view --raw --flatten --minify", nil)
}

// plain tells what is against reading a file at once: a pipe or a device may never end. "" is no file, and nothing is against it.
func plain(path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a plain file", path)
	case info.Size() > mostFile:
		return fmt.Errorf("%s is larger than %d MiB", path, mostFile>>20)
	}
	return nil
}

// readPlain reads a plain file.
func readPlain(path string) ([]byte, error) {
	if err := plain(path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// readFiles loads kubeconfig files and merges them as kubectl does; those that do not exist are left out.
func readFiles(paths []string, name string) (*clientcmdapi.Config, error) {
	var size int64
	for _, p := range paths {
		info, err := os.Stat(p)
		if err == nil && info.Mode().IsRegular() { // readPlain says what is wrong with others
			if size += info.Size(); size > mostKubeconfig {
				return nil, tooLarge(name)
			}
		}
		text, err := readPlain(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			hint := ""
			if info != nil && info.Mode()&fs.ModeNamedPipe != 0 {
				hint = `It is read more than once, which a pipe is not made for. Give its text instead: KUBECONFIG="$(…)"`
			}
			return nil, invalid(fmt.Sprintf("the kubeconfig cannot be read: %v", err), hint, err)
		}
		if len(bytes.TrimSpace(text)) == 0 {
			return nil, invalid(fmt.Sprintf("the file %s is empty", p), "Was it written from a secret?"+forkHint, nil)
		}
		if err := mapping(text); err != nil {
			hint := ""
			if mapping(unbase64(string(text))) == nil {
				hint = "It is base64: give its text instead of its path, or decode it first: base64 -d"
			}
			return nil, invalid(fmt.Sprintf("the file %s is not a kubeconfig: %v", p, err), hint, nil)
		}
		if err := isConfig(text, "the file "+p); err != nil {
			return nil, err
		}
		if _, err := clientcmd.Load(text); err != nil {
			return nil, malformed(text, "the file "+p, err)
		}
	}
	kubeconfig, err := (&clientcmd.ClientConfigLoadingRules{Precedence: paths}).Load()
	if err != nil {
		return nil, invalid(fmt.Sprintf("the kubeconfig cannot be used: %v", err), "", err)
	}
	if len(kubeconfig.Contexts) == 0 {
		return nil, noContexts("the file " + strings.Join(paths, ", "))
	}
	return kubeconfig, nil
}

// wrongKind is how encoding/json says that a field has a value of another kind.
var wrongKind = regexp.MustCompile(`cannot unmarshal (\w+)[^.]* into Go struct field \w+\.(\S+) of type`)

// malformed is the error of YAML that is not of a kubeconfig's form. clientcmd does not say where base64 is damaged.
func malformed(text []byte, name string, err error) error {
	var fields struct {
		Clusters []struct {
			Name    string
			Cluster map[string]any
		}
		Users []struct {
			Name string
			User map[string]any
		}
	}
	if yaml.Unmarshal(text, &fields) == nil {
		damaged := func(of, owner string, field string, value any) error {
			s, _ := value.(string)
			if _, err := base64.StdEncoding.DecodeString(s); err == nil {
				return nil
			}
			return invalid(fmt.Sprintf("%s is not a kubeconfig: the %s of the %s %q is not base64", name, field, of, owner), dataHint, err)
		}
		for _, c := range fields.Clusters {
			if err := damaged("cluster", c.Name, "certificate-authority-data", c.Cluster["certificate-authority-data"]); err != nil {
				return err
			}
		}
		for _, u := range fields.Users {
			for _, field := range []string{"client-certificate-data", "client-key-data"} {
				if err := damaged("user", u.Name, field, u.User[field]); err != nil {
					return err
				}
			}
		}
	}
	if m := wrongKind.FindStringSubmatch(err.Error()); m != nil {
		kinds := strings.NewReplacer("array", "a list", "object", "a mapping", "bool", "a boolean", "number", "a number", "string", "a text")
		return invalid(fmt.Sprintf("%s is not a kubeconfig: %s cannot be %s", name, m[2], kinds.Replace(m[1])), viewHint, err)
	}
	return invalid(fmt.Sprintf("%s is not a kubeconfig: %v", name, err), "", err)
}

// isConfig finds YAML that is something else.
func isConfig(text []byte, name string) error {
	var object struct{ Kind string }
	if err := yaml.Unmarshal(text, &object); err == nil && object.Kind != "" && object.Kind != "Config" {
		return invalid(fmt.Sprintf("%s is a %s and not a kubeconfig", name, object.Kind), secretHint, nil)
	}
	return nil
}

// noContexts is the error of a kubeconfig that leads nowhere.
func noContexts(name string) error {
	return invalid(name+" has no contexts", "A whole kubeconfig of one cluster is made by: kubectl config view --raw --flatten --minify", nil)
}

// choose picks the context: the one that was asked for; else the one of the cluster that the manifest names; else the current
// one; else the only one. A migration must never run against the wrong cluster by accident, so nothing is guessed.
func choose(kubeconfig *clientcmdapi.Config, name, context, clusterName string) (string, []event.Notice, error) {
	var all, ofCluster []string
	for c, v := range kubeconfig.Contexts {
		all = append(all, c)
		if v.Cluster == clusterName {
			ofCluster = append(ofCluster, c)
		}
	}
	slices.Sort(all)
	slices.Sort(ofCluster)
	list := strings.Join(all, ", ")
	has := func(c string) bool { return kubeconfig.Contexts[c] != nil }
	only := len(all) == 1

	switch {
	case context != "" && has(context):
		return context, nil, nil
	case context != "":
		return "", nil, invalid(fmt.Sprintf("%s has no context %q; it has: %s", name, context, list), "Set context to one of them, or leave it out.", nil)

	case clusterName != "" && has(clusterName):
		return clusterName, nil, nil
	case clusterName != "" && len(ofCluster) == 1:
		return ofCluster[0], nil, nil
	case clusterName != "" && len(ofCluster) > 1:
		return "", nil, invalid(fmt.Sprintf("several contexts of %s belong to the cluster %q that the manifest names: %s", name, clusterName, strings.Join(ofCluster, ", ")), "Set context to one of them.", nil)
	case clusterName != "" && only:
		return all[0], []event.Notice{{Level: event.Info, Key: "target-cluster",
			Message: fmt.Sprintf("the manifest names the cluster %q; the only context of %s is %q, so the Job goes there", clusterName, name, all[0])}}, nil
	case clusterName != "":
		return "", nil, invalid(fmt.Sprintf("the manifest names the cluster %q, but no context of %s has that name or belongs to it; there are: %s", clusterName, name, list), "Set context to the one that is meant.", nil)

	case has(kubeconfig.CurrentContext):
		return kubeconfig.CurrentContext, nil, nil
	case kubeconfig.CurrentContext != "":
		return "", nil, invalid(fmt.Sprintf("the current context %q of %s does not exist in it; there are: %s", kubeconfig.CurrentContext, name, list), "Set context to one of them.", nil)
	case only:
		return all[0], []event.Notice{{Level: event.Info, Key: "only-context",
			Message: fmt.Sprintf("%s has no current context; its only one is used: %s", name, all[0])}}, nil
	default:
		return "", nil, invalid(fmt.Sprintf("%s has no current context; it has: %s", name, list), "Set context to one of them. (The kubeconfig of GitLab's agent has one for each agent, named path/to/project:agent.)", nil)
	}
}
