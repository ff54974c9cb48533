package txstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// never is a poll interval that no test lives to see: an answer in time came by
// notification.
const never = time.Hour

// byNotification are the options of a process whose waiters are told, or wait
// for ever.
var byNotification = given{Config: txstore.Config{PollInterval: never}}

// ends are the ways in which an attempt lets its key go.
var ends = map[string]struct {
	end  func(*attempt)
	want string // the waiter's replay; "": it is fresh
}{
	"Commit":         {func(a *attempt) { a.mustCommit("paid") }, "paid"},
	"CommitResponse": {func(a *attempt) { idem.SetDisposition(a.ctx, idem.CommitResponse); a.mustCommit("no") }, "no"},
	"Release":        {(*attempt).mustRelease, ""},
	"ReleaseOfAbortedTransaction": {func(a *attempt) {
		if a.exec("SELECT 1/0") == nil {
			a.Fatal("no error")
		}
		a.mustRelease()
	}, ""},
	"CommitResponseOfAbortedTransaction": {func(a *attempt) {
		if a.exec("SELECT 1/0") == nil {
			a.Fatal("no error")
		}
		idem.SetDisposition(a.ctx, idem.CommitResponse)
		a.mustCommit("no")
	}, "no or fresh"},
	"RefusedCommit": {func(a *attempt) {
		if a.exec("SELECT 1/0") == nil {
			a.Fatal("no error")
		}
		if a.commit("paid") == nil {
			a.Fatal("an aborted transaction was committed")
		}
	}, ""},
}

// Behaviour 23. The waiter is in another process, and every way to let a key go
// tells it.
func TestWaiterElsewhereIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			a := w.attempt("k").mustBeFresh()
			waiter := w.process(byNotification)
			waiting := waiter.attempt("k").start()
			waiter.mustRegister("k")
			eventually(t, "its look is over", func() bool { return waiter.pool.Stat().AcquiredConns() == 0 })
			c.end(a)
			ended := time.Now()
			got := await(t, "the waiter's answer", waiting)
			took := time.Since(ended)
			switch {
			case c.want == "no or fresh":
				// Its transaction ends before its response is kept.
				if !got.fresh && got.body() != "no" {
					t.Errorf("the waiter got %s", got.body())
				}
			case got.fresh != (c.want == "") || !got.fresh && got.body() != c.want:
				t.Errorf("the waiter got %s, want %q", got.body(), c.want)
			}
			t.Logf("told after %v", took)
			if took > time.Second {
				t.Errorf("the waiter was told after %v", took)
			}
		})
	}
}

// Behaviour 23. On a quiet machine the way from one process to another takes a
// few milliseconds; the best of several must.
func TestWaiterElsewhereIsToldWithin50Milliseconds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	waiter := w.process(byNotification)
	best := time.Hour
	for i := range 10 {
		key := fmt.Sprintf("k-%d", i)
		a := w.attempt(key).mustBeFresh()
		waiting := waiter.attempt(key).start()
		waiter.mustRegister(key)
		a.mustCommit("paid")
		ended := time.Now()
		if got := await(t, "the answer", waiting).body(); got != "paid" {
			t.Fatalf("the waiter got %s", got)
		}
		best = min(best, time.Since(ended))
	}
	if best > 50*time.Millisecond {
		t.Errorf("the fastest answer took %v", best)
	}
}

// Behaviour 23. Without LISTEN the poll finds the end.
func TestWaiterElsewherePolls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	ear := w.ear()
	a := w.attempt("k").mustBeFresh()
	config := txstore.Config{PollInterval: 50 * time.Millisecond, DisableListen: true}
	waiter := w.process(given{Config: config})
	waiting := waiter.attempt("k").start()
	eventually(t, "it has looked", func() bool { return waiter.pool.Stat().AcquireCount() > 1 })
	if w.hasRegistered("k") {
		t.Error("a process that does not listen has registered")
	}
	a.mustCommit("paid")
	ended := time.Now()
	if got := await(t, "the answer", waiting).body(); got != "paid" {
		t.Errorf("the waiter got %s", got)
	}
	// Eight times the interval and half of it more, and slack for a busy machine.
	if took := time.Since(ended); took > 12*config.PollInterval+time.Second {
		t.Errorf("the poll took %v", took)
	}
	if n := ear.untilControl(w); n != 0 {
		t.Errorf("%d notifications for nobody", n)
	}
}

// A pool whose connections cancel a query when its context ends, by a request on
// a connection of its own, makes a listener no slower.
func TestWaiterIsToldWithACancellingPool(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	g := byNotification
	g.Pool = func(config *pgxpool.Config) {
		config.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
			return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: never}
		}
	}
	waiter := w.process(g)
	// The second and the third find the listener waiting already.
	for _, key := range []string{"1", "2", "3"} {
		a := w.attempt(key).mustBeFresh()
		waiting := waiter.attempt(key).start()
		waiter.mustRegister(key)
		a.mustCommit("paid")
		if got := await(t, "the answer", waiting).body(); got != "paid" {
			t.Fatalf("the waiter got %s", got)
		}
	}
	if troubles := waiter.troubles(); len(troubles) > 0 {
		t.Errorf("told to OnError: %v", troubles)
	}
}

// Behaviour 48. Two keys with one number: a replay of the one holds the lock for
// an instant, which keeps the other from its fresh key. The replay tells it.
func TestReplayThatHoldsACollidingLockTellsWaiters(t *testing.T) {
	t.Parallel()
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
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	holder, err := pgx.Connect(t.Context(), w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.Background()) //nolint:errcheck // only the lock matters
	if _, err := holder.Exec(t.Context(), "SELECT pg_advisory_lock($1::int4, $2::int4)", int32(txstore.WaitClass), w.number("k")); err != nil {
		t.Fatal(err)
	}
	g := byNotification
	g.Config.PollInterval = 100 * time.Millisecond
	refused, patient := w.process(g), w.process(byNotification)
	w.mustNotRegister(refused, "k")
	long := patient.attempt("k").start()
	if _, err := holder.Exec(t.Context(), "SELECT pg_advisory_unlock_all()"); err != nil {
		t.Fatal(err)
	}
	patient.mustRegister("k")
	a.mustCommit("paid")
	if got := await(t, "the waiter's answer", long).body(); got != "paid" {
		t.Errorf("the waiter got %s", got)
	}
}

// mustNotRegister lets a waiter of p poll while the wait lock is not to be had,
// and end by its own patience.
func (w *world) mustNotRegister(p *world, key string) {
	w.Helper()
	waiting := p.attempt(key).waitUntil(time.Now().Add(400 * time.Millisecond))
	got := await(w.TB, "the poller", waiting)
	if got.err == nil {
		w.Errorf("got %s", got.body())
	}
	if w.hasRegistered(key) {
		w.Error("it has registered")
	}
	if looks := p.pool.Stat().AcquireCount(); looks < 3 {
		w.Errorf("it looked %d times only: it did not poll", looks)
	}
}

// Behaviour 48. Beyond the bound of registrations waiters poll, and the lock
// table of the server is not filled.
func TestTooManyNumbersPoll(t *testing.T) {
	t.Parallel()
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
