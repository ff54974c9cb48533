package migrations_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/migrations"
)

// latest is what the files of this folder lead to.
const latest = 1

// Behaviour 29.
func TestUpTwiceThenDownToZeroAndUpAgain(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyURL(t)
	wantVersion(t, url, 0)
	for range 2 {
		up(t, url)
		wantVersion(t, url, latest)
	}
	for range 2 {
		if err := migrations.Down(t.Context(), url); err != nil {
			t.Fatal(err)
		}
		wantVersion(t, url, 0)
		if got := tables(t, url); got != "public."+migrations.VersionTable {
			t.Fatalf("after Down there is %q, want only the version table", got)
		}
	}
	up(t, url)
	wantVersion(t, url, latest)
}

// Behaviour 29. That they are eight processes, and not eight calls, makes no
// difference: each call has a connection of its own, and nothing is shared.
func TestEightAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyURL(t)
	ended := make(chan error)
	for range 8 {
		go func() { ended <- migrations.Up(t.Context(), url) }()
	}
	for range 8 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	wantVersion(t, url, latest)
}

// Behaviour 29.
func TestTheApplicationsOwnHistoryIsUntouched(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyURL(t)
	// What golang-migrate keeps for an application, at a version that we do not
	// have and dirty besides.
	exec(t, url, `CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);
		INSERT INTO schema_migrations VALUES (42, true)`)
	up(t, url)
	if err := migrations.Down(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	if got := query(t, url, `SELECT string_agg(version || ' ' || dirty, ',') FROM schema_migrations`); got != "42 true" {
		t.Fatalf("the application's history is now %q", got)
	}
}

func TestTablesAreMadeInTheFirstSchemaOfTheSearchPath(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyURL(t)
	exec(t, url, `CREATE SCHEMA "Odd name"; CREATE SCHEMA other`)
	odd, other := url+`&search_path=%22Odd%20name%22,public`, url+`&search_path=other,public`
	up(t, odd)
	wantVersion(t, odd, latest)
	wantVersion(t, other, 0)
	wantVersion(t, url, 0)
	if got := tables(t, url); got != "Odd name.pgidem_records Odd name."+migrations.VersionTable {
		t.Fatalf("there is %q", got)
	}
	up(t, other)
	wantVersion(t, other, latest)
}

func TestFormsOfTheDatabaseURL(t *testing.T) {
	t.Parallel()
	for name, form := range map[string]func(string) string{
		"Postgresql":     func(url string) string { return strings.Replace(url, "postgres://", "postgresql://", 1) },
		"PoolParameters": func(url string) string { return url + "&pool_max_conns=3&pool_max_conn_lifetime=1h" },
		"KeywordString":  keywords,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := form(pgtest.EmptyURL(t))
			up(t, url)
			wantVersion(t, url, latest)
		})
	}
}

func TestDirtySchemaIsAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	exec(t, url, `UPDATE `+migrations.VersionTable+` SET dirty = true`)
	for _, migrate := range []func(context.Context, string) error{migrations.Up, migrations.Down} {
		err := migrate(t.Context(), url)
		if !errors.Is(err, migrations.ErrDirty) || !strings.Contains(err.Error(), "version 1") || !strings.Contains(err.Error(), "force") {
			t.Errorf("got %v", err)
		}
	}
	if version, dirty, err := migrations.Version(t.Context(), url); version != latest || !dirty || err != nil {
		t.Errorf("Version returns %d, %v, %v", version, dirty, err)
	}
}

func TestNewerSchemaIsAnErrorThatNamesBothVersions(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	exec(t, url, `UPDATE `+migrations.VersionTable+` SET version = 7`)
	for _, migrate := range []func(context.Context, string) error{migrations.Up, migrations.Down} {
		err := migrate(t.Context(), url)
		if !errors.Is(err, migrations.ErrNewer) || !strings.Contains(err.Error(), "version 7") || !strings.Contains(err.Error(), "up to 1") {
			t.Errorf("got %v", err)
		}
	}
	if version, dirty, err := migrations.Version(t.Context(), url); version != 7 || dirty || err != nil {
		t.Errorf("Version returns %d, %v, %v", version, dirty, err)
	}
}

func TestTheEndOfTheContextEndsTheWait(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyURL(t)
	up(t, url)
	release := holdMigrationLock(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- migrations.Up(ctx, url) }()
	eventually(t, "Up waits for the lock", func() bool {
		return query(t, url, `SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == "1"
	})
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want context.Canceled", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Up still waits")
	}
	release()
	up(t, url)
	wantVersion(t, url, latest)
}

func TestVersionChangesNothing(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyURL(t)
	wantVersion(t, url, 0)
	if got := tables(t, url); got != "" {
		t.Fatalf("Version has made %q", got)
	}
}

func TestNoErrorShowsThePassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://user:s3cr3t@127.0.0.1:1/db?connect_timeout=1",
		"postgres://user:s3cr3t@127.0.0.1:port/db",
		"postgres://user:%zzs3cr3t@127.0.0.1/db",
		"postgres://user:pa/s3cr3t@127.0.0.1/db",
		"postgres://user:x:s3cr3t%zz@127.0.0.1/db",
		"host=127.0.0.1 port=x password=s3cr3t",
		"host=127.0.0.1 password='s3cr3t",
		"host=127.0.0.1 port=x password = s3cr3t", // pgx's own error shows this one
		"mysql://user:s3cr3t@127.0.0.1/db",
	} {
		for _, err := range failures(t.Context(), url) {
			if err == nil || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("%s: got %v", url, err)
			}
		}
	}
}

func failures(ctx context.Context, url string) []error {
	_, _, err := migrations.Version(ctx, url)
	return []error{err, migrations.Up(ctx, url), migrations.Down(ctx, url)}
}

// holdMigrationLock does what another process does that migrates.
func holdMigrationLock(t *testing.T, url string) (release func()) {
	t.Helper()
	conn := pgtest.Connect(t, url)
	id := lockID(t, url)
	if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, id); err != nil {
		t.Fatal(err)
	}
	return func() { _ = conn.Close(context.WithoutCancel(t.Context())) }
}

// Of a search_path that leads nowhere the error says so, and nothing is made.
func TestSearchPathThatLeadsNowhere(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	before := tables(t, url)
	err := migrations.Up(t.Context(), url+"&search_path=nowhere")
	if err == nil || !strings.Contains(err.Error(), "no schema of the search_path exists") {
		t.Errorf("Up: %v", err)
	}
	if got := tables(t, url); got != before {
		t.Errorf("tables %s, before %s", got, before)
	}
}
