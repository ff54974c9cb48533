package txstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
)

// TxFromContext returns the transaction that a handler's writes belong in: the
// one that the store opened for the request, or the one that [WithTx] put in
// ctx, whichever is nearer. ok is false for a request that bypassed the
// middleware, as one without a key, and under a lease.
//
// The store ends its own transaction: Commit and Rollback on it return an error
// and have no effect. Begin opens a savepoint, which must be ended before the
// handler returns. After the request every use of it is [pgx.ErrTxClosed]. Like
// any pgx.Tx it is for one goroutine at a time.
func TxFromContext(ctx context.Context) (tx pgx.Tx, ok bool) {
	return nearestTx(ctx, func(*reservation) bool { return true })
}

// InTx runs fn in the transaction of ctx, or, for a request that bypassed the
// middleware, in one of its own on the Store's pool: the same code serves both, but
// what decides about its writes is not the same.
//
// Inside an attempt of another store, as a leased idem.Do in a transactional
// handler, it runs its own: the record of that attempt must not speak of writes
// that the outer one can still undo.
//
// In the transaction of ctx the error of fn is returned and undoes nothing by
// itself: the handler's answer decides about the writes. A transaction of its
// own is committed when fn returns nil, rolled back otherwise: whatever the handler
// answers then, so it returns from fn an error for what must not stay.
//
// In a context whose request has ended fn is not run, and the error is
// [pgx.ErrTxClosed]. A transaction that another Store opened is not joined: it
// may be in another database.
func (s *Store) InTx(ctx context.Context, fn func(pgx.Tx) error) error {
	if tx, ok := s.txFrom(ctx); ok {
		return fn(tx)
	}
	innermost, _ := idem.AttemptFromContext(ctx)
	if _, isPast := idem.Bound(ctx, func(r *reservation) bool { return r.attempt == innermost && s.owns(r) }); isPast {
		return fmt.Errorf("txstore: InTx after the request's end, use a context of your own: %w", pgx.ErrTxClosed)
	}
	options := pgx.TxOptions{IsoLevel: s.config.IsoLevel, AccessMode: pgx.ReadWrite}
	return pgx.BeginTxFunc(ctx, s.pool, options, fn)
}

// txFrom is TxFromContext for the transactions of s and of callers.
func (s *Store) txFrom(ctx context.Context) (pgx.Tx, bool) {
	return nearestTx(ctx, s.owns)
}

func (s *Store) owns(r *reservation) bool { return r.store == s }

// nearestTx returns the transaction of the innermost attempt, or of a WithTx
// that is nearer or that this attempt works in. The transaction of an attempt
// further out is not for it: that one's end decides about it, and what the inner
// attempt has recorded would speak of writes that may be undone.
func nearestTx(ctx context.Context, match func(*reservation) bool) (pgx.Tx, bool) {
	caller, isCaller := callerTxFrom(ctx)
	innermost, _ := idem.AttemptFromContext(ctx)
	if isCaller && (caller.attempt == innermost || caller.serves(ctx, innermost)) {
		return caller.tx, caller.tx != nil
	}
	r, ok := idem.Bound(ctx, func(r *reservation) bool {
		return r.attempt == innermost && match(r) && !r.isEnded()
	})
	if !ok {
		return nil, false
	}
	return r.tx.handle(), true
}
