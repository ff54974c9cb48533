package txstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/record"
)

// The wake check notifies only if somebody waits: whoever does holds the wait
// lock, shared. It follows the COMMIT in a transaction of its own, for a NOTIFY
// in the handler's transaction would make all commits of the instance queue up.
const wakeSQL = `SELECT pg_catalog.pg_notify('` + wakeChannel + `', ($2::int4)::text)
WHERE NOT pg_catalog.pg_try_advisory_xact_lock($1::int4, $2::int4)`

// beginResponseSQL begins the transaction of a response whose writes were
// undone. Nothing but the record is in it, so it needs no stricter isolation.
const beginResponseSQL = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

// commitBatch is the record, the COMMIT and the wake check in one round trip.
type commitBatch struct {
	pgx.Batch
	insertAt, commitAt int // positions of the two results that matter
}

func (r *reservation) newCommitBatch(response idem.Cached, responseOnly bool) *commitBatch {
	b, t, started := &commitBatch{}, r.probe.table, r.probe.started
	if responseOnly {
		b.Queue("ROLLBACK")
		b.Queue(beginResponseSQL)
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
	b.Queue(t.insert, started, r.attempt.ID(), r.ttl.Microseconds(), int32(response.Status), int16(record.Format), //nolint:gosec // a status has three digits
		r.key, response.RequestHash, record.EncodeHeader(response.Header), notNil(response.Body))
	b.commitAt = b.Len()
	b.Queue("COMMIT")
	if !r.store.config.DisableLocks {
		b.Queue(wakeSQL, int32(waitClass), r.probe.h)
	}
	return b
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
		if err != nil {
			return "", 0, err
		}
	}
	commit, err := br.Exec()
	return commit.String(), storedAt, err
}
