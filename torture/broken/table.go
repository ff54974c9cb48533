package broken

import (
	"context"
	"errors"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/torture/ledger"
)

// Create makes the table of the stores that have one of their own, and lets the
// servers' role use it. It takes the rights of the database's owner.
func Create(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		CREATE TABLE broken_records (
			key          text COLLATE "C" NOT NULL,
			request_hash text NOT NULL,
			status       integer, -- NULL: reserved
			header       jsonb,
			body         bytea
		);
		CREATE INDEX ON broken_records (key);
		CREATE TABLE broken_reservations (key text COLLATE "C" PRIMARY KEY);
		GRANT SELECT, INSERT, UPDATE, DELETE ON broken_records, broken_reservations TO `+ledger.Role,
		pgx.QueryExecModeSimpleProtocol)
	return err
}

// querier is a pool, a connection or a transaction.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// lookUp returns nil without an error if there is no record.
func lookUp(ctx context.Context, q querier, key string) (*idem.Cached, error) {
	var found idem.Cached
	var header http.Header
	err := q.QueryRow(ctx, `SELECT request_hash, status, header, body FROM broken_records WHERE key = $1 LIMIT 1`, key).
		Scan(&found.RequestHash, &found.Status, &header, &found.Body)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	found.Header = header
	return &found, err
}

func insert(ctx context.Context, q querier, key, requestHash string, response idem.Cached) error {
	_, err := q.Exec(ctx, `INSERT INTO broken_records (key, request_hash, status, header, body) VALUES ($1, $2, $3, $4, $5)`,
		key, requestHash, response.Status, response.Header, response.Body)
	return err
}
