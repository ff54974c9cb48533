package txstore

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/record"
)

// leaseBatch is a transaction of its own in one round trip: begin, one
// statement, possibly a look-up behind it, COMMIT, and the wake check.
type leaseBatch struct {
	sql    string
	args   []any
	lookup string // the key to look up; "" for none
	wake   bool   // the key is let go of: tell those who wait for it
}

// leaseReserve is one look of a leased attempt: it takes the key, or finds out
// why not. It is repeated when its reply is lost, with the same attempt id, and
// recognizes its own row then.
func (s *Store) leaseReserve(ctx context.Context, l *leaseHold) (look, error) {
	var (
		seen    look
		refusal error // a statement about the key, and not a failure of the call
	)
	err := s.leaseDo(ctx, s.config.ReserveTimeout, func(ctx context.Context, conn *pgxpool.Conn, t *table) error {
		h := t.hash(l.key)
		taken, f, err := s.leaseSend(ctx, conn, t, h, leaseBatch{
			sql: t.leaseReserve,
			args: []any{
				l.id, interval(s.config.Lease), int16(record.Format), l.key, l.hash,
				t.locks, int32(keyClass), h,
			},
			lookup: l.key,
		})
		seen, refusal = f.look(h), f.refusal(l.hash)
		if taken == 1 {
			seen, refusal = look{fresh: true}, nil
		}
		return err
	})
	return seen, cmp.Or(err, refusal)
}

// leaseCommit completes the lease and returns what stands under the key then.
func (s *Store) leaseCommit(ctx context.Context, l *leaseHold, response idem.Cached) (f found, err error) {
	err = s.leaseDo(ctx, s.config.CommitTimeout, func(ctx context.Context, conn *pgxpool.Conn, t *table) error {
		_, f, err = s.leaseSend(ctx, conn, t, t.hash(l.key), leaseBatch{
			sql: t.leaseCommit,
			args: []any{
				interval(l.ttl), remembered(l.ttl, l.remember), int32(response.Status), int16(record.Format), response.RequestHash, //nolint:gosec // a status has three digits
				record.EncodeHeader(response.Header), notNil(response.Body), l.key, l.id,
			},
			lookup: l.key,
			wake:   true,
		})
		return err
	})
	return f, err
}

func (s *Store) leaseRelease(ctx context.Context, l *leaseHold) error {
	return s.leaseDo(ctx, s.config.ReserveTimeout, func(ctx context.Context, conn *pgxpool.Conn, t *table) error {
		_, _, err := s.leaseSend(ctx, conn, t, t.hash(l.key), leaseBatch{sql: t.leaseRelease, args: []any{l.key, l.id}, wake: true})
		return err
	})
}

// leaseExec executes one statement by itself.
func (s *Store) leaseExec(ctx context.Context, sql func(*table) string, args ...any) (rows int64, err error) {
	err = s.leaseDo(ctx, s.config.ReserveTimeout, func(ctx context.Context, conn *pgxpool.Conn, t *table) error {
		tag, err := conn.Exec(ctx, sql(t), args...)
		rows = tag.RowsAffected()
		return err
	})
	return rows, err
}

// leaseDo runs do on a connection, and again on another one if that breaks:
// every statement of a lease is fenced by its attempt id and may be repeated.
func (s *Store) leaseDo(ctx context.Context, limit time.Duration, do func(context.Context, *pgxpool.Conn, *table) error) error {
	return s.onConn(ctx, func(conn *pgxpool.Conn, t *table) error {
		err := roundTrip(ctx, conn.Conn(), limit, func(ctx context.Context) error { return do(ctx, conn, t) })
		if err == nil {
			s.giveBack(conn)
		}
		return err
	})
}

// leaseSend sends a lease batch, and returns how many rows its statement has
// changed and what the look-up has found.
func (s *Store) leaseSend(ctx context.Context, conn *pgxpool.Conn, t *table, h int32, b leaseBatch) (changed int64, f found, err error) {
	var batch pgx.Batch
	batch.Queue(beginSQL)
	batch.Queue(b.sql, b.args...)
	if b.lookup != "" {
		batch.Queue(t.lookupOn(conn.Conn()), b.lookup)
	}
	batch.Queue("COMMIT")
	if b.wake && t.locks {
		queueWake(&batch, h)
	}
	br := conn.Conn().SendBatch(ctx, &batch)
	changed, f, err = readLease(br, b.lookup != "")
	if closeErr := br.Close(); err == nil && closeErr != nil {
		// Behind the COMMIT's own tag: only the wake check has failed.
		s.config.OnError(fmt.Errorf("txstore: waking: %w", closeErr))
	}
	if err != nil {
		s.rollBack(conn.Conn())
	}
	return changed, f, err
}

func readLease(br pgx.BatchResults, lookup bool) (changed int64, f found, err error) {
	if _, err := br.Exec(); err != nil {
		return 0, f, err
	}
	tag, err := br.Exec()
	if err != nil {
		return 0, f, err
	}
	if lookup {
		rows, err := br.Query()
		if err != nil {
			return 0, f, err
		}
		if f, err = scanFound(rows); err != nil {
			return 0, f, err
		}
	}
	commit, err := br.Exec()
	if err == nil && commit.String() != "COMMIT" {
		err = fmt.Errorf("txstore: COMMIT was answered %q", commit.String())
	}
	return tag.RowsAffected(), f, err
}
