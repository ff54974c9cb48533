package limits_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// busy counts who is inside, and the most that ever were.
type busy struct{ now, most atomic.Int64 }

func (b *busy) enter() (leave func()) {
	n := b.now.Add(1)
	for most := b.most.Load(); n > most && !b.most.CompareAndSwap(most, n); {
		most = b.most.Load()
	}
	return func() { b.now.Add(-1) }
}

// flood is a tenant that sends new keys without end, from many clients, and
// counts what it is told.
type flood struct {
	testing.TB
	server           *httptest.Server
	created, refused atomic.Int64
	all              sync.WaitGroup
	stop             chan struct{}
}

func newFlood(tb testing.TB, server *httptest.Server) *flood {
	f := &flood{TB: tb, server: server, stop: make(chan struct{})}
	for i := range 16 {
		f.all.Go(func() {
			for n := 0; !f.stopped(); n++ {
				f.send(fmt.Sprintf("flood-%d-%d", i, n))
			}
		})
	}
	return f
}

func (f *flood) stopped() bool {
	select {
	case <-f.stop:
		return true
	default:
		return false
	}
}

func (f *flood) send(key string) {
	switch a := post(f.TB, f.server, "flood", key); a.status {
	case http.StatusCreated:
		f.created.Add(1)
	case http.StatusTooManyRequests:
		f.refused.Add(1)
		if seconds, err := strconv.Atoi(a.retryAfter); err != nil || seconds < 1 {
			f.Errorf("Retry-After %q", a.retryAfter)
		}
	default:
		f.Errorf("the flood got %+v", a)
	}
}

// end stops the flood and waits for its last answer.
func (f *flood) end() {
	f.Helper()
	close(f.stop)
	await(f.TB, "the end of the flood", closed(&f.all))
}

// A tenant that floods, with new keys and with retries, keeps nobody else from
// being served: it has its share of the pool and is told 429 beyond it.
func TestFloodOfOneTenant(t *testing.T) {
	t.Parallel()
	const share = 2
	p := newProcess(t, "", 2*share, txstore.Config{})
	var flooding busy
	cfg := idem.Config{Store: p.store, Scope: tenantOf, MaxInFlightPerScope: share}
	server := newServer(t, idem.RESTMiddleware(cfg)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Tenant") == "flood" {
			defer flooding.enter()()
		}
		err := p.store.InTx(r.Context(), func(tx pgx.Tx) error {
			_, err := tx.Exec(r.Context(), `INSERT INTO payments SELECT $1 FROM pg_sleep(0.05)`, keyOf(r))
			return err
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})))
	f := newFlood(t, server)
	eventually(t, "the flood is refused", func() bool { return f.refused.Load() > 100 })
	var slowest time.Duration
	for i := range 20 {
		a := post(t, server, "other", fmt.Sprintf("other-%d", i))
		if a.status != http.StatusCreated {
			t.Errorf("another tenant got %+v", a)
		}
		slowest = max(slowest, a.took)
	}
	f.end()
	t.Logf("another tenant was served within %v; the flood had %d runs and %d refusals", slowest, f.created.Load(), f.refused.Load())
	if slowest > 5*time.Second {
		t.Errorf("another tenant waited for %v", slowest)
	}
	if most := flooding.most.Load(); most > share {
		t.Errorf("%d handlers of the flood ran at once, want at most %d", most, share)
	}
	if n := p.payments(t, "flood-"); int64(n) != f.created.Load() || n == 0 {
		t.Errorf("%d payments of the flood for %d answers 201", n, f.created.Load())
	}
	if n := p.payments(t, "other-"); n != 20 {
		t.Errorf("%d payments of the other tenant, want 20", n)
	}
}
