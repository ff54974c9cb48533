package broken

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
)

// unleased reserves a key by a row that stands until its owner removes it. It
// is right as long as every owner lives.
type unleased struct {
	pool  *pgxpool.Pool
	level pgx.TxIsoLevel
}

func newUnleased(g Ground) Store {
	u := &unleased{pool: g.Pool, level: g.IsoLevel}
	return Store{Store: u, InTx: inTx(u)}
}

const (
	removeReservation = `DELETE FROM broken_reservations WHERE key = $1`
	unleasedPoll      = 50 * time.Millisecond
)

func (u *unleased) Reserve(ctx context.Context, key, _ string, _ time.Duration) (*idem.Cached, bool, error) {
	tick := time.NewTicker(unleasedPoll)
	defer tick.Stop()
	for {
		existing, fresh, err := u.try(ctx, key)
		if existing != nil || fresh || err != nil {
			return existing, fresh, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, false, idem.ErrWaitTimeout
			}
			return nil, false, ctx.Err()
		}
	}
}

// try returns neither a record nor a reservation while another has the key.
func (u *unleased) try(ctx context.Context, key string) (*idem.Cached, bool, error) {
	reserved, err := u.pool.Exec(ctx, `INSERT INTO broken_reservations VALUES ($1) ON CONFLICT DO NOTHING`, key)
	if err != nil {
		return nil, false, err
	}
	found, err := lookUp(ctx, u.pool, key)
	switch {
	case reserved.RowsAffected() == 0:
		return found, false, err
	case found != nil || err != nil:
		_, failed := u.pool.Exec(ctx, removeReservation, key)
		return found, false, errors.Join(err, failed)
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

func (u *unleased) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	s, err := sessionOf(ctx, u)
	if err != nil {
		return err
	}
	return s.commit(ctx, func(q querier) error {
		err := insert(ctx, q, key, requestHash, response)
		if err == nil {
			_, err = q.Exec(ctx, removeReservation, key)
		}
		return err
	})
}

func (u *unleased) Release(ctx context.Context, key string) error {
	s, err := sessionOf(ctx, u)
	if err != nil {
		return err
	}
	defer s.conn.Release()
	if err := s.tx.Rollback(ctx); err != nil {
		return err
	}
	_, err = s.conn.Exec(ctx, removeReservation, key)
	return err
}
