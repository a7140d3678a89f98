package cluster

import (
	"bufio"
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/client-go/rest"

	"github.com/planton/kubernetes-job-action/internal/event"
)

const (
	pluginLine  = 4 << 10 // what is kept of a line that a plugin writes, in bytes
	pluginLines = 500     // how many lines of it are told
)

// plugin hears what the kubeconfig's credential plugin writes to its standard error. client-go would let it write to ours, past the
// masks and whatever keeps a log from being taken for commands.
type plugin struct {
	client  *Client
	program string
	read    *os.File
	write   *os.File // the end that the plugin gets
	next    http.RoundTripper
	begin   sync.Once // the hearing

	mu    sync.Mutex
	tell  func(program, line string) // the client's OnPlugin at the last request
	marks map[string]chan struct{}   // lines of our own, and who waits for them to be read
}

func newPlugin(c *Client, command string) (*plugin, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &plugin{client: c, program: filepath.Base(command), read: read, write: write, marks: map[string]chan struct{}{}}
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

// RoundTrip sends a request. When it fails, what the plugin wrote is told before the error is, which mostly is the plugin's.
func (p *plugin) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.tell = p.client.OnPlugin
	p.mu.Unlock()
	p.begin.Do(func() { go p.hear() })
	answer, err := p.next.RoundTrip(r)
	if err != nil {
		p.heard()
	}
	return answer, err
}

// hear reads the lines until all writers have closed the pipe. The plugin is never kept waiting.
func (p *plugin) hear() {
	defer p.read.Close()
	lines := bufio.NewReaderSize(p.read, pluginLine)
	told, rest := 0, false
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
		if !first || len(piece) == 0 || p.mark(string(piece)) || told > pluginLines {
			continue
		}
		if told++; told > pluginLines {
			piece = []byte("(it writes more; no more of it is shown)")
		}
		p.mu.Lock()
		tell := p.tell
		p.mu.Unlock()
		if tell != nil {
			tell(p.program, string(piece))
		}
	}
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
		close(read)
		delete(p.marks, line)
	}
	return ok
}

func (p *plugin) close() {
	p.write.Close()
	p.begin.Do(func() { p.read.Close() })
}
