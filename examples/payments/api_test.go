package payments_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/examples/payments"
	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/memory"
	"github.com/pgidem/pgidem/txstore"
)

// api is a running payments API on a database of its own.
type api struct {
	t    *testing.T
	url  string
	pool *pgxpool.Pool
	log  *lockedBuffer
}

func newAPI(t *testing.T) *api {
	t.Helper()
	pool := newLedger(t)
	store, err := txstore.New(pool, txstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return serve(t, pool, store, store)
}

func newMemoryAPI(t *testing.T) *api {
	t.Helper()
	pool := newLedger(t)
	return serve(t, pool, memory.New(memory.Config{}), payments.PoolTransactor{Pool: pool})
}

func newLedger(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool := pgtest.Pool(t)
	if err := payments.SetUp(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return pool
}

func serve(t *testing.T, pool *pgxpool.Pool, store idem.Store, transactor payments.Transactor) *api {
	t.Helper()
	log := &lockedBuffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	server := httptest.NewServer(payments.NewHandler(payments.Config{
		Pool:       pool,
		Transactor: transactor,
		Store:      store,
		Outcomes:   payments.NewOutcomes(logger),
		Logger:     logger,
	}))
	t.Cleanup(server.Close)
	return &api{t: t, url: server.URL, pool: pool, log: log}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// reply is an answer with its body read.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) replayed() bool { return r.header.Get("Idempotent-Replayed") == "true" }

func (a *api) do(method, path, body string, header ...string) reply {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		a.t.Error(err)
		return reply{}
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Error(err)
	}
	return reply{response.StatusCode, response.Header, string(text)}
}

// pay sends a payment for the tenant "alpha".
func (a *api) pay(key, body string) reply {
	a.t.Helper()
	return a.do("POST", "/payments", body, "X-Tenant", "alpha", "Idempotency-Key", key)
}

func (a *api) get(path string) reply {
	a.t.Helper()
	return a.do("GET", path, "", "X-Tenant", "alpha")
}

func (a *api) count() (n int) {
	a.t.Helper()
	if err := a.pool.QueryRow(a.t.Context(), "SELECT count(*) FROM payments").Scan(&n); err != nil {
		a.t.Fatal(err)
	}
	return n
}

func (a *api) balance(account string) int64 {
	a.t.Helper()
	return decode[payments.Account](a.t, a.get("/accounts/"+account)).Balance
}

func decode[T any](t *testing.T, r reply) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("%d %q: %v", r.status, r.body, err)
	}
	return v
}

func order(account string, amount int64, reference string) string {
	return fmt.Sprintf(`{"account":%q,"amount":%d,"currency":"usd","reference":%q}`, account, amount, reference)
}

func TestPaymentIsMadeAndFoundAgain(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	created := a.pay("k", order("acct_7", 1250, "order-42"))
	if created.status != http.StatusCreated {
		t.Fatalf("%d %s", created.status, created.body)
	}
	p := decode[payments.Payment](t, created)
	if p.Account != "acct_7" || p.Amount != 1250 || p.Currency != "usd" || p.Reference != "order-42" ||
		p.Balance != payments.OpeningBalance-1250 || p.CreatedAt.IsZero() {
		t.Errorf("payment is %+v", p)
	}
	if got, want := created.header.Get("Location"), "/payments/"+p.ID; got != want {
		t.Errorf("Location is %q, want %q", got, want)
	}
	if found := a.get(created.header.Get("Location")); found.status != 200 || found.body != created.body {
		t.Errorf("found %d %s, created %s", found.status, found.body, created.body)
	}
	list := decode[[]payments.Payment](t, a.get("/payments?reference=order-42"))
	if len(list) != 1 || list[0] != p {
		t.Errorf("list is %+v", list)
	}
	if got := a.balance("acct_7"); got != p.Balance {
		t.Errorf("balance is %d, want %d", got, p.Balance)
	}
}

func TestUnknownReferenceIsAnEmptyArray(t *testing.T) {
	t.Parallel()
	if r := newAPI(t).get("/payments?reference=nobody"); r.status != 200 || strings.TrimSpace(r.body) != "[]" {
		t.Errorf("%d %q", r.status, r.body)
	}
}

func TestAccountsExistFromTheStart(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, id := range []string{"acct_1", fmt.Sprintf("acct_%d", payments.AccountCount)} {
		if got := a.balance(id); got != payments.OpeningBalance {
			t.Errorf("%s has %d", id, got)
		}
	}
	if r := a.get(fmt.Sprintf("/accounts/acct_%d", payments.AccountCount+1)); r.status != http.StatusNotFound {
		t.Errorf("one account more: %d", r.status)
	}
}

func TestHealthNeedsNoTenant(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	if r := a.do("GET", "/healthz", ""); r.status != 200 {
		t.Errorf("healthy: %d %s", r.status, r.body)
	}
	a.pool.Close()
	if r := a.do("GET", "/healthz", ""); r.status != http.StatusServiceUnavailable {
		t.Errorf("without database: %d %s", r.status, r.body)
	}
}
