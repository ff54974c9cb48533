package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"

	"github.com/pgidem/pgidem/internal/pgbouncer"
)

// PoolerVariable makes Pooled lead through a PgBouncer in transaction pooling:
// "unprepared" one that knows nothing of prepared statements, as before version
// 1.21, or "prepared" one that follows them.
const PoolerVariable = "PGIDEM_TEST_POOLER"

// PoolerKind is what stands between the tests and the server.
type PoolerKind string

// The values of PoolerVariable.
const (
	NoPooler         PoolerKind = ""
	UnpreparedPooler PoolerKind = "unprepared"
	PreparedPooler   PoolerKind = "prepared"
)

// WantedPooler returns what PoolerVariable asks for.
func WantedPooler() (PoolerKind, error) {
	switch kind := PoolerKind(os.Getenv(PoolerVariable)); kind {
	case NoPooler, UnpreparedPooler, PreparedPooler:
		return kind, nil
	default:
		return "", fmt.Errorf("%s is %q: it must be %s, %s or empty", PoolerVariable, kind, UnpreparedPooler, PreparedPooler)
	}
}

// poolers by the address of the server behind them. They end with the process.
var poolers struct {
	sync.Mutex
	before map[string]*pgbouncer.Server
}

// Pooled returns the URL that leads to the same database through the pooler that
// PoolerVariable asks for; directURL itself if it asks for none. A pooler is
// started when a server is first reached through it.
func Pooled(tb testing.TB, directURL string) string {
	tb.Helper()
	kind, err := WantedPooler()
	if err != nil {
		tb.Fatal(err)
	}
	if kind == NoPooler {
		return directURL
	}
	u, err := url.Parse(directURL)
	if err != nil {
		tb.Fatal(err)
	}
	pooler, err := poolerBefore(u, kind)
	if err != nil {
		tb.Fatal(err)
	}
	return pooler.Route(u)
}

func poolerBefore(u *url.URL, kind PoolerKind) (*pgbouncer.Server, error) {
	poolers.Lock()
	defer poolers.Unlock()
	if pooler := poolers.before[u.Host]; pooler != nil {
		return pooler, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	pooler, err := pgbouncer.Start(ctx, u.String(), pgbouncer.Options{Prepared: kind == PreparedPooler})
	if err != nil {
		return nil, err
	}
	if poolers.before == nil {
		poolers.before = make(map[string]*pgbouncer.Server)
	}
	poolers.before[u.Host] = pooler
	return pooler, nil
}

// Pooler starts a PgBouncer for this test alone before the server of directURL.
// It is stopped after the test.
func Pooler(tb testing.TB, directURL string, options pgbouncer.Options) *pgbouncer.Server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), timeout)
	defer cancel()
	pooler, err := pgbouncer.Start(ctx, directURL, options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := pooler.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return pooler
}
