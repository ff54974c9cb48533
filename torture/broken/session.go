package broken

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
)

// transactions are those of one store that has its own.
type transactions struct {
	pool  *pgxpool.Pool
	level pgx.TxIsoLevel
}

func transactionsOn(g Ground) *transactions { return &transactions{pool: g.Pool, level: g.IsoLevel} }

// session is an attempt's transaction, and the connection that it is on.
type session struct {
	owner *transactions
	conn  *pgxpool.Conn
	tx    pgx.Tx
}

// reserve answers Reserve with a transaction for the handler.
func (t *transactions) reserve(ctx context.Context) (*idem.Cached, bool, error) {
	conn, err := t.pool.Acquire(ctx)
	if err != nil {
		return nil, false, err
	}
	if err := t.begin(ctx, conn); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}

// begin begins a transaction on conn and binds it to the attempt of ctx.
func (t *transactions) begin(ctx context.Context, conn *pgxpool.Conn) error {
	// The attempt ends the transaction, not the time that Reserve may take.
	tx, err := conn.BeginTx(context.WithoutCancel(ctx), pgx.TxOptions{IsoLevel: t.level})
	if err != nil {
		conn.Release()
		return err
	}
	attempt, _ := idem.AttemptFromContext(ctx)
	attempt.MarkTransactional()
	attempt.Bind(&session{owner: t, conn: conn, tx: tx})
	return nil
}

// session returns the one that was begun for the attempt of ctx.
func (t *transactions) session(ctx context.Context) (*session, error) {
	s, ok := idem.Bound(ctx, func(s *session) bool { return s.owner == t })
	if !ok {
		return nil, idem.ErrNotReserved
	}
	return s, nil
}

// inTx is the InTx of a Store.
func (t *transactions) inTx(ctx context.Context, fn func(pgx.Tx) error) error {
	s, err := t.session(ctx)
	if err != nil {
		return err
	}
	return fn(s.tx)
}

// commit ends the attempt with its record, which write writes: in the
// transaction, or after its end if the handler's writes are to be undone. It
// gives the connection back.
//
// After an error it claims no more than is known, so that what a run finds is
// the flaw of the store, and not a word of this function.
func (s *session) commit(ctx context.Context, write func(querier) error) error {
	defer s.conn.Release()
	if keepsOnlyResponse(ctx) {
		if err := s.tx.Rollback(ctx); err != nil {
			return unknown(err)
		}
		return unknown(write(s.conn))
	}
	if err := write(s.tx); err != nil {
		return unknown(errors.Join(err, s.tx.Rollback(ctx)))
	}
	return unknown(s.tx.Commit(ctx))
}

func keepsOnlyResponse(ctx context.Context) bool {
	attempt, ok := idem.AttemptFromContext(ctx)
	return ok && attempt.Disposition() == idem.CommitResponse
}

func unknown(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", idem.ErrOutcomeUnknown, err)
}
