package txstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// Commit implements [idem.Store]: the handler's writes and response become
// durable together, or neither does. With [idem.CommitResponse] the writes are
// undone first. It waits at most Config.CommitTimeout and does not heed ctx: pgx
// would cut a COMMIT off at a deadline, and one that waits for a standby becomes
// visible when it is cut off, before it is safe.
//
// Beside the errors of the interface it returns an [idem.CommitError] when the
// server has refused, [idem.ErrOutcomeUnknown], and [idem.ErrTransactionEnded] or
// [idem.ErrTransactionFailed] for what the handler has done to the transaction.
// The attempt of a transaction is over then, whatever it returns; one under a
// lease may be committed again after an error that leaves it its lease.
func (s *Store) Commit(ctx context.Context, key, requestHash string, response idem.Cached) error {
	if tx, ok := callerTxFrom(ctx); ok {
		return tx.commit(ctx, s, key, requestHash, response)
	}
	r, ok := s.bound(ctx, key)
	if !ok {
		return s.leased.Commit(ctx, key, requestHash, response)
	}
	return r.commit(context.WithoutCancel(ctx), requestHash, response)
}

func (r *reservation) commit(ctx context.Context, hash string, response idem.Cached) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.committed && r.hash == hash:
		return nil
	case r.committed:
		return idem.ErrHashMismatch
	case r.ended:
		return fmt.Errorf("txstore: %w", idem.ErrNotReserved)
	}
	r.hash, response.RequestHash = hash, hash
	if r.tx.close() {
		r.abandon()
		return fmt.Errorf("%w: a CopyFrom is still under way", idem.ErrTransactionFailed)
	}
	if err := r.usable(); err != nil {
		r.finish(nil)
		return err
	}
	r.ended = true // whatever happens
	out := r.outcome(ctx, response)
	r.committed = out.err == nil
	return out.err
}

// usable looks at how the handler has left the transaction, and lets go of one
// that cannot take the record.
func (r *reservation) usable() error {
	pg := r.tx.conn.PgConn()
	misspelt := spells(r.tx.conn, r.key)
	responseOnly := r.attempt.Disposition() == idem.CommitResponse
	aborted := pg.TxStatus() == 'E'
	switch {
	case r.tx.conn.IsClosed():
		return &idem.CommitError{Retryable: true, Err: errors.New("txstore: the connection was lost while the handler ran")}
	case pg.IsBusy():
		return fmt.Errorf("%w: rows or batch results were left open", idem.ErrTransactionFailed)
	case r.tx.left || pg.TxStatus() == 'I':
		return idem.ErrTransactionEnded
	case aborted && r.tx.doubtful:
		// In a transaction that has failed no statement can find out which it is, and
		// its locks are gone. If it is another, the writes of the first one stand:
		// then the handler must not run again, and no answer say that they do not.
		return fmt.Errorf("%w, or may have, and then a statement failed", idem.ErrTransactionEnded)
	case aborted && r.tx.conflict != nil:
		// Whatever the handler made of it.
		r.attempt.RequestRunAgain()
		return &idem.CommitError{Retryable: true, Err: r.tx.conflict}
	case misspelt != nil:
		return fmt.Errorf("%w: %w", idem.ErrTransactionFailed, misspelt)
	case responseOnly:
		return nil // whatever stands open is rolled back with the writes
	case aborted:
		return fmt.Errorf("%w: a statement failed and the transaction was not rolled back to a savepoint", idem.ErrTransactionFailed)
	case len(r.tx.savepoints) > 0:
		return fmt.Errorf("%w: %d savepoints were left open", idem.ErrTransactionFailed, len(r.tx.savepoints))
	}
	return nil
}

// outcome is what became of a COMMIT.
type outcome struct {
	cached   *idem.Cached // what was committed
	err      error
	panicked any // what a tracer of the user's panicked with
}

// outcome sends the commit and says what became of it, within CommitTimeout. The
// sending goes on by itself when that is over; it owns the connection.
func (r *reservation) outcome(ctx context.Context, response idem.Cached) (out outcome) {
	asked := time.Now()
	sent := make(chan outcome, 1)
	r.store.running.More()
	go func() {
		defer r.store.running.End()
		out, watched := r.sendWhatever(ctx, response)
		if !watched {
			r.release()
		}
		sent <- out
		if watched { // after our own client's answer, which is not to wait for that
			r.store.notify(r.tx.conn, r.probe.h)
			r.release()
		}
	}()
	deadline := time.Now().Add(r.store.config.CommitTimeout)
	// Half of the time is for the server's own word, which is the only one when
	// it comes; the other half for asking on another connection.
	patience := time.NewTimer(r.store.config.CommitTimeout / 2)
	defer patience.Stop()
	// Also after a panic in what follows.
	defer func() { r.store.flights.end(r.flight, out.cached, nil) }()
	silent := false
	select {
	case out = <-sent:
	case <-patience.C:
		silent, out.err = true, errAmbiguous
		r.makeRoom()
	}
	panicked := out.panicked
	if errors.Is(out.err, errAmbiguous) {
		out = r.store.resolve(ctx, r, response, deadline)
		if silent && r.detach() && !errors.Is(out.err, idem.ErrOutcomeUnknown) {
			// The COMMIT is over and its reply is not coming: nothing is left to
			// wait for on that connection.
			go r.tx.conn.PgConn().Conn().Close()
		}
	}
	if out.cached != nil {
		r.store.completed(r.flight, out.cached, asked, r.ttl)
	}
	if panicked != nil {
		panic(panicked) // where the caller's own recover finds it
	}
	return out
}

// errAmbiguous: the reply to COMMIT was lost, so it may have happened or not.
var errAmbiguous = errors.New("txstore: no reply to COMMIT")

// sendWhatever is send, also when a tracer of the user's panics: nobody knows then
// how far it came.
func (r *reservation) sendWhatever(ctx context.Context, response idem.Cached) (out outcome, watched bool) {
	defer func() {
		if p := recover(); p != nil {
			out, watched = outcome{err: errAmbiguous, panicked: p}, false
		}
	}()
	return r.send(ctx, response)
}

// send executes the commit batch. watched: it is committed, and somebody in
// another process waits to hear of it.
func (r *reservation) send(ctx context.Context, response idem.Cached) (out outcome, watched bool) {
	responseOnly := r.attempt.Disposition() == idem.CommitResponse
	b := &commitBatch{batch: newBatch(r.tx.conn)}
	if responseOnly {
		r.undo(ctx, b)
	}
	r.queueRecord(b, response, responseOnly)
	tag, err := b.sendCommit(ctx)
	switch {
	case tag == "COMMIT":
		// The server's word on the COMMIT itself. Whatever an error behind it
		// says, it is done.
		response.StoredAt = cmp.Or(b.storedAt, r.probe.started).time()
		return outcome{cached: &response}, b.watched
	case err != nil && !isServerRefusal(err) && !errors.Is(err, errOtherTransaction):
		return outcome{err: errors.Join(errAmbiguous, err)}, false
	}
	r.store.letGo(r.tx.conn, r.probe.h)
	if isStalePlan(err) {
		r.store.forgetPlans(ctx, r.tx.conn, err)
	}
	if sqlState(err) == "26000" {
		plansOn(r.tx.conn).stolen()
	}
	if err == nil {
		return outcome{err: fmt.Errorf("%w: COMMIT was answered %q", idem.ErrTransactionFailed, tag)}, false
	}
	return outcome{err: r.refused(err)}, false
}

// errOtherTransaction: the transaction is not the one that Reserve began.
var errOtherTransaction = errors.New("txstore: another transaction")

// refused translates the server's refusal: nothing was committed.
func (r *reservation) refused(err error) error {
	switch {
	case errors.Is(err, errOtherTransaction):
		return fmt.Errorf("%w, and began another: its writes cannot be undone", idem.ErrTransactionEnded)
	case r.probe.table.ownConflict(err):
		return idem.ErrSuperseded
	case isConflict(err):
		r.attempt.RequestRunAgain()
	case r.probe.table.guarded(err):
		return fmt.Errorf("%w, and began another", idem.ErrTransactionEnded)
	}
	return &idem.CommitError{Retryable: isRetryable(err) || isStalePlan(err), Err: err}
}
