package txstore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/idem/idemtest"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/txstore"
)

// kitWorlds remembers where each of the kit's stores has its records.
type kitWorlds struct {
	test    testing.TB
	mu      sync.Mutex
	byStore map[idem.Store]*kitWorld
}

type kitWorld struct {
	url   string
	pool  *pgxpool.Pool
	store *txstore.Store // whose door the kit's store is
}

// door is one of the ways into a Store.
type door func(*txstore.Store) idem.Store

func transactional(s *txstore.Store) idem.Store { return s }
func leased(s *txstore.Store) idem.Store        { return s.Leased() }

func (ws *kitWorlds) of(store idem.Store) *kitWorld {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.byStore[store]
}

// open returns a Store on the database, with a pool of its own. A lease of 0 is
// the default.
func (ws *kitWorlds) open(tb idemtest.TB, url string, through door, lease time.Duration) idem.Store {
	tb.Helper()
	pool, err := pgxpool.New(context.Background(), reach(ws.test, url))
	if err != nil {
		tb.Fatalf("open the pool: %v", err)
	}
	tb.Cleanup(pool.Close)
	store, err := txstore.New(pool, asUnlocked(txstore.Config{AcquireTimeout: time.Minute, CloseTimeout: time.Second, Lease: lease}))
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	tb.Cleanup(store.Close)
	ws.mu.Lock()
	defer ws.mu.Unlock()
	opened := through(store)
	ws.byStore[opened] = &kitWorld{url: url, pool: pool, store: store}
	return opened
}

// exec executes sql on a connection that is closed again: the kit counts what is
// left behind.
func (ws *kitWorlds) exec(tb idemtest.TB, store idem.Store, sql string, args ...any) {
	tb.Helper()
	pool, err := pgxpool.New(context.Background(), ws.of(store).url)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	defer pool.Close()
	if _, err := pool.Exec(context.Background(), sql, args...); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

// Behaviours 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13.
func TestConformance(t *testing.T) {
	t.Parallel()
	idemtest.Run(t, transactionalHarness(t, transactional))
}

func transactionalHarness(t *testing.T, through door) idemtest.Harness {
	t.Helper()
	h, _ := kitHarness(t, through)
	h.Attempts = idemtest.AttemptsRequired // without one it is the leased store
	if unlocked {
		h.Peer = nil // only locks keep attempts of two processes apart
	}
	return h
}

// Behaviours 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13.
func TestLeasedConformance(t *testing.T) {
	t.Parallel()
	h, ws := kitHarness(t, leased)
	h.Leases = &idemtest.Leases{
		Duration: defaultLease,
		Short:    shortLease,
		NewShort: func(tb idemtest.TB) idem.Store {
			return ws.open(tb, newDatabase(tb.(testing.TB)), leased, shortLease)
		},
	}
	idemtest.Run(t, h)
}

const (
	defaultLease = 30 * time.Second
	shortLease   = 600 * time.Millisecond
)

func kitHarness(t *testing.T, through door) (idemtest.Harness, *kitWorlds) {
	t.Helper()
	// The server is started here and not by the first case, which would be blamed
	// for the goroutine that attends it.
	reach(t, pgtest.EmptyURL(t))
	ws := &kitWorlds{test: t, byStore: make(map[idem.Store]*kitWorld)}
	h := idemtest.Harness{
		NewStore: func(tb idemtest.TB) idem.Store { return ws.open(tb, newDatabase(tb.(testing.TB)), through, 0) },
		Peer:     func(tb idemtest.TB, store idem.Store) idem.Store { return ws.open(tb, ws.of(store).url, through, 0) },
		Age: func(tb idemtest.TB, store idem.Store, d time.Duration) {
			ws.exec(tb, store, `UPDATE pgidem_records SET
				expires_at = expires_at - $1 * interval '1 microsecond',
				forgotten_at = forgotten_at - $1 * interval '1 microsecond',
				leased_until = leased_until - $1 * interval '1 microsecond' `, d.Microseconds())
		},
		Corrupt: func(tb idemtest.TB, store idem.Store, key string) {
			ws.exec(tb, store, `UPDATE pgidem_records SET header = '\xff' WHERE key = $1`, key)
		},
		Close:        func(_ idemtest.TB, store idem.Store) { ws.of(store).store.Close() },
		Break:        func(_ idemtest.TB, store idem.Store) { ws.of(store).pool.Close() },
		InFlightHash: true,
		Name:         "txstore",
		Tombstones: &idemtest.Tombstones{Sweep: func(tb idemtest.TB, store idem.Store) {
			if _, err := ws.of(store).store.Sweep(tb.Context()); err != nil {
				tb.Fatalf("Sweep: %v", err)
			}
		}},
	}
	return h, ws
}
