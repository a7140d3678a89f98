package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/actionsrunner"
)

// A kubeconfig's credential plugin is a stranger too: what it writes is shown as a container's output is, and it gets none of the inputs.
func TestPluginIsAStranger(t *testing.T) {
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	program := filepath.Join(dir, "login")
	script := "#!/bin/sh\n{ printf '::set-output name=status::succeeded\\n::stop-commands::x\\n##[error]fake\\nit is " + password + "\\n'; env | grep -e '^INPUT_' -e '^PLUGIN_'; echo asked; } >&2\nexit 1\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	kubeconfig := fmt.Sprintf(`{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}],
		users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: %q, interactiveMode: Never}}}]}`, program)
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": dir, "INPUT_KUBECONFIG": kubeconfig, "INPUT_SECRET-ENV": "A=" + password, "PLUGIN_NAMESPACE": "ns",
		"GITHUB_OUTPUT": "", "GITHUB_STATE": "", "GITHUB_STEP_SUMMARY": ""}
	for name, value := range env {
		t.Setenv(name, value)
	}
	var stdout, stderr bytes.Buffer
	p := ThisProcess()
	p.Args, p.Dir, p.Stdin, p.Stdout, p.Stderr = []string{"-f", "job.yaml"}, dir, nil, &stdout, &stderr
	code := Main(p)

	var seen strings.Builder
	for line := range strings.Lines(stdout.String()) {
		if !strings.HasPrefix(line, "::add-mask::") {
			seen.WriteString(line)
		}
	}
	shown := seen.String()
	if code == exitOK || !strings.Contains(shown, "asked") || !strings.Contains(shown, "it is ***") || strings.Contains(shown, password) || strings.Contains(shown, "INPUT_") || strings.Contains(shown, "PLUGIN_") || stderr.Len() > 0 {
		t.Errorf("exit code %d, standard error %q:\n%s", code, &stderr, shown)
	}
	var log actionsrunner.Log
	log.Play(stdout.String())
	if errs := log.All("error"); log.Stopped || len(log.All("set-output")) > 0 || len(errs) != 1 || errs[0].Data == "fake" {
		t.Errorf("stopped: %t, obeyed %v", log.Stopped, log.Obeyed)
	}
}
