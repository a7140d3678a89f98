package cluster

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/planton/kubernetes-job-action/internal/event"
)

const (
	pluginLine  = 4 << 10 // what is kept of a line that a plugin writes, in bytes
	pluginLines = 500     // how many lines of it are told
	// pluginWait is how long a line waits for the token that it may hold: a plugin that asks the user for something gives none before.
	pluginWait = 2 * time.Second
)

// plugin hears what the kubeconfig's credential plugin writes to its standard error. client-go would let it write to ours, past the
// masks and whatever keeps a log from being taken for commands. A line may hold the token that the plugin is about to give, so it is told
// when the request is sent, for which the token is told first, or has failed without; or after pluginWait.
type plugin struct {
	client  *Client
	program string
	profile string // the variable with the name of a profile that the kubeconfig gives it, such as AWS_PROFILE; "" without one
	read    *os.File
	write   *os.File // the end that the plugin gets
	next    http.RoundTripper
	begin   sync.Once      // the hearing
	sending sync.WaitGroup // the requests, those that are left alone too: they may be starting the plugin

	mu      sync.Mutex
	tell    func(program, line string) // nil while nobody hears
	waiting []string                   // the lines that were read and not told: no more than pluginLines, of pluginLine bytes each
	count   int                        // how many were read
	known   int                        // how many of these may be told
	marks   map[string]chan struct{}   // lines of our own, and who waits for them to be read
}

func newPlugin(c *Client, exec *clientcmdapi.ExecConfig) (*plugin, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &plugin{client: c, program: filepath.Base(exec.Command), read: read, write: write, marks: map[string]chan struct{}{}}
	for _, v := range exec.Env {
		if strings.HasSuffix(v.Name, "_PROFILE") {
			p.profile = v.Name
		}
	}
	return p, nil
}

// stderr guards os.Stderr, which is everybody's.
var stderr sync.Mutex

// httpClient makes a client whose plugin writes to us: client-go takes os.Stderr when it makes the transport (newAuthenticator in
// plugin/pkg/client/auth/exec/exec.go), and has no option for it.
func (p *plugin) httpClient(config *rest.Config) (*http.Client, error) {
	stderr.Lock()
	defer stderr.Unlock()
	ours := os.Stderr
	os.Stderr = p.write
	defer func() { os.Stderr = ours }()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		p.close()
		return nil, err
	}
	p.next = client.Transport
	client.Transport = p
	return client, nil
}

// WrappedRoundTripper is for those of client-go that look for the transport.
func (p *plugin) WrappedRoundTripper() http.RoundTripper { return p.next }

// pluginError is the error of a request for which the plugin gave no credentials.
type pluginError struct {
	error
	hint string
}

func (e *pluginError) Unwrap() error { return e.error }

// sentKey is for what a request's context holds: a function that is called when the request has its credentials, and they are told.
type sentKey struct{}

// RoundTrip sends a request. When it fails for want of credentials, what the plugin wrote is told before the error is. The failure of
// another one says nothing: the plugin may be at work for the next.
// client-go runs the plugin without the request's context, so one that hangs is left alone here: after APITimeout, or with the
// request. It is killed then, unless the request was merely cancelled: others may wait for the same answer.
func (p *plugin) RoundTrip(r *http.Request) (*http.Response, error) {
	p.begin.Do(func() { go p.hear() })
	sent := make(chan struct{})
	answer, err := p.send(r, sent)
	select {
	case <-sent:
	default:
		p.heard()
	}
	if err != nil && p.profile != "" && strings.HasPrefix(err.Error(), "getting credentials: exec: executable ") {
		err = &pluginError{err, "What it printed stands above. The kubeconfig sets " + p.profile + " for it, which this machine must have too, and which comes before keys in variables: take it out of the kubeconfig's env, or make the profile in a step before."}
	}
	return answer, err
}

func (p *plugin) send(r *http.Request, sent chan struct{}) (*http.Response, error) {
	type result struct {
		answer *http.Response
		err    error
	}
	done, begin := make(chan result, 1), time.Now()
	own := r.Clone(context.WithValue(r.Context(), sentKey{}, sync.OnceFunc(func() {
		p.heard()
		close(sent)
	})))
	p.sending.Go(func() {
		answer, err := p.next.RoundTrip(own)
		done <- result{answer, err}
	})
	slow := time.NewTimer(p.client.APITimeout)
	defer slow.Stop()
	select {
	case <-sent:
		select {
		case got := <-done:
			return got.answer, got.err
		case <-r.Context().Done():
			if len(holders(p.write)) == 0 { // it ends with its context; the plugin, which a 401 starts again, would not
				got := <-done
				return got.answer, got.err
			}
		}
	case got := <-done:
		return got.answer, got.err
	case <-slow.C:
	case <-r.Context().Done():
	}
	go func() {
		if got := <-done; got.err == nil {
			_ = got.answer.Body.Close()
		}
	}()
	if errors.Is(r.Context().Err(), context.Canceled) {
		return nil, r.Context().Err()
	}
	p.kill()
	return nil, &pluginError{fmt.Errorf("getting credentials: the program %s did not end within %s", p.program, event.Seconds(time.Since(begin))),
		"It may wait for an answer that nobody gives, or for a network that it does not reach: run it by hand on this machine. api-timeout is how long it is waited for."}
}

// kill ends the plugin and all that it has started. client-go keeps the process to itself; but all of it has our pipe.
func (p *plugin) kill() {
	for range 3 { // one that is being started is not seen at first
		for _, pid := range holders(p.write) {
			if process, err := os.FindProcess(pid); err == nil {
				_ = process.Kill()
			}
		}
	}
}

// hear reads the lines until all writers have closed the pipe. The plugin is never kept waiting.
func (p *plugin) hear() {
	defer p.read.Close()
	lines := bufio.NewReaderSize(p.read, pluginLine)
	rest := false
	for {
		piece, more, err := lines.ReadLine()
		if err != nil {
			return
		}
		first := !rest
		rest = more
		if more { // the mask knows a secret that is cut there
			piece = append(piece[:len(piece):len(piece)], event.Ellipsis...)
		}
		if !first || len(piece) == 0 || p.mark(string(piece)) {
			continue
		}
		p.keep(string(piece))
	}
}

// keep takes a line, to be told when its time has come.
func (p *plugin) keep(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count > pluginLines {
		return
	}
	if p.count++; p.count > pluginLines {
		line = "(it writes more; no more of it is shown)"
	}
	p.waiting = append(p.waiting, line)
	n := p.count
	time.AfterFunc(pluginWait, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.release(n)
	})
}

// release has the first n lines told, as soon as somebody hears. p.mu is held.
func (p *plugin) release(n int) {
	p.known = max(p.known, n)
	for p.tell != nil && p.count-len(p.waiting) < p.known {
		p.tell(p.program, p.waiting[0])
		p.waiting = p.waiting[1:]
	}
}

// to has the lines told to somebody else. Nobody else is told any once it returns.
func (p *plugin) to(tell func(program, line string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell = tell
	p.release(0)
}

// heard waits until everything was told that has been written.
func (p *plugin) heard() {
	mark, read := rand.Text(), make(chan struct{})
	p.mu.Lock()
	p.marks[mark] = read
	p.mu.Unlock()
	if _, err := p.write.WriteString("\n" + mark + "\n"); err == nil {
		<-read
	}
}

// mark tells whether a line is ours, and lets go whoever waits for it.
func (p *plugin) mark(line string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	read, ok := p.marks[line]
	if ok {
		p.release(p.count)
		close(read)
		delete(p.marks, line)
	}
	return ok
}

func (p *plugin) close() {
	p.kill()
	p.begin.Do(func() { p.read.Close() })
	go func() { // nobody waits for a plugin that cannot be killed
		p.sending.Wait()
		p.write.Close()
	}()
}
