package txstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/record"
)

// A reservation in a caller's transaction takes the key's lock like any other
// attempt. Its attempt id, $3, is added to a setting that lasts as long as the
// reservation: until the transaction ends or is rolled back to a savepoint from
// before. $2 is the id of an earlier reservation of the key, "" if there is none.
//
// The results may come as text, in which a session can write a time in many ways:
// it is asked for as a number.
const callerOpenColumns = `,
    (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint,
    $2::text <> '' AND COALESCE(pg_catalog.strpos(pg_catalog.current_setting('pgidem.held', true), $2::text) > 0, false),
    pg_catalog.set_config('pgidem.held', pg_catalog.concat(pg_catalog.current_setting('pgidem.held', true), ' ', $3::text), true) IS NOT NULL`

func callerOpenSQL(locks bool) string {
	if locks {
		return "SELECT " + lockColumn + callerOpenColumns
	}
	return "SELECT " + noLockColumn + callerOpenColumns
}

// place finds where a caller's transaction has its reservation of key, if any.
func (c *callerTx) place(ctx context.Context, s *Store, key string) (*table, *held, heldKey, error) {
	conn, err := c.conn()
	if err != nil {
		return nil, nil, heldKey{}, err
	}
	if err := spells(conn, key); err != nil {
		return nil, nil, heldKey{}, err
	}
	// A missing table does not abort the transaction: nothing names it until it
	// was found.
	t, err := s.callersTable(ctx, c.tx, conn)
	if err != nil {
		return nil, nil, heldKey{}, err
	}
	return t, heldOn(conn), heldKey{table: t.oid, key: key}, nil
}

func (c *callerTx) reserve(ctx context.Context, s *Store, key, hash string, ttl time.Duration) (*idem.Cached, bool, error) {
	if !s.running.Begin() {
		return nil, false, errClosed()
	}
	defer s.running.End()
	t, held, k, err := c.place(ctx, s, key)
	if err != nil {
		return nil, false, err
	}
	earlier := ""
	if own := held.get(k); own != nil {
		earlier = own.attemptID
	}
	attemptID := idem.NewAttemptID()
	p, holds, err := c.probe(ctx, t, key, earlier, attemptID)
	switch {
	case sqlState(err) == "42P01":
		s.table.CompareAndSwap(t, nil) // dropped and made again, or never made
		return nil, false, errTableMissing(t.name())
	case err != nil:
		return nil, false, fmt.Errorf("txstore: reserving in the caller's transaction: %w", err)
	}
	held.enter(p.started)
	if cached := p.found.replay(); cached != nil {
		if err := c.settle(ctx, t, p.found.age); err != nil {
			return nil, false, fmt.Errorf("txstore: confirming a record in the caller's transaction: %w", err)
		}
		return cached, false, nil
	}
	if err := p.refusesCaller(held.get(k), holds, hash); err != nil {
		return nil, false, err
	}
	attempt, ok := idem.AttemptFromContext(ctx)
	if ok {
		// The handler's writes are in the caller's transaction, and who runs it
		// must not commit behind the caller's back.
		attempt.MarkTransactional()
		attempt.Bind(callerWork{attempt: attempt, caller: c})
	}
	held.put(k, &heldRecord{ttl: ttl, remember: remember(attempt), h: p.h, stale: p.found.attemptID, attemptID: attemptID})
	return nil, true, nil
}

// settle makes the caller's COMMIT wait for a record of that age as Store.settle would:
// a transaction that only reads waits for no standby. A refusal is kept from the
// caller's transaction by a savepoint, which has a name that nobody else has.
func (c *callerTx) settle(ctx context.Context, t *table, age time.Duration) error {
	if !t.synchronous || age >= settledAfter {
		return nil
	}
	if _, err := c.tx.Exec(ctx, "SAVEPOINT pgidem_confirmation"); err != nil {
		return err
	}
	_, err := c.tx.Exec(ctx, confirmSQL)
	if err != nil {
		if _, undone := c.tx.Exec(ctx, "ROLLBACK TO SAVEPOINT pgidem_confirmation"); undone != nil {
			return errors.Join(err, undone)
		}
	}
	_, released := c.tx.Exec(ctx, "RELEASE SAVEPOINT pgidem_confirmation")
	if cannotConfirm(err) {
		err = nil
	}
	return errors.Join(err, released)
}

// refusesCaller says why a key that is not to be replayed is not the caller's either.
// own is its earlier reservation, if there was one.
func (p *probe) refusesCaller(own *heldRecord, holds bool, hash string) error {
	switch {
	case p.found.refusal(hash) != nil:
		return p.found.refusal(hash)
	case own != nil && holds && (!own.committed || p.found.attemptID != own.attemptID):
		// Not committed, or only up to a savepoint that was rolled back.
		return idem.ErrNested
	case p.found.leased() && p.found.hash != hash:
		return idem.ErrHashMismatch
	case !p.fresh():
		return idem.ErrInFlight
	}
	return nil
}

// probe looks a key up inside the caller's transaction. holds tells whether the
// earlier reservation is still held.
func (c *callerTx) probe(ctx context.Context, t *table, key, earlier, attemptID string) (p *probe, holds bool, err error) {
	p = &probe{table: t, h: t.hash(key)}
	var b pgx.Batch
	b.Queue(t.callerOpen, p.h, earlier, attemptID)
	b.Queue(t.lookupText, key)
	br := c.tx.SendBatch(ctx, &b)
	holds, err = p.readCaller(br)
	if closeErr := br.Close(); err == nil {
		err = closeErr
	}
	return p, holds, err
}

func (p *probe) readCaller(br pgx.BatchResults) (holds bool, err error) {
	rows, err := br.Query()
	if err != nil {
		return false, err
	}
	for rows.Next() {
		r := rowOf(rows)
		p.locked, p.started, holds, err = r.boolean(), r.moment(), r.boolean(), r.err
	}
	if rows.Close(); err != nil || rows.Err() != nil {
		return false, cmp.Or(err, rows.Err())
	}
	if rows, err = br.Query(); err == nil {
		p.found, err = scanFound(rows)
	}
	return holds, err
}

// commit inserts the record in the caller's transaction. The notification goes
// into it as well and is sent when the caller commits.
func (c *callerTx) commit(ctx context.Context, s *Store, key, hash string, response idem.Cached) error {
	t, held, k, err := c.place(ctx, s, key)
	if err != nil {
		return err
	}
	own := held.get(k)
	if own == nil {
		return fmt.Errorf("txstore: %w", idem.ErrNotReserved)
	}
	if own.committed {
		switch f, stands, err := c.recorded(ctx, t, key, own); {
		case err != nil:
			return err
		case stands && f.hash != hash:
			return idem.ErrHashMismatch
		case stands:
			return nil
		}
	}
	response.RequestHash = hash
	inserted, err := c.insert(ctx, t, key, own, response)
	switch {
	case t.ownConflict(err):
		return fmt.Errorf("%w: %w", idem.ErrSuperseded, err)
	case err != nil:
		return &idem.CommitError{Retryable: isRetryable(err), Err: err}
	case !inserted:
		held.drop(k)
		return fmt.Errorf("txstore: %w in this transaction, or it was rolled back", idem.ErrNotReserved)
	}
	own.committed = true
	return nil
}

// recorded looks whether the record of a reservation that was committed stands.
// Rolled back to a savepoint, it does not.
func (c *callerTx) recorded(ctx context.Context, t *table, key string, own *heldRecord) (f found, stands bool, err error) {
	rows, err := c.tx.Query(ctx, t.lookupText, key)
	if err != nil {
		return f, false, err
	}
	f, err = scanFound(rows)
	return f, err == nil && f.attemptID == own.attemptID, err
}

func (c *callerTx) insert(ctx context.Context, t *table, key string, own *heldRecord, response idem.Cached) (inserted bool, err error) {
	var b pgx.Batch
	if own.stale != "" {
		b.Queue(t.staleHeld, key, own.stale)
	}
	b.Queue(t.insertHeld, own.attemptID, interval(own.ttl), remembered(own.ttl, own.remember), int32(response.Status), int16(record.Format), //nolint:gosec // a status has three digits
		key, response.RequestHash, record.EncodeHeader(response.Header), notNil(response.Body), own.attemptID).
		Exec(func(tag pgconn.CommandTag) error {
			inserted = tag.RowsAffected() == 1
			return nil
		})
	if t.locks {
		b.Queue(wakeSQL, own.h, strconv.Itoa(int(own.h)))
	}
	err = c.tx.SendBatch(ctx, &b).Close()
	return inserted, err
}

// release forgets the reservation. Its lock stays until the caller ends the
// transaction: PostgreSQL releases such locks only then.
func (c *callerTx) release(ctx context.Context, s *Store, key string) error {
	t, held, k, err := c.place(ctx, s, key)
	if err != nil {
		return err
	}
	if own := held.get(k); own != nil && own.committed {
		switch _, stands, err := c.recorded(ctx, t, key, own); {
		case errors.Is(err, pgx.ErrTxClosed), sqlState(err) == "25P02":
			return nil // up to who ends the transaction, or has
		case stands || err != nil:
			return err
		}
	}
	// An empty batch costs no trip, and tells whether tx has ended: then what is held
	// on the connection is another's.
	if err := c.tx.SendBatch(ctx, &pgx.Batch{}).Close(); errors.Is(err, pgx.ErrTxClosed) {
		return nil
	}
	held.drop(k)
	return nil
}
