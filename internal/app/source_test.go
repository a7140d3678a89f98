//go:build unix

package app

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/config"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// TestMainStaysInTheProject: a pipeline of GitLab reads files of the project, and the variables of the type file, which stand beside it.
func TestMainStaysInTheProject(t *testing.T) {
	dir := folder(t, map[string]string{
		"project/job.yaml": goodManifest, "project/sub/job.yaml": goodManifest, "project.tmp/VARIABLE": goodManifest,
		"secret.yaml": goodManifest, "project-two/job.yaml": goodManifest,
	})
	project := filepath.Join(dir, "project")
	for link, to := range map[string]string{"outside.yaml": "../secret.yaml", "absolute.yaml": filepath.Join(dir, "secret.yaml"), "up": "..", "inside.yaml": "sub/job.yaml", "absolutely-inside.yaml": filepath.Join(project, "sub/job.yaml"), "variable.yaml": "../project.tmp/VARIABLE"} {
		if err := os.Symlink(to, filepath.Join(project, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(project, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"job.yaml": "", "sub/../job.yaml": "", "inside.yaml": "", "absolutely-inside.yaml": "", project + "/job.yaml": "", project + ".tmp/VARIABLE": "",
		"outside.yaml":            "leads out of the workspace by a symbolic link",
		"absolute.yaml":           "leads out of the workspace by a symbolic link",
		"variable.yaml":           "leads out of the workspace by a symbolic link",
		"up/secret.yaml":          "leads out of the workspace by a symbolic link",
		"up/*.yaml":               "no file matches",
		"../secret.yaml":          "leads out of the workspace",
		"../*.yaml":               "leads out of the workspace",
		"/etc/passwd":             "leads out of the workspace",
		"/dev/zero":               "leads out of the workspace",
		"../project-two/job.yaml": "leads out of the workspace",
		"pipe.yaml":               "is not a plain file",
		"sub/jbo.yaml":            `did you mean "sub/job.yaml"?`,
		"up/secert.yaml":          "leads out of the workspace by a symbolic link",
	} {
		for _, args := range [][]string{{"-f", path}, {"-f", "job.yaml", "--references", path}} {
			got := call(t, project, "", map[string]string{"GITLAB_CI": "true", "CI_PROJECT_DIR": project}, append([]string{"validate"}, args...)...)
			if (want == "") != (got.code == 0) || !strings.Contains(got.stdout, want) || strings.Contains(got.stdout, `mean "up/`) {
				t.Errorf("%v: exit code %d, want %q:\n%s", args, got.code, want, got.stdout)
			}
		}
	}
	link := filepath.Join(dir, "builds") // the folder may have two names
	if err := os.Symlink(project, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"job.yaml": 0, link + "/job.yaml": 0, "../secret.yaml": 2} {
		if got := call(t, project, "", map[string]string{"GITLAB_CI": "true", "CI_PROJECT_DIR": link}, "validate", "-f", path); got.code != want {
			t.Errorf("%s of a linked project: exit code %d:\n%s", path, got.code, got.stdout)
		}
	}
	sub := filepath.Join(project, "sub") // the script may have changed the folder
	if got := call(t, sub, "", map[string]string{"GITLAB_CI": "true", "CI_PROJECT_DIR": project}, "validate", "-f", "../job.yaml"); got.code != 0 {
		t.Errorf("from a folder of the project: exit code %d:\n%s", got.code, got.stdout)
	}
}

// TestPipe: a pipe that is named itself, as a shell does for <(…), is read once, to its end or the limit. A signal ends the wait for a writer.
func TestPipe(t *testing.T) {
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	path := filepath.Join(dir, "pipe")
	for name, c := range map[string]struct {
		text string
		args []string
		code int
		want string
	}{
		"the manifest":         {goodManifest, []string{"validate", "-f", path}, 0, "the manifest is valid: Job migrate"},
		"a relative path":      {goodManifest, []string{"validate", "-f", "pipe"}, 0, "the manifest is valid: Job migrate"},
		"named twice":          {goodManifest, []string{"validate", "-f", "pipe", "-f", path}, 0, "the manifest is valid: Job migrate"},
		"a reference":          {"apiVersion: v1\nkind: A\n", []string{"validate", "-f", "job.yaml", "--references", path}, 0, "the manifest is valid: Job migrate"},
		"a fault in it":        {badManifest, []string{"validate", "-f", path}, exitInvalid, path + ":7:3: spec.backofLimit"},
		"nothing":              {"", []string{"validate", "-f", path}, exitInvalid, "has the command before the pipe failed?"},
		"more than the limit":  {strings.Repeat("a", 5<<20), []string{"validate", "-f", path}, exitInvalid, path + ": the manifest is larger than 4 MiB"},
		"the outputs' file":    {goodManifest, []string{"run", "-f", path, "--dotenv-file", "pipe", "--kubeconfig", "nowhere"}, exitInvalid, "dotenv-file: "},
		"a folder that has it": {"", []string{"validate", "-f", "*"}, exitInvalid, `"pipe" is not a plain file`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(path)
			written := make(chan error, 1)
			if c.text != "" || name == "nothing" {
				go func() { // opening it waits for the reader
					w, err := os.OpenFile(path, os.O_WRONLY, 0)
					if err == nil {
						_, err = w.WriteString(c.text)
						w.Close()
					}
					written <- err
				}()
			} else {
				written <- nil
			}
			got := call(t, dir, "", nil, c.args...)
			if got.code != c.code || !strings.Contains(got.stderr, c.want) {
				t.Errorf("exit code %d, want %q:\n%.1000s", got.code, c.want, got.stderr)
			}
			if name == "more than the limit" {
				return // the writer is left alone with the rest
			}
			if err := <-written; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPipeWithoutWriter: a signal ends a run that waits for somebody to open the other end.
func TestPipeWithoutWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // lets the one that waits go
		if w, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			w.Close()
		}
	})
	var out bytes.Buffer
	lookup := func(string) (string, bool) { return "", false }
	options, findings := config.Parse([]string{"-f", path}, lookup)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	a := &app{Process: Process{Stdout: &out, Stderr: &out, Dir: t.TempDir(), LookupEnv: lookup}, options: options}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, err := a.do(ctx, "run", nil)
	if code != int(event.Interrupted) || err != nil || !strings.Contains(out.String(), "the run was cancelled before the Job was created") {
		t.Errorf("exit code %d, %v:\n%s", code, err, &out)
	}
}

// TestPipeInCI: there, a path leads to plain files of the workspace alone, and the way in for a pipe is told.
func TestPipeInCI(t *testing.T) {
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	for _, env := range []map[string]string{{"GITLAB_CI": "true", "CI_PROJECT_DIR": dir}, {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": dir}} {
		for _, args := range [][]string{{"-f", "/dev/fd/63"}, {"-f", "job.yaml", "--references", "/dev/fd/63"}} {
			got := call(t, dir, "", env, append([]string{"validate"}, args...)...)
			option := strings.TrimPrefix(args[len(args)-2], "--")
			if option == "-f" {
				option = "manifest"
			}
			if want := `"/dev/fd/63" leads out of the workspace (pipe it to --` + option + `=- instead of <(…))`; got.code != exitInvalid || !strings.Contains(got.stdout, want) {
				t.Errorf("%v: exit code %d, want %q:\n%s", args, got.code, want, got.stdout)
			}
		}
	}
}

// TestFileIsNoInput: what a run reads is not overwritten by its outputs, whatever the file is called.
func TestFileIsNoInput(t *testing.T) {
	const kubeconfig = "apiVersion: v1\nkind: Config\n"
	dir := folder(t, map[string]string{"job.yaml": goodManifest, "refs.yaml": "apiVersion: a/v1\nkind: A\n", "k8s/job.yaml": goodManifest, "config": kubeconfig})
	if err := os.Link(filepath.Join(dir, "job.yaml"), filepath.Join(dir, "hard.env")); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"the manifest":   {"-f", "job.yaml", "--dotenv-file", "job.yaml"},
		"a hard link":    {"-f", "job.yaml", "--dotenv-file", "hard.env"},
		"of a folder":    {"-f", "k8s", "--dotenv-file", filepath.Join(dir, "k8s/job.yaml")},
		"a reference":    {"-f", "job.yaml", "--references", "refs.yaml", "--dotenv-file", "refs.yaml"},
		"the kubeconfig": {"-f", "job.yaml", "--kubeconfig", "config", "--dotenv-file", "config"},
	} {
		for _, option := range []string{"dotenv-file", "result-file", "junit-file", "log-file"} {
			args := slices.Clone(args)
			args[len(args)-2] = "--" + option
			got := call(t, dir, "", nil, append([]string{"run"}, args...)...)
			if got.code != 2 || !strings.Contains(got.stderr, "✗ "+option+": "+dir) || !strings.Contains(got.stderr, "is a file that this run reads; the outputs would replace it") {
				t.Errorf("%s: exit code %d:\n%s", name, got.code, got.stderr)
			}
			for file, want := range map[string]string{"job.yaml": goodManifest, "k8s/job.yaml": goodManifest, "config": kubeconfig} {
				if text, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(text) != want {
					t.Errorf("%s: %s holds %q, %v", name, file, text, err)
				}
			}
		}
	}
}

// TestFilesStayInTheProject: what a run writes lies in the workspace or in the runner's folder for temporary files, whatever links lead elsewhere.
func TestFilesStayInTheProject(t *testing.T) {
	dir := folder(t, map[string]string{"project/job.yaml": goodManifest, "project/out/.keep": "", "elsewhere/.keep": "", "project-two/.keep": "", "temp/.keep": ""})
	project := filepath.Join(dir, "project")
	for link, to := range map[string]string{"up": "..", "away": filepath.Join(dir, "elsewhere"), "within": "out", "file.xml": "../elsewhere/file.xml"} {
		if err := os.Symlink(to, filepath.Join(project, link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]bool{
		"a": true, "out/a": true, "within/a": true, project + "/a": true, filepath.Join(dir, "temp/a"): true,
		"file.xml": true, // refused as a link, and not followed
		"../a":     false, "up/a": false, "up/elsewhere/a": false, "away/a": false, "../project-two/a": false, filepath.Join(dir, "elsewhere/a"): false,
	} {
		for _, env := range []map[string]string{
			{"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": project, "RUNNER_TEMP": filepath.Join(dir, "temp"), "GITHUB_OUTPUT": filepath.Join(dir, "output")},
			{"GITLAB_CI": "true", "CI_PROJECT_DIR": project, "RUNNER_TEMP": filepath.Join(dir, "temp")},
		} {
			for _, option := range []string{"dotenv-file", "result-file", "junit-file", "log-file"} {
				// The kubeconfig does not exist, so nothing else goes on.
				got := call(t, project, "", env, "run", "-f", "job.yaml", "--kubeconfig", "nowhere", "--"+option, path)
				if refused := strings.Contains(got.stdout, option) && strings.Contains(got.stdout, "leads out of the workspace"); refused == want {
					t.Errorf("%s %s with %v: %s", option, path, env, got.stdout)
				}
			}
		}
	}
	for _, folder := range []string{".", "elsewhere", "project-two"} {
		entries, err := os.ReadDir(filepath.Join(dir, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() == "a" || e.Name() == "file.xml" {
				t.Errorf("%s/%s was written", folder, e.Name())
			}
		}
	}
}

// silent is a standard input that nobody ever writes to.
type silent struct{ begun chan struct{} }

func (s silent) Read([]byte) (int, error) {
	close(s.begun)
	select {}
}

// TestSignalWhileReading: a signal ends a run that waits for its manifest.
func TestSignalWhileReading(t *testing.T) {
	var out bytes.Buffer
	stdin := silent{make(chan struct{})}
	lookup := func(string) (string, bool) { return "", false }
	options, findings := config.Parse([]string{"-f", "-"}, lookup)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	a := &app{Process: Process{Stdin: stdin, Stdout: &out, Stderr: &out, Dir: t.TempDir(), LookupEnv: lookup}, options: options}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-stdin.begun
		cancel()
	}()
	code, err := a.do(ctx, "run", nil)
	if code != int(event.Interrupted) || err != nil || !strings.Contains(out.String(), "the run was cancelled before the Job was created") {
		t.Errorf("exit code %d, %v:\n%s", code, err, &out)
	}
}

// TestMasksOfTheRunner: the runner hides what it is told in the whole job, and drops outputs that hold it. It is told of
// credentials, and of none of the ordinary words that stand in a Secret too.
func TestMasksOfTheRunner(t *testing.T) {
	words := []string{"shop", "localhost", "info", "error", "main", "https://", "succeeded", "ubuntu", "loglevel: info", "production"}
	text := goodManifest + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData:\n  password: hunter2secret\n  conf: |\n    username: shop\n    host: localhost\n    loglevel: info\n    token: \"ghp16C7e42F292c\",\n    PASSWORD=c0nn3cti0n\n"
	for i, w := range words {
		text += "  word" + string(rune('a'+i)) + ": \"" + w + "\"\n"
	}
	dir := folder(t, map[string]string{"job.yaml": text})
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": dir, "INPUT_MANIFEST": "job.yaml", "INPUT_SECRET-ENV": "LEVEL=debug"}
	got := call(t, dir, "", env, "validate")
	masks := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^::add-mask::(.*)$`).FindAllStringSubmatch(got.stdout, -1) {
		masks[m[1]] = true
	}
	for _, w := range append(words, "username: shop", "host: localhost") {
		if masks[w] {
			t.Errorf("%q is hidden in the whole job", w)
		}
	}
	for _, secret := range []string{"hunter2secret", "ghp16C7e42F292c", "c0nn3cti0n", "debug"} {
		if !masks[secret] {
			t.Errorf("%q is not hidden: %v", secret, masks)
		}
	}
	if got.code != 0 {
		t.Errorf("exit code %d:\n%s", got.code, got.stdout)
	}
}

// A step of a workflow may have a working directory of its own: all relative paths begin there, and an annotation names the file as the repository does.
// A program that the runner started outside of the checkout begins in the checkout.
func TestWorkingDirectoryOfAStep(t *testing.T) {
	bad := strings.Replace(goodManifest, "spec:", "specc:", 1)
	dir := folder(t, map[string]string{"checkout/job.yaml": goodManifest, "checkout/services/api/job.yaml": bad, "elsewhere/.keep": ""})
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": filepath.Join(dir, "checkout"), "GITHUB_OUTPUT": filepath.Join(dir, "output")}
	got := call(t, filepath.Join(dir, "checkout/services/api"), "", env, "validate", "-f", "job.yaml")
	if got.code != exitInvalid || !strings.Contains(got.stdout, "file=services/api/job.yaml,line=") || !strings.Contains(got.stdout, "::job.yaml:") {
		t.Errorf("in services/api: exit code %d:\n%s", got.code, got.stdout)
	}
	if err := os.Symlink("checkout", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	linked := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": filepath.Join(dir, "link")}
	if got := call(t, filepath.Join(dir, "checkout/services/api"), "", linked, "validate", "-f", "job.yaml"); !strings.Contains(got.stdout, "file=services/api/job.yaml,line=") {
		t.Errorf("behind a link: %s", got.stdout)
	}
	for _, start := range []string{"checkout", "elsewhere"} {
		if got := call(t, filepath.Join(dir, start), "", env, "validate", "-f", "job.yaml"); got.code != exitOK {
			t.Errorf("in %s: exit code %d:\n%s", start, got.code, got.stdout)
		}
		// The kubeconfig does not exist, so nothing else goes on.
		got := call(t, filepath.Join(dir, start), "", env, "run", "-f", "job.yaml", "--kubeconfig", "nowhere", "--result-file", "result.json")
		if _, err := os.Stat(filepath.Join(dir, "checkout/result.json")); err != nil || os.Remove(filepath.Join(dir, "checkout/result.json")) != nil {
			t.Errorf("in %s: %v:\n%s", start, err, got.stdout)
		}
	}
}
