package main

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/examples/payments"
	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
	"github.com/pgidem/pgidem/txstore"
)

// stores are where records are kept and how payments are written: with the
// transactional store one and the same thing.
type stores struct {
	records    idem.Store
	transactor payments.Transactor
	// close waits for running attempts, and ends what openStore has started.
	close func() error
}

func openStore(ctx context.Context, s settings, pool *pgxpool.Pool, logger *slog.Logger) (stores, error) {
	switch s.store {
	case storeMemory:
		return openMemory(pool, logger), nil
	case storeRedis:
		return openRedis(ctx, s, pool, logger)
	}
	store, err := txstore.New(pool, txstore.Config{Lease: s.lease, OnError: report(logger)})
	if err != nil {
		return stores{}, err
	}
	opened := stores{records: store, transactor: store, close: closing(store.Close)}
	if s.store == storeLeased {
		// Under a lease there is no transaction to join: the store gives each
		// payment one of its own.
		opened.records = store.Leased()
		warnOfTwoCommits(logger, s.store)
	}
	return opened, nil
}

func openMemory(pool *pgxpool.Pool, logger *slog.Logger) stores {
	logger.Warn("STORE=memory: payments are kept in PostgreSQL, but idempotency records in this process only. " +
		"A restart forgets them, and another process does not know them")
	return stores{
		records:    memory.New(memory.Config{}),
		transactor: payments.PoolTransactor{Pool: pool},
		close:      func() error { return nil },
	}
}

func warnOfTwoCommits(logger *slog.Logger, store string) {
	logger.Warn("payment and idempotency record are two commits: "+
		"after a crash between them, a retry pays again when the lease has ended", "store", store)
}

// report tells the log what goes wrong in a store's background.
func report(logger *slog.Logger) func(error) {
	return func(err error) { logger.Warn("idempotency store", "err", err) }
}

func closing(f func()) func() error {
	return func() error {
		f()
		return nil
	}
}
