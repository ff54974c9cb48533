package payments

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	errUnknownAccount    = errors.New("payments: unknown account")
	errInsufficientFunds = errors.New("payments: insufficient funds")
	errUnknownPayment    = errors.New("payments: unknown payment")
)

// Payment is one row of the ledger. It never changes.
type Payment struct {
	ID        string `json:"id"`
	Account   string `json:"account"`
	Amount    int64  `json:"amount"`
	Currency  string `json:"currency"`
	Reference string `json:"reference"`
	// Balance is what the account had left after this payment.
	Balance   int64     `json:"balance"`
	CreatedAt time.Time `json:"created_at"`
}

// Account is what an account has left, in minor units.
type Account struct {
	ID      string `json:"id"`
	Balance int64  `json:"balance"`
}

// querier is what reads need: a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Debit and insert are one statement, so a payment costs one round trip. Behind
// pgidem's transactional store that makes three in all: the first reserves the
// key and begins the transaction, this one, and the last commits payment and
// recorded response together.
//
// The UPDATE takes the row lock of the account and, if it had to wait for it,
// looks at the balance again; so payments from one account queue up and none
// overdraws it. Three results are possible: no row, the account is unknown; a
// row without a payment, its balance does not suffice; a row with one.
const paySQL = `
WITH debited AS (
    UPDATE accounts
    SET balance = balance - @amount::bigint
    WHERE id = @account::text
        AND balance >= @amount::bigint
    RETURNING id, balance
), paid AS (
    INSERT INTO payments (id, account, amount, currency, reference, balance)
    SELECT @id::text, debited.id, @amount::bigint, @currency::text, @reference::text, debited.balance
    FROM debited
    RETURNING account, balance, created_at
)
SELECT paid.balance, paid.created_at
FROM accounts
LEFT JOIN paid ON paid.account = accounts.id
WHERE accounts.id = @account::text`

// pay debits the account and inserts the payment in tx.
func pay(ctx context.Context, tx pgx.Tx, order Order) (Payment, error) {
	payment := Payment{
		ID:        "pay_" + rand.Text(),
		Account:   order.Account,
		Amount:    order.Amount,
		Currency:  order.Currency,
		Reference: order.Reference,
	}
	var (
		balance   *int64
		createdAt *time.Time
	)
	err := tx.QueryRow(ctx, paySQL, pgx.NamedArgs{
		"id":        payment.ID,
		"account":   order.Account,
		"amount":    order.Amount,
		"currency":  order.Currency,
		"reference": order.Reference,
	}).Scan(&balance, &createdAt)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Payment{}, errUnknownAccount
	case err != nil:
		return Payment{}, err
	case balance == nil:
		return Payment{}, errInsufficientFunds
	}
	payment.Balance, payment.CreatedAt = *balance, createdAt.UTC()
	return payment, nil
}

const paymentColumns = `id, account, amount, currency, reference, balance, created_at`

func paymentByID(ctx context.Context, db querier, id string) (Payment, error) {
	if !storable(id) {
		return Payment{}, errUnknownPayment
	}
	rows, err := db.Query(ctx, `SELECT `+paymentColumns+` FROM payments WHERE id = $1`, id)
	if err != nil {
		return Payment{}, err
	}
	payment, err := pgx.CollectExactlyOneRow(rows, scanPayment)
	if errors.Is(err, pgx.ErrNoRows) {
		return Payment{}, errUnknownPayment
	}
	return payment, err
}

// paymentsByReference returns the oldest payments first, at most a thousand.
func paymentsByReference(ctx context.Context, db querier, reference string) ([]Payment, error) {
	rows, err := db.Query(ctx,
		`SELECT `+paymentColumns+` FROM payments WHERE reference = $1 ORDER BY entry LIMIT 1000`, reference)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanPayment)
}

func scanPayment(row pgx.CollectableRow) (p Payment, err error) {
	err = row.Scan(&p.ID, &p.Account, &p.Amount, &p.Currency, &p.Reference, &p.Balance, &p.CreatedAt)
	// In UTC, so that a payment reads the same wherever a server runs.
	p.CreatedAt = p.CreatedAt.UTC()
	return p, err
}

func accountByID(ctx context.Context, db querier, id string) (Account, error) {
	if !storable(id) {
		return Account{}, errUnknownAccount
	}
	rows, err := db.Query(ctx, `SELECT id, balance FROM accounts WHERE id = $1`, id)
	if err != nil {
		return Account{}, err
	}
	account, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Account])
	if errors.Is(err, pgx.ErrNoRows) {
		return Account{}, errUnknownAccount
	}
	return account, err
}
