package migrations_test

import (
	"fmt"
	"testing"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/internal/waitfor"
	"github.com/pgidem/pgidem/migrations"
)

func up(t *testing.T, url string) {
	t.Helper()
	if err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
}

func wantVersion(t *testing.T, url string, want uint) {
	t.Helper()
	got, dirty, err := migrations.Version(t.Context(), url)
	if err != nil || dirty || got != want {
		t.Fatalf("Version returns %d, %v, %v; want %d", got, dirty, err, want)
	}
}

// tables lists the tables in the database, apart from the server's own.
func tables(t *testing.T, url string) string {
	t.Helper()
	return query(t, url, `SELECT COALESCE(string_agg(schemaname || '.' || tablename, ' ' ORDER BY schemaname, tablename), '')
		FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
}

// lockID is the number of the lock that golang-migrate's command line tool takes
// for the same URL.
func lockID(t *testing.T, url string) string {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	id, err := database.GenerateAdvisoryLockId("/"+config.Database, "public", migrations.VersionTable)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// keywords turns a URL into a keyword string.
func keywords(url string) string {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		panic(err) // the URL is pgtest's
	}
	return fmt.Sprintf("host=%s port=%d user=%s password='%s' dbname=%s sslmode=disable",
		config.Host, config.Port, config.User, config.Password, config.Database)
}

func exec(t *testing.T, url, sql string) {
	t.Helper()
	conn := pgtest.Connect(t, url)
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func query(t *testing.T, url, sql string) (value string) {
	t.Helper()
	conn := pgtest.Connect(t, url)
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// eventually polls until its condition holds.
var eventually = waitfor.Condition
