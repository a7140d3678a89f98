package faultproxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // ends with the connection
			}()
		}
	}()
	return l.Addr().String()
}

func TestRelay(t *testing.T) {
	r, err := NewRelay(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 { // a reset, and an end in good order
		c, err := net.Dial("tcp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		lines := bufio.NewReader(c)
		say := func(text string) {
			if _, err := io.WriteString(c, text+"\n"); err != nil {
				t.Fatal(err)
			}
		}
		hear := func(want string) {
			if got, err := lines.ReadString('\n'); got != want+"\n" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
		}
		say("one")
		hear("one")
		held := r.Held()
		r.Freeze()
		say("two")
		for r.Held() == held {
			time.Sleep(time.Millisecond)
		}
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if b, err := lines.ReadByte(); err == nil {
			t.Fatalf("%q came through the ice", b)
		}
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		r.Thaw()
		hear("two")
		lost := r.Lost()
		r.Forget()
		say("three")
		for r.Lost() == lost {
			time.Sleep(time.Millisecond)
		}
		if kept := r.Noticed(); kept <= 0 || r.Noticed() == kept {
			t.Fatalf("a connection that is kept is noticed, after %s", kept)
		}
		cuts := r.Cuts()
		r.Cut()
		if _, err := lines.ReadByte(); err == nil || r.Cuts() != cuts+1 {
			t.Fatalf("%d cuts, %v", r.Cuts()-cuts, err)
		}
	}
}

func TestFront(t *testing.T) {
	var bodies []string
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the client's credentials were passed on")
		}
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
		_, _ = io.WriteString(w, "done")
	}))
	defer api.Close()
	trust := func(pem ...*x509.Certificate) *tls.Config {
		pool := x509.NewCertPool()
		for _, c := range pem {
			pool.AddCert(c)
		}
		return &tls.Config{RootCAs: pool}
	}
	next := None
	f, err := NewFront(api.URL, trust(api.Certificate()), func(*http.Request) Fault { return next })
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(f.CA()) {
		t.Fatal("no certificate")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	for _, test := range []struct {
		fault Fault
		code  int // 0: no answer
		done  bool
	}{{None, 200, true}, {ServerError, 500, false}, {Unavailable, 503, false}, {Throttled, 429, false}, {Refused, 429, false}, {Lost, 0, true}} {
		next, bodies = test.fault, nil
		req, err := http.NewRequest(http.MethodPut, f.URL()+"/api?x=y", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer nobody")
		code := 0
		if resp, err := client.Do(req); err == nil {
			code = resp.StatusCode
			resp.Body.Close()
			if retry := resp.Header.Get("Retry-After") != ""; retry != (test.fault == Throttled) {
				t.Errorf("fault %d: Retry-After: %t", test.fault, retry)
			}
		}
		if code != test.code || (len(bodies) > 0) != test.done {
			t.Errorf("fault %d: code %d, reached the server: %t", test.fault, code, len(bodies) > 0)
		}
	}
	if r := f.Requests(); len(r) != 6 || slices.ContainsFunc(r, func(s string) bool { return s != "PUT /api?x=y" }) || f.Faults() != 5 {
		t.Errorf("%d faults in %q", f.Faults(), r)
	}
	if a := f.Answers(); len(a) != 1 || a[0].Request != "PUT /api?x=y" {
		t.Errorf("answers %v", a)
	}
}
