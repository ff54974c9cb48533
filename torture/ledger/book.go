package ledger

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"
)

// errRefused is the answer to a payment that is not to be made.
var errRefused = errors.New("payment refused")

// run is one run of the handler for a payment.
type run struct {
	Payment
	tenant, key string
	attempt     string
	server      int
	id          int64 // of the booked row
	paidAt      int64
}

// book writes the payment, as its act wants it.
func (r *run) book(ctx context.Context, tx pgx.Tx) error {
	if r.Act == Skew {
		if err := r.readBoth(ctx, tx); err != nil {
			return err
		}
	}
	if err := r.insert(ctx, tx); err != nil {
		return err
	}
	if err := rest(ctx, r.Hold); err != nil {
		return err
	}
	if err := r.update(ctx, tx); err != nil {
		return err
	}
	return r.refuse(ctx, tx)
}

func (r *run) insert(ctx context.Context, tx pgx.Tx) error {
	return tx.QueryRow(ctx, `
		INSERT INTO payments (tenant, key, account, amount, attempt, server)
		VALUES ($1, $2, $3, $4, $5, $6) RETURNING id, `+paidAt,
		r.tenant, r.key, r.Account, r.Amount, r.attempt, r.server).Scan(&r.id, &r.paidAt)
}

// update writes the balance. Under Deadlock it touches another account too,
// before or after.
func (r *run) update(ctx context.Context, tx pgx.Tx) error {
	if r.Act != Deadlock {
		return add(ctx, tx, r.Account, r.Amount)
	}
	first, second := r.Account, r.other()
	if rand.IntN(2) == 0 {
		first, second = second, first
	}
	for _, account := range []int{first, second} {
		amount := int64(0)
		if account == r.Account {
			amount = r.Amount
		}
		if err := add(ctx, tx, account, amount); err != nil {
			return err
		}
		if err := rest(ctx, r.Hold); err != nil {
			return err
		}
	}
	return nil
}

func add(ctx context.Context, tx pgx.Tx, account int, amount int64) error {
	_, err := tx.Exec(ctx, "UPDATE accounts SET balance = balance + $2 WHERE id = $1", account, amount)
	return err
}

func (r *run) readBoth(ctx context.Context, tx pgx.Tx) error {
	var sum int64
	return tx.QueryRow(ctx, "SELECT sum(balance)::bigint FROM accounts WHERE id IN ($1, $2)", r.Account, r.other()).Scan(&sum)
}

func (r *run) refuse(ctx context.Context, tx pgx.Tx) error {
	switch r.Act {
	case Refuse:
		return errRefused
	case RefuseAborted:
		// The answer is the same whether this fails as it should or the
		// connection is gone: then the Commit cannot succeed either.
		_, _ = tx.Exec(ctx, "SELECT 1 / 0")
		return errRefused
	}
	return nil
}
