package txstore_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/allocation"
)

// What a fresh request may cost more than the handler's own transaction, and what
// a replay may cost in all, with pgx and the connection's part.
var costLimits = map[string]allocation.Cost{
	"Fresh":  {Allocations: 50, Bytes: 7 << 9},
	"Replay": {Allocations: 19, Bytes: 3 << 9},
}

// Not parallel: it counts the allocations of the whole process.
func TestAllocationsOfTheStore(t *testing.T) {
	if pooled(t) {
		t.Skip("a pooler's way of executing a query allocates more, with pgidem and without")
	}
	needsLocks(t, "without them a Reserve takes other steps")
	p := newWorld(t, given{Conns: 2})
	transaction := costOf(t, func(int) error {
		return pgx.BeginFunc(t.Context(), p.pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), insertPayment, "bare")
			return err
		})
	})
	fresh := costOf(t, func(i int) error { return p.reserveAndCommit(fmt.Sprintf("key-%d", i), true) }).Less(transaction)
	replay := costOf(t, func(int) error { return p.reserveAndCommit("key-0", false) })
	for name, got := range map[string]allocation.Cost{"Fresh": fresh, "Replay": replay} {
		limit := costLimits[name]
		t.Logf("%s: %.1f allocations, %.0f bytes", name, got.Allocations, got.Bytes)
		if got.Exceeds(limit) {
			t.Errorf("%s: %+v, want %+v at most", name, got, limit)
		}
	}
}

// reserveAndCommit makes one request as the middleware does, with nothing of the test's own
// that outlives it.
func (w *world) reserveAndCommit(key string, wantFresh bool) error {
	ctx, _ := idem.WithAttempt(w.Context(), idem.AttemptConfig{MaxHandlerTime: patience})
	_, fresh, err := w.store.Reserve(ctx, key, "h", patience)
	if err != nil || fresh != wantFresh {
		return fmt.Errorf("%s: fresh %t, error %w", key, fresh, err)
	}
	if !fresh {
		return nil
	}
	err = w.store.InTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertPayment, key)
		return err
	})
	if err != nil {
		return err
	}
	return w.store.Commit(ctx, key, "h", idem.Cached{Status: 201, Body: []byte("paid")})
}

// costOf measures requests behind one that is not measured.
func costOf(tb testing.TB, request func(i int) error) allocation.Cost {
	tb.Helper()
	return allocation.Of(500, func(i int) {
		if err := request(i); err != nil {
			tb.Fatal(err)
		}
	})
}
