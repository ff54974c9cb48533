package sealed_test

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/idem/idemtest"
	"github.com/pgidem/pgidem/memory"
	"github.com/pgidem/pgidem/sealed"
)

func newKey() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
}

// Behaviours 1, 2, 3, 4, 5, 6, 7, 8, 10, 59, 60.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string][]byte{"HashInClear": nil, "HashKeyed": newKey()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := sealed.Config{Cipher: ring(t, "a", "a"), HashSecret: secret}
			var clocks sync.Map // *sealed.Store to *atomic.Int64
			start := time.Now()
			idemtest.Run(t, idemtest.Harness{
				NewStore: func(tb idemtest.TB) idem.Store {
					clock := new(atomic.Int64)
					inner := memory.New(memory.Config{Now: func() time.Time { return start.Add(time.Duration(clock.Load())) }})
					tb.Cleanup(inner.Close)
					s, err := sealed.New(inner, config)
					if err != nil {
						tb.Fatalf("New: %v", err)
					}
					clocks.Store(s, clock)
					return s
				},
				Age: func(_ idemtest.TB, s idem.Store, d time.Duration) {
					clock, _ := clocks.Load(s)
					clock.(*atomic.Int64).Add(int64(d))
				},
				InFlightHash: true,
				Tombstones:   &idemtest.Tombstones{},
			})
		})
	}
}
