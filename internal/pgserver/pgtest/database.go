package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
)

// newDatabase makes a database that is dropped after the test.
func newDatabase(tb testing.TB, adminURL, template string) string {
	tb.Helper()
	databaseURL := createDatabase(tb, adminURL, template)
	tb.Cleanup(func() {
		// The test's own context has ended by now.
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := administer(ctx, adminURL, "DROP DATABASE "+quote(databaseName(databaseURL))+" WITH (FORCE)"); err != nil {
			tb.Errorf("pgtest: drop the test's database: %v", err)
		}
	})
	return databaseURL
}

func createDatabase(tb testing.TB, adminURL, template string) string {
	tb.Helper()
	// Programs share a server, so a count would not do.
	name := "pgidem_test_" + rand.Text()
	ctx, cancel := context.WithTimeout(tb.Context(), timeout)
	defer cancel()
	if err := administer(ctx, adminURL, "CREATE DATABASE "+quote(name)+" TEMPLATE "+quote(template)); err != nil {
		tb.Fatalf("pgtest: make a database: %v", err)
	}
	return withDatabase(tb, adminURL, name)
}

// administer executes statements on a connection of their own: a pool would
// keep goroutines that tests count.
func administer(ctx context.Context, adminURL string, statements ...string) error {
	conn, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func withDatabase(tb testing.TB, adminURL, name string) string {
	tb.Helper()
	u, err := url.Parse(adminURL)
	if err != nil || u.Host == "" {
		tb.Fatal("pgtest: the server is not given as a postgres:// URL")
	}
	u.Path = "/" + name
	return u.String()
}

func databaseName(databaseURL string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		panic(err) // it was made by withDatabase
	}
	return u.Path[1:]
}
