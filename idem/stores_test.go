package idem_test

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// ledger counts what handlers did: how often they ran, and the rows that are
// still there afterwards.
type ledger struct {
	runs atomic.Int64
	rows atomic.Int64
}

// fakeTx is the transaction of a transactionalStore.
type fakeTx struct{ pending []func() }

// insert writes a row: in the transaction of ctx, or at once if there is none.
func (l *ledger) insert(ctx context.Context) {
	write := func() { l.rows.Add(1) }
	if tx, ok := idem.Bound(ctx, func(*fakeTx) bool { return true }); ok {
		tx.pending = append(tx.pending, write)
		return
	}
	write()
}

// transactionalStore gives a Store that has none a transaction: rows inserted
// by a handler are there after a Commit with CommitAll, and never otherwise.
type transactionalStore struct{ idem.Store }

func (s transactionalStore) Reserve(ctx context.Context, key, hash string, ttl time.Duration) (*idem.Cached, bool, error) {
	existing, fresh, err := s.Store.Reserve(ctx, key, hash, ttl)
	if fresh {
		a, _ := idem.AttemptFromContext(ctx)
		a.MarkTransactional()
		a.Bind(new(fakeTx))
	}
	return existing, fresh, err
}

func (s transactionalStore) Commit(ctx context.Context, key, hash string, response idem.Cached) error {
	if err := s.Store.Commit(ctx, key, hash, response); err != nil {
		return err
	}
	a, _ := idem.AttemptFromContext(ctx)
	tx, ok := idem.Bound(ctx, func(*fakeTx) bool { return true })
	if ok && a.Disposition() == idem.CommitAll {
		for _, write := range tx.pending {
			write()
		}
		tx.pending = nil
	}
	return nil
}

// hookedStore lets a test step in front of each verb. A hook that returns an
// error replaces the verb. Being a decorator of three verbs, it is also what
// users put around a Store.
type hookedStore struct {
	idem.Store
	reserve func(ctx context.Context) error
	commit  func(ctx context.Context) error
	release func(ctx context.Context) error
}

func (s hookedStore) Reserve(ctx context.Context, key, hash string, ttl time.Duration) (*idem.Cached, bool, error) {
	if s.reserve != nil {
		if err := s.reserve(ctx); err != nil {
			return nil, false, err
		}
	}
	return s.Store.Reserve(ctx, key, hash, ttl)
}

func (s hookedStore) Commit(ctx context.Context, key, hash string, response idem.Cached) error {
	if s.commit != nil {
		if err := s.commit(ctx); err != nil {
			return err
		}
	}
	return s.Store.Commit(ctx, key, hash, response)
}

func (s hookedStore) Release(ctx context.Context, key string) error {
	if s.release != nil {
		if err := s.release(ctx); err != nil {
			return err
		}
	}
	return s.Store.Release(ctx, key)
}
