package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
)

var (
	pods        = schema.GroupResource{Resource: "pods"}
	errRefused  = &url.Error{Op: "Get", URL: "https://api.example:6443/x?y", Err: &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}
	errNoHost   = &url.Error{Op: "Get", URL: "https://api.example:6443/x", Err: &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "api.example", IsNotFound: true}}}
	errCut      = &url.Error{Op: "Get", URL: "https://api.example:6443/x", Err: io.EOF}
	errBusy     = apierrors.NewServiceUnavailable("starting")
	errInternal = apierrors.NewInternalError(errors.New("etcdserver: leader changed"))
	errWebhook  = apierrors.NewInternalError(errors.New(`failed calling webhook "w.example": connection refused`))
	errTooMany  = apierrors.NewTooManyRequests("slow down", 7)
	errToken    = apierrors.NewUnauthorized("no")
	errDenied   = apierrors.NewForbidden(pods, "p", errors.New("no"))
	errMissing  = apierrors.NewNotFound(pods, "p")
	errPlugin   = &url.Error{Op: "Get", URL: "https://api.example", Err: errors.New("getting credentials: exec: executable aws failed with exit code 255")}
)

// TestDo plays calls that fail in a row; the last of them goes on for ever.
func TestDo(t *testing.T) {
	tests := []struct {
		name    string
		reached bool
		since   time.Duration // how long others have met an outage before
		fail    []error       // nil is success
		reason  event.Reason
		is      func(error) bool
		least   time.Duration // how long Do took
		most    time.Duration
		tries   int // 0: not counted
		outages string
	}{
		{name: "success", fail: []error{nil}, tries: 1},
		{name: "not found", fail: []error{errMissing}, reason: event.InvalidInput, is: apierrors.IsNotFound, tries: 1},
		{name: "forbidden", fail: []error{errDenied}, reason: event.Forbidden, is: apierrors.IsForbidden, tries: 1},
		{name: "a blip is not mentioned", fail: []error{errBusy, errCut, errInternal, nil}, most: 2 * time.Second, tries: 4},
		{name: "an outage", reached: true, fail: append(times(12, errRefused), nil), least: 10 * time.Second, most: time.Minute, tries: 13, outages: "lost found "},
		{name: "an outage for too long", reached: true, fail: []error{errRefused}, reason: event.APIUnreachable, least: 110 * time.Second, most: 2 * time.Minute, outages: "lost "},
		{name: "an outage that others have waited for", reached: true, since: 100 * time.Second, fail: []error{errRefused}, reason: event.APIUnreachable, least: 8 * time.Second, most: 20 * time.Second, outages: "lost "},
		{name: "an outage that others have waited for too long", reached: true, since: 3 * time.Minute, fail: []error{errRefused}, reason: event.APIUnreachable, least: 2 * time.Second, most: shortly, outages: "lost "},
		{name: "an outage that others have waited for too long ends", reached: true, since: 3 * time.Minute, fail: []error{errRefused, nil}, most: time.Second, tries: 2, outages: "lost found "},
		{name: "a server that is starting for too long", fail: []error{errBusy}, reason: event.APIUnreachable, least: 110 * time.Second, most: 2 * time.Minute, outages: "lost "},
		{name: "an outage that ends with a refusal", reached: true, fail: append(times(12, errRefused), errMissing), reason: event.InvalidInput, is: apierrors.IsNotFound, least: 10 * time.Second, most: time.Minute, outages: "lost found "},
		{name: "refused at the first contact", fail: []error{errRefused}, reason: event.APIUnreachable, least: 2 * time.Second, most: shortly, outages: "lost "},
		{name: "a wrong name at the first contact", fail: []error{errNoHost}, reason: event.APIUnreachable, least: 2 * time.Second, most: shortly, outages: "lost "},
		{name: "cut off at the first contact", fail: append(times(12, error(errCut)), nil), least: 10 * time.Second, most: time.Minute, outages: "lost found "},
		{name: "Retry-After", fail: []error{errTooMany, errTooMany, nil}, least: 14 * time.Second, most: 15 * time.Second, tries: 3, outages: "lost found "},
		{name: "a webhook out of reach", reached: true, fail: []error{errWebhook}, reason: event.Forbidden, least: 2 * time.Second, most: shortly},
		{name: "new credentials", fail: []error{errToken, nil}, tries: 2},
		{name: "new credentials that are no better", fail: []error{errToken}, reason: event.Unauthorized, is: apierrors.IsUnauthorized, tries: 2},
		{name: "a server that has just restarted knows nobody", reached: true, fail: []error{errRefused, errRefused, errToken, errToken, errDenied, nil}, most: 10 * time.Second, tries: 6},
		{name: "a server that has restarted knows, and refuses", reached: true, fail: []error{errRefused, errDenied}, reason: event.Forbidden, is: apierrors.IsForbidden, least: 2 * time.Second, most: shortly + time.Second},
		{name: "untrusted", fail: []error{&url.Error{Op: "Get", URL: "https://api.example", Err: x509.UnknownAuthorityError{}}}, reason: event.APIUnreachable, tries: 1},
		{name: "the plugin fails", fail: []error{errPlugin}, reason: event.Unauthorized, tries: 1},
		{name: "a cause of the call's own", fail: []error{&event.Cause{Reason: event.JobReplaced, Err: errBusy}}, reason: event.JobReplaced, tries: 1},
		{name: "an error of ours", fail: []error{errors.New("resource name may not be empty")}, reason: event.APIUnreachable, tries: 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				outages := ""
				c := &Client{APITimeout: 2 * time.Minute, Health: &outage.Health{}}
				c.Health.Tell = func(e event.Connection) {
					switch {
					case e.Err == nil:
						outages += "found "
					case time.Since(e.Since) < 2*time.Second:
						t.Errorf("an outage of %s is mentioned", time.Since(e.Since))
						fallthrough
					default:
						outages += "lost "
					}
				}
				if test.reached {
					c.Health.Answered()
				}
				if test.since > 0 {
					began := time.Now()
					time.Sleep(test.since)
					c.Health.Failed(began, errCut)
				}
				tries := 0
				begin := time.Now()
				err := c.Do(t.Context(), "look at Pod ns/p", func(context.Context) error {
					tries++
					return test.fail[min(tries, len(test.fail))-1]
				})
				took := time.Since(begin)
				if took < test.least || took > max(test.most, 200*time.Millisecond) {
					t.Errorf("took %s, want %s to %s", took, test.least, test.most)
				}
				if test.tries > 0 && tries != test.tries {
					t.Errorf("%d tries, want %d", tries, test.tries)
				}
				if outages != test.outages {
					t.Errorf("told %q, want %q", outages, test.outages)
				}
				if test.reason == "" {
					if err != nil {
						t.Errorf("got %v", err)
					}
					return
				}
				var cause *event.Cause
				if !errors.As(err, &cause) || cause.Reason != test.reason {
					t.Fatalf("got %v, want the reason %s", err, test.reason)
				}
				if test.is != nil && !test.is(err) {
					t.Errorf("the error is not client-go's any more: %v", err)
				}
				if test.least > 0 && cause.Reason == event.APIUnreachable && !strings.Contains(cause.Message, "tries in ") {
					t.Errorf("%q does not say how long it was tried", cause.Message)
				}
			})
		})
	}
}

func times(n int, err error) (errs []error) {
	for range n {
		errs = append(errs, err)
	}
	return errs
}

// TestDoInterrupted ends the context of a call that is tried again and again, or hangs.
func TestDoInterrupted(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	fail := func(context.Context) error { return errBusy }
	own := &event.Cause{Reason: event.StartTimeout, Message: "the old Job does not go"}
	tests := []struct {
		name    string
		call    func(context.Context) error
		context func(context.Context) (context.Context, context.CancelFunc)
		want    string
		is      error
	}{
		{"cancelled in a pause", fail, cancelAfter, "the run was cancelled before it could create x", context.Canceled},
		{"cancelled in a call", hang, cancelAfter, "the run was cancelled before it could create x", context.Canceled},
		{"the limit passed in a pause", fail, timeout, "cannot create x: the API server answers 503: starting", context.DeadlineExceeded},
		{"the limit passed in a call", hang, timeout, "cannot create x: the API server does not answer in time", context.DeadlineExceeded},
		{"a limit with a cause of its own", hang, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, 5*time.Second, own)
		}, own.Message, own},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := test.context(t.Context())
				defer cancel()
				c := &Client{APITimeout: 2 * time.Minute}
				begin := time.Now()
				err := c.Do(ctx, "create x", test.call)
				var cause *event.Cause
				if !errors.As(err, &cause) || cause.Message != test.want || !errors.Is(err, test.is) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				if took := time.Since(begin); took != 5*time.Second {
					t.Errorf("took %s, want 5s", took)
				}
			})
		})
	}
}

func cancelAfter(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	time.AfterFunc(5*time.Second, cancel)
	return ctx, cancel
}

func timeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 5*time.Second)
}

// TestDoHangs is a call that never answers: that is told soon, and another try is made in time.
func TestDoHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{APITimeout: 2 * time.Minute, Health: &outage.Health{}}
		tries, told := 0, ""
		begin := time.Now()
		c.Health.Tell = func(e event.Connection) { told += fmt.Sprintf("%s %v\n", time.Since(begin), e.Err) }
		err := c.Do(t.Context(), "create x", func(ctx context.Context) error {
			if tries++; tries == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		if took := time.Since(begin); err != nil || tries != 2 || took > 61*time.Second {
			t.Errorf("%v after %d tries in %s", err, tries, took)
		}
		if !strings.HasPrefix(told, "7s silent for 7.0 s\n1m0") || !strings.HasSuffix(told, " <nil>\n") {
			t.Errorf("told %q", told)
		}
		told = ""
		c.plugin = &plugin{}
		err = c.Do(t.Context(), "create x", func(context.Context) error { time.Sleep(20 * time.Second); return nil })
		if err != nil || told != "" {
			t.Errorf("%v, and a plugin that asks somebody is an outage: %q", err, told)
		}
	})
}

// certificate makes a key and a certificate that signs itself.
func certificate(t *testing.T, host string, expires time.Time) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: expires.Add(-48 * time.Hour), NotAfter: expires,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// cluster makes a kubeconfig of one cluster and user, whose fields are given as JSON has them.
func clusterOf(t *testing.T, cluster, user map[string]any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"clusters": []any{map[string]any{"name": "c", "cluster": cluster}},
		"users":    []any{map[string]any{"name": "u", "user": user}},
		"contexts": []any{map[string]any{"name": "x", "context": map[string]any{"cluster": "c", "user": "u"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// dialled connects to a server, with little patience.
func dialled(t *testing.T, cluster, user map[string]any) *Client {
	t.Helper()
	c, _, err := connect(t, Options{Kubeconfig: clusterOf(t, cluster, user), Dir: t.TempDir(), APITimeout: 300 * time.Millisecond}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user["exec"] != nil {
		c.APITimeout = 20 * time.Second // a shell starts slowly on a busy machine
	}
	t.Cleanup(c.Close)
	return c
}

// look reads a ConfigMap.
func look(t *testing.T, c *Client) error {
	t.Helper()
	return c.Do(t.Context(), "read ConfigMap ns/x", func(ctx context.Context) error {
		_, err := c.ConfigMaps("ns").Get(ctx, "x", metav1.GetOptions{})
		return err
	})
}

// TestTLS meets servers whose certificates are wrong.
func TestTLS(t *testing.T) {
	tomorrow, yesterday := time.Now().Add(24*time.Hour), time.Now().Add(-24*time.Hour)
	good, goodCA := certificate(t, "127.0.0.1", tomorrow)
	old, oldCA := certificate(t, "127.0.0.1", yesterday)
	other, otherCA := certificate(t, "api.example", tomorrow)
	tests := []struct {
		name   string
		server tls.Certificate
		trust  []byte
		config *tls.Config
		reason event.Reason
		want   string
	}{
		{"trusted", good, goodCA, &tls.Config{}, "", ""},
		{"untrusted", good, otherCA, &tls.Config{}, event.APIUnreachable, "is signed by an authority that the kubeconfig does not trust"},
		{"expired", old, oldCA, &tls.Config{}, event.APIUnreachable, "is not valid now (current time "},
		{"for another name", other, otherCA, &tls.Config{}, event.APIUnreachable, "is for another name ("},
		{"wants a client certificate", good, goodCA, &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, event.Unauthorized, "refuses the client certificate"},
		{"does not know the name", good, goodCA, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no") }}, event.APIUnreachable, "ends the TLS handshake (remote error: tls: internal error)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			asked := make(chan struct{}, 1)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- struct{}{}
				answer(w, http.StatusOK, &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}})
			}))
			server.TLS = test.config
			server.TLS.Certificates = []tls.Certificate{test.server}
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.EnableHTTP2 = true
			server.StartTLS()
			defer server.Close()
			err := look(t, dialled(t, map[string]any{"server": server.URL, "certificate-authority-data": test.trust}, map[string]any{"token": "s3cr3t"}))
			if test.reason == "" {
				if err != nil || len(asked) != 1 {
					t.Errorf("got %v, %d requests", err, len(asked))
				}
				return
			}
			var cause *event.Cause
			if !errors.As(err, &cause) || cause.Reason != test.reason || !strings.Contains(cause.Message, test.want) || !strings.Contains(cause.Message, server.URL) || !strings.Contains(cause.Hint, `context "x" of the kubeconfig`) {
				t.Errorf("got %v, want %s: %q, the address and where it is from", err, test.reason, test.want)
			}
			if strings.Contains(cause.Message, "tries") {
				t.Errorf("it was tried again: %v", err)
			}
		})
	}
}

// TestWindow: of a log that nobody reads, little more than a window is accepted.
func TestWindow(t *testing.T) {
	cert, authority := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
	sent := make(chan int, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("the request came by %s", r.Proto)
		}
		n, piece := 0, make([]byte, 16<<10)
		for {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(3 * time.Second))
			m, err := w.Write(piece)
			n += m
			if err != nil || n > 64*window {
				sent <- n
				return
			}
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	client := dialled(t, map[string]any{"server": server.URL, "certificate-authority-data": authority}, map[string]any{"token": "s3cr3t"})
	body, err := client.OpenLog(t.Context(), "ns", "p", &corev1.PodLogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if n := <-sent; n < window || n > 2*window {
		t.Errorf("%d bytes were accepted, the window has %d", n, window)
	}
}

func answer(w http.ResponseWriter, code int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object) // the client may be gone
}

// TestUnreachable meets what is not an API server at all.
func TestUnreachable(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer plain.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	_ = closed.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = fmt.Fprint(w, "<html>"+strings.Repeat("no upstream ", 1000))
	}))
	defer page.Close()
	cut := listener(t, func(c net.Conn) { _ = c.Close() })
	silent := listener(t, func(net.Conn) {})
	tests := []struct{ name, server, want, hint string }{
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), " does not speak TLS", "Check the address and port"},
		{"nobody listens", "https://" + nobody, " refuses the connection", "whether the cluster runs"},
		{"a name that nobody knows", "https://api..example:6443", " cannot be resolved (", "a VPN that is connected"},
		{"a page of a proxy", page.URL, "the API server answers 502", ""},
		{"the connection is cut", "https://" + cut, " broke (", "A firewall, a proxy, or a load balancer"},
		{"no answer", "https://" + silent, " does not answer in time", "A firewall, a VPN that is not connected"},
		{"no answer, without TLS", "http://" + silent, " does not answer in time", "A firewall, a VPN that is not connected"},
	}
	for _, test := range tests {
		for name, limit := range map[string]error{"api-timeout": nil, "timeout": &event.Cause{Reason: event.Timeout, Message: "the run was not done", Hint: "Give it more time."}} {
			t.Run(test.name+", until "+name, func(t *testing.T) {
				c := dialled(t, map[string]any{"server": test.server}, map[string]any{"token": "s3cr3t"})
				unanswered := strings.HasPrefix(test.name, "no answer")
				ctx, cancel := context.WithCancel(t.Context())
				if limit != nil {
					patience := 1500 * time.Millisecond // whoever answers does within it, on a busy machine too
					if unanswered {
						patience = 300 * time.Millisecond
					}
					c.APITimeout = time.Minute
					ctx, cancel = context.WithTimeoutCause(ctx, patience, limit)
				}
				defer cancel()
				err := c.Do(ctx, "create ConfigMap ns/x", func(ctx context.Context) error {
					if limit == nil && unanswered { // a try has 10 s
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
						defer cancel()
					}
					_, err := c.ConfigMaps("ns").Create(ctx, &corev1.ConfigMap{}, metav1.CreateOptions{}) // client-go tries a read again by itself
					return err
				})
				var cause *event.Cause
				if !errors.As(err, &cause) || len(cause.Message) > 1200 {
					t.Fatalf("got %v", err)
				}
				for _, want := range []string{"cannot create ConfigMap ns/x: ", test.want} {
					if !strings.Contains(cause.Message, want) {
						t.Errorf("the message is %q, want %q", cause.Message, want)
					}
				}
				if server := "the API server " + test.server; test.server != page.URL && !strings.Contains(cause.Message, server) {
					t.Errorf("the message is %q, want %q", cause.Message, server)
				}
				for _, want := range []string{test.hint, `The address is that of context "x" of the kubeconfig.`} {
					if !strings.Contains(cause.Hint, want) {
						t.Errorf("the hint is %q, want %q", cause.Hint, want)
					}
				}
			})
		}
	}
}

// TestLastTryIsCut: a try that had hardly begun when the time was over says nothing about the server; the one before does.
func TestLastTryIsCut(t *testing.T) {
	for lasted, want := range map[time.Duration]string{0: " refuses the connection", 5 * time.Second: " does not answer in time"} {
		synctest.Test(t, func(t *testing.T) {
			c := &Client{APITimeout: time.Minute, Health: &outage.Health{}, Server: "https://api.example", Source: "x"}
			ctx, end := context.WithCancelCause(t.Context())
			tries := 0
			err := c.Do(ctx, "look", func(context.Context) error {
				if tries++; tries == 1 {
					return &url.Error{Op: "Get", URL: c.Server, Err: syscall.ECONNREFUSED}
				}
				time.Sleep(lasted)
				end(&event.Cause{Reason: event.Timeout, Message: "the run was not done"})
				return &url.Error{Op: "Get", URL: c.Server, Err: context.DeadlineExceeded}
			})
			if tries != 2 || !strings.Contains(fmt.Sprint(err), c.Server+want) {
				t.Errorf("%d tries, the last of %s: %v", tries, lasted, err)
			}
		})
	}
}

// listener takes connections and hands each to serve. All are closed with the test.
func listener(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			serve(c)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// TestExpiredClientCertificate: an API server answers a certificate that has expired with 401, and other servers with an alert. Neither says
// which of a kubeconfig's contexts has it, nor since when.
func TestExpiredClientCertificate(t *testing.T) {
	ended := time.Now().Add(-time.Hour)
	server, authority := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
	for name, client := range map[string]struct {
		expires time.Time
		want    bool
	}{"expired": {ended, true}, "valid": {time.Now().Add(time.Hour), false}} {
		for how, config := range map[string]*tls.Config{"401": {}, "an alert": {ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}} {
			t.Run(name+", "+how, func(t *testing.T) {
				s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					answer(w, http.StatusUnauthorized, errToken.Status())
				}))
				s.TLS = config.Clone()
				s.TLS.Certificates = []tls.Certificate{server}
				s.Config.ErrorLog = log.New(io.Discard, "", 0)
				s.StartTLS()
				defer s.Close()
				own, text := certificate(t, "127.0.0.1", client.expires)
				key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
				if err != nil {
					t.Fatal(err)
				}
				err = look(t, dialled(t, map[string]any{"server": s.URL, "certificate-authority-data": authority},
					map[string]any{"client-certificate-data": text, "client-key-data": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})}))
				var cause *event.Cause
				if !errors.As(err, &cause) || cause.Reason != event.Unauthorized || !strings.Contains(cause.Hint, `those of context "x" of the kubeconfig, for `+s.URL) {
					t.Fatalf("got %v, want whose credentials they are", err)
				}
				if said := strings.Contains(cause.Message, "the client certificate has expired, at "+ended.UTC().Format("2006-01-02T15:04")); said != client.want {
					t.Errorf("got %v, want that it has expired: %t", err, client.want)
				}
			})
		}
	}
}

// guarded is an API server that knows one token at a time.
type guarded struct {
	mu    sync.Mutex
	token string
	seen  []string
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	g.seen = append(g.seen, token)
	if token != g.token {
		answer(w, http.StatusUnauthorized, errToken.Status())
		return
	}
	w.Header().Set("Warning", `299 - "this is deprecated"`)
	answer(w, http.StatusOK, &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}})
}

// TestRenewal lets credentials expire between two calls: a file that is rewritten, and a plugin that is run again.
func TestRenewal(t *testing.T) {
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	plugin := filepath.Join(dir, "plugin")
	script := "#!/bin/sh\nprintf '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"%s\"}}' \"$(cat " + token + ")\"\n"
	if err := os.WriteFile(plugin, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	users := map[string]map[string]any{
		"token file": {"tokenFile": token},
		"plugin":     {"exec": map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "interactiveMode": "Never"}},
	}
	for name, user := range users {
		t.Run(name, func(t *testing.T) {
			certificate, ca := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
			g := &guarded{token: "first"}
			server := httptest.NewUnstartedServer(g)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
			server.StartTLS()
			defer server.Close()
			renew := func(text string) {
				t.Helper()
				if err := os.WriteFile(token, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			renew("first")
			c := dialled(t, map[string]any{"server": server.URL, "certificate-authority-data": ca}, user)
			var warned []string
			c.OnWarning = func(text string) { warned = append(warned, text) }
			if err := look(t, c); err != nil {
				t.Fatal(err)
			}
			g.mu.Lock()
			g.token = "second"
			g.mu.Unlock()
			renew("second")
			if err := look(t, c); err != nil {
				t.Error(err)
			}
			if got := fmt.Sprint(g.seen); got != "[first first second]" {
				t.Errorf("the server saw the tokens %s", got)
			}
			if got := fmt.Sprint(warned); got != "[this is deprecated this is deprecated]" {
				t.Errorf("warnings %s", got)
			}
		})
	}
}
