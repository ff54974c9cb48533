package idem_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// hasty is a decorator that panics behind a Reserve that was fresh, once.
type hasty struct {
	idem.Store
	panicked *atomic.Bool
}

func (h hasty) Reserve(ctx context.Context, key, hash string, ttl time.Duration) (*idem.Cached, bool, error) {
	existing, fresh, err := h.Store.Reserve(ctx, key, hash, ttl)
	if fresh && !h.panicked.Swap(true) {
		panic("a decorator's")
	}
	return existing, fresh, err
}

// inTurn returns a hook that does one of the given things after the other, and then
// nothing.
func inTurn(does ...func() error) func(context.Context) error {
	var n atomic.Int64
	return func(context.Context) error {
		if i := int(n.Add(1)); i <= len(does) {
			return does[i-1]()
		}
		return nil
	}
}

func panics() error { panic("a decorator's") }
func fails() error  { return errors.New("not now") }

// The request panics, as it does when its handler has; and nothing stays reserved.
func TestPanicOfTheStoreIsTheRequestsAndFreesTheKey(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(idem.Store) idem.Store{
		"reserve": func(s idem.Store) idem.Store { return hasty{Store: s, panicked: new(atomic.Bool)} },
		"reserve in a transaction": func(s idem.Store) idem.Store {
			return hasty{Store: transactionalStore{s}, panicked: new(atomic.Bool)}
		},
		"commit of a transaction": func(s idem.Store) idem.Store {
			return hookedStore{Store: transactionalStore{s}, commit: inTurn(panics)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen events
			var ledger ledger
			config := idem.Config{Store: wrap(newMemory(t)), WaitTimeout: -1, Observer: seen.observe}
			srv := serve(t, config, func(_ http.ResponseWriter, r *http.Request) { ledger.insert(r.Context()) })
			dontRetry(srv)
			if a, err := trySend(t.Context(), t, srv, request{key: "k"}); err == nil {
				t.Errorf("the panic has left an answer: %+v", a)
			}
			if e := seen.wait(t, 1)[0]; e.Outcome != "panicked" || !strings.Contains(e.Err.Error(), "a decorator's") {
				t.Errorf("event %+v", e)
			}
			if a := send(t, srv, request{key: "k"}); a.status != 200 || a.replayed() || ledger.rows.Load() != 1 {
				t.Errorf("retry %+v, %d rows", a, ledger.rows.Load())
			}
		})
	}
}

// What was done under a lease cannot be undone: the client hears of it, and it is
// recorded in the background, where a panic must not end the process.
func TestPanicInACommitUnderALeaseDelaysTheRecord(t *testing.T) {
	t.Parallel()
	for name, commit := range map[string]func(context.Context) error{
		"at once":           inTurn(panics),
		"in the background": inTurn(fails, panics),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen events
			var ledger ledger
			config := idem.Config{Store: hookedStore{Store: newMemory(t), commit: commit}, Observer: seen.observe}
			srv := serve(t, config, func(_ http.ResponseWriter, r *http.Request) { ledger.insert(r.Context()) })
			if a := send(t, srv, request{key: "k"}); a.status != 200 {
				t.Errorf("answer %+v", a)
			}
			if all := seen.wait(t, 2); all[0].Outcome != "not-recorded" || all[1].Outcome != "recorded-late" {
				t.Errorf("events %+v", all)
			}
			if a := send(t, srv, request{key: "k"}); !a.replayed() || ledger.rows.Load() != 1 {
				t.Errorf("retry %+v, %d rows", a, ledger.rows.Load())
			}
		})
	}
}

// conflicting says that the handler may run again, and panics.
type conflicting struct{ transactionalStore }

func (conflicting) Commit(ctx context.Context, _, _ string, _ idem.Cached) error {
	attempt, _ := idem.AttemptFromContext(ctx)
	attempt.RequestRunAgain()
	panic("a decorator's")
}

func TestHandlerIsNotRunAgainAfterAPanicOfTheStore(t *testing.T) {
	t.Parallel()
	var ledger ledger
	srv := serve(t, idem.Config{Store: conflicting{transactionalStore{newMemory(t)}}}, func(http.ResponseWriter, *http.Request) { ledger.runs.Add(1) })
	dontRetry(srv)
	if a, err := trySend(t.Context(), t, srv, request{key: "k"}); err == nil || ledger.runs.Load() != 1 {
		t.Errorf("answer %+v, %d runs", a, ledger.runs.Load())
	}
}

// In the background nobody could recover: the panic is an error like any other.
func TestPanicOfAReleaseInTheBackgroundIsTold(t *testing.T) {
	t.Parallel()
	var seen events
	leave := make(chan bool)
	store := hookedStore{Store: newMemory(t), release: inTurn(panics)}
	srv := serve(t, idem.Config{Store: store, MaxHandlerTime: 20 * time.Millisecond, Observer: seen.observe},
		func(w http.ResponseWriter, _ *http.Request) {
			<-leave
			w.WriteHeader(http.StatusInternalServerError)
		})
	if a := send(t, srv, request{key: "k"}); a.problem(t) != "handler-timeout" {
		t.Errorf("answer %+v", a)
	}
	close(leave)
	if e := seen.wait(t, 2)[1]; e.Outcome != idem.OutcomeDiscarded || e.Err == nil {
		t.Errorf("late event %+v", e)
	}
}

// A Release that panics leaves no handler that can still reach its client.
func TestPanicOfAReleaseEndsTheResponse(t *testing.T) {
	t.Parallel()
	var seen events
	leave, left := make(chan bool), make(chan error)
	h := idem.RESTMiddleware(idem.Config{
		Store:          hookedStore{Store: transactionalStore{newMemory(t)}, release: inTurn(panics)},
		MaxHandlerTime: 20 * time.Millisecond, Observer: seen.observe,
	})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-leave
		w.WriteHeader(http.StatusEarlyHints)
		_, err := io.WriteString(w, "late")
		left <- err
	}))
	outer := &countingWriter{ResponseWriter: httptest.NewRecorder()}
	func() {
		defer func() { _ = recover() }()
		r := httptest.NewRequest(http.MethodPost, "/payments", nil)
		r.Header.Set("Idempotency-Key", "k")
		h.ServeHTTP(outer, r)
	}()
	close(leave)
	if err := receive(t, "the end of the handler", left); err == nil || outer.headers.Load() != 0 {
		t.Errorf("the handler wrote (%v), and %d headers came out, behind the end of its request", err, outer.headers.Load())
	}
	if n := len(seen.all()); n != 1 {
		t.Errorf("the observer was told %d times", n)
	}
}

type countingWriter struct {
	http.ResponseWriter
	headers atomic.Int32
}

func (w *countingWriter) WriteHeader(int) { w.headers.Add(1) }
