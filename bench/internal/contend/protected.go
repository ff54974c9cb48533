package contend

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

const (
	ttl            = 24 * time.Hour
	maxHandlerTime = 30 * time.Second
	waitTimeout    = 30 * time.Second
)

// protected serves through a Store, as the middleware does.
type protected struct {
	name  string
	store idem.Store
	pay   func(context.Context) error
}

func (p *protected) Name() string        { return p.name }
func (p *protected) Plays(Workload) bool { return true }

func (p *protected) Serve(ctx context.Context, r Request) (paid bool, err error) {
	ctx, attempt := idem.WithAttempt(ctx, idem.AttemptConfig{MaxHandlerTime: maxHandlerTime})
	recorded, fresh, err := p.reserve(ctx, r.Key)
	if err != nil {
		return false, err
	}
	if !fresh {
		return false, check(r.Key, recorded.Status, recorded.Body)
	}
	if err := p.pay(ctx); err != nil {
		return false, err
	}
	if err := p.store.Commit(ctx, r.Key, payment.Hash, response()); err != nil {
		return false, fmt.Errorf("%w (run again: %t)", err, attempt.RunAgain())
	}
	return true, nil
}

func (p *protected) reserve(ctx context.Context, key string) (*idem.Cached, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	return p.store.Reserve(ctx, key, payment.Hash, ttl)
}

// Store returns a contender that serves through store, and pays in store's
// transactions. doors is the store itself, or its leased half.
func Store(name string, store *txstore.Store, door idem.Store) Contender {
	return &protected{name: name, store: door, pay: func(ctx context.Context) error {
		return store.InTx(ctx, func(tx pgx.Tx) error { return payment.Pay(ctx, tx) })
	}}
}

// payNothing is the handler of a store beside no database: what it does would be
// the same with and without protection.
func payNothing(context.Context) error { return nil }
