package sealed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// Store is an [idem.Store] that encrypts what another one keeps. It is safe for
// concurrent use.
type Store struct {
	inner  idem.Store
	config Config
}

var _ idem.Store = (*Store)(nil)

// New returns a Store in front of inner, which stays the caller's: its Close and
// all else are called on inner itself. New starts nothing.
func New(inner idem.Store, config Config) (*Store, error) {
	if err := config.validate(inner); err != nil {
		return nil, err
	}
	config.HashSecret = slices.Clone(config.HashSecret)
	return &Store{inner: inner, config: config}, nil
}

// Reserve implements [idem.Store]. A record that cannot be opened is
// [idem.ErrRecordUnreadable].
func (s *Store) Reserve(ctx context.Context, key, requestHash string, ttl time.Duration) (*idem.Cached, bool, error) {
	existing, fresh, err := s.inner.Reserve(ctx, key, s.innerHash(key, requestHash), ttl)
	if err != nil || existing == nil {
		return nil, fresh, err
	}
	opened, err := s.open(ctx, key, *existing)
	if errors.Is(err, idem.ErrStoreUnavailable) {
		return nil, false, fmt.Errorf("sealed: %w", err)
	}
	if err != nil {
		return nil, false, fmt.Errorf("sealed: %w: %w", idem.ErrRecordUnreadable, err)
	}
	return &opened, false, nil
}

// Commit implements [idem.Store]. A failure of the Cipher is an
// [idem.CommitError]: nothing was kept.
func (s *Store) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	record, err := s.seal(ctx, key, requestHash, response)
	if err != nil {
		return s.refuse(ctx, key, err)
	}
	return s.inner.Commit(ctx, key, record.RequestHash, record)
}

// refuse ends a Commit for which there is no record. A transactional attempt has
// to end with it, since nobody calls Release after a Commit, and its writes must
// be undone. A lease stays: its Commit is repeated and can succeed.
func (s *Store) refuse(ctx context.Context, key string, err error) error {
	refusal := &idem.CommitError{Retryable: true, Err: fmt.Errorf("sealed: %w", err)}
	if attempt, ok := idem.AttemptFromContext(ctx); ok && attempt.Transactional() {
		return errors.Join(refusal, s.inner.Release(ctx, key))
	}
	return refusal
}

// Release implements [idem.Store].
func (s *Store) Release(ctx context.Context, key string) error { return s.inner.Release(ctx, key) }
