package payments_test

import (
	"sync"
	"testing"

	"github.com/pgidem/pgidem/examples/payments"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
)

func TestManyProcessesSetUpAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyURL(t)
	var starting sync.WaitGroup
	for range 8 {
		pool := pgtest.Open(t, url)
		starting.Go(func() {
			if err := payments.SetUp(t.Context(), pool); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
}

func TestSetUpLeavesALedgerAsItIs(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.pay("k", order("acct_1", 5, "r"))
	if err := payments.SetUp(t.Context(), a.pool); err != nil {
		t.Fatal(err)
	}
	if a.count() != 1 || a.balance("acct_1") != payments.OpeningBalance-5 {
		t.Errorf("%d payments, balance %d", a.count(), a.balance("acct_1"))
	}
}
