package txstore_test

import (
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/internal/pgbouncer"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/internal/waitfor"
	"github.com/pgidem/pgidem/txstore"
)

// patience bounds every wait for what must happen.
const patience = 20 * time.Second

// given is what a test wants of its world; the zero value is good for most.
type given struct {
	URL    string            // "": a new database with pgidem's tables
	Way    string            // the URL that the Store has of it; "": see reach
	Mode   pgx.QueryExecMode // 0: pgx's default
	Conns  int32             // of the Store's pool; 0: 8
	Config txstore.Config
	Pool   func(*pgxpool.Config)
	// Pooler is one of the test's own to go through, whatever it is run with.
	Pooler *pgbouncer.Server
	// Listens: its waiters must be told, also behind a pooler.
	Listens bool
}

// world is a database with a business table, and one process that uses it: a
// Store on a pool of its own. Its admin pool is for the test to look with.
type world struct {
	testing.TB
	url    string            // straight to the server
	way    string            // of the pool
	pooled bool              // a pooler stands in it
	pooler *pgbouncer.Server // the test's own, nil if it has none
	admin  *pgxpool.Pool
	pool   *pgxpool.Pool
	store  *txstore.Store
	config txstore.Config
	family *[]*world // all processes on the database

	mu      sync.Mutex
	trouble []error // what the Store has told OnError
}

func newWorld(tb testing.TB, g given) *world {
	tb.Helper()
	isNew := g.URL == ""
	if isNew {
		g.URL = newDatabase(tb)
	}
	if g.Way == "" {
		g.Way = g.way(tb)
	}
	w := &world{TB: tb, url: g.URL, way: g.Way, pooler: g.Pooler, pooled: g.Pooler != nil || pooled(tb), admin: openPool(tb, given{Way: g.URL, Conns: 4}), family: new([]*world)}
	if isNew {
		w.exec(`CREATE TABLE payments (id serial PRIMARY KEY, key text NOT NULL, n int NOT NULL)`)
	}
	w.pool = openPool(tb, g)
	w.open(g)
	*w.family = append(*w.family, w)
	return w
}

// way is the URL that the Store gets.
func (g given) way(tb testing.TB) string {
	tb.Helper()
	if g.Pooler == nil {
		return reach(tb, g.URL)
	}
	u, err := url.Parse(g.URL)
	if err != nil {
		tb.Fatal(err)
	}
	return g.Pooler.Route(u)
}

// process is another process on the same database, with options of its own.
func (w *world) process(g given) *world {
	w.Helper()
	if g.URL == "" {
		g.URL = w.url
	}
	if g.Pooler == nil {
		g.Pooler = w.pooler
	}
	p := newWorld(w.TB, g)
	*w.family = append(*w.family, p)
	p.family = w.family
	return p
}

// beside is another Store on the same pool.
func (w *world) beside(g given) *world {
	w.Helper()
	p := &world{TB: w.TB, url: w.url, way: w.way, pooled: w.pooled, pooler: w.pooler, admin: w.admin, pool: w.pool, family: w.family}
	p.open(g)
	return p
}

func openPool(tb testing.TB, g given) *pgxpool.Pool {
	tb.Helper()
	return pgtest.Open(tb, g.Way, func(config *pgxpool.Config) {
		config.MaxConns = 8
		if g.Conns > 0 {
			config.MaxConns = g.Conns
		}
		if g.Mode != 0 {
			config.ConnConfig.DefaultQueryExecMode = g.Mode
		}
		if g.Pool != nil {
			g.Pool(config)
		}
	})
}

func (w *world) open(g given) {
	w.Helper()
	config := g.Config
	if config.OnError == nil {
		config.OnError = w.note
	}
	if config.CloseTimeout == 0 {
		config.CloseTimeout = 2 * time.Second // a test that failed half-way
	}
	w.listenPastPooler(g.Listens, &config)
	w.config = config
	store, err := txstore.New(w.pool, asUnlocked(config))
	if err != nil {
		w.Fatal(err)
	}
	w.store = store
	w.Cleanup(func() {
		store.Close()
		if w.Failed() {
			w.Logf("told to OnError: %v", w.troubles())
		}
	})
}

func (w *world) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble = append(w.trouble, err)
}

func (w *world) troubles() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]error(nil), w.trouble...)
}

// exec executes sql beside the Store.
func (w *world) exec(sql string, args ...any) {
	w.Helper()
	if _, err := w.admin.Exec(w.Context(), sql, args...); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
}

// count returns the one number that sql selects.
func (w *world) count(sql string, args ...any) (n int) {
	w.Helper()
	if err := w.admin.QueryRow(w.Context(), sql, args...).Scan(&n); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
	return n
}

func (w *world) payments(key string) int {
	w.Helper()
	return w.count(`SELECT count(*) FROM payments WHERE key = $1`, key)
}

func (w *world) records(key string) int {
	w.Helper()
	return w.count(`SELECT count(*) FROM pgidem_records WHERE key = $1 AND status IS NOT NULL`, key)
}

// mustHold demands how many business rows and records there are of key.
func (w *world) mustHold(key string, payments, records int) {
	w.Helper()
	if p, r := w.payments(key), w.records(key); p != payments || r != records {
		w.Fatalf("key %q has %d payments and %d records, want %d and %d", key, p, r, payments, records)
	}
}

// eventually polls until its condition holds.
var eventually = waitfor.Condition

// within returns what call returns, and fails when it takes longer than limit.
func within[T any](tb testing.TB, limit time.Duration, what string, call func() T) T {
	tb.Helper()
	done := make(chan T, 1)
	go func() { done <- call() }()
	select {
	case got := <-done:
		return got
	case <-time.After(limit):
		tb.Fatalf("%s took longer than %v", what, limit)
		panic("unreachable")
	}
}

// execModes are pgx's ways to execute a query.
var execModes = usableModes()
