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
	for range 5 {
		label := rand.Text()
		pprof.Do(t.Context(), pprof.Labels("store", label), func(context.Context) {
			w := newWorld(t, given{})
			a := w.attempt("k").mustBeFresh()
			if err := a.commit("paid"); err != nil {
				t.Fatal(err)
			}
			if carriers(label) == 0 {
				t.Fatal("the test does not see who brings calls")
			}
			w.store.Close()
		})
		for began := time.Now(); time.Since(began) < 300*time.Millisecond; {
			if carriers(label) == 0 {
				return
			}
		}
	}
	t.Error("somebody is still there to bring calls of a store that was closed")
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
