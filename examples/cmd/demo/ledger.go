package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/examples/payments"
)

// ledger is what the database holds when all is over. The verdict rests on it
// and on nothing that a server says about itself.
type ledger struct {
	payments []entry
	balances map[string]int64 // by account
	// runs is how often a handler has written a payment, whatever became of it.
	runs int64
}

// entry is a payment, and the name of the process that wrote it.
type entry struct {
	payments.Payment

	Process string
}

// A sequence takes no number back when a transaction is rolled back or its
// process killed, so its last value counts every run of the handler that got as
// far as the ledger.
const runsSQL = `SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM payments_entry_seq`

func readLedger(ctx context.Context, databaseURL string) (l ledger, err error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return l, fmt.Errorf("reading the ledger: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if l.payments, err = readPayments(ctx, conn); err != nil {
		return l, fmt.Errorf("reading the payments: %w", err)
	}
	if l.balances, err = readBalances(ctx, conn); err != nil {
		return l, fmt.Errorf("reading the accounts: %w", err)
	}
	if err := conn.QueryRow(ctx, runsSQL).Scan(&l.runs); err != nil {
		return l, fmt.Errorf("counting handler runs: %w", err)
	}
	return l, nil
}

func readPayments(ctx context.Context, conn *pgx.Conn) ([]entry, error) {
	rows, err := conn.Query(ctx,
		`SELECT id, account, amount, currency, reference, balance, created_at, process FROM payments ORDER BY entry`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[entry])
}

func readBalances(ctx context.Context, conn *pgx.Conn) (map[string]int64, error) {
	balances := make(map[string]int64)
	rows, err := conn.Query(ctx, `SELECT id, balance FROM accounts`)
	if err != nil {
		return nil, err
	}
	var (
		id      string
		balance int64
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &balance}, func() error {
		balances[id] = balance
		return nil
	})
	return balances, err
}

// sabotage copies the newest payment as a handler that ran twice would have: it
// debits the account once more.
func sabotage(ctx context.Context, databaseURL string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("sabotage: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	const sql = `
WITH original AS (
    SELECT * FROM payments ORDER BY entry DESC LIMIT 1
), debited AS (
    UPDATE accounts SET balance = accounts.balance - original.amount
    FROM original
    WHERE accounts.id = original.account
)
INSERT INTO payments (id, account, amount, currency, reference, balance)
SELECT id || '_again', account, amount, currency, reference, balance - amount FROM original`
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("sabotage: %w", err)
	}
	return nil
}
