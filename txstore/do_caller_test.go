package txstore_test

import (
	"context"
	"testing"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// In the caller's transaction a Commit that fails is told: the caller must not
// take a result for recorded that is not, and nothing may go on using its
// transaction.
func TestDoInTheCallersTransactionTellsAFailedCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	tx := mustBegin(t, w)
	ctx := txstore.WithTx(t.Context(), tx)
	var seen []idem.Outcome
	cfg := idem.DoConfig{Store: w.store, Observer: func(_ context.Context, e idem.Event) { seen = append(seen, e.Outcome) }}
	_, err := idem.Do(ctx, cfg, "k", nil, func(ctx context.Context) (int, error) {
		_, _ = tx.Exec(ctx, `SELECT 1/0`) // it swallows the error
		return 1, nil
	})
	if err == nil {
		t.Errorf("Do = nil after a failed Commit; outcomes %v", seen)
	}
}
