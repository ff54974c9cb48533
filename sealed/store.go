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
// [idem.ErrRecordUnreadable]; one whose Cipher is away, or did not open it before
// the deadline of ctx, is [idem.ErrRecordUnavailable], and where ctx was cancelled
// the error is its own.
func (s *Store) Reserve(ctx context.Context, key, requestHash string, ttl time.Duration) (*idem.Cached, bool, error) {
	existing, fresh, err := s.inner.Reserve(ctx, key, s.innerHash(key, requestHash), ttl)
	if err != nil || existing == nil {
		return nil, fresh, err
	}
	opened, err := s.open(ctx, key, *existing)
	if err != nil {
		return nil, false, notOpened(ctx, err)
	}
	return &opened, false, nil
}

// notOpened says what it means that a record could not be opened. Once ctx has
// ended nothing is known of what is in it: a Cipher that asks a key service ends
// with it, and need not say so.
func notOpened(ctx context.Context, err error) error {
	switch ended := ctx.Err(); {
	case errors.Is(ended, context.DeadlineExceeded):
		return fmt.Errorf("sealed: not opened in time: %w: %w: %w", idem.ErrRecordUnavailable, ended, err)
	case ended != nil:
		return ended
	case errors.Is(err, idem.ErrStoreUnavailable):
		return fmt.Errorf("sealed: %w: %w", idem.ErrRecordUnavailable, err)
	}
	return fmt.Errorf("sealed: %w: %w", idem.ErrRecordUnreadable, err)
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
