// Package cluster finds the credentials of a Kubernetes cluster, makes clients from them, and gives every call to the API
// server the patience and the words that a user needs: what can heal is tried again, what cannot is explained.
//
// Nothing here prints, and no message holds a credential. Every error that leaves the package is an *event.Cause.
package cluster

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	"k8s.io/klog/v2"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
)

// Options say which cluster is meant and how long it may be out of reach.
type Options struct {
	Kubeconfig  string // YAML, base64 or a path; or InCluster; "" means $KUBECONFIG, then ~/.kube/config, then, outside of CI, the pod's service account
	Context     string // the kubeconfig context; "" lets ClusterName decide, then the current context
	ClusterName string // the manifest's targetCluster.clusterName, "" without one
	LookupEnv   func(string) (string, bool)
	Dir         string        // relative paths start here
	APITimeout  time.Duration // how long the API server may be out of reach during one call
	UserAgent   string
	// AddSecrets is told what must never be shown, as soon as it is read: no notice and no error can be told before. It may be nil.
	AddSecrets func(...event.Secret)
	Wrap       transport.WrapperFunc // what the requests go through; tests play the API server with it; nil for nothing
}

// Client talks to one cluster. Its fields are not changed while a call is under way.
type Client struct {
	Server    string // the API server's address
	Context   string // the kubeconfig context, "" in a pod
	Source    string // where the credentials were found, in words that name the context
	Namespace string // the context's namespace, "default" when it names none

	APITimeout time.Duration  // how long the API server may be out of reach during one call
	Health     *outage.Health // what every call says about the API server

	// OnWarning is told the warnings that the API server adds to its answers, such as a pod that would violate the
	// namespace's pod security. The text is the server's. It must not block, and may be nil.
	OnWarning func(text string)
	// OnSecret is told each token that requests are about to be sent with, which the server could repeat in its answer: a token file and
	// a credential plugin give new ones during a run. It must not block, and may be nil.
	OnSecret func(event.Secret)

	expires  time.Time                             // the end of the kubeconfig's client certificate; the zero time without one
	proxy    func(*http.Request) (*url.URL, error) // what a request goes through
	ownProxy bool                                  // the kubeconfig says it

	plugin  *plugin                   // nil without one
	groups  map[string]rest.Interface // what the typed clients send their requests with, by API group
	dynamic dynamic.Interface
	kinds   sync.Map // what discover has learned: schema.GroupVersionKind → metav1.APIResource
}

// Connect finds the cluster and makes the clients. It sends no request, so that it cannot tell whether the server answers.
// The notices tell of choices that were made. Errors have the reason InvalidInput.
func Connect(o Options) (*Client, []event.Notice, error) {
	quiet()
	t, notices, err := locate(o)
	if err != nil {
		return nil, nil, err
	}
	c := &Client{Context: t.context, Source: t.name, Namespace: t.namespace, Server: address(t.config.Host), APITimeout: o.APITimeout, Health: &outage.Health{}, expires: expires(t.config)}
	if err := c.dial(t.config, o); err != nil {
		return nil, nil, invalid("the credentials of "+t.name+" cannot be used: "+err.Error(), hintOf(err), err)
	}
	return c, append(append(notices, insecure(t.config)...), c.oddProxy()...), nil
}

// HearPlugin has tell told what the kubeconfig's credential plugin writes to its standard error, line by line, and nobody else from then on:
// the plugin writes when it likes, also between two calls. The lines are untrusted text; each is told after the token that it may hold, see
// OnSecret. With nil they wait for the next who hears. tell must neither block nor call the client.
func (c *Client) HearPlugin(tell func(program, line string)) {
	if c.plugin != nil {
		c.plugin.to(tell)
	}
}

// Close ends what belongs to the client. Nothing is asked of it afterwards.
func (c *Client) Close() {
	if c.plugin != nil {
		c.plugin.close()
	}
}

// expires is when a configuration's client certificate ends; the zero time when it has none that can be read.
func expires(config *rest.Config) time.Time {
	chain, err := tls.X509KeyPair(config.CertData, config.KeyData)
	if err != nil {
		chain, err = tls.LoadX509KeyPair(config.CertFile, config.KeyFile)
	}
	if err != nil {
		return time.Time{}
	}
	return chain.Leaf.NotAfter
}

// insecure warns of a connection that others can read or change.
func insecure(config *rest.Config) (notices []event.Notice) {
	warn := func(message, hint string) {
		notices = append(notices, event.Notice{Level: event.Warning, Key: "insecure", Message: message, Hint: hint})
	}
	switch {
	case strings.HasPrefix(config.Host, "http://"):
		warn("the API server's address begins with http://, so everybody on the way can read and change what is sent, secret values too", "Use its https:// address.")
	case config.Insecure:
		warn("the kubeconfig has insecure-skip-tls-verify, so that anybody on the way can pretend to be the API server and take the credentials and secret values",
			"Put the cluster's authority into certificate-authority-data instead.")
	}
	return notices
}

// quiet turns the logging of client-go and of net/http off. What they would say comes back as an error too, and their lines would
// stand between those of the run, unmasked: net/http even quotes what a server sends unasked.
var quiet = sync.OnceFunc(func() {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	log.SetOutput(io.Discard)
})

// dial makes the clients of a configuration.
func (c *Client) dial(config *rest.Config, o Options) error {
	config = rest.CopyConfig(config)
	config.UserAgent = o.UserAgent
	// The API server's own fairness and the backoff of Do protect it; client-go's limit of 5 requests a second would only
	// delay the log streams of a Job with many pods.
	config.QPS = -1
	config.Dial = dial
	config.WarningHandlerWithContext = warnings{c}
	c.proxy, c.ownProxy = http.ProxyFromEnvironment, config.Proxy != nil
	if c.ownProxy {
		c.proxy = config.Proxy
	}
	config.Wrap(c.bound)
	if o.Wrap != nil {
		config.Wrap(o.Wrap)
	}
	token := config.BearerToken // Connect has told it
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &guard{next: next, client: c, sent: "Bearer " + token}
	})
	if file := config.BearerTokenFile; file != "" {
		// client-go reads the file again every minute; this one does so after a 401 too.
		config.Wrap(transport.ResettableTokenSourceWrapTransport(transport.NewCachedFileTokenSource(file)))
		config.BearerToken, config.BearerTokenFile = "", ""
	}
	client, err := c.httpClient(config)
	if err != nil {
		return err
	}
	if c.dynamic, err = dynamic.NewForConfigAndClient(config, client); err != nil {
		return err
	}
	return c.dialGroups(config, client)
}

// httpClient makes the client for all requests.
func (c *Client) httpClient(config *rest.Config) (client *http.Client, err error) {
	if config.ExecProvider == nil {
		client, err = rest.HTTPClientFor(config)
	} else if c.plugin, err = newPlugin(c, config.ExecProvider); err == nil {
		client, err = c.plugin.httpClient(config)
	}
	if err != nil {
		return nil, err
	}
	// Without this, the token follows a redirect to wherever it leads. An API server never redirects.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client, nil
}

// window is how many bytes of one answer may have arrived without having been read: a terminal that is slower than 64 log
// streams costs 32 MiB at most. The default, 4 MiB (transportDefaultStreamFlow in golang.org/x/net/http2), would be 256 MiB.
const window = 512 << 10

// pulse is how long a connection may be silent before it is asked whether it lives, and how long it has to answer. The 45 s of
// client-go (k8s.io/apimachinery/pkg/util/net/http.go) are long for somebody who waits for output.
const pulse = 8 * time.Second

// bound gives a transport its limits before it makes its first connection.
func (c *Client) bound(rt http.RoundTripper) http.RoundTripper {
	for inner := rt; ; {
		switch t := inner.(type) {
		case *http.Transport:
			if t != http.DefaultTransport { // without TLS, and so without HTTP/2
				t.OnProxyConnectResponse = c.connected
				t.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: window, SendPingTimeout: pulse, PingTimeout: pulse}
			}
			return rt
		case utilnet.RoundTripperWrapper:
			inner = t.WrappedRoundTripper()
		default:
			return rt
		}
	}
}

// mostWarning is how many bytes of a warning are shown.
const mostWarning = 1000

// warnings hands the server's warnings on.
type warnings struct{ c *Client }

// HandleWarningHeaderWithContext takes a header "Warning: 299 - text"; 299 is the only code that Kubernetes sends.
func (w warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _ string, text string) {
	if code == 299 && text != "" && w.c.OnWarning != nil {
		w.c.OnWarning(event.Shorten(text, mostWarning))
	}
}

// address is a server's address without a user name and password, which a URL may hold. usable has checked it.
func address(host string) string {
	u, err := url.Parse(host)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

// invalid is the error of an option that cannot be used.
func invalid(message, hint string, err error) error {
	return &event.Cause{Reason: event.InvalidInput, Message: message, Hint: hint, Err: err}
}
