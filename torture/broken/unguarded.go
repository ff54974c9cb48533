package broken

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
)

// unguarded looks whether there is a record, and if not, runs the handler and
// inserts one: without a lock, and into a table without a unique key. It is
// right as long as duplicates come one after the other.
type unguarded struct {
	pool  *pgxpool.Pool
	level pgx.TxIsoLevel
}

func newUnguarded(g Ground) Store {
	u := &unguarded{pool: g.Pool, level: g.IsoLevel}
	return Store{Store: u, InTx: inTx(u)}
}

func (u *unguarded) Reserve(ctx context.Context, key, _ string, _ time.Duration) (*idem.Cached, bool, error) {
	if found, err := lookUp(ctx, u.pool, key); found != nil || err != nil {
		return found, false, err
	}
	conn, err := u.pool.Acquire(ctx)
	if err != nil {
		return nil, false, err
	}
	if err := begin(ctx, u, conn, u.level); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}

func (u *unguarded) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	s, err := sessionOf(ctx, u)
	if err != nil {
		return err
	}
	return s.commit(ctx, func(q querier) error { return insert(ctx, q, key, requestHash, response) })
}

func (u *unguarded) Release(ctx context.Context, _ string) error {
	s, err := sessionOf(ctx, u)
	if err != nil {
		return err
	}
	defer s.conn.Release()
	return s.tx.Rollback(ctx)
}
