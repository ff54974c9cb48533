package memory_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

// attempt reserves key in a new attempt.
func attempt(t *testing.T, s *memory.Store, key string) context.Context {
	t.Helper()
	ctx, _ := idem.WithAttempt(t.Context(), idem.AttemptConfig{})
	if _, fresh, err := s.Reserve(ctx, key, "hash", ttl); !fresh || err != nil {
		t.Fatalf("Reserve(%q) = (%t, %v), want it fresh", key, fresh, err)
	}
	return ctx
}

// Behaviour 7: an attempt has no hold on what was reserved without one.
func TestAttemptDoesNotOwnAReservationWithoutAttempt(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Config{})
	reserve(t, s, "key")
	ctx, _ := idem.WithAttempt(t.Context(), idem.AttemptConfig{})
	if err := s.Commit(ctx, "key", "hash", answer("stranger")); !errors.Is(err, idem.ErrNotReserved) {
		t.Errorf("Commit of an attempt: %v, want ErrNotReserved", err)
	}
	if err := s.Release(ctx, "key"); err != nil {
		t.Errorf("Release: %v", err)
	}
	commit(t, s, "key", answer("owner"))
}

// Behaviour 7.
func TestCommitAfterAnothersRecordIsErrSuperseded(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Config{})
	stale := attempt(t, s, "key")
	_ = s.Release(stale, "key")
	next := attempt(t, s, "key")
	if err := s.Commit(next, "key", "hash", answer("next")); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	if err := s.Commit(stale, "key", "hash", answer("stale")); !errors.Is(err, idem.ErrSuperseded) {
		t.Errorf("Commit of the stale attempt: %v, want ErrSuperseded", err)
	}
	if err := s.Commit(next, "key", "hash", answer("again")); err != nil {
		t.Errorf("second Commit of the owner: %v", err)
	}
}

// Behaviour 7: one attempt that reserves, releases and reserves again owns what
// it reserved last.
func TestAttemptMayReserveAgainAfterItsRelease(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Config{})
	ctx := attempt(t, s, "key")
	_ = s.Release(ctx, "key")
	if _, fresh, err := s.Reserve(ctx, "key", "hash", ttl); !fresh || err != nil {
		t.Fatalf("Reserve = (%t, %v), want it fresh", fresh, err)
	}
	if err := s.Commit(ctx, "key", "hash", answer("second")); err != nil {
		t.Errorf("Commit: %v", err)
	}
}

// Behaviour 60: two stores share no keys, so one inside the other is no nesting.
func TestSameKeyOfAnotherStoreIsNotNested(t *testing.T) {
	t.Parallel()
	outer, inner := memory.New(memory.Config{}), memory.New(memory.Config{})
	ctx := attempt(t, outer, "key")
	if _, fresh, err := inner.Reserve(ctx, "key", "hash", ttl); !fresh || err != nil {
		t.Errorf("Reserve in another store = (%t, %v), want it fresh", fresh, err)
	}
	if _, _, err := outer.Reserve(ctx, "key", "hash", ttl); !errors.Is(err, idem.ErrNested) {
		t.Errorf("Reserve in the same store: %v, want ErrNested", err)
	}
}

// An attempt that reserves its key twice at a time must not wait for itself.
//
// Behaviour 60.
func TestOneAttemptTwiceAtATimeIsNested(t *testing.T) {
	t.Parallel()
	store := memory.New(memory.Config{})
	for i := range 1000 {
		ctx, _ := idem.WithAttempt(t.Context(), idem.AttemptConfig{})
		key := strconv.Itoa(i)
		var both sync.WaitGroup
		var fresh atomic.Int32
		for range 2 {
			both.Go(func() {
				_, isFresh, err := store.Reserve(ctx, key, "h", time.Hour)
				switch {
				case isFresh:
					fresh.Add(1)
				case !errors.Is(err, idem.ErrNested):
					t.Errorf("Reserve: %v, want ErrNested", err)
				}
			})
		}
		both.Wait()
		if n := fresh.Load(); n != 1 {
			t.Fatalf("%d are fresh", n)
		}
	}
}
