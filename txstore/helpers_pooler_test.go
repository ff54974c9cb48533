package txstore_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/txstore"
)

// Every test goes through the connection pooler that pgtest.PoolerVariable asks
// for, and its waiters poll; but for these, which say why. A new test goes
// through it unless it is named here.
var notThroughPooler = map[string]string{
	"TestSearchPathFindsTheTable":                       "PgBouncer refuses search_path as a startup parameter: Config.Schema is the way there",
	"TestCallerFromAnotherPoolDoesNotRedirectTheStore":  "PgBouncer refuses search_path as a startup parameter, so no other pool can have one",
	"TestCommitWhileTheListenerIsAway":                  "it cuts the listener's connection, which goes past the pooler",
	"TestSynchronousStandbyPromotedInAStorm":            "its pools find the promoted server by themselves: behind a pooler that is the pooler's work",
	"TestAsynchronousFailoverLosesRowAndRecordTogether": "the same",
	"TestWaitersSurviveACutNetwork":                     "it waits for the listener's attempts to connect again",
	"TestBrokenWakeCheckDoesNotSpoilASuccess":           "PgBouncer refuses statement_timeout as a startup parameter",
	"TestBrokenWakeCheckOfARelease":                     "the same",
	"TestServersLimitsAreNeverLooserThanTheSessions":    "PgBouncer refuses the settings as startup parameters",
	"TestServersLimitsHoldWithoutTheLock":               "PgBouncer refuses the settings as startup parameters",
	"TestTerminatedListenerRegistersAgain":              "it terminates the listener's session: direct as it is, nothing would be different",
	"TestHandlerThatDeallocatesEachTime":                "PgBouncer ends the connection of who executes a statement that was deallocated",
	"TestPoolThatDiscardsPreparedStatements":            "the same",
	"TestPoolOfDeadConnectionsIsNoOutage":               "it terminates the pool's sessions, which a pooler opens again by itself",
}

// What these leave on a server connection, their handlers or their pools have put
// there by SET: a pooler hands it to the next client, and no library can help that.
var leavesSettings = map[string]bool{"TestHandlerChangesSettings": true, "TestTransactionIsAsConfiguredInEverySession": true}

// reach returns the URL that the test's Stores have of the database.
func reach(tb testing.TB, directURL string) string {
	tb.Helper()
	if !pooled(tb) {
		return directURL
	}
	return pgtest.Pooled(tb, directURL)
}

// pooled tells whether a pooler stands between the test's Stores and the server.
func pooled(tb testing.TB) bool {
	tb.Helper()
	kind, err := pgtest.WantedPooler()
	if err != nil {
		tb.Fatal(err)
	}
	_, straight := notThroughPooler[root(tb)]
	return kind != pgtest.NoPooler && !straight
}

// root is the name of the test that tb is part of.
func root(tb testing.TB) string {
	name, _, _ := strings.Cut(tb.Name(), "/")
	return name
}

// listenPastPooler lets waiters be told, who through the pooler would have to
// poll: those who would not live to see their poll, and those who must be.
func (w *world) listenPastPooler(must bool, config *txstore.Config) {
	w.Helper()
	if !w.pooled || !must && config.PollInterval < never || config.DisableListen || config.DisableLocks {
		return
	}
	direct, err := pgx.ParseConfig(w.url)
	if err != nil {
		w.Fatal(err)
	}
	config.ListenConn = direct
}

// newDatabase is a database that nothing must be left behind in.
func newDatabase(tb testing.TB) string {
	tb.Helper()
	url := pgtest.URL(tb)
	if pooled(tb) {
		leaveNothing(tb, url, reach(tb, url))
	}
	return url
}

// leaveNothing demands that after the test, when the pooler keeps its connections
// to the server, none of them holds a lock, is in a transaction, or has kept a
// setting. It is called before anything is opened.
func leaveNothing(tb testing.TB, directURL, throughPooler string) {
	tb.Helper()
	tb.Cleanup(func() {
		if tb.Failed() {
			return // what it has left says nothing
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
		defer cancel()
		direct, err := pgx.Connect(ctx, directURL)
		if err != nil {
			tb.Error(err)
			return
		}
		defer direct.Close(ctx)
		eventually(tb, "no lock and no transaction is left", func() bool { return leftBehind(ctx, tb, direct) == 0 })
		for _, leaked := range leakedSettings(ctx, tb, direct, throughPooler) {
			if !leavesSettings[root(tb)] {
				tb.Errorf("left on a server connection: %s", leaked)
			}
		}
	})
}

// leftBehind counts the advisory locks and the open transactions in direct's
// database.
func leftBehind(ctx context.Context, tb testing.TB, direct *pgx.Conn) (n int) {
	tb.Helper()
	err := direct.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
		        WHERE l.locktype = 'advisory' AND d.datname = current_database())
		     + (SELECT count(*) FROM pg_stat_activity
		        WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
		            AND backend_type = 'client backend')`).Scan(&n)
	if err != nil {
		tb.Errorf("looking for what is left: %v", err)
	}
	return n
}

// settings returns the values of those that the Store sets in its transactions.
func settings(ctx context.Context, tb testing.TB, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) (values string) {
	tb.Helper()
	err := q.QueryRow(ctx, `SELECT concat_ws(', ',
		'idle_in_transaction_session_timeout=' || current_setting('idle_in_transaction_session_timeout'),
		'client_connection_check_interval=' || current_setting('client_connection_check_interval', true))`).Scan(&values)
	if err != nil {
		tb.Errorf("reading the settings: %v", err)
	}
	return values
}

// leakedSettings looks at all of the pooler's server connections, by as many
// transactions at once as there are, and returns what differs from a new one.
func leakedSettings(ctx context.Context, tb testing.TB, direct *pgx.Conn, throughPooler string) (leaked []string) {
	tb.Helper()
	want := settings(ctx, tb, direct)
	looked := 0
	for serverConns(ctx, tb, direct) > looked {
		client, err := pgx.Connect(ctx, throughPooler)
		if err != nil {
			tb.Errorf("through the pooler: %v", err)
			return leaked
		}
		defer client.Close(ctx)
		soon, cancel := context.WithTimeout(ctx, patience/4)
		tx, err := client.Begin(soon)
		cancel()
		if err != nil {
			// Somebody's own connection to the server was counted, and is gone now.
			if serverConns(ctx, tb, direct) > looked {
				tb.Errorf("through the pooler: %v", err)
			}
			return leaked
		}
		if got := settings(ctx, tb, tx); got != want {
			leaked = append(leaked, got)
		}
		looked++
	}
	return leaked
}

// serverConns counts the connections to direct's database besides it.
func serverConns(ctx context.Context, tb testing.TB, direct *pgx.Conn) (n int) {
	tb.Helper()
	err := direct.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()`).Scan(&n)
	if err != nil {
		tb.Errorf("counting the connections: %v", err)
	}
	return n
}

// usableModes are all of pgx's ways to execute a query that work here: those that
// prepare statements need a pooler that follows them, and one of them none at all.
func usableModes() []pgx.QueryExecMode {
	modes := []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe,
		pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	}
	kind, _ := pgtest.WantedPooler() // whoever reaches for it says what is wrong
	return slices.DeleteFunc(modes, func(mode pgx.QueryExecMode) bool {
		switch mode {
		case pgx.QueryExecModeCacheStatement:
			return kind == pgtest.UnpreparedPooler
		case pgx.QueryExecModeDescribeExec:
			return kind != pgtest.NoPooler
		}
		return false
	})
}

// polls tells whether a waiter of w waits for key without being told of its end.
func (w *world) polls(key string) bool {
	return w.pooled && w.config.ListenConn == nil && txstore.Waiting(w.store, key)
}
