package pgbouncer_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/internal/pgbouncer"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
)

// Two clients take turns on one server connection, which tells transaction
// pooling from no pooling at all.
func TestClientsShareAServerConnection(t *testing.T) {
	t.Parallel()
	pooler := pgtest.Pooler(t, pgtest.EmptyURL(t), pgbouncer.Options{PoolSize: 1})
	seen := make(map[int]bool)
	for range 2 {
		conn := pgtest.Connect(t, pooler.URL())
		for range 3 {
			var pid int
			if err := conn.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
				t.Fatal(err)
			}
			seen[pid] = true
			if pid == int(conn.PgConn().PID()) {
				t.Error("the server itself has answered")
			}
		}
	}
	if len(seen) != 1 {
		t.Errorf("%d server connections, want 1", len(seen))
	}
}

func TestAnyRoleCanLogIn(t *testing.T) {
	t.Parallel()
	direct := pgtest.EmptyURL(t)
	pooler := pgtest.Pooler(t, direct, pgbouncer.Options{})
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	role := "role_" + strings.ToLower(strings.TrimPrefix(u.Path, "/"))
	admin := pgtest.Connect(t, direct)
	if _, err := admin.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD 'secret'"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = admin.Exec(context.Background(), "DROP ROLE "+role) })
	u.User = url.UserPassword(role, "secret")
	var got string
	if err := pgtest.Connect(t, pooler.Route(u)).QueryRow(t.Context(), "SELECT current_user").Scan(&got); err != nil || got != role {
		t.Errorf("logged in as %q, %v; want %q", got, err, role)
	}
}

// What pgx does by default fails where prepared statements are not followed; the
// pooler's own URL avoids it.
func TestPreparedStatementsAreFollowedOrAvoided(t *testing.T) {
	t.Parallel()
	pooler := pgtest.Pooler(t, pgtest.EmptyURL(t), pgbouncer.Options{PoolSize: 1})
	u, err := url.Parse(pooler.URL())
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Del("default_query_exec_mode")
	u.RawQuery = query.Encode()
	trouble := func(url string) (err error) {
		conns := []*pgx.Conn{pgtest.Connect(t, url), pgtest.Connect(t, url)}
		for range 3 {
			for _, conn := range conns {
				if _, e := conn.Exec(t.Context(), "SELECT $1::int", 1); e != nil {
					err = e
				}
			}
		}
		return err
	}
	if err := trouble(pooler.URL()); err != nil {
		t.Errorf("the pooler's URL: %v", err)
	}
	if err := trouble(u.String()); err == nil {
		t.Error("pgx's default mode works: this pooler follows prepared statements and was told not to")
	}
}

func TestAnOldProgramIsRefused(t *testing.T) {
	old := filepath.Join(t.TempDir(), "pgbouncer")
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho PgBouncer 1.18.0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv(pgbouncer.ProgramVariable, old)
	_, err := pgbouncer.Start(t.Context(), "postgres://127.0.0.1:1/x", pgbouncer.Options{Prepared: true})
	if err == nil || !strings.Contains(err.Error(), "1.18") || !strings.Contains(err.Error(), "newer.sh") {
		t.Errorf("got %v, want to hear of version 1.18 and of newer.sh", err)
	}
}

func TestANamedProgramIsNotReplaced(t *testing.T) {
	t.Setenv(pgbouncer.ProgramVariable, "/nowhere/pgbouncer")
	_, err := pgbouncer.Start(t.Context(), "postgres://127.0.0.1:1/x", pgbouncer.Options{})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/pgbouncer") {
		t.Errorf("got %v, want to hear of the program that was named", err)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for version, want := range map[pgbouncer.Version]bool{{1, 18}: false, {1, 21}: false, {1, 22}: true, {1, 24}: true, {2, 0}: true} {
		if version.Prepares() != want {
			t.Errorf("%s follows prepared statements: %t, want %t", version, !want, want)
		}
	}
}
