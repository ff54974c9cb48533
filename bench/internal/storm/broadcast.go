package storm

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// broadcast is the least that can bring one response to all duplicates in several
// processes, for comparison: the first process runs the handler and sends what it
// answered through a socket to each of the others, who close a channel then. It
// writes nothing, has no database, and knows one key.
//
// It does not replace a store. It tells what a machine needs for the rest: to wake
// so many, and to let the middleware answer each.
type broadcast struct {
	key    string
	first  bool
	taken  atomic.Bool
	others func() []net.Conn

	// done is closed when response is set.
	done     chan struct{}
	response idem.Cached
}

// welcome is one byte.
const welcome = "\n"

// openBroadcast takes the first process to be there before the others.
func openBroadcast(t Task) (*protection, error) {
	b := &broadcast{key: t.Key, first: t.Number == 0, done: make(chan struct{})}
	p := &protection{store: b, held: func(bool) int { return 0 }}
	p.pay = func(_ context.Context, took time.Duration) error {
		time.Sleep(took)
		return nil
	}
	address := filepath.Join(t.Folder, "broadcast")
	if b.first {
		return p, b.listen(p, address)
	}
	conn, err := net.Dial("unix", address)
	if err != nil {
		return nil, err
	}
	p.onClose(func() { _ = conn.Close() })
	// Not ready before the first process knows of it.
	if _, err := conn.Read(make([]byte, len(welcome))); err != nil {
		p.close()
		return nil, err
	}
	go b.receive(conn)
	return p, nil
}

// listen accepts the other processes.
func (b *broadcast) listen(p *protection, address string) error {
	l, err := net.Listen("unix", address)
	if err != nil {
		return err
	}
	p.onClose(func() { _ = l.Close() })
	var (
		mu    sync.Mutex
		conns []net.Conn
	)
	b.others = func() []net.Conn {
		mu.Lock()
		defer mu.Unlock()
		return conns
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			_, _ = conn.Write([]byte(welcome))
		}
	}()
	return nil
}

// receive waits for the response. Without it, the waiters run out of patience.
func (b *broadcast) receive(conn net.Conn) {
	if err := json.NewDecoder(conn).Decode(&b.response); err == nil {
		close(b.done)
	}
}

// Reserve implements [idem.Store].
func (b *broadcast) Reserve(ctx context.Context, key, _ string, _ time.Duration) (*idem.Cached, bool, error) {
	if key != b.key || b.first && b.taken.CompareAndSwap(false, true) {
		return nil, true, nil
	}
	select {
	case <-b.done:
		response := b.response.Clone()
		return &response, false, nil
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

// Commit implements [idem.Store].
func (b *broadcast) Commit(_ context.Context, key, requestHash string, response idem.Cached) error {
	if key != b.key {
		return nil
	}
	response.RequestHash = requestHash
	text, err := json.Marshal(response)
	if err != nil {
		return err
	}
	for _, conn := range b.others() {
		if _, err := conn.Write(text); err != nil {
			return err
		}
	}
	b.response = response.Clone()
	close(b.done)
	return nil
}

// Release implements [idem.Store]. The handler of a storm does not fail.
func (b *broadcast) Release(context.Context, string) error {
	return fmt.Errorf("storm: the handler has failed")
}
