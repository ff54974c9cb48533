package memory_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

// Behaviour 3.
func TestWaitEndsExactlyAtTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(memory.Config{})
		reserve(t, s, "key")
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		start := time.Now()
		_, _, err := s.Reserve(ctx, "key", "hash", ttl)
		if !errors.Is(err, idem.ErrWaitTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Reserve: %v, want ErrWaitTimeout", err)
		}
		if waited := time.Since(start); waited != 30*time.Second {
			t.Errorf("waited %v, want 30s", waited)
		}
		if n := s.Waiting("key"); n != 0 {
			t.Errorf("%d waiters are left behind", n)
		}
	})
}

// Behaviour 3: what is known about a key is said even after the deadline.
func TestPassedDeadlineTellsWhatIsKnown(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Config{})
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, _, err := s.Reserve(late, "key", "hash", ttl)
	if !errors.Is(err, idem.ErrStoreUnavailable) || errors.Is(err, idem.ErrWaitTimeout) {
		t.Errorf("free key: %v, want ErrStoreUnavailable", err)
	}
	reserve(t, s, "key")
	if _, _, err := s.Reserve(late, "key", "hash", ttl); !errors.Is(err, idem.ErrWaitTimeout) {
		t.Errorf("key in flight: %v, want ErrWaitTimeout", err)
	}
	commit(t, s, "key", answer("done"))
	if existing, _, err := s.Reserve(late, "key", "hash", ttl); existing == nil {
		t.Errorf("completed key: %v, want the recorded response", err)
	}
}

// Behaviour 2: a Release wakes one waiter, the longest, and leaves the others
// where they are.
func TestReleaseWakesOneWaiterInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const waiters = 8
		s := memory.New(memory.Config{})
		reserve(t, s, "key")
		turns := make(chan int, waiters)
		for i := range waiters {
			go func() {
				if _, fresh, err := s.Reserve(t.Context(), "key", "hash", ttl); fresh && err == nil {
					turns <- i
				}
			}()
			synctest.Wait()
		}
		for i := range waiters {
			release(t, s, "key")
			synctest.Wait()
			if len(turns) != 1 {
				t.Fatalf("%d waiters woke up after one Release", len(turns))
			}
			if turn := <-turns; turn != i {
				t.Errorf("turn %d went to waiter %d", i, turn)
			}
			if left := s.Waiting("key"); left != waiters-i-1 {
				t.Errorf("%d waiters left, want %d", left, waiters-i-1)
			}
		}
		release(t, s, "key")
		if records, _ := s.Held(); records != 0 {
			t.Errorf("%d records left", records)
		}
	})
}

// Behaviour 8: real time, in a bubble where it costs none.
func TestRecordExpiresOnTheProcessClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(memory.Config{})
		reserve(t, s, "key")
		commit(t, s, "key", answer("old"))
		time.Sleep(ttl - 1)
		mustReplay(t, s, "key")
		time.Sleep(1)
		reserve(t, s, "key")
	})
}

// Behaviour 2: a waiter is given the response it waited for, even if its TTL is
// over when the waiter comes to run.
func TestWaiterGetsAResponseThatExpiredMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(clock)
		s := memory.New(memory.Config{Now: c.now})
		reserve(t, s, "key")
		got := make(chan *idem.Cached, 1)
		go func() {
			existing, _, _ := s.Reserve(t.Context(), "key", "hash", ttl)
			got <- existing
		}()
		synctest.Wait()
		commit(t, s, "key", answer("short-lived"))
		c.move(ttl)
		if existing := <-got; existing == nil || string(existing.Body) != "short-lived" {
			t.Errorf("waiter got %v", existing)
		}
	})
}

// Behaviour 11.
func TestCloseEndsWaitsAndKeepsRunningAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(memory.Config{})
		reserve(t, s, "key")
		ended := make(chan error, 3)
		for range 3 {
			go func() {
				_, _, err := s.Reserve(t.Context(), "key", "hash", ttl)
				ended <- err
			}()
		}
		synctest.Wait()
		s.Close()
		for range 3 {
			if err := <-ended; !errors.Is(err, idem.ErrStoreClosed) {
				t.Errorf("waiter: %v, want ErrStoreClosed", err)
			}
		}
		commit(t, s, "key", answer("done"))
	})
}

// Behaviours 2, 3: waiters that come, go, run and give up in any order lose no
// turn and never run two at once.
func TestHandOverUnderChurn(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Config{})
	var running, overlaps, runs atomic.Int32
	var callers sync.WaitGroup
	for i := range 64 {
		callers.Go(func() {
			for j := range 50 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*j%7)*50*time.Microsecond)
				ctx, _ = idem.WithAttempt(ctx, idem.AttemptConfig{})
				if _, fresh, _ := s.Reserve(ctx, "key", "hash", ttl); fresh {
					if running.Add(1) > 1 {
						overlaps.Add(1)
					}
					runs.Add(1)
					running.Add(-1)
					_ = s.Release(ctx, "key")
				}
				cancel()
			}
		})
	}
	callers.Wait()
	if overlaps.Load() > 0 {
		t.Errorf("%d runs overlapped", overlaps.Load())
	}
	t.Logf("%d runs", runs.Load())
	reserve(t, s, "key") // whoever gave up has left nothing behind
	release(t, s, "key")
	if records, expiring := s.Held(); records+expiring != 0 {
		t.Errorf("%d records and %d in the expiry heap are left", records, expiring)
	}
}

// Behaviour 1: many keys at once, each run once, with expiry in between.
func TestOneRunPerKeyUnderLoad(t *testing.T) {
	t.Parallel()
	const keys, duplicates = 200, 8
	s := memory.New(memory.Config{})
	var runs [keys]atomic.Int32
	var callers sync.WaitGroup
	for i := range keys * duplicates {
		callers.Go(func() {
			ctx, _ := idem.WithAttempt(t.Context(), idem.AttemptConfig{})
			key := fmt.Sprint(i % keys)
			existing, fresh, err := s.Reserve(ctx, key, "hash", ttl)
			switch {
			case err != nil:
				t.Errorf("Reserve: %v", err)
			case fresh:
				runs[i%keys].Add(1)
				if err := s.Commit(ctx, key, "hash", answer(key)); err != nil {
					t.Errorf("Commit: %v", err)
				}
			case string(existing.Body) != key:
				t.Errorf("key %s replayed %q", key, existing.Body)
			}
		})
	}
	callers.Wait()
	for i := range runs {
		if n := runs[i].Load(); n != 1 {
			t.Errorf("key %d ran %d times", i, n)
		}
	}
}
