package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/actionsrunner"
)

// TestThisProcess: what the process starts does not inherit what belongs to the step alone, and the program still has it.
func TestThisProcess(t *testing.T) {
	for _, name := range []string{"INPUT_SECRET-ENV", "PLUGIN_KUBECONFIG", "GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STATE", "GITHUB_PATH", "GITHUB_STEP_SUMMARY", "STATE_job"} {
		t.Setenv(name, "hunter2")
	}
	t.Setenv("AWS_PROFILE", "prod")
	t.Setenv("GITHUB_OUTPUTS", "") // is none of the runner's
	p := ThisProcess()
	for _, v := range os.Environ() {
		if strings.HasSuffix(v, "=hunter2") {
			t.Errorf("%s is inherited", v)
		}
	}
	for name, want := range map[string]string{"INPUT_SECRET-ENV": "hunter2", "GITHUB_STATE": "hunter2", "AWS_PROFILE": "prod", "GITHUB_OUTPUTS": ""} {
		if got, ok := p.LookupEnv(name); !ok || got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if _, ok := os.LookupEnv("AWS_PROFILE"); !ok {
		t.Error("what a plugin needs is gone")
	}
	if _, ok := p.LookupEnv("NOT_SET_ANYWHERE"); ok {
		t.Error("what is not set is set")
	}
}

// TestPluginOnGitHub: the runner obeys nothing that a credential plugin writes, and its secrets are masked.
func TestPluginOnGitHub(t *testing.T) {
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	program := filepath.Join(dir, "login")
	script := "#!/bin/sh\nprintf '::set-output name=status::succeeded\\n::stop-commands::foo\\n##[error]x\\ntoken hunter2hunter2\\n' >&2\nexit 1\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	kubeconfig := kubeconfigOf(`server: "https://127.0.0.1:1"`, "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: "+program+", env: [{name: PASS, value: hunter2hunter2}]}")
	got := call(t, dir, "", map[string]string{"INPUT_KUBECONFIG": kubeconfig, "INPUT_FORMAT": "github"}, "-f", "job.yaml")
	if got.code != 3 || !strings.Contains(got.stdout, "the credential plugin login says: ") || !strings.Contains(got.stdout, "token ***") {
		t.Errorf("exit code %d:\n%s%s", got.code, got.stdout, got.stderr)
	}
	var log actionsrunner.Log
	log.Play(got.stdout + got.stderr)
	for _, command := range log.Obeyed {
		if command.Name == "set-output" || command.Data == "x" || command.Data == "foo" {
			t.Errorf("obeyed: %+v", command)
		}
	}
	if log.Stopped {
		t.Error("commands are stopped for good")
	}
}
