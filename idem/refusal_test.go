package idem_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

func TestUnprotectedRequestsPassUntouched(t *testing.T) {
	t.Parallel()
	untouched := func(w http.ResponseWriter, r *http.Request) {
		_, flusher := w.(http.Flusher)
		_, attempt := idem.AttemptFromContext(r.Context())
		fmt.Fprint(w, flusher, attempt)
	}
	for name, c := range map[string]struct {
		cfg idem.Config
		q   request
	}{
		"NoKey":           {idem.Config{}, request{}},
		"Get":             {idem.Config{Required: true}, request{method: "GET", key: "k"}},
		"Head":            {idem.Config{Required: true}, request{method: "HEAD", key: "k"}},
		"Options":         {idem.Config{Required: true}, request{method: "OPTIONS", key: "k"}},
		"NotListed":       {idem.Config{Required: true, Methods: []string{"PATCH"}}, request{key: "k"}},
		"GetWithBrokenID": {idem.Config{}, request{method: "GET", key: "a, b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen events
			c.cfg.Observer = seen.observe
			srv := serve(t, c.cfg, untouched)
			for range 2 {
				a := send(t, srv, c.q)
				if a.status != 200 || c.q.method != "HEAD" && a.body != "true false" || a.replayed() {
					t.Errorf("answer %+v", a)
				}
			}
			if got := seen.all(); len(got) != 0 {
				t.Errorf("observed %+v", got)
			}
		})
	}
}

// Behaviour 31.
func TestKeysOnTheWire(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		values []string
		status int
		name   string
	}{
		"Raw":       {[]string{"abc"}, 200, ""},
		"Longest":   {[]string{strings.Repeat("k", 255)}, 200, ""},
		"TooLong":   {[]string{strings.Repeat("k", 256)}, 400, "key-invalid"},
		"Empty":     {[]string{""}, 400, "key-invalid"},
		"Repeated":  {[]string{"a", "b"}, 400, "key-invalid"},
		"Joined":    {[]string{"a, b"}, 400, "key-invalid"},
		"Broken":    {[]string{`"a`}, 400, "key-invalid"},
		"Parameter": {[]string{`"a";v=1`}, 400, "key-invalid"},
		"Missing":   {nil, 400, "key-missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			srv := serve(t, idem.Config{Required: true}, func(http.ResponseWriter, *http.Request) { l.runs.Add(1) })
			a := send(t, srv, request{header: http.Header{"Idempotency-Key": c.values}})
			if a.status != c.status {
				t.Fatalf("answer %+v, want %d", a, c.status)
			}
			if c.name != "" && a.problem(t) != c.name {
				t.Errorf("problem %s, want %s", a.body, c.name)
			}
			if ran := l.runs.Load() == 1; ran != (c.status == 200) {
				t.Errorf("handler ran %d times", l.runs.Load())
			}
		})
	}
}

// Behaviour 31.
func TestQuotedKeyEqualsRaw(t *testing.T) {
	t.Parallel()
	srv := serve(t, idem.Config{HeaderName: "x-payment-key"}, func(http.ResponseWriter, *http.Request) {})
	raw := send(t, srv, request{header: http.Header{"X-Payment-Key": {"abc"}}})
	quoted := send(t, srv, request{header: http.Header{"X-Payment-Key": {`"abc"`}}})
	if raw.replayed() || !quoted.replayed() {
		t.Errorf("raw replayed %v, quoted replayed %v", raw.replayed(), quoted.replayed())
	}
}

// Behaviour 32.
func TestAnotherRequestUnderTheKey(t *testing.T) {
	t.Parallel()
	first := request{path: "/payments?a=1", key: "k", body: "amount=1"}
	for name, q := range map[string]request{
		"Body":   {path: "/payments?a=1", key: "k", body: "amount=2"},
		"Path":   {path: "/refunds?a=1", key: "k", body: "amount=1"},
		"Query":  {path: "/payments?a=2", key: "k", body: "amount=1"},
		"Method": {method: "PUT", path: "/payments?a=1", key: "k", body: "amount=1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			srv := serve(t, idem.Config{}, func(http.ResponseWriter, *http.Request) { l.runs.Add(1) })
			send(t, srv, first)
			if a := send(t, srv, q); a.status != 422 || a.problem(t) != "hash-mismatch" {
				t.Errorf("answer %+v", a)
			}
			if a := send(t, srv, first); !a.replayed() || l.runs.Load() != 1 {
				t.Errorf("then: %+v after %d runs", a, l.runs.Load())
			}
		})
	}
}

// Behaviour 32.
func TestHashMismatchIsFoundWhateverTheStoreSays(t *testing.T) {
	t.Parallel()
	srv := serve(t, idem.Config{Store: forgetfulStore{newMemory(t)}}, func(http.ResponseWriter, *http.Request) {})
	send(t, srv, request{key: "k", body: "1"})
	if a := send(t, srv, request{key: "k", body: "2"}); a.status != 422 || a.problem(t) != "hash-mismatch" {
		t.Errorf("answer %+v", a)
	}
}

// forgetfulStore commits with another hash than it was told.
type forgetfulStore struct{ idem.Store }

func (s forgetfulStore) Commit(ctx context.Context, key, hash string, response idem.Cached) error {
	return s.Store.Commit(ctx, key, "not "+hash, response)
}

// Behaviour 32.
func TestInFlightIsToldAfterTheWait(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]time.Duration{"AfterWaiting": 50 * time.Millisecond, "AtOnce": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entered, leave := make(chan bool, 1), make(chan bool)
			srv := serve(t, idem.Config{WaitTimeout: wait}, func(w http.ResponseWriter, _ *http.Request) {
				entered <- true
				<-leave
				w.WriteHeader(201)
			})
			first := make(chan answer, 1)
			go func() { a, _ := trySend(t.Context(), t, srv, request{key: "k"}); first <- a }()
			receive(t, "the handler", entered)
			a := send(t, srv, request{key: "k"})
			seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
			if a.status != 409 || a.problem(t) != "in-flight" || err != nil || seconds < 1 {
				t.Errorf("answer %+v", a)
			}
			close(leave)
			if a := receive(t, "the first answer", first); a.status != 201 {
				t.Errorf("first answer %+v", a)
			}
			if a := send(t, srv, request{key: "k"}); a.status != 201 || !a.replayed() {
				t.Errorf("then: %+v", a)
			}
		})
	}
}

// A refusal is never taken for a success.
func TestErrorHandlerThatWritesNothing(t *testing.T) {
	t.Parallel()
	srv := serve(t, idem.Config{Required: true, ErrorHandler: func(http.ResponseWriter, *http.Request, error) {}},
		func(http.ResponseWriter, *http.Request) {})
	if a := send(t, srv, request{}); a.status != 400 || a.problem(t) != "key-missing" {
		t.Errorf("answer %+v", a)
	}
}

// An ErrorHandler that takes the connection answers as it likes.
func TestErrorHandlerThatHijacks(t *testing.T) {
	t.Parallel()
	var seen events
	var logged bytes.Buffer
	cfg := idem.Config{Store: newMemory(t), Required: true, Observer: seen.observe, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _, _ = http.NewResponseController(w).Hijack()                                          // once is enough
		io.WriteString(conn, "HTTP/1.1 418 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") //nolint:errcheck // the same
	}}
	srv := httptest.NewUnstartedServer(idem.RESTMiddleware(cfg)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	srv.Config.ErrorLog = log.New(&logged, "", 0)
	srv.Start()
	a := send(t, srv, request{})
	srv.Close()
	if e := seen.wait(t, 1)[0]; a.status != 418 || logged.String() != "" || e.Status != 0 {
		t.Errorf("answer %+v, logged %q, event %+v", a, logged.String(), e)
	}
}

// bareWriter can neither flush nor be unwrapped.
type bareWriter struct{ w http.ResponseWriter }

func (b bareWriter) Header() http.Header         { return b.w.Header() }
func (b bareWriter) Write(p []byte) (int, error) { return b.w.Write(p) }
func (b bareWriter) WriteHeader(status int)      { b.w.WriteHeader(status) }

// A flush that is refused is no answer.
func TestErrorHandlerWhoseFlushIsRefused(t *testing.T) {
	t.Parallel()
	for _, want := range []int{400, 418} {
		var seen events
		cfg := idem.Config{Store: newMemory(t), Required: true, Observer: seen.observe, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
				t.Errorf("Flush: %v", err)
			}
			if want == 418 {
				w.WriteHeader(want)
			}
		}}
		h := idem.RESTMiddleware(cfg)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		srv := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(bareWriter{w}, r) }))
		if a := send(t, srv, request{}); a.status != want || seen.wait(t, 1)[0].Status != want {
			t.Errorf("answer %+v, want %d", a, want)
		}
	}
}
