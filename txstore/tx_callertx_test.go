package txstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// begin starts a transaction of the test's own and returns the context that the
// verbs work in. The transaction is rolled back after the test, if not ended.
func (w *world) begin(options pgx.TxOptions) (context.Context, pgx.Tx) {
	w.Helper()
	tx, err := w.pool.BeginTx(w.Context(), options)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return txstore.WithTx(w.Context(), tx), tx
}

// within is an attempt inside a caller's transaction.
func (w *world) within(ctx context.Context, key string) *attempt {
	return &attempt{TB: w.TB, store: w.store, ctx: ctx, key: key, hash: "h", ttl: time.Hour}
}

func (a *attempt) mustFail(want error) {
	a.Helper()
	if existing, fresh, err := a.reserve(); !errors.Is(err, want) || fresh || existing != nil {
		a.Fatalf("Reserve = %v, %t, %v; want %v", existing, fresh, err, want)
	}
}

func mustEnd(tb testing.TB, end func(context.Context) error) {
	tb.Helper()
	if err := end(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// Behaviour 21.
func TestCallersRollbackLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	ctx, tx := w.begin(pgx.TxOptions{})
	a := w.within(ctx, "k").mustBeFresh()
	a.pay()
	a.mustCommit("paid")
	mustEnd(t, tx.Rollback)
	w.mustHold("k", 0, 0)
	w.attempt("k").mustBeFresh()
}

// Behaviour 21.
func TestCallersCommitLeavesBoth(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Mode: mode})
			ctx, tx := w.begin(pgx.TxOptions{})
			a := w.within(ctx, "k").mustBeFresh()
			a.pay()
			a.mustCommit("paid")
			a.mustCommit("again")
			w.mustHold("k", 0, 0)
			if err := a.withHash("another").commit("paid"); !errors.Is(err, idem.ErrHashMismatch) {
				t.Errorf("Commit with another hash: %v, want ErrHashMismatch", err)
			}
			mustEnd(t, tx.Commit)
			w.mustHold("k", 1, 1)
			w.attempt("k").mustReplay("paid")
		})
	}
}

// Behaviour 21.
func TestKeyInFlightElsewhereIsRefusedAtOnceInACallersTransaction(t *testing.T) {
	t.Parallel()
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	w := newWorld(t, given{Config: hourlyPoll})
	elsewhere := w.attempt("k").mustBeFresh()
	ctx, tx := w.begin(pgx.TxOptions{})
	a := w.within(ctx, "k")
	a.mustFail(idem.ErrInFlight)
	elsewhere.mustCommit("elsewhere")
	a.mustReplay("elsewhere")
	mustEnd(t, tx.Commit)
}

// Behaviour 21. The caller's transaction excludes others as any attempt does.
func TestWaiterIsWokenByTheCallersCommit(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	ctx, tx := w.begin(pgx.TxOptions{})
	a := w.within(ctx, "k").mustBeFresh()
	a.pay()
	_, before := w.waiter("k", given{Config: hourlyPoll})
	a.mustCommit("paid")
	after := w.process(given{Config: hourlyPoll}).attempt("k").start()
	select {
	case r := <-before:
		t.Fatalf("the waiter got %s before the caller's commit", r.body())
	case r := <-after:
		t.Fatalf("the waiter got %s before the caller's commit", r.body())
	case <-time.After(50 * time.Millisecond): // it must not come, whatever comes later
	}
	mustEnd(t, tx.Commit)
	for _, waiting := range []<-chan reserved{before, after} {
		if r := within(t, 5*time.Second, "the waiter", func() reserved { return <-waiting }); r.body() != "paid" {
			t.Errorf("the waiter got %s, want the record", r.body())
		}
	}
}

// Behaviour 21.
func TestReleaseInACallersTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	ctx, tx := w.begin(pgx.TxOptions{})
	a := w.within(ctx, "k").mustBeFresh()
	a.mustRelease()
	a.mustRelease()
	if err := a.commit("released"); !errors.Is(err, idem.ErrNotReserved) {
		t.Errorf("Commit after Release: %v, want ErrNotReserved", err)
	}
	a.withHash("another").mustBeFresh()
	a.mustCommit("paid")
	a.mustRelease() // removes no record
	mustEnd(t, tx.Commit)
	w.attempt("k").mustReplay("paid")
}

// Behaviours 16, 21.
func TestCollisionInACallersTransactionIsSuperseded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: txstore.Config{DisableLocks: true}})
	ctx, tx := w.begin(pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	a := w.within(ctx, "k").mustBeFresh()
	a.pay()
	other := w.attempt("k").mustBeFresh()
	other.mustCommit("other")
	if err := a.commit("paid"); !errors.Is(err, idem.ErrSuperseded) {
		t.Fatalf("the loser's Commit: %v, want ErrSuperseded", err)
	}
	if err := tx.Commit(t.Context()); err == nil {
		t.Error("the loser's transaction could be committed")
	}
	w.mustHold("k", 0, 1)
}

// Behaviours 8, 21.
func TestStaleRecordIsReplacedInACallersTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.attempt("k").mustBeFresh().mustCommit("old")
	w.expire("k")
	ctx, tx := w.begin(pgx.TxOptions{})
	a := w.within(ctx, "k").mustBeFresh()
	a.mustCommit("new")
	mustEnd(t, tx.Commit)
	w.attempt("k").mustReplay("new")
}

// Behaviour 28. A missing table does not spoil the caller's transaction.
func TestMissingTableDoesNotAbortACallersTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.exec(`ALTER TABLE pgidem_records RENAME TO hidden`)
	ctx, tx := w.begin(pgx.TxOptions{})
	w.within(ctx, "k").mustFail(idem.ErrStoreUnavailable)
	if _, err := tx.Exec(ctx, insertPayment, "k"); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, tx.Commit)
}

// A reservation of another key inside a handler, in the handler's transaction.
func TestWithTxOnTheHandlersOwnTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1})
	outer := w.attempt("outer").mustBeFresh()
	inner := w.within(txstore.WithTx(outer.ctx, outer.tx()), "inner").mustBeFresh()
	inner.pay()
	inner.mustCommit("inner")
	w.mustHold("inner", 0, 0)
	outer.mustCommit("outer")
	w.mustHold("inner", 1, 1)
	w.mustHold("outer", 0, 1)
	w.attempt("inner").mustReplay("inner")
}

func (w *world) expire(key string) {
	w.Helper()
	w.exec(`UPDATE pgidem_records SET expires_at = clock_timestamp() WHERE key = $1`, key)
}
