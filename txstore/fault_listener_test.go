package txstore_test

import (
	"testing"
	"time"

	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/internal/wiretap"
	"github.com/pgidem/pgidem/txstore"
)

// slowPoll is too long to be what brings an answer, and short enough to save a
// waiter whom nobody could tell.
var slowPoll = given{Config: txstore.Config{PollInterval: 200 * time.Millisecond}}

// Behaviour 24. The listener's session is terminated: it connects anew,
// registers anew, and its waiters are told.
func TestTerminatedListenerRegistersAgain(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	waiter := w.process(byNotification)
	waiting := waiter.attempt("k").start()
	waiter.mustRegister("k")
	for range 3 {
		old := w.listenerPID("k")
		w.exec("SELECT pg_terminate_backend($1)", old)
		eventually(t, "another session has registered", func() bool {
			pid := w.listenerPID("k")
			return pid != 0 && pid != old
		})
	}
	a.mustCommit("paid")
	if got := await(t, "the waiter's answer", waiting).body(); got != "paid" {
		t.Errorf("the waiter got %s", got)
	}
}

// listenerPID is of the session that is registered for key, 0 if there is none.
func (w *world) listenerPID(key string) int {
	w.Helper()
	return w.count(`
		SELECT coalesce(max(pid), 0) FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND mode = 'ShareLock' AND objsubid = 2
		    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		    AND classid = $1::bigint::oid AND objid = $2::bigint::oid`,
		int64(txstore.WaitClass), int64(uint32(w.number(key))))
}

// Behaviour 24. What is committed while the listener is away is found when it
// comes back: it registers, and every waiter looks.
func TestCommitWhileTheListenerIsAway(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	waiter, proxy := w.tapped(byNotification)
	waiting := waiter.attempt("k").start()
	waiter.mustRegister("k")
	proxy.Refuse(true)
	proxy.Cut()
	eventually(t, "the registration is gone", func() bool { return !w.hasRegistered("k") })
	a.mustCommit("paid")
	proxy.Refuse(false)
	if got := await(t, "the waiter's answer", waiting).body(); got != "paid" {
		t.Errorf("the waiter got %s", got)
	}
}

// Behaviour 24. A silent network that comes back: the waiter does not rely on
// what cannot reach it.
func TestWaitersSurviveASilentNetwork(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	waiter, proxy := w.tapped(slowPoll)
	waiting := waiter.crowd("k", 10)
	waiter.mustRegister("k")
	proxy.Silence(wiretap.Client)
	proxy.Silence(wiretap.Server)
	a.mustCommit("paid")
	proxy.Restore()
	for _, one := range waiting {
		if got := await(t, "a waiter's answer", one).body(); got != "paid" {
			t.Errorf("a waiter got %s", got)
		}
	}
}

// Behaviour 24. The server stops at once and starts again while one runs and
// others wait, here and elsewhere: what was not committed is gone, one of the
// waiters runs, all others get its answer.
func TestWaitersSurviveAServerRestart(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	server := pgtest.OwnServer(t, pgserver.Options{})
	w := newWorld(t, given{URL: pgtest.MigratedURL(t, server)})
	w.exec(`CREATE TABLE payments (id serial PRIMARY KEY, key text NOT NULL, n int NOT NULL)`)
	done := w.attempt("done").mustBeFresh()
	done.pay()
	done.mustCommit("done")
	a := w.attempt("k").mustBeFresh()
	a.pay()
	p := w.process(slowPoll)
	type answer struct {
		ran  bool
		body string
		err  error
	}
	const waiters = 20
	answers := make(chan answer, waiters)
	for i := range waiters {
		process := []*world{w, p}[i%2]
		go func() {
			response, ran, err := run(t, process.store, "k", pay(t, "k", "paid"))
			answers <- answer{ran, string(response.Body), err}
		}()
	}
	p.mustRegister("k")
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.admin.Reset()
	if err := a.commit("lost"); err == nil {
		t.Error("an attempt survived the server's restart")
	}
	runs := 0
	for range waiters {
		got := await(t, "a waiter's answer", answers)
		if got.err != nil || got.body != "paid" {
			t.Errorf("a waiter got %q, %v", got.body, got.err)
		}
		if got.ran {
			runs++
		}
	}
	if runs != 1 {
		t.Errorf("the handler ran %d times", runs)
	}
	w.mustHold("k", 1, 1)
	w.mustHold("done", 1, 1)
}

// With nobody left to wait, the listener does not go on trying to reach a server
// that is away.
func TestListenerRestsWhenNobodyWaits(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	p, proxy := w.tapped(given{})
	waiting := p.attempt("k").waitUntil(time.Now().Add(time.Second))
	p.mustRegister("k")
	proxy.Refuse(true)
	proxy.Cut()
	if got := await(t, "the end of the wait", waiting); got.err == nil {
		t.Fatalf("the waiter got %s", got.body())
	}
	eventually(t, "the listener has ended", func() bool { return !txstore.Listening(p.store) })
	a.mustRelease()
}
