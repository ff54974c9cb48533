// Package netfault is a TCP proxy that does to connections what networks do:
// it cuts them, also in the middle of a message, delays them, lets them trickle,
// and lets one direction fall silent. It understands no protocol, so it stands
// before PostgreSQL and Redis alike.
package netfault

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Direction is one of the two ways through a Proxy.
type Direction int

// The two ways.
const (
	ToServer Direction = iota
	ToClient
)

// Proxy forwards connections to one server. All methods are safe for concurrent
// use.
type Proxy struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup
	victims  atomic.Int64

	// mu guards what follows; it is never held across I/O.
	mu      sync.Mutex
	links   map[*link]struct{}
	weather weather
	// changed is closed, and made anew, when the weather changes.
	changed chan struct{}
	closed  bool
}

// weather is what befalls all connections alike.
type weather struct {
	refusing bool
	silent   [2]bool
	delay    time.Duration
	rate     int // bytes a second; 0: no limit
}

// Listen makes a proxy on a port of the loopback address to target, a host and
// port.
func Listen(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, listener: listener, links: make(map[*link]struct{}), changed: make(chan struct{})}
	p.running.Go(p.accept)
	return p, nil
}

// Addr returns the proxy's host and port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Links returns how many connections there are.
func (p *Proxy) Links() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Victims counts what has been done to connections until now: cuts, refusals,
// and packets that were held back.
func (p *Proxy) Victims() int64 { return p.victims.Load() }

// Close cuts all connections and waits until nothing of the proxy runs.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Cut(false)
	p.running.Wait()
}

// Cut ends every connection at once, with a reset or with an orderly end.
func (p *Proxy) Cut(reset bool) {
	for _, l := range p.open() {
		l.drop(reset)
		p.victims.Add(1)
	}
}

// CutAfter ends every connection that is open now with a reset, as soon as so
// many more bytes have gone through it that way.
func (p *Proxy) CutAfter(bytes int, way Direction) {
	for _, l := range p.open() {
		l.allow(way, bytes)
	}
}

// Refuse makes new connections fail, or stops doing so.
func (p *Proxy) Refuse(refuse bool) { p.change(func(w *weather) { w.refusing = refuse }) }

// Silence lets nothing pass that way, not even the end of a connection: neither
// side can tell it from slowness.
func (p *Proxy) Silence(way Direction) { p.change(func(w *weather) { w.silent[way] = true }) }

// Delay holds every packet back for so long, both ways.
func (p *Proxy) Delay(d time.Duration) { p.change(func(w *weather) { w.delay = d }) }

// Throttle lets so many bytes a second through on each connection.
func (p *Proxy) Throttle(rate int) { p.change(func(w *weather) { w.rate = rate }) }

// Heal ends everything that befalls connections. What a silence has held back
// arrives, as a network would repeat it; with lost the connections that were
// open are cut before, as after a repetition that came too late.
func (p *Proxy) Heal(lost bool) {
	if lost {
		p.Cut(true)
	}
	for _, way := range []Direction{ToServer, ToClient} {
		p.CutAfter(unlimited, way)
	}
	p.change(func(w *weather) { *w = weather{} })
}

func (p *Proxy) change(f func(*weather)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.weather)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) now() (weather, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.weather, p.changed
}

func (p *Proxy) open() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	open := make([]*link, 0, len(p.links))
	for l := range p.links {
		open = append(open, l)
	}
	return open
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

// serve forwards both ways until the link has ended.
func (p *Proxy) serve(client *net.TCPConn) {
	l := newLink(p, client)
	if !p.add(l) {
		l.drop(true)
		return
	}
	defer p.remove(l)
	defer l.drop(false)
	if l.dial() {
		l.pumpBoth()
	}
}

func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.weather.refusing {
		p.victims.Add(1)
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}
