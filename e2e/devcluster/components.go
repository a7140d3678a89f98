package devcluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/planton/kubernetes-job-action/e2e/images"
)

// nodeName is the name of the only node. It is also the address at which the API server finds the
// kubelet, and this is the one name that resolves to the loopback address on every machine; the
// kubelet refuses a loopback address as such (pkg/kubelet/kubelet_node_status.go, validateNodeIP).
const nodeName = "localhost"

// componentNames are the long-lived processes of a cluster.
var componentNames = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "containerd", "kubelet", "postgres", docker}

// readyTimeout is generous: on a busy machine an API server takes a minute to answer.
const readyTimeout = 3 * time.Minute

// command makes the command line of a component. The database has a start of its own.
func (c *Cluster) command(name string, p programs) *exec.Cmd {
	switch name {
	case "containerd":
		return exec.Command("containerd", "--config", c.path("containerd", "config.toml"))
	case docker:
		return c.dockerCommand()
	case "kubelet":
		return c.inKubeletView(append([]string{p.Kubernetes, name}, c.arguments(name)...)...)
	}
	return exec.Command(p.Kubernetes, append([]string{name}, c.arguments(name)...)...)
}

// arguments of the parts of Kubernetes. Limits of request rates are so high that they never slow a test.
func (c *Cluster) arguments(name string) []string {
	pki := func(file string) string { return c.path("pki", file) }
	url := func(port int) string { return "http://127.0.0.1:" + strconv.Itoa(c.port(port)) }
	client := func(user string, port int) []string {
		kubeconfig := c.kubeconfigPath(user)
		return []string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(c.port(port)),
			"--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000",
		}
	}
	switch name {
	case "etcd":
		return []string{
			"--name=devcluster", "--data-dir=" + c.path("etcd"), "--log-level=warn",
			"--listen-client-urls=" + url(portEtcd), "--advertise-client-urls=" + url(portEtcd),
			"--listen-peer-urls=" + url(portEtcdPeer), "--initial-advertise-peer-urls=" + url(portEtcdPeer),
			"--initial-cluster=devcluster=" + url(portEtcdPeer),
			// The cluster does not outlive a crash of the machine, so nothing need be on disk for it.
			"--unsafe-no-fsync",
		}
	case "kube-apiserver":
		return []string{
			"--etcd-servers=" + url(portEtcd),
			"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(c.port(portAPIServer)),
			// The service "kubernetes" may not point to a loopback address; without a proxy for
			// services nobody can use it anyway.
			"--advertise-address=" + c.address(1), "--endpoint-reconciler-type=none",
			"--service-cluster-ip-range=10.96.0.0/16",
			"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
			"--client-ca-file=" + pki("ca.crt"),
			"--kubelet-certificate-authority=" + pki("ca.crt"),
			"--kubelet-client-certificate=" + pki("apiserver-kubelet.crt"), "--kubelet-client-key=" + pki("apiserver-kubelet.key"),
			"--kubelet-preferred-address-types=Hostname",
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + pki("service-account.key"), "--service-account-signing-key-file=" + pki("service-account.key"),
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
			"--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000", "--profiling=false",
		}
	case "kube-controller-manager":
		return append(client("controller-manager", portControllerManager),
			"--root-ca-file="+pki("ca.crt"), "--service-account-private-key-file="+pki("service-account.key"),
			"--use-service-account-credentials", "--profiling=false",
			"--concurrent-job-syncs=20", "--concurrent-namespace-syncs=20", "--concurrent-ttl-after-finished-syncs=20",
		)
	case "kube-scheduler":
		return append(client("scheduler", portScheduler), "--profiling=false")
	case "kubelet":
		return []string{
			"--config=" + c.path("kubelet.yaml"), "--kubeconfig=" + c.kubeconfigPath("kubelet"),
			"--root-dir=" + c.path("kubelet"), "--cert-dir=" + c.path("pki"),
			"--hostname-override=" + nodeName, "--node-ip=" + c.address(1),
		}
	}
	panic("no such component: " + name)
}

// ready asks the component itself whether it does its work.
func (c *Cluster) ready(ctx context.Context, name string) error {
	secure := func(port int, path string) error {
		_, err := c.get(ctx, fmt.Sprintf("https://127.0.0.1:%d%s", c.port(port), path))
		return err
	}
	plain := func(port int, path string) error {
		_, err := c.get(ctx, fmt.Sprintf("http://127.0.0.1:%d%s", c.port(port), path))
		return err
	}
	switch name {
	case "etcd":
		return plain(portEtcd, "/readyz")
	case "kube-apiserver":
		return secure(portAPIServer, "/readyz")
	case "kube-controller-manager":
		return secure(portControllerManager, "/healthz")
	case "kube-scheduler":
		return secure(portScheduler, "/healthz")
	case "kubelet":
		return plain(portKubeletHealth, "/healthz")
	case "containerd":
		_, err := c.ctr(ctx, "version")
		return err
	case "postgres":
		return c.postgresReady(ctx)
	case docker:
		return c.dockerReady(ctx)
	}
	panic("no such component: " + name)
}

// get fetches one address of the cluster as its administrator.
func (c *Cluster) get(ctx context.Context, url string) ([]byte, error) {
	cert, err := tls.LoadX509KeyPair(c.path("pki", "admin.crt"), c.path("pki", "admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(c.path("pki", "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: roots,
		// Only the API server has a certificate of the authority; the others sign one for themselves
		// when they start, and are asked for nothing but their health.
		InsecureSkipVerify: !strings.HasPrefix(url, fmt.Sprintf("https://127.0.0.1:%d/", c.port(portAPIServer))),
		Certificates:       []tls.Certificate{cert},
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: transport, Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s: %s", url, response.Status, strings.TrimSpace(string(body)))
	}
	return body, nil
}

// start starts the component, unless it runs, and waits until it is ready.
func (c *Cluster) start(ctx context.Context, name string, p programs) error {
	return c.startCommand(ctx, name, func() (*exec.Cmd, error) { return c.command(name, p), nil })
}

func (c *Cluster) startCommand(ctx context.Context, name string, command func() (*exec.Cmd, error)) error {
	started := time.Now()
	var ended <-chan struct{} // of a component that runs already nobody tells when it ends
	recorded, known := c.recorded(name)
	if !known || !recorded.alive() {
		cmd, err := command()
		if err != nil {
			return fmt.Errorf("%s cannot be started: %w", name, err)
		}
		if ended, err = c.launch(name, cmd); err != nil {
			return fmt.Errorf("%s cannot be started: %w", name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := c.ready(ctx, name)
		if err == nil {
			break
		}
		select {
		case <-ended:
			return c.failed(name, "ended while it started")
		case <-ctx.Done():
			return c.failed(name, fmt.Sprintf("is not ready after %s (%v)", round(time.Since(started)), err))
		case <-time.After(50 * time.Millisecond):
		}
	}
	if ended != nil {
		c.out.printf("%s is ready after %s", name, round(time.Since(started)))
	}
	return nil
}

func (c *Cluster) failed(name, what string) error {
	return fmt.Errorf("%s %s; the end of %s:\n%s", name, what, c.logPath(name), c.logTail(name))
}

// waitUsable waits until a pod can be made and placed.
func (c *Cluster) waitUsable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	started := time.Now()
	for {
		err := c.usable(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return c.failed("kubelet", fmt.Sprintf("has no ready node after %s (%v)", round(time.Since(started)), err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *Cluster) usable(ctx context.Context) error {
	api := fmt.Sprintf("https://127.0.0.1:%d/api/v1/", c.port(portAPIServer))
	// Without it the pods of the namespace are refused (plugin/pkg/admission/serviceaccount).
	if _, err := c.get(ctx, api+"namespaces/default/serviceaccounts/default"); err != nil {
		return err
	}
	body, err := c.get(ctx, api+"nodes/"+nodeName)
	if err != nil {
		return err
	}
	var node struct {
		Spec struct {
			Taints []struct{ Key string }
		}
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(body, &node); err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" && condition.Status != "True" {
			return fmt.Errorf("node %s is not ready: %s", nodeName, condition.Message)
		}
	}
	if len(node.Status.Conditions) == 0 || len(node.Spec.Taints) > 0 {
		return fmt.Errorf("node %s is still tainted: %v", nodeName, node.Spec.Taints)
	}
	return nil
}

// stop ends the component, if it lives, and forgets it.
func (c *Cluster) stop(name string, signal syscall.Signal) error {
	if p, ok := c.recorded(name); ok {
		if err := p.end(signal); err != nil {
			return fmt.Errorf("%s cannot be stopped: %w", name, err)
		}
	}
	if err := os.Remove(c.recordPath(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// alive returns the components that live.
func (c *Cluster) alive() map[string]bool {
	alive := map[string]bool{}
	for _, name := range componentNames {
		if p, ok := c.recorded(name); ok && p.alive() {
			alive[name] = true
		}
	}
	return alive
}

// lockFor holds the cluster for a change of one component.
func (c *Cluster) lockFor(name string) (unlock func(), err error) {
	if !slices.Contains(componentNames, name) {
		return nil, fmt.Errorf("no component %q; there are %s", name, strings.Join(componentNames, ", "))
	}
	if err := c.running(); err != nil {
		return nil, err
	}
	return c.lock()
}

// Stop ends one component with the signal and leaves the rest of the cluster alone.
func (c *Cluster) Stop(name string, signal syscall.Signal) error {
	unlock, err := c.lockFor(name)
	if err != nil {
		return err
	}
	defer unlock()
	return c.stop(name, signal)
}

// Start starts one component, unless it runs, and waits until it is ready. Log rotation, when given,
// is recorded for the kubelet first.
func (c *Cluster) Start(ctx context.Context, name string, rotation *LogRotation) error {
	unlock, err := c.lockFor(name)
	if err != nil {
		return err
	}
	defer unlock()
	p := c.settings.Programs
	if err := c.prepare(rotation, p, true); err != nil {
		return err
	}
	switch name {
	case "postgres":
		return c.startPostgres(ctx, p)
	case docker:
		return c.startDocker(ctx, p)
	}
	return c.start(ctx, name, p)
}

// Status is what there is of a cluster.
type Status struct {
	Dir        string
	Components []ComponentStatus
	Postgres   string // address of the database
	Server     string // address of the API server
	Rotation   LogRotation
}

// ComponentStatus is one line of Status.
type ComponentStatus struct {
	Name string
	PID  int   // 0 when it does not run
	Err  error // why it is not ready
}

// Status looks at each component. It fails when there is no cluster at all.
func (c *Cluster) Status(ctx context.Context) (Status, error) {
	if err := c.running(); err != nil {
		return Status{}, err
	}
	status := Status{
		Dir:      c.dir,
		Postgres: c.address(2),
		Server:   fmt.Sprintf("https://127.0.0.1:%d", c.port(portAPIServer)),
		Rotation: c.settings.LogRotation,
	}
	for _, name := range componentNames {
		component := ComponentStatus{Name: name}
		p, ok := c.recorded(name)
		if !ok && name == docker {
			continue
		}
		if ok && p.alive() {
			component.PID = p.PID
			component.Err = c.ready(ctx, name)
		} else {
			component.Err = errors.New("does not run")
		}
		status.Components = append(status.Components, component)
	}
	return status, nil
}

func (c *Cluster) containerdSocket() string { return c.path("containerd", "containerd.sock") }

// writeConfigs writes the configuration files of containerd, its network and the kubelet.
func (c *Cluster) writeConfigs() error {
	cni, err := cniPath()
	if err != nil {
		return err
	}
	rotation := c.settings.LogRotation
	// Nothing is pulled: every registry is this closed port, so that a pull fails at once, offline or not.
	hosts := c.registryPath("_default")
	conflist := c.path("cni", "10-devcluster.conflist")
	for _, dir := range []string{filepath.Dir(hosts), filepath.Dir(conflist)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, file := range []struct{ path, content string }{
		{hosts, fmt.Sprintf(registryConfig, "http://127.0.0.1:1")},
		{conflist, fmt.Sprintf(cniConfig, c.cgroupName(), c.bridge(), c.path("cni", "addresses"), c.prefix(), c.address(16))},
		{c.path("containerd", "config.toml"), fmt.Sprintf(containerdConfig, c.path("containerd"), cni, c.path("cni"), images.Pause)},
		{c.path("docker", "daemon.json"), "{}\n"},
		{c.path("kubelet.yaml"), fmt.Sprintf(kubeletConfig, c.dir, c.cgroupName(), c.port(portKubelet), c.port(portKubeletHealth),
			c.containerdSocket(), rotation.MaxSize, rotation.MaxFiles, rotation.Interval)},
	} {
		if err := writeFile(file.path, file.content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// registryPath is where containerd looks, at every pull, how a registry is reached.
func (c *Cluster) registryPath(host string) string {
	return c.path("containerd", "registries", host, "hosts.toml")
}

const registryConfig = "server = %[1]q\n[host.%[1]q]\n"

// SetRegistry has the images of one registry pulled from the URL, which must be one of the machine's loopback address, until
// forget is called.
func (c *Cluster) SetRegistry(host, url string) (forget func() error, err error) {
	path := c.registryPath(host)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	forget = func() error { return os.RemoveAll(filepath.Dir(path)) }
	return forget, writeFile(path, fmt.Sprintf(registryConfig, url), 0o644)
}

const cniConfig = `{
  "cniVersion": "1.0.0",
  "name": %q,
  "plugins": [{
    "type": "bridge",
    "bridge": %q,
    "ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": %q, "rangeStart": %q}]]}
  }]
}
`

// restrict_oom_score_adj: without CAP_SYS_RESOURCE no sandbox can be made otherwise.
// netns_mounts_under_state_dir, opt and Root: all mounts and files in the cluster's folder.
const containerdConfig = `version = 2
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "%[1]s/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "%[1]s/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[4]q
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[2]q
    conf_dir = %[3]q
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "%[1]s/registries"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "%[1]s/runc"
`

// evictionHard and imageGCHighThresholdPercent: a full disk or a busy build must evict no test's pod
// and delete no image that cannot be pulled again. clusterDNS: without an address there is a warning
// event for every pod; nobody answers there. makeIPTablesUtilChains: the machine's rules are not ours.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: %[3]d
healthzBindAddress: 127.0.0.1
healthzPort: %[4]d
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: false}
  x509: {clientCAFile: "%[1]s/pki/ca.crt"}
authorization: {mode: AlwaysAllow}
tlsCertFile: "%[1]s/pki/kubelet-server.crt"
tlsPrivateKeyFile: "%[1]s/pki/kubelet-server.key"
containerRuntimeEndpoint: "unix://%[5]s"
volumePluginDir: "%[1]s/kubelet/volume-plugins"
podLogsDir: "%[1]s/pod-logs"
cgroupDriver: cgroupfs
cgroupRoot: /%[2]s
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
clusterDomain: cluster.local
clusterDNS: [10.96.0.10]
resolvConf: ""
maxPods: 200
serializeImagePulls: false
registryPullQPS: 0
eventRecordQPS: 0
kubeAPIQPS: 500
kubeAPIBurst: 1000
evictionHard:
  memory.available: 100Mi
  nodefs.available: 1%%
  nodefs.inodesFree: 1%%
  imagefs.available: 1%%
  imagefs.inodesFree: 1%%
imageGCHighThresholdPercent: 100
containerLogMaxSize: %[6]s
containerLogMaxFiles: %[7]d
containerLogMonitorInterval: %[8]s
`
