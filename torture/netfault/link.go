package netfault

import (
	"net"
	"sync"
	"time"
)

const (
	packet = 4 << 10
	// throttleStep is how often a throttled link lets some bytes through.
	throttleStep = 20 * time.Millisecond
	dialTimeout  = 5 * time.Second
	unlimited    = -1
)

// link is one connection through the proxy.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	gone   chan struct{} // closed by drop

	// mu guards what follows; it is never held across I/O.
	mu      sync.Mutex
	server  *net.TCPConn // nil until it is reached
	dropped bool
	// left is how many bytes may still pass each way; negative: no limit.
	left [2]int
}

func newLink(p *Proxy, client *net.TCPConn) *link {
	return &link{proxy: p, client: client, gone: make(chan struct{}), left: [2]int{unlimited, unlimited}}
}

// dial reaches the server, and tells whether the link is still wanted then.
func (l *link) dial() bool {
	conn, err := net.DialTimeout("tcp", l.proxy.target, dialTimeout)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped {
		_ = conn.Close()
		return false
	}
	l.server = conn.(*net.TCPConn)
	return true
}

func (l *link) pumpBoth() {
	var both sync.WaitGroup
	both.Go(func() { l.pump(ToServer, l.client, l.server) })
	both.Go(func() { l.pump(ToClient, l.server, l.client) })
	both.Wait()
}

// pump forwards one way, and then that side's end.
func (l *link) pump(way Direction, in, out *net.TCPConn) {
	buffer := make([]byte, packet)
	for {
		n, err := in.Read(buffer)
		if !l.forward(way, buffer[:n], out) {
			return
		}
		if err != nil {
			_ = out.CloseWrite()
			return
		}
	}
}

// forward writes what has come in, as far and as fast as it is let through. Its
// answer is whether the link lives; nothing to write waits for its turn too.
func (l *link) forward(way Direction, data []byte, out *net.TCPConn) bool {
	if !l.pass(way) {
		return false
	}
	for len(data) > 0 {
		n := l.take(way, l.step(len(data)))
		_, err := out.Write(data[:n])
		data = data[n:]
		if err != nil || l.spent(way) {
			l.drop(true)
			return false
		}
		if len(data) > 0 && !l.rest(throttleStep) {
			return false
		}
	}
	return true
}

// pass waits out delay and silence.
func (l *link) pass(way Direction) bool {
	weather, _ := l.proxy.now()
	if weather.delay > 0 {
		l.proxy.victims.Add(1)
		if !l.rest(weather.delay) {
			return false
		}
	}
	for {
		weather, changed := l.proxy.now()
		if !weather.silent[way] {
			return true
		}
		l.proxy.victims.Add(1)
		select {
		case <-changed:
		case <-l.gone:
			return false
		}
	}
}

// step is how many of n bytes may go at once.
func (l *link) step(n int) int {
	weather, _ := l.proxy.now()
	if weather.rate == 0 {
		return n
	}
	l.proxy.victims.Add(1)
	return min(n, max(1, int(int64(weather.rate)*int64(throttleStep)/int64(time.Second))))
}

// take counts n bytes, or as many as may still pass.
func (l *link) take(way Direction, n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left[way] >= 0 {
		n = min(n, l.left[way])
		l.left[way] -= n
	}
	return n
}

func (l *link) spent(way Direction) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left[way] == 0 {
		l.proxy.victims.Add(1)
	}
	return l.left[way] == 0
}

func (l *link) allow(way Direction, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left[way] = bytes
}

func (l *link) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.gone:
		return false
	}
}

// drop ends the link on both sides. A reset also destroys what is under way.
func (l *link) drop(reset bool) {
	l.mu.Lock()
	server, first := l.server, !l.dropped
	l.dropped = true
	l.mu.Unlock()
	if !first {
		return
	}
	close(l.gone)
	for _, conn := range []*net.TCPConn{l.client, server} {
		if conn == nil {
			continue
		}
		if reset {
			_ = conn.SetLinger(0)
		}
		_ = conn.Close()
	}
}
