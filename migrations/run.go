package migrations

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/source/iofs"
)

// Up brings the database to the newest version of the schema that this release
// knows. Nothing to do is no error. Any number of processes may call it at once:
// one migrates while the others wait.
//
// databaseURL is anything that pgxpool takes: a postgres:// or postgresql:// URL
// or a keyword string, with pool parameters or without. It must lead to the
// server itself or through a pooler in session mode, because the processes
// exclude each other by a lock that belongs to a session. The role must be
// allowed to create tables in the first schema of its search_path. No error
// shows the password.
//
// When ctx ends, Up stops waiting and starts nothing more; a migration that has
// begun is brought to its end.
//
// Errors: [ErrDirty], [ErrNewer], ctx's own, or what the server said.
func Up(ctx context.Context, databaseURL string) error {
	return explain(ctx, "up", run(ctx, databaseURL, (*migrate.Migrate).Up))
}

// Down removes every table of pgidem, and with them all records: a request that
// is sent again afterwards runs again. The version table stays, empty. For
// databaseURL, ctx and errors see [Up].
func Down(ctx context.Context, databaseURL string) error {
	return explain(ctx, "down", run(ctx, databaseURL, (*migrate.Migrate).Down))
}

func run(ctx context.Context, databaseURL string, direction func(*migrate.Migrate) error) (err error) {
	files, err := iofs.New(FS, ".")
	if err != nil {
		return err
	}
	latest, err := latestVersion(files)
	if err != nil {
		return err
	}
	driver, err := openDriver(ctx, databaseURL, latest)
	if err != nil {
		return err
	}
	m, err := migrate.NewWithInstance("iofs", files, "pgx5", driver)
	if err != nil {
		return errors.Join(err, driver.Close())
	}
	// How long to wait for other processes is for ctx to say.
	m.LockTimeout = time.Duration(math.MaxInt64)
	err = direction(m)
	_, closeErr := m.Close()
	return errors.Join(err, closeErr)
}
