package idem_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

func TestFailOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"Unavailable":      {idem.ErrStoreUnavailable, 201},
		"RecordUnreadable": {fmt.Errorf("%w: %w", idem.ErrStoreUnavailable, idem.ErrRecordUnreadable), 500},
		"WaitTimeout":      {idem.ErrWaitTimeout, 409},
		"HashMismatch":     {idem.ErrHashMismatch, 422},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen events
			store := hookedStore{Store: newMemory(t), reserve: func(context.Context) error { return c.err }}
			cfg := idem.Config{Store: store, FailOpen: true, Observer: seen.observe}
			srv := serve(t, cfg, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Seen", "1")
				w.WriteHeader(201)
				io.Copy(w, r.Body) //nolint:errcheck // seen by the client
			})
			a := send(t, srv, request{key: "k", body: "whole"})
			if a.status != c.status {
				t.Errorf("answer %+v", a)
			}
			event := seen.wait(t, 1)[0]
			if open := c.status == 201; open {
				if a.body != "whole" || a.replayed() || event.Outcome != idem.OutcomeUnprotected || event.Status != 201 {
					t.Errorf("answer %+v, event %+v", a, event)
				}
			}
		})
	}
}

func TestFailOpenNeverAfterTheHandlerRan(t *testing.T) {
	t.Parallel()
	var l ledger
	store := hookedStore{
		Store:  transactionalStore{newMemory(t)},
		commit: func(context.Context) error { return idem.ErrStoreUnavailable },
	}
	srv := serve(t, idem.Config{Store: store, FailOpen: true}, func(_ http.ResponseWriter, r *http.Request) {
		l.runs.Add(1)
		l.insert(r.Context())
	})
	if a := send(t, srv, request{key: "k"}); a.status != 503 || l.runs.Load() != 1 || l.rows.Load() != 0 {
		t.Errorf("answer %+v, %d runs, %d rows", a, l.runs.Load(), l.rows.Load())
	}
}

// Behaviour 3. Nor after it ran for an earlier request, whose record is there and
// cannot be read now.
func TestFailOpenNeverWhereARecordExists(t *testing.T) {
	t.Parallel()
	store := hookedStore{Store: newMemory(t), reserve: func(context.Context) error {
		return fmt.Errorf("key service: %w", idem.ErrRecordUnavailable)
	}}
	srv := serve(t, idem.Config{Store: store, FailOpen: true}, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
	if a := send(t, srv, request{key: "k"}); a.status != 503 || a.problem(t) != "store-unavailable" || a.header.Get("Retry-After") == "" {
		t.Errorf("answer %+v", a)
	}
}
