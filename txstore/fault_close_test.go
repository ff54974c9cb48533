package txstore_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// Behaviour 54. No connection in time says nothing about the key.
func TestExhaustedPoolIsUnavailable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1, Config: txstore.Config{AcquireTimeout: 100 * time.Millisecond}})
	conn, err := w.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	leader, follower := w.attempt("k").start(), w.attempt("k").start()
	short := w.attempt("short").waitUntil(time.Now().Add(10 * time.Millisecond))
	noWait := newAttempt(t, t.Context(), w.store, "k", idem.AttemptConfig{NoWait: true}).start()
	for name, done := range map[string]<-chan reserved{"leader": leader, "follower": follower, "short": short, "noWait": noWait} {
		got := await(t, name, done)
		if !errors.Is(got.err, idem.ErrStoreUnavailable) || errors.Is(got.err, idem.ErrWaitTimeout) || errors.Is(got.err, idem.ErrInFlight) {
			t.Errorf("%s: got %v, want ErrStoreUnavailable", name, got.err)
		}
	}
}

// Behaviour 11.
func TestServerDownIsUnavailableAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	p, proxy := w.tapped(given{})
	p.attempt("warm").mustBeFresh().mustRelease()
	proxy.Refuse(true)
	proxy.Cut()
	begun := time.Now()
	got := await(t, "the answer", p.attempt("k").start())
	if !errors.Is(got.err, idem.ErrStoreUnavailable) {
		t.Errorf("got %v, want ErrStoreUnavailable", got.err)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	proxy.Refuse(false)
	p.attempt("k").mustBeFresh().mustCommit("paid")
}

// Behaviour 11. Connections that died in the pool cost a request nothing.
func TestConnectionsThatDiedInThePoolAreReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	p, proxy := w.tapped(given{})
	p.attempt("warm").mustBeFresh().mustRelease()
	proxy.Cut()
	p.attempt("k").mustBeFresh().mustCommit("paid")
}

// Behaviour 11.
func TestClosedStoreReservesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.store.Close()
	w.store.Close()
	got := await(t, "the answer", w.attempt("k").start())
	if got.fresh || !errors.Is(got.err, idem.ErrStoreClosed) {
		t.Errorf("got fresh %t, %v, want ErrStoreClosed", got.fresh, got.err)
	}
	if _, err := w.store.Sweep(t.Context()); !errors.Is(err, idem.ErrStoreClosed) {
		t.Errorf("Sweep: %v, want ErrStoreClosed", err)
	}
}

// Behaviours 11, 52. Close ends waits at once, waits for the running attempt,
// which may still commit, and leaves nothing behind.
func TestCloseEndsWaitersAndWaitsForAttempts(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	p := w.process(given{Config: txstore.Config{CloseTimeout: patience, PollInterval: never}})
	elsewhere := w.attempt("elsewhere").mustBeFresh()
	running := p.attempt("running").mustBeFresh()
	waiting := append(p.crowd("elsewhere", 5), p.crowd("running", 5)...)
	p.mustRegister("elsewhere")
	p.mustFollow("elsewhere", 4)
	p.mustFollow("running", 5)

	closing := make(chan struct{})
	go func() {
		p.store.Close()
		close(closing)
	}()
	for _, one := range waiting {
		if got := await(t, "a waiter's end", one); !errors.Is(got.err, idem.ErrStoreClosed) {
			t.Errorf("a waiter got %s, want ErrStoreClosed", got.body())
		}
	}
	select {
	case <-closing:
		t.Error("Close did not wait for the running attempt")
	case <-time.After(50 * time.Millisecond): // not to be seen from outside
	}
	running.pay()
	running.mustCommit("paid")
	await(t, "Close", closing)
	w.mustHold("running", 1, 1)
	elsewhere.mustRelease()
	if p.hasRegistered("elsewhere") {
		t.Error("a registration is left")
	}
}

// Behaviour 52. Close gives an attempt up that does not end.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: txstore.Config{CloseTimeout: 100 * time.Millisecond}})
	a := w.attempt("k").mustBeFresh()
	within(t, 5*time.Second, "Close", func() bool { w.store.Close(); return true })
	a.mustCommit("paid")
	w.mustHold("k", 0, 1)
}

// Behaviour 52. Close is bounded also when the listener hears nothing any more,
// or cannot reach the server.
func TestCloseIsBoundedWithoutANetwork(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	for _, name := range []string{"silent", "refused"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{})
			a := w.attempt("k").mustBeFresh()
			p, proxy := w.tapped(given{Config: txstore.Config{CloseTimeout: 100 * time.Millisecond, PollInterval: never}})
			waiting := p.attempt("k").start()
			p.mustRegister("k")
			if name == "silent" {
				proxy.Silence(0)
				proxy.Silence(1)
			} else {
				proxy.Refuse(true)
				proxy.Cut()
			}
			within(t, 10*time.Second, "Close", func() bool { p.store.Close(); return true })
			if got := await(t, "the waiter", waiting); !errors.Is(got.err, idem.ErrStoreClosed) {
				t.Errorf("got %s, want ErrStoreClosed", got.body())
			}
			proxy.Restore()
			a.mustRelease()
		})
	}
}

// Behaviour 52. After Close and the pool's Close nothing of this module runs.
// The goroutines are told apart by the address of this test's Store.
func TestNothingIsLeftAfterClose(t *testing.T) {
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	p := w.process(given{})
	a := w.attempt("k").mustBeFresh()
	waiting := p.crowd("k", 10)
	p.mustRegister("k")
	a.mustCommit("paid")
	for _, one := range waiting {
		await(t, "the answer", one)
	}
	p.attempt("released").mustBeFresh().mustRelease()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, _ = newAttempt(t, ctx, p.store, "cancelled", idem.AttemptConfig{}).reserve()
	p.store.Close()
	w.store.Close()
	eventually(t, "no goroutine of the store is left", func() bool { return storeGoroutines() == "" })
}

// storeGoroutines returns the stacks of goroutines that the package has started.
func storeGoroutines() string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var left []string
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(stack, "created by github.com/pgidem/pgidem/txstore.") || strings.Contains(stack, "created by github.com/pgidem/pgidem/idem.") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}

// An address where nobody listens: the pool is made without a connection, and
// Reserve finds out.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	pool, err := pgxpool.New(t.Context(), "postgres://nobody@"+address+"/nothing")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store, err := txstore.New(pool, asUnlocked(txstore.Config{}))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	got := await(t, "the answer", newAttempt(t, t.Context(), store, "k", idem.AttemptConfig{}).start())
	if got.fresh || !errors.Is(got.err, idem.ErrStoreUnavailable) {
		t.Errorf("got fresh %t, %v, want ErrStoreUnavailable", got.fresh, got.err)
	}
}
