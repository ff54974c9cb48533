package idem_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/allocation"
	"github.com/pgidem/pgidem/memory"
)

// What a request may cost more behind the middleware and the memory store than
// without. The bytes are no less of a bound: most of the time above the bare
// handler's goes into clearing and collecting them.
var costLimits = map[string]allocation.Cost{
	"Fresh":  {Allocations: 13.5, Bytes: 17 << 8}, // the store's growth counted in
	"Replay": {Allocations: 6.5, Bytes: 5 << 9},
}

// Not parallel: it counts the allocations of the whole process.
func TestAllocationsOfTheMiddleware(t *testing.T) {
	const runs = 2000
	bare := costOf(http.HandlerFunc(benchHandler), newBenchClient(), freshKey, runs)
	for name, limit := range costLimits {
		more := costOf(newProtected(t), newBenchClient(), keysOf(name), runs).Less(bare)
		t.Logf("%s: %.1f allocations and %.0f bytes more than the bare handler", name, more.Allocations, more.Bytes)
		if more.Exceeds(limit) {
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
		if got := costOf(h, c, keysOf(name), 20); got.Bytes > size*5/4 {
			t.Errorf("%s: %.0f bytes allocated for a body of %d", name, got.Bytes, size)
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
func costOf(h http.Handler, c *benchClient, keyOf func(i int) string, runs int) allocation.Cost {
	keys := make([]string, runs+1)
	for i := range keys {
		keys[i] = keyOf(i)
	}
	return allocation.Of(runs, func(i int) { c.post(h, keys[i]) })
}
