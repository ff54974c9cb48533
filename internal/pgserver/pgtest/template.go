package pgtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgidem/pgidem/migrations"
)

// sharedTemplate names the migrated database that the tests' databases are
// copied from: copying is faster than migrating each.
func sharedTemplate(tb testing.TB) string {
	tb.Helper()
	template, err := makeSharedTemplate()
	if err != nil {
		tb.Fatalf("pgtest: make the template: %v", err)
	}
	return template
}

var makeSharedTemplate = sync.OnceValues(func() (string, error) {
	server, err := shared()
	if err != nil {
		return "", err
	}
	return makeTemplate(server.URL())
})

// makeTemplate makes the template unless it is there. Its name tells what is in
// it, so that all programs on a server share one and none takes an old one. It
// gets that name last: nobody sees it half made.
func makeTemplate(adminURL string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	name, err := templateName()
	if err != nil {
		return "", err
	}
	if exists, err := databaseExists(ctx, adminURL, name); exists || err != nil {
		return name, err
	}
	making := "pgidem_making_" + rand.Text()
	if err := administer(ctx, adminURL, "CREATE DATABASE "+quote(making)); err != nil {
		return "", err
	}
	if err := migrate(ctx, adminURL, making); err != nil {
		return "", err
	}
	return name, publish(ctx, adminURL, making, name)
}

func templateName() (string, error) {
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, name := range names {
		text, err := migrations.FS.ReadFile(name)
		if err != nil {
			return "", err
		}
		sum.Write(text)
	}
	return "pgidem_template_" + hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

func databaseExists(ctx context.Context, adminURL, name string) (exists bool, err error) {
	conn, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	const find = `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`
	err = conn.QueryRow(ctx, find, name).Scan(&exists)
	return exists, err
}

func migrate(ctx context.Context, adminURL, database string) error {
	u, err := url.Parse(adminURL)
	if err != nil {
		return errors.New("the server is not given as a postgres:// URL")
	}
	u.Path = "/" + database
	return migrations.Up(ctx, u.String())
}

// publish gives the template its name. FORCE is not to be had for a rename, and
// the migration's connection may need a moment to go: a copy waits for that
// itself, a rename is refused, so the finished one is copied.
func publish(ctx context.Context, adminURL, making, name string) error {
	err := administer(ctx, adminURL, "CREATE DATABASE "+quote(name)+" TEMPLATE "+quote(making))
	if isDuplicate(err) {
		err = nil // another program was faster
	}
	return errors.Join(err, administer(ctx, adminURL, "DROP DATABASE "+quote(making)+" WITH (FORCE)"))
}

func isDuplicate(err error) bool {
	var pg *pgconn.PgError
	// 42P04 before the copy, 23505 when both copied at once.
	return errors.As(err, &pg) && (pg.Code == "42P04" || pg.Code == "23505")
}
