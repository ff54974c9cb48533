package txstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/record"
)

// The wake check notifies only if somebody waits: whoever does holds the wait
// lock, shared. It follows the COMMIT in a transaction of its own, for a NOTIFY
// in the handler's transaction would make all commits of the instance queue up.
const wakeSQL = `SELECT pg_catalog.pg_notify('` + wakeChannel + `', ($2::int4)::text)
WHERE NOT pg_catalog.pg_try_advisory_xact_lock($1::int4, $2::int4)`

// beginSQL begins a transaction with nothing in it but our own row: of a response
// whose writes were undone, or of a lease. It must see the newest row, whatever
// the session's default.
const beginSQL = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

// sameTransactionSQL fails in any other transaction than the one that began at
// $1: the writes of that one are committed, and cannot be undone any more.
const sameTransactionSQL = `SELECT 1 / ((extract(epoch FROM transaction_timestamp()) * 1000000)::bigint = $1::bigint)::int`

// relockSQL takes the key's lock again, which ROLLBACK has released, so that the
// key stays in flight while the response is committed. Not got, somebody was
// quick, and the unique key decides between the two.
const relockSQL = `SELECT pg_catalog.pg_try_advisory_xact_lock($1::int4, $2::int4)`

// commitBatch is the record, the COMMIT and the wake check in one round trip.
type commitBatch struct {
	pgx.Batch
	guarded            bool // the first statement is sameTransactionSQL
	insertAt, commitAt int  // positions of the two results that matter
}

// queueRecord puts the record, the COMMIT and the wake check into b.
func (r *reservation) queueRecord(b *commitBatch, response idem.Cached, responseOnly bool) {
	t, started := r.probe.table, r.probe.started
	if responseOnly {
		started = 0 // of whatever transaction it is
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
	b.Queue(t.insert, started, r.attempt.ID(), r.ttl.Microseconds(), remember(r.attempt).Microseconds(), int32(response.Status), int16(record.Format), //nolint:gosec // a status has three digits
		r.key, response.RequestHash, record.EncodeHeader(response.Header), notNil(response.Body))
	b.commitAt = b.Len()
	b.Queue("COMMIT")
	if t.locks {
		b.Queue(wakeSQL, int32(waitClass), r.probe.h)
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
	b.Queue(sameTransactionSQL, r.probe.started)
	b.Queue("ROLLBACK")
	b.Queue(beginSQL)
	if t.locks {
		b.Queue(relockSQL, int32(keyClass), r.probe.h)
	}
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
func (r *reservation) sendBatch(ctx context.Context, b *commitBatch) (tag string, storedAt int64, err error) {
	br := r.tx.conn.SendBatch(ctx, &b.Batch)
	defer func() { _ = br.Close() }()
	for i := range b.commitAt {
		if i == b.insertAt {
			err = br.QueryRow().Scan(&storedAt)
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
	return commit.String(), storedAt, err
}
