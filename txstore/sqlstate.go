package txstore

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// sqlState returns the SQLSTATE of err, or "" if the server did not raise it.
func sqlState(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

func sqlClass(err error) string {
	if state := sqlState(err); len(state) == 5 {
		return state[:2]
	}
	return ""
}

// isConflict tells whether err ended a transaction for the sake of another one:
// a serialization failure or a deadlock. The same work can succeed in a new one.
func isConflict(err error) bool {
	if err == nil { // asked after every call of a handler
		return false
	}
	state := sqlState(err)
	return state == "40001" || state == "40P01"
}

// isRetryable tells whether the same request can succeed later: transaction
// rollbacks, lack of resources, an operator's intervention.
func isRetryable(err error) bool {
	switch sqlClass(err) {
	case "40", "53", "57":
		return true
	}
	return false
}

// isStalePlan tells whether err speaks of a prepared statement that no longer
// fits its connection: the schema has changed, or somebody deallocated it.
func isStalePlan(err error) bool {
	switch sqlState(err) {
	case "0A000", "26000", "42P05":
		return true
	}
	return false
}

// isServerRefusal tells whether the server has said no and the session goes on.
// A FATAL does not count: it ends the session, and does not say whether a COMMIT
// took effect before.
func isServerRefusal(err error) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return false
	}
	severity := pgErr.SeverityUnlocalized
	if severity == "" {
		severity = pgErr.Severity
	}
	return severity == "ERROR"
}

// cannotConfirm tells whether a server has refused to confirm a record because it has
// no way to, as an engine without the function, or one that this role may not call:
// then the record's own word must do. Any other refusal says nothing of the record.
func cannotConfirm(err error) bool {
	switch sqlState(err) {
	case "42883", "42704", "42501", "0A000":
		return isServerRefusal(err)
	}
	return false
}
