package payments

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Transactor runs fn in the transaction that a request's writes belong in.
//
// *txstore.Store is one: for a request with a key fn gets the transaction that
// the recorded response is committed with, and for a request without a key one
// of its own.
type Transactor interface {
	InTx(ctx context.Context, fn func(pgx.Tx) error) error
}

// PoolTransactor gives each call a transaction of its own and commits it when fn
// returns nil. It is what a service has before it uses txstore, and what it is
// left with beside a store outside of the database: payment and recorded
// response are then two commits, and a crash between them is seen by the retry
// as if nothing had happened.
type PoolTransactor struct{ Pool *pgxpool.Pool }

// InTx implements [Transactor].
func (t PoolTransactor) InTx(ctx context.Context, fn func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, t.Pool, fn)
}
