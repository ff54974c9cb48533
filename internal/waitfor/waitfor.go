// Package waitfor lets tests wait for what must happen, but not for ever.
package waitfor

import (
	"testing"
	"time"
)

const (
	// limit is far more than anything takes that a test waits for.
	limit = 30 * time.Second
	poll  = 2 * time.Millisecond
)

// Condition asks again and again until holds says yes. The test ends where it
// does not within half a minute; what says what was waited for.
func Condition(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for end := time.Now().Add(limit); !holds(); <-tick.C {
		if time.Now().After(end) {
			tb.Fatalf("not within %v: %s", limit, what)
		}
	}
}
