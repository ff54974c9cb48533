package txstore_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/txstore"
)

// Behaviour 45. What makes the server end a transaction that nobody ends any more
// is in force whatever the session has set, and never looser than that; and it is
// over with the transaction.
func TestServersLimitsAreNeverLooserThanTheSessions(t *testing.T) {
	t.Parallel()
	ours := fmt.Sprintf("%dms", patience.Milliseconds()+500) // the handler's time, and the server's grace
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol} {
		for _, c := range []struct{ idle, check, wantIdle, wantCheck string }{
			{"0", "0", ours, "1s"},
			{"1h", "0", ours, "1s"},
			{"5s", "0", "5s", "1s"},
			{"0", "10s", ours, "1s"},
			{"0", "500ms", ours, "500ms"},
			{"5s", "500ms", "5s", "500ms"},
		} {
			t.Run(fmt.Sprintf("%s/idle %s, check %s", mode, c.idle, c.check), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, given{Mode: mode, Conns: 1, Pool: func(config *pgxpool.Config) {
					config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = c.idle
					config.ConnConfig.RuntimeParams["client_connection_check_interval"] = c.check
				}})
				before := settings(t.Context(), t, w.pool)
				want := fmt.Sprintf("idle_in_transaction_session_timeout=%s, client_connection_check_interval=%s", c.wantIdle, c.wantCheck)
				for range 2 { // a Store that has met such a session asks the next one otherwise
					a := w.attempt("k").mustBeFresh()
					if got := settings(a.ctx, t, a.tx()); got != want {
						t.Errorf("in the transaction: %s, want %s", got, want)
					}
					a.mustRelease()
				}
				if after := settings(t.Context(), t, w.pool); after != before {
					t.Errorf("after it: %s, before: %s", after, before)
				}
			})
		}
	}
}

// Behaviour 45. A look that finds its key in flight has a transaction open until
// its client rolls back, and the client may be gone by then: the limits hold there,
// too.
func TestServersLimitsHoldWithoutTheLock(t *testing.T) {
	needsLocks(t, "without them every look gets what it asks for")
	t.Parallel()
	for name, c := range map[string]struct{ check, want string }{"Quick": {"0", "1s"}, "Thorough": {"500ms", "500ms"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Pool: func(config *pgxpool.Config) {
				config.ConnConfig.RuntimeParams["client_connection_check_interval"] = c.check
			}})
			owner := w.attempt("k").mustBeFresh()
			want := fmt.Sprintf("idle_in_transaction_session_timeout=%dms, client_connection_check_interval=%s", patience.Milliseconds()+500, c.want)
			err := txstore.LookAt(t.Context(), w.store, "k", patience, func(conn *pgx.Conn, locked bool) {
				if locked {
					t.Error("the look has got the lock of an attempt in flight")
				}
				if got := settings(t.Context(), t, conn); got != want {
					t.Errorf("in its transaction: %s, want %s", got, want)
				}
			})
			if err != nil {
				t.Error(err)
			}
			owner.mustRelease()
		})
	}
}
