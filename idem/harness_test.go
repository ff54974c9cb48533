package idem_test

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/waitfor"
	"github.com/pgidem/pgidem/memory"
)

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

func newMemory(t testing.TB) *memory.Store {
	store := memory.New(memory.Config{})
	t.Cleanup(store.Close)
	return store
}

// serve starts a real server with the handler behind a middleware.
func serve(t testing.TB, cfg idem.Config, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = newMemory(t)
	}
	return serveHandler(t, idem.RESTMiddleware(cfg)(handler))
}

func serveHandler(t testing.TB, handler http.Handler) *httptest.Server {
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.ErrorLog = discardLog()
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

// discardLog keeps the panics that tests provoke out of their output.
func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

// dontRetry keeps net/http's client from sending a request again by itself,
// which it does for one with an Idempotency-Key when a connection that it uses
// for the second time breaks.
func dontRetry(srv *httptest.Server) {
	srv.Client().Transport.(*http.Transport).DisableKeepAlives = true
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) replayed() bool { return a.header.Get("Idempotent-Replayed") == "true" }

// problem returns the name of the problem document in a, or fails the test if
// it holds none that RFC 9457 allows.
func (a answer) problem(t testing.TB) string {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("Content-Type %q, want a problem document (%d %s)", got, a.status, a.body)
	}
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("problem document %q: %v", a.body, err)
	}
	if p.Status != a.status || p.Title == "" {
		t.Errorf("problem document %s does not fit its status %d", a.body, a.status)
	}
	name, ok := strings.CutPrefix(p.Type, idem.ProblemTypeBase)
	if !ok || name == "" {
		t.Errorf("problem type %q", p.Type)
	}
	return name
}

type request struct {
	method string // POST unless set
	path   string // /payments unless set
	key    string
	body   string
	header http.Header
}

func (q request) build(ctx context.Context, t testing.TB, base string) *http.Request {
	t.Helper()
	if q.method == "" {
		q.method = http.MethodPost
	}
	if q.path == "" {
		q.path = "/payments"
	}
	r, err := http.NewRequestWithContext(ctx, q.method, base+q.path, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	if q.key != "" {
		r.Header.Set("Idempotency-Key", q.key)
	}
	return r
}

// send sends q and fails the test if no answer comes.
func send(t testing.TB, srv *httptest.Server, q request) answer {
	t.Helper()
	a, err := trySend(t.Context(), t, srv, q)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return a
}

func trySend(ctx context.Context, t testing.TB, srv *httptest.Server, q request) (answer, error) {
	t.Helper()
	resp, err := srv.Client().Do(q.build(ctx, t, srv.URL))
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}, err
}

// eventually polls until its condition holds.
var eventually = waitfor.Condition

// receive waits for a value, but not for ever.
func receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("never came: %s", what)
		panic("unreachable")
	}
}

// events collects what an observer is told.
type events struct {
	mu   sync.Mutex
	seen []idem.Event
}

func (e *events) observe(_ context.Context, event idem.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = append(e.seen, event)
}

func (e *events) all() []idem.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]idem.Event(nil), e.seen...)
}

// wait returns the first n events; the last of them is told after its answer.
func (e *events) wait(t testing.TB, n int) []idem.Event {
	t.Helper()
	eventually(t, "the observer is told", func() bool { return len(e.all()) >= n })
	if got := e.all(); len(got) != n {
		t.Fatalf("observer was told %d times, want %d: %+v", len(got), n, got)
	}
	return e.all()
}

// neverReserve is a hook that fails the test.
func neverReserve(t testing.TB) func(context.Context) error {
	return func(context.Context) error {
		t.Error("the store was asked")
		return nil
	}
}
