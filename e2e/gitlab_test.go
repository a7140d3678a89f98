package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v4"
)

// publishedImage is the name by which pipelines and the component use the image.
const publishedImage = "ghcr.io/planton/kubernetes-job-action:v1"

// gitlabClient installs gitlab-ci-local and the images that it uses, once for all scripts.
var gitlabClient = sync.OnceValues(func() (string, error) {
	if err := runnerEngine(); err != nil {
		return "", err
	}
	tag := exec.Command("docker", "--host", shared.cluster.DockerHost(), "tag", actionImage, publishedImage)
	if out, err := tag.CombinedOutput(); err != nil {
		return "", fmt.Errorf("docker tag: %w\n%s", err, out)
	}
	return shared.cluster.GitLabCILocal(context.Background())
})

// cmdPipeline: pipeline NAME FOLDER [ARGS…]
func cmdPipeline(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 2, "pipeline NAME FOLDER [ARGS...]")
	client, err := gitlabClient()
	ts.Check(err)
	cmdEngine(ts, nil)
	folder := ts.MkAbs(args[1])
	// KUBECONFIG is a variable of the type File: the job finds a path in it.
	variables := map[string]any{"KUBECONFIG": map[string]any{"type": "file", "values": map[string]string{"*": ts.ReadFile(ts.Getenv("KUBECONFIG"))}}}
	for _, name := range []string{"DATABASE_URL", "DATABASE_PASSWORD"} {
		if value := ts.Getenv(name); value != "" {
			variables[name] = value
		}
	}
	text, err := yaml.Marshal(variables)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(folder, ".gitlab-ci-local-variables.yml"), text, 0o600))
	cmd := exec.Command(client, append([]string{"--network", "host", "--pull-policy", "if-not-present", "--helper-image", runnerImage, "--no-color"}, args[2:]...)...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "DOCKER_HOST="+shared.cluster.DockerHost())
	// It leaves variables of the type File behind: it makes a folder before the project has a slug, and removes that of the slug.
	const folders = "/tmp/gitlab-ci-local-file-variables-undefined-*"
	before, err := filepath.Glob(folders)
	ts.Check(err)
	startProcess(ts, args[0], cmd)
	ts.Defer(func() {
		after, err := filepath.Glob(folders)
		ts.Check(err)
		for _, folder := range after {
			if !slices.Contains(before, folder) {
				ts.Check(os.RemoveAll(folder))
			}
		}
	})
}
