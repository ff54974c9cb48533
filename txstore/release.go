package txstore

import (
	"context"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// Release implements [idem.Store]: the handler's writes are rolled back and the
// key is free. A handler that was abandoned may be in the middle of a statement;
// its connection is cut then.
func (s *Store) Release(ctx context.Context, key string) error {
	if tx, ok := callerTxFrom(ctx); ok {
		return tx.release(ctx, s, key)
	}
	r, ok := s.bound(ctx, key)
	if !ok {
		return s.leased.Release(ctx, key)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil
	}
	if r.attempt.Abandoned() || r.tx.close() {
		r.abandon()
		return nil
	}
	if r.tx.conn.PgConn().TxStatus() == 'E' && r.tx.conflict != nil && !r.tx.left && !r.tx.doubtful {
		r.attempt.RequestRunAgain()
	}
	r.finish(nil)
	return nil
}

// finish rolls back and ends the reservation without a record. The caller holds
// r.mu, and has closed the transaction.
func (r *reservation) finish(cached *idem.Cached) {
	r.ended = true
	if !r.tx.conn.PgConn().IsBusy() {
		r.store.letGo(r.tx.conn, r.probe.h)
	}
	r.release()
	r.store.flights.end(r.flight, cached, nil)
}

// release gives the connection back; busy or in a transaction, the pool
// destroys it, and the server rolls back.
func (r *reservation) release() {
	defer r.store.running.End()
	r.tx.disarm()
	r.connMu.Lock()
	defer r.connMu.Unlock()
	if r.detached {
		defer r.store.detached.Add(-1)
		ctx, cancel := context.WithTimeout(context.Background(), abandonTime)
		defer cancel()
		_ = r.tx.conn.Close(ctx)
		return
	}
	r.released = true
	r.store.giveBack(r.probe.conn)
}

// detach takes the connection of a COMMIT that nobody waits for any more out of
// the pool, which may open another in its place, and leaves the COMMIT alone.
// false: it has ended meanwhile, and the connection may be the next customer's.
// It may be called more than once.
func (r *reservation) detach() bool {
	r.connMu.Lock()
	defer r.connMu.Unlock()
	if r.released {
		return false
	}
	if !r.detached {
		if r.store.detached.Add(1) > r.store.pool.Stat().MaxConns() {
			r.store.detached.Add(-1)
			return false
		}
		r.detached = true
		r.probe.conn.Hijack()
	}
	return true
}

// makeRoom detaches a connection that keeps silent if the pool has no other to
// give: where all of them wait like this one, nobody could learn anything.
func (r *reservation) makeRoom() {
	if pool := r.store.pool.Stat(); pool.AcquiredConns() >= pool.MaxConns() {
		r.detach()
	}
}

// abandonTime bounds the request that cancels an abandoned handler's statement.
const abandonTime = 5 * time.Second

// abandon takes the connection from a handler that may be using it this very
// moment. Nothing of pgx is safe to call then, so the socket is closed under it:
// a call under way fails, and later ones find the transaction closed. The server
// is told to cancel what it executes, and rolls back.
func (r *reservation) abandon() {
	r.ended = true
	conn := r.probe.conn.Hijack()
	r.store.flights.end(r.flight, nil, nil)
	go func() {
		defer r.store.running.End()
		ctx, cancel := context.WithTimeout(context.Background(), abandonTime)
		defer cancel()
		socket := conn.PgConn().Conn()
		if err := conn.PgConn().CancelRequest(ctx); err != nil {
			r.store.config.OnError(err)
		}
		_ = socket.Close()
		r.tx.close()
	}()
}
