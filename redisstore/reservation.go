package redisstore

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/lease"
)

// staleTime is how long a lease's key outlives the lease, so that an owner that
// was cut off can still commit if nobody took over.
const staleTime = 10 * time.Minute

// reservation is what a Reserve that was fresh leaves for Commit and Release.
type reservation struct {
	store  *Store
	key    string
	id     string
	name   any    // of the Redis key
	lease  string // the record of it as it was written
	plain  bool   // made without an attempt
	keeper *lease.Keeper

	// ttl is the record's, in milliseconds, and remember how long the key outlives
	// it, in microseconds.
	ttl, remember int64

	// mu guards what follows.
	mu    sync.Mutex
	held  bool        // neither committed nor released
	grace *time.Timer // nil unless a Commit has failed
}

// hold makes the reservation that the last probe was given. It returns false if
// another call of the same attempt has it already: the server takes the second one for
// a repetition of the first, whose reply was lost.
func (q *request) hold() bool {
	s := q.store
	r := &reservation{store: s, key: q.key, id: q.id, name: q.name, lease: q.lease, ttl: millis(q.ttl), plain: q.attempt == nil, held: true}
	// Without an attempt nobody can be told, and nobody may come to settle it.
	config := lease.Config{Duration: s.config.Lease, Renew: r.renew, Lost: r.settle}
	if q.attempt != nil {
		r.remember = clampRemember(q.attempt.RememberExpired(), q.ttl).Microseconds()
		config.Lost, config.Limit = q.attempt.LoseLease, q.attempt.MaxHandlerTime()
	}
	s.running.More()
	r.mu.Lock() // the lease may be lost at once
	r.keeper = lease.Keep(q.asked, config)
	r.mu.Unlock()
	if !s.live.add(r) {
		r.settle()
		return false
	}
	if q.attempt != nil {
		q.attempt.Bind(r)
	}
	return true
}

// holds tells whether the attempt has reserved the key already, through this Store
// or another with the same prefix. That may be on another server: where it matters the
// server has found the attempt's own lease, too.
func (q *request) holds() bool {
	_, has := idem.Bound(q.ctx, func(r *reservation) bool { return r.id == q.id && r.name == q.name && r.reserved() })
	return has
}

// clampRemember makes a time negative or without measure one that can follow ttl.
func clampRemember(remember, ttl time.Duration) time.Duration {
	return max(0, min(remember, math.MaxInt64-ttl))
}

func (r *reservation) renew(ctx context.Context) error {
	s := r.store
	a, err := s.run(newCall(ctx, renewScript, r.name, leaseHead(r.id), s.leaseMillis))
	switch {
	case err != nil || a.kind == replyRenewed:
		return err
	case a.kind == replyLost:
		return idem.ErrLeaseLost
	}
	return fmt.Errorf("redisstore: %w: unknown reply %q", idem.ErrStoreUnavailable, a.kind)
}

// reserved tells whether r was neither committed nor released.
func (r *reservation) reserved() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

// settle ends the reservation in this process, once.
func (r *reservation) settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.held {
		return
	}
	r.held = false
	r.keeper.Stop()
	if r.grace != nil {
		r.grace.Stop()
	}
	r.store.live.remove(r)
	r.store.running.End()
}

// endLater bounds the life of a lease whose Commit has failed. Until then it is
// renewed, so that the Commit can be repeated.
func (r *reservation) endLater() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held && r.grace == nil {
		r.keeper.CommitFailed()
		r.grace = time.AfterFunc(lease.CommitGrace, r.settle)
	}
}

// reservationIn returns the reservation that ctx's Commit or Release is for. If
// there is none it is one that was never held, of no attempt.
func (s *Store) reservationIn(ctx context.Context, key string) *reservation {
	if r, ok := s.bound(ctx, key); ok {
		return r
	}
	_, hasAttempt := idem.AttemptFromContext(ctx)
	if r, ok := s.live.find(key); ok && r.plain && !hasAttempt {
		return r
	}
	return &reservation{store: s, key: key, name: s.redisKey(key), plain: !hasAttempt}
}

// bound returns the reservation of key that an attempt in ctx has made: the one
// that is held, or else any.
func (s *Store) bound(ctx context.Context, key string) (*reservation, bool) {
	ours := func(r *reservation) bool { return r.store == s && r.key == key }
	if r, ok := idem.Bound(ctx, func(r *reservation) bool { return ours(r) && r.reserved() }); ok {
		return r, true
	}
	return idem.Bound(ctx, ours)
}

// live are the reservations that this Store holds.
type live struct {
	// mu guards what follows. Reservations are locked before it, never after.
	mu      sync.Mutex
	byKey   map[string]*reservation
	stopped bool // nothing is renewed any more
}

// add notes r, unless its attempt has noted one. One that it replaces has lost its
// lease; if it belongs to no attempt nobody else would settle it.
func (l *live) add(r *reservation) bool {
	before, added := l.replace(r)
	if before != nil && before.plain {
		before.settle()
	}
	return added
}

func (l *live) replace(r *reservation) (before *reservation, added bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before = l.byKey[r.key]
	if before != nil && before.id == r.id {
		return nil, false
	}
	if l.byKey == nil {
		l.byKey = make(map[string]*reservation)
	}
	if l.byKey[r.key] = r; l.stopped {
		r.keeper.Stop()
	}
	return before, true
}

func (l *live) remove(r *reservation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byKey[r.key] == r {
		delete(l.byKey, r.key)
	}
}

func (l *live) find(key string) (*reservation, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.byKey[key]
	return r, ok
}

// holds tells whether the attempt runs in this process.
func (l *live) holds(key, attempt string) bool {
	r, ok := l.find(key)
	return ok && r.id == attempt
}

// stopAll ends all renewing, also of what a Reserve that is under way still gets.
func (l *live) stopAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	for _, r := range l.byKey {
		r.keeper.Stop()
	}
}
