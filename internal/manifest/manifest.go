// Package manifest reads what the user wrote: YAML or JSON from files, folders, globs, standard input and inline text becomes
// documents that know where each of their fields stands.
//
// A manifest is untrusted: its size, its structure and what its aliases expand to are limited before anything is built from
// it, and everything that is wrong comes back as findings, all at once, each with its place.
//
// Scalars mean what they mean to kubectl, which reads YAML 1.1 (sigs.k8s.io/yaml, go.yaml.in/yaml/v2, resolve.go): yes, no,
// on, off, y and n are booleans, 0755 is an octal number, and a date is text.
package manifest

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Source says what to read. Paths are resolved against Dir.
type Source struct {
	Paths      []string // each a file, a folder (its *.yaml, *.yml and *.json, not those of folders below), a glob, a pipe, or "-" for Stdin
	Content    string   // a manifest given as text; "" when there is none
	References []string // paths of resource manifests for valueFrom, as Paths
	Stdin      io.Reader
	Dir        string
	Confine    []Folder // when there are some, each path must lead into one of them, by a symbolic link either, and to no pipe
	// Ending makes a reader that nobody may ever write to, Stdin or a pipe, end with the run. It may be nil.
	Ending     func(io.Reader) io.Reader
	Substitute []string // names whose ${NAME} is replaced in Paths and Content; every other $ stays
	LookupEnv  func(string) (string, bool)
}

// Set is everything that was read.
type Set struct {
	Documents  []*Document // of Paths and Content, in order; a List is replaced by its items
	References []*Document // Documents and those of Source.References: where a valueFrom may point

	// Secrets are the values that nobody may see, of documents with errors too. Who follows a reference to another one adds it: it
	// must be masked before the first finding is told.
	Secrets []event.Secret
	Files   []fs.FileInfo // what was read, without standard input

	incomplete bool // Load found errors: what is not here may have been there
}

// Load reads a Source. Nothing to read gives an empty set. Documents that cannot be used are left out; a finding of level
// Error says so for each. What is left can be checked on, so that all problems are told at once.
func Load(s Source) (*Set, []event.Finding) {
	r := &reader{source: s, budget: budget{bytes: maxBytes, nodes: maxNodes}, variables: map[string]*value{}}
	defer r.close()
	for i, name := range s.Substitute {
		if !variableOnly.MatchString(name) { // unshown: it may be a secret
			message, suggestion := fmt.Sprintf("line %d is not the name of an environment variable", i+1), "write one name a line"
			bare := strings.Trim(name, "${}")
			if before, _, pair := strings.Cut(name, "="); pair && variableOnly.MatchString(before) {
				message, suggestion = before+" has a value here, and takes it from the environment", "write the name alone"
			} else if variableOnly.MatchString(bare) && bare != name {
				suggestion = "write " + bare
			}
			r.problem("substitute", message, suggestion)
			continue
		}
		v := &value{}
		v.value, v.set = s.LookupEnv(name)
		v.credential = event.LooksSecret(v.value)
		r.variables[name] = v
	}
	set, options := &Set{}, len(r.findings)
	for _, f := range r.open(s.Paths, "manifest") {
		set.Documents = append(set.Documents, r.parse(f, true)...)
	}
	if s.Content != "" {
		if f, ok := r.limited(inline, inline, strings.NewReader(s.Content)); ok {
			set.Documents = append(set.Documents, r.parse(f, true)...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.variables)) {
		switch v := r.variables[name]; {
		case v.used && v.set && v.value == "":
			r.add(event.Finding{Level: event.Warning, Path: "substitute", Message: fmt.Sprintf("the environment variable %s is empty, so that nothing takes the place of ${%s}", name, name),
				Suggestion: "is it a secret? one is empty when its name is wrong, and in runs of forks and of Dependabot"})
		case v.used:
		case !v.set:
			r.problem("substitute", fmt.Sprintf("the environment variable %s is not set", name), "set it, or take it out of substitute")
		case !event.HasErrors(r.findings[options:]):
			r.add(event.Finding{Level: event.Warning, Path: "substitute", Message: fmt.Sprintf("${%s} stands nowhere in the manifest", name)})
		}
	}
	set.References = slices.Clone(set.Documents)
	for _, f := range r.open(s.References, "references") {
		set.References = append(set.References, r.parse(f, false)...)
	}
	set.incomplete = event.HasErrors(r.findings)
	set.Secrets, set.Files = r.secrets, r.read
	return set, r.findings
}

// batchV1 is the version of the other two workloads.
const batchV1 = "batch/v1"

// KubernetesJobVersions are the apiVersions of the three dialects of the KubernetesJob kind.
func KubernetesJobVersions() []string {
	return []string{"kubernetes.project-planton.org/v1", "kubernetes.openmcf.org/v1", "kubernetes.planton.dev/v1"}
}

const allowedWorkloads = "what runs is a KubernetesJob, a batch/v1 Job or a batch/v1 CronJob"

// Hooks are the words that say when the document is applied, in small letters: Argo CD's, which come before Helm's as they do there
// (argoproj/gitops-engine, pkg/sync/hook), or else Helm's, whose letters may be of any case (helm/helm, pkg/release/util,
// manifest_sorter.go). nil for what is applied with everything else, which is what Argo CD's Sync means.
func (d *Document) Hooks() []string {
	for _, annotation := range []string{"argocd.argoproj.io/hook", "helm.sh/hook"} {
		n, found := d.find(`metadata.annotations["` + annotation + `"]`)
		if !found || n.Tag != strTag {
			continue
		}
		words := strings.FieldsFunc(strings.ToLower(n.Value), func(r rune) bool { return r == ',' || r == ' ' })
		if slices.Contains(words, "sync") {
			return nil
		}
		return words
	}
	return nil
}

// Early tells whether the document is a hook that is there before what serves is installed or upgraded.
func (d *Document) Early() bool {
	return slices.ContainsFunc(d.Hooks(), func(hook string) bool { return hook == "pre-install" || hook == "pre-upgrade" || hook == "presync" })
}

// IsWorkload tells whether the document can become the Job.
func (d *Document) IsWorkload() bool {
	switch d.Kind {
	case "Job", "CronJob":
		return d.APIVersion == batchV1
	case "KubernetesJob":
		return slices.Contains(KubernetesJobVersions(), d.APIVersion)
	}
	return false
}

// meant is the finding about a document that was meant to be a workload but is none, by the case of its kind or by its
// version. Kinds of this name in API groups of their own are helpers like any other.
func (d *Document) meant() (event.Finding, bool) {
	versions := []string{batchV1}
	kind := ""
	for _, k := range []string{"KubernetesJob", "Job", "CronJob"} {
		if strings.EqualFold(strings.NewReplacer("-", "", "_", "", " ", "").Replace(d.Kind), k) {
			kind = k
		}
	}
	group, _, _ := strings.Cut(d.APIVersion, "/")
	ours := slices.ContainsFunc(KubernetesJobVersions(), func(v string) bool { return strings.HasPrefix(v, group+"/") })
	switch {
	case kind == "" && ours && Closest(d.Kind, []string{"KubernetesJob"}) != "":
		kind = "KubernetesJob"
	case kind == "" && group == "batch":
		kind = Closest(d.Kind, []string{"Job", "CronJob"})
	}
	switch {
	case kind == "":
		return event.Finding{}, false
	case kind == "KubernetesJob", ours && kind == "Job":
		kind, versions = "KubernetesJob", KubernetesJobVersions()
	case strings.Contains(group, "."): // the groups of others are domains
		return event.Finding{}, false
	}
	if !slices.Contains(versions, d.APIVersion) {
		near := cmp.Or(Closest(d.APIVersion, versions), versions[0])
		return d.Finding(event.Error, "apiVersion", fmt.Sprintf("%q is no version of %s; there is %s", d.APIVersion, kind, strings.Join(versions, ", ")), didYouMean(near)), true
	}
	return d.Finding(event.Error, "kind", fmt.Sprintf("%q is no kind of %s", d.Kind, d.APIVersion), didYouMean(kind)), true
}

// Workload is the one document that becomes the Job: a KubernetesJob of any dialect, a batch/v1 Job or a batch/v1 CronJob. Of several,
// it is the one with that name, if one has it; else the one that Helm or Argo CD would run before an installation or an upgrade, else the
// only one that is no hook of another time, else the only one without a schedule. Without exactly one it is nil, and the findings list
// what is there; after a Load with errors, nothing is said about a workload that is not there.
func (s *Set) Workload(name string) (*Document, []event.Finding) {
	var workloads []*Document
	var findings []event.Finding
	for _, d := range s.Documents {
		if d.IsWorkload() {
			workloads = append(workloads, d)
		} else if f, ok := d.meant(); ok {
			findings = append(findings, f)
		}
	}
	for _, less := range []func(*Document) bool{
		func(d *Document) bool { return d.Name != name || name == "" },
		func(d *Document) bool { return d.Hooks() != nil && !d.Early() },
		func(d *Document) bool { return !d.Early() },
		func(d *Document) bool { return d.Kind == "CronJob" },
	} {
		if rest := slices.DeleteFunc(slices.Clone(workloads), less); len(rest) > 0 {
			workloads = rest
		}
	}
	switch {
	case len(findings) > 0:
		return nil, findings
	case len(workloads) == 1:
		return workloads[0], nil
	case len(workloads) == 0 && s.incomplete:
		return nil, nil
	case len(s.Documents) == 0:
		return nil, []event.Finding{{Level: event.Error, Path: "manifest", Message: "there is no manifest: nothing says what to run", Suggestion: "give a file as manifest, text as manifest-content, or the name of a CronJob as from-cronjob; --help lists all options"}}
	case len(workloads) == 0:
		d, way := s.Documents[0], ""
		if slices.ContainsFunc(s.Documents, func(d *Document) bool {
			return slices.Contains([]string{"Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"}, d.Kind)
		}) {
			way = "put what runs below spec.template of a Job, with restartPolicy: Never"
		}
		return nil, []event.Finding{d.Finding(event.Error, "kind", fmt.Sprintf("there is no workload among %s; %s", list(s.Documents), allowedWorkloads), way)}
	}
	message, suggestion := fmt.Sprintf("there is more than one workload: %s; exactly one can run", list(workloads)), "keep one, such as by helm template --show-only, or name one file in manifest"
	names := map[string]bool{}
	for _, d := range workloads {
		names[d.Name] = true
	}
	if len(names) == len(workloads) {
		if name != "" {
			message += ", and none is called " + name
		}
		first := workloads[0]
		suggestion = fmt.Sprintf("choose one by its name, such as name: %s; others says what becomes of the rest", cmp.Or(first.Original("metadata.name", first.Name), workloads[1].Original("metadata.name", workloads[1].Name)))
	}
	return nil, []event.Finding{workloads[1].Finding(event.Error, "kind", message, suggestion)}
}

// list names documents and their places: the first ten.
func list(documents []*Document) string {
	var words []string
	for i, d := range documents {
		if i == 10 {
			words = append(words, fmt.Sprintf("%d more", len(documents)-i))
			break
		}
		p := d.Position("kind")
		words = append(words, fmt.Sprintf("%s (%s:%d)", strings.TrimSpace(d.Kind+" "+d.Original("metadata.name", d.Name)), p.File, p.Line))
	}
	return strings.Join(words, ", ")
}
