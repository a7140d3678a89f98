package render

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// advise says what is unwise about the containers; checker.image and checker.env say their part where they look.
func (c *checker) advise(w *workload) {
	spec, at := &w.job.Spec, field.NewPath("spec", "template", "spec")
	pod := &spec.Template.Spec
	for i := range pod.Containers {
		if k := &pod.Containers[i]; len(k.Resources.Limits) == 0 && (pod.Resources == nil || len(pod.Resources.Limits) == 0) {
			c.add(event.Warning, at.Child("containers").Index(i).Child("resources"), "container %q has no limits: it may take a whole node", k.Name).suggestion = "set resources.limits for cpu and memory"
		}
	}
	for i := range pod.Containers {
		c.commandLine(&pod.Containers[i], at.Child("containers").Index(i))
	}
	for i := range pod.InitContainers {
		c.commandLine(&pod.InitContainers[i], at.Child("initContainers").Index(i))
	}
	if indexed(spec) {
		return
	}
	for i := range pod.Containers {
		c.completionIndex(&pod.Containers[i], at.Child("containers").Index(i))
	}
	for i := range pod.InitContainers {
		c.completionIndex(&pod.InitContainers[i], at.Child("initContainers").Index(i))
	}
	for _, m := range w.configMaps {
		for _, text := range sorted(m.Data) {
			if strings.Contains(text, completionIndex) {
				c.noIndex(field.NewPath("spec", "configMaps", m.Name))
			}
		}
	}
}

var (
	shell  = regexp.MustCompile(`^(?:/(?:usr/)?bin/)?(?:ba|a|da|z|k)?sh$`)
	glued  = regexp.MustCompile(`^(-[a-z]*c)\s`)
	script = regexp.MustCompile(`^-[a-z]*c$`)
	valued = regexp.MustCompile(`^--[A-Za-z][\w.-]*\s+\S`)
	// Options behind one another, and a script with what it is given.
	interpreter = regexp.MustCompile(`^(?:\S*/)?(?:python[\d.]*|node|ruby|php|perl)$`)
	several     = regexp.MustCompile(`^-[A-Za-z][^\s=]*\s+-\S`)
	run         = regexp.MustCompile(`^[\w./-]+\.(?:py|rb|js|mjs|php|pl|jar)\s+\S+$`)
	assign      = regexp.MustCompile(`^[A-Za-z_]\w*=`)
	blank       = regexp.MustCompile(`\s`)
	folder      = regexp.MustCompile(`^/\S*\s[^-/\s][^\n]*/`) // a path with a blank in the name of a folder
)

// way is how a shell gets a command line.
const way = manifest.CommandLine

const eachWord = "write one element for each word"

// commandLine warns of what only a shell would take apart, or understand, where no shell reads it.
func (c *checker) commandLine(k *corev1.Container, at *field.Path) {
	words := append(k.Command[:len(k.Command):len(k.Command)], k.Args...)
	place := func(i int) *field.Path {
		if i < len(k.Command) {
			return at.Child("command").Index(i)
		}
		return at.Child("args").Index(i - len(k.Command))
	}
	line := func(word string) bool { return blank.MatchString(word) && !folder.MatchString(word) }
	shells := false
	for i, word := range words {
		shells = shells || shell.MatchString(word)
		if i == 0 || !shell.MatchString(words[i-1]) {
			continue
		}
		rest := words[i+1:]
		if m := glued.FindStringSubmatch(word); m != nil {
			c.add(event.Warning, place(i), "the shell takes what follows %q here for more options", m[1]).suggestion = fmt.Sprintf("write %q and the script as two elements", m[1])
		} else if script.MatchString(word) && len(rest) == 0 {
			c.add(event.Warning, place(i), "no script follows")
		} else if script.MatchString(word) && len(rest) > 1 && !blank.MatchString(rest[0]) && !strings.Contains(rest[0], "$") {
			c.add(event.Warning, place(i+1), "is the whole script: what follows is not part of it, but its $0, $1 and so on").suggestion = "write the script as one element"
		}
	}
	switch first := strings.Join(k.Command[:min(1, len(k.Command))], ""); {
	case len(k.Command) == 0:
		if len(k.Args) == 1 && line(k.Args[0]) && !strings.HasPrefix(k.Args[0], "-") {
			c.add(event.Warning, place(0), "is one word with blanks in it, which is one argument of the image's program, or is itself looked for as one").suggestion = way
		}
	case first == "":
		c.add(event.Warning, place(0), "is empty, and there is no such program")
	case strings.HasPrefix(first, `["`) && strings.HasSuffix(first, "]"):
		c.add(event.Warning, place(0), "is a list in quotes, so the whole of it is looked for as a program").suggestion = eachWord
	case line(first):
		c.add(event.Warning, place(0), "is one word with blanks in it, so the whole of it is looked for as a program").suggestion = way
	case slices.Contains([]string{"cd", "source", ".", "export", "set", "eval", "exec", "trap", "ulimit", "umask", "if", "for", "while"}, first):
		c.add(event.Warning, place(0), "is a word of the shell and no program").suggestion = way
	case assign.MatchString(first):
		c.add(event.Warning, place(0), "is an assignment, which only a shell knows").suggestion = "write it into env"
	case strings.ContainsAny(first[:min(3, len(first))], "“”‘’"):
		c.add(event.Warning, place(0), "begins with a typographic quotation mark, which belongs to the word")
	case !shells && first != "expr" && first != "test" && first != "[":
		if i := slices.IndexFunc(words, func(word string) bool { return slices.Contains([]string{"&&", "||", "|", ">", ">>", "2>&1"}, word) }); i > 0 {
			c.add(event.Warning, place(i), "means something to a shell alone: here it is an argument like any other").suggestion = `write ["sh", "-c", "…"]`
		}
	}
	for i, word := range words {
		switch {
		case manifest.LooksUnfilled(word, false):
			c.unfilled(place(i))
		case !shells && (several.MatchString(word) && (i == 0 || !strings.HasPrefix(words[i-1], "-")) || i == 1 && interpreter.MatchString(words[0]) && run.MatchString(word)):
			c.add(event.Warning, place(i), "is several words in one").suggestion = eachWord
		case !shells && valued.MatchString(word):
			c.add(event.Warning, place(i), "is an option and its value in one word").suggestion = "write two elements, or an equals sign between them"
		case !shells && len(k.Command) > 0 && i > 0: // a program that an image runs by itself may be a shell
			if name := ownVariable(word, k.Env); name != "" {
				c.add(event.Warning, place(i), "nothing replaces %s here: no shell reads it", name).suggestion = instead(name)
			}
		}
	}
}

func (c *checker) unfilled(at *field.Path) {
	c.add(event.Warning, at, "looks like a placeholder that nobody has filled in")
}

// shellVariable is a variable as a shell writes it. Kubernetes writes $(NAME).
var shellVariable = regexp.MustCompile(`\$\{?([A-Za-z_]\w*)\}?`)

// ownVariable is what a text has of that form for a variable of the container, "" for none.
func ownVariable(text string, env []corev1.EnvVar) string {
	for _, m := range shellVariable.FindAllStringSubmatch(text, -1) {
		if slices.ContainsFunc(env, func(e corev1.EnvVar) bool { return e.Name == m[1] }) {
			return m[0]
		}
	}
	return ""
}

// instead is how Kubernetes writes such a variable.
func instead(variable string) string {
	return "write $(" + strings.Trim(variable, "${}") + ")"
}

// completionIndex is the variable that the job controller sets in the pods of Indexed Jobs, and only there.
const completionIndex = "JOB_COMPLETION_INDEX"

// completionIndex warns of a container that reads the index of a Job that has none.
func (c *checker) completionIndex(k *corev1.Container, at *field.Path) {
	for _, e := range k.Env {
		if e.Name == completionIndex {
			return // the user's own
		}
	}
	for _, list := range []struct {
		name  string
		words []string
	}{{"command", k.Command}, {"args", k.Args}} {
		for i, word := range list.words {
			if strings.Contains(word, completionIndex) {
				c.noIndex(at.Child(list.name).Index(i))
				return
			}
		}
	}
	for i, e := range k.Env {
		if strings.Contains(e.Value, completionIndex) {
			c.noIndex(at.Child("env").Index(i).Child("value"))
			return
		}
	}
}

func (c *checker) noIndex(at *field.Path) {
	c.add(event.Warning, at, "%s is used, which exists only in Indexed Jobs", completionIndex).suggestion = "set completionMode: Indexed"
}

var (
	credentialName    = regexp.MustCompile(`(?i)(PASSWORD|PASSWD|PASSPHRASE|(^|_)(TOKEN|SECRET|SECRET_KEY|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?))$`)
	variableReference = regexp.MustCompile(`\$\([A-Za-z_][A-Za-z0-9_]*\)`) // $(NAME): the kubelet puts another variable there
)

// credential says why a literal variable looks like a credential, "" when it does not. The value itself is never part of it.
func credential(e corev1.EnvVar) string {
	if e.ValueFrom != nil || e.Value == "" {
		return ""
	}
	if u, err := url.Parse(e.Value); err == nil && u.User != nil && u.Host != "" {
		if password, _ := u.User.Password(); password != "" && !variableReference.MatchString(password) {
			return "the password in its URL"
		}
	}
	// A path or another variable's value is none.
	if credentialName.MatchString(e.Name) && !strings.HasPrefix(e.Value, "/") && !variableReference.MatchString(e.Value) {
		return "its name"
	}
	return ""
}

// advice is about the finished Job as a whole.
func (c *checker) advice(job *batchv1.Job, cleanup Cleanup) {
	spec, at := &job.Spec, field.NewPath("spec")
	if spec.ActiveDeadlineSeconds == nil {
		c.add(event.Warning, at, "there is no deadline and no timeout: a Job that hangs runs forever").suggestion = "set activeDeadlineSeconds or timeout"
	}
	if spec.Suspend != nil && *spec.Suspend && job.Labels[event.QueueLabel] == "" && spec.ManagedBy == nil {
		c.add(event.Warning, at.Child("suspend"), "the Job waits until somebody resumes it, and has no queue that would").suggestion =
			"leave suspend out, or give the Job the label " + event.QueueLabel
	}
	if n := spec.Parallelism; n != nil && *n == 0 {
		c.add(event.Warning, at.Child("parallelism"), "with 0, the Job has no pods until somebody raises it")
	}
	if n := spec.Completions; n != nil && *n == 0 {
		c.add(event.Warning, at.Child("completions"), "with 0, the Job succeeds without running anything")
	}
	switch ttl := spec.TTLSecondsAfterFinished; {
	case ttl == nil && cleanup == CleanupNever:
		c.add(event.Warning, at, "there is no TTL and cleanup is never: the finished Job stays forever").suggestion = "set ttlSecondsAfterFinished"
	case ttl != nil && *ttl >= 0 && *ttl < shortTTL:
		c.add(event.Warning, at.Child("ttlSecondsAfterFinished"), "after %d s the Job is deleted with its pods, perhaps before their last lines were read", *ttl).suggestion =
			fmt.Sprintf("allow %d s at least", shortTTL)
	}
}

// shortTTL is the number of seconds that reading the last lines may take after a cut connection.
const shortTTL = 30
