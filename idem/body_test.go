package idem_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// A length that was declared for a compressed body says nothing about what an
// outer middleware makes of it.
func TestRequestBodyLimitHoldsAgainstItsDeclaredLength(t *testing.T) {
	t.Parallel()
	protected := idem.RESTMiddleware(idem.Config{Store: newMemory(t), MaxRequestBytes: 1000})(http.HandlerFunc(
		func(http.ResponseWriter, *http.Request) { t.Error("handler ran") }))
	srv := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = io.NopCloser(strings.NewReader(strings.Repeat("b", 5000)))
		protected.ServeHTTP(w, r)
	}))
	if a := send(t, srv, request{key: "k", body: "short"}); a.status != 413 || a.problem(t) != "request-too-large" {
		t.Errorf("answer %+v", a)
	}
}

// Behaviour 38.
func TestRequestBodyLimit(t *testing.T) {
	t.Parallel()
	const limit = 1000
	outer := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, limit)
			next.ServeHTTP(w, r)
		})
	}
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"OwnLimit": idem.RESTMiddleware(idem.Config{Store: newMemory(t), MaxRequestBytes: limit}),
		"OuterLimit": func(h http.Handler) http.Handler {
			return outer(idem.RESTMiddleware(idem.Config{Store: newMemory(t)})(h))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			srv := serveHandler(t, wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				l.runs.Add(1)
				n, err := io.Copy(io.Discard, r.Body)
				if n != limit || err != nil {
					t.Errorf("handler read %d bytes, %v", n, err)
				}
			})))
			for _, chunked := range []bool{false, true} {
				if status, _ := sendBytes(t, srv, limit, chunked); status != 200 {
					t.Errorf("chunked %v: at the limit: %d", chunked, status)
				}
				if status, name := sendBytes(t, srv, limit+1, chunked); status != 413 || name != "request-too-large" {
					t.Errorf("chunked %v: over the limit: %d %s", chunked, status, name)
				}
			}
			if l.runs.Load() != 2 {
				t.Errorf("handler ran %d times, want 2", l.runs.Load())
			}
		})
	}
}

// sendBytes sends a body of n bytes with a key of its own.
func sendBytes(t *testing.T, srv *httptest.Server, n int, chunked bool) (status int, problem string) {
	t.Helper()
	r := request{key: fmt.Sprintf("%d-%v", n, chunked), body: strings.Repeat("b", n)}.build(t.Context(), t, srv.URL)
	if chunked {
		r.ContentLength = -1
	}
	resp, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == 200 {
		return 200, ""
	}
	return resp.StatusCode, answer{resp.StatusCode, resp.Header, string(body)}.problem(t)
}

func TestUnlimitedRequestBody(t *testing.T) {
	t.Parallel()
	srv := serve(t, idem.Config{MaxRequestBytes: -1}, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	if a := send(t, srv, request{key: "k", body: strings.Repeat("b", 3<<20)}); a.body != "3145728 <nil>" {
		t.Errorf("answer %+v", a)
	}
}

// brokenBody fails after its first bytes.
type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("password=hunter2") }
func (brokenBody) Close() error             { return nil }

// Behaviour 32.
func TestUnreadableRequest(t *testing.T) {
	t.Parallel()
	badHash := func(*http.Request) (string, error) { return "", errors.New("password=hunter2") }
	for name, c := range map[string]struct {
		cfg  idem.Config
		body io.Reader
	}{
		"Body":        {idem.Config{}, brokenBody{}},
		"RequestHash": {idem.Config{RequestHash: badHash}, strings.NewReader("b")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.cfg.Store = newMemory(t)
			h := idem.RESTMiddleware(c.cfg)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("handler ran") }))
			w := httptest.NewRecorder()
			r := httptest.NewRequest("POST", "/", c.body)
			r.Header.Set("Idempotency-Key", "k")
			h.ServeHTTP(w, r)
			a := answer{w.Code, w.Header(), w.Body.String()}
			if a.status != 400 || a.problem(t) != "request-unreadable" || strings.Contains(a.body, "hunter2") {
				t.Errorf("answer %+v", a)
			}
		})
	}
}
