package txstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// Behaviour 14.
func TestRowAndRecordCommitTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	a.pay()
	w.mustHold("k", 0, 0)
	a.mustCommit("paid")
	w.mustHold("k", 1, 1)
	w.attempt("k").mustReplay("paid")
}

// Behaviour 14.
func TestReleaseLeavesNeitherRowNorRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	a.pay()
	a.mustRelease()
	a.mustRelease()
	w.mustHold("k", 0, 0)
	w.attempt("k").withHash("another").mustBeFresh()
}

// Behaviour 14.
func TestTerminatedBackendLeavesNothingAndAFreeKey(t *testing.T) {
	t.Parallel()
	needsLocks(t, "only its own lock tells who lost the connection that its COMMIT did not arrive")
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	a.pay()
	w.exec(`SELECT pg_terminate_backend($1)`, a.pid())
	eventually(t, "the key is free", func() bool {
		return w.count(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == 0
	})
	w.mustHold("k", 0, 0)
	err := a.commit("paid")
	var refused *idem.CommitError
	if !errors.As(err, &refused) || !refused.Retryable {
		t.Fatalf("Commit of a terminated transaction: %v, want a retryable CommitError", err)
	}
	w.mustHold("k", 0, 0)
	w.attempt("k").mustBeFresh()
}

func init() {
	children["pay"] = func(url string) { childPays(url, false) }
	children["pay-and-commit"] = func(url string) { childPays(url, true) }
}

// childPays runs an attempt on key k and stops before or after its Commit.
func childPays(url string, commit bool) {
	ctx, _ := idem.WithAttempt(context.Background(), idem.AttemptConfig{MaxHandlerTime: time.Hour})
	pool, err := pgxpool.New(ctx, url)
	mustChild(err)
	store, err := txstore.New(pool, asUnlocked(txstore.Config{}))
	mustChild(err)
	_, fresh, err := store.Reserve(ctx, "k", "h", time.Hour)
	mustChild(err)
	if !fresh {
		mustChild(errors.New("the key is not fresh"))
	}
	mustChild(store.InTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertPayment, "k")
		return err
	}))
	if commit {
		mustChild(store.Commit(ctx, "k", "h", idem.Cached{Status: 201, Body: []byte("paid")}))
	}
	fmt.Println("ready")
	select {}
}

func mustChild(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}

// Behaviours 14, 45.
func TestKilledProcessBeforeCommitLeavesNothingAndAFreeKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	child := startChild(t, "pay", w.way)
	waiting := w.attempt("k").start()
	if err := child.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Its MaxHandlerTime is an hour: what frees the key is its end.
	if r := within(t, 5*time.Second, "the key", func() reserved { return <-waiting }); !r.fresh {
		t.Fatalf("Reserve after the process was killed: %s, want it fresh", r.body())
	}
	w.mustHold("k", 0, 0)
}

// Behaviour 14.
func TestKilledProcessAfterCommitIsReplayed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	child := startChild(t, "pay-and-commit", w.way)
	if err := child.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.attempt("k").mustReplay("paid")
	w.mustHold("k", 1, 1)
}

// Behaviour 5.
func TestSecondCommitChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	a.mustCommit("first")
	a.mustCommit("second")
	w.attempt("k").mustReplay("first")
	if err := a.withHash("another").commit("third"); !errors.Is(err, idem.ErrHashMismatch) {
		t.Errorf("Commit with another hash: %v, want ErrHashMismatch", err)
	}
	a.mustRelease()
	w.mustHold("k", 0, 1)
}

// Behaviour 5.
func TestCommitWithoutReservationIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	if err := w.attempt("k").commit("x"); !errors.Is(err, idem.ErrNotReserved) {
		t.Errorf("Commit without Reserve: %v, want ErrNotReserved", err)
	}
	a := w.attempt("k").mustBeFresh()
	a.mustRelease()
	if err := a.commit("x"); !errors.Is(err, idem.ErrNotReserved) {
		t.Errorf("Commit after Release: %v, want ErrNotReserved", err)
	}
	w.mustHold("k", 0, 0)
}

func TestReserveInsideItsOwnAttemptIsNested(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	outer := w.attempt("k").mustBeFresh()
	inner := newAttempt(t, outer.ctx, w.store, "k", idem.AttemptConfig{})
	if _, _, err := inner.reserve(); !errors.Is(err, idem.ErrNested) {
		t.Fatalf("Reserve inside its own attempt: %v, want ErrNested", err)
	}
	newAttempt(t, outer.ctx, w.store, "another", idem.AttemptConfig{}).mustBeFresh().mustCommit("inner")
	outer.mustCommit("outer")
	w.attempt("k").mustReplay("outer")
}

// An attempt that was released may reserve once more; its Commit must find the
// reservation that lives, not the one that has ended.
func TestAttemptMayReserveAgainAfterRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	a.mustRelease()
	a.mustBeFresh()
	a.pay()
	a.mustCommit("second try")
	w.mustHold("k", 1, 1)
}
