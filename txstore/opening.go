package txstore

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// checkInterval is how often the server looks, while it executes a statement,
// whether the client is still there.
const checkInterval = "1s"

// opening is how a transaction is opened: what begins it, and what then takes the
// key's lock, if it is free, and bounds how long the server keeps the transaction
// when nobody ends it: $2 milliseconds idle (0: as configured), never longer than
// configured; and a client that is gone is noticed in the middle of a statement.
//
// There are two. The thorough one sets everything itself, and compares with what
// is set. The quick one leaves the session as it is and sets the two limits as if
// neither were set. It looks at what is set before it does anything, and where
// that is not what PostgreSQL has by default it says so, has done nothing, and the
// transaction is rolled back and opened again, thoroughly. For each option of
// BEGIN, and each term of an expression, evaluated or not, is paid for in every
// request; and so is each column, which costs the server more than most of what
// can stand in it. So the answer is one moment:
//
//   - null: the lock is not free;
//   - -infinity: the session is unusual;
//   - otherwise the transaction's own, and it has the lock and the limits.
type opening struct{ begin, open *statement }

// beginAs begins a transaction whatever the session's default is. Always READ
// WRITE: a standby must refuse here and not at Commit, after the handler has run.
func beginAs(iso pgx.TxIsoLevel) *statement {
	return newStatement("BEGIN ISOLATION LEVEL " + strings.ToUpper(string(iso)) + " READ WRITE")
}

// quickBegin is beginAs for sessions as PostgreSQL has them by default.
func quickBegin(iso pgx.TxIsoLevel) *statement {
	if iso == pgx.ReadCommitted {
		return newStatement("BEGIN")
	}
	return beginAs(iso)
}

var (
	lockColumn   = fmt.Sprintf("pg_catalog.pg_try_advisory_xact_lock(%d, $1::int4)", keyClass)
	noLockColumn = "$1::int4 IS NOT NULL"
)

// openSQL sets the limits and takes the lock, unless one of the conditions in
// unusual holds. CASE evaluates a branch only when it comes to it, and AND what is
// on its right only if it must: so the lock stands last, for a transaction that
// does not get it idles, too, until its client lets go of it.
func openSQL(locks bool, unusual []string, limits ...string) *statement {
	lock := noLockColumn
	if locks {
		lock = lockColumn
	}
	sql := "SELECT CASE"
	if len(unusual) > 0 {
		sql += "\n    WHEN " + strings.Join(unusual, "\n        OR ") + "\n    THEN '-infinity'::timestamptz"
	}
	sql += "\n    WHEN "
	for _, limit := range limits {
		sql += limit + " IS NOT NULL\n        AND "
	}
	return newStatement(sql + lock + "\n    THEN transaction_timestamp()\nEND")
}

func differs(setting, from string) string {
	return fmt.Sprintf("pg_catalog.current_setting('%s') <> '%s'", setting, from)
}

func quickSQL(iso pgx.TxIsoLevel, locks, checks bool) *statement {
	unusual := []string{
		differs("transaction_isolation", string(iso)),
		differs("transaction_read_only", "off"),
		differs("idle_in_transaction_session_timeout", "0"),
	}
	if !checks {
		return openSQL(locks, unusual, setIdle)
	}
	return openSQL(locks, append(unusual, differs("client_connection_check_interval", "0")), setIdle, setInterval)
}

func thoroughSQL(locks, checks bool) *statement {
	if !checks {
		return openSQL(locks, nil, thoroughIdle)
	}
	return openSQL(locks, nil, thoroughIdle, thoroughInterval)
}

const (
	setIdle     = `pg_catalog.set_config('idle_in_transaction_session_timeout', $2::text, true)`
	setInterval = `pg_catalog.set_config('client_connection_check_interval', '` + checkInterval + `', true)`

	thoroughIdle = `pg_catalog.set_config('idle_in_transaction_session_timeout', CASE
        WHEN $2::text = '0' THEN pg_catalog.current_setting('idle_in_transaction_session_timeout')
        WHEN pg_catalog.current_setting('idle_in_transaction_session_timeout') = '0' THEN $2::text
        WHEN pg_catalog.current_setting('idle_in_transaction_session_timeout')::interval
            > $2::bigint * interval '1 millisecond' THEN $2::text
        ELSE pg_catalog.current_setting('idle_in_transaction_session_timeout')
    END, true)`
	thoroughInterval = `pg_catalog.set_config('client_connection_check_interval', CASE
        WHEN pg_catalog.current_setting('client_connection_check_interval') = '0' THEN '` + checkInterval + `'
        WHEN pg_catalog.current_setting('client_connection_check_interval')::interval
            > interval '` + checkInterval + `' THEN '` + checkInterval + `'
        ELSE pg_catalog.current_setting('client_connection_check_interval')
    END, true)`
)
