package cluster

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

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

// locate finds the cluster: the option, $KUBECONFIG, the service account of the pod that this runs in, ~/.kube/config.
func locate(o Options) (*target, []event.Notice, error) {
	variable, _ := o.LookupEnv("KUBECONFIG")
	switch {
	case o.Kubeconfig != "":
		return fromKubeconfig(o, o.Kubeconfig, "the kubeconfig")
	case variable != "":
		return fromKubeconfig(o, variable, "$KUBECONFIG")
	}
	config, err := rest.InClusterConfig()
	if err == nil {
		t, notices, err := fromPod(o, config)
		return t, append(notices, ambient(o, "the service account of the pod that this runs in")...), err
	}
	tried := "this does not run in a pod of a cluster"
	if !errors.Is(err, rest.ErrNotInCluster) {
		tried = fmt.Sprintf("the pod's service account cannot be used (%v)", err)
	}
	// HOME differs between a runner and its containers, or is missing: then there is nothing to look for.
	if home, _ := o.LookupEnv("HOME"); home != "" {
		path := filepath.Join(home, ".kube", "config")
		if _, err := os.Stat(path); err == nil {
			t, notices, err := fromKubeconfig(o, path, path)
			return t, append(notices, ambient(o, path)...), err
		}
		tried += ", and there is no " + path
	}
	hint := secretHint
	if on, _ := o.LookupEnv("GITHUB_ACTIONS"); on == "true" { // where every input is set, if only to ""
		hint += "." + forkHint
	}
	return nil, nil, invalid("no kubeconfig was given, $KUBECONFIG is not set, "+tried, hint, nil)
}

// ambient warns, in CI, of credentials that belong to the machine and not to the run: that of a fork gets them too, as it has no secrets.
func ambient(o Options, what string) []event.Notice {
	if ci, _ := o.LookupEnv("CI"); ci != "true" { // GitHub's runner and GitLab's set it
		return nil
	}
	return []event.Notice{{Level: event.Warning, Key: "ambient-credentials", Message: "no kubeconfig was given and $KUBECONFIG is not set, so this runs with the runner's own credentials: " + what,
		Hint: "Whoever can start a run on this runner can use them, from a fork too. Give the kubeconfig of an identity of its own."}}
}

// fromPod is the cluster of the pod that this runs in.
func fromPod(o Options, config *rest.Config) (*target, []event.Notice, error) {
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
		hint := viewHint
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			hint = embedHint
		}
		return nil, nil, invalid(fmt.Sprintf("%s cannot be used: %s", t.name, withoutPrefix(err)), hint, err)
	}
	if t.namespace, _, err = client.Namespace(); err != nil {
		return nil, nil, invalid(fmt.Sprintf("the namespace of %s cannot be used: %v", t.name, err), "", err)
	}
	if len(validation.IsDNS1123Label(t.namespace)) > 0 {
		return nil, nil, invalid(fmt.Sprintf("%s cannot be used: its namespace %q is not the name of a namespace", t.name, t.namespace), viewHint, nil)
	}
	return t, notices, nil
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
	if e := user.Exec; e != nil {
		// clientcmd has made a command with a path absolute already; one without is looked up in PATH.
		if _, err := exec.LookPath(e.Command); err != nil {
			return pluginMissing(t.name, e.Command, err)
		}
	}
	return nil
}

// isURL tells whether a text is a URL with one of the schemes.
func isURL(text string, schemes ...string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && slices.Contains(schemes, u.Scheme)
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
			return readFiles(paths)
		}
		if looksLikePath(text) {
			hint := fmt.Sprintf("Relative paths start at %s. %s", dir, secretHint)
			if strings.HasPrefix(text, "~") {
				hint = "~ is not expanded here, because a container has another home: write the whole path. " + secretHint
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
		return nil, invalid(fmt.Sprintf("%s is not YAML: %v", name, mapping([]byte(text))), "Check that the indentation survived: in a workflow, a secret keeps it, a plain string may not.", nil)
	default:
		return nil, invalid(name+" is neither YAML, nor base64, nor the path of a file (its text is not shown: it may be a secret)", secretHint, nil)
	}
}

var (
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
		return nil, invalid(fmt.Sprintf("%s is not a kubeconfig: %v", name, err), "", err)
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

// mostFile is how large a kubeconfig may be, or a file that it names. Those of etcd's objects are at most 1.5 MiB.
const mostFile = 4 << 20

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
func readFiles(paths []string) (*clientcmdapi.Config, error) {
	for _, p := range paths {
		text, err := readPlain(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, invalid(fmt.Sprintf("the kubeconfig cannot be read: %v", err), "", err)
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
