// Package faultproxy stands between a program and the API server, on the loopback address, and hurts what passes. Relay works
// on connections and knows nothing of what they carry; Front takes part in the protocol and works on requests. Both count what
// they have done, so that a test can tell whether it was used at all.
package faultproxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Relay passes TCP connections on to one address.
type Relay struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu     sync.Mutex
	links  map[*link]bool
	flow   chan struct{} // closed while bytes may pass
	closed bool

	forgot, noticed time.Time // when Forget was called, and when the last connection that it hit ended

	cuts atomic.Int64
	held atomic.Int64
	lost atomic.Int64
}

// link is one connection of a client and the one to the target that belongs to it.
type link struct {
	client, server net.Conn
	forgotten      atomic.Bool
}

func (l *link) close() {
	l.client.Close()
	l.server.Close()
}

// NewRelay listens on a port of the loopback address, until Close. The target is host:port.
func NewRelay(target string) (*Relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{listener: listener, target: target, links: map[*link]bool{}, flow: make(chan struct{})}
	close(r.flow)
	r.work.Go(r.accept)
	return r, nil
}

// Addr is where clients connect, as host:port.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Cuts is how many connections Cut has ended.
func (r *Relay) Cuts() int { return int(r.cuts.Load()) }

// Held is how often bytes had to wait because of Freeze.
func (r *Relay) Held() int { return int(r.held.Load()) }

// Lost is how often bytes went nowhere because of Forget.
func (r *Relay) Lost() int { return int(r.lost.Load()) }

// Noticed is how long the clients have kept the connections that Forget has hit, until now for those that they still have.
func (r *Relay) Noticed() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.links {
		if l.forgotten.Load() {
			return time.Since(r.forgot)
		}
	}
	return r.noticed.Sub(r.forgot)
}

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.target)
		if err != nil {
			client.Close() // as the target would have refused it
			continue
		}
		l := &link{client: client, server: server}
		r.mu.Lock()
		if r.closed {
			r.mu.Unlock()
			l.close()
			return
		}
		r.links[l] = true
		r.mu.Unlock()
		r.work.Go(func() { r.pass(l, server, client) })
		r.work.Go(func() { r.pass(l, client, server) })
	}
}

// pass copies one direction of a link until either side ends it.
func (r *Relay) pass(l *link, to, from net.Conn) {
	defer func() {
		l.close()
		r.mu.Lock()
		if r.links[l] && l.forgotten.Load() {
			r.noticed = time.Now()
		}
		delete(r.links, l)
		r.mu.Unlock()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && l.forgotten.Load() {
			r.lost.Add(1)
		} else if n > 0 {
			r.await()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (r *Relay) await() {
	r.mu.Lock()
	flow := r.flow
	r.mu.Unlock()
	select {
	case <-flow:
	default:
		r.held.Add(1)
		<-flow
	}
}

// Cut ends every connection, in turns by a reset and in good order.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.links {
		if r.cuts.Add(1)%2 == 0 {
			_ = l.client.(*net.TCPConn).SetLinger(0) // it may be closed already
		}
		l.close()
		delete(r.links, l)
	}
}

// Freeze stops the bytes of every connection, also of new ones, until Thaw. Connections stay open: this is a network that
// loses everything and says nothing.
func (r *Relay) Freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.flow:
		if !r.closed {
			r.flow = make(chan struct{})
		}
	default:
	}
}

// Thaw lets bytes pass again, those that waited first.
func (r *Relay) Thaw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.flow:
	default:
		close(r.flow)
	}
}

// Forget loses all bytes of the connections that are there, for ever, and ends none; new ones work. A firewall or a translator of
// addresses that drops what it knows of its connections does this.
func (r *Relay) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgot = time.Now()
	for l := range r.links {
		l.forgotten.Store(true)
	}
}

// Close ends everything and waits until nothing of it is left.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	for l := range r.links {
		l.close()
	}
	r.mu.Unlock()
	r.Thaw()
	r.listener.Close()
	r.work.Wait()
}
