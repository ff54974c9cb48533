package idem_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// Behaviour 40.
func TestHandlerOverItsTime(t *testing.T) {
	t.Parallel()
	var l ledger
	var seen events
	var cause error
	cfg := idem.Config{
		Store:          transactionalStore{newMemory(t)},
		MaxHandlerTime: 20 * time.Millisecond,
		Observer:       seen.observe,
	}
	srv := serve(t, cfg, func(w http.ResponseWriter, r *http.Request) {
		l.insert(r.Context())
		if l.runs.Add(1) == 1 {
			<-r.Context().Done()
			cause = context.Cause(r.Context())
		}
		w.WriteHeader(201)
	})
	a := send(t, srv, request{key: "k"})
	if a.status != 503 || a.problem(t) != "handler-timeout" || a.header.Get("Retry-After") == "" {
		t.Errorf("answer %+v", a)
	}
	if !errors.Is(cause, idem.ErrHandlerTimeout) || l.rows.Load() != 0 {
		t.Errorf("cause %v, %d rows", cause, l.rows.Load())
	}
	if e := seen.wait(t, 1)[0]; e.Outcome != "handler-timeout" || e.Runs != 1 || e.Status != 503 {
		t.Errorf("event %+v", e)
	}
	if a := send(t, srv, request{key: "k"}); a.status != 201 || a.replayed() || l.rows.Load() != 1 {
		t.Errorf("retry %+v, %d rows", a, l.rows.Load())
	}
}

// A handler that never heeds its context holds neither client nor key, and what
// it does to its writer afterwards reaches nobody.
func TestAbandonedHandler(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	leave, left := make(chan bool), make(chan error, 3)
	abandoned := make(chan bool, 1)
	store := hookedStore{Store: transactionalStore{newMemory(t)}, release: func(ctx context.Context) error {
		a, _ := idem.AttemptFromContext(ctx)
		abandoned <- a.Abandoned()
		return nil
	}}
	srv := serve(t, idem.Config{Store: store, MaxHandlerTime: 20 * time.Millisecond}, func(w http.ResponseWriter, _ *http.Request) {
		if runs.Add(1) > 1 {
			io.WriteString(w, "second run") //nolint:errcheck // recorded
			return
		}
		io.WriteString(w, "first run") //nolint:errcheck // recorded
		<-leave
		w.Header().Set("X-Late", "1")
		w.WriteHeader(103)
		_, err := io.WriteString(w, "late")
		left <- err
		left <- http.NewResponseController(w).SetWriteDeadline(time.Now())
	})
	if a := send(t, srv, request{key: "k"}); a.status != 503 || a.problem(t) != "handler-timeout" {
		t.Errorf("answer %+v", a)
	}
	if !receive(t, "Release", abandoned) {
		t.Error("the store was not told that the handler was abandoned")
	}
	done := make(chan answer)
	go func() { done <- send(t, srv, request{key: "k"}) }()
	close(leave)
	if a := receive(t, "the second answer", done); a.status != 200 || a.body != "second run" || a.header.Get("X-Late") != "" {
		t.Errorf("second answer %+v", a)
	}
	for range 2 {
		if err := receive(t, "the end of the first handler", left); !errors.Is(err, http.ErrHandlerTimeout) {
			t.Errorf("late use of the writer: %v", err)
		}
	}
}

// Without a transaction, what an abandoned handler does takes effect. Its key is
// not given to a retry, and the response that it gives in the end is recorded.
func TestAbandonedHandlerIsRecordedWithoutATransaction(t *testing.T) {
	t.Parallel()
	var l ledger
	var seen events
	leave := make(chan bool)
	cfg := idem.Config{Store: newMemory(t), MaxHandlerTime: 20 * time.Millisecond, Observer: seen.observe}
	srv := serve(t, cfg, func(w http.ResponseWriter, r *http.Request) {
		l.runs.Add(1)
		<-leave
		l.insert(r.Context())
		w.WriteHeader(103)
		w.WriteHeader(201)
		io.WriteString(w, "done after all") //nolint:errcheck // recorded
	})
	if a := send(t, srv, request{key: "k"}); a.status != 503 || a.problem(t) != "handler-timeout" {
		t.Errorf("answer %+v", a)
	}
	done := make(chan answer)
	go func() { done <- send(t, srv, request{key: "k"}) }()
	close(leave)
	if a := receive(t, "the retry's answer", done); a.status != 201 || a.body != "done after all" || !a.replayed() {
		t.Errorf("retry %+v", a)
	}
	if l.runs.Load() != 1 || l.rows.Load() != 1 {
		t.Errorf("%d runs, %d rows", l.runs.Load(), l.rows.Load())
	}
	events := seen.wait(t, 3)
	if e := events[0]; e.Outcome != "handler-timeout" || e.Late || e.Runs != 1 {
		t.Errorf("first event %+v", e)
	}
	late := func(e idem.Event) bool { return e.Late }
	if i := slices.IndexFunc(events, late); i < 0 || events[i].Outcome != idem.OutcomeCommitted || events[i].Runs != 0 || events[i].Status != 0 {
		t.Errorf("late event %+v", events)
	}
}

// A lost lease cancels the handler and is its context's cause.
func TestLostLeaseCancelsTheHandler(t *testing.T) {
	t.Parallel()
	var cause error
	store := hookedStore{Store: newMemory(t), commit: func(context.Context) error { return idem.ErrLeaseLost }}
	srv := serve(t, idem.Config{Store: store}, func(w http.ResponseWriter, r *http.Request) {
		attempt, _ := idem.AttemptFromContext(r.Context())
		attempt.LoseLease()
		<-r.Context().Done()
		cause = context.Cause(r.Context())
		w.WriteHeader(500)
	})
	if a := send(t, srv, request{key: "k"}); a.status != 500 || !errors.Is(cause, idem.ErrLeaseLost) {
		t.Errorf("answer %+v, cause %v", a, cause)
	}
}

// Behaviour 37.
func TestPanicIsPassedOn(t *testing.T) {
	t.Parallel()
	custom := errors.New("own value")
	for name, value := range map[string]any{"String": "boom", "Error": custom, "Abort": http.ErrAbortHandler} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			var seen events
			cfg := idem.Config{Store: transactionalStore{newMemory(t)}, Observer: seen.observe}
			h := idem.RESTMiddleware(cfg)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				l.insert(r.Context())
				if l.runs.Add(1) == 1 {
					io.WriteString(w, "half") //nolint:errcheck // recorded
					panic(value)
				}
			}))
			w := httptest.NewRecorder()
			r := httptest.NewRequest("POST", "/", nil)
			r.Header.Set("Idempotency-Key", "k")
			func() {
				defer func() {
					if got := recover(); got != value {
						t.Errorf("recovered %v, want %v", got, value)
					}
				}()
				h.ServeHTTP(w, r)
			}()
			if w.Body.Len() != 0 || l.rows.Load() != 0 {
				t.Errorf("%q reached the client, %d rows", w.Body, l.rows.Load())
			}
			if e := seen.wait(t, 1)[0]; e.Outcome != idem.OutcomePanicked || e.Status != 0 || e.Err == nil {
				t.Errorf("event %+v", e)
			}
			w = httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != 200 || l.runs.Load() != 2 || l.rows.Load() != 1 {
				t.Errorf("retry: %d, %d runs, %d rows", w.Code, l.runs.Load(), l.rows.Load())
			}
		})
	}
}

// Behaviour 37.
func TestPanicOnTheWire(t *testing.T) {
	t.Parallel()
	var l ledger
	srv := serve(t, idem.Config{}, func(http.ResponseWriter, *http.Request) {
		if l.runs.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
	})
	dontRetry(srv)
	if a, err := trySend(t.Context(), t, srv, request{key: "k"}); err == nil {
		t.Errorf("answer %+v", a)
	}
	if a := send(t, srv, request{key: "k"}); a.status != 200 || a.replayed() {
		t.Errorf("retry %+v", a)
	}
}

// A handler that ends its goroutine ends the request's, as without middleware.
func TestGoexitIsPassedOn(t *testing.T) {
	t.Parallel()
	var seen events
	h := idem.RESTMiddleware(idem.Config{Store: newMemory(t), Observer: seen.observe})(http.HandlerFunc(
		func(http.ResponseWriter, *http.Request) { runtime.Goexit() }))
	ended := make(chan bool, 1)
	go func() {
		returned := false
		defer func() { ended <- returned }()
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Idempotency-Key", "k")
		h.ServeHTTP(httptest.NewRecorder(), r)
		returned = true
	}()
	if receive(t, "the end of the goroutine", ended) {
		t.Error("ServeHTTP returned")
	}
	if e := seen.wait(t, 1)[0]; e.Outcome != idem.OutcomePanicked {
		t.Errorf("event %+v", e)
	}
}

func TestPanicOfThePolicyReleasesTheKey(t *testing.T) {
	t.Parallel()
	var l ledger
	policy := func(int, http.Header) idem.Disposition {
		if l.runs.Load() == 1 {
			panic("policy")
		}
		return idem.CommitAll
	}
	srv := serve(t, idem.Config{Policy: policy, WaitTimeout: time.Second}, func(http.ResponseWriter, *http.Request) { l.runs.Add(1) })
	dontRetry(srv)
	if a, err := trySend(t.Context(), t, srv, request{key: "k"}); err == nil {
		t.Errorf("answer %+v", a)
	}
	if a := send(t, srv, request{key: "k"}); a.status != 200 || a.replayed() {
		t.Errorf("retry %+v", a)
	}
}
