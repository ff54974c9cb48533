package limits_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/internal/waitfor"
	"github.com/pgidem/pgidem/txstore"
)

// patience bounds every wait for what must happen.
const patience = 30 * time.Second

// eventually polls until its condition holds.
var eventually = waitfor.Condition

// process is one process of a service on a database with a business table.
type process struct {
	url   string
	pool  *pgxpool.Pool
	store *txstore.Store
}

// newProcess joins the service on the database at url, a new one if that is "".
func newProcess(tb testing.TB, url string, conns int32, config txstore.Config) *process {
	tb.Helper()
	isNew := url == ""
	if isNew {
		url = pgtest.URL(tb)
	}
	p := &process{url: url, pool: pgtest.Open(tb, url, func(c *pgxpool.Config) { c.MaxConns = conns })}
	if isNew {
		if _, err := p.pool.Exec(tb.Context(), `CREATE TABLE payments (key text NOT NULL)`); err != nil {
			tb.Fatal(err)
		}
	}
	if config.CloseTimeout == 0 {
		config.CloseTimeout = 2 * time.Second
	}
	store, err := txstore.New(p.pool, config)
	if err != nil {
		tb.Fatal(err)
	}
	p.store = store
	tb.Cleanup(store.Close)
	return p
}

// pay writes a business row in the request's transaction, if there is one.
func (p *process) pay(ctx context.Context, key string) error {
	return p.store.InTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO payments VALUES ($1)`, key)
		return err
	})
}

// payments counts the business rows of the keys that begin with prefix.
func (p *process) payments(tb testing.TB, prefix string) (n int) {
	tb.Helper()
	err := p.pool.QueryRow(tb.Context(), `SELECT count(*) FROM payments WHERE starts_with(key, $1)`, prefix).Scan(&n)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// entered counts who has called Reserve.
type entered struct {
	idem.Store
	n *atomic.Int64
}

func (s entered) Reserve(ctx context.Context, key, hash string, ttl time.Duration) (*idem.Cached, bool, error) {
	s.n.Add(1)
	return s.Store.Reserve(ctx, key, hash, ttl)
}

func keyOf(r *http.Request) string { return r.Header.Get("Idempotency-Key") }

func tenantOf(r *http.Request) (string, error) { return r.Header.Get("X-Tenant"), nil }

// newServer serves handler for as long as the test runs.
func newServer(tb testing.TB, handler http.Handler) *httptest.Server {
	tb.Helper()
	server := httptest.NewServer(handler)
	tb.Cleanup(server.Close)
	server.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 100
	return server
}

// answer is a response that was read to its end.
type answer struct {
	status     int
	body       string
	retryAfter string
	took       time.Duration
}

// post sends a request of a tenant.
func post(tb testing.TB, server *httptest.Server, tenant, key string) answer {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, server.URL, strings.NewReader("{}"))
	if err != nil {
		tb.Error(err)
		return answer{}
	}
	r.Header.Set("Idempotency-Key", key)
	r.Header.Set("X-Tenant", tenant)
	begun := time.Now()
	response, err := server.Client().Do(r)
	if err != nil {
		tb.Error(err)
		return answer{}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Error(err)
	}
	return answer{response.StatusCode, string(body), response.Header.Get("Retry-After"), time.Since(begun)}
}

// closed is closed when all have ended.
func closed(all *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	return done
}

// await waits for a value, but not for ever.
func await[T any](tb testing.TB, what string, c <-chan T) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		tb.Fatalf("not within %v: %s", patience, what)
		panic("unreachable")
	}
}
