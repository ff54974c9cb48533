package idem_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// Behaviour 39.
func TestObserverIsToldOncePerRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		q       request
		outcome idem.Outcome
		status  int
		runs    int
	}{
		"Committed":         {request{path: "/201", key: "new"}, idem.OutcomeCommitted, 201, 1},
		"ResponseCommitted": {request{path: "/402", key: "new"}, idem.OutcomeResponseCommitted, 402, 1},
		"Discarded":         {request{path: "/503", key: "new"}, idem.OutcomeDiscarded, 503, 1},
		"Replayed":          {request{path: "/201", key: "old"}, idem.OutcomeReplayed, 201, 0},
		"HashMismatch":      {request{path: "/202", key: "old"}, "hash-mismatch", 422, 0},
		"KeyMissing":        {request{}, "key-missing", 400, 0},
		"KeyInvalid":        {request{key: "a, b"}, "key-invalid", 400, 0},
		"TooLarge":          {request{key: "k", body: strings.Repeat("b", 101)}, "request-too-large", 413, 0},
		"ScopeDenied":       {request{key: "k", header: http.Header{"X-Tenant": {"broken"}}}, "scope-denied", 403, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen events
			cfg := idem.Config{
				Store: transactionalStore{newMemory(t)}, Observer: seen.observe, Required: true,
				Scope: tenant, MaxRequestBytes: 100,
			}
			srv := serve(t, cfg, func(w http.ResponseWriter, r *http.Request) {
				var status int
				fmt.Sscanf(r.URL.Path, "/%d", &status) //nolint:errcheck // the test's own path
				w.WriteHeader(status)
			})
			send(t, srv, request{path: "/201", key: "old", header: http.Header{"X-Tenant": {"t"}}})
			seen.wait(t, 1)
			if c.q.header == nil {
				c.q.header = http.Header{"X-Tenant": {"t"}}
			}
			if a := send(t, srv, c.q); a.status != c.status {
				t.Fatalf("answer %+v", a)
			}
			e := seen.wait(t, 2)[1]
			if e.Outcome != c.outcome || e.Status != c.status || e.Runs != c.runs || e.Duration <= 0 {
				t.Errorf("event %+v", e)
			}
			if e.Key != "" || (e.KeyDigest == "") != (c.status == 400 || c.status == 403) {
				t.Errorf("key %q, digest %q", e.Key, e.KeyDigest)
			}
			if refused := c.status == 400 || c.status == 403 || c.status == 413 || c.status == 422; refused != (e.Err != nil) {
				t.Errorf("error %v", e.Err)
			}
		})
	}
}

// Behaviour 39.
func TestObserverSeesKeysOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	for _, inClear := range []bool{false, true} {
		var seen events
		cfg := idem.Config{Observer: seen.observe, ObserveKeys: inClear, Scope: tenant}
		srv := serve(t, cfg, func(http.ResponseWriter, *http.Request) {})
		send(t, srv, request{key: "visible-key", header: http.Header{"X-Tenant": {"t"}}})
		e := seen.wait(t, 1)[0]
		sum := sha256.Sum256([]byte("t\x1fvisible-key"))
		if want := hex.EncodeToString(sum[:])[:16]; e.KeyDigest != want {
			t.Errorf("digest %q, want %q", e.KeyDigest, want)
		}
		if shown := strings.Contains(fmt.Sprintf("%+v", e), "visible-key"); shown != inClear {
			t.Errorf("event %+v, keys asked for: %v", e, inClear)
		}
	}
}

// Behaviour 39.
func TestPanickingObserverChangesNothing(t *testing.T) {
	t.Parallel()
	told := make(chan bool, 9)
	cfg := idem.Config{Observer: func(context.Context, idem.Event) { told <- true; panic("observer") }}
	srv := serve(t, cfg, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
	})
	dontRetry(srv)
	if a := send(t, srv, request{key: "k"}); a.status != 200 {
		t.Errorf("answer %+v", a)
	}
	if a := send(t, srv, request{key: "k"}); a.status != 200 || !a.replayed() {
		t.Errorf("answer %+v", a)
	}
	if a, err := trySend(t.Context(), t, srv, request{path: "/abort", key: "a"}); err == nil {
		t.Errorf("the observer's panic has swallowed the handler's: %+v", a)
	}
	for range 3 {
		receive(t, "the observer", told)
	}
}

func TestErrorHandler(t *testing.T) {
	t.Parallel()
	var seen events
	cfg := idem.Config{
		Required: true, Observer: seen.observe,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			p := idem.ProblemFor(err)
			w.Header().Set("X-Problem", p.Type)
			http.Error(w, r.Method+" "+p.Title, http.StatusTeapot)
		},
	}
	srv := serve(t, cfg, func(http.ResponseWriter, *http.Request) {})
	a := send(t, srv, request{})
	if a.status != 418 || a.header.Get("X-Problem") != idem.ProblemTypeBase+"key-missing" || !strings.HasPrefix(a.body, "POST ") {
		t.Errorf("answer %+v", a)
	}
	if e := seen.wait(t, 1)[0]; e.Outcome != "key-missing" || e.Status != 418 {
		t.Errorf("event %+v", e)
	}
}
