package txstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// sweepBlocks bounds what one step reads, and so how long it takes: a quarter of
	// a megabyte of the table with blocks of the usual size, a few milliseconds.
	sweepBlocks = 32
	// sweepRest is how long a sweep rests after each step, in multiples of what
	// the step took: the requests of that moment had to wait for it.
	sweepRest = 9
	// sweepLeaseGrace is how long an ended lease is kept for its owner's late
	// word, if nobody takes the key.
	sweepLeaseGrace = time.Hour
	// maxEvery is as good as never, and a duration can hold half of it more.
	maxEvery = 365 * 24 * time.Hour
)

// Sweep removes the records and tombstones whose time is over and returns how
// many. Such records are never replayed, swept or not; Sweep gives their space
// back. Of records that are remembered after their TTL it drops header and body.
//
// It works in short steps, removes nothing that is alive at the moment it is
// deleted, and waits for nobody, so several processes may sweep at once. Between
// the steps it rests nine times as long as they take, for the sake of the requests
// that are served meanwhile: a million records take a minute or more. When ctx ends
// it returns what was removed so far and the context's error.
func (s *Store) Sweep(ctx context.Context) (removed int64, err error) {
	if !s.running.Begin() {
		return 0, errClosed()
	}
	defer s.running.End()
	blocks, err := s.sweepSize(ctx)
	for first := int64(0); err == nil && first < blocks; first += sweepBlocks {
		var n int64
		began := time.Now()
		n, err = s.sweepRange(ctx, first)
		removed += n
		if err == nil && first+sweepBlocks < blocks {
			err = s.pause(ctx, sweepRest*time.Since(began))
		}
	}
	return removed, err
}

// pause waits, or says why there is no waiting any more.
func (s *Store) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.running.Closed():
		return errClosed()
	}
}

// Run sweeps now and then, on average once in every, until ctx ends or the Store
// is closed, and returns why. Each process of a service may run it: they share
// the work, and the intervals vary by half so that they rarely meet. The first
// sweep comes when half of every is over, at the earliest: a process that does not
// live so long calls Sweep. A sweep that fails is told to Config.OnError, and the
// next one tries again.
func (s *Store) Run(ctx context.Context, every time.Duration) error {
	if every <= 0 {
		err := fmt.Errorf("txstore: Run: every is %v: it must be positive", every)
		s.config.OnError(err) // of a goroutine nobody may ask for it
		return err
	}
	every = min(every, maxEvery)
	for {
		if err := s.pause(ctx, every/2+rand.N(every)); err != nil {
			return err
		}
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.config.OnError(fmt.Errorf("txstore: sweeping: %w", err))
		}
	}
}

// sweepSizeSQL asks by name, as what sweeps does: the oid that is known may be that
// of a table which was dropped or renamed.
const sweepSizeSQL = `SELECT
    c.oid::bigint,
    COALESCE(pg_catalog.pg_relation_size(c.oid), 0) / pg_catalog.current_setting('block_size')::bigint
FROM pg_catalog.pg_class AS c
WHERE c.oid = pg_catalog.to_regclass($1::text)`

// sweepSize returns the size of the table in blocks. Rows that come later are
// not expired.
//
// No request notices that another table has got the name: its statements go on to
// work. But the oid is part of a key's number: who came later locks another one. So
// the Store looks for its table anew.
func (s *Store) sweepSize(ctx context.Context) (blocks int64, err error) {
	err = s.sweepDo(ctx, func(conn *pgxpool.Conn, t *table) error {
		var oid int64
		err := conn.QueryRow(ctx, sweepSizeSQL, t.name()).Scan(&oid, &blocks)
		missing := errors.Is(err, pgx.ErrNoRows)
		if missing || err == nil && oid != int64(t.oid) {
			s.table.CompareAndSwap(t, nil) // unless somebody has looked since
		}
		if missing {
			return errTableMissing(t.name())
		}
		return err
	})
	return blocks + 1, err
}

// relaxSQL spares a sweep the wait for the disk and for standbys, and the commits of
// others one more that they share it with: what a crash brings back is swept again.
const relaxSQL = `SELECT pg_catalog.set_config('synchronous_commit', 'off', true)`

// sweepRange sweeps the blocks from first on, in one transaction, which may write and
// sees the newest rows whatever the session has by default. A row's place is stable
// for as long as the statement has it locked.
func (s *Store) sweepRange(ctx context.Context, first int64) (removed int64, err error) {
	from, past := fmt.Sprintf("(%d,0)", first), fmt.Sprintf("(%d,0)", first+sweepBlocks)
	err = s.sweepDo(ctx, func(conn *pgxpool.Conn, t *table) error {
		var b pgx.Batch
		b.Queue(beginFresh.sql)
		b.Queue(relaxSQL)
		b.Queue(t.entomb, from, past)
		b.Queue(t.sweep, from, past, sweepLeaseGrace.Microseconds()).Exec(func(tag pgconn.CommandTag) error {
			removed = tag.RowsAffected()
			return nil
		})
		b.Queue(commit.sql)
		err := conn.SendBatch(ctx, &b).Close()
		if err != nil {
			s.rollBack(conn.Conn())
		}
		return err
	})
	return removed, err
}

func (s *Store) sweepDo(ctx context.Context, do func(*pgxpool.Conn, *table) error) error {
	err := s.onConn(ctx, func(conn *pgxpool.Conn, t *table) error {
		if err := do(conn, t); err != nil {
			return err
		}
		s.giveBack(conn)
		return nil
	})
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = errors.Join(ctx.Err(), err)
	}
	return err
}
