package outage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/planton/kubernetes-job-action/internal/event"
)

func TestKindOf(t *testing.T) {
	sent := func(err error) error { return &url.Error{Op: "Get", URL: "https://api.example", Err: err} }
	dial := func(err error) error { return sent(&net.OpError{Op: "dial", Net: "tcp", Err: err}) }
	pods := schema.GroupResource{Resource: "pods"}
	for _, c := range []struct {
		err  error
		want Kind
	}{
		{nil, OK},
		{apierrors.NewNotFound(pods, "p"), Refusal},
		{apierrors.NewUnauthorized("no"), Refusal},
		{fmt.Errorf("around: %w", apierrors.NewForbidden(pods, "p", errors.New("no"))), Refusal},
		{apierrors.NewResourceExpired("too old"), Refusal},
		{apierrors.NewInternalError(errors.New(`failed calling webhook "w": refused`)), Webhook},
		{apierrors.NewInternalError(errors.New("etcdserver: leader changed")), Busy},
		{apierrors.NewTooManyRequests("slow down", 1), Busy},
		{apierrors.NewServiceUnavailable("starting"), Busy},
		{apierrors.NewTimeoutError("late", 1), Busy},
		{dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), Unconnected},
		{dial(&net.DNSError{Err: "no such host", Name: "api.example"}), Unconnected},
		{dial(context.DeadlineExceeded), Unconnected},
		{sent(io.EOF), Broken},
		{sent(context.DeadlineExceeded), Broken},
		{sent(syscall.ECONNRESET), Broken},
		{io.ErrUnexpectedEOF, Broken},
		{sent(x509.UnknownAuthorityError{}), Untrusted},
		{sent(x509.HostnameError{Certificate: &x509.Certificate{}}), Untrusted},
		{sent(&tls.CertificateVerificationError{Err: errors.New("odd")}), Untrusted},
		{sent(&net.OpError{Op: "remote error", Err: errors.New("bad certificate")}), CertificateRefused},
		{sent(tls.RecordHeaderError{}), NoTLS},
		{sent(errors.New("http: server gave HTTP response to HTTPS client")), NoTLS},
		{sent(errors.New("getting credentials: exec: executable aws failed")), NoCredentials},
		{errors.New("resource name may not be empty"), Other},
	} {
		got := KindOf(c.err)
		if got != c.want {
			t.Errorf("%v: kind %d, want %d", c.err, got, c.want)
		}
		if got.Away() && got.Answered() {
			t.Errorf("%v: away, and answered", c.err)
		}
	}
}

// TestHealth plays requests of several callers.
func TestHealth(t *testing.T) {
	cut := errors.New("cut")
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var told []string
		h := &Health{Tell: func(c event.Connection) {
			if c.Err == nil {
				told = append(told, fmt.Sprintf("found at %s", time.Since(begin)))
			} else {
				told = append(told, fmt.Sprintf("lost at %s since %s", time.Since(begin), c.Since.Sub(begin)))
			}
		}}
		at := func(seconds int) { time.Sleep(time.Until(begin.Add(time.Duration(seconds) * time.Second))) }
		if h.Reached() {
			t.Error("reached before anybody was answered")
		}
		h.Failed(time.Now(), cut)
		at(1)
		h.Failed(time.Now(), cut)
		h.Answered() // a blip
		at(2)
		h.Failed(time.Now(), cut)
		if got := h.Since(); got != begin.Add(2*time.Second) {
			t.Errorf("away since %s", got.Sub(begin))
		}
		at(4)
		h.Failed(time.Now(), cut)
		at(9)
		h.Failed(time.Now(), cut) // another caller: it is told once
		at(10)
		h.Answered()
		h.Answered()
		at(20)
		h.Failed(begin.Add(5*time.Second), cut) // it hung while others were answered
		if got := h.Since(); got != begin.Add(10*time.Second) {
			t.Errorf("away since %s", got.Sub(begin))
		}
		h.Answered()
		if !h.Since().IsZero() || !h.Reached() {
			t.Error("away after an answer")
		}
		want := []string{"lost at 4s since 2s", "found at 10s", "lost at 20s since 10s", "found at 20s"}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Error(diff)
		}
	})
}

func TestHealthThatNobodyWants(t *testing.T) {
	var h *Health
	h.Failed(time.Now(), io.EOF)
	h.Answered()
	if h.Reached() || !h.Since().IsZero() {
		t.Error("a nil Health knows something")
	}
	var silent Health
	silent.Failed(time.Now().Add(-time.Hour), io.EOF)
	silent.Answered()
}
