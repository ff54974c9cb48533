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

// payIn writes a business row through store.InTx.
func payIn(ctx context.Context, store *txstore.Store, key string) error {
	return store.InTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertPayment, key)
		return err
	})
}

func TestInTxWithoutMiddlewareRunsItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	if _, ok := txstore.TxFromContext(t.Context()); ok {
		t.Error("a context without an attempt has a transaction")
	}
	if err := payIn(t.Context(), w.store, "k"); err != nil {
		t.Fatal(err)
	}
	w.mustHold("k", 1, 0)
	failed := errors.New("failed")
	err := w.store.InTx(t.Context(), func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), insertPayment, "undone")
		return errors.Join(err, failed)
	})
	if !errors.Is(err, failed) {
		t.Errorf("InTx = %v, want the function's error", err)
	}
	w.mustHold("undone", 0, 0)
}

func TestInTxJoinsTheAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	if err := payIn(a.ctx, w.store, "k"); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("failed")
	if err := w.store.InTx(a.ctx, func(pgx.Tx) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("InTx = %v, want the function's error", err)
	}
	w.mustHold("k", 0, 0)
	a.mustCommit("paid") // an error of InTx alone undoes nothing
	w.mustHold("k", 1, 1)
}

// Behaviour 46. What a handler leaves running must not write by itself, in a
// transaction of its own, what its attempt has undone.
func TestInTxOfAnEndedAttemptWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	for name, end := range map[string]func(*attempt){
		"Commit":    func(a *attempt) { a.mustCommit("paid") },
		"Release":   func(a *attempt) { a.mustRelease() },
		"Abandoned": func(a *attempt) { a.core.Abandon(); a.mustRelease() },
	} {
		a := w.attempt(name).mustBeFresh()
		end(a)
		// An abandoned one may get through to a connection that is being cut.
		if err := payIn(a.ctx, w.store, name); err == nil && name != "Abandoned" {
			t.Errorf("%s: InTx succeeded after the end", name)
		}
		eventually(t, "its connection is given up", func() bool { return w.pool.Stat().AcquiredConns() == 0 })
		if n := w.payments(name); n != 0 {
			t.Errorf("%s: %d payments were written after the end", name, n)
		}
	}
}

func TestInTxPrefersTheNearerOfAttemptAndCallersTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	outer := w.attempt("k").mustBeFresh()
	ctx, caller := w.begin(pgx.TxOptions{})
	_ = ctx
	nearer := txstore.WithTx(outer.ctx, caller)
	if tx, ok := txstore.TxFromContext(nearer); !ok || tx != caller {
		t.Error("WithTx inside an attempt does not prevail")
	}
	if err := payIn(nearer, w.store, "caller"); err != nil {
		t.Fatal(err)
	}
	outer.mustRelease()
	mustEnd(t, caller.Commit)
	w.mustHold("caller", 1, 0)
}

func TestInTxDoesNotJoinAnotherStoresTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	elsewhere := newWorld(t, given{})
	a := elsewhere.attempt("k").mustBeFresh()
	if err := payIn(a.ctx, w.store, "k"); err != nil {
		t.Fatal(err)
	}
	w.mustHold("k", 1, 0) // committed by itself, in its own database
	a.mustRelease()
}

// A handler of one Store calls, in process, what is protected by another; that
// one's code writes through both. The inner record speaks of both writes, so
// neither may be undone by the outer attempt.
func TestInTxDoesNotReachBehindAnInnerAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	elsewhere := newWorld(t, given{})
	outer := w.attempt("k").mustBeFresh()
	inner := newAttempt(t, outer.ctx, elsewhere.store, "k", idem.AttemptConfig{}).mustBeFresh()
	if err := payIn(inner.ctx, w.store, "k"); err != nil {
		t.Fatal(err)
	}
	inner.mustCommit("inner")
	outer.mustRelease()
	w.mustHold("k", 1, 0)
}

// The verbs and InTx must work in one and the same transaction.
func TestInTxJoinsACallersTransactionWhoeverOpenedIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	another := w.process(given{})
	outer := another.attempt("outer").mustBeFresh()
	ctx := txstore.WithTx(outer.ctx, outer.tx())
	a := w.within(ctx, "k").mustBeFresh()
	if err := payIn(ctx, w.store, "k"); err != nil {
		t.Fatal(err)
	}
	a.mustCommit("paid")
	outer.mustRelease()
	w.mustHold("k", 0, 0)
}

// forwarder is a Store that a metrics library might wrap around ours.
type forwarder struct{ inner idem.Store }

func (f forwarder) Reserve(ctx context.Context, key, hash string, ttl time.Duration) (*idem.Cached, bool, error) {
	return f.inner.Reserve(ctx, key, hash, ttl)
}

func (f forwarder) Commit(ctx context.Context, key, hash string, response idem.Cached) error {
	return f.inner.Commit(ctx, key, hash, response)
}

func (f forwarder) Release(ctx context.Context, key string) error { return f.inner.Release(ctx, key) }

// Behaviour 55.
func TestDecoratedStoreStaysTransactional(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	for _, commit := range []bool{false, true} {
		a := newAttempt(t, t.Context(), forwarder{w.store}, "k", idem.AttemptConfig{}).mustBeFresh()
		if !a.core.Transactional() {
			t.Fatal("the attempt is not transactional")
		}
		if err := payIn(a.ctx, w.store, "k"); err != nil {
			t.Fatal(err)
		}
		w.mustHold("k", 0, 0)
		if commit {
			a.mustCommit("paid")
		} else {
			a.mustRelease()
		}
	}
	w.mustHold("k", 1, 1)
}
