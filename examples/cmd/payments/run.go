package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/pgidem/pgidem/examples/internal/ephemeral"
	"github.com/pgidem/pgidem/examples/payments"
)

// run is the whole program. It returns when ctx has ended and everything that it
// started is closed, in the reverse order of its start.
func run(ctx context.Context, getenv func(string) string, out io.Writer, logger *slog.Logger) (err error) {
	settings, err := readSettings(getenv)
	if err != nil {
		return err
	}
	if settings.databaseURL == "" {
		db, openErr := ephemeral.Open(ctx)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		settings.databaseURL = db.URL()
		logger.InfoContext(ctx, "no DATABASE_URL: the database is removed at exit", "server", db.Origin(), "database", db.Name())
	}
	pool, err := openPool(ctx, settings.databaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	stores, err := openStore(ctx, settings, pool, logger)
	if err != nil {
		return err
	}
	// After the server's shutdown, before the pool: the store waits for the
	// attempts that are still running, and they need connections.
	defer func() { err = errors.Join(err, stores.close()) }()
	return serve(ctx, settings.addr, out, logger, payments.NewHandler(payments.Config{
		Pool:       pool,
		Transactor: stores.transactor,
		Store:      stores.records,
		Outcomes:   payments.NewOutcomes(logger),
		Logger:     logger,
	}))
}
