package broken

import (
	"context"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// unguarded looks whether there is a record, and if not, runs the handler and
// inserts one: without a lock, and into a table without a unique key. It is
// right as long as duplicates come one after the other.
type unguarded struct{ *transactions }

func newUnguarded(g Ground) Store {
	u := unguarded{transactionsOn(g)}
	return Store{Store: u, InTx: u.inTx}
}

func (u unguarded) Reserve(ctx context.Context, key, _ string, _ time.Duration) (*idem.Cached, bool, error) {
	if found, err := lookUp(ctx, u.pool, key); found != nil || err != nil {
		return found, false, err
	}
	return u.reserve(ctx)
}

func (u unguarded) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	s, err := u.session(ctx)
	if err != nil {
		return err
	}
	return s.commit(ctx, func(q querier) error { return insert(ctx, q, key, requestHash, response) })
}

func (u unguarded) Release(ctx context.Context, _ string) error {
	s, err := u.session(ctx)
	if err != nil {
		return err
	}
	defer s.conn.Release()
	return s.tx.Rollback(ctx)
}
