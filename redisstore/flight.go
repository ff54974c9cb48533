package redisstore

import (
	"context"
	"sync"
	"time"

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
	byKey map[string]*flight // each with those of other hashes behind it
}

// flight is one leader and those who follow it.
type flight struct {
	key, hash string
	came      time.Time // when its leader came
	behind    *flight   // of the same key and another hash
	// poked has a value when it is time to probe. It is nil until the leader
	// waits.
	poked chan struct{}
	early bool // it was time before the leader waited
	// done is closed when the flight has ended. cached, until and err are set
	// before. It is nil until somebody waits for that.
	done chan struct{}

	seen   bool // the key was seen in flight
	cached *idem.Cached
	// until is when what it ends with may have expired; see request. It is zero if
	// that does not expire.
	until time.Time
	err   error
}

// join returns the flight of a request that came at the given time, and whether the
// caller leads it.
func (fs *flights) join(key, hash string, came time.Time) (f *flight, leads bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.find(key, hash); f != nil {
		f.awaited()
		return f, false
	}
	if fs.byKey == nil {
		fs.byKey = make(map[string]*flight)
	}
	f = &flight{key: key, hash: hash, came: came, behind: fs.byKey[key]}
	fs.byKey[key] = f
	return f, true
}

// find returns nil if there is no such flight. The caller holds mu.
func (fs *flights) find(key, hash string) *flight {
	f := fs.byKey[key]
	for f != nil && f.hash != hash {
		f = f.behind
	}
	return f
}

// awaited notes that somebody waits for the flight's end. The caller holds mu.
func (f *flight) awaited() {
	if f.done == nil {
		f.done = make(chan struct{})
	}
}

// markSeen notes that the leader has seen the key in flight, and waits now.
func (fs *flights) markSeen(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.seen = true
	f.awaited()
	if f.poked == nil {
		f.poked = make(chan struct{}, 1)
		if f.early {
			signal(f.poked)
		}
	}
}

func (fs *flights) wasSeen(f *flight) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return f.seen
}

// end dissolves the flight. With neither a response nor an error its followers
// try for themselves, and one of them leads the next flight.
func (fs *flights) end(f *flight, cached *idem.Cached, until time.Time, err error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if !fs.remove(f) || f.done == nil {
		return
	}
	if cached != nil {
		// Followers copy from it when they come to it, and by then its owner may
		// have done anything to it.
		copied := cached.Clone()
		f.cached = &copied
	}
	f.until, f.err = until, err
	close(f.done)
}

// remove returns false if f has ended before. The caller holds mu.
func (fs *flights) remove(f *flight) bool {
	first := fs.byKey[f.key]
	switch {
	case fs.find(f.key, f.hash) != f:
		return false
	case first != f:
		for first.behind != f {
			first = first.behind
		}
		first.behind = f.behind
	case f.behind == nil:
		delete(fs.byKey, f.key)
	default:
		fs.byKey[f.key] = f.behind
	}
	return true
}

// deliver hands a response that was committed here to those who wait for it and came
// before it may have expired, which is at until. If its leader did not, nobody did.
// Who waits for the key with another hash looks again.
func (fs *flights) deliver(key, hash string, response idem.Cached, until time.Time) {
	defer fs.poke(key)
	fs.mu.Lock()
	f := fs.find(key, hash)
	told := f != nil && f.came.Before(until)
	if told {
		f.awaited() // by its leader, who may have looked before, and waits next
	}
	fs.mu.Unlock()
	if told {
		fs.end(f, &response, until, nil)
	}
}

// poke makes all who wait for key in this process look again.
func (fs *flights) poke(key string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for f := fs.byKey[key]; f != nil; f = f.behind {
		f.early = true
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
		// Its leader may be about to note that, where a Commit here has ended it.
		q.seen = q.seen || q.store.flights.wasSeen(f)
		if !f.until.IsZero() && !q.came.Before(f.until) {
			return nil, nil // what the leader was told of may have expired before
		}
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
