package txstore_test

import (
	"bytes"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/wiretap"
	"github.com/pgidem/pgidem/txstore"
)

// betweenLookAndConfirmation records key, and returns a process that looks it up, and
// does what before each of its first so many confirmations reaches the server. asked
// counts all. A setup is executed before the process is there.
func betweenLookAndConfirmation(t *testing.T, key string, first int32, what func(*world), setup ...string) (w, p *world, asked *atomic.Int32) {
	t.Helper()
	w = newWorld(t, given{})
	for _, sql := range setup {
		w.exec(sql)
	}
	p, proxy := w.tapped(given{})
	p.warm()
	txstore.AwaitsStandby(p.store)
	w.attempt(key).mustBeFresh().mustCommit("paid")
	asked = new(atomic.Int32)
	proxy.Intercept(func(m wiretap.Message) (v wiretap.Verdict) {
		if m.From == wiretap.Client && bytes.Contains(m.Body, []byte("pg_logical_emit_message")) {
			if asked.Add(1) <= first {
				what(w)
			}
		}
		return v
	})
	return w, p, asked
}

// A record that only the server which is gone has shown is not replayed: where the
// standby confirms, it must be seen, too.
//
// Behaviours 14, 30.
func TestRecordThatThePromotedServerDoesNotHaveIsNotReplayed(t *testing.T) {
	t.Parallel()
	_, p, _ := betweenLookAndConfirmation(t, "k", 1, func(w *world) {
		w.exec(`DELETE FROM pgidem_records WHERE key = 'k'`) // as on the standby
	})
	p.attempt("k").mustBeFresh().mustCommit("paid again")
	p.attempt("k").mustReplay("paid again")
}

// asLease makes the record of k what it was before its Commit.
const asLease = `UPDATE pgidem_records SET status = NULL, header = NULL, body = NULL, stored_at = NULL, expires_at = NULL,
	forgotten_at = NULL, leased_until = clock_timestamp() + interval '1 hour' WHERE key = 'k'`

// Of what was recorded under a lease the promoted server may have the lease alone, of
// the same attempt.
//
// Behaviours 14, 30.
func TestLeaseDoesNotConfirmItsRecord(t *testing.T) {
	t.Parallel()
	_, p, _ := betweenLookAndConfirmation(t, "k", 1, func(w *world) { w.exec(asLease) })
	a := newAttempt(t, t.Context(), p.store, "k", idem.AttemptConfig{NoWait: true})
	if existing, fresh, err := a.reserve(); existing != nil || fresh || !errors.Is(err, idem.ErrInFlight) {
		t.Errorf("Reserve = %v, %v, %v; want the lease in flight", existing, fresh, err)
	}
}

// Nor does a lease's Commit that is repeated take it for its record, as behind a pooler
// that leads to the promoted server from one moment to the next: it is made there.
//
// Behaviours 15, 30.
func TestRepeatedLeasedCommitIsMadeWhereOnlyTheLeaseIs(t *testing.T) {
	t.Parallel()
	w, p, asked := betweenLookAndConfirmation(t, "other", 1, func(w *world) { w.exec(asLease) })
	a := newAttempt(t, t.Context(), p.store.Leased(), "k", idem.AttemptConfig{}).mustBeFresh()
	// As by a Commit whose reply was lost.
	w.exec(`UPDATE pgidem_records SET status = 201, body = 'sent', stored_at = clock_timestamp(),
		expires_at = clock_timestamp() + interval '1 hour', leased_until = NULL, header = (SELECT header FROM pgidem_records WHERE key = 'other') WHERE key = 'k'`)
	a.mustCommit("sent")
	if n := asked.Load(); n != 1 {
		t.Errorf("%d confirmations, want that of the first Commit alone", n)
	}
	w.mustHold("k", 0, 1)
}

// Nor does another's record under the same key confirm it: that is looked at, and
// confirmed, for itself.
//
// Behaviour 30.
func TestRecordOfAnotherConfirmsNone(t *testing.T) {
	t.Parallel()
	another := func(w *world) {
		w.exec(`UPDATE pgidem_records SET attempt_id = gen_random_uuid(), body = 'another' WHERE key = 'k'`)
	}
	_, p, asked := betweenLookAndConfirmation(t, "k", 1, another)
	p.attempt("k").mustReplay("another")
	if n := asked.Load(); n != 2 {
		t.Errorf("%d confirmations, want one of each record", n)
	}

	// As of two servers, which both take writes.
	_, p, asked = betweenLookAndConfirmation(t, "k", math.MaxInt32, another)
	if existing, fresh, err := p.attempt("k").reserve(); existing != nil || fresh || !errors.Is(err, idem.ErrStoreUnavailable) {
		t.Errorf("Reserve = %v, %v, %v; want the store unavailable", existing, fresh, err)
	}
	if n := asked.Load(); n > 10 {
		t.Errorf("%d confirmations", n)
	}
}

// A refusal that says nothing of the record confirms it as little.
//
// Behaviour 30.
func TestRefusalThatSaysNothingOfTheRecord(t *testing.T) {
	t.Parallel()
	t.Run("TableLocked", func(t *testing.T) {
		t.Parallel()
		const impatient = `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = 100', current_database()); END $$`
		_, p, _ := betweenLookAndConfirmation(t, "k", 1, func(w *world) {
			tx, err := w.admin.Begin(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			for _, sql := range []string{`DELETE FROM pgidem_records WHERE key = 'k'`, `LOCK TABLE pgidem_records`} {
				if _, err := tx.Exec(t.Context(), sql); err != nil {
					t.Error(err)
				}
			}
			time.AfterFunc(time.Second, func() { _ = tx.Commit(t.Context()) })
		}, impatient)
		if existing, _, err := p.attempt("k").reserve(); existing != nil {
			t.Errorf("replayed %s (error %v), and it is not there", existing.Body, err)
		}
	})
	t.Run("TableGone", func(t *testing.T) {
		t.Parallel()
		_, p, _ := betweenLookAndConfirmation(t, "k", 1, func(w *world) { w.exec(`DROP TABLE pgidem_records`) })
		if existing, fresh, err := p.attempt("k").reserve(); existing != nil || fresh || !errors.Is(err, idem.ErrStoreUnavailable) {
			t.Errorf("Reserve = %v, %v, %v; want that the table is missing", existing, fresh, err)
		}
	})
	// Handlers deallocate in each of their requests, and nothing tells the Store that
	// its statement is gone before it is to confirm.
	t.Run("StatementsDeallocated", func(t *testing.T) {
		t.Parallel()
		w := newStandbyWorld(t)
		p := w.process(given{Conns: 1})
		p.warm()
		txstore.AwaitsStandby(p.store)
		deallocating := func(key string) {
			a := p.attempt(key).mustBeFresh()
			if err := a.exec("DEALLOCATE ALL", pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatal(err)
			}
			_ = a.commit("done") // the first one is refused
		}
		deallocating("a")
		w.attempt("first").mustBeFresh().mustCommit("first")
		p.attempt("first").mustReplay("first") // is confirmed
		deallocating("b")
		w.terminateCommit("k")
		w.mustNotEndBeforeTheStandbyHasIt("replay", func() string { return (<-p.attempt("k").start()).body() }, "paid")
	})
}

// Behaviour 30. Somebody has just found the table gone, as on a promoted server: whether
// commits wait there is not known then, and not that they do not.
func TestForgottenTableConfirmsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.warm()
	if there, err := txstore.SettleAnew(t.Context(), w.store, "k", idem.NewAttemptID()); there || err != nil {
		t.Errorf("a record that is not there: %t, %v", there, err)
	}
}

// mustNotEndBeforeTheStandbyHasIt calls call while commits wait for the standby, and
// demands that it returns, with want, when that is no longer wanted, and not before.
func (w *world) mustNotEndBeforeTheStandbyHasIt(what string, call func() string, want string) {
	w.Helper()
	done := make(chan string, 1)
	go func() { done <- call() }()
	select {
	case got := <-done:
		w.Errorf("%s: told %q before the standby had it", what, got)
		w.standby(false)
		return
	case <-time.After(time.Second):
	}
	w.standby(false)
	if got := await(w.TB, what, done); got != want {
		w.Errorf("%s: told %q, want %q", what, got, want)
	}
}

// A lease's COMMIT whose session was terminated is made again on another connection,
// where it changes nothing and so waits for no standby.
//
// Behaviours 15, 30.
func TestLeasedCommitIsToldWhenTheStandbyHasIt(t *testing.T) {
	t.Parallel()
	w := newStandbyWorld(t)
	a := newAttempt(t, t.Context(), w.store.Leased(), "k", idem.AttemptConfig{}).mustBeFresh()
	w.standby(true)
	go func() {
		const waiting = `FROM pg_stat_activity WHERE wait_event = 'SyncRep'`
		eventually(t, "the COMMIT waits", func() bool { return w.count(`SELECT count(*) `+waiting) == 1 })
		w.exec(`SELECT pg_terminate_backend(pid) ` + waiting)
	}()
	w.mustNotEndBeforeTheStandbyHasIt("Commit", func() string {
		if err := a.commit("sent"); err != nil {
			return err.Error()
		}
		return "committed"
	}, "committed")
}

// A caller's transaction that only replays waits for no standby by itself.
//
// Behaviours 21, 30.
func TestReplayInACallersTransactionWaitsForTheStandby(t *testing.T) {
	t.Parallel()
	for _, access := range []pgx.TxAccessMode{pgx.ReadWrite, pgx.ReadOnly} {
		t.Run(string(access), func(t *testing.T) {
			t.Parallel()
			w := newStandbyWorld(t)
			w.terminateCommit("k")
			p := w.process(given{})
			w.mustNotEndBeforeTheStandbyHasIt("replay and COMMIT", func() string { return p.replayInTx("k", access) }, "paid")
		})
	}
	t.Run("Refused", func(t *testing.T) {
		t.Parallel()
		w := newStandbyWorld(t)
		w.exec(withoutConfirming)
		w.terminateCommit("k")
		defer w.standby(false)
		if got := w.process(given{}).replayInTx("k", pgx.ReadOnly); got != "paid" {
			t.Errorf("told %q: where nothing can be confirmed the record's own word must do", got)
		}
	})
}

// replayInTx reserves key in a transaction, and commits that.
func (w *world) replayInTx(key string, access pgx.TxAccessMode) string {
	tx, err := w.pool.BeginTx(w.Context(), pgx.TxOptions{AccessMode: access})
	if err != nil {
		return err.Error()
	}
	r := <-w.within(txstore.WithTx(w.Context(), tx), key).start()
	if err := tx.Commit(w.Context()); err != nil {
		return err.Error()
	}
	return r.body()
}
