package redisstore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/redisstore"
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

// A connection for notifications that cannot be opened does not keep Close.
func TestCloseIsBoundedWhileTheListenerDials(t *testing.T) {
	t.Parallel()
	var silent atomic.Bool
	dial := func(ctx context.Context, network, to string) (net.Conn, error) {
		if silent.Load() { // as a firewall that drops what comes
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return new(net.Dialer).DialContext(ctx, network, to)
	}
	w := newWorld(t, given{Client: redis.Options{Dialer: dial, DialTimeout: time.Hour}, Config: redisstore.Config{CloseTimeout: 100 * time.Millisecond}})
	w.process(given{}).attempt("k").mustBeFresh()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	silent.Store(true)
	_, _, _ = w.store.Reserve(ctx, "k", "h", time.Hour)
	closed := make(chan struct{})
	go func() {
		w.store.Close()
		close(closed)
	}()
	await(t, "Close", closed)
}

// The connection for notifications of a server that is gone is not opened again and
// again for nobody.
func TestSessionEndsWithoutAServer(t *testing.T) {
	t.Parallel()
	server := ownServer(t, redisserver.Options{})
	w := newWorld(t, given{Addr: server.Addr()})
	there := w.process(given{})
	w.attempt("k").mustBeFresh()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, _, _ = there.store.Reserve(ctx, "k", "h", time.Hour)
	if there.store.Sessions() != 1 {
		t.Fatal("no session")
	}
	if err := server.Halt(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session ends", func() bool { return there.store.Sessions() == 0 })
}
