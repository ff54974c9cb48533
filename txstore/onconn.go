package txstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
)

const (
	// minProbeTime is what a round trip is given even if its caller's deadline
	// is nearer: cut short, it would cost the connection.
	minProbeTime = 500 * time.Millisecond
	// maxTries bounds how often a call is repeated on other connections.
	maxTries = 4
)

// onConn lets do work on a pool connection, which is do's if it succeeds. What
// do does may be repeated: it is, when its failure says nothing about the key,
// as that of a connection that had died in the pool, of a plan that went stale,
// or of a victim of somebody else's transaction.
func (s *Store) onConn(ctx context.Context, do func(*pgxpool.Conn, *table) error) error {
	var last error
	for range maxTries {
		conn, err := s.acquire(ctx)
		if err != nil {
			return err
		}
		if err = s.onThis(ctx, conn, do); err == nil {
			return nil
		}
		repeat := s.mend(ctx, conn, err)
		s.giveBack(conn)
		switch {
		case errors.Is(err, idem.ErrRecordUnreadable), errors.Is(err, idem.ErrStoreUnavailable):
			return err
		case sqlState(err) == "42P01":
			s.table.Store(nil) // dropped and made again, or never made
			return errTableMissing(tableName)
		case ctx.Err() != nil || !repeat:
			return unavailable(err)
		}
		last = err
	}
	return unavailable(last)
}

func unavailable(err error) error {
	return fmt.Errorf("txstore: %w: %w", idem.ErrStoreUnavailable, err)
}

func (s *Store) onThis(ctx context.Context, conn *pgxpool.Conn, do func(*pgxpool.Conn, *table) error) error {
	t, err := s.loadTableSoon(ctx, conn)
	if err != nil {
		return err
	}
	return do(conn, t)
}

func (s *Store) loadTableSoon(ctx context.Context, conn *pgxpool.Conn) (*table, error) {
	if t := s.table.Load(); t != nil {
		return t, nil
	}
	ctx, cancel := s.detached(ctx, s.config.ReserveTimeout)
	defer cancel()
	return s.loadTable(ctx, conn.Conn())
}

// mend makes a connection usable again after err, and tells whether the call is
// worth repeating.
func (s *Store) mend(ctx context.Context, conn *pgxpool.Conn, err error) (repeat bool) {
	switch {
	case conn.Conn().IsClosed():
		return !errors.Is(err, context.DeadlineExceeded)
	case isStalePlan(err):
		s.forgetPlans(ctx, conn.Conn())
		return true
	}
	return isConflict(err)
}

// forgetPlans makes pgx prepare everything on conn anew. It would go on using
// the names of statements that are gone.
func (s *Store) forgetPlans(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := s.detached(ctx, s.config.ReserveTimeout)
	defer cancel()
	if err := conn.DeallocateAll(ctx); err != nil {
		s.config.OnError(fmt.Errorf("txstore: forgetting prepared statements: %w", err))
	}
}

// detached detaches a round trip from its caller's cancellation: cut off between
// the lock and its answer it would cost the connection, and nobody would wake
// those who wait for the lock.
func (s *Store) detached(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, max(time.Until(deadline), minProbeTime))
	}
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}
