package redisstore_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/internal/redisserver/redistest"
	"github.com/pgidem/pgidem/redisstore"
)

// line is a connection to a server that holds replies or requests up while it is
// told to, and loses nothing.
type line struct {
	addr              string
	replies, requests atomic.Bool
}

func newLine(tb testing.TB, server string) *line {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	l := &line{addr: listener.Addr().String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			go copyHeld(client, far, &l.requests)
			go copyHeld(far, client, &l.replies)
		}
	}()
	return l
}

func copyHeld(from, to net.Conn, held *atomic.Bool) {
	defer func() { _ = from.Close(); _ = to.Close() }()
	b := make([]byte, 1<<16)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		for held.Load() {
			time.Sleep(time.Millisecond)
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// A lease that has cost most of itself to get is renewed as soon as it must be.
//
// Behaviour 9.
func TestSlowReserveDoesNotLoseItsLease(t *testing.T) {
	t.Parallel()
	l := newLine(t, redistest.Addr(t))
	w := newWorld(t, given{Addr: l.addr, Config: redisstore.Config{Lease: 4 * time.Second}})
	w.attempt("warm").mustBeFresh().mustCommit("warm")
	cause := make(chan error, 1)
	site := w.serve(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
			cause <- context.Cause(r.Context())
		case <-time.After(2 * time.Second):
			cause <- nil
		}
	})
	l.replies.Store(true)
	time.AfterFunc(3*time.Second, func() { l.replies.Store(false) })
	answered := posted(t, site.URL)
	if err := await(t, "the handler's end", cause); err != nil {
		t.Errorf("the handler was cancelled with %v: its lease could be renewed all the time", err)
	}
	await(t, "the answer", answered)
}

// A lease that was over before the word of it came may be another's by now.
//
// Behaviour 11.
func TestReserveAfterTheEndOfItsLeaseIsNotFresh(t *testing.T) {
	t.Parallel()
	l := newLine(t, redistest.Addr(t))
	config := redisstore.Config{Lease: time.Second}
	w := newWorld(t, given{Addr: l.addr, Config: config})
	there := w.process(given{Addr: redistest.Addr(t), Config: config})
	w.attempt("warm").mustBeFresh().mustCommit("warm")
	l.replies.Store(true)
	late := w.attempt("k").start()
	eventually(t, "the first has its lease", func() bool {
		keys, err := redisstore.Keys(t.Context(), there.client, there.prefix)
		return err == nil && len(keys) == 2
	})
	next := there.attempt("k").mustBeFresh() // waits for the end of that
	l.replies.Store(false)
	if r := await(t, "the late Reserve", late); r.fresh || !errors.Is(r.err, idem.ErrStoreUnavailable) {
		t.Errorf("fresh %t, %v, while another process runs its handler", r.fresh, r.err)
	}
	next.mustCommit("next")
}

// While the network is silent, calls that nobody waits for any more are not kept,
// nor sent when it is back.
func TestCallsThatWereGivenUpAreNotSent(t *testing.T) {
	t.Parallel()
	server := ownServer(t, redisserver.Options{})
	l := newLine(t, server.Addr())
	w := newWorld(t, given{Addr: l.addr, Config: redisstore.Config{DisableListen: true}})
	w.attempt("warm").mustBeFresh().mustCommit("warm")
	const many = 10_000
	l.requests.Store(true)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if _, _, err := w.store.Reserve(ctx, strconv.Itoa(i), "h", time.Hour); !errors.Is(err, idem.ErrStoreUnavailable) {
				t.Errorf("Reserve: %v, want ErrStoreUnavailable", err)
			}
		})
	}
	all.Wait()
	l.requests.Store(false)
	w.attempt("then").mustBeFresh().mustCommit("then")
	eventually(t, "what was under way is undone", func() bool {
		keys, err := redisstore.Keys(t.Context(), w.client, "")
		return err == nil && len(keys) == 2
	})
	stats, err := w.client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, stats, _ = strings.Cut(stats, "cmdstat_set:calls=")
	calls, _, _ := strings.Cut(stats, ",")
	if n, err := strconv.Atoi(calls); err != nil || n > many/2 {
		t.Errorf("%s of %d calls were sent for nobody, %v", calls, many, err)
	}
}
