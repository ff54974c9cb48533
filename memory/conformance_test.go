package memory_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/idem/idemtest"
	"github.com/pgidem/pgidem/memory"
)

// clock stands still unless it is moved, so that an instant can be hit exactly.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time {
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return start.Add(time.Duration(c.offset.Load()))
}

func (c *clock) move(d time.Duration) { c.offset.Add(int64(d)) }

// Behaviours 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 59, 60.
func TestConformance(t *testing.T) {
	t.Parallel()
	var clocks sync.Map // *memory.Store to *clock
	idemtest.Run(t, idemtest.Harness{
		NewStore: func(tb idemtest.TB) idem.Store {
			c := new(clock)
			s := memory.New(memory.Config{Now: c.now})
			tb.Cleanup(s.Close)
			clocks.Store(s, c)
			return s
		},
		Age: func(_ idemtest.TB, s idem.Store, d time.Duration) {
			c, _ := clocks.Load(s)
			c.(*clock).move(d)
		},
		Close:        func(_ idemtest.TB, s idem.Store) { s.(*memory.Store).Close() },
		InFlightHash: true,
		Tombstones:   &idemtest.Tombstones{},
		Name:         "memory",
	})
}
