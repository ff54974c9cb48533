package idem_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

// A consumer of a queue that may deliver a message more than once.
func ExampleDo() {
	type payout struct {
		ID     string
		Amount int
	}
	type transfer struct{ Reference string }

	store := memory.New(memory.Config{})
	defer store.Close()
	payouts := idem.DoConfig{Store: store, Scope: "payouts"}
	sent := 0
	handle := func(ctx context.Context, p payout) error {
		got, err := idem.Do(ctx, payouts, p.ID, p, func(context.Context) (transfer, error) {
			sent++
			return transfer{Reference: fmt.Sprintf("transfer %d", sent)}, nil
		})
		fmt.Println(p.Amount, got.Reference, err)
		return err
	}

	ctx := context.Background()
	_ = handle(ctx, payout{"p-1", 500})
	_ = handle(ctx, payout{"p-1", 500}) // delivered again
	_ = handle(ctx, payout{"p-2", 700})
	if err := handle(ctx, payout{"p-1", 900}); errors.Is(err, idem.ErrHashMismatch) {
		fmt.Println("the same key for another payout")
	}
	fmt.Println("sent:", sent)
	// Output:
	// 500 transfer 1 <nil>
	// 500 transfer 1 <nil>
	// 700 transfer 2 <nil>
	// 900  idem: idempotency key was used with another request
	// the same key for another payout
	// sent: 2
}

var errDeclined = &idem.PermanentError{Code: "declined", Message: "card was declined"}

// A refusal that no retry changes is kept; trouble on the way is not.
func ExamplePermanentError() {
	store := memory.New(memory.Config{})
	defer store.Close()
	asked := 0
	charge := func(context.Context) (string, error) {
		switch asked++; asked {
		case 1:
			return "", errors.New("network is down")
		default:
			return "", fmt.Errorf("order-42: %w", errDeclined)
		}
	}
	for range 3 {
		_, err := idem.Do(context.Background(), idem.DoConfig{Store: store}, "order-42", nil, charge)
		fmt.Println(err, "| declined:", errors.Is(err, errDeclined))
	}
	fmt.Println("asked:", asked)
	// Output:
	// network is down | declined: false
	// order-42: card was declined | declined: true
	// order-42: card was declined | declined: true
	// asked: 2
}
