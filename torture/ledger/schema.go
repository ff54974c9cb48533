package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Role is the database role of the servers. It may do no more than they need.
const Role = "torture_server"

// Tables are what the servers write.
const Tables = "payments, accounts, pgidem_records"

// Create makes the tables of the ledger and the servers' role. The table of the
// records must be there.
func Create(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		CREATE TABLE payments (
			id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			tenant  text NOT NULL,
			key     text NOT NULL,
			account integer NOT NULL,
			amount  bigint NOT NULL,
			attempt text NOT NULL,
			server  integer NOT NULL,
			paid_at timestamptz NOT NULL DEFAULT clock_timestamp()
		);
		CREATE TABLE accounts (id integer PRIMARY KEY, balance bigint NOT NULL);
		CREATE ROLE `+Role+` LOGIN;
		GRANT SELECT, INSERT, UPDATE, DELETE ON `+Tables+` TO `+Role+`;
		INSERT INTO accounts SELECT n, `+fmt.Sprint(Opening)+` FROM generate_series(1, `+fmt.Sprint(AccountCount)+`) n`,
		pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}
