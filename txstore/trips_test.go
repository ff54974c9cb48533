package txstore_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/wiretap"
	"github.com/pgidem/pgidem/txstore"
)

// tapped is a process that reaches the world's database through a wiretap.
func (w *world) tapped(g given) (*world, *wiretap.Proxy) {
	w.Helper()
	proxy, way := wiretap.StartURL(w.TB, w.way)
	g.Way = way
	return w.process(g), proxy
}

// trips returns how many round trips f took.
func trips(proxy *wiretap.Proxy, f func()) int {
	before := proxy.Trips()
	f()
	return proxy.Trips() - before
}

// Round trips of a fresh request with one business statement, against the
// handler's own BEGIN, statement, COMMIT; in every way of executing a query that
// needs no preparation each time.
func TestFreshRequestTakesThreeRoundTrips(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		if mode == pgx.QueryExecModeDescribeExec {
			continue // it prepares each statement anew, and so does the bare transaction
		}
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			p, proxy := newWorld(t, given{}).tapped(given{Mode: mode, Conns: 1})
			request := func(key string) func() {
				return func() {
					if _, ran, err := run(t, p.store, key, pay(t, key, "paid")); err != nil || !ran {
						t.Fatalf("ran %t, error %v", ran, err)
					}
				}
			}
			bare := func() {
				err := pgx.BeginFunc(t.Context(), p.pool, func(tx pgx.Tx) error {
					_, err := tx.Exec(t.Context(), insertPayment, "bare")
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			replay := func() {
				if _, ran, err := run(t, p.store, "warm", nil); err != nil || ran {
					t.Fatalf("ran %t, error %v", ran, err)
				}
			}
			request("warm")()
			bare()
			replay()

			if n := trips(proxy, bare); n != 3 {
				t.Fatalf("the bare transaction took %d round trips: the count is wrong", n)
			}
			if n := trips(proxy, request("counted")); n != 3 {
				t.Errorf("a fresh request took %d round trips, want 3", n)
			}
			if n := trips(proxy, replay); n != 1 {
				t.Errorf("a replay took %d round trips, want 1", n)
			}
			p.mustHold("counted", 1, 1)
		})
	}
}

// What the Store has prepared it knows: on a warm connection nothing is parsed or
// described.
func TestWarmRequestDescribesNothing(t *testing.T) {
	t.Parallel()
	const mode = pgx.QueryExecModeCacheStatement
	if !slices.Contains(usableModes(), mode) {
		t.Skip("needs statements that stay prepared")
	}
	p, proxy := newWorld(t, given{}).tapped(given{Mode: mode, Conns: 1})
	paid := func(context.Context, pgx.Tx) idem.Cached { return idem.Cached{Status: 201} }
	request := func(key string) {
		if _, _, err := run(t, p.store, key, paid); err != nil {
			t.Fatal(err)
		}
	}
	request("warm")
	request("warm")
	var executed atomic.Int32
	proxy.Intercept(func(m wiretap.Message) wiretap.Verdict {
		switch {
		case m.From != wiretap.Client:
		case m.Type == 'P' || m.Type == 'D':
			t.Errorf("the client has sent %q for %q", m.Type, m.Body)
		case m.Type == 'E':
			executed.Add(1)
		}
		return wiretap.Pass
	})
	request("fresh")
	request("fresh") // its replay
	if n := executed.Load(); n != 6 {
		t.Errorf("%d statements were executed, want five and the replay's one", n)
	}
}

// A response that is kept without its writes, and one that is not kept at all,
// take no more.
func TestUndoneRequestTakesThreeRoundTrips(t *testing.T) {
	t.Parallel()
	for _, disposition := range []idem.Disposition{idem.CommitResponse, idem.Discard} {
		t.Run(disposition.String(), func(t *testing.T) {
			t.Parallel()
			p, proxy := newWorld(t, given{}).tapped(given{Conns: 1})
			request := func(key string) {
				_, ran, err := run(t, p.store, key, func(ctx context.Context, tx pgx.Tx) idem.Cached {
					idem.SetDisposition(ctx, disposition)
					return pay(t, key, "no")(ctx, tx)
				})
				if err != nil || !ran {
					t.Fatalf("ran %t, error %v", ran, err)
				}
			}
			request("warm")
			if n := trips(proxy, func() { request("counted") }); n != 3 {
				t.Errorf("took %d round trips, want 3", n)
			}
			if p.payments("counted") != 0 {
				t.Error("the writes were kept")
			}
		})
	}
}

// ear counts the notifications of the store's channel.
type ear struct {
	testing.TB
	conn  *pgx.Conn
	heard chan string
}

func (w *world) ear() *ear {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.url)
	if err != nil {
		w.Fatal(err)
	}
	e := &ear{TB: w.TB, conn: conn, heard: make(chan string, 1<<16)}
	if _, err := conn.Exec(w.Context(), "LISTEN "+txstore.WakeChannel+"; LISTEN control"); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			n, err := conn.WaitForNotification(ctx)
			if err != nil {
				return
			}
			e.heard <- n.Channel + " " + n.Payload
		}
	}()
	w.Cleanup(func() {
		cancel()
		<-ended
		_ = conn.Close(context.Background())
	})
	return e
}

// untilControl returns how many of the store's notifications came before the
// control, which is sent last: notifications arrive in the order of commits.
func (e *ear) untilControl(w *world) (n int) {
	e.Helper()
	w.exec("SELECT pg_notify('control', '')")
	for {
		select {
		case heard := <-e.heard:
			if heard == "control " {
				return n
			}
			n++
		case <-time.After(patience):
			e.Fatal("the control notification did not come")
		}
	}
}

// Behaviour 23.
func TestUncontendedRequestsNotifyNobody(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	ear := w.ear()
	for i := range 1000 {
		key := fmt.Sprintf("k-%d", i)
		handler := pay(t, key, "paid")
		if i%4 == 3 {
			handler = func(ctx context.Context, tx pgx.Tx) idem.Cached {
				idem.SetDisposition(ctx, idem.Discard)
				return pay(t, key, "no")(ctx, tx)
			}
		}
		if _, _, err := run(t, w.store, key, handler); err != nil {
			t.Fatal(err)
		}
		if i%4 == 0 {
			if _, ran, err := run(t, w.store, key, nil); ran || err != nil {
				t.Fatalf("replay: ran %t, error %v", ran, err)
			}
		}
	}
	if n := ear.untilControl(w); n != 0 {
		t.Errorf("1000 uncontended requests caused %d notifications, want none", n)
	}

	owner, waiter := w.attempt("contended").mustBeFresh(), w.process(given{Listens: true})
	waiting := waiter.attempt("contended").start()
	waiter.mustRegister("contended")
	owner.mustCommit("paid")
	if got := await(t, "the waiter's answer", waiting).body(); got != "paid" {
		t.Errorf("the waiter got %s", got)
	}
	if n := ear.untilControl(w); n == 0 {
		t.Error("a contended request was not heard: the count is wrong")
	}
}
