package txstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// do calls idem.Do with a function that writes a business row and then ends as
// then says. It returns the number of the function's runs.
func (w *world) do(ctx context.Context, key string, then func() error) (got string, runs int, err error) {
	got, err = idem.Do(ctx, idem.DoConfig{Store: w.store}, key, "request", func(ctx context.Context) (string, error) {
		runs++
		err := w.store.InTx(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, insertPayment, key)
			return err
		})
		if err == nil {
			err = then()
		}
		return "paid", err
	})
	return got, runs, err
}

func nothing() error { return nil }

// Behaviour 14.
func TestDoCommitsRowAndRecordTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	got, runs, err := w.do(t.Context(), "k", func() error {
		w.mustHold("k", 0, 0)
		return nil
	})
	if got != "paid" || runs != 1 || err != nil {
		t.Fatalf("Do = %q, %d runs, %v", got, runs, err)
	}
	w.mustHold("k", 1, 1)
	got, runs, err = w.process(given{}).do(t.Context(), "k", nothing)
	if got != "paid" || runs != 0 || err != nil {
		t.Fatalf("replay = %q, %d runs, %v", got, runs, err)
	}
	w.mustHold("k", 1, 1)
}

// Behaviour 14.
func TestDoErrorRollsBackAndRunsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	failed := errors.New("card network is down")
	if _, runs, err := w.do(t.Context(), "k", func() error { return failed }); runs != 1 || !errors.Is(err, failed) {
		t.Fatalf("Do: %d runs, %v", runs, err)
	}
	w.mustHold("k", 0, 0)
	if got, runs, err := w.do(t.Context(), "k", nothing); got != "paid" || runs != 1 || err != nil {
		t.Fatalf("retry = %q, %d runs, %v", got, runs, err)
	}
	w.mustHold("k", 1, 1)
}

func TestDoPermanentErrorIsKeptAndItsWritesUndone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	declined := &idem.PermanentError{Code: "declined", Message: "no funds"}
	for call := range 2 {
		_, runs, err := w.do(t.Context(), "k", func() error { return declined })
		var got *idem.PermanentError
		if runs != 1-call || !errors.As(err, &got) || *got != *declined {
			t.Fatalf("call %d: %d runs, %v", call, runs, err)
		}
		w.mustHold("k", 0, 1)
	}
}

// A statement of the function fails and it says so permanently: the transaction
// is aborted then, and the record must be written all the same.
//
// Behaviour 41.
func TestDoPermanentErrorAfterAFailedStatement(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Mode: mode})
			for call := range 2 {
				runs := 0
				_, err := idem.Do(t.Context(), idem.DoConfig{Store: w.store}, "k", nil, func(ctx context.Context) (int, error) {
					runs++
					tx, _ := txstore.TxFromContext(ctx)
					if _, err := tx.Exec(ctx, insertPayment, "k"); err != nil {
						return 0, err
					}
					_, err := tx.Exec(ctx, `SELECT 1/0`)
					return 0, idem.Permanent(err)
				})
				var permanent *idem.PermanentError
				if runs != 1-call || !errors.As(err, &permanent) {
					t.Fatalf("call %d: %d runs, %v", call, runs, err)
				}
				w.mustHold("k", 0, 1)
			}
		})
	}
}

func TestDoPanicLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("recovered %v", got)
			}
		}()
		_, _, _ = w.do(t.Context(), "k", func() error { panic("boom") })
	}()
	w.mustHold("k", 0, 0)
	if _, runs, err := w.do(t.Context(), "k", nothing); runs != 1 || err != nil {
		t.Fatalf("retry: %d runs, %v", runs, err)
	}
}

func TestDoCallerThatEndsLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err := w.do(ctx, "k", func() error {
		cancel()
		return nil // it has not noticed
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Do = %v, want Canceled", err)
	}
	w.mustHold("k", 0, 0)
	if _, runs, err := w.do(t.Context(), "k", nothing); runs != 1 || err != nil {
		t.Fatalf("retry: %d runs, %v", runs, err)
	}
	w.mustHold("k", 1, 1)
}

func TestDoUnencodableResultLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	_, err := idem.Do(t.Context(), idem.DoConfig{Store: w.store}, "k", nil, func(ctx context.Context) (chan int, error) {
		tx, _ := txstore.TxFromContext(ctx)
		_, err := tx.Exec(ctx, insertPayment, "k")
		return make(chan int), err
	})
	if !errors.Is(err, idem.ErrResultUnencodable) {
		t.Fatalf("Do = %v", err)
	}
	w.mustHold("k", 0, 0)
	w.attempt("k").mustBeFresh()
}

// Behaviour 17.
func TestDoRunsAgainAfterASerializationFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: txstore.Config{IsoLevel: pgx.Serializable}})
	w.exec(`CREATE TABLE balances (id int PRIMARY KEY, amount int NOT NULL)`)
	w.exec(`INSERT INTO balances VALUES (1, 100)`)
	runs := 0
	got, err := idem.Do(t.Context(), idem.DoConfig{Store: w.store}, "k", nil, func(ctx context.Context) (amount int, err error) {
		runs++
		tx, _ := txstore.TxFromContext(ctx)
		if err := tx.QueryRow(ctx, `SELECT amount FROM balances WHERE id = 1`).Scan(&amount); err != nil {
			return 0, err
		}
		if runs == 1 {
			w.exec(`UPDATE balances SET amount = amount - 30 WHERE id = 1`)
		}
		_, err = tx.Exec(ctx, `UPDATE balances SET amount = $1 WHERE id = 1`, amount-10)
		return amount - 10, err
	})
	if got != 60 || runs != 2 || err != nil {
		t.Fatalf("Do = %d, %d runs, %v", got, runs, err)
	}
	if amount := w.count(`SELECT amount FROM balances WHERE id = 1`); amount != 60 {
		t.Fatalf("balance %d", amount)
	}
}

// Behaviour 21.
func TestDoInTheCallersTransaction(t *testing.T) {
	t.Parallel()
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	for name, c := range map[string]struct {
		commit bool
		rows   int
	}{"Commit": {true, 1}, "Rollback": {false, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			tx, err := w.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(context.Background()) //nolint:errcheck // ended already, or the test has failed
			ctx := txstore.WithTx(t.Context(), tx)
			for call := range 2 {
				if got, runs, err := w.do(ctx, "k", nothing); got != "paid" || runs != 1-call || err != nil {
					t.Fatalf("call %d = %q, %d runs, %v", call, got, runs, err)
				}
			}
			w.mustHold("k", 0, 0)
			if _, _, err := w.do(txstore.WithTx(t.Context(), mustBegin(t, w)), "k", nothing); !errors.Is(err, idem.ErrInFlight) {
				t.Fatalf("in flight elsewhere: %v, want ErrInFlight", err)
			}
			if c.commit {
				err = tx.Commit(t.Context())
			} else {
				err = tx.Rollback(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			w.mustHold("k", c.rows, c.rows)
		})
	}
}

func mustBegin(t *testing.T, w *world) pgx.Tx {
	t.Helper()
	tx, err := w.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return tx
}
