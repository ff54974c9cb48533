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
// neither were set; it brings what was set, and where that is not what PostgreSQL
// has by default, the transaction is rolled back and opened again, thoroughly.
// For each option of BEGIN, and each term of an expression, evaluated or not, is
// paid for in every request.
type opening struct {
	begin, open *statement
	all         []*statement // what an attempt executes that is opened so
}

func (t *table) opening(begin, open *statement) opening {
	return opening{begin: begin, open: open, all: []*statement{
		open, begin, t.lookup, t.insert, commit, sameTransaction, rollback, beginFresh, relock,
	}}
}

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

func openColumns(locks bool) string {
	lock := noLockColumn
	if locks {
		lock = lockColumn
	}
	return "SELECT " + lock + `,
    transaction_timestamp(),
    pg_catalog.pg_backend_pid(),
    `
}

// quickSQL reads before it sets: the server evaluates columns from left to right.
// Did it not, each session would look as if it had settings of its own, and be
// opened thoroughly.
func quickSQL(locks, checks bool) *statement {
	sql := openColumns(locks) + `pg_catalog.current_setting('transaction_isolation'),
    pg_catalog.current_setting('transaction_read_only'),
    pg_catalog.current_setting('idle_in_transaction_session_timeout'),
    `
	if !checks {
		return newStatement(sql + "'0', " + setIdle)
	}
	return newStatement(sql + "pg_catalog.current_setting('client_connection_check_interval'), " + setIdle + ", " + setInterval)
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

func thoroughSQL(locks, checks bool) *statement {
	sql := openColumns(locks) + thoroughIdle
	if checks {
		sql += ", " + thoroughInterval
	}
	return newStatement(sql)
}
