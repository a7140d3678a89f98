package outage

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
	"slices"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Kind is what the error of a request says about the API server.
type Kind int

// The kinds. A request that was not answered may have been carried out all the same, unless it is Unconnected.
const (
	OK                 Kind = iota // no error
	Refusal                        // it understood and said no
	Webhook                        // it answered that it cannot reach an admission webhook that must agree
	Busy                           // it answered, or something before it did, that it cannot do its work now
	Unconnected                    // no connection was made: a wrong address looks like this
	Broken                         // the connection broke, or no answer came in time
	Untrusted                      // its certificate is not accepted
	CertificateRefused             // it does not accept ours
	NoTLS                          // it does not speak TLS at all
	NoCredentials                  // the credential plugin gave none, so that nothing was sent
	Unsendable                     // it cannot be written down: a header or an address is wrong
	Other                          // no request was made, or its answer cannot be read
)

// Away tells whether the API server could not be asked, or could not do its work, which time may heal.
func (k Kind) Away() bool { return k == Busy || k == Unconnected || k == Broken }

// Answered tells whether an API server that works has answered.
func (k Kind) Answered() bool { return k == OK || k == Refusal || k == Webhook }

// PageError is the answer of something that is no API server, or stands before one: a page for people. Time does not heal it, unless its code says so.
type PageError struct {
	Server string // scheme and host
	Code   int    // of HTTP
}

func (e *PageError) Error() string {
	return fmt.Sprintf("what answers at %s is no API server: it sent a web page (HTTP %d)", e.Server, e.Code)
}

// KindOf sorts an error of client-go.
func KindOf(err error) Kind {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return OK
	case errors.As(err, &status):
		return kindOfStatus(err, int(status.Status().Code))
	case errors.As(err, new(*PageError)):
		return Other
	case pluginFailed(err):
		return NoCredentials
	case certificateRefused(err):
		return CertificateRefused
	case noTLS(err):
		return NoTLS
	case untrusted(err):
		return Untrusted
	case unsendable(err):
		return Unsendable
	case broken(err) && unconnected(err):
		return Unconnected
	case broken(err):
		return Broken
	default:
		return Other
	}
}

func kindOfStatus(err error, code int) Kind {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		// k8s.io/apiserver/pkg/admission/plugin/webhook, ErrCallingWebhook; answered as 500.
		if apierrors.IsInternalError(err) && strings.Contains(err.Error(), "failed calling webhook") {
			return Webhook
		}
		return Busy
	}
	return Refusal
}

func broken(err error) bool {
	var request *url.Error
	return errors.As(err, &request) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || utilnet.IsProbableEOF(err) ||
		utilnet.IsTimeout(err) || utilnet.IsConnectionReset(err) || utilnet.IsHTTP2ConnectionLost(err) || errors.Is(err, context.DeadlineExceeded)
}

// unsendable tells whether the request failed in this process, before anything was sent: time does not heal that. net/http has texts
// alone for most of it (Transport.roundTrip).
func unsendable(err error) bool {
	var address *net.AddrError
	return errors.As(err, &address) || slices.ContainsFunc([]string{"net/http: invalid ", "unsupported protocol scheme", "http: no Host in request URL"}, func(text string) bool {
		return strings.Contains(err.Error(), text)
	})
}

func unconnected(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial" || errors.Is(err, syscall.ECONNREFUSED)
}

func untrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &invalid) || errors.As(err, &host)
}

// certificateRefused tells whether the server ended the handshake with an alert; crypto/tls has no type of its own for that.
func certificateRefused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// noTLS tells whether the server does not speak TLS. net/http replaces the record header error by a text.
func noTLS(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// pluginFailed reads client-go's text, which is all there is (k8s.io/client-go/plugin/pkg/client/auth/exec, roundTripper.RoundTrip and
// Authenticator.cert).
func pluginFailed(err error) bool {
	return strings.Contains(err.Error(), "getting credentials: ") || strings.Contains(err.Error(), "exec: executable ")
}
