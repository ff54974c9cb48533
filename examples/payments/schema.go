package payments

import (
	"context"
	_ "embed" // for the schema
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Accounts that exist from the start: acct_1 … acct_100, each with OpeningBalance
// minor units.
const (
	AccountCount   = 100
	OpeningBalance = 1_000_000_000
)

//go:embed schema.sql
var schemaSQL string

// SetUp makes the tables and the accounts, unless they exist. Any number of
// processes may do so at once, and an existing ledger is left as it is. pgidem's
// own table is not among them: migrations.Up makes that.
func SetUp(ctx context.Context, pool *pgxpool.Pool) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("payments: setting up the ledger: %w", err)
	}
	defer conn.Release()
	// Several statements in one string are one transaction for the server.
	if _, err := conn.Conn().PgConn().Exec(ctx, schemaSQL).ReadAll(); err != nil {
		return fmt.Errorf("payments: setting up the ledger: %w", err)
	}
	return nil
}
