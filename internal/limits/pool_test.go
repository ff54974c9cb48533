package limits_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// lonely is a service whose pool has one connection.
type lonely struct {
	*process
	server *httptest.Server
	runs   atomic.Int64
	begun  chan string
	gate   chan struct{}
}

// newLonely joins the service at url. Its handler pays and answers the status
// that the key begins with; "slow" keys are answered 201 when the gate opens.
func newLonely(tb testing.TB, url string) *lonely {
	tb.Helper()
	l := &lonely{
		process: newProcess(tb, url, 1, txstore.Config{AcquireTimeout: 500 * time.Millisecond}),
		begun:   make(chan string, 100),
		gate:    make(chan struct{}),
	}
	l.server = newServer(tb, idem.RESTMiddleware(idem.Config{Store: l.store})(http.HandlerFunc(l.serve)))
	return l
}

func (l *lonely) serve(w http.ResponseWriter, r *http.Request) {
	l.runs.Add(1)
	key, status := keyOf(r), http.StatusCreated
	if err := l.pay(r.Context(), key); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if n, _ := fmt.Sscanf(key, "%d", &status); n == 0 {
		l.begun <- key
		<-l.gate
	}
	w.WriteHeader(status)
}

// mustPost demands the status.
func (l *lonely) mustPost(tb testing.TB, key string, status int) {
	tb.Helper()
	if a := post(tb, l.server, "", key); a.status != status {
		tb.Errorf("%s got %+v, want %d", key, a, status)
	}
}

// Every way of a request that needs the store needs one connection at most: with
// a pool of one it does not wait for itself.
func TestPoolOfOneServesEveryDisposition(t *testing.T) {
	t.Parallel()
	l := newLonely(t, "")
	for _, c := range []struct{ status, payments, runs int }{
		{201, 1, 1}, // kept, then replayed
		{422, 0, 1}, // only the response is kept
		{503, 0, 2}, // nothing is kept
	} {
		key, before := fmt.Sprintf("%d", c.status), l.runs.Load()
		l.mustPost(t, key, c.status)
		l.mustPost(t, key, c.status)
		if runs := l.runs.Load() - before; int(runs) != c.runs || l.payments(t, key) != c.payments {
			t.Errorf("%s: %d runs, %d payments, want %+v", key, runs, l.payments(t, key), c)
		}
	}
	if _, err := l.store.Sweep(t.Context()); err != nil {
		t.Errorf("Sweep: %v", err)
	}
	l.mustHoldNoConnection(t)
}

// While a handler has the one connection, its duplicates wait without any; a new
// key is told within AcquireTimeout that the store has no room, and Sweep too.
func TestPoolOfOneWhileItIsTaken(t *testing.T) {
	t.Parallel()
	l := newLonely(t, "")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { l.mustPost(t, "slow", http.StatusCreated) })
	}
	await(t, "the handler", l.begun)
	begun := time.Now()
	l.mustPost(t, "201", http.StatusServiceUnavailable)
	_, err := l.store.Sweep(t.Context())
	if !errors.Is(err, idem.ErrStoreUnavailable) {
		t.Errorf("Sweep: %v, want ErrStoreUnavailable", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("they were told after %v", took)
	}
	close(l.gate)
	await(t, "all answers", closed(&all))
	l.mustPost(t, "201", http.StatusCreated)
	if l.runs.Load() != 2 || l.payments(t, "slow") != 1 {
		t.Errorf("%d runs, %d payments, want 2 and 1", l.runs.Load(), l.payments(t, "slow"))
	}
}

// Waiting for an attempt of another process needs no connection of the pool, and
// the notification comes on one of its own.
func TestPoolOfOneWaitsForAnotherProcess(t *testing.T) {
	t.Parallel()
	owner := newLonely(t, "")
	l := newLonely(t, owner.url)
	var all sync.WaitGroup
	all.Go(func() { owner.mustPost(t, "slow", http.StatusCreated) })
	await(t, "the handler", owner.begun)
	for range 20 {
		all.Go(func() { l.mustPost(t, "slow", http.StatusCreated) })
	}
	for i := range 10 {
		l.mustPost(t, fmt.Sprintf("201-%d", i), http.StatusCreated)
	}
	l.mustHoldNoConnection(t)
	close(owner.gate)
	await(t, "all answers", closed(&all))
	if n := l.payments(t, "slow"); n != 1 || l.runs.Load() != 10 {
		t.Errorf("%d payments, %d runs here, want 1 and 10", n, l.runs.Load())
	}
}

// A handler that asks for a second connection waits for itself: for another key
// it is told within AcquireTimeout, from the pool itself within MaxHandlerTime.
func TestPoolOfOneAsksForASecondConnection(t *testing.T) {
	t.Parallel()
	p := newProcess(t, "", 1, txstore.Config{AcquireTimeout: 200 * time.Millisecond})
	var inner error
	cfg := idem.DoConfig{Store: p.store, MaxHandlerTime: time.Second}
	_, err := idem.Do(t.Context(), cfg, "outer", nil, func(ctx context.Context) (int, error) {
		_, inner = idem.Do(ctx, cfg, "inner", nil, func(context.Context) (int, error) { return 1, nil })
		return 1, nil
	})
	if err != nil || !errors.Is(inner, idem.ErrStoreUnavailable) {
		t.Errorf("outer %v, inner %v; want the inner to have no room", err, inner)
	}
	_, err = idem.Do(t.Context(), cfg, "direct", nil, func(ctx context.Context) (int, error) {
		_, err := p.pool.Exec(ctx, "SELECT 1")
		return 1, err
	})
	if !errors.Is(err, idem.ErrHandlerTimeout) {
		t.Errorf("got %v, want ErrHandlerTimeout", err)
	}
	if got, err := idem.Do(t.Context(), cfg, "direct", nil, func(context.Context) (int, error) { return 2, nil }); got != 2 || err != nil {
		t.Errorf("afterwards: %d, %v", got, err)
	}
}
