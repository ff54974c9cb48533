package payments_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/pgidem/pgidem/examples/payments"
)

// Behaviour 30.
func TestRacingDuplicatesMakeOnePayment(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *api{"Postgres": newAPI, "Memory": newMemoryAPI} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := start(t)
			replies := make([]reply, 20)
			var duplicates sync.WaitGroup
			for i := range replies {
				duplicates.Go(func() {
					replies[i] = a.do("POST", "/payments?sleep_ms=50", order("acct_1", 700, "order-1"),
						"X-Tenant", "alpha", "Idempotency-Key", "k")
				})
			}
			duplicates.Wait()
			ran := 0
			for _, r := range replies {
				if r.status != http.StatusCreated || r.body != replies[0].body {
					t.Errorf("%d %s, another got %s", r.status, r.body, replies[0].body)
				}
				if !r.replayed() {
					ran++
				}
			}
			if ran != 1 || a.count() != 1 {
				t.Errorf("%d requests ran, %d payments", ran, a.count())
			}
			if got := a.balance("acct_1"); got != payments.OpeningBalance-700 {
				t.Errorf("balance is %d", got)
			}
		})
	}
}

// Behaviour 37.
func TestRetryAfter402GetsTheSameAnswerEvenWhenThereIsMoney(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	const amount = payments.OpeningBalance + 1
	first := a.pay("k", order("acct_1", amount, "r"))
	a.exec("UPDATE accounts SET balance = 2 * $1::bigint WHERE id = 'acct_1'", amount)
	again := a.pay("k", order("acct_1", amount, "r"))
	if first.status != http.StatusPaymentRequired || again.status != first.status || again.body != first.body || !again.replayed() {
		t.Errorf("first %d %s, then %d %s", first.status, first.body, again.status, again.body)
	}
	if other := a.pay("k2", order("acct_1", amount, "r")); other.status != http.StatusCreated {
		t.Errorf("under a new key: %d %s", other.status, other.body)
	}
	if n := a.count(); n != 1 {
		t.Errorf("%d payments", n)
	}
}

// Behaviour 37.
func TestRetryAfter404RunsAgain(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	first := a.pay("k", order("acct_new", 5, "r"))
	a.exec("INSERT INTO accounts (id, balance) VALUES ('acct_new', 10)")
	again := a.pay("k", order("acct_new", 5, "r"))
	if first.status != http.StatusNotFound || again.status != http.StatusCreated || again.replayed() {
		t.Errorf("first %d, then %d %s", first.status, again.status, again.body)
	}
	if n := a.count(); n != 1 {
		t.Errorf("%d payments", n)
	}
}

func (a *api) exec(sql string, args ...any) {
	a.t.Helper()
	if _, err := a.pool.Exec(a.t.Context(), sql, args...); err != nil {
		a.t.Fatal(err)
	}
}

// Behaviour 32.
func TestKeyOfOneOrderIsRefusedForAnother(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.pay("k", order("acct_1", 5, "r"))
	if r := a.pay("k", order("acct_1", 6, "r")); r.status != http.StatusUnprocessableEntity {
		t.Errorf("%d %s", r.status, r.body)
	}
	if n := a.count(); n != 1 {
		t.Errorf("%d payments", n)
	}
}

// Behaviour 33.
func TestTenantsDoNotMeetInOneKey(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, tenant := range []string{"alpha", "beta"} {
		r := a.do("POST", "/payments", order("acct_1", 5, "r"), "X-Tenant", tenant, "Idempotency-Key", "k")
		if r.status != http.StatusCreated || r.replayed() {
			t.Errorf("%s: %d %s", tenant, r.status, r.body)
		}
	}
	if n := a.count(); n != 2 {
		t.Errorf("%d payments", n)
	}
}

func TestWithoutKeyEachRequestIsAPayment(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for range 2 {
		if r := a.do("POST", "/payments", order("acct_1", 5, "r"), "X-Tenant", "alpha"); r.status != http.StatusCreated {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	if n := a.count(); n != 2 {
		t.Errorf("%d payments", n)
	}
}

func TestRacingPaymentsDoNotOverdraw(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	const each = payments.OpeningBalance/3 + 1 // two fit
	statuses := make([]int, 10)
	var racing sync.WaitGroup
	for i := range statuses {
		racing.Go(func() { statuses[i] = a.pay(strings.Repeat("k", i+1), order("acct_1", each, "r")).status })
	}
	racing.Wait()
	made := 0
	for _, status := range statuses {
		switch status {
		case http.StatusCreated:
			made++
		case http.StatusPaymentRequired:
		default:
			t.Errorf("answered %d", status)
		}
	}
	if made != 2 || a.count() != 2 || a.balance("acct_1") != payments.OpeningBalance-2*each {
		t.Errorf("%d answered 201, %d payments, balance %d", made, a.count(), a.balance("acct_1"))
	}
}

// Behaviour 39.
func TestOutcomesAreCountedAndKeysStayOutOfTheLog(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	const key = "a-key-that-means-something"
	a.pay(key, order("acct_1", 5, "r"))
	a.pay(key, order("acct_1", 5, "r"))
	a.pay(key, order("acct_1", 6, "r"))
	counts := decode[payments.Counts](t, a.do("GET", "/debug/outcomes", ""))
	if counts.HandlerRuns != 1 || counts.Outcomes["committed"] != 1 || counts.Outcomes["replayed"] != 1 ||
		counts.Outcomes["hash-mismatch"] != 1 || len(counts.Outcomes) != 3 {
		t.Errorf("counts are %+v", counts)
	}
	log := a.log.String()
	if strings.Count(log, "outcome=") != 3 || strings.Contains(log, key) {
		t.Errorf("log is\n%s", log)
	}
}
