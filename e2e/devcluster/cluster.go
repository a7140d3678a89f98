package devcluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/planton/kubernetes-job-action/e2e/images"
)

// ownCluster is what somebody who cannot run this cluster can do instead.
const ownCluster = "use a cluster of your own instead, for example kind (https://kind.sigs.k8s.io): " +
	"create it, load the images that you need into it, and pass its kubeconfig (make demo KUBECONFIG=…)"

// maxSocketPath is the longest path of a unix socket on Linux (sun_path of unix(7), less the final zero).
const maxSocketPath = 107

// Cluster is one cluster and the folder that holds all of it.
type Cluster struct {
	dir      string // absolute, symbolic links resolved: mounts are listed under real paths
	source   string // the folder of this Go module, where the build inputs are
	id       string // tells the clusters of one machine apart, derived from dir
	settings settings
	out      *printer
}

// LogRotation is how the kubelet rotates the logs of containers.
type LogRotation struct {
	MaxSize  string        `json:"maxSize"`  // containerLogMaxSize
	MaxFiles int           `json:"maxFiles"` // containerLogMaxFiles
	Interval time.Duration `json:"interval"` // containerLogMonitorInterval
}

// DefaultLogRotation is the kubelet's own default.
var DefaultLogRotation = LogRotation{MaxSize: "10Mi", MaxFiles: 5, Interval: 10 * time.Second}

// settings are chosen by the first up and kept until down.
type settings struct {
	BasePort    int         `json:"basePort"`
	Subnet      int         `json:"subnet"`
	LogRotation LogRotation `json:"logRotation"`
	// Password of the database's user.
	Password string `json:"password"`
	// Source is the folder of the e2e module that the cluster was made with, and Programs what was
	// built from it: a component is started again with the same.
	Source   string   `json:"source"`
	Programs programs `json:"programs"`
}

// Open describes the cluster in dir, which need not exist yet. Progress is written to out.
// An empty dir means .devcluster in the root of the project that the working directory is in.
func Open(dir string, out io.Writer) (*Cluster, error) {
	source, err := findSource()
	if dir == "" {
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(filepath.Dir(source), ".devcluster")
	}
	var known Cluster
	known.dir = dir
	if err != nil && known.loadSettings() == nil {
		source, err = known.settings.Source, nil // from elsewhere a cluster can be handled by its folder
	}
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	// Only the parent: dir itself may not exist yet.
	parent, err := filepath.EvalSymlinks(filepath.Dir(dir))
	if err != nil {
		return nil, fmt.Errorf("the cluster's folder %s cannot be made: %w", dir, err)
	}
	dir = filepath.Join(parent, filepath.Base(dir))
	sum := sha256.Sum256([]byte(dir))
	return &Cluster{dir: dir, source: source, id: hex.EncodeToString(sum[:4]), out: &printer{w: out}}, nil
}

// findSource returns the folder of the e2e module, seen from the working directory.
func findSource() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		for _, candidate := range []string{dir, filepath.Join(dir, "e2e")} {
			if _, err := os.Stat(filepath.Join(candidate, "kubernetes", "go.mod")); err == nil {
				return candidate, nil
			}
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside a checkout of kubernetes-job-action: run this from one, it holds what the cluster is built from", start)
		}
	}
}

// Supported tells why this machine cannot run a cluster, or nil.
func Supported() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the local cluster needs Linux, this is %s: %s", runtime.GOOS, ownCluster)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("the local cluster needs root (it makes mounts, control groups and network devices): run this as root, or %s", ownCluster)
	}
	return nil
}

// Dir is the folder of the cluster.
func (c *Cluster) Dir() string { return c.dir }

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.path("kubeconfig") }

// Bin is the folder that holds kubectl.
func (c *Cluster) Bin() string { return c.path("bin") }

// PostgresEnv is the path of the file with the facts of the database.
func (c *Cluster) PostgresEnv() string { return c.path("postgres.env") }

// LogRotation returns the recorded settings.
func (c *Cluster) LogRotation() LogRotation {
	if err := c.loadSettings(); err != nil {
		return DefaultLogRotation // of no cluster: what the next one begins with
	}
	return c.settings.LogRotation
}

func (c *Cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.dir}, elem...)...)
}

// Options change what Up makes.
type Options struct {
	// LogRotation, when set, replaces the recorded settings; a running kubelet is restarted for it.
	LogRotation *LogRotation
}

// Up brings the cluster up and returns when its node is ready and its images are loaded. A cluster
// that runs already stays as it is, a component of it that has died is started again, and what is
// left of a cluster of which nothing lives any more is removed first.
func (c *Cluster) Up(ctx context.Context, opts Options) error {
	if err := Supported(); err != nil {
		return err
	}
	// The longest of the sockets that the kubelet makes below its folder.
	if n := len(c.path("kubelet", "pod-resources", "kubelet.sock")); n > maxSocketPath {
		return fmt.Errorf("the cluster's folder %s has too long a path: the sockets in it would have paths of %d bytes, and Linux allows %d; choose another folder with --dir", c.dir, n, maxSocketPath)
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	started := time.Now()

	programs, err := c.provide(ctx)
	if err != nil {
		return err
	}
	alive := c.alive()
	if len(alive) == 0 {
		if err := c.clean(); err != nil {
			return fmt.Errorf("what an earlier run left cannot be removed: %w", err)
		}
	}
	if err := c.prepare(opts.LogRotation, programs, len(alive) > 0); err != nil {
		return err
	}
	if opts.LogRotation != nil && alive["kubelet"] {
		if err := c.stop("kubelet", syscall.SIGTERM); err != nil {
			return err
		}
	}
	if err := c.startAll(ctx, programs); err != nil {
		return err
	}
	c.out.printf("cluster is ready after %s: export KUBECONFIG=%s", round(time.Since(started)), c.Kubeconfig())
	return nil
}

// programs are the executables that provide made or found.
type programs struct {
	Kubernetes string `json:"kubernetes"` // the multi-call program
	Migrate    string `json:"migrate"`    // golang-migrate and goose are for images
	Goose      string `json:"goose"`
}

// provide installs and builds what the cluster consists of, the two at the same time.
func (c *Cluster) provide(ctx context.Context) (programs, error) {
	var p programs
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.installPackages(ctx, needs) })
	group.Go(func() (err error) {
		if p.Kubernetes, err = c.build(ctx, kubernetesBuild); err != nil {
			return err
		}
		return c.buildTools(ctx, &p)
	})
	return p, group.Wait()
}

// buildTools makes the programs that are in images only.
func (c *Cluster) buildTools(ctx context.Context, p *programs) (err error) {
	if p.Migrate, err = c.build(ctx, migrateBuild); err != nil {
		return err
	}
	p.Goose, err = c.build(ctx, gooseBuild)
	return err
}

// prepare writes everything that the components read. It changes nothing that a running one relies on.
func (c *Cluster) prepare(rotation *LogRotation, p programs, running bool) error {
	for _, dir := range []string{"bin", "logs", "run", "etcd", "kubelet", "device-plugins", "pod-logs", "containerd", "cni", "postgres", docker} {
		if err := os.MkdirAll(c.path(dir), 0o755); err != nil {
			return err
		}
	}
	if err := c.loadSettings(); errors.Is(err, os.ErrNotExist) && !running {
		if err := c.chooseSettings(); err != nil {
			return err
		}
	} else if err != nil {
		return fmt.Errorf("the settings of the running cluster cannot be read: %w; run devcluster down, then up", err)
	}
	c.settings.Source, c.settings.Programs = c.source, p
	if rotation != nil {
		c.settings.LogRotation = *rotation
	}
	if err := c.saveSettings(); err != nil {
		return err
	}
	if err := c.makeCgroups(); err != nil {
		return fmt.Errorf("control groups: %w", err)
	}
	if err := c.makeNetwork(); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if err := c.shareKubeletFolder(); err != nil {
		return fmt.Errorf("the kubelet's folder: %w", err)
	}
	if err := c.makeCredentials(); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	if err := c.writeConfigs(); err != nil {
		return err
	}
	link := c.path("bin", "kubectl")
	if target, err := os.Readlink(link); err == nil && target == p.Kubernetes {
		return nil
	}
	_ = os.Remove(link) // it may not exist
	return os.Symlink(p.Kubernetes, link)
}

// startAll starts the components that do not run, each as soon as what it needs is there.
func (c *Cluster) startAll(ctx context.Context, p programs) error {
	group, ctx := errgroup.WithContext(ctx)
	var containerd sync.WaitGroup
	containerd.Add(1)
	group.Go(func() error {
		defer containerd.Done()
		return c.start(ctx, "containerd", p)
	})
	group.Go(func() error {
		containerd.Wait()
		if ctx.Err() != nil {
			return nil // the failure is reported by whom it happened to
		}
		return c.loadImages(ctx, p)
	})
	group.Go(func() error { return c.startPostgres(ctx, p) })
	if _, known := c.recorded(docker); known {
		group.Go(func() error {
			containerd.Wait()
			return c.startDocker(ctx, p)
		})
	}
	group.Go(func() error {
		for _, name := range []string{"etcd", "kube-apiserver"} {
			if err := c.start(ctx, name, p); err != nil {
				return err
			}
		}
		containerd.Wait()
		rest, restCtx := errgroup.WithContext(ctx)
		for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kubelet"} {
			rest.Go(func() error { return c.start(restCtx, name, p) })
		}
		if err := rest.Wait(); err != nil {
			return err
		}
		return c.waitUsable(ctx)
	})
	return group.Wait()
}

// loadImages makes the images that tests and the demo use and loads those that are not there yet.
func (c *Cluster) loadImages(ctx context.Context, p programs) error {
	present, err := c.ctr(ctx, "images", "list", "-q")
	if err != nil {
		return err
	}
	if containsAll(present, images.Names()) {
		return nil
	}
	archive := c.path("images.tar")
	if err := c.writeImages(archive, p); err != nil {
		return err
	}
	defer os.Remove(archive)
	return c.importImages(ctx, archive)
}

// Archive writes the images to a file for another cluster, in the form that docker save gives one. It needs neither root nor
// a running cluster.
func (c *Cluster) Archive(ctx context.Context, file string) error {
	var p programs
	if err := c.buildTools(ctx, &p); err != nil {
		return err
	}
	return c.writeImages(file, p)
}

func (c *Cluster) writeImages(archive string, p programs) error {
	busybox, err := busyboxPath()
	if err != nil {
		return fmt.Errorf("the images need a static busybox (Debian's package busybox-static): %w", err)
	}
	postgres, err := postgresPath()
	if err != nil {
		return fmt.Errorf("the images need the clients of PostgreSQL (Debian's package postgresql): %w", err)
	}
	if err := images.Write(archive, images.Sources{
		Busybox:    busybox,
		Migrate:    p.Migrate,
		Goose:      p.Goose,
		Migrations: filepath.Join(c.source, "..", "examples", "migrate-goose", "migrations"),
		Postgres:   postgres,
	}); err != nil {
		return fmt.Errorf("images cannot be made: %w", err)
	}
	return nil
}

func containsAll(lines string, names []string) bool {
	have := map[string]bool{}
	for _, line := range strings.Fields(lines) {
		have[line] = true
	}
	for _, name := range names {
		if !have[name] {
			return false
		}
	}
	return true
}

// Load imports archives of images (docker save, or OCI) into the running cluster.
func (c *Cluster) Load(ctx context.Context, archives ...string) error {
	if err := c.running(); err != nil {
		return err
	}
	for _, archive := range archives {
		if err := c.importImages(ctx, archive); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) importImages(ctx context.Context, archive string) error {
	if _, err := c.ctr(ctx, "images", "import", archive); err != nil {
		return fmt.Errorf("images of %s cannot be loaded: %w", archive, err)
	}
	return nil
}

// kubectl runs kubectl as the cluster's administrator.
func (c *Cluster) kubectl(ctx context.Context, args ...string) (string, error) {
	return run(exec.CommandContext(ctx, filepath.Join(c.Bin(), "kubectl"), append([]string{"--kubeconfig", c.Kubeconfig()}, args...)...))
}

// ctr runs containerd's client in the namespace where the kubelet looks for images.
func (c *Cluster) ctr(ctx context.Context, args ...string) (string, error) {
	return run(exec.CommandContext(ctx, "ctr", append([]string{"--address", c.containerdSocket(), "--namespace", "k8s.io"}, args...)...))
}

// Down ends the cluster and removes all of it: processes, mounts, network devices, control groups, files.
func (c *Cluster) Down() error {
	if err := Supported(); err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	// In this order nobody reports the end of somebody it depends on. The kubelet goes first: it would
	// start again what is stopped below it.
	for _, name := range []string{docker, "kubelet", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd", "postgres"} {
		if err := c.stop(name, syscall.SIGTERM); err != nil {
			return err
		}
	}
	if err := c.clean(); err != nil {
		return err
	}
	if err := os.RemoveAll(c.dir); err != nil { // by now the marker only
		return err
	}
	c.out.printf("cluster is down, %s is removed", c.dir)
	return nil
}

// running fails when there is no cluster.
func (c *Cluster) running() error {
	if err := Supported(); err != nil {
		return err
	}
	if err := c.loadSettings(); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("no cluster in %s: run devcluster up first", c.dir)
	} else if err != nil {
		return err
	}
	return nil
}

// Running tells whether there is a cluster of which anything lives.
func (c *Cluster) Running() bool {
	return c.running() == nil && len(c.alive()) > 0
}

func (c *Cluster) loadSettings() error {
	data, err := os.ReadFile(c.path("settings.json"))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, &c.settings)
}

func (c *Cluster) saveSettings() error {
	data, err := json.MarshalIndent(c.settings, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(c.path("settings.json"), string(data)+"\n", 0o600)
}

// lock makes sure that one command at a time changes the cluster. The lock is on the folder itself,
// so that none of it stays behind when the folder is removed.
func (c *Cluster) lock() (unlock func(), err error) {
	for {
		if err := os.MkdirAll(c.dir, 0o755); err != nil {
			return nil, err
		}
		folder, err := os.Open(c.dir)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
			c.out.printf("waiting for another devcluster command on %s", c.dir)
			err = syscall.Flock(int(folder.Fd()), syscall.LOCK_EX)
			if err != nil {
				folder.Close()
				return nil, err
			}
		} else if err != nil {
			folder.Close()
			return nil, err
		}
		// Whoever held the lock may have removed the folder: then this is the lock of a folder that is gone.
		locked, err := folder.Stat()
		if err != nil {
			folder.Close()
			return nil, err
		}
		if now, err := os.Stat(c.dir); err == nil && os.SameFile(locked, now) {
			if err := c.claim(); err != nil {
				folder.Close()
				return nil, err
			}
			return func() { folder.Close() }, nil
		}
		folder.Close()
	}
}

// printer writes whole lines from several goroutines.
type printer struct {
	mu sync.Mutex
	w  io.Writer
}

func (p *printer) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "devcluster: "+format+"\n", args...)
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

// writeFile replaces the file at once, so that no reader ever sees half of it.
func writeFile(path, content string, mode os.FileMode) error {
	if err := os.WriteFile(path+".new", []byte(content), mode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// run executes the command and returns what it wrote; the error holds what it complained about.
func run(cmd *exec.Cmd) (string, error) {
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()+stdout.String()))
	}
	return stdout.String(), nil
}
