package broken

import (
	"context"
	"errors"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// unleased reserves a key by a row that stands until its owner removes it. It
// is right as long as every owner lives.
type unleased struct{ *transactions }

func newUnleased(g Ground) Store {
	u := unleased{transactionsOn(g)}
	return Store{Store: u, InTx: u.inTx}
}

const (
	removeReservation = `DELETE FROM broken_reservations WHERE key = $1`
	unleasedPoll      = 50 * time.Millisecond
)

func (u unleased) Reserve(ctx context.Context, key, _ string, _ time.Duration) (*idem.Cached, bool, error) {
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
func (u unleased) try(ctx context.Context, key string) (*idem.Cached, bool, error) {
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
	return u.reserve(ctx)
}

func (u unleased) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	s, err := u.session(ctx)
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

func (u unleased) Release(ctx context.Context, key string) error {
	s, err := u.session(ctx)
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
