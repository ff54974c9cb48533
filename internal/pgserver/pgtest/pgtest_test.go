package pgtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
)

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	t.Parallel()
	first, second := pgtest.Pool(t), pgtest.Pool(t)
	const insert = `INSERT INTO pgidem_records (attempt_id, leased_until, format, key, request_hash)
		VALUES (gen_random_uuid(), now(), 1, 'k', 'h')`
	if _, err := first.Exec(t.Context(), insert); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := second.QueryRow(t.Context(), `SELECT count(*) FROM pgidem_records`).Scan(&rows); err != nil || rows != 0 {
		t.Fatalf("the other database has %d rows, error %v; want none", rows, err)
	}
}

func TestDatabaseIsDroppedAfterTheTest(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("User", func(t *testing.T) {
		url = pgtest.EmptyURL(t)
		// Left open: the database must go all the same.
		if _, err := pgx.Connect(t.Context(), url); err != nil {
			t.Fatal(err)
		}
	})
	if conn, err := pgx.Connect(t.Context(), url); err == nil {
		_ = conn.Close(t.Context())
		t.Fatal("the database is still there")
	}
}

func TestOwnServerKeepsItsDataOverARestart(t *testing.T) {
	t.Parallel()
	server := pgtest.OwnServer(t, pgserver.Options{})
	url := pgtest.MigratedURL(t, server)
	exec(t, url, `CREATE TABLE kept AS SELECT 1`)
	pid := server.PID()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if server.PID() == pid {
		t.Fatal("the same process still runs")
	}
	exec(t, url, `DROP TABLE kept`)
}

func exec(t *testing.T, url, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatal(err)
	}
}
