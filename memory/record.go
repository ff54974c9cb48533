package memory

import (
	"container/list"
	"context"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// record is one reservation of a key and, once it is completed, its response.
// A key that changes hands gets a new record, so the pointer itself is what
// fences a stale attempt off.
//
// Its shard's mutex guards it. The response of a completed record never changes
// and is read without the mutex by whoever found it completed.
type record struct {
	key       string
	hash      string // of the request in flight
	ttl       time.Duration
	bytes     int64 // what usage counts for it
	waiters   *list.List
	anonymous bool // reserved without an attempt
	completed bool
	tombstone bool // what remains of a completed record that has expired

	response  idem.Cached // but for its header
	header    keptHeader
	expiresAt time.Time
	remember  time.Duration // how long a tombstone follows expiresAt
	heapIndex int
}

func newRecord(key, hash string, ttl time.Duration) *record {
	return &record{key: key, hash: hash, ttl: ttl, bytes: recordBytes + int64(len(key)+len(hash))}
}

// entomb returns the tombstone that follows an expired record, nil if none does,
// or no longer; none follows a tombstone, which remembers nothing itself. It is
// a record of its own, since others may be reading the response of this one.
func (r *record) entomb(now time.Time) *record {
	until := r.expiresAt.Add(r.remember)
	if !now.Before(until) {
		return nil
	}
	t := newRecord(r.key, r.response.RequestHash, 0)
	t.completed, t.tombstone = true, true
	t.response.RequestHash = t.hash
	t.expiresAt = until
	return t
}

// refusal is what a Reserve with hash is told by a tombstone.
func (r *record) refusal(hash string) error {
	if r.hash != hash {
		return idem.ErrHashMismatch
	}
	return idem.ErrKeyExpired
}

// expired counts the instant of expiry as expired.
func (r *record) expired(now time.Time) bool {
	return r.completed && !now.Before(r.expiresAt)
}

// setTerms takes what the attempt in ctx wants of its record.
func (r *record) setTerms(ctx context.Context) {
	attempt, ok := idem.AttemptFromContext(ctx)
	r.anonymous = !ok
	if ok {
		r.remember = attempt.RememberExpired()
	}
}

// own gives the record to the attempt in ctx, or to callers without one.
func (r *record) own(ctx context.Context) {
	if attempt, ok := idem.AttemptFromContext(ctx); ok {
		attempt.Bind(r)
	}
}

// ownedBy tells whether the reservation was made in ctx's attempt or in one
// that encloses it. Callers without an attempt share those that were made
// without one.
func (r *record) ownedBy(ctx context.Context) bool {
	if r.anonymous {
		return isAnonymous(ctx)
	}
	return r.boundIn(ctx)
}

func (r *record) boundIn(ctx context.Context) bool {
	_, ok := idem.Bound(ctx, func(bound *record) bool { return bound == r })
	return ok
}

func isAnonymous(ctx context.Context) bool {
	_, ok := idem.AttemptFromContext(ctx)
	return !ok
}
