package render

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// patch merges the option of that name into the Job.
func (r *renderer) patch(w *workload) {
	if strings.TrimSpace(r.options.Patch) == "" {
		return
	}
	patch, err := patchDocument(r.options.Patch)
	if err != nil {
		r.option("patch", "%s", err)
		return
	}
	was := w.job.DeepCopy()
	was.TypeMeta = metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}
	original, err := json.Marshal(was)
	if err != nil { // a batchv1.Job holds nothing that has no JSON form
		panic(err)
	}
	merged, err := strategicpatch.StrategicMergePatch(original, patch, batchv1.Job{})
	if err != nil {
		r.option("patch", "it does not fit a Job: %s", unfit(err))
		return
	}
	// The strict decoder of manifests finds the unknown fields and wrong types; the Job that was there has none.
	set, findings := manifest.Load(manifest.Source{Content: string(merged)})
	var job batchv1.Job
	if set != nil && len(set.Documents) == 1 {
		findings = append(findings, set.Documents[0].Decode(&job)...)
	}
	for _, f := range findings {
		r.add(event.Finding{Level: f.Level, Path: "patch", Message: strings.TrimPrefix(f.Path+": ", ": ") + f.Message, Suggestion: f.Suggestion})
	}
	if event.HasErrors(findings) {
		return
	}
	for _, identity := range []struct{ field, before, after, instead string }{
		{"apiVersion", was.APIVersion, job.APIVersion, ""},
		{"kind", was.Kind, job.Kind, ""},
		{"metadata.name", was.Name, job.Name, "use the option name"},
		{"metadata.namespace", was.Namespace, job.Namespace, "use the option namespace"},
	} {
		// A patch may name the Job that it is for, as it stands in the manifest.
		if identity.after != identity.before && !(identity.field == "metadata.name" && identity.after == w.named) {
			r.option("patch", "%s cannot be patched (%q to %q)", identity.field, identity.before, identity.after).Suggestion = identity.instead
		}
	}
	if out := leftOut(&job); out != nil {
		r.add(event.Finding{Level: event.Info, Path: "patch", Message: leavesOut(out)})
	}
	job.TypeMeta, job.Name, job.Namespace = was.TypeMeta, was.Name, was.Namespace
	w.job = &job
}

// patchDocument is the one YAML or JSON mapping of a patch, as JSON.
func patchDocument(text string) ([]byte, error) {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	var patch []byte
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("it is not YAML: %s", manifest.Unquoted(oneLine(err)))
		}
		body, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			return nil, fmt.Errorf("it is neither YAML nor JSON: %s", manifest.Unquoted(oneLine(err)))
		}
		if bytes.Equal(body, []byte("null")) {
			continue
		}
		if patch != nil {
			return nil, errors.New("it holds more than one document; one patch is possible")
		}
		patch = body
	}
	if !bytes.HasPrefix(patch, []byte("{")) {
		return nil, errors.New("it is no mapping; write the fields of the Job to change, for example spec: {backoffLimit: 0}")
	}
	return patch, nil
}

var (
	wrongKind = regexp.MustCompile(`^expected a [^,]+, but received a [^,]+$`)                   // mergepatch.ErrBadArgType, of Go types
	mergeKey  = regexp.MustCompile("declared merge key: (\\w+)$|cannot find merge key `(\\w+)`") // mergepatch.ErrNoMergeKey, strategicpatch
)

// unfit is why a patch cannot be merged. Most messages of the libraries show the maps and lists of the patch and of the Job, which may
// hold secrets, so that only known ones pass.
func unfit(err error) string {
	text := oneLine(err)
	if key := mergeKey.FindStringSubmatch(text); key != nil {
		return fmt.Sprintf("an item of a list has no %s, which says what it is merged with", cmp.Or(key[1], key[2]))
	}
	plain := []error{mergepatch.ErrNoListOfLists, mergepatch.ErrBadPatchFormatForPrimitiveList, mergepatch.ErrBadPatchFormatForRetainKeys,
		mergepatch.ErrBadPatchFormatForSetElementOrderList, mergepatch.ErrPatchContentNotMatchRetainKeys}
	if wrongKind.MatchString(text) || slices.ContainsFunc(plain, func(known error) bool { return errors.Is(err, known) }) {
		return text
	}
	return "look at its directives, such as $patch, and at what stands in a list instead of a mapping"
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// override applies the single overrides, after the patch. What they make of the Job is checked afterwards, as everything else.
func (r *renderer) override(w *workload) {
	pod := &w.job.Spec.Template.Spec
	r.image(pod)
	r.commands(pod)
	env := r.pairs("env", r.options.Env)
	secretEnv := r.pairs("secret-env", r.options.SecretEnv)
	for _, p := range env {
		if slices.ContainsFunc(secretEnv, func(s pair) bool { return s.name == p.name }) {
			r.option("env", "%s is given by secret-env too", p.name)
		}
		setEnv(pod, corev1.EnvVar{Name: p.name, Value: p.value})
	}
	for _, p := range secretEnv {
		r.secretEnv(w, p)
	}
	for _, p := range r.pairs("labels", r.options.Labels) {
		set(&w.job.Labels, p.name, p.value)
		set(&w.job.Spec.Template.Labels, p.name, p.value)
	}
	for _, p := range r.pairs("annotations", r.options.Annotations) {
		set(&w.job.Annotations, p.name, p.value)
		set(&w.job.Spec.Template.Annotations, p.name, p.value)
	}
	r.registryCredentials(w)
}

func (r *renderer) image(pod *corev1.PodSpec) {
	names := containerNames(pod)
	var done []string
	for _, line := range r.options.Image {
		name, ref, named := strings.Cut(strings.TrimSpace(line), "=")
		if !named {
			ref = name
			if len(pod.Containers) != 1 {
				r.option("image", "the pod has %d containers; write container=%s with one of %s", len(pod.Containers), ref, orNone(names))
				continue
			}
			name = pod.Containers[0].Name
		}
		if ref == "" {
			r.option("image", "%q names no image", line)
			continue
		}
		if slices.Contains(done, name) {
			r.option("image", "container %q is given two images", name)
			continue
		}
		done = append(done, name)
		found := false
		for c := range containers(pod) {
			if c.Name == name {
				c.Image, found = ref, true
			}
		}
		if !found {
			r.option("image", "there is no container %q; there are %s", name, orNone(names)).Suggestion = didYouMean(name, names)
		}
	}
}

func (r *renderer) commands(pod *corev1.PodSpec) {
	for _, o := range []struct {
		option string
		given  []string
		field  func(*corev1.Container) *[]string
	}{
		{"container-command", r.options.ContainerCommand, func(c *corev1.Container) *[]string { return &c.Command }},
		{"container-args", r.options.ContainerArgs, func(c *corev1.Container) *[]string { return &c.Args }},
	} {
		switch {
		case o.given == nil:
		case len(pod.Containers) == 1:
			*o.field(&pod.Containers[0]) = slices.Clone(o.given)
		default:
			r.option(o.option, "the pod has %d containers; it works for one", len(pod.Containers)).Suggestion = "use patch, which names the container"
		}
	}
}

// pair is one NAME=VALUE line.
type pair struct{ name, value string }

var (
	base64Text = regexp.MustCompile(`^[A-Za-z0-9+/]{16,}={0,2}$`)
	base64End  = regexp.MustCompile(`^[A-Za-z0-9+/]+={1,2}$`)
	quoted     = regexp.MustCompile(`^(?:"[^"]*"|'[^']*')$`)
	mixed      = regexp.MustCompile(`[a-z].*[A-Z]|[A-Z].*[a-z]`)
)

// cut parts a line of an option into name and value. A line is none when it may be a part of a value of several lines: the name of a
// variable must be one, and a line of base64 that ends with padding is no name. before is what stands before it: the value of the last line.
func cut(option, line, before string) (pair, bool) {
	name, value, ok := strings.Cut(line, "=")
	name = strings.TrimSpace(name)
	variable := option == "env" || option == "secret-env"
	text := strings.TrimSpace(line)
	padded := base64End.MatchString(text) && len(text)%4 == 0 && (strings.HasSuffix(text, "==") || mixed.MatchString(text) || base64Text.MatchString(before) && mixed.MatchString(before))
	return pair{name, value}, ok && name != "" && !padded && (!variable || len(validation.IsEnvVarName(name)) == 0)
}

// pairs splits the lines of an option. No finding quotes a line: it may be a part of a secret. A value that goes on is told once, and is none.
func (r *renderer) pairs(option string, lines []string) []pair {
	var all []pair
	before, unfinished := "", map[string]bool{}
	for i, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		p, ok := cut(option, line, before)
		before = line
		if !ok {
			at, way := "", "each value must be on one line; a longer one can be kept in a Secret or ConfigMap"
			if option == "env" || option == "secret-env" {
				way = "a value of several lines stands between NAME<<EOF and EOF"
			}
			if len(all) > 0 {
				name := all[len(all)-1].name
				at = name + ": the value goes on over several lines: "
				if option == "env" || option == "secret-env" {
					way = fmt.Sprintf("write %s<<EOF, the lines of the value, and EOF on a line of its own; or keep it in a Secret", name)
				}
				if unfinished[name] {
					continue
				}
				unfinished[name] = true
			}
			r.option(option, "%sline %d is not NAME=VALUE", at, i+1).Suggestion = way
			if at == "" { // whatever this is the value of, its other lines say no more
				return nil
			}
			continue
		}
		before = p.value
		if slices.ContainsFunc(all, func(q pair) bool { return q.name == p.name }) {
			r.option(option, "%s is given twice", p.name)
			continue
		}
		if v := p.value; (option == "env" || option == "secret-env") && quoted.MatchString(v) && v[0] == v[len(v)-1] {
			r.add(event.Finding{Level: event.Warning, Path: option, Message: p.name + ": the quotation marks are a part of the value", Suggestion: "leave them out: no shell reads this"})
		}
		all = append(all, p)
	}
	return slices.DeleteFunc(all, func(p pair) bool { return unfinished[p.name] })
}

// setEnv sets a variable in every container of the pod, as kubectl set env does. Of several entries of one name the last
// counts, so that one is replaced.
func setEnv(pod *corev1.PodSpec, v corev1.EnvVar) {
	for c := range containers(pod) {
		at := -1
		for i, e := range c.Env {
			if e.Name == v.Name {
				at = i
			}
		}
		if at >= 0 {
			c.Env[at] = v
		} else {
			c.Env = append(c.Env, v)
		}
	}
}

func (r *renderer) secretEnv(w *workload, p pair) {
	if w.envSecret == nil {
		w.envSecret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: w.job.Name + "-env-secrets", Labels: w.platformLabels()}, Type: corev1.SecretTypeOpaque}
	}
	w.envSecret.Data, w.envSecret.StringData = content(w.envSecret), nil
	if w.envSecret.Data == nil {
		w.envSecret.Data = map[string][]byte{}
	}
	w.envSecret.Data[p.name] = []byte(p.value)
	setEnv(&w.job.Spec.Template.Spec, corev1.EnvVar{Name: p.name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: w.envSecret.Name}, Key: p.name,
	}}})
}

// platformLabels are the labels that every object of a KubernetesJob carries; other workloads have none.
func (w *workload) platformLabels() map[string]string {
	var labels map[string]string
	for k, v := range w.job.Labels {
		if strings.HasPrefix(k, "planton.ai/") {
			set(&labels, k, v)
		}
	}
	return labels
}

// dockerHub is the key that the kubelet looks Docker Hub's credentials up by.
const dockerHub = "https://index.docker.io/v1/"

// registryAuth is one entry of a dockerconfigjson.
type registryAuth struct {
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	Auth          string `json:"auth,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
	RegistryToken string `json:"registrytoken,omitempty"`
}

// registryCredentials adds an owned pull secret.
func (r *renderer) registryCredentials(w *workload) {
	auths, document, wrong := readRegistries(r.options.RegistryCredentials)
	if wrong != nil {
		wrong.Level, wrong.Path = event.Error, "registry-credentials"
		r.add(*wrong)
		return
	}
	if auths == nil {
		return
	}
	n := 0
	for server, a := range sorted(auths) {
		n++
		decoded, err := base64.StdEncoding.DecodeString(a.Auth)
		if a == (registryAuth{}) || a.Auth != "" && (err != nil || !bytes.ContainsRune(decoded, ':')) {
			r.option("registry-credentials", "the entry of %s holds no usable credentials", called(server, n))
		}
	}
	name := w.job.Name + "-image-pull-secret"
	w.pullSecret = &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: w.platformLabels()},
		Type:       corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: document},
	}
	pod := &w.job.Spec.Template.Spec
	if ref := (corev1.LocalObjectReference{Name: name}); !slices.Contains(pod.ImagePullSecrets, ref) {
		pod.ImagePullSecrets = append(pod.ImagePullSecrets, ref)
	}
}

// host is how a registry is named without a secret in it: no user, and no single word, which may be a password in the wrong place.
var host = regexp.MustCompile(`^(?:https?://)?(?:[a-z0-9-]+\.)+[a-z0-9-]+(?::[0-9]+)?(?:/v[12]/?)?$|^localhost(?::[0-9]+)?$`)

// called is how findings call the nth registry, in the order of their names.
func called(server string, n int) string {
	if host.MatchString(server) {
		return strconv.Quote(server)
	}
	return fmt.Sprintf("registry %d", n)
}

// readRegistries reads the option registry-credentials: the entries by server, and the document for the kubelet. Nothing in the finding
// is a word of the option, but for the names of hosts.
func readRegistries(text string) (auths map[string]registryAuth, document []byte, wrong *event.Finding) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return nil, nil, nil
	case strings.HasPrefix(text, "{"):
		var config struct {
			Auths map[string]registryAuth `json:"auths"`
		}
		if err := json.Unmarshal([]byte(text), &config); err != nil || len(config.Auths) == 0 {
			return nil, nil, &event.Finding{Message: "it is no dockerconfigjson document with auths"}
		}
		return config.Auths, []byte(text), nil
	}
	auths, wrong = registryLines(text)
	if wrong != nil {
		return nil, nil, wrong
	}
	document, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil { // strings always have a JSON form
		panic(err)
	}
	return auths, document, nil
}

// registryLines reads server=… username=… password=…, as often as there are registries.
func registryLines(text string) (map[string]registryAuth, *event.Finding) {
	const form = "write server=… username=… password=… for each registry, or give a dockerconfigjson document"
	auths := map[string]registryAuth{}
	var server string
	var current *registryAuth
	n := 0
	finish := func() *event.Finding {
		if current == nil {
			return nil
		}
		n++
		if current.Username == "" || current.Password == "" {
			return &event.Finding{Message: fmt.Sprintf("the entry of %s needs a username and a password", called(server, n)), Suggestion: form}
		}
		if _, twice := auths[server]; twice {
			return &event.Finding{Message: fmt.Sprintf("there are two entries of %s", called(server, n))}
		}
		current.Auth = base64.StdEncoding.EncodeToString([]byte(current.Username + ":" + current.Password))
		auths[server] = *current
		return nil
	}
	for i, word := range strings.Fields(text) {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case key == "server" && value != "":
			if wrong := finish(); wrong != nil {
				return nil, wrong
			}
			if server = value; server == "docker.io" || server == "index.docker.io" {
				server = dockerHub
			}
			current = &registryAuth{}
		case key == "username" && current != nil:
			current.Username = value
		case key == "password" && current != nil:
			current.Password = value
		default:
			wrong := &event.Finding{Message: fmt.Sprintf("word %d is not understood", i+1), Suggestion: form}
			if current != nil && current.Password != "" {
				wrong.Suggestion = "a password with blanks, such as a JSON key, needs the form of a dockerconfigjson document"
			}
			return nil, wrong
		}
	}
	return auths, finish()
}
