package txstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// settledAfter is how old a record is that is believed at once. A standby that
// has kept a COMMIT waiting for so long is away, and then replays of what it has
// had for a while must not wait for it, too.
const settledAfter = 5 * time.Second

// settledSQL sees the record, and writes behind it into the WAL what nobody reads.
const settledSQL = `SELECT CASE WHEN pg_catalog.current_setting('synchronous_standby_names') <> ''
THEN pg_catalog.pg_logical_emit_message(true, 'pgidem', '') END
FROM ` + tableName + ` WHERE key = $1::text AND attempt_id = $2::text::uuid AND status IS NOT NULL`

// settle waits, where commits wait for a standby, until a record that the last look
// has seen is there, and tells whether it still is. A session that was terminated
// while its COMMIT waited, or whose server has lost its first process, shows others
// its record before the standby has it; were it replayed, and the standby promoted,
// the client would have been told what never was. A commit behind it in the WAL is
// answered only after the standby has both.
//
// It must be behind that record: the connection may lead to the promoted standby
// already, whose word on a commit of its own says nothing of what the other server
// has shown. So the statement that commits sees the record, too, and not the lease that
// it was before.
func (s *Store) settle(ctx context.Context, key, attemptID string) (there bool, err error) {
	if t := s.table.Load(); t != nil && !t.synchronous {
		return true, nil
	}
	err = s.onConn(ctx, func(conn *pgxpool.Conn, t *table) error {
		if err := mustSpell(ctx, conn.Conn(), key); err != nil {
			return err
		}
		err := roundTrip(ctx, conn.Conn(), s.config.ReserveTimeout, func(ctx context.Context) (err error) {
			there, err = t.settle(ctx, conn.Conn(), key, attemptID)
			return err
		})
		if err == nil {
			s.giveBack(conn)
		}
		return err
	})
	return there, err
}

// settle is Store.settle on conn. The statement is a transaction by itself; and not
// prepared, since it is needed seldom and what is kept a handler may deallocate.
func (t *table) settle(ctx context.Context, conn *pgx.Conn, key, attemptID string) (there bool, err error) {
	tag, err := conn.Exec(ctx, t.settled, pgx.QueryExecModeExec, key, attemptID)
	if cannotConfirm(err) {
		return true, nil
	}
	return err == nil && tag.RowsAffected() > 0, err
}
