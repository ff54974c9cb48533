package redisstore

import (
	"context"
	"sync"

	"github.com/pgidem/pgidem/idem"
)

// flights makes the duplicates of a request in this process share one look at
// the server and one wait: the first of them leads, the others follow and ask the
// server only if the leader ends without an answer for them. The attempt that
// runs the handler leads nothing: whoever leads looks at the server from time to
// time, so a lease that was lost unnoticed holds nobody up.
type flights struct {
	// mu guards byKey and the fields of every flight in it. It is never held
	// across a wait or a call.
	mu    sync.Mutex
	byKey map[string]map[string]*flight // by key, then by request hash
}

// flight is one leader and those who follow it.
type flight struct {
	key, hash string
	// poked has a value when it is time to probe.
	poked chan struct{}
	// done is closed when the flight has ended. cached and err are set before.
	done chan struct{}

	seen      bool // the key was seen in flight
	followers int
	cached    *idem.Cached
	err       error
}

// join returns the request's flight, and whether the caller leads it.
func (fs *flights) join(key, hash string) (f *flight, leads bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f, ok := fs.byKey[key][hash]; ok {
		f.followers++
		return f, false
	}
	if fs.byKey == nil {
		fs.byKey = make(map[string]map[string]*flight)
	}
	if fs.byKey[key] == nil {
		fs.byKey[key] = make(map[string]*flight)
	}
	f = &flight{key: key, hash: hash, poked: make(chan struct{}, 1), done: make(chan struct{})}
	fs.byKey[key][hash] = f
	return f, true
}

// markSeen notes that the leader has seen the key in flight.
func (fs *flights) markSeen(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.seen = true
}

func (fs *flights) wasSeen(f *flight) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return f.seen
}

// end dissolves the flight. With neither a response nor an error its followers
// try for themselves, and one of them leads the next flight.
func (fs *flights) end(f *flight, cached *idem.Cached, err error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.byKey[f.key][f.hash] != f {
		return
	}
	delete(fs.byKey[f.key], f.hash)
	if len(fs.byKey[f.key]) == 0 {
		delete(fs.byKey, f.key)
	}
	if cached != nil {
		// Followers copy from it when they come to it, and by then its owner may
		// have done anything to it.
		copied := cached.Clone()
		f.cached = &copied
	}
	f.err = err
	close(f.done)
}

// deliver hands a response that was committed here to those who wait for it.
func (fs *flights) deliver(key, hash string, response idem.Cached) {
	fs.mu.Lock()
	f := fs.byKey[key][hash]
	fs.mu.Unlock()
	if f != nil {
		fs.end(f, &response, nil)
	}
}

// poke makes all who wait for key in this process look again.
func (fs *flights) poke(key string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.byKey[key] {
		signal(f.poked)
	}
}

// signal leaves a value in c, a channel with room for one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // the last one was not heard yet, and the probe comes after this
	}
}

// follow waits for the leader. With neither a response nor an error the caller
// joins again.
func (q *request) follow(f *flight) (*idem.Cached, error) {
	select {
	case <-f.done:
		q.seen = q.seen || f.seen // nobody writes it any more
		return f.result()
	case <-q.ctx.Done():
		return nil, q.followEnded(q.ctx, f)
	case <-q.store.running.Closed():
		return nil, errClosed()
	}
}

func (q *request) followEnded(ctx context.Context, f *flight) error {
	return waitEnded(ctx, q.seen || q.store.flights.wasSeen(f))
}

// result returns what the flight ended with, as the caller's own copy.
func (f *flight) result() (*idem.Cached, error) {
	if f.err != nil || f.cached == nil {
		return nil, f.err
	}
	c := f.cached.Clone()
	return &c, nil
}
