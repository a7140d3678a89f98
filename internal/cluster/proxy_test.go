package cluster

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
)

// TestProxies: a proxy that does not do its work is blamed by name and source, and not the API server; its password is not shown.
func TestProxies(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := closed.Addr().String()
	_ = closed.Close()
	answers := func(code int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodConnect {
				t.Errorf("the proxy is asked %s", r.Method)
			}
			w.WriteHeader(code)
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	cuts := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer cuts.Close()
	tests := []struct {
		name, scheme, proxy, want string
		once                      bool // it is not tried again
	}{
		{"dead", "http", dead, "cannot be reached (dial tcp " + dead + ": connect: connection refused)", false},
		{"dead, for SOCKS", "socks5", dead, "cannot be reached (dial tcp " + dead + ": connect: connection refused)", false},
		{"403", "http", answers(403), "does not let this through to 127.0.0.1:1: it answers 403 Forbidden", true},
		{"407", "http", answers(407), "does not let this through to 127.0.0.1:1: it answers 407 Proxy Authentication Required", true},
		{"502", "http", answers(502), "the proxy answers 502 Bad Gateway", false},
		{"cut off", "http", cuts.Listener.Addr().String(), "the connection to the API server https://127.0.0.1:1 broke (", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			proxy := test.scheme + "://" + test.proxy
			c := dialled(t, map[string]any{"server": "https://127.0.0.1:1", "proxy-url": test.scheme + "://me:s3cr3t@" + test.proxy}, map[string]any{"token": "t"})
			c.APITimeout = 2 * time.Second // more than one try
			err := look(t, c)
			var cause *event.Cause
			if !errors.As(err, &cause) || cause.Reason != event.APIUnreachable || !strings.Contains(cause.Message, test.want) ||
				!strings.Contains(cause.Message, "the proxy "+proxy+" (from proxy-url)") || !strings.Contains(cause.Hint, "NO_PROXY") || !strings.Contains(cause.Hint, "proxy-url") {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if said := fmt.Sprint(err); strings.Contains(said, "s3cr3t") || strings.Contains(said, "refuses the connection") || strings.Contains(said, "tries in") == test.once {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestProxyOfTheEnvironment: the variable is named as it is set.
func TestProxyOfTheEnvironment(t *testing.T) {
	refused := &net.OpError{Op: "proxyconnect", Net: "tcp", Err: &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}
	unknown := &net.OpError{Op: "proxyconnect", Net: "tcp", Err: &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "proxy.example", IsNotFound: true}}}
	for _, test := range []struct {
		set  string
		err  error
		kind outage.Kind
		want string
	}{
		{"HTTPS_PROXY", refused, outage.Unconnected, "the proxy http://proxy.example:3128 (from HTTPS_PROXY) cannot be reached (dial tcp: connect: connection refused)"},
		{"https_proxy", refused, outage.Unconnected, "the proxy http://proxy.example:3128 (from https_proxy) cannot be reached"},
		{"HTTPS_PROXY", unknown, outage.Unconnected, `the name "proxy.example" of the proxy http://proxy.example:3128 (from HTTPS_PROXY) cannot be resolved (no such host)`},
		{"HTTPS_PROXY", io.EOF, outage.Broken, "the connection to the API server https://203.0.113.7:6443 broke (EOF), asked over the proxy http://proxy.example:3128 (from HTTPS_PROXY)"},
		{"HTTPS_PROXY", os.ErrDeadlineExceeded, outage.Broken, "does not answer in time, asked over the proxy http://proxy.example:3128 (from HTTPS_PROXY)"},
	} {
		t.Setenv("HTTPS_PROXY", "")
		t.Setenv("https_proxy", "")
		t.Setenv(test.set, "http://me:s3cr3t@proxy.example:3128")
		c := &Client{proxy: func(*http.Request) (*url.URL, error) { return url.Parse(os.Getenv(test.set)) }}
		r, err := http.NewRequest(http.MethodGet, "https://203.0.113.7:6443/api", nil)
		if err != nil {
			t.Fatal(err)
		}
		failed := &url.Error{Op: "Get", URL: r.URL.String(), Err: c.proxied(r, test.err)}
		cause := Cause(failed, "look")
		if kind := outage.KindOf(failed); kind != test.kind || !strings.Contains(cause.Message, test.want) || !strings.Contains(cause.Hint, "NO_PROXY") || !strings.Contains(cause.Hint, test.set) ||
			strings.Contains(cause.Error(), "s3cr3t") {
			t.Errorf("kind %d, %s\n%s\nwant %q", kind, cause.Message, cause.Hint, test.want)
		}
	}
}

// TestProxyThatIsNoAddress: net/http goes without a proxy whose address it cannot read, or takes a part of it for a host, password and all.
func TestProxyThatIsNoAddress(t *testing.T) {
	for _, test := range []struct {
		value string
		odd   bool
	}{
		{"http://me:s3cr3t#t@proxy.example:3128", true}, {"http://me:s3cr3t%zz@proxy.example:3128", true}, {"ftp://proxy.example", true}, {"http://proxy.example:99999", true},
		{"http://me:s3cr3t%23@proxy.example:3128", false}, {"proxy.example:3128", false}, {"socks5://proxy.example", false}, {"", false},
	} {
		t.Setenv("HTTPS_PROXY", test.value)
		t.Setenv("https_proxy", "")
		_, notices, err := connect(t, Options{Kubeconfig: kubeconfig}, nil)
		said := fmt.Sprint(notices)
		if err != nil || strings.Contains(said, "HTTPS_PROXY is not the address of a proxy") != test.odd || strings.Contains(said, "s3cr3t") {
			t.Errorf("%s: %v, %s", test.value, err, said)
		}
	}
	misread := &url.URL{Scheme: "http", Host: "http", Path: "//me:s3cr3t", Fragment: "t@proxy.example:3128"}
	c := &Client{proxy: func(*http.Request) (*url.URL, error) { return misread, nil }}
	r, err := http.NewRequest(http.MethodGet, "https://203.0.113.7:6443/api", nil)
	if err != nil {
		t.Fatal(err)
	}
	if cause := Cause(c.proxied(r, io.EOF), "look"); strings.Contains(cause.Error(), "s3cr3t") || !strings.Contains(cause.Error(), "the proxy http://http ") {
		t.Errorf("got %v", cause)
	}
}
