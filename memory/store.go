package memory

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// shardCount is a power of two well above the number of cores, so that two
// requests at one moment seldom meet in a shard.
const shardCount = 64

// Store is an idem.Store inside one process. Make it with New. It is safe for
// concurrent use and starts no goroutine.
type Store struct {
	shards [shardCount]shard
	seed   maphash.Seed
	usage  usage
	now    func() time.Time

	closed    chan struct{}
	closeOnce sync.Once
}

var _ idem.Store = (*Store)(nil)

// New returns an empty Store. It cannot fail: every Config is valid.
func New(config Config) *Store {
	config = config.withDefaults()
	s := &Store{seed: maphash.MakeSeed(), now: config.Now, closed: make(chan struct{})}
	s.usage.maxRecords, s.usage.maxBytes = int64(config.MaxRecords), config.MaxBytes
	for i := range s.shards {
		s.shards[i].records = make(map[string]*record)
		s.shards[i].usage = &s.usage
	}
	return s
}

// Close ends all waiting, and every later Reserve, with idem.ErrStoreClosed.
// Attempts in flight can still Commit and Release. It does not wait for them,
// and may be called more than once.
func (s *Store) Close() {
	s.closeOnce.Do(func() { close(s.closed) })
}

// Reserve implements idem.Store. Duplicates wait in the order in which they
// came. The hash of the attempt in flight is compared at once. Beside the
// errors of the interface it returns idem.ErrStoreUnavailable when a limit of
// Config is reached, and an error when ttl is not positive. A key handed to a
// waiter in the very moment its ctx ends is fresh, not lost.
func (s *Store) Reserve(ctx context.Context, key, requestHash string, ttl time.Duration) (existing *idem.Cached, fresh bool, err error) {
	ended := ctx.Err() // asked for once: it may read the clock
	if err := s.refuse(ended, key, ttl); err != nil {
		return nil, false, err
	}
	sh := s.shardOf(key)
	found, err := s.look(ctx, ended, sh, key, requestHash, ttl)
	if err != nil && isFull(err) {
		s.dropAllExpired()
		found, err = s.look(ctx, ended, sh, key, requestHash, ttl)
	}
	switch {
	case err != nil:
		return nil, false, err
	case found.waiter != nil:
		return s.wait(ctx, sh, found.waiter)
	case found.completed != nil:
		return copyOf(found.completed), false, nil
	}
	return nil, true, nil
}

// refuse returns why a call whose context has ended, if it has, cannot be served
// whatever the store holds. A deadline that has passed is no such reason: what
// is known about the key is still the better answer.
func (s *Store) refuse(ended error, key string, ttl time.Duration) error {
	select {
	case <-s.closed:
		return errClosed()
	default:
	}
	if ended != nil && !errors.Is(ended, context.DeadlineExceeded) {
		return ended
	}
	if ttl <= 0 {
		return fmt.Errorf("memory: ttl is %v: it must be positive", ttl)
	}
	return idem.ValidateKey(key)
}

// finding is what look met. With neither field set the key is the caller's.
type finding struct {
	completed *record
	waiter    *waiter // behind another attempt
}

// look finds the key's record, reserves the key if there is none, and queues up
// if it is in flight.
func (s *Store) look(ctx context.Context, ended error, sh *shard, key, hash string, ttl time.Duration) (finding, error) {
	now := s.now()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	rec := sh.find(key, now)
	switch {
	case rec != nil && rec.tombstone:
		return finding{}, rec.refusal(hash)
	case rec != nil && rec.completed:
		return finding{completed: rec}, nil
	}
	if rec != nil {
		if err := mayWait(ctx, rec, hash); err != nil {
			return finding{}, err
		}
	} else if ended != nil {
		return finding{}, fmt.Errorf("memory: %w: %w", idem.ErrStoreUnavailable, ended)
	}
	own := newRecord(key, hash, ttl)
	own.setTerms(ctx)
	if rec != nil {
		return finding{waiter: enqueue(rec, own)}, nil
	}
	if err := sh.insert(own); err != nil {
		return finding{}, err
	}
	own.own(ctx) // before anybody can find it, the same attempt among them
	return finding{}, nil
}

// mayWait says why the caller cannot wait for rec, which is in flight.
func mayWait(ctx context.Context, rec *record, hash string) error {
	if rec.boundIn(ctx) {
		return idem.ErrNested
	}
	if rec.hash != hash {
		return idem.ErrHashMismatch
	}
	if attempt, ok := idem.AttemptFromContext(ctx); ok && attempt.NoWait() {
		return idem.ErrInFlight
	}
	return nil
}

// Commit implements idem.Store. It keeps a copy of response. The record's TTL
// starts now.
func (s *Store) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	now := s.now()
	// Copied before the lock, since it may be large; the header is inside.
	if response.Body != nil {
		response.Body = append(make([]byte, 0, len(response.Body)), response.Body...)
	}
	response.RequestHash = requestHash
	response.StoredAt = now.Round(0) // without the monotonic reading
	sh := s.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	rec := sh.find(key, now)
	switch {
	case rec == nil || rec.tombstone:
		return idem.ErrNotReserved
	case rec.completed:
		return commitAgain(ctx, rec, requestHash)
	case !rec.ownedBy(ctx):
		return idem.ErrNotReserved
	}
	sh.complete(rec, response, now)
	return nil
}

// commitAgain is the answer to a Commit that finds a completed record.
func commitAgain(ctx context.Context, rec *record, hash string) error {
	switch {
	case rec.response.RequestHash != hash:
		return idem.ErrHashMismatch
	case !rec.ownedBy(ctx):
		return idem.ErrSuperseded
	}
	return nil
}

// Release implements idem.Store. The longest waiting duplicate gets the key. It
// never fails.
func (s *Store) Release(ctx context.Context, key string) error {
	sh := s.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	rec := sh.records[key]
	if rec != nil && !rec.completed && rec.ownedBy(ctx) {
		sh.release(rec)
	}
	return nil
}

func (s *Store) shardOf(key string) *shard {
	return &s.shards[maphash.String(s.seed, key)&(shardCount-1)]
}

func (s *Store) dropAllExpired() {
	now := s.now()
	for i := range s.shards {
		s.shards[i].dropAllExpired(now)
	}
}

// copyOf returns the caller's own copy of a completed record's response.
func copyOf(rec *record) *idem.Cached {
	response := rec.response.Clone()
	response.Header = rec.header.header()
	return &response
}

func errClosed() error { return fmt.Errorf("memory: %w", idem.ErrStoreClosed) }
