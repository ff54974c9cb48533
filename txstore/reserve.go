package txstore

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/pgidem/pgidem/idem"
)

// Reserve implements [idem.Store]. With an attempt in ctx a fresh key comes with
// an open transaction, which ends with Commit or Release. With [WithTx] it never
// waits: a key in flight is [idem.ErrInFlight]. With neither it takes a lease.
//
// A ttl under a microsecond is an error, one over 200 years is cut down to that.
// Beside the errors of the interface it returns [idem.ErrRecordUnreadable], and
// [idem.ErrStoreUnavailable] also where the table is missing or the pool has no
// connection within Config.AcquireTimeout.
func (s *Store) Reserve(ctx context.Context, key, requestHash string, ttl time.Duration) (*idem.Cached, bool, error) {
	if err := checkReserve(key, requestHash, ttl); err != nil {
		return nil, false, err
	}
	ttl = min(ttl, maxTTL)
	if s.nested(ctx, key) {
		return nil, false, idem.ErrNested
	}
	if tx, ok := callerTxFrom(ctx); ok {
		return tx.reserve(ctx, s, key, requestHash, ttl)
	}
	attempt, ok := idem.AttemptFromContext(ctx)
	if !ok {
		return s.leased.Reserve(ctx, key, requestHash, ttl)
	}
	if !s.running.Begin() {
		return nil, false, errClosed()
	}
	fresh := false
	defer func() {
		if !fresh { // also after a panic, as in a tracer of the user's
			s.running.End()
		}
	}()
	r := &reservation{store: s, key: key, hash: requestHash, ttl: ttl, attempt: attempt}
	cached, err := r.reserve(ctx)
	if err != nil || cached != nil {
		return cached, false, err
	}
	fresh = true
	attempt.Bind(r)
	attempt.MarkTransactional()
	return nil, true, nil
}

// maxTTL keeps expires_at within what a timestamptz can hold.
const maxTTL = 200 * 365 * 24 * time.Hour

// remember returns how long a tombstone follows the record of an attempt.
func remember(attempt *idem.Attempt) time.Duration {
	if attempt == nil {
		return 0
	}
	return min(max(attempt.RememberExpired(), 0), maxTTL)
}

func checkReserve(key, hash string, ttl time.Duration) error {
	if err := idem.ValidateKey(key); err != nil {
		return err
	}
	if !utf8.ValidString(hash) || strings.ContainsRune(hash, 0) {
		return fmt.Errorf("txstore: requestHash is %q: it must be text, as the digest in hexadecimal digits", hash)
	}
	if ttl < time.Microsecond {
		return fmt.Errorf("txstore: ttl is %v: it must be a microsecond at least", ttl)
	}
	return nil
}

// nested tells whether key is reserved by an attempt that ctx carries: to wait
// for that would be to wait for oneself.
func (s *Store) nested(ctx context.Context, key string) bool {
	if r, ok := s.bound(ctx, key); ok && !r.isEnded() {
		return true
	}
	l, ok := s.boundLease(ctx, key)
	return ok && !l.isEnded()
}

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

	// connMu orders the end of a late COMMIT, which gives the connection back,
	// against who stops waiting for it, who takes it out of the pool.
	connMu   sync.Mutex
	released bool // it is the pool's again, and may be anybody's
	detached bool // it is not the pool's any more

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
	k := &seeker{store: r.store, key: r.key, hash: r.hash, noWait: r.attempt.NoWait(), look: r.look}
	cached, err := k.seek(ctx)
	r.flight = k.flight
	return cached, err
}

// look probes, and keeps the probe's transaction for the handler if the key is
// fresh.
func (r *reservation) look(ctx context.Context) (look, error) {
	p, err := r.store.probe(ctx, r.key, r.store.config.IsoLevel, r.attempt.MaxHandlerTime())
	if err != nil {
		return look{}, err
	}
	if p.fresh() {
		r.probe, r.tx = p, newTransaction(r.store, p)
		return look{fresh: true}, nil
	}
	r.store.closeProbe(p)
	return p.found.look(p.h), p.found.refusal(r.hash)
}
