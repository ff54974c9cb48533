package txstore_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// Behaviour 16.
func TestCollisionAtCommitNeverCommitsTheLosersWrites(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		for _, iso := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable} {
			t.Run(mode.String()+" "+string(iso), func(t *testing.T) {
				t.Parallel()
				config := txstore.Config{DisableLocks: true, IsoLevel: iso}
				w := newWorld(t, given{Mode: mode, Config: config})
				first := w.attempt("k").mustBeFresh()
				second := w.process(given{Mode: mode, Config: config}).attempt("k").mustBeFresh()
				first.pay()
				second.pay()
				first.mustCommit("first")
				if err := second.commit("second"); !errors.Is(err, idem.ErrSuperseded) && !second.core.RunAgain() {
					t.Fatalf("the loser's Commit: %v, want ErrSuperseded or to run again", err)
				}
				w.mustHold("k", 1, 1)
				w.attempt("k").mustReplay("first")
			})
		}
	}
}

// Behaviour 16.
func TestManyCollidingAttemptsLeaveOneRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: txstore.Config{DisableLocks: true}})
	stores := []*txstore.Store{w.store}
	for range 7 {
		stores = append(stores, w.process(given{Conns: 2, Config: txstore.Config{DisableLocks: true}}).store)
	}
	for round := range 10 {
		key := strconv.Itoa(round)
		var begun, all sync.WaitGroup
		var committed, superseded atomic.Int32
		begun.Add(len(stores))
		for _, store := range stores {
			all.Go(func() {
				_, _, err := run(t, store, key, func(ctx context.Context, tx pgx.Tx) idem.Cached {
					begun.Done()
					begun.Wait()
					return pay(t, key, "paid")(ctx, tx)
				})
				switch {
				case err == nil:
					committed.Add(1)
				case errors.Is(err, idem.ErrSuperseded):
					superseded.Add(1)
				default:
					t.Errorf("unexpected: %v", err)
				}
			})
		}
		all.Wait()
		if committed.Load() != 1 || superseded.Load() != 7 {
			t.Fatalf("%d committed and %d were superseded, want 1 and 7", committed.Load(), superseded.Load())
		}
		w.mustHold(key, 1, 1)
	}
}

// Behaviour 16. A process that keeps no locks breaks into an attempt that does.
func TestCollisionWithLocksOnOneSideOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	locking := w.attempt("k").mustBeFresh()
	other := w.process(given{Config: txstore.Config{DisableLocks: true}}).attempt("k").mustBeFresh()
	locking.pay()
	other.pay()
	other.mustCommit("other")
	follower := w.attempt("k").start()
	if err := locking.commit("locking"); !errors.Is(err, idem.ErrSuperseded) {
		t.Fatalf("the loser's Commit: %v, want ErrSuperseded", err)
	}
	w.mustHold("k", 1, 1)
	if got := await(t, "the follower", follower); got.body() != "other" {
		t.Fatalf("the follower got %s, want the winner's record", got.body())
	}
}

// Behaviour 43.
func TestUsersOwnConstraintIsNotTakenForAnotherAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.exec(`ALTER TABLE payments ADD CONSTRAINT once UNIQUE (n) DEFERRABLE INITIALLY DEFERRED`)
	// Not even one that bears our names, in a schema of its own.
	w.exec(`CREATE SCHEMA theirs`)
	w.exec(`CREATE TABLE theirs.pgidem_records (n int CONSTRAINT pgidem_records_pkey PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)`)
	for _, sql := range []string{
		`INSERT INTO payments (key, n) VALUES ('k', 7), ('k', 7)`,
		`INSERT INTO theirs.pgidem_records VALUES (1), (1)`,
	} {
		a := w.attempt("k").mustBeFresh()
		if err := a.exec(sql); err != nil {
			t.Fatal(err)
		}
		err := a.commit("paid")
		var refused *idem.CommitError
		if errors.Is(err, idem.ErrSuperseded) || !errors.As(err, &refused) || refused.Retryable {
			t.Errorf("%s: Commit = %v, want a CommitError that is final", sql, err)
		}
		if a.core.RunAgain() {
			t.Errorf("%s: is run again, for no change", sql)
		}
		w.mustHold("k", 0, 0)
	}
	w.attempt("k").mustBeFresh().mustCommit("now")
}

// Behaviour 20.
func TestDeferredConstraintAtCommitKeepsNothing(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Mode: mode, Conns: 1})
			w.exec(`CREATE TABLE accounts (id int PRIMARY KEY)`)
			w.exec(`ALTER TABLE payments ADD FOREIGN KEY (n) REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED`)
			a := w.attempt("k").mustBeFresh()
			a.pay()
			err := a.commit("paid")
			var refused *idem.CommitError
			if !errors.As(err, &refused) || refused.Retryable {
				t.Fatalf("Commit = %v, want a CommitError that is final", err)
			}
			w.mustHold("k", 0, 0)
			w.exec(`INSERT INTO accounts VALUES (1)`)
			again := w.attempt("k").mustBeFresh()
			again.pay()
			again.mustCommit("paid")
			w.mustHold("k", 1, 1)
			if n := w.pool.Stat().NewConnsCount(); n != 1 {
				t.Errorf("%d connections were opened, want the one to be used again", n)
			}
		})
	}
}
