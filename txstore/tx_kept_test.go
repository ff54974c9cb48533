package txstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
)

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
		"savepoint that was rolled back too late": func(a *attempt) {
			// The time of a call to somebody outside is over; the payment must not
			// stand, and the answer says so.
			ctx, cancel := context.WithCancel(a.ctx)
			_ = pgx.BeginFunc(ctx, a.tx(), func(savepoint pgx.Tx) error {
				_, err := savepoint.Exec(ctx, insertPayment, a.key)
				cancel()
				return errors.Join(err, ctx.Err())
			})
		},
		"savepoint that was rolled back beside open rows": func(a *attempt) {
			savepoint, _ := a.tx().Begin(a.ctx)
			rows, _ := savepoint.Query(a.ctx, `SELECT generate_series(1, 100000)`)
			_ = savepoint.Rollback(a.ctx)
			rows.Close()
		},
		"savepoint that was released too late": func(a *attempt) {
			ctx, cancel := context.WithCancel(a.ctx)
			savepoint, _ := a.tx().Begin(ctx)
			cancel()
			_ = savepoint.Commit(ctx)
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
	for rows.Next() {
	}
	if rows.Err() == nil {
		t.Error("all rows came, from a connection that was given up")
	}
	next.mustCommit("paid")
	w.mustHold("next", 1, 1)
}
