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
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
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
			got := await(t, "the waiter's answer", waiting) // it never polls
			switch {
			case c.want == "no or fresh":
				// Its transaction ends before its response is kept.
				if !got.fresh && got.body() != "no" {
					t.Errorf("the waiter got %s", got.body())
				}
			case got.fresh != (c.want == "") || !got.fresh && got.body() != c.want:
				t.Errorf("the waiter got %s, want %q", got.body(), c.want)
			}
		})
	}
}

// Behaviour 23. On a quiet machine the way from one process to another takes a
// few milliseconds; the best of several must.
func TestWaiterElsewhereIsToldWithin50Milliseconds(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
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
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
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
	if took := time.Since(ended); took > 12*config.PollInterval+5*time.Second {
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
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
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

// A crowd over several processes is told of a commit once. Those who come for the
// record take no lock for it, whose end they would have to tell one another.
func TestCommitIsToldOnce(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	ear := w.ear()
	a := w.attempt("k").mustBeFresh()
	var waiting []<-chan reserved
	for i := range 3 {
		p := w.process(given{Listens: true, Config: txstore.Config{PollInterval: never}})
		p.attempt(fmt.Sprintf("warm-%d", i)).mustBeFresh().mustRelease()
		before := p.pool.Stat().AcquireCount()
		waiting = append(waiting, p.attempt("k").start())
		eventually(t, "it has looked, registered, and looked again", func() bool {
			stat := p.pool.Stat()
			return stat.AcquireCount() == before+2 && stat.AcquiredConns() == 0
		})
	}
	a.mustCommit("paid")
	for _, one := range waiting {
		if got := await(t, "the answer", one).body(); got != "paid" {
			t.Errorf("a waiter got %s", got)
		}
	}
	if n := ear.untilControl(w); n != 1 {
		t.Errorf("%d notifications of one commit to three processes", n)
	}
}

// Behaviour 48. Who begins to wait between an owner's wake check and the end
// of its COMMIT is not left behind: it cannot register in between, and sees the
// record once it can.
func TestWaiterThatComesDuringTheCommitIsNotLeftBehind(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	gate, err := pgx.Connect(t.Context(), w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close(context.Background())
	if _, err := gate.Exec(t.Context(), "SELECT pg_advisory_lock($1::bigint)", int64(w.number("k"))); err != nil {
		t.Fatal(err)
	}
	w.exec(fmt.Sprintf(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_advisory_xact_lock(%d); RETURN NULL; END $$`, w.number("k")))
	w.exec(`CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON payments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()`)
	a := w.attempt("k").mustBeFresh()
	a.pay()
	committed := make(chan error, 1)
	go func() { committed <- a.commit("paid") }()
	eventually(t, "the COMMIT is under way", func() bool {
		return w.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'COMMIT' AND wait_event_type = 'Lock'`) == 1
	})

	waiter := w.process(byNotification)
	waiting := waiter.attempt("k").start()
	const lastTry = `SELECT COALESCE(max((extract(epoch FROM query_start) * 1000000)::bigint), 0) FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE '%pg_try_advisory_lock_shared%' AND pid <> pg_backend_pid()`
	first := 0
	eventually(t, "it has tried to register", func() bool { first = w.count(lastTry); return first > 0 })
	eventually(t, "it is refused, and tries again", func() bool { return w.count(lastTry) > first })
	if _, err := gate.Exec(t.Context(), "SELECT pg_advisory_unlock_all()"); err != nil {
		t.Fatal(err)
	}
	if err := await(t, "the COMMIT", committed); err != nil {
		t.Fatal(err)
	}
	if got := await(t, "the waiter's answer", waiting).body(); got != "paid" {
		t.Errorf("the waiter got %s", got)
	}
}
