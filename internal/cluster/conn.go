package cluster

import (
	"bufio"
	"context"
	"net"
	"time"

	"k8s.io/client-go/util/flowcontrol"
)

const (
	// breath is the mean time between two readings of a busy connection. A log comes line by line, each in a packet of its own: to
	// wake up for every one of them takes five times the processor time, here and in the sender.
	breath = 5 * time.Millisecond
	// readings is how many are free: the answers of ordinary requests are not waited for.
	readings = 64
	// gulp is how much one reading takes at most; with breath it allows 50 MB a second.
	gulp = 256 << 10
)

// conn is a connection that is read seldom, and much at once, while much arrives in small pieces.
type conn struct {
	net.Conn
	buf   *bufio.Reader
	limit flowcontrol.RateLimiter
}

// dial connects as client-go does without it (tlsTransportCache.get in k8s.io/client-go/transport).
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return newConn(c), nil
}

func newConn(c net.Conn) *conn {
	return &conn{c, bufio.NewReaderSize(c, gulp), flowcontrol.NewTokenBucketRateLimiter(float32(time.Second/breath), readings)}
}

func (c *conn) Read(p []byte) (int, error) {
	if c.buf.Buffered() == 0 && !c.limit.TryAccept() {
		// The poller of the runtime waits for all connections at once, and would be woken although nobody reads from this one.
		wakeAt(c.Conn, gulp)
		c.limit.Accept()
		wakeAt(c.Conn, 1)
	}
	return c.buf.Read(p)
}
