package txstore_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

func respondOnly(a *attempt) { idem.SetDisposition(a.ctx, idem.CommitResponse) }

func mustBeSuperseded(t *testing.T, a *attempt) {
	t.Helper()
	if err := a.commit("superseded"); !errors.Is(err, idem.ErrSuperseded) {
		t.Fatalf("Commit = %v, want ErrSuperseded", err)
	}
}

// Behaviour 37.
func TestCommitResponseUndoesTheWrites(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		for _, iso := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.Serializable} {
			t.Run(mode.String()+" "+string(iso), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{Mode: mode, Conns: 1, Config: txstore.Config{IsoLevel: iso}})
				a := w.attempt("k").mustBeFresh()
				a.pay()
				respondOnly(a)
				a.mustCommit("refused")
				a.mustCommit("refused again")
				w.mustHold("k", 0, 1)
				w.attempt("k").mustReplay("refused")
				w.expire("k")
				stale := w.attempt("k").mustBeFresh()
				respondOnly(stale)
				stale.mustCommit("refused later")
				w.attempt("k").mustReplay("refused later")
				if n := w.pool.Stat().NewConnsCount(); n != 1 {
					t.Errorf("%d connections were opened, want the one to be used again", n)
				}
			})
		}
	}
}

// Behaviours 37, 46.
func TestCommitResponseWithAnOpenSavepoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1})
	a := w.attempt("k").mustBeFresh()
	a.pay()
	savepoint, err := a.tx().Begin(a.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := savepoint.Exec(a.ctx, insertPayment, "k"); err != nil {
		t.Fatal(err)
	}
	respondOnly(a)
	a.mustCommit("refused")
	w.mustHold("k", 0, 1)
	if n := w.pool.Stat().NewConnsCount(); n != 1 {
		t.Errorf("%d connections were opened, want the one to be used again", n)
	}
}

// Behaviours 16, 37.
func TestCommitResponseMeetsTheWinnersRecord(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Mode: mode, Config: txstore.Config{DisableLocks: true}})
			winner, loser := w.attempt("k").mustBeFresh(), w.process(given{Mode: mode, Config: txstore.Config{DisableLocks: true}}).attempt("k").mustBeFresh()
			winner.pay()
			loser.pay()
			winner.mustCommit("winner")
			respondOnly(loser)
			mustBeSuperseded(t, loser)
			w.mustHold("k", 1, 1)
			w.attempt("k").mustReplay("winner")
		})
	}
}

// Behaviours 16, 37. Between the rollback of the writes and the record of the
// response the key is free for a moment. Whoever gets it then either commits
// first, and is everybody's answer, or leaves nothing.
func TestRivalsInTheMomentBeforeTheResponseIsKept(t *testing.T) {
	t.Parallel()
	for _, aborted := range []bool{false, true} {
		t.Run(fmt.Sprintf("Aborted=%t", aborted), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			w.warm()
			rivals := []*txstore.Store{w.process(given{}).store, w.process(given{}).store}
			for round := range 50 {
				key := strconv.Itoa(round)
				a := w.attempt(key).mustBeFresh()
				a.pay()
				if aborted {
					_ = a.exec(`SELECT 1 / 0`)
				}
				var all sync.WaitGroup
				for _, rival := range rivals {
					all.Go(func() { payUntilAnswered(t, rival, key) })
				}
				respondOnly(a)
				err := a.commit("refused")
				all.Wait()
				if err != nil && !errors.Is(err, idem.ErrSuperseded) {
					t.Fatal(err)
				}
				if err == nil {
					w.mustHold(key, 0, 1)
					w.attempt(key).mustReplay("refused")
				} else {
					w.mustHold(key, 1, 1)
					w.attempt(key).mustReplay("rival")
				}
			}
		})
	}
}

// payUntilAnswered asks for key until it is not in flight, without waiting, and
// pays if it is fresh.
func payUntilAnswered(t *testing.T, store *txstore.Store, key string) {
	for {
		a := newAttempt(t, t.Context(), store, key, idem.AttemptConfig{NoWait: true})
		_, fresh, err := a.reserve()
		if fresh {
			a.pay()
			err = a.commit("rival")
		}
		switch {
		case err == nil:
			return
		case !errors.Is(err, idem.ErrInFlight) && !errors.Is(err, idem.ErrSuperseded):
			t.Error(err)
			return
		}
	}
}
