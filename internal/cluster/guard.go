package cluster

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
)

const (
	// mostAnswer is how long the answer to a request may be, unpacked: client-go holds all of it in memory. A page of 500 large pods
	// takes some 10 MB.
	mostAnswer = 64 << 20
	// mostFrame is the same for one piece of news of a watch, as client-go bounds it in its other encoding (rest/request.go, newStreamWatcher).
	mostFrame = 16 << 20
)

var podLog = regexp.MustCompile(`/pods/[^/]+/log$`)

// guard stands between us and a server that may be anything: it bounds what its answers can fill, and tells of the token that it is sent.
type guard struct {
	next   http.RoundTripper
	client *Client

	mu   sync.Mutex
	sent string // the credentials of the last request
}

// WrappedRoundTripper is for those of client-go that look for the transport.
func (g *guard) WrappedRoundTripper() http.RoundTripper { return g.next }

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	authorization := r.Header.Get("Authorization")
	if trimmed := strings.TrimSpace(authorization); trimmed != authorization {
		// A plugin's token may end with a line break, as one in a file does.
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", trimmed)
		authorization = trimmed
	}
	g.tell(authorization)
	if sent, ok := r.Context().Value(sentKey{}).(func()); ok {
		sent()
	}
	answer, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, g.client.proxied(r, err)
	}
	// client-go itself waits so long as an answer asks for, even beyond the time of a try: then nobody seems to have answered.
	if deadline, ok := r.Context().Deadline(); ok {
		if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && time.Duration(seconds)*time.Second > time.Until(deadline) {
			answer.Header.Del("Retry-After")
		}
	}
	// A login page is mostly answered as if it were what was asked for, or as a refusal, and a gateway says so that it knows no such way: that nothing
	// is there, only the API server can say. Other codes that have words of their own keep them.
	switch code := answer.StatusCode; {
	case !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html"), code/100 > 4, code/100 == 3,
		code == http.StatusUnauthorized, code == http.StatusRequestEntityTooLarge, code == http.StatusRequestTimeout, code == http.StatusTooManyRequests:
	default:
		_ = answer.Body.Close()
		return nil, g.client.proxied(r, &outage.PageError{Server: r.URL.Scheme + "://" + r.URL.Host, Code: code})
	}
	switch watch, fine := r.URL.Query().Get("watch"), answer.StatusCode/100 == 2; { // an error is read at once, whatever was asked for
	case fine && podLog.MatchString(r.URL.Path): // read piece by piece
	case fine && (watch == "true" || watch == "1"):
		answer.Body = &bounded{ReadCloser: answer.Body, most: mostFrame, left: mostFrame, lines: true}
	default:
		answer.Body = &bounded{ReadCloser: answer.Body, most: mostAnswer, left: mostAnswer}
	}
	return answer, nil
}

// tell tells of credentials that are new.
func (g *guard) tell(authorization string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if authorization == g.sent {
		return
	}
	g.sent = authorization
	if _, value, ok := strings.Cut(authorization, " "); ok && g.client.OnSecret != nil {
		g.client.OnSecret(event.Secret{Name: "the kubeconfig's token", Value: value, Credential: true})
	}
}

// bounded is a body that ends with an error when it is too long.
type bounded struct {
	io.ReadCloser
	most, left int
	lines      bool // each line of it may be so long: a watch has one for each piece of news
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.lines {
		if end := bytes.LastIndexByte(p[:n], '\n'); end >= 0 {
			b.left = b.most + end + 1
		}
	}
	if b.left -= n; b.left < 0 {
		return 0, &event.Cause{Reason: event.APIUnreachable, Message: fmt.Sprintf("an answer of the API server is longer than %d MiB, so it was not read to its end", b.most>>20),
			Hint: "Check that the address in the kubeconfig is that of a Kubernetes API server."}
	}
	return n, err
}
