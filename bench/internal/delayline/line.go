// Package delayline puts a network's distance between a client and a server on
// one machine.
//
// A Line forwards TCP connections and hands every byte on a fixed time after it
// came. It delays and does not throttle: what is sent while earlier bytes are
// still on their way travels right behind them, so a batch costs one round trip,
// as over a real network.
package delayline

import (
	"net"
	"runtime"
	"sync"
	"time"
)

const (
	parcelSize = 16 << 10
	// queued bounds the parcels on their way; past it the senders are held up.
	queued = 1 << 14
)

// Line forwards connections to one server. All methods are safe for concurrent
// use.
type Line struct {
	target   string
	delay    time.Duration
	listener net.Listener
	parcels  chan parcel
	// pumps counts the goroutines that may still send to parcels.
	pumps sync.WaitGroup
	done  chan struct{}

	// mu guards what follows; never held across I/O.
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// parcel is what one read got, on its way to the other side. One without data
// says that the sender has finished.
type parcel struct {
	due  time.Time
	to   *net.TCPConn
	data []byte
}

// Open makes a Line to target, a host and port, that adds delay each way. It
// ends with Close.
func Open(target string, delay time.Duration) (*Line, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &Line{
		target: target, delay: delay, listener: listener,
		parcels: make(chan parcel, queued), done: make(chan struct{}), conns: make(map[net.Conn]struct{}),
	}
	go l.deliver()
	l.pumps.Go(l.accept)
	return l, nil
}

// Addr returns the Line's host and port.
func (l *Line) Addr() string { return l.listener.Addr().String() }

// Close closes all connections and waits until nothing runs any more.
func (l *Line) Close() {
	l.mu.Lock()
	l.closed = true
	for c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	_ = l.listener.Close()
	l.pumps.Wait()
	close(l.parcels)
	<-l.done
}

func (l *Line) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.pumps.Go(func() { l.serve(client.(*net.TCPConn)) })
	}
}

// serve forwards both ways until both sides have finished.
func (l *Line) serve(client *net.TCPConn) {
	server, err := net.Dial("tcp", l.target)
	if err != nil {
		_ = client.Close()
		return
	}
	if !l.add(client, server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.pump(client, server.(*net.TCPConn)) })
	both.Go(func() { l.pump(server.(*net.TCPConn), client) })
	both.Wait()
	l.remove(client, server)
}

func (l *Line) add(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		if l.closed {
			_ = c.Close()
		}
		l.conns[c] = struct{}{}
	}
	return !l.closed
}

// remove forgets connections that both sides have finished. What is still on its
// way to them arrives before they are closed.
func (l *Line) remove(conns ...net.Conn) {
	time.AfterFunc(2*l.delay+time.Second, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
			delete(l.conns, c)
		}
	})
}

// pump sends off what comes from one side.
func (l *Line) pump(from, to *net.TCPConn) {
	for {
		data := make([]byte, parcelSize)
		n, err := from.Read(data)
		due := time.Now().Add(l.delay)
		if n > 0 {
			l.parcels <- parcel{due: due, to: to, data: data[:n]}
		}
		if err != nil {
			l.parcels <- parcel{due: due, to: to}
			return
		}
	}
}

// deliver hands every parcel over at its time. The delay is the same for all, so
// the order in which they came is the order in which they are due, and one
// thread can do it; it sleeps in the kernel, since Go's own timers wake an idle
// process up to a millisecond late.
func (l *Line) deliver() {
	defer close(l.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sharpenTimer()
	for p := range l.parcels {
		sleep(time.Until(p.due))
		if len(p.data) == 0 {
			_ = p.to.CloseWrite()
			continue
		}
		_, _ = p.to.Write(p.data) // the reader of that side sees what is wrong
	}
}
