package redisstore_test

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// proxy stands between a client and the server, counts round trips, and can lose
// a reply.
type proxy struct {
	addr   string
	target string

	mu    sync.Mutex
	trips int
	lose  string // the next reply to a request that holds it is lost
	lost  int
}

func newProxy(tb testing.TB, target string) *proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	p := &proxy{addr: listener.Addr().String(), target: target}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

// serve passes one request and its reply at a time, as a client without pipelines
// sends them.
func (p *proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	replies := &oneWay{from: server, to: client}
	go func() {
		_ = replies.copy(func([]byte) bool { return true })
		_ = client.Close()
	}()
	_ = (&oneWay{from: client, to: server}).copy(func(request []byte) bool {
		replies.cutNext(p.request(request))
		return true
	})
}

// request counts a request, and tells whether its reply is to be lost.
func (p *proxy) request(b []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trips++
	if p.lose == "" || !bytes.Contains(b, []byte(p.lose)) {
		return false
	}
	p.lose = ""
	p.lost++
	return true
}

// loseReplyTo makes the next reply to a request that holds text be lost, with its
// connection.
func (p *proxy) loseReplyTo(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = text
}

func (p *proxy) lostReplies() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// during returns how many round trips f took.
func (p *proxy) during(f func()) int {
	p.mu.Lock()
	before := p.trips
	p.mu.Unlock()
	f()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trips - before
}

// oneWay copies one direction of a connection.
type oneWay struct {
	from, to net.Conn
	mu       sync.Mutex
	cut      bool
}

func (o *oneWay) cutNext(cut bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cut = o.cut || cut
}

func (o *oneWay) copy(seen func([]byte) bool) error {
	buffer := make([]byte, 1<<16)
	for {
		n, err := o.from.Read(buffer)
		if err != nil {
			return err
		}
		seen(buffer[:n])
		o.mu.Lock()
		cut := o.cut
		o.mu.Unlock()
		if cut {
			return net.ErrClosed
		}
		if _, err := o.to.Write(buffer[:n]); err != nil {
			return err
		}
	}
}
