package idem_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

const secretText = "password=hunter2"

// Behaviour 40.
func TestReserveFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		status int
		name   string
	}{
		"Unavailable":      {fmt.Errorf("%w: %s", idem.ErrStoreUnavailable, secretText), 503, "store-unavailable"},
		"Unexplained":      {errors.New(secretText), 503, "store-unavailable"},
		"DeadlineOnTheWay": {context.DeadlineExceeded, 503, "store-unavailable"},
		"Closed":           {idem.ErrStoreClosed, 503, "store-unavailable"},
		"RecordUnreadable": {fmt.Errorf("%w: %s", idem.ErrRecordUnreadable, secretText), 500, "record-unreadable"},
		"WaitTimeout":      {idem.ErrWaitTimeout, 409, "in-flight"},
		"InFlight":         {idem.ErrInFlight, 409, "in-flight"},
		"HashMismatch":     {idem.ErrHashMismatch, 422, "hash-mismatch"},
		"KeyExpired":       {idem.ErrKeyExpired, 409, "key-expired"},
		"KeyInvalid":       {fmt.Errorf("%w: %s", idem.ErrKeyInvalid, secretText), 400, "key-invalid"},
		"Nested":           {idem.ErrNested, 500, "nested"},
		"Cancelled":        {context.Canceled, 503, "request-cancelled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := hookedStore{Store: newMemory(t), reserve: func(context.Context) error { return c.err }}
			srv := serve(t, idem.Config{Store: store}, func(http.ResponseWriter, *http.Request) { t.Error("handler ran") })
			a := send(t, srv, request{key: "k"})
			if a.status != c.status || a.problem(t) != c.name || strings.Contains(a.body, secretText) {
				t.Errorf("answer %+v", a)
			}
			seconds, _ := strconv.Atoi(a.header.Get("Retry-After"))
			if wants := a.status == 503 || c.name == "in-flight"; wants != (seconds >= 1) {
				t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
			}
		})
	}
}

// Behaviour 40.
func TestCommitFailsInATransaction(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		status int
		name   string
	}{
		"Retryable":         {&idem.CommitError{Retryable: true, Err: errors.New(secretText)}, 503, "commit-failed"},
		"Final":             {&idem.CommitError{Err: errors.New(secretText)}, 500, "commit-failed"},
		"OutcomeUnknown":    {fmt.Errorf("%w: %s", idem.ErrOutcomeUnknown, secretText), 503, "outcome-unknown"},
		"TransactionEnded":  {idem.ErrTransactionEnded, 500, "transaction-ended"},
		"TransactionFailed": {idem.ErrTransactionFailed, 500, "transaction-failed"},
		"Unexplained":       {errors.New(secretText), 500, "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			store := hookedStore{
				Store:  transactionalStore{newMemory(t)},
				commit: func(context.Context) error { return c.err },
			}
			srv := serve(t, idem.Config{Store: store}, func(w http.ResponseWriter, r *http.Request) {
				l.insert(r.Context())
				w.Header().Set("X-Leak", secretText)
				io.WriteString(w, secretText) //nolint:errcheck // recorded
			})
			a := send(t, srv, request{key: "k"})
			if a.status != c.status || a.problem(t) != c.name {
				t.Errorf("answer %+v", a)
			}
			if strings.Contains(a.body, secretText) || a.header.Get("X-Leak") != "" {
				t.Errorf("the handler's response got out: %+v", a)
			}
			if (a.header.Get("Retry-After") != "") != (a.status == 503) || l.rows.Load() != 0 {
				t.Errorf("Retry-After %q, %d rows", a.header.Get("Retry-After"), l.rows.Load())
			}
		})
	}
}

// Behaviour 40.
func TestReleaseFails(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(idem.Store) idem.Store{
		"Transaction": func(s idem.Store) idem.Store { return transactionalStore{s} },
		"Lease":       func(s idem.Store) idem.Store { return s },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen events
			store := hookedStore{
				Store:   wrap(newMemory(t)),
				release: func(context.Context) error { return fmt.Errorf("%w: %s", idem.ErrStoreUnavailable, secretText) },
			}
			srv := serve(t, idem.Config{Store: store, Observer: seen.observe}, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/panic" {
					panic("handler")
				}
				w.WriteHeader(500)
				io.WriteString(w, "own text") //nolint:errcheck // recorded
			})
			dontRetry(srv)
			// The answer of the handler stands: it is not wrong because of it.
			if a := send(t, srv, request{key: "k"}); a.status != 500 || a.body != "own text" {
				t.Errorf("answer %+v", a)
			}
			if e := seen.wait(t, 1)[0]; e.Outcome != idem.OutcomeDiscarded || !errors.Is(e.Err, idem.ErrStoreUnavailable) {
				t.Errorf("event %+v", e)
			}
			if a, err := trySend(t.Context(), t, srv, request{path: "/panic", key: "p"}); err == nil {
				t.Errorf("after a panic: %+v", a)
			}
			if e := seen.wait(t, 2)[1]; e.Outcome != idem.OutcomePanicked || e.Status != 0 {
				t.Errorf("event %+v", e)
			}
		})
	}
}

// Behaviour 38.
func TestResponseBodyLimit(t *testing.T) {
	t.Parallel()
	const limit = 1000
	handler := func(l *ledger) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			l.runs.Add(1)
			l.insert(r.Context())
			n, _ := strconv.Atoi(r.URL.Query().Get("n"))
			w.WriteHeader(201)
			io.WriteString(w, strings.Repeat("x", n)) //nolint:errcheck // recorded
		}
	}
	at, over := request{path: "/?n=1000", key: "at"}, request{path: "/?n=1001", key: "over"}
	t.Run("Transaction", func(t *testing.T) {
		t.Parallel()
		var l ledger
		srv := serve(t, idem.Config{Store: transactionalStore{newMemory(t)}, MaxResponseBytes: limit}, handler(&l))
		if a := send(t, srv, at); a.status != 201 || len(a.body) != limit || l.rows.Load() != 1 {
			t.Errorf("at the limit: %d, %d rows", a.status, l.rows.Load())
		}
		for range 2 {
			if a := send(t, srv, over); a.status != 500 || a.problem(t) != "response-too-large" || l.rows.Load() != 1 {
				t.Errorf("over the limit: %d, %d rows", a.status, l.rows.Load())
			}
		}
	})
	t.Run("Lease", func(t *testing.T) {
		t.Parallel()
		var l ledger
		srv := serve(t, idem.Config{MaxResponseBytes: limit}, handler(&l))
		send(t, srv, at)
		if a := send(t, srv, at); a.status != 201 || !a.replayed() {
			t.Errorf("at the limit: %+v", a)
		}
		if a := send(t, srv, over); a.status != 201 || len(a.body) != limit+1 {
			t.Errorf("over the limit: %d with %d bytes", a.status, len(a.body))
		}
		if a := send(t, srv, over); a.status != 409 || a.problem(t) != "response-not-kept" || !a.replayed() {
			t.Errorf("then: %+v", a)
		}
		if l.rows.Load() != 2 {
			t.Errorf("%d rows, want 2", l.rows.Load())
		}
	})
	t.Run("Unlimited", func(t *testing.T) {
		t.Parallel()
		var l ledger
		srv := serve(t, idem.Config{MaxResponseBytes: -1}, handler(&l))
		q := request{path: "/?n=3000000", key: "k"}
		send(t, srv, q)
		if a := send(t, srv, q); len(a.body) != 3_000_000 || !a.replayed() {
			t.Errorf("%d bytes came back, status %d", len(a.body), a.status)
		}
	})
}
