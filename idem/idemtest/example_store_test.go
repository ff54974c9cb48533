package idemtest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// Shelf is a complete store, as small as a right one can be: one lock for all
// keys, and one wake-up for all who wait.
type Shelf struct {
	now func() time.Time

	mu      sync.Mutex // guards all below
	records map[string]*record
	changed chan struct{} // closed and replaced whenever a key ends its flight
}

// record is one reservation of a key, and its response once it is completed.
type record struct {
	hash      string
	ttl       time.Duration
	owner     string       // the attempt's ID, "" without one
	response  *idem.Cached // nil while in flight
	expiresAt time.Time
}

// NewShelf returns an empty Shelf whose clock is now.
func NewShelf(now func() time.Time) *Shelf {
	return &Shelf{now: now, records: make(map[string]*record), changed: make(chan struct{})}
}

func (s *Shelf) Reserve(ctx context.Context, key, requestHash string, ttl time.Duration) (*idem.Cached, bool, error) {
	if err := idem.ValidateKey(key); err != nil {
		return nil, false, err
	}
	for {
		existing, fresh, changed, err := s.look(ctx, key, requestHash, ttl)
		if changed == nil {
			return existing, fresh, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, false, endOfWait(ctx)
		}
	}
}

// endOfWait is called after the key was seen in flight, and only then.
func endOfWait(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return idem.ErrWaitTimeout
	}
	return ctx.Err()
}

// look decides in one step under the lock. It returns a channel to wait on when
// the key is in flight.
func (s *Shelf) look(ctx context.Context, key, hash string, ttl time.Duration) (existing *idem.Cached, fresh bool, changed <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.live(key)
	switch {
	case r == nil && ctx.Err() != nil:
		// Nobody holds the key, so this is no ErrWaitTimeout.
		return nil, false, nil, fmt.Errorf("shelf: %w: %w", idem.ErrStoreUnavailable, ctx.Err())
	case r == nil:
		s.reserve(ctx, key, &record{hash: hash, ttl: ttl})
		return nil, true, nil, nil
	case r.response != nil:
		replay := r.response.Clone() // the caller may change what it gets
		return &replay, false, nil, nil
	}
	changed, err = s.mayWait(ctx, r, hash)
	return nil, false, changed, err
}

// live returns the record of key unless it has expired, which it has from its
// last instant on.
func (s *Shelf) live(key string) *record {
	r := s.records[key]
	if r != nil && r.response != nil && !s.now().Before(r.expiresAt) {
		delete(s.records, key)
		return nil
	}
	return r
}

// reserve binds the reservation to the attempt in ctx, if there is one. The
// record is the state that is bound: idem.Bound finds it again by its type.
func (s *Shelf) reserve(ctx context.Context, key string, r *record) {
	if attempt, ok := idem.AttemptFromContext(ctx); ok {
		r.owner = attempt.ID()
		attempt.Bind(r)
	}
	s.records[key] = r
}

// mayWait returns what to wait on, or why this caller must not wait.
func (s *Shelf) mayWait(ctx context.Context, r *record, hash string) (<-chan struct{}, error) {
	if _, inside := idem.Bound(ctx, func(b *record) bool { return b == r }); inside {
		return nil, idem.ErrNested // it would wait for itself
	}
	if r.hash != hash {
		return nil, idem.ErrHashMismatch
	}
	if attempt, ok := idem.AttemptFromContext(ctx); ok && attempt.NoWait() {
		return nil, idem.ErrInFlight
	}
	return s.changed, nil
}

func (s *Shelf) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.live(key)
	switch {
	case r == nil:
		return idem.ErrNotReserved
	case r.response != nil && r.response.RequestHash != requestHash:
		return idem.ErrHashMismatch
	case r.owner != ownerOf(ctx) && r.response != nil:
		return idem.ErrSuperseded
	case r.owner != ownerOf(ctx):
		return idem.ErrNotReserved // a stale attempt changes nothing
	case r.response != nil:
		return nil // a second Commit; the first response stays
	}
	kept := response.Clone()
	kept.RequestHash, kept.StoredAt = requestHash, s.now()
	r.response, r.expiresAt = &kept, s.now().Add(r.ttl)
	s.wake()
	return nil
}

func (s *Shelf) Release(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[key]
	if r == nil || r.response != nil || r.owner != ownerOf(ctx) {
		return nil // completed, or not the caller's
	}
	delete(s.records, key)
	s.wake()
	return nil
}

func (s *Shelf) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func ownerOf(ctx context.Context) string {
	if attempt, ok := idem.AttemptFromContext(ctx); ok {
		return attempt.ID()
	}
	return ""
}
