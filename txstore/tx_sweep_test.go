package txstore_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/txstore"
)

func (w *world) mustSweep(want int64) {
	w.Helper()
	if n, err := w.store.Sweep(w.Context()); n != want || err != nil {
		w.Fatalf("Sweep = %d, %v; want %d", n, err, want)
	}
}

// seed writes n records whose time is over, or not.
func (w *world) seed(prefix string, n int, expired bool) {
	w.Helper()
	w.exec(`INSERT INTO pgidem_records (attempt_id, stored_at, expires_at, status, format, key, request_hash, header, body)
		SELECT gen_random_uuid(), now(), now() + CASE WHEN $3 THEN interval '0' ELSE interval '1 hour' END, 200, 1, $1 || i, 'h', '\x00', ''
		FROM generate_series(1, $2::int) AS i`, prefix, n, expired)
}

// Behaviour 26.
func TestSweepRemovesExactlyWhatHasExpired(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Mode: mode})
			w.seed("alive", 10, false)
			w.seed("expired", 2500, true) // more than one batch
			w.mustSweep(2500)
			w.mustSweep(0)
			if n := w.count(`SELECT count(*) FROM pgidem_records WHERE key LIKE 'alive%'`); n != 10 {
				t.Errorf("%d of 10 records that live are left", n)
			}
		})
	}
}

// Behaviours 8, 26. The expired key is being reserved again: until that Commit
// the old record may go, afterwards the new one must stay.
func TestSweepAgainstAReReservation(t *testing.T) {
	t.Parallel()
	for _, swept := range []string{"before", "after"} {
		for _, iso := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead} {
			t.Run(swept+" Commit "+string(iso), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{Config: txstore.Config{IsoLevel: iso}})
				w.attempt("k").mustBeFresh().mustCommit("old")
				w.expire("k")
				a := w.attempt("k").mustBeFresh()
				a.pay()
				if swept == "before" {
					w.mustSweep(1)
				}
				err := a.commit("new")
				w.mustSweep(0)
				if err != nil && a.core.RunAgain() {
					w.mustHold("k", 0, 0)
					return // as REPEATABLE READ may, which sees the old record still
				}
				if err != nil {
					t.Fatalf("Commit: %v", err)
				}
				w.attempt("k").mustReplay("new")
				w.mustHold("k", 1, 1)
			})
		}
	}
}

// Behaviour 26. A sweep waits for nobody: neither for a transaction that holds
// an expired row, nor does a slow one lose its new record.
func TestSweepDoesNotWaitForASlowTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.seed("expired", 3, true)
	ctx, tx := w.begin(pgx.TxOptions{})
	a := w.within(ctx, "expired1").mustBeFresh()
	a.mustCommit("new") // holds the rows of the old and of the new record
	n := within(t, patience, "Sweep", func() int64 { n, _ := w.store.Sweep(t.Context()); return n })
	if n != 2 {
		t.Errorf("Sweep = %d, want the two that nobody holds", n)
	}
	mustEnd(t, tx.Commit)
	w.mustSweep(0)
	w.attempt("expired1").mustReplay("new")
}

// Behaviour 26.
func TestSweepersShareTheWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	const expired = 6000
	w.seed("expired", expired, true)
	w.seed("alive", 100, false)
	var all sync.WaitGroup
	var removed atomic.Int64
	for range 4 {
		store := w.process(given{Conns: 1}).store
		all.Go(func() {
			n, err := store.Sweep(t.Context())
			if err != nil {
				t.Error(err)
			}
			removed.Add(n)
		})
	}
	all.Wait()
	rest, err := w.store.Sweep(t.Context()) // what one had skipped because another held it
	if err != nil || removed.Load()+rest != expired {
		t.Errorf("%d + %d removed, want %d in all, each once (%v)", removed.Load(), rest, expired, err)
	}
	if n := w.count(`SELECT count(*) FROM pgidem_records`); n != 100 {
		t.Errorf("%d records are left, want the 100 that live", n)
	}
}

// Behaviours 8, 26. Keys expire, are swept and are reserved again, all at once:
// each Commit that succeeded is replayed until its record expires.
func TestSweepNeverRemovesWhatWasJustCommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	sweeper := w.process(given{Conns: 2}).store
	stop, swept := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(swept)
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := sweeper.Sweep(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	for round := range 40 {
		key, body := strconv.Itoa(round%4), strconv.Itoa(round)
		w.attempt(key).mustBeFresh().mustCommit(body)
		w.attempt(key).mustReplay(body)
		w.expire(key)
	}
	close(stop)
	await(t, "the sweeper", swept)
}

// Behaviours 8, 47. A record that is completed and has expired is like none.
func TestExpiredRecordIsFreshForExactlyOne(t *testing.T) {
	t.Parallel()
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	w := newWorld(t, given{})
	w.attempt("k").mustBeFresh().mustCommit("old")
	w.expire("k")
	var all sync.WaitGroup
	var fresh, replayed atomic.Int32
	for range 3 {
		store := w.process(given{Conns: 2}).store
		for range 8 {
			all.Go(func() {
				_, ran, err := run(t, store, "k", pay(t, "k", "new"))
				switch {
				case err != nil:
					t.Error(err)
				case ran:
					fresh.Add(1)
				default:
					replayed.Add(1)
				}
			})
		}
	}
	all.Wait()
	if fresh.Load() != 1 || replayed.Load() != 23 {
		t.Errorf("%d fresh and %d replayed, want 1 and 23", fresh.Load(), replayed.Load())
	}
	w.mustHold("k", 1, 1)
}
