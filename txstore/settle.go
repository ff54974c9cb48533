package txstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// settledAfter is how old a record is that is believed at once. A standby that
// has kept a COMMIT waiting for so long is away, and then replays of what it has
// had for a while must not wait for it, too.
const settledAfter = 5 * time.Second

// settle waits, where commits wait for a standby, until what the last look has
// seen is there. A session that was terminated while its COMMIT waited, or whose
// server has lost its first process, shows others its record before the standby
// has it; were it replayed, and the standby promoted, the client would have been
// told what never was. A commit behind it in the WAL is answered only after the
// standby has both.
func (s *Store) settle(ctx context.Context) error {
	if t := s.table.Load(); t == nil || !t.synchronous {
		return nil
	}
	return s.onConn(ctx, func(conn *pgxpool.Conn, _ *table) error {
		err := roundTrip(ctx, conn.Conn(), s.config.ReserveTimeout, func(ctx context.Context) error {
			_, err := conn.Exec(ctx, confirmSQL) // a transaction by itself
			return err
		})
		if err == nil || isServerRefusal(err) && !conn.Conn().IsClosed() {
			s.giveBack(conn)
			return nil
		}
		return err
	})
}
