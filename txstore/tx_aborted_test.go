package txstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// hourlyPoll makes a waiter depend on being told.
var hourlyPoll = txstore.Config{PollInterval: time.Hour}

// waiter starts a duplicate in another process, and returns when that has
// registered, has looked once more and sleeps.
func (w *world) waiter(key string, g given) (*attempt, <-chan reserved) {
	w.Helper()
	p := w.process(g)
	a := p.attempt(key)
	before := w.waitLocks()
	waiting := a.start()
	eventually(w.TB, "the waiter is registered", func() bool { return w.waitLocks() > before || p.polls(key) })
	eventually(w.TB, "the waiter sleeps", func() bool {
		s := p.pool.Stat()
		return s.AcquireCount() >= 2 && s.AcquiredConns() == 0
	})
	return a, waiting
}

func (w *world) waitLocks() int {
	w.Helper()
	return w.count(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
}

// warm executes a whole attempt, so that every statement is cached.
func (w *world) warm() {
	w.Helper()
	a := w.attempt("warm").mustBeFresh()
	a.pay()
	a.mustCommit("warm")
	a = w.attempt("warm response").mustBeFresh()
	idem.SetDisposition(a.ctx, idem.CommitResponse)
	a.mustCommit("warm")
}

// Behaviours 18, 41.
func TestAbortedTransactionIsLetGoAtOnce(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	for _, mode := range execModes {
		for _, warm := range []bool{false, true} {
			for _, disposition := range []idem.Disposition{idem.CommitAll, idem.CommitResponse, idem.Discard} {
				name := mode.String() + map[bool]string{false: " cold ", true: " warm "}[warm] + disposition.String()
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					abortedTransaction(t, mode, warm, disposition)
				})
			}
		}
	}
}

func abortedTransaction(t *testing.T, mode pgx.QueryExecMode, warm bool, disposition idem.Disposition) {
	w := newWorld(t, given{Mode: mode, Conns: 1})
	if warm {
		w.warm()
	}
	a := w.attempt("k").mustBeFresh()
	a.pay()
	duplicate, waiting := w.waiter("k", given{Mode: mode, Config: hourlyPoll})
	if err := a.exec(`SELECT 1 / 0`); err == nil {
		t.Fatal("division by zero succeeded")
	}
	idem.SetDisposition(a.ctx, disposition)
	var err error
	if disposition == idem.Discard {
		err = a.release()
	} else {
		err = a.commit("kept")
	}
	if failed := errors.Is(err, idem.ErrTransactionFailed); failed != (disposition == idem.CommitAll) || !failed && err != nil {
		t.Fatalf("the end: %v", err)
	}
	if r := within(t, 5*time.Second, "the waiter", func() reserved { return <-waiting }); disposition == idem.CommitResponse {
		if r.body() != "kept" {
			t.Fatalf("the waiter got %s, want the response", r.body())
		}
		w.mustHold("k", 0, 1)
	} else {
		if !r.fresh {
			t.Fatalf("the waiter got %s, want it fresh", r.body())
		}
		w.mustHold("k", 0, 0)
		duplicate.mustRelease()
	}
	w.attempt("next").mustBeFresh().mustCommit("next")
	if n := w.pool.Stat().NewConnsCount(); n != 1 {
		t.Errorf("%d connections were opened, want the one to be used again", n)
	}
}

// Behaviour 17. A conflict must not become a final answer because the handler
// takes every database error for a refusal of its own.
func TestConflictIsRunAgainWhateverTheHandlerAnswers(t *testing.T) {
	t.Parallel()
	for _, disposition := range []idem.Disposition{idem.CommitAll, idem.CommitResponse, idem.Discard} {
		t.Run(disposition.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Config: txstore.Config{IsoLevel: pgx.RepeatableRead}})
			w.exec(`INSERT INTO payments (key, n) VALUES ('account', 0)`)
			a := w.attempt("k").mustBeFresh()
			w.exec(`UPDATE payments SET n = n + 1`)
			if err := a.exec(`UPDATE payments SET n = n + 1`); err == nil {
				t.Fatal("the update of a newer row succeeded")
			}
			idem.SetDisposition(a.ctx, disposition)
			if disposition == idem.Discard {
				a.mustRelease()
			} else if err := a.commit("refused"); err == nil {
				t.Error("a conflict became a final answer")
			}
			if !a.core.RunAgain() {
				t.Error("the victim of a conflict is not run again")
			}
			w.mustHold("k", 0, 0)
		})
	}
}

// Behaviour 17. A conflict inside a savepoint that was rolled back is over.
func TestConflictInsideASavepointIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: txstore.Config{IsoLevel: pgx.RepeatableRead}})
	w.exec(`INSERT INTO payments (key, n) VALUES ('account', 0)`)
	a := w.attempt("k").mustBeFresh()
	w.exec(`UPDATE payments SET n = n + 1`)
	err := pgx.BeginFunc(a.ctx, a.tx(), func(tx pgx.Tx) error {
		_, err := tx.Exec(a.ctx, `UPDATE payments SET n = n + 1`)
		return err
	})
	if err == nil {
		t.Fatal("the update of a newer row succeeded")
	}
	if err := a.exec(`SELECT 1 / 0`); err == nil {
		t.Fatal("division by zero succeeded")
	}
	if err := a.commit("paid"); !errors.Is(err, idem.ErrTransactionFailed) || a.core.RunAgain() {
		t.Errorf("Commit = %v, run again: %t; want ErrTransactionFailed and not again", err, a.core.RunAgain())
	}
}

// Behaviour 42.
func TestFailedWakeCheckDoesNotSpoilASuccess(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	for _, mode := range execModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Mode: mode, Conns: 1})
			w.exec(`REVOKE EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text) FROM PUBLIC`)
			service := w.process(given{URL: w.login(), Mode: mode, Conns: 1})
			a := service.attempt("k").mustBeFresh()
			a.pay()
			_, waiting := w.waiter("k", given{})
			a.mustCommit("paid")
			w.mustHold("k", 1, 1)
			if got := await(t, "the waiter", waiting); got.body() != "paid" {
				t.Errorf("the waiter got %s, want the record at its next poll", got.body())
			}
			service.attempt("next").mustBeFresh().mustRelease()
			if n := service.pool.Stat().NewConnsCount(); n != 1 {
				t.Errorf("%d connections were opened, want the one to be used again", n)
			}
		})
	}
}

// Behaviour 42.
func TestFailedWakeCheckOfAReleaseIsReported(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{Conns: 1})
	w.exec(`REVOKE EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text) FROM PUBLIC`)
	service := w.process(given{URL: w.login(), Conns: 1})
	a := service.attempt("k").mustBeFresh()
	w.waiter("k", given{Listens: true})
	a.mustRelease()
	if len(service.troubles()) == 0 {
		t.Error("nobody was told that waiters were not")
	}
}
