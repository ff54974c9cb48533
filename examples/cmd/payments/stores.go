package main

import (
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
	close      func()
}

func openStore(name string, pool *pgxpool.Pool, logger *slog.Logger) (stores, error) {
	if name == storeMemory {
		logger.Warn("STORE=memory: payments are kept in PostgreSQL, but idempotency records in this process only. " +
			"A restart forgets them, and another process does not know them")
		return stores{
			records:    memory.New(memory.Config{}),
			transactor: payments.PoolTransactor{Pool: pool},
			close:      func() {},
		}, nil
	}
	store, err := txstore.New(pool, txstore.Config{
		OnError: func(err error) { logger.Warn("idempotency store", "err", err) },
	})
	if err != nil {
		return stores{}, err
	}
	return stores{records: store, transactor: store, close: store.Close}, nil
}
