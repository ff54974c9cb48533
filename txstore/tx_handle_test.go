package txstore_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Behaviour 19.
func TestHandlerCannotEndTheTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	tx := a.tx()
	defer func() {
		if err := tx.Rollback(context.Background()); !errors.Is(err, pgx.ErrTxClosed) {
			t.Errorf("a deferred Rollback after the request: %v, want ErrTxClosed", err)
		}
	}()
	a.pay()
	for name, end := range map[string]func(context.Context) error{"Commit": tx.Commit, "Rollback": tx.Rollback} {
		if err := end(a.ctx); err == nil || errors.Is(err, pgx.ErrTxClosed) {
			t.Errorf("tx.%s = %v, want an error that says who ends the transaction", name, err)
		}
	}
	w.mustHold("k", 0, 0)
	a.mustCommit("paid")
	w.mustHold("k", 1, 1)
}

// Behaviour 19.
func TestSavepointsInsideTheTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	insert := func(tx pgx.Tx, n int) {
		t.Helper()
		if _, err := tx.Exec(a.ctx, `INSERT INTO payments (key, n) VALUES ('k', $1)`, n); err != nil {
			t.Fatal(err)
		}
	}
	undo := errors.New("undo")
	err := pgx.BeginFunc(a.ctx, a.tx(), func(outer pgx.Tx) error {
		insert(outer, 1)
		err := pgx.BeginFunc(a.ctx, outer, func(inner pgx.Tx) error {
			insert(inner, 2)
			return undo
		})
		if !errors.Is(err, undo) {
			t.Fatalf("the inner savepoint: %v", err)
		}
		return pgx.BeginFunc(a.ctx, outer, func(inner pgx.Tx) error {
			insert(inner, 3)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	a.mustCommit("paid")
	if n := w.count(`SELECT sum(n) FROM payments`); n != 4 {
		t.Errorf("payments sum up to %d, want 1 and 3", n)
	}
}

// Behaviour 19. A failed statement in a savepoint spoils only the savepoint.
func TestFailureInsideASavepointIsContained(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Mode: mode})
			a := w.attempt("k").mustBeFresh()
			a.pay()
			err := pgx.BeginFunc(a.ctx, a.tx(), func(tx pgx.Tx) error {
				_, err := tx.Exec(a.ctx, `SELECT 1 / 0`)
				return err
			})
			if err == nil {
				t.Fatal("division by zero succeeded")
			}
			a.mustCommit("paid")
			w.mustHold("k", 1, 1)
		})
	}
}

// dbtx is what sqlc's New takes.
type dbtx interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
	CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error)
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}

// Behaviour 19.
func TestTransactionServesEveryWayToQuery(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Mode: mode})
			a := w.attempt("k").mustBeFresh()
			useDBTX(t, a.ctx, a.tx())
			if _, err := a.tx().Prepare(a.ctx, "", `SELECT 1`); err != nil {
				t.Errorf("Prepare: %v", err)
			}
			objects := a.tx().LargeObjects()
			oid, err := objects.Create(a.ctx, 0)
			if err != nil {
				t.Fatal(err)
			}
			a.mustCommit("paid")
			w.mustHold("k", 6, 1)
			if n := w.count(`SELECT count(*) FROM pg_largeobject_metadata WHERE oid = $1`, oid); n != 1 {
				t.Errorf("%d large objects, want the one that was created", n)
			}
		})
	}
}

// useDBTX writes six payments with key k.
func useDBTX(t *testing.T, ctx context.Context, db dbtx) {
	t.Helper()
	if _, err := db.Exec(ctx, insertPayment, "k"); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRow(ctx, `INSERT INTO payments (key, n) VALUES ('k', 2) RETURNING n`).Scan(&n); err != nil || n != 2 {
		t.Fatalf("QueryRow: %d, %v", n, err)
	}
	copied, err := db.CopyFrom(ctx, pgx.Identifier{"payments"}, []string{"key", "n"}, pgx.CopyFromRows([][]any{{"k", int32(3)}, {"k", int32(4)}}))
	if err != nil || copied != 2 {
		t.Fatalf("CopyFrom: %d, %v", copied, err)
	}
	var called bool
	b := &pgx.Batch{}
	b.Queue(insertPayment, "k").Exec(func(pgconn.CommandTag) error { called = true; return nil })
	b.Queue(insertPayment, "k")
	if err := db.SendBatch(ctx, b).Close(); err != nil || !called {
		t.Fatalf("SendBatch: %v, callback called: %t", err, called)
	}
	rows, err := db.Query(ctx, `SELECT n FROM payments WHERE key = 'k' ORDER BY n`)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || !slices.Equal(ns, []int{1, 1, 1, 2, 3, 4}) {
		t.Fatalf("Query: %v, %v", ns, err)
	}
}
