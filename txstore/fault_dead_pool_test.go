package txstore_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Behaviour 41. As after a restart of the server: every connection that the pool has
// is dead, and whoever comes first does not pay for all.
func TestPoolOfDeadConnectionsIsNoOutage(t *testing.T) {
	t.Parallel()
	const conns = 12 // of which the Store has used one
	w := newWorld(t, given{Conns: conns})
	w.attempt("before").mustBeFresh().mustRelease()
	all := make([]*pgxpool.Conn, conns)
	for i := range all {
		c, err := w.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all[i] = c
	}
	for _, c := range all {
		w.exec(`SELECT pg_terminate_backend($1)`, c.Conn().PgConn().PID())
		c.Release()
	}
	w.attempt("k").mustBeFresh().mustCommit("paid")
}
