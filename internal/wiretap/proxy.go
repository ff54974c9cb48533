package wiretap

import (
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Proxy forwards connections to one server. All methods are safe for concurrent
// use.
type Proxy struct {
	target   string
	listener net.Listener
	pumps    sync.WaitGroup

	// mu guards what follows; never held across I/O.
	mu        sync.Mutex
	conns     map[*conn]struct{}
	accepted  int
	trips     int
	refusing  bool
	closed    bool
	intercept func(Message) Verdict
	delay     time.Duration
	// gates hold back what each side sends; nil while open.
	gates [2]chan struct{}
}

// Open makes a proxy to target, a host and port. It ends with Close.
func Open(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("wiretap: %w", err)
	}
	p := &Proxy{target: target, listener: l, conns: make(map[*conn]struct{})}
	p.pumps.Go(p.accept)
	return p, nil
}

// Start is Open for a test, with which the proxy ends.
func Start(tb testing.TB, target string) *Proxy {
	tb.Helper()
	p, err := Open(target)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

// StartURL makes a proxy to the server of a postgres:// URL and returns the URL
// that leads through it, without TLS.
func StartURL(tb testing.TB, databaseURL string) (p *Proxy, throughProxy string) {
	tb.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil || u.Host == "" {
		tb.Fatalf("wiretap: %q is no URL of a server", databaseURL)
	}
	p = Start(tb, u.Host)
	u.Host = p.Addr()
	query := u.Query()
	query.Set("sslmode", "disable")
	u.RawQuery = query.Encode()
	return p, u.String()
}

// Addr returns the proxy's host and port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Trips returns how many network round trips there were: how often a client has
// sent something when the last word was the server's, or nobody's.
func (p *Proxy) Trips() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trips
}

// Accepted returns how many connections there were.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Intercept makes f decide about each message from now on; nil passes all. f is
// called concurrently for the two sides of a connection and for several of them.
func (p *Proxy) Intercept(f func(Message) Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.intercept = f
}

// Delay holds back each burst of messages for d, both ways.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Refuse makes new connections fail, or stops doing so.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = refuse
}

// Cut closes all connections.
func (p *Proxy) Cut() {
	for _, c := range p.open() {
		c.cut()
	}
}

// Silence lets nothing that side sends arrive any more, not even the end of a
// connection: neither of the two can tell that from slowness. What was sent
// meanwhile arrives when Restore is called, as a network would repeat it.
func (p *Proxy) Silence(side Side) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gates[side] == nil {
		p.gates[side] = make(chan struct{})
	}
}

// Restore ends every silence.
func (p *Proxy) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for side, gate := range p.gates {
		if gate != nil {
			close(gate)
			p.gates[side] = nil
		}
	}
}

func (p *Proxy) gate(side Side) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gates[side]
}

func (p *Proxy) open() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	open := make([]*conn, 0, len(p.conns))
	for c := range p.conns {
		open = append(open, c)
	}
	return open
}

// Close closes all connections and waits until nothing runs any more.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	for _, c := range p.open() {
		c.drop()
	}
	p.Restore()
	p.pumps.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.pumps.Go(func() { p.serve(client) })
	}
}
