package txstore_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgidem/pgidem/idem"
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

// kept is what a handler may keep of its transaction, with each way to use it.
func kept(t *testing.T, a *attempt) map[string]func() error {
	tx := a.tx()
	savepoint, err := tx.Begin(a.ctx)
	if err != nil {
		t.Fatal(err)
	}
	objects, inner := tx.LargeObjects(), savepoint.LargeObjects()
	oid, err := objects.Create(a.ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	object, err := objects.Open(a.ctx, oid, pgx.LargeObjectModeWrite)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	uses := map[string]func() error{
		"objects.Create":           func() error { _, err := objects.Create(ctx, 0); return err },
		"savepoint objects.Create": func() error { _, err := inner.Create(ctx, 0); return err },
		"object.Write":             func() error { _, err := object.Write([]byte("x")); return err },
	}
	for name, tx := range map[string]pgx.Tx{"tx": tx, "savepoint": savepoint} {
		uses[name+".Exec"] = func() error { _, err := tx.Exec(ctx, insertPayment, "late"); return err }
		uses[name+".Query"] = func() error { rows, err := tx.Query(ctx, `SELECT 1`); rows.Close(); return err }
		uses[name+".QueryRow"] = func() error { var n int; return tx.QueryRow(ctx, `SELECT 1`).Scan(&n) }
		uses[name+".Begin"] = func() error { _, err := tx.Begin(ctx); return err }
		uses[name+".Commit"] = func() error { return tx.Commit(ctx) }
		uses[name+".Rollback"] = func() error { return tx.Rollback(ctx) }
		uses[name+".Prepare"] = func() error { _, err := tx.Prepare(ctx, "late", `SELECT 1`); return err }
		uses[name+".CopyFrom"] = func() error {
			_, err := tx.CopyFrom(ctx, pgx.Identifier{"payments"}, []string{"key", "n"}, pgx.CopyFromRows([][]any{{"late", int32(1)}}))
			return err
		}
		uses[name+".SendBatch"] = func() error {
			b := &pgx.Batch{}
			b.Queue(insertPayment, "late")
			return tx.SendBatch(ctx, b).Close()
		}
		uses[name+".LargeObjects"] = func() error {
			late := tx.LargeObjects()
			_, err := late.Create(ctx, 0)
			return err
		}
	}
	return uses
}

// Behaviours 19, 46.
func TestNothingKeptReachesTheNextRequest(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"Commit", "CommitResponse", "Release"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Conns: 1})
			a := w.attempt("k").mustBeFresh()
			a.pay()
			pid := a.tx().Conn().PgConn().PID()
			uses := kept(t, a)
			switch end {
			case "Commit":
				// The savepoint among what is kept is still open.
				if err := a.commit("paid"); !errors.Is(err, idem.ErrTransactionFailed) {
					t.Fatalf("Commit with an open savepoint: %v, want ErrTransactionFailed", err)
				}
			case "CommitResponse":
				idem.SetDisposition(a.ctx, idem.CommitResponse)
				a.mustCommit("refused")
			case "Release":
				a.mustRelease()
			}
			next := w.attempt("next").mustBeFresh()
			if next.tx().Conn().PgConn().PID() != pid {
				t.Fatal("the next request has another connection: this test shows nothing")
			}
			for name, use := range uses {
				if err := use(); !errors.Is(err, pgx.ErrTxClosed) {
					t.Errorf("%s after the request = %v, want ErrTxClosed", name, err)
				}
			}
			next.pay()
			next.mustCommit("paid")
			w.mustHold("next", 1, 1)
			w.mustHold("late", 0, 0)
			w.mustHold("k", 0, map[string]int{"CommitResponse": 1}[end])
			if n := w.count(`SELECT count(*) FROM pg_largeobject_metadata`); n != 0 {
				t.Errorf("%d large objects were written into the next request", n)
			}
		})
	}
}

// Behaviours 19, 46. As above, with a transaction that was never asked for its
// large objects while it was open.
func TestLargeObjectsAskedForAfterTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1})
	a := w.attempt("k").mustBeFresh()
	tx := a.tx()
	a.mustCommit("paid")
	next := w.attempt("next").mustBeFresh()
	late := tx.LargeObjects()
	if _, err := late.Create(t.Context(), 0); !errors.Is(err, pgx.ErrTxClosed) {
		t.Errorf("Create after the request = %v, want ErrTxClosed", err)
	}
	next.mustCommit("paid")
	if n := w.count(`SELECT count(*) FROM pg_largeobject_metadata`); n != 0 {
		t.Errorf("%d large objects were written into the next request", n)
	}
}

// Behaviour 46.
func TestWhatIsLeftOpenKeepsNothing(t *testing.T) {
	t.Parallel()
	leave := map[string]func(a *attempt){
		"savepoint": func(a *attempt) { _, _ = a.tx().Begin(a.ctx) },
		"inner savepoint": func(a *attempt) {
			outer, _ := a.tx().Begin(a.ctx)
			_, _ = outer.Begin(a.ctx)
			// Its outer one stays open.
		},
		"rows":          func(a *attempt) { _, _ = a.tx().Query(a.ctx, `SELECT generate_series(1, 100000)`) },
		"row":           func(a *attempt) { _ = a.tx().QueryRow(a.ctx, `SELECT 1`) },
		"batch results": func(a *attempt) { b := &pgx.Batch{}; b.Queue(`SELECT 1`); _ = a.tx().SendBatch(a.ctx, b) },
	}
	for name, leaveOpen := range leave {
		for _, mode := range execModes {
			t.Run(name+" "+mode.String(), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{Mode: mode, Conns: 1})
				a := w.attempt("k").mustBeFresh()
				a.pay()
				leaveOpen(a)
				if err := a.commit("paid"); !errors.Is(err, idem.ErrTransactionFailed) {
					t.Fatalf("Commit = %v, want ErrTransactionFailed", err)
				}
				w.mustHold("k", 0, 0)
				again := w.attempt("k").mustBeFresh()
				again.pay()
				again.mustCommit("paid")
				w.mustHold("k", 1, 1)
			})
		}
	}
}

// Behaviour 46. Rows and batch results that are read on after the request.
func TestRowsReadAfterTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1})
	a := w.attempt("k").mustBeFresh()
	rows, err := a.tx().Query(a.ctx, `SELECT generate_series(1, 1000000)`)
	if err != nil {
		t.Fatal(err)
	}
	_ = a.commit("paid")
	next := w.attempt("next").mustBeFresh()
	next.pay()
	for rows.Next() { //nolint:revive // only to read to the end
	}
	if rows.Err() == nil {
		t.Error("all rows came, from a connection that was given up")
	}
	next.mustCommit("paid")
	w.mustHold("next", 1, 1)
}
