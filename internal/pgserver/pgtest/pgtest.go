// Package pgtest gives every test a PostgreSQL database of its own.
//
// The first test that asks starts or finds the server (see pgserver.Find); all
// tests of a program share it. Without a server tests fail, they never skip.
package pgtest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/internal/pgserver"
)

// timeout bounds every step of preparing and removing.
const timeout = 2 * time.Minute

// shared is the server of this program. It is never stopped here: it ends with
// the process, and its folder is removed by the next one.
var shared = sync.OnceValues(func() (*pgserver.Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	return pgserver.Find(ctx, pgserver.Options{})
})

// URL returns the URL of a new database with pgidem's tables in it. The
// database is removed after the test, whoever is still connected.
func URL(tb testing.TB) string {
	tb.Helper()
	return newDatabase(tb, sharedURL(tb), sharedTemplate(tb))
}

// EmptyURL is URL without the tables.
func EmptyURL(tb testing.TB) string {
	tb.Helper()
	return newDatabase(tb, sharedURL(tb), "template1")
}

// Pool returns a pool on a new database with pgidem's tables in it. The
// functions change its configuration before it is opened. It is closed after the
// test; a connection that the test has not returned by then fails the test.
func Pool(tb testing.TB, configure ...func(*pgxpool.Config)) *pgxpool.Pool {
	tb.Helper()
	return Open(tb, URL(tb), configure...)
}

// Open is Pool on a database that exists.
func Open(tb testing.TB, url string, configure ...func(*pgxpool.Config)) *pgxpool.Pool {
	tb.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		tb.Fatal(err)
	}
	for _, change := range configure {
		change(config)
	}
	pool, err := pgxpool.NewWithConfig(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { closePool(tb, pool) })
	return pool
}

// Connect opens one connection to a database, which is closed after the test.
func Connect(tb testing.TB, url string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// closePool does not wait for ever, as Close does, for what a test forgot.
func closePool(tb testing.TB, pool *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		tb.Errorf("pgtest: %d connections were not returned to the pool", pool.Stat().AcquiredConns())
	}
}

// OwnServer starts a server for this test alone, for tests that halt or restart
// it. It needs local binaries, which it installs on Debian as root; a server
// named by the environment is nothing to be halted. It is stopped after the test.
func OwnServer(tb testing.TB, options pgserver.Options) *pgserver.Server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Minute)
	defer cancel()
	server, err := pgserver.StartOrInstall(ctx, options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := server.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return server
}

// MigratedURL returns the URL of a new database with pgidem's tables on a server
// of the test's own.
func MigratedURL(tb testing.TB, server *pgserver.Server) string {
	tb.Helper()
	template, err := makeTemplate(server.URL())
	if err != nil {
		tb.Fatal(err)
	}
	return createDatabase(tb, server.URL(), template)
}

func sharedURL(tb testing.TB) string {
	tb.Helper()
	server, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	return server.URL()
}
