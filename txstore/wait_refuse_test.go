package txstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// Another request with the key is refused at once where the first can be seen.
func TestHashMismatchAtOnceInOneProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	got := await(t, "the refusal", w.attempt("k").withHash("other").start())
	if !errors.Is(got.err, idem.ErrHashMismatch) {
		t.Errorf("got %v, want ErrHashMismatch", got.err)
	}
	a.mustCommit("paid")
}

// The same when it was already waiting, and the first to run then was the other
// request.
func TestHashMismatchWhenAWaiterTakesOver(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	owner := w.process(given{}).attempt("k").mustBeFresh()
	leader := w.attempt("k").start()
	w.mustRegister("k")
	follower := w.attempt("k").withHash("other").start()
	follower2 := w.attempt("k").start()
	w.mustFollow("k", 2)
	owner.mustRelease()
	if got := await(t, "the leader", leader); !got.fresh {
		t.Fatalf("the leader got %s", got.body())
	}
	select {
	case got := <-follower:
		if !errors.Is(got.err, idem.ErrHashMismatch) {
			t.Errorf("the follower got %v, want ErrHashMismatch", got.err)
		}
	case <-time.After(2 * time.Second):
		t.Error("the follower was not told while the other request runs")
	}
	select {
	case got := <-follower2:
		t.Errorf("the duplicate got %s", got.body())
	default:
	}
}

// mustFollow waits until n callers follow the leader of key.
func (w *world) mustFollow(key string, n int) {
	w.Helper()
	eventually(w.TB, "followers have joined", func() bool { return txstore.Followers(w.store, key) == n })
}

// A caller that does not wait is answered at once, by a leader and by a follower.
func TestNoWaitIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	w := newWorld(t, given{})
	other := w.process(given{})
	a := w.attempt("k").mustBeFresh()
	for name, p := range map[string]*world{"here": w, "elsewhere": other} {
		config := idem.AttemptConfig{NoWait: true, MaxHandlerTime: patience}
		got := await(t, name, newAttempt(t, t.Context(), p.store, "k", config).start())
		if !errors.Is(got.err, idem.ErrInFlight) {
			t.Errorf("%s: got %v, want ErrInFlight", name, got.err)
		}
	}
	if n := other.pool.Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d connections are held", n)
	}
	a.mustCommit("paid")
}
