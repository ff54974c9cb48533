package txstore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

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

// Behaviour 4.
func TestResponseComesBackAsItWas(t *testing.T) {
	t.Parallel()
	large := make([]byte, 1<<20)
	for i := range large {
		large[i] = byte(rand.Uint32())
	}
	header := http.Header{
		"Content-Type": {"application/json"},
		"Link":         {"<b>; rel=x", "<a>; rel=y", ""},
		"X-Binary":     {"\xff\x00\x80"},
		"X-None":       {},
	}
	for _, mode := range execModes {
		w := newWorld(t, given{Mode: mode})
		for name, want := range map[string]idem.Cached{
			"large":  {Status: 200, Header: header, Body: large},
			"binary": {Status: 599, Header: http.Header{"A": {"1"}}, Body: []byte("\x00'\\\xff\r\n$1")},
			"empty":  {Status: 204, Header: http.Header{}, Body: []byte{}},
		} {
			a := w.attempt(name).withHash("v1:'\\hash").mustBeFresh()
			before := time.Now()
			if err := a.store.Commit(a.ctx, a.key, a.hash, want); err != nil {
				t.Fatalf("%s %s: %v", mode, name, err)
			}
			got := w.attempt(name).mustReplay(string(want.Body))
			if got.Status != want.Status || !reflect.DeepEqual(got.Header, want.Header) || got.RequestHash != a.hash {
				t.Errorf("%s %s: replay = %d %v %q, want %d %v", mode, name, got.Status, got.Header, got.RequestHash, want.Status, want.Header)
			}
			if off := got.StoredAt.Sub(before).Abs(); off > time.Minute {
				t.Errorf("%s %s: stored %v off", mode, name, off)
			}
		}
	}
}

// Behaviour 59.
func TestFollowersGetCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	const followers = 4
	var waiting []<-chan reserved
	for range followers {
		waiting = append(waiting, w.attempt("k").start())
	}
	eventually(t, "all follow", func() bool { return txstore.Followers(w.store, "k") == followers })
	response := idem.Cached{Status: 201, Header: http.Header{"X": {"as it was"}}, Body: []byte("as it was")}
	if err := w.store.Commit(a.ctx, "k", "h", response); err != nil {
		t.Fatal(err)
	}
	scribble(&response)
	for _, done := range waiting {
		r := await(t, "a follower", done)
		if r.body() != "as it was" || r.existing.Header.Get("X") != "as it was" {
			t.Fatalf("a follower got %s and header %v", r.body(), r.existing)
		}
		scribble(r.existing)
	}
	w.attempt("k").mustReplay("as it was")
}

func scribble(c *idem.Cached) {
	for i := range c.Body {
		c.Body[i] = '!'
	}
	c.Header["X"][0] = "!"
	c.Header.Set("Y", "!")
}

// Behaviour 13.
func TestUnreadableRecordIsAnError(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		`UPDATE pgidem_records SET format = 2`,
		`UPDATE pgidem_records SET format = -1`,
		`UPDATE pgidem_records SET header = '\x05'`,
		`UPDATE pgidem_records SET header = ''`,
		`UPDATE pgidem_records SET header = header || '\x00'`,
	} {
		w := newWorld(t, given{Conns: 1})
		w.attempt("k").mustBeFresh().mustCommit("paid")
		w.exec(sql)
		for range 2 {
			w.attempt("k").mustFail(idem.ErrRecordUnreadable)
		}
		ctx, tx := w.begin(pgx.TxOptions{})
		w.within(ctx, "k").mustFail(idem.ErrRecordUnreadable)
		mustEnd(t, tx.Rollback)
		if n := w.pool.Stat().NewConnsCount(); n != 1 {
			t.Errorf("%d connections were opened, want the one to be used again", n)
		}
		// Once its time is over it is like none: nobody would replay it.
		w.expire("k")
		w.attempt("k").mustBeFresh().mustCommit("new")
		w.attempt("k").mustReplay("new")
	}
}

// Behaviours 10, 57.
func TestLongKeysAreCommittedUpToTheBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	// Bytes that no compression makes short enough for an index.
	random := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('!' + rand.IntN(94))
		}
		return string(b)
	}
	for _, key := range []string{random(255), random(768) + "\x1f" + random(255), strings.Repeat("日", 341) + "x", " '\\\"%$1;--"} {
		a := w.attempt(key).mustBeFresh()
		a.pay()
		a.mustCommit(key)
		w.attempt(key).mustReplay(key)
		w.mustHold(key, 1, 1)
	}
	for _, key := range []string{random(1025), "a\x00b", "\xff", ""} {
		w.attempt(key).mustFail(idem.ErrKeyInvalid)
	}
}
