package txstore

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/record"
)

// The wake check notifies only if somebody waits: whoever does holds the wait
// lock, shared. It follows the COMMIT in a transaction of its own, for a NOTIFY
// in the handler's transaction would make all commits of the instance queue up.
var wakeSQL = fmt.Sprintf(`SELECT pg_catalog.pg_notify('%s', $2::text)
WHERE NOT pg_catalog.pg_try_advisory_xact_lock(%d, $1::int4)`, wakeChannel, waitClass)

// queueWake puts the wake check for h into b.
func queueWake(b *pgx.Batch, h int32) *pgx.QueuedQuery {
	return b.Queue(wakeSQL, h, strconv.Itoa(int(h)))
}

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

// commitBatch is the record, the COMMIT and the wake check in one round trip.
type commitBatch struct {
	pgx.Batch
	guarded            bool // the first statement is sameTransactionSQL
	insertAt, commitAt int  // positions of the two results that matter
}

// queueRecord puts the record, the COMMIT and the wake check into b.
func (r *reservation) queueRecord(b *commitBatch, response idem.Cached, responseOnly bool) {
	t := r.probe.table
	var started any // nil: of whatever transaction it is
	if !responseOnly {
		started = r.probe.started.time()
	}
	if stale := r.probe.found.attemptID; stale != "" {
		// Fenced by the attempt id that Reserve saw, and by staleness now. By
		// key alone it would remove the record of an attempt that has come in
		// between, and the handler would have run twice.
		b.Queue(t.deleteStale, r.key, stale)
	}
	// A plain INSERT: another attempt's record must raise 23505, so that the
	// server skips the COMMIT behind it. DO NOTHING would commit the writes.
	b.insertAt = b.Len()
	b.Queue(t.insert, started, r.attempt.ID(), interval(r.ttl), remembered(r.ttl, remember(r.attempt)), int32(response.Status), int16(record.Format), //nolint:gosec // a status has three digits
		r.key, response.RequestHash, record.EncodeHeader(response.Header), notNil(response.Body))
	b.commitAt = b.Len()
	b.Queue("COMMIT")
	if t.locks {
		queueWake(&b.Batch, r.probe.h)
	}
}

// undo undoes the handler's writes: in the batch, before the record; or, in an
// aborted transaction, at once. The batch would first prepare its statements,
// which an aborted transaction refuses. Nobody is woken yet: for them the key
// would be fresh.
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
	b.Queue(sameTransactionSQL, r.probe.started.time())
	b.Queue("ROLLBACK")
	b.Queue(beginSQL)
	if t.locks {
		b.Queue(relockSQL, r.probe.h)
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

// sendBatch returns the COMMIT's own command tag, "" if it was not answered, and
// the moment of the record. An error behind the tag is not returned.
func (r *reservation) sendBatch(ctx context.Context, b *commitBatch) (tag string, storedAt moment, err error) {
	br := r.tx.conn.SendBatch(ctx, &b.Batch)
	defer func() { _ = br.Close() }()
	for i := range b.commitAt {
		if i == b.insertAt {
			storedAt, err = scanStoredAt(br)
		} else {
			_, err = br.Exec()
		}
		if err != nil && i == 0 && b.guarded && sqlState(err) == "22012" {
			return "", 0, errOtherTransaction
		}
		if err != nil {
			return "", 0, err
		}
	}
	commit, err := br.Exec()
	return commit.String(), cmp.Or(storedAt, r.probe.started), err
}

// scanStoredAt reads the moment of the record, 0 where it cannot be read: the
// record stands all the same, and the COMMIT's tag says what became of it.
func scanStoredAt(br pgx.BatchResults) (storedAt moment, err error) {
	rows, err := br.Query()
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		storedAt = rowOf(rows).moment()
	}
	rows.Close()
	return storedAt, rows.Err()
}
