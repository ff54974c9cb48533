package server

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/torture/ledger"
	"github.com/pgidem/pgidem/torture/plan"
)

// inOwnTx runs handlers of a store that leaves transactions to them.
func (k *stack) inOwnTx(level plan.Level) ledger.InTx {
	options := pgx.TxOptions{IsoLevel: isolation[level]}
	return func(ctx context.Context, fn func(pgx.Tx) error) error {
		tx, err := k.pool.BeginTx(ctx, options)
		if err != nil {
			return err
		}
		// A COMMIT that is broken off may have happened all the same. Of a handler
		// that is out of time the record still tells in the end what it has done,
		// provided that it knows.
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxHandlerTime+commitTimeout)
		defer cancel()
		defer func() { _ = tx.Rollback(ending) }() // after fn's panic, too
		if err := fn(tx); err != nil {
			return err
		}
		return tx.Commit(ending)
	}
}
