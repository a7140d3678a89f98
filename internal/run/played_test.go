package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// exchange is one request that the API server of a test expects, and its answer. The body is an object, an error that ends
// the request, or nil: then no answer comes as long as somebody waits for it. A function is called when the request comes, for what happens
// meanwhile, and gives one of these.
type exchange struct {
	want string // method and path with query; with " +" behind it, as the last one, once or more
	code int
	body any
}

// warned is a body that comes with a warning of the API server.
type warned struct {
	text string
	body any
}

// played is an API server that plays exchanges in order. It has no connections, so that the clock of a synctest bubble moves on
// while everybody waits.
type played struct {
	t        *testing.T
	mu       sync.Mutex
	left     []exchange
	repeated bool       // the exchange that may come often has come
	then     []exchange // what follows it, once it is known to be over
	sent     [][]byte   // the body of each request
}

func (p *played) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	e, err := p.next(r)
	if err != nil {
		return nil, err
	}
	if e.body == nil {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if w, ok := e.body.(warned); ok {
		header.Set("Warning", fmt.Sprintf("299 - %q", w.text))
		e.body = w.body
	}
	text, err := json.Marshal(e.body)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: e.code, Header: header, Body: io.NopCloser(bytes.NewReader(text)), Request: r}, nil
}

func (p *played) next(r *http.Request) (e exchange, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body) // a buffer
	}
	p.sent = append(p.sent, body)
	got := r.Method + " " + r.URL.RequestURI()
	if len(p.then) > 0 && p.repeated && p.then[0].want == got {
		p.left, p.then, p.repeated = p.then, nil, false
	}
	if len(p.left) == 0 || strings.TrimSuffix(p.left[0].want, " +") != got {
		p.t.Errorf("unexpected request %s; left are %v", got, p.left)
		return e, io.EOF
	}
	e = p.left[0]
	if strings.HasSuffix(e.want, " +") {
		p.repeated = true
	} else {
		p.left = p.left[1:]
	}
	if during, ok := e.body.(func() any); ok {
		e.body = during()
	}
	switch body := e.body.(type) {
	case error:
		return e, body
	case metav1.Status:
		body.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		e.body = body
	}
	return e, nil
}

// decode reads the body of a request.
func decode(body []byte, into runtime.Object) error {
	_, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, into)
	return err
}

// told is what the sink of a loop got.
func told(l *loop) []event.Event { return l.sink.(*sink).events }

// sink keeps what a run tells.
type sink struct{ events []event.Event }

func (s *sink) Event(e event.Event) error {
	s.events = append(s.events, e)
	return nil
}

// play makes the loop of the Job ns/j whose API server plays the exchanges. What is left at the end is an error.
func play(t *testing.T, exchanges ...exchange) (*loop, *played) {
	t.Helper()
	const kubeconfig = `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
		clusters: [{name: c, cluster: {server: "https://api.example"}}], users: [{name: u, user: {token: t}}]}`
	p := &played{t: t, left: exchanges}
	client, _, err := cluster.Connect(cluster.Options{Kubeconfig: kubeconfig, LookupEnv: func(string) (string, bool) { return "", false }, APITimeout: time.Minute,
		Wrap: func(http.RoundTripper) http.RoundTripper { return p }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, e := range p.left {
			if !p.repeated {
				t.Errorf("never asked: %s", e.want)
			}
		}
	})
	return newLoop(newRunner(client, Objects{Job: job()}, Options{}), &sink{}, func() {}), p
}
