package idemtest_test

import (
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/idem/idemtest"
)

// A store's test package calls Run from a test of its own. This store needs a
// clock that can be moved; one with a database moves the records' expiry.
func ExampleRun() {
	testConformance := func(t *testing.T) {
		idemtest.Run(t, idemtest.Harness{
			NewStore: func(idemtest.TB) idem.Store { return newShelf() },
			Age: func(_ idemtest.TB, s idem.Store, d time.Duration) {
				s.(shelf).aged.Add(int64(d))
			},
			InFlightHash: true,
		})
	}
	_ = testConformance
}
