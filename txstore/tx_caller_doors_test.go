package txstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// A Commit that is rolled back to a savepoint leaves the reservation as it was:
// what was paid before the savepoint stands.
//
// Behaviour 21.
func TestCommitRolledBackToASavepointKeepsTheReservation(t *testing.T) {
	t.Parallel()
	for _, releases := range []bool{false, true} {
		w := newWorld(t, given{})
		ctx, tx := w.begin(pgx.TxOptions{})
		a := w.within(ctx, "k").mustBeFresh()
		a.pay()
		savepoint, err := tx.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		w.within(txstore.WithTx(t.Context(), savepoint), "k").mustCommit("undone")
		mustEnd(t, savepoint.Rollback)
		a.mustFail(idem.ErrNested)
		if releases { // then it is given up
			a.mustRelease()
			a.mustBeFresh()
		}
		a.mustCommit("paid")
		a.mustRelease() // nothing: it stands
		mustEnd(t, tx.Commit)
		w.mustHold("k", 1, 1)
	}
}

// The first use of a Store may be in a transaction of another pool, which searches
// for tables in another way: its table is not the Store's. The other way is in the URL,
// or in the configuration of a pool whose BeforeConnect completes it.
func TestCallerFromAnotherPoolDoesNotRedirectTheStore(t *testing.T) {
	t.Parallel()
	const theirs = "theirs,public"
	completed := func(c *pgxpool.Config) {
		c.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { return nil }
	}
	for name, c := range map[string]struct {
		own, other func(*pgxpool.Config)
		parameters string
	}{
		"URL": {parameters: "&search_path=" + theirs},
		"BeforeConnect": {own: completed, other: func(c *pgxpool.Config) {
			completed(c)
			c.ConnConfig.RuntimeParams["search_path"] = theirs
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Pool: c.own})
			w.exec(`CREATE SCHEMA theirs`)
			w.exec(`CREATE TABLE theirs.pgidem_records (LIKE pgidem_records INCLUDING ALL)`)
			w.process(given{}).attempt("k").mustBeFresh().mustCommit("paid")
			tx, err := openPool(t, given{Way: w.way + c.parameters, Pool: c.other}).Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			w.within(txstore.WithTx(t.Context(), tx), "other").mustBeFresh()
			mustEnd(t, tx.Rollback)
			w.attempt("k").mustReplay("paid")
		})
	}
}

// Close holds for what comes in a caller's transaction, too.
func TestClosedStoreReservesNothingInACallersTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.store.Close()
	ctx, _ := w.begin(pgx.TxOptions{})
	w.within(ctx, "k").mustFail(idem.ErrStoreClosed)
}

// Behaviour 32.
func TestMismatchWithALeaseInACallersTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	if _, fresh, err := w.store.Leased().Reserve(t.Context(), "k", "other", time.Hour); !fresh || err != nil {
		t.Fatal(fresh, err)
	}
	ctx, _ := w.begin(pgx.TxOptions{})
	w.within(ctx, "k").mustFail(idem.ErrHashMismatch)
	if err := w.store.Leased().Release(t.Context(), "k"); err != nil {
		t.Error(err)
	}
}

func TestTableThatHasGoneInACallersTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	ctx, tx := w.begin(pgx.TxOptions{})
	w.within(ctx, "k").mustBeFresh()
	mustEnd(t, tx.Rollback)
	w.exec(`DROP TABLE pgidem_records`)
	ctx, _ = w.begin(pgx.TxOptions{})
	w.within(ctx, "k").mustFail(idem.ErrStoreUnavailable)
}

// The connection of a transaction that has ended is another's.
func TestEndedCallersTransactionTouchesNoConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1})
	ctx, tx := w.begin(pgx.TxOptions{})
	mustEnd(t, tx.Commit)
	theirs, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = theirs.Rollback(context.Background()) }()
	rows, err := theirs.Query(t.Context(), "SELECT generate_series(1, 10)")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	w.within(ctx, "k").mustFail(pgx.ErrTxClosed)
}

// A pool may have another user for each connection: the caller's is the pool's all the
// same, and the only one.
func TestCallerOnTheLastConnectionOfAUserMadeByBeforeConnect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1, Config: txstore.Config{AcquireTimeout: 500 * time.Millisecond}, Pool: func(c *pgxpool.Config) {
		user, password := c.ConnConfig.User, c.ConnConfig.Password
		c.ConnConfig.User, c.ConnConfig.Password = "nobody", "none"
		c.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
			cc.User, cc.Password = user, password
			return nil
		}
	}})
	ctx, _ := w.begin(pgx.TxOptions{})
	w.within(ctx, "k").mustBeFresh()
}

// Release is deferred, and so comes at every end.
func TestReleaseAfterACommitWhateverTheTransactionHasComeTo(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(context.Context, pgx.Tx) error{
		"Committed": func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) },
		"Aborted": func(ctx context.Context, tx pgx.Tx) error {
			_, _ = tx.Exec(ctx, "SELECT 1/0")
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			ctx, tx := w.begin(pgx.TxOptions{})
			a := w.within(ctx, "k").mustBeFresh()
			a.mustCommit("paid")
			if err := end(ctx, tx); err != nil {
				t.Fatal(err)
			}
			a.mustRelease()
		})
	}
}

// A Release that comes after its transaction's end leaves alone what the next one on
// that connection holds.
func TestLateReleaseLeavesTheNextTransactionAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1})
	ctx, tx := w.begin(pgx.TxOptions{})
	late := w.within(ctx, "k").mustBeFresh()
	mustEnd(t, tx.Rollback)
	ctx, tx = w.begin(pgx.TxOptions{})
	next := w.within(ctx, "k").mustBeFresh()
	late.mustRelease()
	next.mustFail(idem.ErrNested)
	next.mustCommit("paid")
	mustEnd(t, tx.Commit)
	w.mustHold("k", 0, 1)
}
