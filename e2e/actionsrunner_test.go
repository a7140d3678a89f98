package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v4"

	"github.com/planton/kubernetes-job-action/internal/actionsrunner"
)

// actionImage is what the project's Dockerfile makes.
const actionImage = "kubernetes-job-action:e2e"

// engine starts the Docker Engine and builds the image of the action, once for all scripts.
var engine = sync.OnceValue(func() error {
	if err := shared.cluster.Start(context.Background(), "docker", nil); err != nil {
		return err
	}
	if err := shared.cluster.BaseImages(context.Background()); err != nil {
		return err
	}
	cmd := exec.Command("docker", "build", "--tag", actionImage, "..")
	// The classic builder: BuildKit asks the registry about local images too.
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+shared.cluster.DockerHost(), "DOCKER_BUILDKIT=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("docker build: %w\n%s", err, out)
	}
	return nil
})

// cmdEngine: engine
func cmdEngine(ts *testscript.TestScript, args []string) {
	ts.Check(engine())
	ts.Setenv("DOCKER_HOST", shared.cluster.DockerHost())
	ts.Setenv("DOCKER_BUILDKIT", "0")
	ts.Setenv("IMAGE", actionImage)
}

// step is one use of the action as GitHub's runner runs it: ContainerActionHandler.cs and DockerCommandManager.cs, or
// NodeScriptActionHandler.cs, of actions/runner. A container's network is the machine's, where the API server listens, and not one that
// the runner makes for the job.
type step struct {
	Uses    string            // the folder of the action, in the script's; that of the project without it
	Node    string            // the version that runs a node24 action, when it is another one
	With    map[string]string // the inputs that the workflow gives; ${{ secrets.KUBECONFIG }} is known
	Env     map[string]string
	Options []string // more options for docker run: what users do to containers that they run themselves
	NoMount []string `yaml:"no-mount"` // folders in the container that are not mounted

	name      string
	action    string // the action's folder
	runs      actionRuns
	inputs    map[string]string // those of action.yml with their defaults, then With
	secrets   []string          // what nobody may be shown
	dir       string            // of the job on the runner
	workspace string
	commands  map[string]string // command files, by the variable without GITHUB_
}

type actionRuns struct {
	Using          string
	Image          string
	Args           []string
	Entrypoint     string
	PostEntrypoint string `yaml:"post-entrypoint"`
	Main           string
	Post           string
	PostIf         string `yaml:"post-if"`
}

var secretKubeconfig = regexp.MustCompile(`\$\{\{\s*secrets\.KUBECONFIG\s*\}\}`)

// newStep reads a step and the action's own file.
func newStep(ts *testscript.TestScript, name, file string) *step {
	s := &step{name: name, action: "..", inputs: map[string]string{}, dir: ts.MkAbs(".runner-" + name), workspace: ts.MkAbs("."), commands: map[string]string{}}
	ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(file)), s))
	if s.Uses != "" {
		s.action = ts.MkAbs(s.Uses)
	}
	data, err := os.ReadFile(filepath.Join(s.action, "action.yml"))
	ts.Check(err)
	var action struct {
		Inputs map[string]struct{ Default string }
		Runs   actionRuns
	}
	ts.Check(yaml.Unmarshal(data, &action))
	s.runs = action.Runs
	for input, declared := range action.Inputs {
		s.inputs[input] = declared.Default
	}
	for input, value := range s.With {
		if _, declared := action.Inputs[input]; !declared {
			ts.Fatalf("the runner warns: unexpected input %q", input)
		}
		s.inputs[input] = secretKubeconfig.ReplaceAllStringFunc(value, func(string) string {
			secret := ts.ReadFile(ts.Getenv("KUBECONFIG"))
			for word := range strings.FieldsSeq(secret) {
				if len(word) > 100 { // certificates and keys
					s.secrets = append(s.secrets, word)
				}
			}
			return strings.TrimSpace(secret)
		})
	}
	for _, sub := range []string{"_github_home", "_github_workflow", "_runner_file_commands"} {
		ts.Check(os.MkdirAll(filepath.Join(s.dir, sub), 0o755))
	}
	ts.Check(os.WriteFile(filepath.Join(s.dir, "_github_workflow", "event.json"), []byte("{}\n"), 0o644))
	return s
}

// folders are where a step finds what the runner gives it.
type folders struct{ workspace, event, commands, temp, tools string }

// environment is that of one stage of the step, with the paths that the stage sees. It makes the command files.
func (s *step) environment(ts *testscript.TestScript, name string, in folders, state map[string]string) map[string]string {
	env := map[string]string{
		"GITHUB_WORKSPACE": in.workspace, "GITHUB_ACTION": s.name, "GITHUB_EVENT_PATH": filepath.Join(in.event, "event.json"),
		"GITHUB_JOB": "migrate", "GITHUB_REF": "refs/heads/main", "GITHUB_SHA": "0123456789012345678901234567890123456789",
		"GITHUB_REPOSITORY": "shop/orders", "GITHUB_REPOSITORY_OWNER": "shop", "GITHUB_RUN_ID": "7000000001", "GITHUB_RUN_NUMBER": "12",
		"GITHUB_RUN_ATTEMPT": "1", "GITHUB_ACTOR": "somebody", "GITHUB_WORKFLOW": "deploy", "GITHUB_EVENT_NAME": "push",
		"GITHUB_SERVER_URL": "https://github.example", "GITHUB_API_URL": "https://api.github.example", "GITHUB_REF_NAME": "main", "GITHUB_REF_TYPE": "branch",
		"RUNNER_OS": "Linux", "RUNNER_ARCH": "X64", "RUNNER_NAME": "played", "RUNNER_TEMP": in.temp, "RUNNER_TOOL_CACHE": in.tools,
		"ACTIONS_RUNTIME_URL": "http://127.0.0.1:1/", "ACTIONS_RUNTIME_TOKEN": "played-runtime-token",
	}
	for _, file := range []string{"OUTPUT", "STATE", "ENV", "PATH", "STEP_SUMMARY"} {
		base := strings.ToLower(file) + "_" + name
		s.commands[file] = filepath.Join(s.dir, "_runner_file_commands", base)
		ts.Check(os.WriteFile(s.commands[file], nil, 0o644))
		env["GITHUB_"+file] = filepath.Join(in.commands, base)
	}
	for input, value := range s.inputs {
		env["INPUT_"+strings.ToUpper(strings.ReplaceAll(input, " ", "_"))] = value
	}
	for key, value := range state {
		env["STATE_"+key] = value
	}
	return env
}

// command is what the runner starts for one stage of the step.
func (s *step) command(ts *testscript.TestScript, name, script, entrypoint string, state map[string]string) *exec.Cmd {
	switch s.runs.Using {
	case "docker":
		return s.container(ts, name, entrypoint, state)
	case "node24":
		return s.script(ts, name, script, state)
	}
	ts.Fatalf("%s is no action that is played: it uses %q", s.action, s.runs.Using)
	return nil
}

// script is Node.js with a script of the action, in the workspace (NodeScriptActionHandler.cs). The runner's own environment is there too, and
// standard input is at its end (ProcessInvoker.cs).
func (s *step) script(ts *testscript.TestScript, name, script string, state map[string]string) *exec.Cmd {
	node, err := shared.cluster.Node(context.Background(), cmp.Or(s.Node, "24"))
	ts.Check(err)
	path, err := filepath.Abs(filepath.Join(s.action, script))
	ts.Check(err)
	cmd := exec.Command(node, path)
	cmd.Dir = s.workspace
	env := s.environment(ts, name, folders{workspace: s.workspace, event: filepath.Join(s.dir, "_github_workflow"),
		commands: filepath.Join(s.dir, "_runner_file_commands"), temp: filepath.Join(s.dir, "_temp"), tools: ts.MkAbs(".tools")}, state)
	env["PATH"], env["HOME"], env["GITHUB_ACTIONS"], env["CI"] = ts.Getenv("PATH"), ts.Getenv("HOME"), "true", "true"
	env["ACTIONS_ID_TOKEN_REQUEST_URL"], env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "http://127.0.0.1:1/", "played-id-token"
	maps.Copy(env, s.Env)
	for _, key := range slices.Sorted(maps.Keys(env)) {
		cmd.Env = append(cmd.Env, key+"="+env[key])
	}
	return cmd
}

// container is the docker run of one stage of the step.
func (s *step) container(ts *testscript.TestScript, name, entrypoint string, state map[string]string) *exec.Cmd {
	container := stateOf(ts).id + "_" + name
	ts.Setenv("CONTAINER", container)
	env := s.environment(ts, name, folders{workspace: "/github/workspace", event: "/github/workflow", commands: "/github/file_commands",
		temp: "/github/runner_temp", tools: "/opt/hostedtoolcache"}, state)
	env["HOME"] = "/github/home"
	// The environment of the workflow; what begins with a mounted folder's path is translated (ContainerInfo.cs).
	for key, value := range s.Env {
		env[key] = strings.Replace(value, s.workspace, "/github/workspace", 1)
	}
	args := []string{"run", "--name", container, "--label", "played", "--workdir", "/github/workspace", "--rm"}
	process := os.Environ()
	for _, key := range slices.Sorted(maps.Keys(env)) {
		args, process = append(args, "-e", key), append(process, key+"="+env[key])
	}
	args = append(args, "-e", "GITHUB_ACTIONS=true", "-e", "CI=true")
	if entrypoint != "" {
		args = append(args, "--entrypoint", entrypoint)
	}
	args = append(args, "--network", "host")
	for _, mount := range [][2]string{
		{s.dir, "/github/runner_temp"}, {filepath.Join(s.dir, "_github_home"), "/github/home"}, {filepath.Join(s.dir, "_github_workflow"), "/github/workflow"},
		{filepath.Join(s.dir, "_runner_file_commands"), "/github/file_commands"}, {s.workspace, "/github/workspace"},
	} {
		if !slices.Contains(s.NoMount, mount[1]) {
			args = append(args, "-v", mount[0]+":"+mount[1])
		}
	}
	args = append(args, s.Options...)
	cmd := exec.Command("docker", append(append(args, actionImage), s.runs.Args...)...)
	cmd.Env, cmd.Dir = append(process, "DOCKER_HOST="+shared.cluster.DockerHost()), s.workspace
	return cmd
}

// cmdStep: step NAME FILE
func cmdStep(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 2, "step NAME FILE")
	s := newStep(ts, args[0], args[1])
	stateOf(ts).steps[s.name] = s
	startProcess(ts, s.name, s.command(ts, s.name, s.runs.Main, s.runs.Entrypoint, nil))
}

func stepOf(ts *testscript.TestScript, name string) *step {
	s, ok := stateOf(ts).steps[name]
	if !ok {
		ts.Fatalf("there is no step %s", name)
	}
	return s
}

// How long the runner gives a cancelled step (ProcessInvoker.cs).
const (
	sigintTimeout  = 7500 * time.Millisecond
	sigtermTimeout = 2500 * time.Millisecond
)

// cmdCancel: cancel NAME
func cmdCancel(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 1, "cancel NAME")
	p := running(ts, args[0])
	ts.Check(p.cmd.Process.Signal(syscall.SIGINT))
	go func() {
		for _, next := range []struct {
			after  time.Duration
			signal os.Signal
		}{{sigintTimeout, syscall.SIGTERM}, {sigtermTimeout, os.Kill}} {
			select {
			case <-p.ended:
				return
			case <-time.After(next.after):
				_ = p.cmd.Process.Signal(next.signal) // it may have ended in between
			}
		}
	}()
}

// cmdRan: ran NAME CODE [DURATION]
func cmdRan(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 2, "ran NAME CODE [DURATION]")
	s := stepOf(ts, args[0])
	cmdFinish(ts, args)
	s.read(ts, s.name)
}

// cmdPost: post NAME CODE
func cmdPost(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 2, "post NAME CODE")
	s := stepOf(ts, args[0])
	if s.runs.PostEntrypoint+s.runs.Post == "" || s.runs.PostIf != "always()" {
		ts.Fatalf("action.yml has no post step that always runs: %+v", s.runs)
	}
	state, err := actionsrunner.Values(ts.ReadFile(s.commands["STATE"]))
	ts.Check(err)
	name := s.name + ".post"
	startProcess(ts, name, s.command(ts, name, s.runs.Post, s.runs.PostEntrypoint, state))
	cmdFinish(ts, []string{name, args[1]})
	s.read(ts, name)
}

// read reads what a stage of the step has written, as the runner does, into files of the script: NAME.shown, the text that users see,
// NAME.obeyed, a command a line, and the command files NAME.output and NAME.state, a value a line in Go's syntax, and NAME.summary and NAME.path as they are.
func (s *step) read(ts *testscript.TestScript, name string) {
	var log actionsrunner.Log
	log.Play(ts.ReadFile(name + ".stdout"))
	if log.Stopped {
		ts.Fatalf("commands are still stopped at the end of step %s", name)
	}
	log.Play(ts.ReadFile(name + ".stderr"))
	shown := strings.Join(log.Shown, "\n") + "\n"
	var obeyed strings.Builder
	for _, c := range log.Obeyed {
		fmt.Fprintf(&obeyed, "%s %v %q\n", c.Name, c.Properties, c.Data)
	}
	files := map[string]string{"shown": shown, "obeyed": obeyed.String(), "summary": ts.ReadFile(s.commands["STEP_SUMMARY"]), "path": ts.ReadFile(s.commands["PATH"])}
	for _, file := range []string{"OUTPUT", "STATE"} {
		values, err := actionsrunner.Values(ts.ReadFile(s.commands[file]))
		ts.Check(err)
		var text strings.Builder
		for _, key := range slices.Sorted(maps.Keys(values)) {
			fmt.Fprintf(&text, "%s=%q\n", key, values[key])
		}
		files[strings.ToLower(file)] = text.String()
	}
	for kind, text := range files {
		for _, secret := range s.secrets {
			if kind != "obeyed" && strings.Contains(text, secret) { // add-mask has them
				ts.Fatalf("%s.%s holds a secret", name, kind)
			}
		}
		ts.Check(os.WriteFile(ts.MkAbs(name+"."+kind), []byte(text), 0o600))
	}
}
