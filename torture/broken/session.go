package broken

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
)

// session is an attempt's transaction, and the connection that it is on.
type session struct {
	owner any // the store
	conn  *pgxpool.Conn
	tx    pgx.Tx
}

// begin begins a transaction on conn and binds it to the attempt of ctx.
func begin(ctx context.Context, owner any, conn *pgxpool.Conn, level pgx.TxIsoLevel) error {
	// The attempt ends the transaction, not the time that Reserve may take.
	tx, err := conn.BeginTx(context.WithoutCancel(ctx), pgx.TxOptions{IsoLevel: level})
	if err != nil {
		conn.Release()
		return err
	}
	attempt, _ := idem.AttemptFromContext(ctx)
	attempt.MarkTransactional()
	attempt.Bind(&session{owner: owner, conn: conn, tx: tx})
	return nil
}

// sessionOf returns the session that owner has begun for the attempt of ctx.
func sessionOf(ctx context.Context, owner any) (*session, error) {
	s, ok := idem.Bound(ctx, func(s *session) bool { return s.owner == owner })
	if !ok {
		return nil, idem.ErrNotReserved
	}
	return s, nil
}

func inTx(owner any) func(context.Context, func(pgx.Tx) error) error {
	return func(ctx context.Context, fn func(pgx.Tx) error) error {
		s, err := sessionOf(ctx, owner)
		if err != nil {
			return err
		}
		return fn(s.tx)
	}
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
