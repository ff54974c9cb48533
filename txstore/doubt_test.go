package txstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
)

// Behaviour 44.
func TestTextThatCommitsIsFoundHoweverItIsSpelled(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string][]string{
		"CarriageReturnEndsAComment": {"select 1; -- x\rcommit; begin; select 1/0"},
		"DollarsInAName":             {"select 1 as a$$b$$; commit; begin; select 1/0"},
		"BackslashesEscape":          {"set local standard_conforming_strings = off", `select 'it\'s'; commit; begin; select 1/0`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			a := w.attempt("k").mustBeFresh()
			a.pay()
			for _, sql := range texts {
				_ = a.exec(sql)
			}
			if err := a.commit("paid"); w.payments("k") != 1 || !errors.Is(err, idem.ErrTransactionEnded) {
				t.Errorf("%d payments stand, and Commit says: %v", w.payments("k"), err)
			}
		})
	}
}

// A conflict behind a COMMIT of the handler's own must not make it run again.
func TestConflictBehindACommitIsNotRunAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	_, err := idem.Do(t.Context(), idem.DoConfig{Store: w.store}, "k", nil, func(ctx context.Context) (int, error) {
		return 1, w.store.InTx(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, insertPayment, "k")
			if err == nil {
				_, err = tx.Exec(ctx, "select 1; -- done\rcommit; begin; "+conflict)
			}
			return err
		})
	})
	if n := w.payments("k"); n != 1 || err == nil {
		t.Errorf("%d payments, error %v", n, err)
	}
}
