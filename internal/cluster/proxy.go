package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// proxyURL is the field of a kubeconfig's cluster.
const proxyURL = "proxy-url"

// proxyError is the error of a request that goes through a proxy: it is the proxy's as likely as the API server's.
type proxyError struct {
	error
	proxy  string // its address, without a user name and a password
	source string // proxy-url, or the environment variable that names it
}

func (e *proxyError) Unwrap() error { return e.error }

// Timeout is what a url.Error around it asks for.
func (e *proxyError) Timeout() bool {
	t, ok := e.error.(net.Error)
	return ok && t.Timeout()
}

// blame puts the proxy into a sentence about the API server.
func (e *proxyError) blame(message string) string {
	proxy := fmt.Sprintf("the proxy %s (from %s)", e.proxy, e.source)
	var op *net.OpError
	var dns *net.DNSError
	switch own := errors.As(e.error, &op) && (op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks")); {
	case own && errors.As(e.error, &dns):
		return fmt.Sprintf("the name %q of %s cannot be resolved (%s)", dns.Name, proxy, dns.Err)
	case own:
		return fmt.Sprintf("%s cannot be reached (%v)", proxy, op.Err)
	}
	return message + ", asked over " + proxy
}

// hint is what to do about it.
func (e *proxyError) hint() string {
	without := "take it away for this step, or put the host of its address into NO_PROXY"
	if e.source == proxyURL {
		without = "take it out of the kubeconfig; where HTTPS_PROXY is set too, put the host of its address into NO_PROXY"
	}
	return fmt.Sprintf("Check the proxy in %s: does it run, and may this be asked over it? When the API server is reached without it, %s.", e.source, without)
}

// proxied says of an error that its request went through a proxy.
func (c *Client) proxied(r *http.Request, err error) error {
	var refused *event.Cause
	if errors.As(err, &refused) || c.proxy == nil {
		return err
	}
	if u, _ := c.proxy(r); u != nil {
		return &proxyError{err, shown(u), c.proxySource(r.URL.Scheme)}
	}
	return err
}

// proxySource is where the proxy of a request is named (golang.org/x/net/http/httpproxy, FromEnvironment).
func (c *Client) proxySource(scheme string) string {
	if c.ownProxy {
		return proxyURL
	}
	name := strings.ToUpper(scheme) + "_PROXY"
	if os.Getenv(name) == "" {
		name = strings.ToLower(name)
	}
	return name
}

// shown is what is told of a proxy's address: net/http takes one that it cannot read apart, and a password may be in its path.
func shown(proxy *url.URL) string { return proxy.Scheme + "://" + proxy.Host }

// oddProxy warns of a variable that names no proxy. net/http goes on without one, or with a part of it
// (golang.org/x/net/http/httpproxy, parseProxy).
func (c *Client) oddProxy() []event.Notice {
	scheme, _, _ := strings.Cut(c.Server, "://")
	name := c.proxySource(scheme)
	value := os.Getenv(name)
	if c.ownProxy || value == "" || isURL(value, "http", "https", "socks5", "socks5h") || !strings.Contains(value, "://") && isURL("http://"+value, "http") {
		return nil
	}
	return []event.Notice{{Level: event.Warning, Key: "proxy", Message: name + " is not the address of a proxy",
		Hint: "It looks like http://host:3128. In a user name and a password, characters such as # % / @ are written as %23 %25 %2F %40."}}
}

// connected hears what a proxy answers to the request for a connection; net/http would keep the words of its status alone. That it
// does not let us through does not heal.
func (c *Client) connected(_ context.Context, proxy *url.URL, r *http.Request, answer *http.Response) error {
	switch answer.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusForbidden, http.StatusProxyAuthRequired:
		p := &proxyError{proxy: shown(proxy), source: c.proxySource("https")} // nobody else is asked for a connection
		return &event.Cause{Reason: event.APIUnreachable, Hint: p.hint(),
			Message: fmt.Sprintf("the proxy %s (from %s) does not let this through to %s: it answers %s", p.proxy, p.source, r.Host, short(answer.Status))}
	}
	return fmt.Errorf("the proxy answers %s", short(answer.Status))
}
