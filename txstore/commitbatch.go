package txstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/record"
)

// The wake check notifies only if somebody waits: whoever does holds the wait
// lock, shared. In a transaction of its own behind COMMIT or ROLLBACK, it is one
// statement. A NOTIFY in the handler's transaction would make all commits of the
// instance queue up.
var wakeSQL = fmt.Sprintf(`SELECT pg_catalog.pg_notify('%s', $2::text)
WHERE NOT pg_catalog.pg_try_advisory_xact_lock(%d, $1::int4)`, wakeChannel, waitClass)

// unwatchedColumn is the wake check of the handler's transaction, which costs no
// statement: a column of its INSERT. Got, the wait lock is kept until the
// transaction ends, and nobody can register before the record is visible: who
// registers then sees it in the probe that follows. Not got, somebody waits, and
// is notified behind the COMMIT. Looked at without being kept, a waiter could
// register between the look and the COMMIT, and would be told by nobody.
var unwatchedColumn = fmt.Sprintf(", pg_catalog.pg_try_advisory_xact_lock(%d, $11::int4)", waitClass)

// beginSQL begins a transaction with nothing in it but our own row: of a response
// whose writes were undone, or of a lease. It must see the newest row, whatever
// the session's default.
const beginSQL = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

// sameTransactionSQL fails in any other transaction than the one that began at
// $1: the writes of that one are committed, and cannot be undone any more.
const sameTransactionSQL = `SELECT 1 / (transaction_timestamp() = $1::timestamptz)::int`

// relockSQL takes the key's lock again, which ROLLBACK has released, so that the
// key stays in flight while the response is committed. Not got, somebody was
// quick, and the unique key decides between the two.
var relockSQL = "SELECT " + lockColumn

var (
	wake            = newStatement(wakeSQL)
	beginFresh      = newStatement(beginSQL)
	sameTransaction = newStatement(sameTransactionSQL)
	relock          = newStatement(relockSQL)
	rollback        = newStatement("ROLLBACK")
	commit          = newStatement("COMMIT")
)

// commitBatch is the record and the COMMIT in one round trip.
type commitBatch struct {
	*batch
	guarded            bool // the first statement is sameTransaction
	insertAt, commitAt int  // positions of the two results that matter

	storedAt moment // of the record
	watched  bool   // somebody waits in another process, and must be notified
}

// queueRecord puts the record and the COMMIT into b.
func (r *reservation) queueRecord(b *commitBatch, response idem.Cached, responseOnly bool) {
	t := r.probe.table
	if stale := r.probe.found.attemptID; stale != "" {
		// Fenced by the attempt id that Reserve saw, and by staleness now. By
		// key alone it would remove the record of an attempt that has come in
		// between, and the handler would have run twice.
		b.queue(t.deleteStale, b.params().text(r.key).text(stale))
	}
	// A plain INSERT: another attempt's record must raise 23505, so that the
	// server skips the COMMIT behind it. DO NOTHING would commit the writes.
	b.insertAt = b.queued
	p := b.params()
	r.record(p, response, responseOnly)
	if t.locks {
		p.int4(r.probe.h)
	}
	b.queue(t.insert, p)
	b.commitAt = b.queued
	b.queue(commit, nil)
}

// record puts the row of a response: in this transaction only or, of a response
// without its writes, in whatever transaction it is.
func (r *reservation) record(p *params, response idem.Cached, responseOnly bool) {
	if responseOnly {
		p.null()
	} else {
		p.moment(r.probe.started)
	}
	p.uuid(r.attempt.ID()).interval(r.ttl).remembered(r.ttl, remember(r.attempt))
	p.int4(int32(response.Status)).int2(record.Format).text(r.key). //nolint:gosec // a status has three digits
									text(response.RequestHash).bytes(record.EncodeHeader(response.Header)).bytes(response.Body)
}

// undo undoes the handler's writes: in the batch, before the record; or, in an
// aborted transaction, at once, for that refuses even to parse the batch. Nobody
// is woken yet: for them the key would be fresh.
func (r *reservation) undo(ctx context.Context, b *commitBatch) {
	t := r.probe.table
	if r.tx.conn.PgConn().TxStatus() == 'E' {
		sql := "rollback; " + beginSQL
		if t.locks {
			sql += fmt.Sprintf("; select pg_catalog.pg_try_advisory_xact_lock(%d, %d)", keyClass, r.probe.h)
		}
		ctx, cancel := context.WithTimeout(ctx, r.store.config.ReserveTimeout)
		defer cancel()
		// When it fails, the batch behind it fails too.
		_, _ = r.tx.conn.PgConn().Exec(ctx, sql).ReadAll()
		return
	}
	b.guarded = true
	b.queue(sameTransaction, b.params().moment(r.probe.started))
	b.queue(rollback, nil)
	b.queue(beginFresh, nil)
	if t.locks {
		b.queue(relock, b.params().int4(r.probe.h))
	}
}

// interval is d as the server takes it, to the microsecond.
func interval(d time.Duration) pgtype.Interval {
	return pgtype.Interval{Microseconds: d.Microseconds(), Valid: true}
}

// remembered is how long the key of a record with ttl is remembered in all, null
// if no longer than the record.
func remembered(ttl, after time.Duration) pgtype.Interval {
	if after <= 0 {
		return pgtype.Interval{}
	}
	return pgtype.Interval{Microseconds: ttl.Microseconds() + after.Microseconds(), Valid: true}
}

// notNil makes an empty body empty in the database, and not absent.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// sendCommit returns the COMMIT's own command tag, "" if it was not answered.
func (b *commitBatch) sendCommit(ctx context.Context) (tag string, err error) {
	results := b.send(ctx)
	defer func() { _ = results.close() }()
	for i := range b.commitAt {
		if i == b.insertAt {
			_, err = results.next(b.scan)
		} else {
			_, err = results.next(nil)
		}
		if err != nil && i == 0 && b.guarded && sqlState(err) == "22012" {
			return "", errOtherTransaction
		}
		if err != nil {
			return "", err
		}
	}
	done, err := results.next(nil)
	return done.String(), err
}

// scan reads what the INSERT returns. The record stands, whatever of it can be
// read: the COMMIT's tag says what became of it.
func (b *commitBatch) scan(r *row) error {
	b.storedAt = r.moment()
	b.watched = len(r.values) > 0 && !r.boolean()
	return nil
}
