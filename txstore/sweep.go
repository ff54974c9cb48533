package txstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// sweepBlocks bounds what one statement reads, and so how long it takes: two
	// megabytes of the table with blocks of the usual size.
	sweepBlocks = 256
	// sweepLeaseGrace is how long an ended lease is kept for its owner's late
	// word, if nobody takes the key.
	sweepLeaseGrace = time.Hour
)

// Sweep removes the records and tombstones whose time is over and returns how
// many. Such records are never replayed, swept or not; Sweep gives their space
// back. Of records that are remembered after their TTL it drops header and body.
//
// It works in short statements of their own, removes nothing that is alive at
// the moment it is deleted, and waits for nobody, so several processes may sweep
// at once. When ctx ends it returns what was removed so far and the context's
// error.
func (s *Store) Sweep(ctx context.Context) (removed int64, err error) {
	if !s.running.Begin() {
		return 0, errClosed()
	}
	defer s.running.End()
	blocks, err := s.sweepSize(ctx)
	for first := int64(0); err == nil && first < blocks; first += sweepBlocks {
		var n int64
		n, err = s.sweepRange(ctx, first)
		removed += n
		if err == nil {
			err = s.stillOpen()
		}
	}
	return removed, err
}

func (s *Store) stillOpen() error {
	select {
	case <-s.running.Closed():
		return errClosed()
	default:
		return nil
	}
}

// Run sweeps now and then, on average once in every, until ctx ends or the Store
// is closed, and returns why. Each process of a service may run it: they share
// the work, and the intervals vary by half so that they rarely meet. A sweep
// that fails is told to Config.OnError, and the next one tries again.
func (s *Store) Run(ctx context.Context, every time.Duration) error {
	if every <= 0 {
		return fmt.Errorf("txstore: Run: every is %v: it must be positive", every)
	}
	for {
		timer := time.NewTimer(every/2 + rand.N(every))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-s.running.Closed():
			timer.Stop()
			return errClosed()
		}
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.config.OnError(fmt.Errorf("txstore: sweeping: %w", err))
		}
	}
}

// sweepSize returns the size of the table in blocks. Rows that come later are
// not expired.
func (s *Store) sweepSize(ctx context.Context) (blocks int64, err error) {
	err = s.sweepDo(ctx, func(conn *pgxpool.Conn, t *table) error {
		return conn.QueryRow(ctx, `SELECT pg_catalog.pg_relation_size($1::bigint::oid::regclass)
			/ pg_catalog.current_setting('block_size')::bigint`, int64(t.oid)).Scan(&blocks)
	})
	return blocks + 1, err
}

// sweepRange sweeps the blocks from first on. A row's place is stable for as
// long as the statement has it locked.
func (s *Store) sweepRange(ctx context.Context, first int64) (removed int64, err error) {
	from, past := fmt.Sprintf("(%d,0)", first), fmt.Sprintf("(%d,0)", first+sweepBlocks)
	err = s.sweepDo(ctx, func(conn *pgxpool.Conn, t *table) error {
		if _, err := conn.Exec(ctx, t.entomb, from, past); err != nil {
			return err
		}
		tag, err := conn.Exec(ctx, t.sweep, from, past, sweepLeaseGrace.Microseconds())
		removed = tag.RowsAffected()
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
