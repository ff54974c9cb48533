package txstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
)

type callerTxKey struct{}

// WithTx returns a context in which the verbs of a Store work inside tx, a
// transaction of the caller's own, for code that is no HTTP handler or that
// already has one. The reservation and the record become durable with the
// caller's Commit, and vanish with its Rollback.
//
// The verbs never wait there and never end tx: a key in flight elsewhere is
// [idem.ErrInFlight], for waiting inside a transaction can deadlock where
// PostgreSQL does not see it. A unique violation at Commit is
// [idem.ErrSuperseded]; tx is aborted then and must be rolled back. Where commits
// wait for a standby, the COMMIT of a tx that only replays what was recorded in the
// last five seconds waits, too; what it replays is not safe from a failover before.
//
// That the reservation is held is a setting of the transaction, since only a
// setting ends with a savepoint: RESET ALL forgets it, and the key is fresh again.
//
// WithTx prevails over an attempt in ctx. Do not put it around RESTMiddleware:
// the response would leave before the caller has committed.
func WithTx(ctx context.Context, tx pgx.Tx) context.Context {
	attempt, _ := idem.AttemptFromContext(ctx)
	return context.WithValue(ctx, callerTxKey{}, &callerTx{tx: tx, attempt: attempt})
}

// callerTx is a transaction that somebody else ends.
type callerTx struct {
	tx      pgx.Tx
	attempt *idem.Attempt // in force when WithTx was called
}

func callerTxFrom(ctx context.Context) (*callerTx, bool) {
	c, ok := ctx.Value(callerTxKey{}).(*callerTx)
	return c, ok
}

// callerWork is bound to an attempt that has reserved its key in a caller's
// transaction: its writes belong there.
type callerWork struct {
	attempt *idem.Attempt
	caller  *callerTx
}

// serves tells whether attempt works in the caller's transaction.
func (c *callerTx) serves(ctx context.Context, attempt *idem.Attempt) bool {
	_, ok := idem.Bound(ctx, func(w callerWork) bool { return w.attempt == attempt && w.caller == c })
	return ok
}

// conn returns the connection of the transaction, which tells transactions
// apart and survives their wrappers.
func (c *callerTx) conn() (*pgx.Conn, error) {
	if c.tx == nil {
		return nil, errors.New("txstore: WithTx: the transaction is nil")
	}
	if conn := c.tx.Conn(); conn != nil {
		return conn, nil
	}
	return nil, errors.New("txstore: WithTx: the transaction has no connection")
}
