package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/planton/kubernetes-job-action/internal/event"
)

const (
	// shortly is the patience with what is probably a mistake, but may be a blip: a server that has never answered refuses
	// the connection, or its name is not known; an admission webhook is out of reach; or a server that has just come back
	// does not know its users yet (the authorizer's caches are still empty then).
	shortly = 10 * time.Second
	// unmentioned is how long an outage may last before anybody is told.
	unmentioned = 2 * time.Second
)

// Do calls the API server until the call succeeds, or fails in a way that time does not heal, or the patience ends: that is
// APITimeout for connection errors and the answers 429, 500, 502, 503 and 504, and shorter for some, see patience. The
// pauses grow, have jitter, and are at least as long as the server's Retry-After. A 401 is tried once more at once: client-go
// mints a new token then (exec plugins, token files). A try may take half of APITimeout, but at least 10 s.
//
// The context given to call is that of one try. what is the call in words, such as "create Job ns/name". Errors are *event.Cause
// and wrap that of client-go, so that the functions of k8s.io/apimachinery/pkg/api/errors work on them.
// When ctx is done, its cause is returned, as *event.Cause too.
func (c *Client) Do(ctx context.Context, what string, call func(context.Context) error) error {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	begin := time.Now()
	kind, kindSince := time.Duration(-1), begin // the patience with the present kind of failure, and since when it is spent
	var failing time.Time                       // when the first try failed that was an outage
	told, renewed := false, false
	for tries := 1; ; tries++ {
		try, cancel := context.WithTimeout(ctx, max(c.apiTimeout/2, 10*time.Second))
		err := call(try)
		cancel()
		if err != nil && ctx.Err() != nil {
			return interrupted(ctx, what, err)
		}
		if err == nil || answered(err) {
			c.reached.Store(true)
			if told {
				c.tell(event.Connection{})
				told = false
			}
		}
		if err == nil {
			return nil
		}
		wait := pause.NextBackOff()
		if apierrors.IsUnauthorized(err) && !renewed {
			renewed, wait = true, 0
		} else {
			patience := c.patience(err, !failing.IsZero())
			if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
				wait = max(wait, time.Duration(seconds)*time.Second)
			}
			if patience != kind {
				kind, kindSince = patience, time.Now()
			}
			if spent := time.Since(begin); spent+wait > c.apiTimeout || time.Since(kindSince)+wait > patience {
				cause := Cause(err, what)
				if tries > 1 && patience > 0 {
					cause.Message += fmt.Sprintf(" (%d tries in %s)", tries, event.Seconds(spent))
				}
				return cause
			}
		}
		if outage(err) {
			if failing.IsZero() {
				failing = time.Now()
			}
			if !told && time.Since(failing) >= unmentioned {
				told = true
				c.tell(event.Connection{Err: errors.New(why(err)), Since: failing})
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return interrupted(ctx, what, err)
		}
	}
}

func (c *Client) tell(e event.Connection) {
	if c.OnConnection != nil {
		c.OnConnection(e)
	}
}

// interrupted is the error of a call whose context is done. last is how the last try failed.
func interrupted(ctx context.Context, what string, last error) error {
	var cause *event.Cause
	switch err := context.Cause(ctx); {
	case errors.As(err, &cause):
		return cause
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(last, context.DeadlineExceeded):
		return &event.Cause{Reason: event.APIUnreachable, Message: fmt.Sprintf("cannot %s: the API server did not answer in time", what), Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		cause = Cause(last, what)
		cause.Err = errors.Join(err, last)
		return cause
	default:
		return &event.Cause{Reason: event.ReasonCancelled, Message: fmt.Sprintf("the run was cancelled before it could %s", what), Err: err}
	}
}

// patience is how long a call that fails like this is tried again, from its first try on; 0 when time does not heal it.
func (c *Client) patience(err error, afterOutage bool) time.Duration {
	var cause *event.Cause
	switch {
	case errors.As(err, &cause), untrusted(err), pluginFailed(err):
		return 0
	case webhookUnreachable(err):
		return min(shortly, c.apiTimeout)
	case outage(err):
		if !c.reached.Load() && unconnected(err) {
			return min(shortly, c.apiTimeout)
		}
		return c.apiTimeout
	case afterOutage && (apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err)):
		return shortly
	default:
		return 0
	}
}

// answered tells whether the error is the answer of an API server that works.
func answered(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && !outage(err)
}

// outage tells whether the API server could not be reached, or could not do its work for a while.
func outage(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		switch status.Status().Code {
		case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return !webhookUnreachable(err)
		}
		return false
	}
	if untrusted(err) || pluginFailed(err) {
		return false
	}
	var request *url.Error
	return errors.As(err, &request) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || utilnet.IsProbableEOF(err) ||
		utilnet.IsTimeout(err) || utilnet.IsConnectionReset(err) || utilnet.IsHTTP2ConnectionLost(err) || errors.Is(err, context.DeadlineExceeded)
}

// unconnected tells whether no connection was made at all: a wrong address looks like this.
func unconnected(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial" || errors.Is(err, syscall.ECONNREFUSED)
}

// untrusted tells whether the two sides do not accept each other's certificates, or do not both speak TLS.
func untrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &invalid) || errors.As(err, &host) ||
		certificateRefused(err) || noTLS(err)
}

// certificateRefused tells whether the server ended the handshake with an alert; crypto/tls has no type of its own for that.
func certificateRefused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// noTLS tells whether the server does not speak TLS at all. net/http replaces the record header error by a text.
func noTLS(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record) || err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// pluginFailed tells whether the credential plugin gave no credentials. client-go gives only a text
// (k8s.io/client-go/plugin/pkg/client/auth/exec, roundTripper.RoundTrip and Authenticator.cert).
func pluginFailed(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "getting credentials: ") || strings.Contains(err.Error(), "exec: executable "))
}

// webhookUnreachable tells whether the API server could not reach an admission webhook that must agree
// (k8s.io/apiserver/pkg/admission/plugin/webhook, ErrCallingWebhook; answered as 500).
func webhookUnreachable(err error) bool {
	return apierrors.IsInternalError(err) && strings.Contains(err.Error(), "failed calling webhook")
}
