package faultproxy

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// Fault is what is done to a request.
type Fault int

const (
	None        Fault = iota
	ServerError       // 500
	Unavailable       // 503
	Throttled         // 429, as the API server's own limits answer it: with Retry-After
	Refused           // 429 of somebody in between: without it
	Lost              // the API server does what it is asked for, and the answer is lost
	faults
)

// Random gives a Front's choice: a fault of any kind for this share of the requests, 0 to 1.
func Random(share float64) func(*http.Request) Fault {
	return func(*http.Request) Fault {
		if rand.Float64() >= share {
			return None
		}
		return 1 + Fault(rand.IntN(int(faults)-1))
	}
}

// Front answers in place of the API server: TLS of the client ends here, and requests are passed on in the name of whoever
// owns the certificate that NewFront was given. It writes down every request.
type Front struct {
	server *httptest.Server

	mu       sync.Mutex
	requests []string
	answers  []Answer
	faults   int
}

// Answer is one of the API server's that a client was given.
type Answer struct {
	Request string // method, path and query
	At      time.Time
}

// NewFront serves on a port of the loopback address, until Close. The target is the API server's address, and the config is
// how it is reached. The choice is made for each request, which waits for it; nil means that nothing is hurt.
func NewFront(target string, config *tls.Config, choose func(*http.Request) Fault) (*Front, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	quiet := log.New(io.Discard, "", 0)
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Header.Del("Authorization") // the certificate speaks
		},
		Transport:     transport,
		FlushInterval: -1, // a watch and a log are read while they grow
		ErrorLog:      quiet,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	lose := *pass
	lose.ModifyResponse = func(*http.Response) error { return errors.New("lost") }

	f := &Front{}
	pass.ModifyResponse = func(r *http.Response) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.answers = append(f.answers, Answer{r.Request.Method + " " + r.Request.URL.RequestURI(), time.Now()})
		return nil
	}
	f.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault := None
		if choose != nil {
			fault = choose(r)
		}
		f.mu.Lock()
		f.requests = append(f.requests, fmt.Sprintf("%s %s", r.Method, r.URL))
		if fault != None {
			f.faults++
		}
		f.mu.Unlock()
		switch fault {
		case ServerError:
			refuse(w, http.StatusInternalServerError, "InternalError")
		case Unavailable:
			refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable")
		case Throttled:
			w.Header().Set("Retry-After", "1")
			refuse(w, http.StatusTooManyRequests, "TooManyRequests")
		case Refused:
			refuse(w, http.StatusTooManyRequests, "TooManyRequests")
		case Lost:
			lose.ServeHTTP(w, r)
		default:
			pass.ServeHTTP(w, r)
		}
	}))
	f.server.EnableHTTP2 = true
	f.server.Config.ErrorLog = quiet
	f.server.Config.RegisterOnShutdown(transport.CloseIdleConnections)
	f.server.StartTLS()
	return f, nil
}

func refuse(w http.ResponseWriter, code int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": %d, "reason": %q, "message": "a fault of the test"}`, code, reason)
}

// URL is where clients connect.
func (f *Front) URL() string { return f.server.URL }

// CA is the certificate that clients must trust, in PEM.
func (f *Front) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.server.Certificate().Raw})
}

// Requests are those that came, in order: method, path and query.
func (f *Front) Requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.requests...)
}

// Answers are those that the API server has given, in order.
func (f *Front) Answers() []Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Answer(nil), f.answers...)
}

// Faults is how many of them were hurt.
func (f *Front) Faults() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.faults
}

// Close ends everything, also what is still being answered.
func (f *Front) Close() {
	f.server.CloseClientConnections()
	f.server.Close()
}
