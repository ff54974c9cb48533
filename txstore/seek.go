package txstore

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// look is what one look at the database says about a key.
type look struct {
	// fresh: the key is the seeker's.
	fresh bool
	// cached is the record to replay, nil if there is none.
	cached *idem.Cached
	// replays is how much longer it is to be replayed.
	replays time.Duration
	// age is how long ago it was committed, and attemptID by whom.
	age       time.Duration
	attemptID string
	// h is the number to wait for, when the key is in flight elsewhere.
	h int32
	// hash and leaseLeft are known of an attempt that holds a lease.
	hash      string
	leaseLeft time.Duration
}

// seeker is one Reserve on its way to a key: a transactional attempt's or a
// leased one's, which differ only in how they look.
type seeker struct {
	store  *Store
	key    string
	hash   string
	noWait bool
	id     string // of a leased attempt, which may have the key and not know it
	look   func(context.Context) (look, error)

	flight *flight
	// seen: the key was seen in flight, by this seeker or one that it followed.
	seen bool
}

// seek returns the record to replay, or nil when the key is the seeker's, who
// leads its flight then until its attempt ends.
func (k *seeker) seek(ctx context.Context) (*idem.Cached, error) {
	s := k.store
	if cached, ok := s.replays.Get(k.key); ok {
		return cached, nil
	}
	for {
		f, leads := s.flights.join(k.key)
		if leads {
			k.flight = f
			return k.lead(ctx)
		}
		cached, err := k.follow(ctx, f)
		if cached != nil || err != nil {
			return cached, err
		}
	}
}

// follow waits for the leader. It returns a copy of what was committed; or an
// error; or neither, and then the caller joins again.
func (k *seeker) follow(ctx context.Context, f *flight) (*idem.Cached, error) {
	seen, runs := f.seen, f.runs
	joined, came := k.store.flights.sightings(f), time.Now()
	for {
		select {
		case <-f.done:
			// An attempt that ran here is over: that it was in flight says nothing
			// any more. A leader that only ran out of patience has seen what it has
			// seen, and so has who followed another before.
			k.seen = f.hash == "" && k.store.flights.sawInFlight(f, joined, k.seen)
			if f.cached != nil && !came.Before(f.until) {
				return nil, nil // it may have expired before this request came
			}
			return f.result()
		case <-runs:
			if runs = nil; f.hash != k.hash {
				return nil, idem.ErrHashMismatch
			}
		case <-seen:
			if seen = nil; k.noWait {
				return nil, k.store.flights.refusal(f, k.hash)
			}
		case <-ctx.Done():
			return nil, waitEnded(ctx, k.seen || k.store.flights.sawInFlight(f, joined, false))
		case <-k.store.running.Closed():
			return nil, errClosed()
		}
	}
}

// lead asks the database, and waits there as long as another process's attempt
// is in flight.
func (k *seeker) lead(ctx context.Context) (cached *idem.Cached, err error) {
	var forAll error
	fresh := false
	defer func() {
		if !fresh {
			// Also after a panic, or when the leader's own patience or client is
			// at its end: the followers' are not.
			k.store.flights.end(k.flight, cached, forAll)
		}
	}()
	cached, shared, err := k.search(ctx)
	switch {
	case shared:
		forAll = err
	case err == nil && cached == nil:
		fresh = true
		k.store.flights.markRunning(k.flight, k.hash)
	}
	return cached, err
}

// once looks once. A record that was only just committed is believed when it is
// where a commit has to be; one that is not there any more was on a server that has
// gone, and what stands on the other is looked at anew. Where that does not help, the
// pool's connections lead to two servers.
func (k *seeker) once(ctx context.Context, likely, waits bool) (look, error) {
	for range maxTries {
		l, err := k.peek(ctx, likely, waits)
		if err != nil || l.cached == nil || l.age >= settledAfter {
			return l, err
		}
		if there, err := k.store.settle(ctx, k.key, l.attemptID); there || err != nil {
			return l, err
		}
		likely = false
	}
	return look{}, unavailable(errTwoServers)
}

// errTwoServers: what one look has found the next has not, time and again.
var errTwoServers = errors.New("a record is there, and is not: do the pool's connections lead to one server?")

// peek looks. A key of which the table likely tells enough is glanced at; if
// it does not, the key is looked at in full. That is a record to replay or, for
// one who waits already, a lease that still lasts. Of a crowd that was told of a
// commit, nobody takes the key's lock then, which would be in the others' way, and
// whose end would have to be told to them in turn; and who waits for a lease does
// not lock its row each time, which would be written to the log.
func (k *seeker) peek(ctx context.Context, likely, waits bool) (look, error) {
	if !likely {
		return k.look(ctx)
	}
	f, err := k.store.glance(ctx, k.key)
	if errors.Is(err, errSpelling) {
		return k.look(ctx) // on another connection than the carrier's
	}
	if err = cmp.Or(err, f.refusal(k.hash)); err != nil || f.replay() != nil || waits && f.leased() && f.attemptID != k.id {
		return f.look(0), err // who waits has its number
	}
	return k.look(ctx)
}

// search looks until the key is replayed or the seeker's. shared tells whether
// an error concerns everybody who wants the key.
func (k *seeker) search(ctx context.Context) (cached *idem.Cached, shared bool, err error) {
	var w *wait
	defer func() { w.stop() }()
	likely := k.store.expectations.replay(k.key)
	for {
		asked := time.Now()
		l, err := k.once(ctx, likely, w != nil)
		switch {
		case isRefusal(err):
			return nil, false, err // of this request; a follower's may be another
		case err != nil && (w == nil || errors.Is(err, idem.ErrRecordUnreadable)):
			return nil, !isOver(ctx), k.failed(ctx, err)
		case err != nil:
			// Whether it is still in flight is not known now, but it was, and
			// the waiter's time is not over: a server that restarts comes back.
			k.store.flights.markBlind(k.flight)
			if _, cause := w.next(ctx, 0); cause != nil {
				return nil, false, lookFailed(ctx, cause, err)
			}
			// In full: the look that has failed may have taken a lease, which a
			// glance would take for somebody else's.
			likely = false
			continue
		case l.fresh:
			k.store.expectations.saw(false)
			return nil, false, nil
		case l.cached != nil:
			k.store.expectations.saw(true)
			k.store.completed(k.flight, l.cached, asked, l.replays)
			return l.cached, false, nil
		}
		if err := k.inFlight(l); err != nil {
			return nil, false, err
		}
		if w == nil {
			w = k.store.newWait(l.h)
		}
		if likely, err = w.next(ctx, l.leaseLeft); err != nil {
			return nil, false, err
		}
		likely = likely || l.leaseLeft > 0
	}
}

// isRefusal tells whether a tombstone has spoken.
func isRefusal(err error) bool {
	return errors.Is(err, idem.ErrKeyExpired) || errors.Is(err, idem.ErrHashMismatch)
}

// inFlight tells the followers, and says whether the seeker need not wait.
func (k *seeker) inFlight(l look) error {
	k.seen = true
	k.store.flights.markSeen(k.flight)
	switch {
	case l.hash != "" && l.hash != k.hash:
		return idem.ErrHashMismatch
	case k.noWait:
		return idem.ErrInFlight
	}
	return nil
}

// failed says why the first look of a leader has failed. One who has followed
// another until the end of its own time has learned enough from that, also where its
// context does not say so yet.
func (k *seeker) failed(ctx context.Context, err error) error {
	if k.seen && isOver(ctx) && !errors.Is(ctx.Err(), context.Canceled) {
		return idem.ErrWaitTimeout
	}
	return err
}

// lookFailed says why a wait is over whose last look has failed: that the key
// is in flight cannot be said then.
func lookFailed(ctx context.Context, cause, err error) error {
	if errors.Is(cause, idem.ErrWaitTimeout) {
		cause = ctx.Err()
	}
	return errors.Join(cause, err)
}

// isOver tells whether ctx has ended. Its own timer may be a moment late.
func isOver(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}
