package txstore_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// Behaviour 54. That the key is in flight was true when its leader saw it. While
// the leader's looks fail, a duplicate that has come later cannot say so: it may
// have been committed long before that one was sent. Found by the torture
// program, whose clients were told 409 of a key that they had been answered for.
func TestFollowerDoesNotRepeatWhatItsLeaderCannotSeeAnyMore(t *testing.T) {
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	quick := txstore.Config{PollInterval: 20 * time.Millisecond}
	p, proxy := w.tapped(given{Config: quick})
	leader := p.attempt("k").start()
	p.mustRegister("k")
	proxy.Refuse(true)
	proxy.Cut()
	a.mustCommit("paid")
	eventually(t, "a late follower says that the store is unavailable", func() bool {
		got := await(t, "a follower", p.attempt("k").waitUntil(time.Now().Add(50*time.Millisecond)))
		return errors.Is(got.err, idem.ErrStoreUnavailable) && !errors.Is(got.err, idem.ErrWaitTimeout)
	})
	config := idem.AttemptConfig{NoWait: true, MaxHandlerTime: patience}
	got := await(t, "who does not wait", newAttempt(t, t.Context(), p.store, "k", config).start())
	if !errors.Is(got.err, idem.ErrStoreUnavailable) || errors.Is(got.err, idem.ErrInFlight) {
		t.Errorf("who does not wait got %v, want ErrStoreUnavailable", got.err)
	}
	proxy.Refuse(false)
	if got := await(t, "the leader", leader).body(); got != "paid" {
		t.Errorf("the leader got %s", got)
	}
}

// Behaviour 54. Who waits has seen the key in flight, and then its looks fail until
// its time is over: the attempt may have ended long since, so it does not say so.
func TestWaiterWhoseLastLookFailedDoesNotSayInFlight(t *testing.T) {
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	p, proxy := w.tapped(given{Config: txstore.Config{PollInterval: 20 * time.Millisecond}})
	waiter := p.attempt("k").waitUntil(time.Now().Add(3 * time.Second))
	p.mustRegister("k")
	proxy.Refuse(true)
	proxy.Cut()
	a.mustCommit("paid")
	got := await(t, "the waiter", waiter)
	if !errors.Is(got.err, idem.ErrStoreUnavailable) || errors.Is(got.err, idem.ErrWaitTimeout) {
		t.Errorf("it was told %v, want ErrStoreUnavailable", got.err)
	}
}

// Behaviour 54. The attempt that a duplicate followed has ended without a record,
// and then the pool has nothing to give: nobody has the key, and the duplicate
// does not say so.
func TestFollowerOfAnEndedAttemptDoesNotSayInFlight(t *testing.T) {
	t.Parallel()
	var exhausted atomic.Bool
	w := newWorld(t, given{Pool: func(c *pgxpool.Config) {
		c.PrepareConn = func(ctx context.Context, _ *pgx.Conn) (bool, error) {
			if exhausted.Load() {
				<-ctx.Done()
				return true, ctx.Err()
			}
			return true, nil
		}
	}})
	owner := w.attempt("k").mustBeFresh()
	follower := w.attempt("k").waitUntil(time.Now().Add(time.Second))
	w.mustFollow("k", 1)
	exhausted.Store(true)
	owner.mustRelease()
	got := await(t, "the follower", follower)
	if errors.Is(got.err, idem.ErrWaitTimeout) || !errors.Is(got.err, idem.ErrStoreUnavailable) {
		t.Errorf("it was told %v, want ErrStoreUnavailable", got.err)
	}
}
