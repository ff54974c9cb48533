package txstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
)

// crowd starts n duplicates of key in w's process.
func (w *world) crowd(key string, n int) []<-chan reserved {
	var all []<-chan reserved
	for range n {
		all = append(all, w.attempt(key).start())
	}
	return all
}

// waitUntil ends a's patience at that moment.
func (a *attempt) waitUntil(deadline time.Time) <-chan reserved {
	ctx, cancel := context.WithDeadline(a.ctx, deadline)
	a.Cleanup(cancel)
	done := make(chan reserved, 1)
	go func() {
		var r reserved
		r.existing, r.fresh, r.err = a.store.Reserve(ctx, a.key, a.hash, a.ttl)
		done <- r
	}()
	return done
}

// Behaviours 2, 22.
func TestWaitersHoldNoConnection(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	for _, elsewhere := range []bool{false, true} {
		t.Run(fmt.Sprintf("OwnerElsewhere=%t", elsewhere), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Conns: 2})
			owner, held := w, int32(1)
			if elsewhere {
				owner, held = w.process(given{}), 0
			}
			a := owner.attempt("k").mustBeFresh()
			a.pay()
			waiting := w.crowd("k", 100)
			if elsewhere {
				w.mustRegister("k")
			}
			for i := range 20 {
				key := fmt.Sprintf("other-%d", i)
				if _, _, err := run(t, w.store, key, pay(t, key, "paid")); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "waiters hold nothing", func() bool { return w.pool.Stat().AcquiredConns() == held })
			a.mustCommit("paid")
			for _, one := range waiting {
				if got := await(t, "a waiter's answer", one).body(); got != "paid" {
					t.Fatalf("a waiter got %s", got)
				}
			}
			w.mustHold("k", 1, 1)
		})
	}
}

// Behaviour 2. After a Release exactly one of the waiters is fresh, here and in
// other processes; the others wait for it in turn.
func TestReleaseHandsTheKeyToOneWaiter(t *testing.T) {
	t.Parallel()
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	w := newWorld(t, given{})
	other := w.process(given{})
	a := w.attempt("k").mustBeFresh()
	var running, runs atomic.Int32
	var all sync.WaitGroup
	for i := range 32 {
		p := []*world{w, other}[i%2]
		all.Go(func() {
			_, ran, err := run(t, p.store, "k", func(ctx context.Context, tx pgx.Tx) idem.Cached {
				if running.Add(1) > 1 {
					t.Error("two handlers at once")
				}
				defer running.Add(-1)
				if runs.Add(1) < 5 {
					idem.SetDisposition(ctx, idem.Discard)
				}
				return pay(t, "k", "paid")(ctx, tx)
			})
			if err != nil {
				t.Errorf("ran %t, error %v", ran, err)
			}
		})
	}
	other.mustRegister("k")
	a.mustRelease()
	await(t, "all", closed(&all))
	if n := runs.Load(); n != 5 {
		t.Errorf("the handler ran %d times, want 5", n)
	}
	w.mustHold("k", 1, 1)
}

func closed(all *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	return done
}

// All who have seen the key in flight are told so, though their time is over at
// the same moment and the first to leave leaves the next to lead.
func TestWaitersWithOneDeadlineAllTimeOut(t *testing.T) {
	t.Parallel()
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	for _, elsewhere := range []bool{false, true} {
		t.Run(fmt.Sprintf("OwnerElsewhere=%t", elsewhere), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			owner := w
			if elsewhere {
				owner = w.process(given{})
			}
			a := owner.attempt("k").mustBeFresh()
			deadline := time.Now().Add(700 * time.Millisecond)
			var waiting []<-chan reserved
			for range 200 {
				waiting = append(waiting, w.attempt("k").waitUntil(deadline))
			}
			wrong := 0
			for _, one := range waiting {
				got := await(t, "the end of the wait", one)
				if !errors.Is(got.err, idem.ErrWaitTimeout) || !errors.Is(got.err, context.DeadlineExceeded) || errors.Is(got.err, idem.ErrStoreUnavailable) {
					wrong++
				}
			}
			if wrong > 0 {
				t.Errorf("%d of 200 waiters were not told that the key is in flight", wrong)
			}
			a.mustCommit("paid")
		})
	}
}

// A leader whose client goes leaves its followers to wait on.
func TestFollowerTakesOverFromALeaderThatLeaves(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	owner := w.process(given{}).attempt("k").mustBeFresh()
	ctx, cancel := context.WithCancel(t.Context())
	leader := newAttempt(t, ctx, w.store, "k", idem.AttemptConfig{}).start()
	w.mustRegister("k")
	followers := w.crowd("k", 3)
	w.mustFollow("k", 3)
	cancel()
	if got := await(t, "the leader", leader); !errors.Is(got.err, context.Canceled) {
		t.Errorf("the leader got %v, want Canceled", got.err)
	}
	w.mustRegister("k")
	owner.mustCommit("paid")
	for _, one := range followers {
		if got := await(t, "a follower", one).body(); got != "paid" {
			t.Errorf("a follower got %s", got)
		}
	}
}

// A follower that is cancelled leaves alone.
func TestCancelledFollowerLeavesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	ctx, cancel := context.WithCancel(t.Context())
	one := newAttempt(t, ctx, w.store, "k", idem.AttemptConfig{}).start()
	rest := w.crowd("k", 3)
	w.mustFollow("k", 4)
	cancel()
	if got := await(t, "the cancelled", one); !errors.Is(got.err, context.Canceled) {
		t.Errorf("got %v, want Canceled", got.err)
	}
	a.mustCommit("paid")
	for _, one := range rest {
		if got := await(t, "a follower", one).body(); got != "paid" {
			t.Errorf("a follower got %s", got)
		}
	}
}
