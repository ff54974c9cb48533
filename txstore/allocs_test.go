package txstore_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
)

// cost is what one request allocates.
type cost struct{ allocations, bytes float64 }

// What a fresh request may cost more than the handler's own transaction, and what
// a replay may cost in all, with pgx and the connection's part.
var costLimits = map[string]cost{
	"Fresh":  {allocations: 50, bytes: 7 << 9},
	"Replay": {allocations: 19, bytes: 3 << 9},
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
	fresh := costOf(t, func(i int) error { return p.reserveAndCommit(fmt.Sprintf("key-%d", i), true) })
	fresh.allocations -= transaction.allocations
	fresh.bytes -= transaction.bytes
	replay := costOf(t, func(int) error { return p.reserveAndCommit("key-0", false) })
	for name, got := range map[string]cost{"Fresh": fresh, "Replay": replay} {
		limit := costLimits[name]
		t.Logf("%s: %.1f allocations, %.0f bytes", name, got.allocations, got.bytes)
		if got.allocations > limit.allocations || got.bytes > limit.bytes {
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
func costOf(tb testing.TB, request func(i int) error) cost {
	tb.Helper()
	const runs = 500
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	for i := range runs + 1 {
		if i == 1 {
			runtime.ReadMemStats(&before)
		}
		if err := request(i); err != nil {
			tb.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	return cost{
		allocations: float64(after.Mallocs-before.Mallocs) / runs,
		bytes:       float64(after.TotalAlloc-before.TotalAlloc) / runs,
	}
}
