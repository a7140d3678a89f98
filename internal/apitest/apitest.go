// Package apitest plays the API server for tests: it answers the requests that a script expects, and fails the test for every other one,
// and for those that never came. It stands in the place of a client's transport and has no connections, so that the clock of a synctest
// bubble moves on while everybody waits.
package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The proxy of the machine that the tests run on is not asked. net/http reads the variables once, at its first request.
func init() {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Unsetenv(name)
	}
}

// Exchange is a request that a test expects, and its answer.
type Exchange struct {
	// Want is the request: method and path with query, or what the Server's Name makes of it. With " +" behind it, it may come again
	// until the next one does.
	Want string
	Code int
	// Body is an object, or an error that ends the request, or nil: then no answer comes as long as somebody waits for it. A
	// func() any is called when the request comes, and gives one of these. An http.HandlerFunc answers itself, and may take its
	// time; Code says nothing then.
	Body any
}

// Warned is a body that comes with a warning of the API server.
type Warned struct {
	Text string
	Body any
}

// How connections fail: nobody takes them, or somebody does and breaks them.
var (
	Refused error = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	Reset   error = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
)

// Server is an http.RoundTripper.
type Server struct {
	t    testing.TB
	name func(*http.Request) (lane, request string)

	mu   sync.Mutex
	down error
	left map[string][]Exchange // by lane
	came map[string]bool       // lanes whose first exchange may come again, and has come
	sent [][]byte              // the bodies of the requests
}

// New makes a Server that expects the exchanges in order.
func New(t testing.TB, exchanges ...Exchange) *Server {
	return NewLanes(t, func(r *http.Request) (string, string) { return "", r.Method + " " + r.URL.RequestURI() }, map[string][]Exchange{"": exchanges})
}

// NewLanes makes a Server that expects the exchanges of each lane in order. name tells the lane of a request, and how the script calls it.
func NewLanes(t testing.TB, name func(*http.Request) (lane, request string), script map[string][]Exchange) *Server {
	s := &Server{t: t, name: name, left: script, came: map[string]bool{}}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for lane, left := range s.left {
			for i, e := range left {
				if i > 0 || !s.came[lane] {
					t.Errorf("%s never asked: %s", lane, e.Want)
				}
			}
		}
	})
	return s
}

// Expect replaces what is expected from now on.
func (s *Server) Expect(exchanges ...Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.came = map[string][]Exchange{"": exchanges}, map[string]bool{}
}

// Left is how many exchanges have not come yet.
func (s *Server) Left() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, left := range s.left {
		n += len(left)
	}
	return n
}

// Sent is the body of the last request.
func (s *Server) Sent() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent[len(s.sent)-1]
}

// Down ends every request with the error from now on; nil answers them again.
func (s *Server) Down(how error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = how
}

// RoundTrip plays one exchange.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	e, err := s.next(r)
	if err != nil {
		return nil, err
	}
	body := e.Body
	if during, ok := body.(func() any); ok {
		body = during()
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if w, ok := body.(Warned); ok {
		header.Set("Warning", fmt.Sprintf("299 - %q", w.Text))
		body = w.Body
	}
	switch b := body.(type) {
	case nil:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case error:
		return nil, b
	case http.HandlerFunc:
		return stream(b, r)
	case metav1.Status:
		b.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		body = b
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: e.Code, Header: header, Body: io.NopCloser(bytes.NewReader(text)), Request: r}, nil
}

// next is the exchange of a request, which is then over.
func (s *Server) next(r *http.Request) (Exchange, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return Exchange{}, s.down
	}
	var sent []byte
	if r.Body != nil {
		sent, _ = io.ReadAll(r.Body) // a buffer of client-go's
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	s.sent = append(s.sent, sent)
	lane, got := s.name(r)
	left := s.left[lane]
	if s.came[lane] && len(left) > 1 && left[1].Want == got {
		s.came[lane], left = false, left[1:]
	}
	if len(left) == 0 || strings.TrimSuffix(left[0].Want, " +") != got {
		s.t.Errorf("%s unexpected request %s; left are %v", lane, got, left)
		return Exchange{}, io.EOF
	}
	e := left[0]
	if strings.HasSuffix(e.Want, " +") {
		s.came[lane] = true
	} else {
		left = left[1:]
	}
	s.left[lane] = left
	return e, nil
}

// stream runs a handler whose answer is read while it is written.
func stream(handler http.HandlerFunc, r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	read, write := io.Pipe()
	w := &writer{body: write, answer: &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r}, begun: make(chan struct{})}
	context.AfterFunc(ctx, func() { read.CloseWithError(ctx.Err()) })
	w.answer.Body = body{read, cancel}
	go func() {
		handler(w, r.WithContext(ctx))
		w.begin()
		write.Close()
	}()
	select {
	case <-w.begun:
		return w.answer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// body ends its handler when it is closed.
type body struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b body) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

// writer is the http.ResponseWriter of a handler.
type writer struct {
	body   *io.PipeWriter
	answer *http.Response
	once   sync.Once
	begun  chan struct{} // closed when the status is known
}

func (w *writer) Header() http.Header { return w.answer.Header }

func (w *writer) WriteHeader(code int) {
	w.once.Do(func() {
		w.answer.StatusCode = code
		close(w.begun)
	})
}

func (w *writer) Write(p []byte) (int, error) {
	w.begin()
	return w.body.Write(p)
}

// Flush sends the status; what is written is read at once anyway.
func (w *writer) Flush() { w.begin() }

func (w *writer) begin() { w.WriteHeader(http.StatusOK) }
