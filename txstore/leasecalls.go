package txstore

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/record"
)

// leaseBatch is a transaction of its own in one round trip: begin, one
// statement, possibly a look-up behind it, COMMIT, and the wake check.
type leaseBatch struct {
	statement *statement
	params    *params
	lookup    string // the key to look up; "" for none
	wake      bool   // the key is let go of: tell those who wait for it
}

// leaseReserve is one look of a leased attempt: it takes the key, or finds out
// why not. It is repeated when its reply is lost, with the same attempt id, and
// recognizes its own row then.
func (s *Store) leaseReserve(ctx context.Context, l *leaseHold) (look, error) {
	var (
		seen    look
		refusal error // a statement about the key, and not a failure of the call
	)
	err := s.leaseDo(ctx, l.key, s.config.ReserveTimeout, func(ctx context.Context, conn *pgxpool.Conn, t *table) error {
		h := t.hash(l.key)
		taken, f, err := s.leaseSend(ctx, conn, t, h, leaseBatch{
			statement: t.leaseReserve,
			params: new(params).uuid(l.id).interval(s.config.Lease).int2(record.Format).text(l.key).text(l.hash).
				boolean(t.locks).int4(keyClass).int4(h),
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
	err = s.leaseDo(ctx, l.key, s.config.CommitTimeout, func(ctx context.Context, conn *pgxpool.Conn, t *table) error {
		for range maxTries {
			var changed int64
			changed, f, err = s.leaseSend(ctx, conn, t, t.hash(l.key), leaseBatch{
				statement: t.leaseCommit,
				params:    l.record(response),
				lookup:    l.key,
				wake:      true,
			})
			if err != nil || changed > 0 || !f.completed || f.attemptID != l.id {
				return err
			}
			// It was committed before, in a call whose reply was lost: by a session that
			// was terminated, perhaps, while it waited for a standby. A COMMIT that
			// changes nothing waits for none. Behind a pooler the connection may lead to
			// the promoted standby by now, where the lease is to be completed anew.
			if there, err := t.settle(ctx, conn.Conn(), l.key, l.id); there || err != nil {
				return err
			}
		}
		return errTwoServers
	})
	return f, err
}

// record is what completes the lease with a response.
func (l *leaseHold) record(response idem.Cached) *params {
	p := new(params).interval(l.ttl).remembered(l.ttl, l.remember)
	return p.int4(int32(response.Status)).int2(record.Format).text(response.RequestHash). //nolint:gosec // a status has three digits
												bytes(record.EncodeHeader(response.Header)).bytes(response.Body).text(l.key).uuid(l.id)
}

func (s *Store) leaseRelease(ctx context.Context, l *leaseHold) error {
	return s.leaseDo(ctx, l.key, s.config.ReserveTimeout, func(ctx context.Context, conn *pgxpool.Conn, t *table) error {
		_, _, err := s.leaseSend(ctx, conn, t, t.hash(l.key), leaseBatch{
			statement: t.leaseRelease, params: new(params).text(l.key).uuid(l.id), wake: true,
		})
		return err
	})
}

// leaseRenew prolongs the lease, and tells whether there was one left.
func (s *Store) leaseRenew(ctx context.Context, l *leaseHold) (renewed bool, err error) {
	err = s.leaseDo(ctx, l.key, s.config.ReserveTimeout, func(ctx context.Context, conn *pgxpool.Conn, t *table) error {
		changed, _, err := s.leaseSend(ctx, conn, t, t.hash(l.key), leaseBatch{
			statement: t.leaseRenew, params: new(params).interval(s.config.Lease).text(l.key).uuid(l.id),
		})
		renewed = changed == 1
		return err
	})
	return renewed, err
}

// leaseDo runs do on a connection, and again on another one if that breaks:
// every statement of a lease is fenced by its attempt id and may be repeated.
func (s *Store) leaseDo(ctx context.Context, key string, limit time.Duration, do func(context.Context, *pgxpool.Conn, *table) error) error {
	return s.onConn(ctx, func(conn *pgxpool.Conn, t *table) error {
		if err := mustSpell(ctx, conn.Conn(), key); err != nil {
			return err
		}
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
	if err := prepare(ctx, conn.Conn(), t.leases); err != nil {
		return 0, f, err
	}
	batch := newBatch(conn.Conn())
	batch.queue(beginFresh, nil)
	batch.queue(b.statement, b.params)
	if b.lookup != "" {
		batch.queue(t.lookup, batch.params().text(b.lookup))
	}
	batch.queue(commit, nil)
	if b.wake && t.locks {
		batch.queue(wake, batch.params().int4(h).text(strconv.Itoa(int(h))))
	}
	r := batch.send(ctx)
	changed, f, err = readLease(r, b.lookup != "")
	if closeErr := r.close(); err == nil && closeErr != nil {
		// Behind the COMMIT's own tag: only the wake check has failed.
		s.config.OnError(fmt.Errorf("txstore: waking: %w", closeErr))
	}
	if err != nil {
		s.rollBack(conn.Conn())
	}
	return changed, f, err
}

func readLease(r *results, lookup bool) (changed int64, f found, err error) {
	if _, err := r.next(nil); err != nil {
		return 0, f, err
	}
	tag, err := r.next(nil)
	if err != nil {
		return 0, f, err
	}
	if lookup {
		if _, err := r.next(f.scan); err != nil {
			return 0, f, err
		}
	}
	commit, err := r.next(nil)
	if err == nil && commit.String() != "COMMIT" {
		err = fmt.Errorf("txstore: COMMIT was answered %q", commit.String())
	}
	return tag.RowsAffected(), f, err
}
