package idem_test

import (
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

// cost is what one request allocates.
type cost struct{ allocations, bytes float64 }

// What a request may cost more behind the middleware and the memory store than
// without. The bytes are no less of a bound: most of the time above the bare
// handler's goes into clearing and collecting them.
var costLimits = map[string]cost{
	"Fresh":  {allocations: 15.5, bytes: 9 << 9}, // the store's growth counted in
	"Replay": {allocations: 7.5, bytes: 5 << 9},
}

// Not parallel: it counts the allocations of the whole process.
func TestAllocationsOfTheMiddleware(t *testing.T) {
	const runs = 2000
	bare := costOf(http.HandlerFunc(benchHandler), newBenchClient(), freshKey, runs)
	for name, limit := range costLimits {
		more := costOf(newProtected(t), newBenchClient(), keysOf(name), runs)
		more.allocations -= bare.allocations
		more.bytes -= bare.bytes
		t.Logf("%s: %.1f allocations and %.0f bytes more than the bare handler", name, more.allocations, more.bytes)
		if more.allocations > limit.allocations || more.bytes > limit.bytes {
			t.Errorf("%s: %+v more than the bare handler, want %+v at most", name, more, limit)
		}
	}
}

// The one copy of a large body is that which the handler reads: nothing of it is
// copied to hash it, to replay it or to give it to the handler.
func TestLargeBodyIsCopiedOnce(t *testing.T) {
	const size = 1 << 20
	for name := range costLimits {
		c := newBenchClient()
		c.body.text = strings.Repeat("b", size)
		c.r.ContentLength = size
		h := idem.RESTMiddleware(idem.Config{Store: newStore(t), MaxRequestBytes: size})(http.HandlerFunc(benchHandler))
		if got := costOf(h, c, keysOf(name), 20); got.bytes > size*5/4 {
			t.Errorf("%s: %.0f bytes allocated for a body of %d", name, got.bytes, size)
		}
	}
}

func newStore(t *testing.T) *memory.Store {
	store := memory.New(memory.Config{})
	t.Cleanup(store.Close)
	return store
}

func newProtected(t *testing.T) http.Handler {
	return idem.RESTMiddleware(idem.Config{Store: newStore(t)})(http.HandlerFunc(benchHandler))
}

func keysOf(kind string) func(int) string {
	if kind == "Fresh" {
		return freshKey
	}
	return func(int) string { return "key" }
}

// costOf measures runs requests behind one that is not measured.
func costOf(h http.Handler, c *benchClient, keyOf func(i int) string, runs int) cost {
	keys := make([]string, runs+1)
	for i := range keys {
		keys[i] = keyOf(i)
	}
	c.post(h, keys[0])
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, key := range keys[1:] {
		c.post(h, key)
	}
	runtime.ReadMemStats(&after)
	return cost{
		allocations: float64(after.Mallocs-before.Mallocs) / float64(runs),
		bytes:       float64(after.TotalAlloc-before.TotalAlloc) / float64(runs),
	}
}
