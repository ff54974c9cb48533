package idem_test

import (
	"net/http"
	"testing"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

// maxAllocs is what a request may allocate more behind the middleware and the
// memory store, new or replayed, than without.
const maxAllocs = 15

// Not parallel: it counts the allocations of the whole process.
func TestAllocationsOfTheMiddleware(t *testing.T) {
	bare := allocations(http.HandlerFunc(benchHandler), freshKey)
	for name, keyOf := range map[string]func(int) string{
		"Fresh":  freshKey,
		"Replay": func(int) string { return "key" },
	} {
		store := memory.New(memory.Config{})
		t.Cleanup(store.Close)
		h := idem.RESTMiddleware(idem.Config{Store: store})(http.HandlerFunc(benchHandler))
		more := allocations(h, keyOf) - bare
		t.Logf("%s: %v allocations more than the bare handler's %v", name, more, bare)
		if more > maxAllocs {
			t.Errorf("%s: %v allocations more than the bare handler, want %d at most", name, more, maxAllocs)
		}
	}
}

func allocations(h http.Handler, keyOf func(i int) string) float64 {
	const runs = 2000
	keys := make([]string, runs+2)
	for i := range keys {
		keys[i] = keyOf(i)
	}
	c := newBenchClient()
	c.post(h, keys[0])
	next := 1
	return testing.AllocsPerRun(runs, func() {
		c.post(h, keys[next])
		next++
	})
}
