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
// Store keeps what it finds first, and the caller may have set search_path for its
// own sake: what that leads to must not become the Store's table. Such a
// connection is not asked, but one of the pool.
//
// Any other is: the pool may have no further connection, and to wait for one inside
// a transaction can deadlock where PostgreSQL does not see it.
func (s *Store) callersTable(ctx context.Context, conn *pgx.Conn) (*table, error) {
	if t := s.table.Load(); t != nil {
		return t, nil
	}
	if s.config.Schema != "" {
		return s.loadTable(ctx, conn) // by its full name
	}
	var asConnected bool
	if err := conn.QueryRow(ctx, searchesAsConnectedSQL).Scan(&asConnected); err != nil {
		return nil, fmt.Errorf("txstore: looking for the records table: %w", err)
	}
	if !asConnected {
		return s.poolsTable(ctx)
	}
	return s.loadTable(ctx, conn)
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
		return nil, fmt.Errorf("txstore: the connection has another search_path or role than it began with, and the records table was not found by a further one: set Config.Schema: %w", err)
	}
	return found, nil
}
