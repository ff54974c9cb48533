package limits_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
	"github.com/pgidem/pgidem/txstore"
)

const (
	slowKeys = 100
	// What a waiter may take beside the goroutine that its server gave it.
	maxHeapPerWaiter  = 8 << 10
	maxStackPerWaiter = 16 << 10
)

// crowd is a service in which every key that begins with "slow" runs until the
// gate opens.
type crowd struct {
	testing.TB
	handler http.Handler
	entered *atomic.Int64
	runs    atomic.Int64
	gate    chan struct{}
}

func newCrowd(tb testing.TB, store idem.Store, pay func(*http.Request) error) *crowd {
	c := &crowd{TB: tb, entered: new(atomic.Int64), gate: make(chan struct{})}
	cfg := idem.Config{Store: entered{store, c.entered}, WaitTimeout: 5 * time.Minute, MaxHandlerTime: 5 * time.Minute}
	c.handler = idem.RESTMiddleware(cfg)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.runs.Add(1)
		if strings.HasPrefix(keyOf(r), "slow") {
			<-c.gate
		}
		if err := pay(r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "paid "+keyOf(r))
	}))
	return c
}

func slowKey(i int) string { return fmt.Sprintf("slow-%03d", i%slowKeys) }

// waiter is one request for a slow key and the writer of its answer. No network
// stands between, so that what is measured is the middleware and the store.
type waiter struct {
	request *http.Request
	header  http.Header
	status  int
	body    []byte
}

func newWaiter(i int) *waiter {
	w := &waiter{header: make(http.Header), request: httptest.NewRequest(http.MethodPost, "/payments", strings.NewReader("{}"))}
	w.request.Header.Set("Idempotency-Key", slowKey(i))
	return w
}

func (w *waiter) Header() http.Header         { return w.header }
func (w *waiter) WriteHeader(status int)      { w.status = status }
func (w *waiter) Write(p []byte) (int, error) { w.body = append(w.body, p...); return len(p), nil }

// startOwners lets one request for each slow key run, and returns them when all
// have asked the store.
func (c *crowd) startOwners() (owners []*waiter, done <-chan struct{}) {
	return c.start(slowKeys, func(usage) {})
}

// startWaiters lets a crowd of requests wait for the owners, and demands that
// each takes little.
func (c *crowd) startWaiters() (waiters []*waiter, done <-chan struct{}) {
	return c.start(waiterCount, func(more usage) {
		if heap := more.heap / waiterCount; heap > maxHeapPerWaiter {
			c.Errorf("a waiter takes %d bytes of heap, at most %d are good", heap, maxHeapPerWaiter)
		}
		// Its own goroutine is the server's; the store may have a few for all, and the
		// handlers that they wait for have theirs.
		if more.goroutines > waiterCount+slowKeys+50 {
			c.Errorf("%d goroutines for %d waiters", more.goroutines, waiterCount)
		}
		if stack := more.stack / size(max(waiterCount, more.goroutines)); stack > maxStackPerWaiter {
			c.Errorf("a goroutine takes %d bytes of stack, at most %d are good", stack, maxStackPerWaiter)
		}
	})
}

// start begins n requests, waits until all have asked the store, and hands what
// the process takes more since then to look.
func (c *crowd) start(n int, look func(more usage)) (begun []*waiter, done <-chan struct{}) {
	for i := range n {
		begun = append(begun, newWaiter(i))
	}
	before := footprint()
	since, asked := time.Now(), c.entered.Load()
	var all sync.WaitGroup
	for _, w := range begun {
		all.Go(func() { c.handler.ServeHTTP(w, w.request) })
	}
	eventually(c.TB, "all have asked the store", func() bool { return c.entered.Load() == asked+int64(n) })
	more := footprint().less(before)
	c.Logf("%d requests came in %v: %d B heap, %d B stack, %.3f goroutines each", n, time.Since(since).Round(time.Millisecond),
		more.heap/size(n), more.stack/size(n), float64(more.goroutines)/float64(n))
	look(more)
	return begun, closed(&all)
}

type size uint64

// less returns how much s is above base, and nothing if it is not.
func (s size) less(base size) size { return max(s, base) - base }

// usage is what the process takes.
type usage struct {
	heap, stack size
	goroutines  int
}

func (u usage) less(base usage) usage {
	return usage{u.heap.less(base.heap), u.stack.less(base.stack), u.goroutines - base.goroutines}
}

func footprint() usage {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{size(m.HeapAlloc), size(m.StackInuse), runtime.NumGoroutine()}
}

// mustServeOthers demands that other keys are served while all wait.
func (c *crowd) mustServeOthers() {
	c.Helper()
	server := newServer(c.TB, c.handler)
	var slowest time.Duration
	for i := range 50 {
		a := post(c.TB, server, "", fmt.Sprintf("other-%d", i))
		if a.status != http.StatusCreated {
			c.Fatalf("another key got %+v", a)
		}
		slowest = max(slowest, a.took)
	}
	c.Logf("50 other keys served meanwhile, the slowest in %v", slowest.Round(time.Microsecond))
	if slowest > 2*time.Second {
		c.Errorf("another key waited for %v", slowest)
	}
}

// mustAllBeAnswered demands the recorded answer for each waiter.
func (c *crowd) mustAllBeAnswered(waiters []*waiter, done <-chan struct{}) {
	c.Helper()
	begun := time.Now()
	await(c.TB, "all answers", done)
	c.Logf("all answered %v after the end of what they waited for", time.Since(begun).Round(time.Millisecond))
	for _, w := range waiters {
		want := "paid " + keyOf(w.request)
		if w.status != http.StatusCreated || !bytes.Equal(w.body, []byte(want)) {
			c.Fatalf("a waiter for %s got %d %s", keyOf(w.request), w.status, w.body)
		}
	}
}

// Behaviour 22. A crowd of duplicates costs little memory and no goroutine of
// its own, holds no connection, keeps nobody else from being served, and all get
// the one answer. Not parallel: it measures the process.
func TestCrowdOfWaiters(t *testing.T) {
	none := func(*http.Request) error { return nil }
	t.Run("Memory", func(t *testing.T) {
		store := memory.New(memory.Config{})
		t.Cleanup(store.Close)
		c := newCrowd(t, store, none)
		c.runHere(func() {})
		if n := c.runs.Load(); n != slowKeys+50 {
			t.Errorf("%d runs, want one for each of %d keys", n, slowKeys+50)
		}
	})
	t.Run("LeasedInOneProcess", func(t *testing.T) {
		p := newProcess(t, "", 4, txstore.Config{})
		c := newCrowd(t, p.store.Leased(), func(r *http.Request) error { return p.pay(r.Context(), keyOf(r)) })
		c.runHere(func() { p.mustHoldNoConnection(t) })
		if n := p.payments(t, ""); n != slowKeys+50 || c.runs.Load() != slowKeys+50 {
			t.Errorf("%d payments, %d runs, want one for each of %d keys", n, c.runs.Load(), slowKeys+50)
		}
	})
	t.Run("OwnersInAnotherProcess", func(t *testing.T) {
		owner := newProcess(t, "", 4, txstore.Config{})
		p := newProcess(t, owner.url, 4, txstore.Config{})
		c := newCrowd(t, p.store, func(r *http.Request) error { return p.pay(r.Context(), keyOf(r)) })
		other := newCrowd(t, owner.store.Leased(), func(r *http.Request) error { return owner.pay(r.Context(), keyOf(r)) })
		owners, ended := other.startOwners()
		eventually(t, "the owners run", func() bool { return other.runs.Load() == slowKeys })
		waiters, done := c.startWaiters()
		p.mustHoldNoConnection(t)
		c.mustServeOthers()
		close(other.gate)
		other.mustAllBeAnswered(owners, ended)
		c.mustAllBeAnswered(waiters, done)
		if n := p.payments(t, "slow"); n != slowKeys || c.runs.Load() != 50 {
			t.Errorf("%d payments for %d keys, %d runs here, want 50", n, slowKeys, c.runs.Load())
		}
	})
}

// runHere lets owners and waiters be of one process. meanwhile is looked at
// while all wait.
func (c *crowd) runHere(meanwhile func()) {
	owners, ended := c.startOwners()
	eventually(c.TB, "the owners run", func() bool { return c.runs.Load() == slowKeys })
	waiters, done := c.startWaiters()
	meanwhile()
	c.mustServeOthers()
	close(c.gate)
	c.mustAllBeAnswered(owners, ended)
	c.mustAllBeAnswered(waiters, done)
}

func (p *process) mustHoldNoConnection(tb testing.TB) {
	tb.Helper()
	eventually(tb, "no connection is held", func() bool { return p.pool.Stat().AcquiredConns() == 0 })
}
