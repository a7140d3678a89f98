// Package e2e runs the scenarios: scripts that drive the built program against a real cluster.
package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/planton/kubernetes-job-action/e2e/devcluster"
)

// parallelScripts is how many scripts run at the same time, unless -parallel says otherwise: most of
// the time a script waits for the cluster, so it is more than there are processors.
const parallelScripts = "6"

// bench is what the scripts share.
type bench struct {
	cluster  *devcluster.Cluster
	bin      string // holds the program under test and devcluster
	examples string // the project's examples
}

var shared bench

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "the scenarios cannot run:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	if !given("test.parallel") {
		if err := flag.Set("test.parallel", parallelScripts); err != nil {
			return 1, err
		}
	}
	if shared.bin, err = os.MkdirTemp("", "kubernetes-job-action-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(shared.bin)
	if shared.examples, err = filepath.Abs("../examples"); err != nil {
		return 1, err
	}
	if err := devcluster.Supported(); err != nil {
		return 1, err
	}
	// What a process ignores, under nohup or in the background of a script, its children ignore too; what it catches, they do not.
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	// DEVCLUSTER_DIR names another cluster than the project's.
	if shared.cluster, err = devcluster.Open(os.Getenv("DEVCLUSTER_DIR"), os.Stderr); err != nil {
		return 1, err
	}
	// The cluster is left as it was found.
	if !shared.cluster.Running() && os.Getenv("KEEP_CLUSTER") == "" {
		defer func() { err = errors.Join(err, shared.cluster.Down()) }()
	}
	if err := shared.cluster.Up(context.Background(), devcluster.Options{}); err != nil {
		return 1, err
	}
	if err := build(".", "./cmd/devcluster"); err != nil {
		return 1, err
	}
	if err := build("..", "./cmd/kubernetes-job-action"); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func given(name string) (found bool) {
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

var raced = flag.Bool("raced", false, "build the program with the race detector")

// build makes one program of the module in the folder, as a release has it.
func build(folder, pkg string) error {
	args, cgo := []string{"build", "-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", "-s -w", "-o", shared.bin + "/"}, "CGO_ENABLED=0"
	if *raced {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s in %s cannot be built: %w\n%s", pkg, folder, err, out)
	}
	return nil
}

// TestScenarios runs testdata/script, each script in a namespace of its own, several at a time.
func TestScenarios(t *testing.T) {
	testscript.Run(t, params("testdata/script"))
}

// TestFaults runs testdata/fault, one script at a time: they stop and restart parts of the cluster.
func TestFaults(t *testing.T) {
	scripts, err := filepath.Glob("testdata/fault/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range scripts {
		// Each in a run of its own, because the scripts of one run are parallel to each other.
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			p := params("")
			p.Files = []string{path}
			testscript.Run(t, p)
		})
		heal := devcluster.Options{}
		if shared.cluster.LogRotation() != devcluster.DefaultLogRotation {
			heal.LogRotation = &devcluster.DefaultLogRotation
		}
		if err := shared.cluster.Up(context.Background(), heal); err != nil {
			t.Fatal(err)
		}
	}
}

func params(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		Setup:               setup,
		Cmds:                commands,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	}
}

// setup gives the script a namespace, a kubeconfig whose default namespace it is, and the programs.
func setup(env *testscript.Env) error {
	namespace, err := namespaceName(env)
	if err != nil {
		return err
	}
	config := filepath.Join(env.WorkDir, ".kubeconfig")
	if err := createNamespace(config, namespace); err != nil {
		return err
	}
	env.Defer(func() {
		// A namespace takes seconds to end, and nothing of a later test is in it: nobody waits.
		if err := kubectl(config, "delete", "namespace", namespace, "--wait=false"); err != nil {
			env.T().Log(err)
		}
	})
	state := &script{id: namespace, processes: map[string]*process{}, finished: map[string]time.Time{}, steps: map[string]*step{}}
	env.Values[stateKey{}] = state
	env.Defer(state.end)
	env.Setenv("HOME", filepath.Join(env.WorkDir, ".home"))
	env.Setenv("PATH", strings.Join([]string{shared.bin, shared.cluster.Bin(), os.Getenv("PATH")}, string(os.PathListSeparator)))
	env.Setenv("KUBECONFIG", config)
	env.Setenv("NAMESPACE", namespace)
	env.Setenv("EXAMPLES", shared.examples)
	env.Setenv("DEVCLUSTER_DIR", shared.cluster.Dir())
	return nil
}

// namespaceName begins with the script's name, so that a namespace that is left over tells whose it was.
func namespaceName(env *testscript.Env) (string, error) {
	random := make([]byte, 3)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	name := strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	return fmt.Sprintf("e2e-%.40s-%s", strings.Trim(name, "-"), hex.EncodeToString(random)), nil
}

// createNamespace creates a namespace, and writes an administrator's kubeconfig whose default namespace it is. It waits for the
// account without which no pod is let in, and the certificate that each pod mounts, whose absence would be an event: the controllers that make
// them watch again only up to 30 s after an outage of the API server (client-go's reflector backs off).
func createNamespace(config, name string) error {
	admin, err := os.ReadFile(shared.cluster.Kubeconfig())
	if err != nil {
		return err
	}
	// The context is written by devcluster, on one line.
	scoped := strings.Replace(string(admin), "context: {", "context: {namespace: "+name+", ", 1)
	if err := os.WriteFile(config, []byte(scoped), 0o600); err != nil {
		return err
	}
	if err := kubectl(config, "create", "namespace", name); err != nil {
		return err
	}
	for _, what := range []string{"serviceaccount/default", "configmap/kube-root-ca.crt"} { // kubectl fails when two are missing
		if err := kubectl(config, "wait", "--for=create", what, "--timeout=2m"); err != nil {
			return err
		}
	}
	return nil
}

func kubectl(config string, args ...string) error {
	cmd := exec.Command(filepath.Join(shared.cluster.Bin(), "kubectl"), append([]string{"--kubeconfig", config}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
