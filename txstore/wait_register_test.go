package txstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// Behaviour 48. Two keys with one number: a replay of the one holds the lock for
// an instant, which keeps the other from its fresh key. The replay tells it.
func TestReplayThatHoldsACollidingLockTellsWaiters(t *testing.T) {
	t.Parallel()
	needsLocks(t, "it is about who holds one")
	w := newWorld(t, given{})
	recorded, wanted := w.collision()
	w.attempt(recorded).mustBeFresh().mustCommit("recorded")
	slow, proxy := w.tapped(given{})
	slow.attempt("warm").mustBeFresh().mustRelease()

	proxy.Delay(200 * time.Millisecond)
	replaying := slow.attempt(recorded).start()
	eventually(t, "the replay holds the lock", func() bool { return w.lockHeld(recorded) })
	waiter := w.process(byNotification)
	waiting := waiter.attempt(wanted).start()
	waiter.mustRegister(wanted)
	if got := await(t, "the replay", replaying).body(); got != "recorded" {
		t.Errorf("replayed %s", got)
	}
	if got := await(t, "the waiter's answer", waiting); !got.fresh {
		t.Errorf("the waiter got %s, want it fresh", got.body())
	}
}

// collision returns two keys with one number.
func (w *world) collision() (one, other string) {
	w.Helper()
	oid := uint32(w.count(`SELECT 'pgidem_records'::regclass::oid::bigint`))
	seen := make(map[int32]string)
	for i := 0; ; i++ {
		key := fmt.Sprintf("key-%d", i)
		h := txstore.KeyNumber(oid, key)
		if other, ok := seen[h]; ok {
			return key, other
		}
		seen[h] = key
	}
}

// lockHeld tells whether somebody holds the lock of key.
func (w *world) lockHeld(key string) bool {
	w.Helper()
	return w.locks(txstore.KeyClass, key) > 0
}

// Behaviour 48. Cancelled in the middle of its look, a prober still gives lock
// and connection back, and tells who waits.
func TestCancelledProberLetsGo(t *testing.T) {
	t.Parallel()
	needsLocks(t, "it is about who holds one")
	w := newWorld(t, given{})
	slow, proxy := w.tapped(given{})
	slow.attempt("warm").mustBeFresh().mustRelease()
	a := w.attempt("k").mustBeFresh()
	a.mustRelease()

	waiter := w.process(byNotification)
	ctx, cancel := context.WithCancel(t.Context())
	proxy.Delay(200 * time.Millisecond)
	prober := newAttempt(t, ctx, slow.store, "k", idem.AttemptConfig{MaxHandlerTime: patience})
	probing := prober.start()
	eventually(t, "the prober holds the lock", func() bool { return w.lockHeld("k") })
	cancel()
	waiting := waiter.attempt("k").start()
	waiter.mustRegister("k")
	got := await(t, "the prober", probing)
	proxy.Delay(0)
	if got.fresh {
		prober.mustRelease()
	}
	if got := await(t, "the waiter", waiting); !got.fresh {
		t.Errorf("the waiter got %s, want it fresh", got.body())
	}
	if n := slow.pool.Stat().TotalConns(); n != 1 {
		t.Errorf("the pool has %d connections: the cancelled look has cost one", n)
	}
}

// Behaviour 48. A registration that is refused for a while, because somebody
// holds the wait lock, is tried again until it holds.
func TestRefusedRegistrationIsTriedAgain(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	holder, err := pgx.Connect(t.Context(), w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.Background())
	if _, err := holder.Exec(t.Context(), "SELECT pg_advisory_lock($1::int4, $2::int4)", int32(txstore.WaitClass), w.number("k")); err != nil {
		t.Fatal(err)
	}
	g := byNotification
	g.Config.PollInterval = 100 * time.Millisecond
	refused, patient := w.process(g), w.process(byNotification)
	w.mustNotRegister(refused, "k")
	refused.store.Close()
	long := patient.attempt("k").start()
	eventually(t, "it has tried to register", func() bool {
		return w.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_try_advisory_lock_shared%' AND pid <> pg_backend_pid()`) == 1
	})
	if _, err := holder.Exec(t.Context(), "SELECT pg_advisory_unlock_all()"); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "registering", func() bool { patient.mustRegister("k"); return true })
	a.mustCommit("paid")
	if got := await(t, "the waiter's answer", long).body(); got != "paid" {
		t.Errorf("the waiter got %s", got)
	}
}

// mustNotRegister lets a waiter of p poll while the wait lock is not to be had,
// and end by its own patience.
func (w *world) mustNotRegister(p *world, key string) {
	w.Helper()
	waiting := p.attempt(key).waitUntil(time.Now().Add(time.Second))
	got := await(w.TB, "the poller", waiting)
	if got.err == nil {
		w.Errorf("got %s", got.body())
	}
	if w.hasRegistered(key) {
		w.Error("it has registered")
	}
	if looks := p.pool.Stat().AcquireCount(); looks < 2 {
		w.Errorf("it looked %d times only: it did not poll", looks)
	}
}

// Behaviour 48. Beyond the bound of registrations waiters poll, and the lock
// table of the server is not filled.
func TestTooManyNumbersPoll(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	p := w.process(given{Config: txstore.Config{PollInterval: 100 * time.Millisecond}})
	txstore.FillListener(p.store)
	a := w.attempt("k").mustBeFresh()
	waiting := p.attempt("k").start()
	eventually(t, "it has polled", func() bool { return p.pool.Stat().AcquireCount() > 2 })
	if w.hasRegistered("k") {
		t.Error("it has registered beyond the bound")
	}
	a.mustCommit("paid")
	if got := await(t, "the answer", waiting).body(); got != "paid" {
		t.Errorf("the waiter got %s", got)
	}
}
