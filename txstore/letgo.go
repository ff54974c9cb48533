package txstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// letGo ends the transaction on conn in whatever state it is, and runs the wake
// check for h: whoever lets go of a key's lock, for whatever reason, tells those
// who wait for it. A replay and a prober that was only looking held it too.
//
// It is one string of the simple protocol. A pgx Batch would first prepare its
// statements, which fails in an aborted transaction, and the ROLLBACK would
// never be sent.
//
// When it fails the connection is left in a transaction or closed, and giveBack
// destroys it; the waiters' poll covers what the wake check did not tell.
func (s *Store) letGo(conn *pgx.Conn, h int32) { s.exec(conn, s.letGoSQL(h)) }

// notify tells those who wait for h that its attempt is over.
func (s *Store) notify(conn *pgx.Conn, h int32) {
	s.exec(conn, fmt.Sprintf("select pg_catalog.pg_notify('%s', '%d')", wakeChannel, h))
}

// rollBack ends a transaction that holds no key's lock.
func (s *Store) rollBack(conn *pgx.Conn) { s.exec(conn, "rollback") }

func (s *Store) exec(conn *pgx.Conn, sql string) {
	if conn.IsClosed() {
		return
	}
	err := roundTrip(context.Background(), conn, s.config.ReserveTimeout, func(ctx context.Context) error {
		_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
		return err
	})
	if err != nil {
		s.config.OnError(fmt.Errorf("txstore: letting a key go, or telling of it: %w", err))
	}
}

func (s *Store) letGoSQL(h int32) string {
	if s.config.DisableLocks {
		return "rollback"
	}
	return fmt.Sprintf("rollback; select pg_catalog.pg_notify('%s', '%d') where not pg_catalog.pg_try_advisory_xact_lock(%d, %d)",
		wakeChannel, h, waitClass, h)
}

// giveBack returns conn to the pool, which destroys it unless it is idle and
// outside a transaction.
func (s *Store) giveBack(conn *pgxpool.Conn) { conn.Release() }

// closeProbe ends a probe that found no reason to go on.
func (s *Store) closeProbe(p *probe) {
	s.letGoProbe(p)
	s.giveBack(p.conn)
}

// letGoProbe lets go of what a probe holds. One that did not get the lock lets
// go of nothing, and one that found a live lease was in the way of waiters for
// that lease alone: were they to tell anybody, it would be the waiter of their own
// process, whose next look would do the same again, without end. A waiter for
// another key of the same number, which is a rare thing, polls.
func (s *Store) letGoProbe(p *probe) {
	if p.locked && !p.found.leased() {
		s.letGo(p.conn.Conn(), p.h)
	} else {
		s.rollBack(p.conn.Conn())
	}
}
