package txstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
)

const (
	// minProbeTime is what a round trip is given even if its caller's deadline
	// is nearer: cut short, it would cost the connection.
	minProbeTime = 500 * time.Millisecond
	// maxTries bounds how often a call is made, on one connection after the other.
	maxTries = 4
	// deadTime is how soon a connection that had died is found out.
	deadTime = 100 * time.Millisecond
)

// onConn lets do work on a pool connection, which is do's if it succeeds. What
// do does may be repeated: it is, when its failure says nothing about the key,
// as that of a connection that had died in the pool, of a plan that went stale,
// or of a victim of somebody else's transaction.
func (s *Store) onConn(ctx context.Context, do func(*pgxpool.Conn, *table) error) error {
	var last error
	var again time.Time // when the try under way began, but for the first
	for tries, dead := 0, int32(0); tries < maxTries; {
		conn, err := s.acquire(ctx)
		if err != nil {
			return err
		}
		if err = s.onThis(ctx, conn, do); err == nil {
			return nil
		}
		// A connection that has died in the pool says so at once, and is no try: when the
		// server was started again, all of them have.
		if conn.Conn().IsClosed() && !errors.Is(err, errSpelling) && time.Since(again) < deadTime && dead < s.pool.Stat().MaxConns() {
			dead++
		} else {
			tries++
		}
		again = time.Now()
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

// onThis lets do work on conn. If do panics, as a tracer of the user's can, conn is
// the pool's again, which looks at the state that it is in.
func (s *Store) onThis(ctx context.Context, conn *pgxpool.Conn, do func(*pgxpool.Conn, *table) error) error {
	panics := true
	defer func() {
		if panics {
			s.giveBack(conn)
		}
	}()
	err := s.onTable(ctx, conn, do)
	panics = false
	return err
}

func (s *Store) onTable(ctx context.Context, conn *pgxpool.Conn, do func(*pgxpool.Conn, *table) error) error {
	t, err := s.loadTableSoon(ctx, conn)
	if err != nil {
		return err
	}
	if err = do(conn, t); err == nil || !isStalePlan(err) {
		return err
	}
	// Again on the same connection: of the others in the pool, each may have lost
	// its statements, too.
	s.forgetPlans(ctx, conn.Conn(), err)
	return do(conn, t)
}

func (s *Store) loadTableSoon(ctx context.Context, conn *pgxpool.Conn) (*table, error) {
	if t := s.table.Load(); t != nil {
		return t, nil
	}
	var t *table
	err := roundTrip(ctx, conn.Conn(), s.config.ReserveTimeout, func(ctx context.Context) (err error) {
		t, err = s.loadTable(ctx, conn.Conn(), conn.Conn().PgConn().PID())
		return err
	})
	if err == nil && t.pooled {
		s.listener.foundPooler()
	}
	return t, err
}

// mend makes a connection usable again after err, and tells whether the call is
// worth repeating.
func (s *Store) mend(ctx context.Context, conn *pgxpool.Conn, err error) (repeat bool) {
	switch {
	case conn.Conn().IsClosed():
		return !pgconn.Timeout(err)
	case isStalePlan(err):
		s.forgetPlans(ctx, conn.Conn(), err)
		return true
	}
	return isConflict(err)
}

// forgetPlans makes the Store prepare its statements on conn anew, and pgx
// everything, unless it was our table that has changed: both would go on using the
// names of statements that are gone.
func (s *Store) forgetPlans(ctx context.Context, conn *pgx.Conn, because error) {
	forget := conn.DeallocateAll
	if sqlState(because) == "0A000" {
		// What the pool's AfterConnect has prepared is as good as it was, and
		// would not be prepared again.
		forget = func(ctx context.Context) error { return plansOn(conn).deallocate(ctx, conn.PgConn()) }
	}
	err := roundTrip(ctx, conn, s.config.ReserveTimeout, forget)
	plansOn(conn).forget()
	if err != nil {
		s.config.OnError(fmt.Errorf("txstore: forgetting prepared statements: %w", err))
	}
}

// roundTrip gives do one round trip on conn, of at most limit. It is detached from
// its caller's cancellation: cut off between the lock and its answer it would
// cost the connection, and nobody would wake those who wait for the lock.
//
// The limit is the socket's own. A context with a deadline would cost a timer and
// a watch in every request; what becomes of the connection when the time is over
// is the same.
func roundTrip(ctx context.Context, conn *pgx.Conn, limit time.Duration, do func(context.Context) error) error {
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, max(time.Until(deadline), minProbeTime))
	}
	socket := conn.PgConn().Conn()
	if err := socket.SetDeadline(time.Now().Add(limit)); err != nil {
		// A connection without deadlines, as one through an SSH tunnel.
		cut := time.AfterFunc(limit, func() { _ = socket.Close() })
		defer cut.Stop()
		return do(context.WithoutCancel(ctx))
	}
	defer func() {
		if !conn.IsClosed() { // or else pgx's own deadline is set, or about to be
			_ = socket.SetDeadline(time.Time{})
		}
	}()
	return do(context.WithoutCancel(ctx))
}
