package txstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// flights makes the duplicates of a key in this process share one wait: the
// first of them leads, the others follow and touch the database only if the
// leader ends without an answer for them.
type flights struct {
	// mu guards byKey and the fields of every flight in it. It is never held
	// across a wait or a call.
	mu    sync.Mutex
	byKey map[string]*flight
}

// flight is one key's leader and those who follow it.
type flight struct {
	key       string
	followers int
	*signals  // nil until somebody follows, which mostly nobody does

	// sightings counts how often it was seen so. blind is set while the leader's
	// looks fail: then the last sighting says nothing of the present any more.
	sightings int
	blind     bool
	// running: the leader runs its handler. hash is its request's; it is set before
	// runs is closed.
	running bool
	hash    string
	// cached is what the leader's attempt, or another process's, has committed.
	cached *idem.Cached
	// until is when cached may have expired, by this process's monotonic clock
	// and no later than by the server's: the word of it can take long to come.
	until time.Time
	// err is what keeps everybody from the store, not the leader alone.
	err error
}

// signals are what followers wait for.
type signals struct {
	// seen is closed once the key was seen in flight: the leader runs its
	// handler, or has met somebody else's attempt.
	seen chan struct{}
	// runs is closed once the leader runs its handler.
	runs chan struct{}
	// done is closed when the flight has ended. Its outcome is set before.
	done chan struct{}
}

// signal makes the signals of a flight, and gives those whose moment was before.
// The caller holds mu.
func (f *flight) signal() {
	f.signals = &signals{seen: make(chan struct{}), runs: make(chan struct{}), done: make(chan struct{})}
	if f.sightings > 0 {
		close(f.seen)
	}
	if f.running {
		close(f.runs)
	}
}

// join returns the key's flight, and whether the caller leads it.
func (fs *flights) join(key string) (f *flight, leads bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f, ok := fs.byKey[key]; ok {
		if f.followers == 0 {
			f.signal()
		}
		f.followers++
		return f, false
	}
	if fs.byKey == nil {
		fs.byKey = make(map[string]*flight)
	}
	f = &flight{key: key}
	fs.byKey[key] = f
	return f, true
}

// markSeen tells the followers that the key is in flight.
func (fs *flights) markSeen(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.markSeen()
}

func (f *flight) markSeen() {
	if f.sightings == 0 && f.followers > 0 {
		close(f.seen)
	}
	f.sightings++
	f.blind = false
}

// markBlind notes that the leader does not know any more whether the key is in
// flight.
func (fs *flights) markBlind(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.blind = true
}

// sightings returns how often the key was seen in flight until now.
func (fs *flights) sightings(f *flight) int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return f.sightings
}

// sawInFlight tells whether one who has joined after so many sightings may say
// that the key is in flight. It may if the key was seen so since. It may also if the
// leader saw it before, or another leader whom it followed then, and no look has
// failed since: a sighting from before it joined may be of an attempt that had
// committed before its request was even sent.
func (fs *flights) sawInFlight(f *flight, joined int, before bool) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return f.sightings > joined || (before || f.sightings > 0) && !f.blind
}

// completed notes until when what the flight ends with is to be replayed at
// least.
func (fs *flights) completed(f *flight, until time.Time) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	// Once it has ended, its followers read it without the lock.
	if fs.byKey[f.key] == f {
		f.until = until
	}
}

// markRunning tells them that it is so for the leader's own request, of that
// hash.
func (fs *flights) markRunning(f *flight, hash string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.hash, f.running = hash, true
	f.markSeen()
	if f.followers > 0 {
		close(f.runs)
	}
}

// end dissolves the flight. With neither a record nor an error its followers
// try for themselves, and one of them leads the next flight.
func (fs *flights) end(f *flight, cached *idem.Cached, err error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.byKey[f.key] != f {
		return
	}
	delete(fs.byKey, f.key)
	if f.followers == 0 {
		return
	}
	if cached != nil {
		// Followers copy from it when they come to it, and by then the leader
		// may have done anything to its own.
		copied := cached.Clone()
		f.cached = &copied
	}
	f.err = err
	close(f.done)
}

// refusal is the answer for who does not wait.
func (fs *flights) refusal(f *flight, hash string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	switch {
	case f.hash != "" && f.hash != hash:
		return idem.ErrHashMismatch
	case f.blind:
		return fmt.Errorf("txstore: the last look has failed: %w", idem.ErrStoreUnavailable)
	}
	return idem.ErrInFlight
}

// result returns what the flight ended with, as the caller's own copy.
func (f *flight) result() (*idem.Cached, error) {
	if f.err != nil || f.cached == nil {
		return nil, f.err
	}
	c := f.cached.Clone()
	return &c, nil
}

// waitEnded says what the end of ctx means. Only who has seen the key in flight
// can speak of it; otherwise the time went by before the store could be asked.
func waitEnded(ctx context.Context, seen bool) error {
	switch {
	case !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ctx.Err()
	case seen:
		return idem.ErrWaitTimeout
	}
	return fmt.Errorf("txstore: no answer in time: %w: %w", idem.ErrStoreUnavailable, ctx.Err())
}
