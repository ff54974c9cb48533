package payments_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/examples/payments"
)

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	const path = "/payments"
	good := order("acct_1", 1, "r")
	for _, test := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"NoJSON", "POST", path, `amount=1`, 400},
		{"EmptyBody", "POST", path, ``, 400},
		{"Null", "POST", path, `null`, 400},
		{"Array", "POST", path, `[]`, 400},
		{"CutShort", "POST", path, good[:20], 400},
		{"TwoObjects", "POST", path, good + good, 400},
		{"Trailing", "POST", path, good + `x`, 400},
		{"UnknownField", "POST", path, `{"account":"acct_1","amount":1,"currency":"usd","unknown":"r"}`, 400},
		{"AmountMissing", "POST", path, `{"account":"acct_1","currency":"usd","reference":"r"}`, 400},
		{"AmountZero", "POST", path, order("acct_1", 0, "r"), 400},
		{"AmountNegative", "POST", path, order("acct_1", -5, "r"), 400},
		{"AmountFraction", "POST", path, `{"account":"acct_1","amount":12.5,"currency":"usd","reference":"r"}`, 400},
		{"AmountText", "POST", path, `{"account":"acct_1","amount":"12","currency":"usd","reference":"r"}`, 400},
		{"AmountBeyondExact", "POST", path, order("acct_1", payments.MaxAmount+1, "r"), 400},
		{"AmountBeyondInt64", "POST", path, `{"account":"acct_1","amount":9223372036854775808,"currency":"usd"}`, 400},
		{"AccountMissing", "POST", path, order("", 1, "r"), 400},
		{"AccountWithNUL", "POST", path, `{"account":"a\u0000","amount":1,"currency":"usd","reference":"r"}`, 400},
		{"CurrencyMissing", "POST", path, `{"account":"acct_1","amount":1,"reference":"r"}`, 400},
		{"CurrencyUpperCase", "POST", path, `{"account":"acct_1","amount":1,"currency":"USD","reference":"r"}`, 400},
		{"ReferenceTooLong", "POST", path, order("acct_1", 1, strings.Repeat("r", 201)), 400},
		{"ReferenceWithNUL", "POST", path, `{"account":"acct_1","amount":1,"currency":"usd","reference":"\u0000"}`, 400},
		{"SleepNegative", "POST", path + "?sleep_ms=-1", good, 400},
		{"SleepTooLong", "POST", path + "?sleep_ms=30001", good, 400},
		{"SleepNoNumber", "POST", path + "?sleep_ms=1s", good, 400},
		{"BodyTooLarge", "POST", path, `{"account":"` + strings.Repeat("a", 1<<20) + `"}`, 413},
		{"UnknownAccount", "POST", path, order("acct_0", 1, "r"), 404},
		{"InsufficientFunds", "POST", path, order("acct_1", payments.OpeningBalance+1, "r"), 402},
		{"InsufficientByFar", "POST", path, order("acct_1", payments.MaxAmount, "r"), 402},
		{"PaymentNotFound", "GET", path + "/pay_none", "", 404},
		{"PaymentWithNUL", "GET", path + "/%00", "", 404},
		{"PaymentNotUTF8", "GET", path + "/%ff", "", 404},
		{"AccountNotFound", "GET", "/accounts/acct_0", "", 404},
		{"AccountNotUTF8", "GET", "/accounts/%ff", "", 404},
		{"ListWithoutReference", "GET", path, "", 400},
		{"ListWithNUL", "GET", path + "?reference=%00", "", 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, keyed := range []string{"", test.name} {
				header := []string{"X-Tenant", "alpha"}
				if keyed != "" {
					header = append(header, "Idempotency-Key", keyed)
				}
				checkProblem(t, a.do(test.method, test.path, test.body, header...), test.status)
			}
		})
	}
	if n := a.count(); n != 0 {
		t.Errorf("%d payments were made", n)
	}
	if got := a.balance("acct_1"); got != payments.OpeningBalance {
		t.Errorf("acct_1 was debited: %d", got)
	}
}

func TestNoTenantNoEntry(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, r := range []reply{
		a.do("POST", "/payments", order("acct_1", 1, "r"), "Idempotency-Key", "k"),
		a.do("POST", "/payments", order("acct_1", 1, "r"), "X-Tenant", "", "Idempotency-Key", "k"),
		a.do("GET", "/payments?reference=r", ""),
		a.do("GET", "/accounts/acct_1", ""),
	} {
		checkProblem(t, r, http.StatusUnauthorized)
	}
	if n := a.count(); n != 0 {
		t.Errorf("%d payments were made", n)
	}
}

func checkProblem(t *testing.T, r reply, status int) {
	t.Helper()
	var problem struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal([]byte(r.body), &problem); err != nil {
		t.Fatalf("%d %q: %v", r.status, r.body, err)
	}
	if r.status != status || problem.Status != status || problem.Title == "" || !strings.HasPrefix(problem.Type, "https://") {
		t.Errorf("%d %s, want %d", r.status, r.body, status)
	}
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type is %q", got)
	}
	for _, internal := range []string{"json:", "Go struct", "SQLSTATE", "pgx"} {
		if strings.Contains(r.body, internal) {
			t.Errorf("%s shows %q", r.body, internal)
		}
	}
}
