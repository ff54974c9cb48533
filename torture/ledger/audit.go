package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/torture/history"
)

// paidAt is when a payment was booked, as a history.Row tells it.
const paidAt = "(extract(epoch FROM paid_at) * 1000000)::bigint"

// Rows reads the whole ledger.
func Rows(ctx context.Context, conn *pgx.Conn) ([]history.Row, error) {
	rows, err := conn.Query(ctx, "SELECT id, tenant, key, account, amount, "+paidAt+" FROM payments ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[history.Row])
}

// Balances reads each account's balance.
func Balances(ctx context.Context, conn *pgx.Conn) (map[int]int64, error) {
	rows, err := conn.Query(ctx, "SELECT id, balance FROM accounts")
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	balances := make(map[int]int64)
	var id int
	var balance int64
	_, err = pgx.ForEachRow(rows, []any{&id, &balance}, func() error {
		balances[id] = balance
		return nil
	})
	return balances, err
}
