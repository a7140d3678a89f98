package cluster

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// counting counts the readings of a connection.
type counting struct {
	*net.TCPConn
	reads int
}

func (c *counting) Read(p []byte) (int, error) {
	c.reads++
	return c.TCPConn.Read(p)
}

// TestConn: what comes in many small pieces is read in few, and nothing of it is kept back when the sender pauses.
func TestConn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const pieces, size = 20_000, 50
	asked := make(chan struct{})
	sent := make(chan error, 1)
	go func() {
		sent <- func() error {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			defer c.Close()
			piece := bytes.Repeat([]byte("x"), size)
			for i := range pieces {
				if i == pieces/2 {
					<-asked // until all before it has been read
				}
				if _, err := c.Write(piece); err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	counted := &counting{TCPConn: c.(*net.TCPConn)}
	paced := newConn(counted)
	start := time.Now()
	if _, err := io.ReadFull(paced, make([]byte, pieces/2*size)); err != nil {
		t.Fatal(err)
	}
	close(asked)
	rest, err := io.ReadAll(paced)
	if err != nil || len(rest) != pieces/2*size {
		t.Errorf("the second half has %d bytes: %v", len(rest), err)
	}
	if most := readings + int(time.Since(start)/breath) + 1; counted.reads > most {
		t.Errorf("%d readings for %d pieces, want at most %d", counted.reads, pieces, most)
	}
	t.Logf("%d readings", counted.reads)
	if err := <-sent; err != nil {
		t.Error(err)
	}
}
