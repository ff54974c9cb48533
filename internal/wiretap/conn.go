package wiretap

import (
	"bufio"
	"net"
	"sync"
	"time"
)

// conn is one connection through the proxy.
type conn struct {
	proxy  *Proxy
	number int
	client *net.TCPConn
	server *net.TCPConn

	// mu guards what follows; never held across I/O.
	mu        sync.Mutex
	lastSpoke Side
	severed   bool
}

// serve forwards both ways until both have ended.
func (p *Proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	c := &conn{proxy: p, client: client.(*net.TCPConn), server: server.(*net.TCPConn), lastSpoke: Server}
	defer c.drop()
	if !p.add(c) {
		return
	}
	defer p.remove(c)
	var both sync.WaitGroup
	both.Go(func() { c.pump(Client, c.client, c.server) })
	both.Go(func() { c.pump(Server, c.server, c.client) })
	both.Wait()
}

func (p *Proxy) add(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.refusing {
		return false
	}
	c.number = p.accepted
	p.accepted++
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) remove(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// pump forwards what one side sends, message by message, and then its end.
func (c *conn) pump(from Side, in, out *net.TCPConn) {
	r, w := bufio.NewReaderSize(in, 64<<10), bufio.NewWriterSize(out, 64<<10)
	first := from == Client
	for {
		whole, body, err := readMessage(r, first)
		if err != nil {
			c.pass(from)
			_ = w.Flush()
			_ = out.CloseWrite()
			return
		}
		if first && asksEncryption(body) {
			if _, err := in.Write([]byte{'N'}); err != nil {
				return
			}
			continue
		}
		m := Message{Conn: c.number, From: from, Body: body}
		if !first {
			m.Type = whole[0]
		}
		first = false
		c.forward(m, whole, w)
		if r.Buffered() == 0 {
			c.pass(from)
			_ = w.Flush() // a failure is seen at the next read
		}
	}
}

// forward sends a message on, as far as it is let through.
func (c *conn) forward(m Message, whole []byte, w *bufio.Writer) {
	c.countTrip(m.From)
	verdict := c.proxy.judge(m)
	if c.isSevered() {
		return // read on, and forget it: a reset could destroy what was sent before
	}
	switch verdict {
	case CutBefore:
		whole = nil
	case CutInside:
		whole = whole[:(len(whole)+1)/2]
	}
	_, _ = w.Write(whole)
	if verdict == Pass {
		return
	}
	c.pass(m.From)
	_ = w.Flush()
	if verdict != PassNow {
		c.cut()
	}
}

func (p *Proxy) judge(m Message) Verdict {
	p.mu.Lock()
	intercept := p.intercept
	p.mu.Unlock()
	if intercept == nil {
		return Pass
	}
	return intercept(m)
}

// countTrip counts one when the client speaks after the server.
func (c *conn) countTrip(from Side) {
	c.mu.Lock()
	turned := from == Client && c.lastSpoke == Server
	c.lastSpoke = from
	c.mu.Unlock()
	if turned {
		c.proxy.mu.Lock()
		defer c.proxy.mu.Unlock()
		c.proxy.trips++
	}
}

// pass waits as long as the network is slow or silent for side.
func (c *conn) pass(side Side) {
	c.proxy.mu.Lock()
	delay := c.proxy.delay
	c.proxy.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	for gate := c.proxy.gate(side); gate != nil; gate = c.proxy.gate(side) {
		<-gate
	}
}

func (c *conn) isSevered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.severed
}

// cut tells both sides that the other has closed. What was forwarded before
// still arrives.
func (c *conn) cut() {
	c.mu.Lock()
	c.severed = true
	c.mu.Unlock()
	_ = c.client.CloseWrite()
	_ = c.server.CloseWrite()
}

func (c *conn) drop() {
	_ = c.client.Close()
	_ = c.server.Close()
}
