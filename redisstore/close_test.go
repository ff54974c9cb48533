package redisstore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// Who brings calls stays for half a second at least after the last, if nobody
// sends him away: one Close of several has to show that it does.
func TestClosedStoreKeepsNobody(t *testing.T) {
	t.Parallel()
	seen := false
	for range 5 {
		label, rested := rand.Text(), false
		pprof.Do(t.Context(), pprof.Labels("store", label), func(context.Context) {
			w := newWorld(t, given{})
			w.attempt("k").mustBeFresh().mustCommit("paid")
			rested = carriers(label) > 0
			w.store.Close()
		})
		seen = seen || rested
		for until := time.Now().Add(300 * time.Millisecond); rested && time.Now().Before(until); <-time.After(time.Millisecond) {
			if carriers(label) == 0 {
				return
			}
		}
	}
	t.Errorf("somebody is still there to bring calls of a store that was closed (seen at all: %t)", seen)
}

// carriers counts those that were started under a label.
func carriers(label string) int {
	var b bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&b, 1) //nolint:errcheck // into memory
	n := 0
	for _, group := range strings.Split(b.String(), "\n\n") {
		if strings.Contains(group, label) && strings.Contains(group, "convoy.(*Crew") {
			var some int
			fmt.Sscan(group, &some) //nolint:errcheck // a group begins with its number
			n += some
		}
	}
	return n
}
