package broken

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
)

// afterwards commits the handler's writes first and its record afterwards, in a
// transaction of its own. Duplicates are locked out meanwhile; it is right as
// long as nothing dies in between.
type afterwards struct{ *transactions }

func newAfterwards(g Ground) Store {
	a := afterwards{transactionsOn(g)}
	return Store{Store: a, InTx: a.inTx}
}

func (a afterwards) Reserve(ctx context.Context, key, _ string, _ time.Duration) (*idem.Cached, bool, error) {
	conn, err := a.pool.Acquire(ctx)
	if err != nil {
		return nil, false, err
	}
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(hashtextextended($1, 0))`, key); err != nil {
		conn.Release()
		if errors.Is(err, context.DeadlineExceeded) {
			err = idem.ErrWaitTimeout
		}
		return nil, false, err
	}
	found, err := lookUp(ctx, conn, key)
	if found != nil || err != nil {
		return found, false, errors.Join(err, unlock(ctx, conn, key))
	}
	if err := a.begin(ctx, conn); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}

func (a afterwards) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	s, err := a.session(ctx)
	if err != nil {
		return err
	}
	end := s.tx.Commit
	if keepsOnlyResponse(ctx) {
		end = s.tx.Rollback
	}
	err = end(ctx)
	if err == nil {
		err = insert(ctx, s.conn, key, requestHash, response)
	}
	return unknown(errors.Join(err, unlock(ctx, s.conn, key)))
}

func (a afterwards) Release(ctx context.Context, key string) error {
	s, err := a.session(ctx)
	if err != nil {
		return err
	}
	return errors.Join(s.tx.Rollback(ctx), unlock(ctx, s.conn, key))
}

// unlock gives the key's lock back, and the connection.
func unlock(ctx context.Context, conn *pgxpool.Conn, key string) error {
	defer conn.Release()
	_, err := conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(hashtextextended($1, 0))`, key)
	if err != nil {
		// Its end is the lock's.
		err = errors.Join(err, conn.Conn().Close(context.WithoutCancel(ctx)))
	}
	return err
}
