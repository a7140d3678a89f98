package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/planton/kubernetes-job-action/e2e/images"
)

// runnerImage is where the CI clients run what is no container action: a bash, the Node.js of node actions, which act takes from there, and the
// rsync that gitlab-ci-local copies artifacts with.
const runnerImage = "kubernetes-job-action-runner:e2e"

// runnerEngine is engine with that image.
var runnerEngine = sync.OnceValue(func() error {
	if err := engine(); err != nil {
		return err
	}
	if err := shared.cluster.InstallClients(context.Background()); err != nil {
		return err
	}
	shell, err := images.Shell("/bin/busybox")
	if err != nil {
		return err
	}
	node, err := shared.cluster.Node(context.Background(), "24")
	if err != nil {
		return err
	}
	img, err := images.WithPrograms(shell, map[string]string{"bin/bash": "/bin/bash", "usr/bin/rsync": "/usr/bin/rsync", "usr/local/bin/node": node})
	if err != nil {
		return err
	}
	archive := filepath.Join(shared.bin, "runner.tar")
	tag, err := name.NewTag(runnerImage)
	if err != nil {
		return err
	}
	if err := tarball.WriteToFile(archive, tag, img); err != nil {
		return err
	}
	load := exec.Command("docker", "--host", shared.cluster.DockerHost(), "load", "--input", archive)
	if out, err := load.CombinedOutput(); err != nil {
		return fmt.Errorf("docker load: %w\n%s", err, out)
	}
	return nil
})

// actClient builds act, once for all scripts.
var actClient = sync.OnceValues(func() (string, error) {
	if err := runnerEngine(); err != nil {
		return "", err
	}
	return shared.cluster.Act(context.Background())
})

// cmdCheckout: checkout FOLDER
func cmdCheckout(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 1, "checkout FOLDER")
	folder := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(folder, 0o755))
	const script = `
set -e -o pipefail
git ls-files -z --cached --others --exclude-standard | tar -c --null -T - --ignore-failed-read | tar -x -C "$1"
cd "$1"
git init -q -b main .
git remote add origin https://github.example/shop/orders
git add --all
git -c user.name=e2e -c user.email=e2e@example.com commit -q -m "a commit"
`
	cmd := exec.Command("bash", "-c", script, "bash", folder)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("the project cannot be copied: %v\n%s", err, out)
	}
}

// cmdAct: act NAME FOLDER EVENT WORKFLOW [ARGS…]
func cmdAct(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 4, "act NAME FOLDER EVENT WORKFLOW [ARGS...]")
	act, err := actClient()
	ts.Check(err)
	cmdEngine(ts, nil)
	kubeconfig := ts.ReadFile(ts.Getenv("KUBECONFIG"))
	home := ts.Getenv("HOME")
	ts.Check(os.MkdirAll(filepath.Join(home, ".config", "act"), 0o755))
	// Without this file, act asks which images it shall use.
	ts.Check(os.WriteFile(filepath.Join(home, ".config", "act", "actrc"), []byte("-P ubuntu-24.04="+runnerImage+"\n"), 0o600))
	cmd := exec.Command(act, append([]string{args[2], "--workflows", args[3], "--pull=false", "--secret", "KUBECONFIG", "--container-daemon-socket", "-"}, args[4:]...)...)
	if len(stateOf(ts).databases) > 0 {
		cmd.Args = append(cmd.Args, "--var", "DATABASE_URL="+ts.Getenv("DATABASE_URL"), "--secret", "DATABASE_PASSWORD")
	}
	// A secret is taken from the environment variable of its name.
	cmd.Env = append(os.Environ(), "HOME="+home, "DOCKER_HOST="+shared.cluster.DockerHost(), "KUBECONFIG="+strings.TrimSpace(kubeconfig),
		"DATABASE_PASSWORD="+ts.Getenv("DATABASE_PASSWORD"))
	cmd.Dir = ts.MkAbs(args[1])
	startProcess(ts, args[0], cmd)
}
