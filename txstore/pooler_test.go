package txstore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/pgbouncer"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/txstore"
)

// behindPooler is a world behind a PgBouncer of its own, in transaction pooling
// with that many server connections, on which nothing must be left.
func behindPooler(t *testing.T, serverConns int, g given) *world {
	t.Helper()
	url := pgtest.URL(t)
	pooler := pgtest.Pooler(t, url, pgbouncer.Options{PoolSize: serverConns})
	leaveNothing(t, url, pooler.URL())
	g.URL, g.Pooler = url, pooler
	w := newWorld(t, g)
	w.exec(`CREATE TABLE payments (id serial PRIMARY KEY, key text NOT NULL, n int NOT NULL)`)
	return w
}

// Behaviours 2, 25. A storm of duplicates through a pooler, on fewer server
// connections than there are clients: one runs, and the others find its answer
// by polling. Both Stores have found the pooler out by themselves: none of them
// has tried to be told.
func TestThroughPgBouncerDuplicatesRunOnce(t *testing.T) {
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	t.Parallel()
	g := given{Config: txstore.Config{PollInterval: 50 * time.Millisecond}}
	w := behindPooler(t, 4, g)
	stores := []*world{w, w.process(g)}
	const duplicates = 200
	var (
		runs   atomic.Int32
		ended  atomic.Int64
		all    sync.WaitGroup
		slowly atomic.Int64
	)
	handler := func(ctx context.Context, tx pgx.Tx) idem.Cached {
		runs.Add(1)
		response := pay(t, "k", "paid")(ctx, tx)
		// Long enough for everybody to have come and to wait.
		eventually(t, "the other process polls", func() bool { return stores[0].polls("k") || stores[1].polls("k") })
		ended.Store(time.Now().UnixNano())
		return response
	}
	for i := range duplicates {
		all.Go(func() {
			response, _, err := run(t, stores[i%2].store, "k", handler)
			if err != nil || string(response.Body) != "paid" {
				t.Errorf("a client got %q, %v", response.Body, err)
			}
			for took := time.Now().UnixNano() - ended.Load(); ; {
				old := slowly.Load()
				if took <= old || slowly.CompareAndSwap(old, took) {
					return
				}
			}
		})
	}
	await(t, "the storm", closed(&all))
	if n := runs.Load(); n != 1 {
		t.Errorf("the handler ran %d times", n)
	}
	w.mustHold("k", 1, 1)
	// The interval doubles up to eight times itself, and half of it more; and
	// slack for a busy machine.
	took := time.Duration(slowly.Load())
	if took > 12*g.Config.PollInterval+5*time.Second {
		t.Errorf("the last client was answered %v after the commit", took)
	}
	t.Logf("the last of %d clients was answered %v after the commit", duplicates, took)
	for _, s := range stores {
		if txstore.Listening(s.store) || len(s.troubles()) > 0 {
			t.Errorf("it listens: %t, told to OnError: %v", txstore.Listening(s.store), s.troubles())
		}
	}
}

// Behaviour 25. All clients share one server connection. What the Store sets for
// its transaction is over with it, however it ends, and so is the key's lock.
func TestThroughPgBouncerNothingOutlivesTheTransaction(t *testing.T) {
	t.Parallel()
	for name, c := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := behindPooler(t, 1, given{})
			stranger, err := pgx.Connect(t.Context(), w.way)
			if err != nil {
				t.Fatal(err)
			}
			defer stranger.Close(context.Background())
			before := settings(t.Context(), t, stranger)

			a := w.attempt("k").mustBeFresh()
			if within := settings(a.ctx, t, a.tx()); within == before {
				t.Fatalf("the transaction has %s, as everybody: nothing would be seen to leak", within)
			}
			c.end(a)
			if after := settings(t.Context(), t, stranger); after != before {
				t.Errorf("another client finds %s, before it was %s", after, before)
			}
			if n := leftBehind(t.Context(), t, stranger); n != 0 {
				t.Errorf("%d locks and transactions are left", n)
			}
		})
	}
}

// Behaviour 25. With a direct address to listen on, waiters behind a pooler are
// told.
func TestThroughPgBouncerWaitersAreToldOnADirectConnection(t *testing.T) {
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	t.Parallel()
	w := behindPooler(t, 4, given{})
	waiter := w.process(byNotification)
	a := w.attempt("k").mustBeFresh()
	waiting := waiter.attempt("k").start()
	waiter.mustRegister("k")
	a.mustCommit("paid")
	if got := await(t, "the waiter's answer", waiting).body(); got != "paid" {
		t.Errorf("the waiter got %s", got)
	}
}

// Behaviour 25. An address to listen on that leads to a pooler after all: the
// Store says so and polls, instead of waiting for what never arrives.
func TestThroughPgBouncerNobodyListensByMistake(t *testing.T) {
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	t.Parallel()
	w := newWorld(t, given{})
	pooler := pgtest.Pooler(t, w.url, pgbouncer.Options{})
	mistaken, err := pgx.ParseConfig(pooler.URL())
	if err != nil {
		t.Fatal(err)
	}
	p := w.process(given{Config: txstore.Config{PollInterval: 50 * time.Millisecond, ListenConn: mistaken}})
	a := w.attempt("k").mustBeFresh()
	waiting := p.attempt("k").start()
	eventually(t, "it says what stands in the way", func() bool {
		return slices.ContainsFunc(p.troubles(), func(err error) bool {
			return strings.Contains(err.Error(), "a connection pooler stands before the server")
		})
	})
	eventually(t, "it does not listen any more", func() bool { return !txstore.Listening(p.store) })
	a.mustCommit("paid")
	if got := await(t, "the waiter's answer", waiting).body(); got != "paid" {
		t.Errorf("the waiter got %s", got)
	}
}

// Behaviours 25, 54. The pooler has no server connection left: that says nothing
// of any key, so the store is unavailable, in time. The attempt that has the
// connection commits, and then everything works again.
func TestThroughPgBouncerWithoutAServerConnectionLeft(t *testing.T) {
	t.Parallel()
	const limit = 500 * time.Millisecond
	w := behindPooler(t, 1, given{Config: txstore.Config{ReserveTimeout: limit}})
	a := w.attempt("k").mustBeFresh()
	a.pay()
	other := w.process(given{Config: txstore.Config{ReserveTimeout: limit}})
	for _, key := range []string{"k", "another"} {
		begun := time.Now()
		_, fresh, err := other.attempt(key).reserve()
		if fresh || !errors.Is(err, idem.ErrStoreUnavailable) || errors.Is(err, idem.ErrWaitTimeout) {
			t.Errorf("Reserve(%q) = %t, %v; want that the store is unavailable", key, fresh, err)
		}
		if took := time.Since(begun); took > limit+5*time.Second {
			t.Errorf("Reserve(%q) took %v", key, took)
		}
	}
	a.mustCommit("paid")
	w.mustHold("k", 1, 1)
	other.attempt("k").mustReplay("paid")
	other.attempt("another").mustBeFresh().mustCommit("paid too")
}
