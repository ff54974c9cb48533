package txstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// searchesAsConnectedSQL tells whether the session looks for tables as it did when
// it connected: a SET, LOCAL or not, has changed neither search_path nor the role,
// which search_path can name. A pool whose AfterConnect does that has no session of
// which it is true, and its connections are asked one by another.
const searchesAsConnectedSQL = `SELECT setting IS NOT DISTINCT FROM reset_val AND current_user = session_user
FROM pg_catalog.pg_settings WHERE name = 'search_path'`

// callersTable returns the records table for a caller's transaction on conn. The
// Store keeps what it finds first, and the caller may have a connection of another
// pool, or have set search_path for its own sake: what that leads to must not become
// the Store's table. Such a connection is not asked, but one of the pool.
//
// Any other is: the pool may have no further connection, and to wait for one inside
// a transaction can deadlock where PostgreSQL does not see it. It is asked through the
// transaction, which knows whether it has ended: then the connection is another's.
func (s *Store) callersTable(ctx context.Context, tx pgx.Tx, conn *pgx.Conn) (*table, error) {
	if t := s.table.Load(); t != nil {
		return t, nil
	}
	if !sameWay(conn.Config(), s.pool.Config()) {
		return s.poolsTable(ctx)
	}
	if s.config.Schema != "" {
		return s.loadTable(ctx, tx, conn.PgConn().PID()) // by its full name
	}
	var asConnected bool
	if err := tx.QueryRow(ctx, searchesAsConnectedSQL).Scan(&asConnected); err != nil {
		return nil, fmt.Errorf("txstore: looking for the records table: %w", err)
	}
	if !asConnected {
		return s.poolsTable(ctx)
	}
	return s.loadTable(ctx, tx, conn.PgConn().PID())
}

// sameWay tells whether connections that are made so lead to one database, and
// search it for tables in one way. User and database are not compared where the pool
// has a BeforeConnect, which may choose them for each connection.
func sameWay(a *pgx.ConnConfig, pool *pgxpool.Config) bool {
	b := pool.ConnConfig
	for _, parameter := range []string{"search_path", "role", "options"} {
		if a.RuntimeParams[parameter] != b.RuntimeParams[parameter] {
			return false
		}
	}
	return a.ConnString() == b.ConnString() && (pool.BeforeConnect != nil || a.Database == b.Database && a.User == b.User)
}

// poolsTable returns the records table as a connection of the pool finds it. If the
// caller has the last one, it gives up after Config.AcquireTimeout.
func (s *Store) poolsTable(ctx context.Context) (found *table, err error) {
	err = s.onConn(ctx, func(conn *pgxpool.Conn, t *table) error {
		found = t
		s.giveBack(conn)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("txstore: the connection is of another pool, or has another search_path or role than it began with, and the records table was not found by one of the Store's: set Config.Schema: %w", err)
	}
	return found, nil
}
