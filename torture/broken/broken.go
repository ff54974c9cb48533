// Package broken has stores that do wrong what a store must do right, each as
// somebody would write it who does not see the hole. A torture run over any of
// them must fail: that is how its checker is tested.
package broken

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/txstore"
)

// Ground is what a broken store stands on.
type Ground struct {
	Pool *pgxpool.Pool
	// IsoLevel is that of the stores with a transaction of their own.
	IsoLevel pgx.TxIsoLevel
	// Sound is the store that the others break, over the same pool.
	Sound *txstore.Store
}

// Store is a broken store in place of a sound one.
type Store struct {
	idem.Store
	// InTx runs a function in the transaction of ctx, like that of txstore.
	InTx func(ctx context.Context, fn func(pgx.Tx) error) error
	// Sweep is nil for a store that has none of its own. It ends with ctx.
	Sweep func(ctx context.Context)
}

type flaw struct {
	mode string
	open func(Ground) Store
}

var flaws = map[string]flaw{
	"nolock-nounique":         {history.Transactional, newUnguarded},
	"commit-before-response":  {history.Transactional, newAfterwards},
	"reserve-without-lease":   {history.Transactional, newUnleased},
	"swallow-commit-error":    {history.Transactional, newDeaf},
	"replay-before-commit":    {history.Transactional, newEager},
	"scope-ignored":           {history.Transactional, newScopeless},
	"first-header-value-only": {history.Transactional, newHeaderless},
	"sweep-ignores-leases":    {history.Leased, newSweeping},
	"sweep-too-soon":          {history.Transactional, newHasty},
	"sweep-forgets":           {history.Transactional, newOblivious},
	"expiry-by-own-clock":     {history.Transactional, newSelfTimed},
	"replay-after-expiry":     {history.Transactional, newUnforgetting},
	"hash-ignored":            {history.Transactional, newHashless},
}

// Names are the names of all broken stores.
func Names() []string { return slices.Sorted(maps.Keys(flaws)) }

// Mode is the mode of the run in which the named store must be found out.
func Mode(name string) (string, error) {
	f, ok := flaws[name]
	if !ok {
		return "", fmt.Errorf("broken: no store %q, there are %q", name, Names())
	}
	return f.mode, nil
}

// Open returns the named store.
func Open(name string, ground Ground) (Store, error) {
	if _, err := Mode(name); err != nil {
		return Store{}, err
	}
	return flaws[name].open(ground), nil
}
