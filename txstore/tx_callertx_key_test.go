package txstore_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// Behaviour 21.
func TestSameKeyTwiceInOneTransactionIsNotFreshTwice(t *testing.T) {
	t.Parallel()
	for _, config := range []txstore.Config{{}, {DisableLocks: true}} {
		w := newWorld(t, given{Config: config})
		ctx, tx := w.begin(pgx.TxOptions{})
		a := w.within(ctx, "k").mustBeFresh()
		a.mustFail(idem.ErrNested)
		again := w.within(txstore.WithTx(t.Context(), tx), "k")
		again.mustFail(idem.ErrNested)
		w.within(ctx, "another").mustBeFresh().mustCommit("another")
		a.mustCommit("paid")
		again.mustReplay("paid")
		mustEnd(t, tx.Commit)
	}
}

// Behaviour 44. The server takes the bytes of a key for what client_encoding says.
func TestCallersEncodingMakesNoOtherKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1})
	w.attempt("café").mustBeFresh().mustCommit("paid")
	ctx, tx := w.begin(pgx.TxOptions{})
	if _, err := tx.Exec(ctx, `SET LOCAL client_encoding = 'LATIN1'`); err != nil {
		t.Fatal(err)
	}
	if got, fresh, err := w.within(ctx, "café").reserve(); fresh || err == nil {
		t.Errorf("Reserve = %v, %t, %v; want an error", got, fresh, err)
	}
	if _, err := tx.Exec(ctx, `RESET client_encoding`); err != nil {
		t.Fatal(err)
	}
	w.within(ctx, "café").mustReplay("paid")
}

// Behaviour 21. Another Store on the same table is no other attempt.
func TestSameKeyTwiceThroughTwoStoresIsNotFreshTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	ctx, _ := w.begin(pgx.TxOptions{})
	w.within(ctx, "k").mustBeFresh()
	another, err := txstore.New(w.pool, asUnlocked(txstore.Config{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(another.Close)
	a := w.within(ctx, "k")
	a.store = another
	if _, fresh, err := a.reserve(); fresh || err == nil {
		t.Errorf("Reserve through another Store = %t, %v; want an error", fresh, err)
	}
}

// Behaviour 21.
func TestReservationRolledBackToASavepointIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	_, tx := w.begin(pgx.TxOptions{})
	for _, committed := range []bool{false, true} {
		savepoint, err := tx.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a := w.within(txstore.WithTx(t.Context(), savepoint), "k").mustBeFresh()
		if committed {
			a.mustCommit("undone")
		}
		mustEnd(t, savepoint.Rollback)
	}
	a := w.within(txstore.WithTx(t.Context(), tx), "k")
	if err := a.commit("unreserved"); err == nil {
		t.Error("Commit of a reservation that was rolled back says that it is recorded")
	}
	a.mustBeFresh()
	a.pay()
	a.mustCommit("paid")
	mustEnd(t, tx.Commit)
	w.mustHold("k", 1, 1)
	w.attempt("k").mustReplay("paid")
}

// Behaviour 21. What one transaction held is nothing to the next one on the same
// connection.
func TestNextTransactionOnTheConnectionStartsAnew(t *testing.T) {
	t.Parallel()
	for _, held := range []string{"reserved", "committed"} {
		t.Run(held, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Conns: 1})
			ctx, tx := w.begin(pgx.TxOptions{})
			a := w.within(ctx, "k").mustBeFresh()
			if held == "committed" {
				a.mustCommit("undone")
			}
			mustEnd(t, tx.Rollback)
			ctx, tx = w.begin(pgx.TxOptions{})
			if err := w.within(ctx, "k").commit("unreserved"); !errors.Is(err, idem.ErrNotReserved) {
				t.Errorf("Commit without Reserve: %v, want ErrNotReserved", err)
			}
			mustEnd(t, tx.Rollback)
			ctx, tx = w.begin(pgx.TxOptions{})
			w.within(ctx, "k").mustBeFresh().mustCommit("paid")
			mustEnd(t, tx.Commit)
			w.attempt("k").mustReplay("paid")
		})
	}
}
