package txstore

import (
	"context"
	"fmt"
	"time"

	"github.com/pgidem/pgidem/idem"
)

const (
	// sweepBatch bounds what one statement deletes, and so how long it takes.
	sweepBatch = 1000
	// sweepLeaseGrace is how long an ended lease is kept for its owner's late
	// word, if nobody takes the key.
	sweepLeaseGrace = time.Hour
)

// Sweep removes the records whose TTL is over and returns how many. Such records
// are never replayed, swept or not; Sweep gives their space back. It works in
// short statements of their own, removes nothing that is alive at the moment it
// is deleted, and waits for nobody, so several processes may sweep at once. When
// ctx ends it returns what was removed so far and the context's error.
func (s *Store) Sweep(ctx context.Context) (removed int64, err error) {
	for {
		n, err := s.sweepOnce(ctx)
		removed += n
		if err != nil || n < sweepBatch {
			return removed, err
		}
	}
}

func (s *Store) sweepOnce(ctx context.Context) (int64, error) {
	if err := s.running.begin(); err != nil {
		return 0, err
	}
	defer s.running.end()
	conn, err := s.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer s.giveBack(conn)
	t, err := s.loadTable(ctx, conn.Conn())
	if err != nil {
		return 0, err
	}
	tag, err := conn.Exec(ctx, t.sweep, sweepLeaseGrace.Microseconds(), int64(sweepBatch))
	if err != nil {
		return 0, fmt.Errorf("txstore: sweeping: %w: %w", idem.ErrStoreUnavailable, err)
	}
	return tag.RowsAffected(), nil
}
