package txstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/lease"
)

// Leased returns a view of the Store whose reservations are leases: rows that
// are committed before the handler runs and renewed while it does. It is for
// handlers whose effect is outside the database, where a transaction could not
// undo it. It shares its keys with the Store; attempts of both kinds exclude
// each other. It lives and ends with the Store.
//
// An attempt that loses its lease, because it could not be renewed in time, has
// its handler's context cancelled with [idem.ErrLeaseLost] as cause, and its
// Commit is refused once another attempt has taken the key. A lease is renewed
// for no longer than the attempt's MaxHandlerTime, if that is limited, and one
// lease more; after a Commit that has failed, for as long as it is repeated.
func (s *Store) Leased() idem.Store { return s.leased }

// leasedStore is the Store's other door.
type leasedStore struct {
	s           *Store
	commitGrace time.Duration // 0, but in tests: the usual one

	// mu guards plain.
	mu sync.Mutex
	// plain are the leases that were reserved without an attempt in the context:
	// there is nothing else to remember them by.
	plain map[string]*leaseHold
}

// leaseHold is a leased attempt, from Reserve to Commit or Release.
type leaseHold struct {
	store   *Store
	key     string
	hash    string
	ttl     time.Duration
	id      string
	attempt *idem.Attempt // nil: reserved without one
	// remember is how long a tombstone follows the record.
	remember time.Duration

	flight *flight
	keeper *lease.Keeper
	began  time.Time // of the call that took the key
	over   sync.Once // tells the Store that there is nothing to wait for

	// mu serializes Commit and Release, and guards what follows.
	mu        sync.Mutex
	ended     bool
	committed bool
}

func (l *leaseHold) isEnded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// boundLease returns the lease on key that the attempts in ctx hold.
func (s *Store) boundLease(ctx context.Context, key string) (*leaseHold, bool) {
	return idem.Bound(ctx, func(l *leaseHold) bool { return l.store == s && l.key == key })
}

func (d *leasedStore) Reserve(ctx context.Context, key, requestHash string, ttl time.Duration) (*idem.Cached, bool, error) {
	if err := checkReserve(key, requestHash, ttl); err != nil {
		return nil, false, err
	}
	if d.s.nested(ctx, key) {
		return nil, false, idem.ErrNested
	}
	if !d.s.running.Begin() {
		return nil, false, errClosed()
	}
	fresh := false
	defer func() {
		if !fresh { // also after a panic, as in a tracer of the user's
			d.s.running.End()
		}
	}()
	l := &leaseHold{store: d.s, key: key, hash: requestHash, ttl: min(ttl, maxTTL)}
	l.attempt, _ = idem.AttemptFromContext(ctx)
	if l.attempt != nil {
		l.id, l.remember = l.attempt.ID(), remember(l.attempt)
	} else {
		l.id = idem.NewAttemptID()
	}
	cached, err := l.reserve(ctx)
	if err != nil || cached != nil {
		return cached, false, err
	}
	fresh = true
	d.remember(l)
	return nil, true, nil
}

// reserve returns the record to replay, or nil when the key is the caller's.
func (l *leaseHold) reserve(ctx context.Context) (*idem.Cached, error) {
	k := &seeker{store: l.store, key: l.key, hash: l.hash, noWait: l.attempt != nil && l.attempt.NoWait(), id: l.id, look: l.look}
	cached, err := k.seek(ctx)
	if l.flight = k.flight; err == nil && cached == nil {
		l.keep()
	}
	return cached, err
}

// look tries to take the key.
func (l *leaseHold) look(ctx context.Context) (look, error) {
	l.began = time.Now()
	return l.store.leaseReserve(ctx, l)
}

// keep keeps the lease alive from now on.
func (l *leaseHold) keep() {
	s := l.store
	config := lease.Config{Duration: s.config.Lease, CommitGrace: s.leased.commitGrace, Renew: l.renew, Lost: l.lost}
	if l.attempt != nil {
		config.Limit = l.attempt.MaxHandlerTime()
	}
	l.keeper = lease.Keep(l.began, config)
}

func (l *leaseHold) renew(ctx context.Context) error {
	renewed, err := l.store.leaseRenew(ctx, l)
	switch {
	case err == nil && !renewed:
		return idem.ErrLeaseLost
	case err != nil && !errors.Is(ctx.Err(), context.Canceled): // the attempt has not ended
		// It is tried again, and if that does not help the lease is lost: this
		// is why.
		l.store.config.OnError(fmt.Errorf("txstore: renewing a lease: %w", err))
	}
	return err
}

// lost tells the handler, and lets this process's waiters try for the key as
// those of others can.
//
// A renewal that meets the attempt's own Commit or Release changes nothing either:
// that is no loss.
func (l *leaseHold) lost() {
	if l.isEnded() {
		return
	}
	l.store.config.OnError(fmt.Errorf("txstore: %w", idem.ErrLeaseLost))
	l.store.flights.end(l.flight, nil, nil)
	l.over.Do(l.store.running.End)
	if l.attempt != nil {
		l.attempt.LoseLease()
	}
}

// Commit completes the lease. A failed one may be repeated: the lease goes on
// being renewed until a Commit succeeds or is refused for good, or it is time
// that somebody else may have the key.
func (d *leasedStore) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	l, ok := d.hold(ctx, key)
	if !ok {
		return fmt.Errorf("txstore: %w", idem.ErrNotReserved)
	}
	return l.commit(context.WithoutCancel(ctx), requestHash, response)
}

func (l *leaseHold) commit(ctx context.Context, hash string, response idem.Cached) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.committed && l.hash == hash:
		return nil
	case l.committed:
		return idem.ErrHashMismatch
	case l.ended:
		return fmt.Errorf("txstore: %w", idem.ErrNotReserved)
	}
	l.hash, response.RequestHash = hash, hash
	asked := time.Now()
	found, err := l.store.leaseCommit(ctx, l, response)
	switch {
	case err != nil:
		l.keeper.CommitFailed()
		return err
	case found.cached != nil && found.attemptID == l.id:
		response.StoredAt = found.cached.StoredAt
		l.committed = true
		l.store.completed(l.flight, &response, asked, found.replays)
		l.end(&response)
		return nil
	case found.completed && found.alive:
		err = idem.ErrSuperseded
	default:
		err = idem.ErrLeaseLost
	}
	l.end(nil)
	return fmt.Errorf("txstore: %w", err)
}

// Release gives the lease up; with Config.HoldAfterDiscard it only stops
// renewing it.
func (d *leasedStore) Release(ctx context.Context, key string) error {
	l, ok := d.hold(ctx, key)
	if !ok {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil
	}
	var err error
	if !l.store.config.HoldAfterDiscard {
		err = l.store.leaseRelease(context.WithoutCancel(ctx), l)
	}
	l.end(nil)
	if err != nil {
		return errors.Join(errors.New("txstore: the key stays reserved until its lease ends"), err)
	}
	return nil
}

// end ends the attempt with what it has committed, if anything. The caller holds
// l.mu.
func (l *leaseHold) end(cached *idem.Cached) {
	l.ended = true
	l.keeper.Stop()
	l.store.leased.forget(l)
	l.store.flights.end(l.flight, cached, nil)
	l.over.Do(l.store.running.End)
}
