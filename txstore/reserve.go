package txstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// Reserve implements [idem.Store]. With an attempt in ctx a fresh key comes with
// an open transaction, which ends with Commit or Release. With [WithTx] it never
// waits: a key in flight is [idem.ErrInFlight].
func (s *Store) Reserve(ctx context.Context, key, requestHash string, ttl time.Duration) (*idem.Cached, bool, error) {
	if err := idem.ValidateKey(key); err != nil {
		return nil, false, err
	}
	if ttl <= 0 {
		return nil, false, fmt.Errorf("txstore: ttl is %v: it must be positive", ttl)
	}
	if tx, ok := callerTxFrom(ctx); ok {
		return tx.reserve(ctx, s, key, requestHash, ttl)
	}
	attempt, ok := idem.AttemptFromContext(ctx)
	if !ok {
		return nil, false, ErrNoTransaction
	}
	if r, nested := s.bound(ctx, key); nested && !r.isEnded() {
		return nil, false, idem.ErrNested
	}
	if err := s.running.begin(); err != nil {
		return nil, false, err
	}
	r := &reservation{store: s, key: key, hash: requestHash, ttl: min(ttl, maxTTL), attempt: attempt}
	cached, err := r.reserve(ctx)
	if err != nil || cached != nil {
		s.running.end()
		return cached, false, err
	}
	attempt.Bind(r)
	attempt.MarkTransactional()
	return nil, true, nil
}

// maxTTL keeps expires_at within what a timestamptz can hold.
const maxTTL = 200 * 365 * 24 * time.Hour

// bound returns the reservation of key that the attempts in ctx hold.
func (s *Store) bound(ctx context.Context, key string) (*reservation, bool) {
	return idem.Bound(ctx, func(r *reservation) bool { return r.store == s && r.key == key })
}

// reservation is a transactional attempt: an open transaction that holds the
// key's lock, from Reserve to Commit or Release.
type reservation struct {
	store   *Store
	key     string
	hash    string
	ttl     time.Duration
	attempt *idem.Attempt

	flight *flight
	probe  *probe
	tx     *transaction

	// mu serializes Commit and Release, and guards what follows.
	mu        sync.Mutex
	ended     bool
	committed bool
}

func (r *reservation) isEnded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// reserve returns the record to replay, or nil when the key is the caller's.
func (r *reservation) reserve(ctx context.Context) (*idem.Cached, error) {
	s := r.store
	for {
		f, leads := s.flights.join(r.key)
		if leads {
			r.flight = f
			return r.lead(ctx)
		}
		cached, err := s.follow(ctx, f, r.hash, r.attempt.NoWait())
		if cached != nil || err != nil {
			return cached, err
		}
	}
}

// lead asks the database, and waits there as long as another process's attempt
// is in flight.
func (r *reservation) lead(ctx context.Context) (cached *idem.Cached, err error) {
	flights := &r.store.flights
	var forAll error
	defer func() {
		if r.tx == nil {
			// Also after a panic, or when the leader's own patience or client is
			// at its end: the followers' are not.
			flights.end(r.flight, cached, forAll)
		}
	}()
	cached, shared, err := r.search(ctx)
	if shared {
		forAll = err
	}
	if err != nil {
		return nil, err
	}
	if cached != nil {
		return cached, nil
	}
	flights.markSeen(r.flight, r.hash)
	return nil, nil
}

// search probes until the key is replayed or the caller's. shared tells whether
// an error concerns everybody who wants the key.
func (r *reservation) search(ctx context.Context) (cached *idem.Cached, shared bool, err error) {
	s := r.store
	var w *wait
	for {
		p, err := s.probe(ctx, r.key, s.config.IsoLevel, r.attempt.MaxHandlerTime())
		switch {
		case err != nil && w == nil:
			return nil, ctx.Err() == nil, err
		case err != nil:
			// Whether it is still in flight is not known now, but it was, and
			// the waiter's time is not over: a server that restarts comes back.
			if cause := w.next(ctx, 0); cause != nil {
				return nil, false, errors.Join(cause, err)
			}
			continue
		}
		if p.fresh() {
			r.probe, r.tx = p, newTransaction(s, p)
			return nil, false, nil
		}
		s.closeProbe(p)
		if cached := p.found.completed(); cached != nil {
			return cached, false, nil
		}
		s.flights.markSeen(r.flight, "")
		if r.attempt.NoWait() {
			return nil, false, idem.ErrInFlight
		}
		if w == nil {
			w = s.newWait(p.h)
			defer w.stop()
		}
		if err := w.next(ctx, p.found.leaseLeft); err != nil {
			return nil, false, err
		}
	}
}
