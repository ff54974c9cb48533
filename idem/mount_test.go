package idem_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// Behaviour 56.
func TestRoutesUnderStripPrefix(t *testing.T) {
	t.Parallel()
	var l ledger
	protected := idem.RESTMiddleware(idem.Config{Store: newMemory(t)})(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			l.runs.Add(1)
			io.WriteString(w, r.URL.Path) //nolint:errcheck // recorded
		}))
	mux := http.NewServeMux()
	mux.Handle("/v1/", http.StripPrefix("/v1", protected))
	mux.Handle("/v2/", http.StripPrefix("/v2", protected))
	srv := serveHandler(t, mux)
	if a := send(t, srv, request{path: "/v1/pay", key: "k", body: "b"}); a.status != 200 || a.body != "/pay" {
		t.Errorf("first %+v", a)
	}
	if a := send(t, srv, request{path: "/v2/pay", key: "k", body: "b"}); a.status != 422 || a.problem(t) != "hash-mismatch" {
		t.Errorf("second %+v", a)
	}
	if a := send(t, srv, request{path: "/v1/pay", key: "k", body: "b"}); !a.replayed() || l.runs.Load() != 1 {
		t.Errorf("third %+v, %d runs", a, l.runs.Load())
	}
}

// Behaviour 60.
func TestMountedTwice(t *testing.T) {
	t.Parallel()
	var l ledger
	mount := idem.RESTMiddleware(idem.Config{Store: newMemory(t)})
	srv := serveHandler(t, mount(mount(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { l.runs.Add(1) }))))
	begun := time.Now()
	for range 2 {
		if a := send(t, srv, request{key: "k"}); a.status != 500 || a.problem(t) != "nested" {
			t.Errorf("answer %+v", a)
		}
	}
	if l.runs.Load() != 0 || time.Since(begun) > 10*time.Second {
		t.Errorf("%d runs in %v", l.runs.Load(), time.Since(begun))
	}
}

// Behaviour 60. The outer request has the only place of its scope: the inner one
// is told what is wrong, and not to come back later. A store that cannot be
// compared changes nothing.
func TestMountedTwiceWithOnePlace(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]idem.Store{
		"Comparable":   newMemory(t),
		"Uncomparable": hookedStore{Store: newMemory(t)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			mount := idem.RESTMiddleware(idem.Config{Store: store, MaxInFlightPerScope: 1})
			srv := serveHandler(t, mount(mount(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { l.runs.Add(1) }))))
			for range 2 {
				if a := send(t, srv, request{key: "k"}); a.status != 500 || a.problem(t) != "nested" {
					t.Errorf("answer %+v", a)
				}
			}
			if l.runs.Load() != 0 {
				t.Errorf("%d runs", l.runs.Load())
			}
		})
	}
}

// Two middlewares with stores or scopes of their own do not disturb each other.
func TestMountedTwiceWithAnotherStore(t *testing.T) {
	t.Parallel()
	var l ledger
	outer := idem.RESTMiddleware(idem.Config{Store: newMemory(t)})
	inner := idem.RESTMiddleware(idem.Config{Store: newMemory(t)})
	srv := serveHandler(t, outer(inner(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { l.runs.Add(1) }))))
	for i := range 2 {
		if a := send(t, srv, request{key: "k"}); a.status != 200 || a.replayed() != (i == 1) || l.runs.Load() != 1 {
			t.Errorf("answer %d: %+v, %d runs", i, a, l.runs.Load())
		}
	}
}

func TestInvalidConfigPanics(t *testing.T) {
	t.Parallel()
	store := newMemory(t)
	for field, cfg := range map[string]idem.Config{
		"Config.Store":            {},
		"Config.DefaultTTL":       {Store: store, DefaultTTL: -1},
		"Config.RememberExpired":  {Store: store, RememberExpired: -1},
		"Config.MaxRuns":          {Store: store, MaxRuns: -1},
		"Config.MaxInFlightPer":   {Store: store, MaxInFlightPerScope: -1},
		"Config.MaxWaitingPer":    {Store: store, MaxWaitingPerScope: -1},
		"Config.HeaderName":       {Store: store, HeaderName: "not a token"},
		"Config.ReplayHeaderName": {Store: store, ReplayHeaderName: "a:b"},
		"Config.Methods[1]":       {Store: store, Methods: []string{"POST", ""}},
		"Config.Methods[0]":       {Store: store, Methods: []string{"PO ST"}},
		`write "POST"`:            {Store: store, Methods: []string{"post"}},
		`write "X-PAY"`:           {Store: store, Methods: []string{"X-Pay"}},
		"must be a microsecond":   {Store: store, DefaultTTL: time.Microsecond - 1},
		"or 0 to remember":        {Store: store, RememberExpired: time.Microsecond - 1},
		`"host" is none`:          {Store: store, HeaderName: "host"},
		`"Trailer" is none`:       {Store: store, HeaderName: "Trailer"},
		`"*" is not a method`:     {Store: store, Methods: []string{"*"}},
		`"location" means`:        {Store: store, ReplayHeaderName: "location"},
		`"Content-Type" means`:    {Store: store, ReplayHeaderName: "Content-Type"},
		`"Connection" means`:      {Store: store, ReplayHeaderName: "Connection"},
	} {
		func() {
			defer func() {
				if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), field) {
					t.Errorf("%s: panic %v does not name it", field, err)
				}
			}()
			idem.RESTMiddleware(cfg)
		}()
	}
}

func TestConfigIsCopied(t *testing.T) {
	t.Parallel()
	cfg := idem.Config{Store: newMemory(t), Methods: []string{"POST"}, ReplayHeaderName: "x-again"}
	srv := serve(t, cfg, func(http.ResponseWriter, *http.Request) {})
	cfg.Methods[0] = "PATCH"
	send(t, srv, request{key: "k"})
	if a := send(t, srv, request{key: "k"}); a.header.Get("X-Again") != "true" {
		t.Errorf("answer %+v", a)
	}
}

// A handler's context has what outer middlewares put there and the attempt, but
// neither the deadline of Reserve nor the end of the client.
func TestContextOfTheHandler(t *testing.T) {
	t.Parallel()
	const limit = time.Hour
	cfg := idem.Config{WaitTimeout: time.Minute, MaxHandlerTime: limit}
	srv := serve(t, cfg, func(_ http.ResponseWriter, r *http.Request) {
		deadline, ok := r.Context().Deadline()
		if left := time.Until(deadline); !ok || left < limit-time.Minute || left > limit {
			t.Errorf("deadline in %v", left)
		}
		a, ok := idem.AttemptFromContext(r.Context())
		if !ok || a.MaxHandlerTime() != limit || a.NoWait() {
			t.Errorf("attempt %+v", a)
		}
		if _, ok := r.Context().Value(http.ServerContextKey).(*http.Server); !ok {
			t.Error("the server's values are lost")
		}
		if len(idem.DownstreamKey(r.Context(), "mail")) != 64 {
			t.Error("no downstream key")
		}
	})
	send(t, srv, request{key: "k"})
	unlimited := serve(t, idem.Config{MaxHandlerTime: -1, WaitTimeout: -1}, func(_ http.ResponseWriter, r *http.Request) {
		a, _ := idem.AttemptFromContext(r.Context())
		if _, ok := r.Context().Deadline(); ok || a.MaxHandlerTime() != 0 || !a.NoWait() {
			t.Errorf("unlimited: attempt %+v", a)
		}
	})
	send(t, unlimited, request{key: "k"})
}
