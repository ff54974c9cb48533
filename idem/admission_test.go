package idem_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// gate is a handler that runs until it is opened, except on /quick.
type gate struct {
	ledger
	begun chan string
	open  chan struct{}
}

func newGate() *gate { return &gate{begun: make(chan string, 100), open: make(chan struct{})} }

func (g *gate) serve(w http.ResponseWriter, r *http.Request) {
	g.runs.Add(1)
	if r.URL.Path != "/quick" {
		g.begun <- r.Header.Get("Idempotency-Key")
		<-g.open
	}
	w.WriteHeader(201)
	io.WriteString(w, r.Header.Get("Idempotency-Key")) //nolint:errcheck // recorded
}

// asTenant is q, sent by that tenant.
func asTenant(name string, q request) request {
	q.header = http.Header{"X-Tenant": {name}}
	return q
}

// sendAll sends each request in a goroutine of its own.
func sendAll(t testing.TB, srv *httptest.Server, requests ...request) <-chan answer {
	answers := make(chan answer, len(requests))
	for _, q := range requests {
		go func() { answers <- send(t, srv, q) }()
	}
	return answers
}

func (a answer) mustBeTooMany(t testing.TB) {
	t.Helper()
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != 429 || a.problem(t) != "too-many-requests" || err != nil || seconds < 1 {
		t.Errorf("answer %+v, want 429 too-many-requests and Retry-After", a)
	}
}

// Behaviour 32. A scope that has its share in flight is told 429, without a
// look at the store; another scope is served; and with a place free it is too.
func TestInFlightPerScopeIsBounded(t *testing.T) {
	t.Parallel()
	var reserves atomic.Int64
	var seen events
	g := newGate()
	store := hookedStore{Store: newMemory(t), reserve: func(context.Context) error { reserves.Add(1); return nil }}
	srv := serve(t, idem.Config{Store: store, Scope: tenant, MaxInFlightPerScope: 2, Observer: seen.observe}, g.serve)
	first := sendAll(t, srv, asTenant("a", request{key: "1"}), asTenant("a", request{key: "2"}))
	for range 2 {
		receive(t, "a handler", g.begun)
	}
	for _, key := range []string{"3", "1"} {
		send(t, srv, asTenant("a", request{key: key, path: "/quick"})).mustBeTooMany(t)
	}
	for _, e := range seen.wait(t, 2) {
		if e.Outcome != "too-many-requests" || e.Status != 429 || e.Runs != 0 || e.KeyDigest == "" {
			t.Errorf("event %+v", e)
		}
	}
	if n := reserves.Load(); n != 2 || g.runs.Load() != 2 {
		t.Errorf("the store was asked %d times, %d runs; want 2 and 2", n, g.runs.Load())
	}
	if a := send(t, srv, asTenant("b", request{key: "3", path: "/quick"})); a.status != 201 {
		t.Errorf("another scope got %+v", a)
	}
	close(g.open)
	for range 2 {
		if a := receive(t, "an answer", first); a.status != 201 {
			t.Errorf("one in flight got %+v", a)
		}
	}
	if a := send(t, srv, asTenant("a", request{key: "3", path: "/quick"})); a.status != 201 || a.replayed() {
		t.Errorf("after them the scope got %+v", a)
	}
}

// Without Scope there is one namespace, and one count.
func TestInFlightIsBoundedWithoutScope(t *testing.T) {
	t.Parallel()
	g := newGate()
	srv := serve(t, idem.Config{MaxInFlightPerScope: 1}, g.serve)
	first := sendAll(t, srv, asTenant("a", request{key: "1"}))
	receive(t, "the handler", g.begun)
	send(t, srv, asTenant("b", request{key: "2", path: "/quick"})).mustBeTooMany(t)
	close(g.open)
	receive(t, "the answer", first)
}

// Duplicates that wait have their own bound. Beyond it one more is told 429 at
// once, but replays and new keys of the same scope are served meanwhile.
func TestWaitersPerScopeAreBounded(t *testing.T) {
	t.Parallel()
	g := newGate()
	var waiting atomic.Int64
	store := hookedStore{Store: newMemory(t), reserve: func(ctx context.Context) error {
		if a, _ := idem.AttemptFromContext(ctx); !a.NoWait() {
			waiting.Add(1)
		}
		return nil
	}}
	srv := serve(t, idem.Config{Store: store, Scope: tenant, MaxWaitingPerScope: 3}, g.serve)
	quick := asTenant("a", request{key: "done", path: "/quick"})
	send(t, srv, quick)
	duplicate := asTenant("a", request{key: "slow"})
	answers := sendAll(t, srv, duplicate)
	receive(t, "the handler", g.begun)
	waited := sendAll(t, srv, duplicate, duplicate, duplicate)
	eventually(t, "three wait", func() bool { return waiting.Load() == 5 })
	begun := time.Now()
	for range 3 {
		send(t, srv, duplicate).mustBeTooMany(t)
		if a := send(t, srv, quick); a.status != 201 || !a.replayed() {
			t.Errorf("a replay got %+v", a)
		}
	}
	if a := send(t, srv, asTenant("a", request{key: "new", path: "/quick"})); a.status != 201 || a.replayed() {
		t.Errorf("a new key got %+v", a)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("they were answered after %v", took)
	}
	close(g.open)
	receive(t, "the first answer", answers)
	for range 3 {
		if a := receive(t, "a waiter's answer", waited); a.status != 201 || !a.replayed() {
			t.Errorf("a waiter got %+v", a)
		}
	}
	if n := g.runs.Load(); n != 3 {
		t.Errorf("%d runs, want one for each of 3 keys", n)
	}
}

// A Store that knows nothing of NoWait waits all the same; its word counts.
func TestCrowdedOutByAStoreThatWaits(t *testing.T) {
	t.Parallel()
	store := hookedStore{Store: newMemory(t), reserve: func(ctx context.Context) error {
		if a, _ := idem.AttemptFromContext(ctx); a.NoWait() {
			return idem.ErrWaitTimeout
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	srv := serve(t, idem.Config{Store: store, MaxWaitingPerScope: 1, WaitTimeout: 2 * time.Second}, newGate().serve)
	answers := sendAll(t, srv, request{key: "k"}, request{key: "k"})
	receive(t, "the one without a place", answers).mustBeTooMany(t)
	if a := receive(t, "the other", answers); a.status != 503 {
		t.Errorf("the one that waits got %+v", a)
	}
}

// A handler that was abandoned keeps its place until it returns.
func TestAbandonedHandlerCounts(t *testing.T) {
	t.Parallel()
	g := newGate()
	store := transactionalStore{newMemory(t)}
	srv := serve(t, idem.Config{Store: store, MaxInFlightPerScope: 1, MaxHandlerTime: 20 * time.Millisecond}, g.serve)
	if a := send(t, srv, request{key: "1"}); a.status != 503 || a.problem(t) != "handler-timeout" {
		t.Errorf("answer %+v", a)
	}
	send(t, srv, request{key: "2", path: "/quick"}).mustBeTooMany(t)
	close(g.open)
	eventually(t, "there is a place again", func() bool {
		return send(t, srv, request{key: "2", path: "/quick"}).status == 201
	})
}

// A panic of the handler or of a function of Config gives the place back.
func TestPanicGivesThePlaceBack(t *testing.T) {
	t.Parallel()
	srv := serve(t, idem.Config{
		MaxInFlightPerScope: 1,
		RequestHash: func(r *http.Request) (string, error) {
			if r.URL.Path == "/hash" {
				panic("hash")
			}
			return "hash", nil
		},
	}, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/handler" {
			panic("handler")
		}
	})
	dontRetry(srv)
	for i, path := range []string{"/hash", "/handler", "/hash", "/handler"} {
		if a, err := trySend(t.Context(), t, srv, request{path: path, key: strconv.Itoa(i)}); err == nil {
			t.Errorf("%s: %+v", path, a)
		}
	}
	if a := send(t, srv, request{key: "k"}); a.status != 200 {
		t.Errorf("answer %+v", a)
	}
}

// The refusal does not wait for a body that does not come. (For less than 256
// KiB of it the server itself would wait, to save the connection.)
func TestTooManyIsToldBeforeTheBody(t *testing.T) {
	t.Parallel()
	g := newGate()
	srv := serve(t, idem.Config{MaxInFlightPerScope: 1}, g.serve)
	first := sendAll(t, srv, request{key: "1"})
	receive(t, "the handler", g.begun)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))                                                                       //nolint:errcheck // a read would fail
	io.WriteString(conn, "POST /quick HTTP/1.1\r\nHost: x\r\nIdempotency-Key: 2\r\nContent-Length: 524288\r\n\r\nh") //nolint:errcheck // a read would fail
	head := make([]byte, len("HTTP/1.1 429 "))
	if _, err := io.ReadFull(conn, head); err != nil || !strings.Contains(string(head), " 429 ") {
		t.Errorf("answer %q, %v", head, err)
	}
	close(g.open)
	receive(t, "the answer", first)
}
