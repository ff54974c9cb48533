package txstore_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
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
