package app

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/report"
)

const goodManifest = `apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - {name: main, image: "busybox:1.36", resources: {limits: {cpu: 1, memory: 1Gi}}}
`

const badManifest = `apiVersion: kubernetes.project-planton.org/v1
kind: KubernetesJob
metadata: {name: Migrate}
spec:
  namespace: {value: batch}
  image: {repo: busybox, tag: "1.36"}
  backofLimit: 3
`

// outcome is what the shell sees of one invocation.
type outcome struct {
	code           int
	stdout, stderr string
}

// call calls Main as a process in dir, with nothing in its environment but env.
func call(t *testing.T, dir, stdin string, env map[string]string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := Main(Process{Args: args, Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr, Dir: dir,
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	return outcome{code, stdout.String(), stderr.String()}
}

// folder holds the files, by name.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// full is a standard output that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestMainWithoutOutput: what cannot be printed is an error of each command.
func TestMainWithoutOutput(t *testing.T) {
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	for _, args := range []string{"version", "--version", "help", "--help", "render -f job.yaml", "validate -f job.yaml --format=gitlab", "run -f job.yaml --dry-run=client"} {
		var stderr bytes.Buffer
		code := Main(Process{Args: strings.Fields(args), Stdin: strings.NewReader(""), Stdout: full{}, Stderr: &stderr, Dir: dir,
			LookupEnv: func(string) (string, bool) { return "", false }})
		if code != exitJobFailed || stderr.String() != "error: output cannot be written: no space left on device\n" {
			t.Errorf("%s: exit code %d, %q", args, code, &stderr)
		}
	}
}

// TestMainEmptyCommand: a variable that is not set is no command.
func TestMainEmptyCommand(t *testing.T) {
	if got := call(t, t.TempDir(), "", nil, "", "-f", "job.yaml"); got.code != exitInvalid || got.stderr != `error: unknown command ""; a variable in quotes that is not set gives an empty word`+"\n" {
		t.Errorf("%+v", got)
	}
}

// What needs no cluster: the exit code, and what is said where. An empty pattern means that the stream is empty.
func TestMainWithoutCluster(t *testing.T) {
	dir := folder(t, map[string]string{
		"job.yaml": goodManifest, "bad.yaml": badManifest, "empty.yaml": "", "k8s/a.yaml": goodManifest,
		"k8s/b.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n",
		"two.yaml":   goodManifest + "---\n" + goodManifest,
	})
	for name, c := range map[string]struct {
		args           string
		stdin          string
		code           int
		stdout, stderr []string // each must match
	}{
		"version":             {args: "version", stdout: []string{`^dev\n$`}},
		"help":                {args: "--help", stdout: []string{`^Run one Kubernetes Job`, `--manifest`, `Exit codes\n    0  succeeded`}},
		"JSON lines":          {args: "validate -f job.yaml --format json", stdout: []string{`^\{"version":1,"at":"[0-9TZ:.-]+","event":"notice","level":"info","message":"the manifest is valid: Job migrate"\}\n$`}},
		"JSON lines, a fault": {args: "-f bad.yaml --format json", code: 2, stdout: []string{`^\{"version":1,.*"event":"finding","level":"error","file":"bad.yaml","line":3,"column":`, `"event":"finished","status":"failed","cause":\{"reason":"InvalidManifest".*\}\n$`}},
		"JSON lines, render":  {args: "render -f job.yaml --format json", stdout: []string{`^---\n# created\napiVersion: batch/v1`}},
		"help of a command":   {args: "render -h", stdout: []string{`^Run one Kubernetes Job`}},
		"help before a fault": {args: "--help --nonsense", stdout: []string{`^Run one Kubernetes Job`}},
		"help as a word":      {args: "help", stdout: []string{`^Run one Kubernetes Job`}},
		"nothing":             {code: 2, stderr: []string{`^✗ manifest: there is no manifest: nothing says what to run \(.*; --help lists all options\)\n✗ fix this problem first; nothing was created\n`, `InvalidInput`}},
		"command with a typo": {args: "rnder --manifest job.yaml", code: 2, stderr: []string{`unknown command "rnder"; did you mean "render"\?`}},
		"manifest as command": {args: "job.yaml", code: 2, stderr: []string{`unknown command "job.yaml"; if it is the manifest, use --manifest=job.yaml`}},
		"flag with a typo":    {args: "validate --manifst job.yaml", code: 2, stderr: []string{`^✗ --manifst: unknown flag; --help lists all \(did you mean "--manifest"\?\)\n✗ fix this problem first; nothing was created\n`}},
		"flag that is none":   {args: "validate --verbose -f bad.yaml", code: 2, stderr: []string{`^✗ --verbose: unknown flag; --help lists all\n`, `spec.backofLimit`, `fix these 3 problems`}},
		"version as a flag":   {args: "--version", stdout: []string{`^dev\n$`}},
		"no manifest's flag":  {args: "validate job.yaml", code: 2, stderr: []string{`^✗ unexpected argument "job.yaml": if it is the manifest, use --manifest=job.yaml\n✗ fix this problem first; nothing was created\n`}},
		"value of a flag": {args: "validate -f job.yaml --cleanup=sometimes --timeout=soon --wait=perhaps", code: 2, stderr: []string{
			`cleanup: "sometimes" is not one of auto, always, on-success, never`, `timeout: "soon" is not a duration such as 90s`, `wait: "perhaps" is neither true nor false`, `3 problems`}},

		"post without a record": {args: "post", stderr: []string{`^· this step has no record of a Job, so there is nothing to clean up\n$`}},

		"validate":                           {args: "validate -f job.yaml", stderr: []string{`the manifest is valid: Job migrate`}},
		"value without =":                    {args: "validate -f job.yaml --wait false", code: 2, stderr: []string{`wait: its value needs an equals sign: --wait=false`}},
		"validate stdin":                     {args: "validate -f -", stdin: goodManifest, stderr: []string{`the manifest is valid: Job migrate`}},
		"validate a glob":                    {args: "validate -f k8s/*.yaml", stderr: []string{`the manifest is valid: Job migrate`}},
		"a container's typo":                 {args: "validate -f job.yaml --log-containers=mian", stderr: []string{`^! log-containers: the Job has no container "mian", so none of its output is shown, unless the cluster adds one; it has: main \(did you mean "main"\?\)\n·`}},
		"a main container that is not there": {args: "validate -f job.yaml --main-container=mian", code: 2, stderr: []string{`^✗ main-container: the Job has no container "mian", so its end cannot decide; it has: main \(did you mean "main"\?\)\n`}},
		"a success that cannot be kept":      {args: "validate -f job.yaml --if-exists=keep-succeeded --once-key=k --main-container=main", code: 2, stderr: []string{`^✗ if-exists: keep-succeeded needs the Job that succeeded to stay, and with main-container it is deleted, because its pod would run on \(make what runs on a native sidecar, an init container with restartPolicy: Always, and leave main-container out\)\n`}},
		"its container":                      {args: "validate -f job.yaml --log-containers=main", stderr: []string{`^· the manifest is valid`}},
		"validate a folder":                  {args: "validate -f k8s", stderr: []string{`the manifest is valid: Job migrate`}},
		"validate bad":                       {args: "validate -f bad.yaml", code: 2, stderr: []string{`bad.yaml:7:3: spec.backofLimit: is no known field here \(did you mean "backoffLimit"\?\)`, `bad.yaml:3:18: metadata.name: "Migrate" is invalid: a lowercase RFC 1123 label .* \(e.g. 'my-name' or '123-abc'\) \(use migrate\)\n`, `fix these 2 problems first; nothing was created`, `InvalidManifest`}},
		"validate two":                       {args: "validate -f two.yaml", code: 2, stderr: []string{`more than one workload: Job migrate \(two.yaml:2\), Job migrate \(two.yaml:12\)`}},
		"validate empty":                     {args: "validate -f empty.yaml", code: 2, stderr: []string{`empty.yaml: .*empty`}},
		"validate nothing":                   {args: "validate", code: 2, stderr: []string{`manifest`}},
		"validate a wrong one":               {args: "validate -f jab.yaml", code: 2, stderr: []string{`"jab.yaml" cannot be read: no such file`, `did you mean "?job.yaml`}},
		"run bad":                            {args: "run -f bad.yaml", code: 2, stderr: []string{`spec.backofLimit`}},

		"render":                {args: "render -f job.yaml", stdout: []string{`^---\n# created\napiVersion: batch/v1\nkind: Job\n`, `name: migrate\n`}},
		"render several":        {args: "render -f k8s/a.yaml -f k8s/b.yaml", stdout: []string{`# applied; stays\napiVersion: v1\nkind: ConfigMap\n(.*\n)+---\n# created\napiVersion: batch/v1\n`}},
		"validate in a cluster": {args: "validate -f job.yaml --dry-run=server --kubeconfig=/nowhere", code: 2, stderr: []string{`kubeconfig`}},
		"dry-run client":        {args: "-f job.yaml --dry-run=client", stdout: []string{`^---\n# created\napiVersion: batch/v1\nkind: Job\n`}},
		"render bad":            {args: "render -f bad.yaml", code: 2, stderr: []string{`spec.backofLimit`}},
		"render with secrets":   {args: "render -f job.yaml --secret-env=TOKEN=s3cret-token", stdout: []string{`TOKEN: '\*\*\*'`}},
		"render, secrets shown": {args: "render -f job.yaml --show-secrets --secret-env=TOKEN=s3cret-token", stdout: []string{`TOKEN: czNjcmV0LXRva2Vu\n`}},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, dir, c.stdin, nil, strings.Fields(c.args)...)
			if got.code != c.code {
				t.Errorf("exit code %d, want %d", got.code, c.code)
			}
			for stream, s := range map[string]struct {
				text string
				want []string
			}{"stdout": {got.stdout, c.stdout}, "stderr": {got.stderr, c.stderr}} {
				if len(s.want) == 0 && s.text != "" {
					t.Errorf("%s: %q, want nothing", stream, s.text)
				}
				for _, pattern := range s.want {
					if !regexp.MustCompile(pattern).MatchString(s.text) {
						t.Errorf("%s does not match %s:\n%s", stream, pattern, s.text)
					}
				}
			}
		})
	}
}

// Equal input gives equal output, also for a name that is generated.
func TestRenderIsReproducible(t *testing.T) {
	generated := strings.Replace(goodManifest, "{name: migrate}", "{generateName: migrate-}", 1)
	first := call(t, ".", generated, nil, "render", "-f", "-")
	if again := call(t, ".", generated, nil, "render", "-f", "-"); first.code != 0 || again != first {
		t.Errorf("exit code %d, first:\n%s\nthen:\n%s", first.code, first.stdout, again.stdout)
	}
}

// On GitHub's runner, findings are annotations, secrets are announced before all else, and render's standard output is still
// nothing but the objects: it may have been redirected to a file.
func TestMainOnGitHub(t *testing.T) {
	dir := folder(t, map[string]string{"job.yaml": goodManifest, "bad.yaml": badManifest})
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": dir, "INPUT_MANIFEST": "job.yaml", "INPUT_SECRET-ENV": "TOKEN=s3cret-token", "INPUT_CLEANUP": "never"}

	got := call(t, dir, "", env, "render", "--timeout=0")
	if got.code != 0 || !strings.HasPrefix(got.stdout, "---\n# created\n") || strings.Contains(got.stdout, "s3cret-token") || strings.Contains(got.stdout, "::") {
		t.Errorf("render: exit code %d, standard output:\n%s", got.code, got.stdout)
	}
	if mask, rest, _ := strings.Cut(got.stderr, "\n"); !strings.HasPrefix(mask, "::add-mask::") || !strings.Contains(got.stderr, "::add-mask::s3cret-token\n") ||
		!strings.Contains(rest, "::warning col=1,file=job.yaml,line=4::job.yaml:4:1: spec: there is no deadline") {
		t.Errorf("render: standard error:\n%s", got.stderr)
	}

	got = call(t, dir, "", env, "validate")
	if got.code != 0 || !strings.HasPrefix(got.stdout, "::add-mask::") || !strings.Contains(got.stdout, "· the manifest is valid: Job migrate\n") || got.stderr != "" {
		t.Errorf("validate: exit code %d, standard output:\n%s\nstandard error:\n%s", got.code, got.stdout, got.stderr)
	}

	env["INPUT_MANIFEST"] = "bad.yaml"
	got = call(t, dir, "", env, "validate")
	if got.code != 2 || !strings.Contains(got.stdout, "::error col=3,file=bad.yaml,line=7::bad.yaml:7:3: spec.backofLimit") {
		t.Errorf("validate: exit code %d, standard output:\n%s", got.code, got.stdout)
	}
}

// In GitLab's job log all is one stream, with colours; the variable decides only when nobody else does.
func TestMainOnGitLab(t *testing.T) {
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	const valid = "the manifest is valid: Job migrate\n"
	for name, c := range map[string]struct {
		env            map[string]string
		args           string
		stdout, stderr string // begins with
	}{
		"auto":                {map[string]string{"GITLAB_CI": "true"}, "validate -f job.yaml --timeout=0", "\x1b[33m! job.yaml:4:1: spec: there is no deadline", ""},
		"said":                {nil, "validate -f job.yaml --format=gitlab", "\x1b[2m· " + strings.TrimSuffix(valid, "\n") + "\x1b[0m\n", ""},
		"without colours":     {map[string]string{"GITLAB_CI": "true", "NO_COLOR": "1"}, "validate -f job.yaml", "· " + valid, ""},
		"text":                {map[string]string{"GITLAB_CI": "true"}, "validate -f job.yaml --format=text", "", "· " + valid},
		"not GitLab":          {map[string]string{"GITLAB_CI": "false"}, "validate -f job.yaml", "", "· " + valid},
		"GitHub comes first":  {map[string]string{"GITLAB_CI": "true", "GITHUB_ACTIONS": "true"}, "validate -f job.yaml", "· " + valid, ""},
		"render's own output": {map[string]string{"GITLAB_CI": "true"}, "render -f job.yaml --timeout=0", "---\n# created\n", "\x1b[33m! job.yaml:4:1"},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, dir, "", c.env, strings.Fields(c.args)...)
			for _, s := range [][2]string{{got.stdout, c.stdout}, {got.stderr, c.stderr}} {
				if !strings.HasPrefix(s[0], s[1]) || s[1] == "" && s[0] != "" {
					t.Errorf("%q, want %q", s[0], s[1])
				}
			}
			if got.code != 0 {
				t.Errorf("exit code %d", got.code)
			}
		})
	}
}

// The outputs of a run that could not begin are in the dotenv file; a file that cannot be written is found before anything else
// is done.
func TestDotenvFile(t *testing.T) {
	dir := folder(t, map[string]string{"job.yaml": goodManifest, "bad.yaml": badManifest, "job.env": "KUBERNETES_JOB_STATUS=succeeded\n"})
	// There is no such kubeconfig.
	env := map[string]string{"KUBECONFIG": filepath.Join(dir, "kubeconfig"), "PLUGIN_DOTENV_FILE": "job.env"}
	read := func() string {
		text, err := os.ReadFile(filepath.Join(dir, "job.env"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, command := range []string{"validate", "render"} {
		if got := call(t, dir, "", env, command, "-f", "bad.yaml"); got.code != 2 || read() != "KUBERNETES_JOB_STATUS=succeeded\n" {
			t.Errorf("%s is no run, and wrote %q", command, read())
		}
	}
	for manifest, want := range map[string]string{"bad.yaml": "KUBERNETES_JOB_REASON=InvalidManifest\n", "job.yaml": "KUBERNETES_JOB_REASON=InvalidInput\n"} {
		got := call(t, dir, "", env, "run", "-f", manifest)
		if text := read(); got.code != 2 || !strings.Contains(text, want) || !strings.Contains(text, "KUBERNETES_JOB_STATUS=failed\n") {
			t.Errorf("%s: exit code %d, the file holds\n%s", manifest, got.code, text)
		}
	}

	env["PLUGIN_DOTENV_FILE"] = "nowhere/job.env"
	got := call(t, dir, "", env, "run", "-f", "job.yaml")
	if want := "✗ dotenv-file: " + filepath.Join(dir, "nowhere/job.env") + " cannot be written: no such file or directory\n" +
		"✗ fix this problem first; nothing was created\n"; got.code != 2 || !strings.HasSuffix(got.stderr, want+"\n  reason            InvalidInput\n") {
		t.Errorf("exit code %d, %q, want %q", got.code, got.stderr, want)
	}
}

// Every file is written by a run that could not begin too, so that none of an earlier run is taken for its own. A file that cannot be
// written, and one that two options name, is found before anything is done.
func TestFiles(t *testing.T) {
	dir := folder(t, map[string]string{"job.yaml": goodManifest, "out/.keep": ""})
	if err := os.Symlink("out", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"dotenv-file": "KUBERNETES_JOB_STATUS=failed\n", "result-file": `"status": "failed"`, "junit-file": `<error type="InvalidInput"`, "log-file": ""}
	for option, text := range want {
		path := filepath.Join(dir, "out", option)
		if err := os.WriteFile(path, []byte("of an earlier run"), 0o600); err != nil {
			t.Fatal(err)
		}
		got := call(t, dir, "", nil, "run", "-f", "job.yaml", "--kubeconfig", "nowhere", "--"+option, "out/"+option)
		if content, err := os.ReadFile(path); err != nil || got.code != 2 || !strings.Contains(string(content), text) || strings.Contains(string(content), "earlier") {
			t.Errorf("%s: exit code %d, the file holds %q, %v", option, got.code, content, err)
		}
		got = call(t, dir, "", nil, "run", "-f", "job.yaml", "--"+option, "nowhere/file")
		if said := "✗ " + option + ": " + filepath.Join(dir, "nowhere/file") + " cannot be written: no such file or directory\n"; got.code != 2 || !strings.Contains(got.stderr, said) {
			t.Errorf("%s: exit code %d, %q", option, got.code, got.stderr)
		}
		for other := range want {
			if other == option {
				continue
			}
			got := call(t, dir, "", nil, "run", "-f", "job.yaml", "--"+option, "out/../out/same", "--"+other, filepath.Join(dir, "link/same"))
			if got.code != 2 || !strings.Contains(got.stderr, "is the file of ") || !strings.Contains(got.stderr, "fix this problem first") {
				t.Errorf("%s and %s: exit code %d, %q", option, other, got.code, got.stderr)
			}
		}
	}
	for _, args := range [][]string{{"--logs=none"}, {"--wait=false"}} {
		got := call(t, dir, "", nil, append([]string{"run", "-f", "job.yaml", "--log-file=lines"}, args...)...)
		if got.code != 2 || !strings.Contains(got.stderr, "✗ log-file: needs wait, and logs other than none") {
			t.Errorf("%v: exit code %d, %q", args, got.code, got.stderr)
		}
	}
}

// An action reads files of the checkout only.
func TestMainStaysInTheWorkspace(t *testing.T) {
	outside := folder(t, map[string]string{"job.yaml": goodManifest})
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	if err := os.Symlink(filepath.Join(outside, "job.yaml"), filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	for manifest, want := range map[string]string{
		"../../etc/passwd":                 "leads out of the workspace",
		filepath.Join(outside, "job.yaml"): "leads out of the workspace",
		"link.yaml":                        "leads out of the workspace by a symbolic link",
	} {
		env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": dir}
		if got := call(t, dir, "", env, "validate", "-f", manifest); got.code != 2 || !strings.Contains(got.stdout, want) {
			t.Errorf("%s: exit code %d:\n%s", manifest, got.code, got.stdout)
		}
	}
	if got := call(t, dir, "", nil, "validate", "-f", "link.yaml"); got.code != 0 {
		t.Errorf("outside of an action, a link is as good as a file: exit code %d:\n%s", got.code, got.stderr)
	}
}

// A workflow or a container that lacks something: the first thing that is missing is named, with what to do about it, before
// anything is asked of a cluster.
func TestMainWithoutItsSurroundings(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "") // the tests may run in a pod
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	kubeconfig := api(t) // is never asked
	for name, c := range map[string]struct {
		env    map[string]string
		stdout string
	}{
		"a secret that is empty": {map[string]string{"INPUT_KUBECONFIG": ""}, "An empty secret looks like a missing one. Secrets are empty in pull requests from forks, in runs that Dependabot starts"},
		"HOME that is no folder": {map[string]string{"INPUT_KUBECONFIG": "", "HOME": "/dev/null"}, "there is no /dev/null/.kube/config, and this does not run in a pod"},
		"no workspace": {map[string]string{"GITHUB_WORKSPACE": filepath.Join(dir, "nowhere")},
			"manifest: the workspace " + dir + "/nowhere cannot be read: no such file or directory (GITHUB_WORKSPACE names it; a container must have it mounted there)\n"},
		"an empty workspace": {map[string]string{"GITHUB_WORKSPACE": t.TempDir()}, "the workspace; is it mounted, and is actions/checkout a step before?"},
		"GITHUB_OUTPUT without a folder": {map[string]string{"GITHUB_OUTPUT": filepath.Join(dir, "nowhere", "output")},
			"::error::GITHUB_OUTPUT: the outputs of the step cannot be written: open " + dir + "/nowhere/output: no such file or directory (it must be mounted, and on GitHub's runner only root can write it)\n"},
		"GITHUB_OUTPUT that cannot be written": {map[string]string{"GITHUB_OUTPUT": dir}, "::error::GITHUB_OUTPUT: the outputs of the step cannot be written: open " + dir + ": is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": dir, "INPUT_MANIFEST": "job.yaml", "INPUT_KUBECONFIG": kubeconfig, "INPUT_CONTEXT": "other"}
			maps.Copy(env, c.env)
			if got := call(t, dir, "", env); got.code != 2 || !strings.Contains(got.stdout, c.stdout) {
				t.Errorf("exit code %d:\n%s\n%s", got.code, got.stdout, got.stderr)
			}
		})
	}
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": filepath.Join(dir, "nowhere"), "INPUT_MANIFEST-CONTENT": goodManifest}
	if got := call(t, dir, "", env, "validate"); got.code != 0 {
		t.Errorf("a manifest that is given as text needs no workspace: exit code %d:\n%s", got.code, got.stdout)
	}
}

// Colours are for terminals, unless somebody does not want them. The runner's log is no terminal even where docker gives it one.
func TestTerminal(t *testing.T) {
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	for name, c := range map[string]struct {
		terminal bool
		env      map[string]string
		want     bool
	}{
		"a terminal":               {true, nil, true},
		"a pipe":                   {false, nil, false},
		"a terminal with NO_COLOR": {true, map[string]string{"NO_COLOR": ""}, false},
		"the runner":               {true, map[string]string{"GITHUB_ACTIONS": "true"}, false},
	} {
		var out bytes.Buffer
		code := Main(Process{Args: []string{"validate", "-f", "job.yaml"}, Stdout: &out, Stderr: &out, Dir: dir, Terminal: Terminal{Color: c.terminal},
			LookupEnv: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }})
		if got := strings.Contains(out.String(), "\x1b["); code != 0 || got != c.want {
			t.Errorf("%s: exit code %d, colours %v, want %v: %q", name, code, got, c.want, &out)
		}
	}
}

// A status line is for somebody who looks at a terminal that can draw it.
func TestLive(t *testing.T) {
	width := func() int { return 80 }
	for name, c := range map[string]struct {
		width  func() int
		format report.Format
		env    map[string]string
		want   bool
	}{
		"a terminal":                        {width, report.FormatText, map[string]string{"TERM": "xterm"}, true},
		"one without colours":               {width, report.FormatText, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, true},
		"a pipe":                            {nil, report.FormatText, map[string]string{"TERM": "xterm"}, false},
		"one that cannot":                   {width, report.FormatText, map[string]string{"TERM": "dumb"}, false},
		"one that nobody knows":             {width, report.FormatText, nil, false},
		"a CI system that gives a terminal": {width, report.FormatText, map[string]string{"TERM": "xterm", "CI": "true"}, false},
		"Buildkite":                         {width, report.FormatBuildkite, map[string]string{"TERM": "xterm"}, false},
	} {
		a := &app{Process: Process{Terminal: Terminal{Width: c.width}, LookupEnv: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }}}
		a.options.Report.Format = c.format
		if a.live() != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}

// Manifests of every dialect: all are valid, and without the documents that their references name they are not, and say so.
func TestManifests(t *testing.T) {
	files, err := filepath.Glob("../../testdata/manifests/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	references := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		workload, rest, _ := strings.Cut(string(text), "\n---\n")
		for _, command := range []string{"validate", "render"} {
			got := call(t, ".", "", nil, command, "-f", file)
			if got.code != 0 || command == "render" && !strings.Contains(got.stdout, "\nkind: Job\n") {
				t.Errorf("%s %s: exit code %d\n%s", command, file, got.code, got.stderr)
			}
			if rest == "" || !strings.Contains(workload, "valueFrom:") {
				continue
			}
			references++
			dir := folder(t, map[string]string{"alone.yaml": workload})
			got = call(t, dir, "", nil, command, "-f", "alone.yaml")
			if got.code != 2 || !regexp.MustCompile(`refers to \S+ "[^"]+".*, which is not in alone\.yaml`).MatchString(got.stderr) || got.stdout != "" {
				t.Errorf("%s the first document of %s: exit code %d\n%s", command, file, got.code, got.stderr)
			}
		}
	}
	if references == 0 {
		t.Error("no manifest refers to another: the test lost its second half")
	}
}

// The CI system is known by the variables that it sets itself.
func TestFormat(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want report.Format
	}{
		{nil, report.FormatText},
		{map[string]string{"CI": "true"}, report.FormatText},
		{map[string]string{"GITHUB_ACTIONS": "true"}, report.FormatGitHub},
		{map[string]string{"GITLAB_CI": "true"}, report.FormatGitLab},
		{map[string]string{"BUILDKITE": "true"}, report.FormatBuildkite},
		{map[string]string{"TF_BUILD": "True"}, report.FormatAzure},
		{map[string]string{"BUILDKITE": "", "TF_BUILD": "", "GITLAB_CI": ""}, report.FormatText},
	} {
		p := Process{LookupEnv: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }}
		if got := p.format(); got != c.want {
			t.Errorf("%v: %s, want %s", c.env, got, c.want)
		}
	}
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	for env, want := range map[string]string{"BUILDKITE": "✗ fix this problem first", "TF_BUILD": "##vso[task.logissue type=error]fix this problem first"} {
		if got := call(t, dir, "", map[string]string{env: "true", "NO_COLOR": "1"}, "run", "-f", "job.yaml", "--kubeconfig="); got.code != 2 || !strings.Contains(got.stdout, want) || got.stderr != "" {
			t.Errorf("%s: exit code %d, %q, %q", env, got.code, got.stdout, got.stderr)
		}
	}
}
