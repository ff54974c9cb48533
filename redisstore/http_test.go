package redisstore_test

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
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/redisstore"
)

// serve protects handler with the world's store.
func (w *world) serve(handler http.HandlerFunc) *httptest.Server {
	server := httptest.NewServer(idem.RESTMiddleware(idem.Config{Store: w.store})(handler))
	w.Cleanup(server.Close)
	return server
}

// httpAnswer is what a client got.
type httpAnswer struct {
	status   int
	body     string
	replayed bool
}

func post(tb testing.TB, url string) httpAnswer {
	tb.Helper()
	return postKey(tb, url, "k")
}

func postKey(tb testing.TB, url, key string) httpAnswer {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", key)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Error(err)
		return httpAnswer{}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Error(err)
	}
	return httpAnswer{response.StatusCode, string(body), response.Header.Get("Idempotent-Replayed") == "true"}
}

func posted(tb testing.TB, url string) <-chan httpAnswer {
	done := make(chan httpAnswer, 1)
	go func() { done <- post(tb, url) }()
	return done
}

// Behaviours 9, 35.
func TestHandlerSlowerThanItsLeaseRunsOnce(t *testing.T) {
	t.Parallel()
	config := redisstore.Config{Lease: time.Second}
	w := newWorld(t, given{Config: config})
	there := w.process(given{Config: config})
	var runs atomic.Int32
	started := make(chan struct{})
	handler := func(rw http.ResponseWriter, r *http.Request) {
		if runs.Add(1) == 1 {
			close(started)
		}
		select {
		case <-time.After(3 * config.Lease): // the handler's own work
		case <-r.Context().Done():
			t.Errorf("the handler was cancelled: %v", context.Cause(r.Context()))
		}
		rw.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(rw, "paid")
	}
	here, elsewhere := w.serve(handler), there.serve(handler)
	first := posted(t, here.URL)
	await(t, "the handler's start", started)
	second, third := posted(t, elsewhere.URL), posted(t, here.URL)
	if got := await(t, "the first answer", first); got != (httpAnswer{http.StatusCreated, "paid", false}) {
		t.Errorf("the first caller got %+v", got)
	}
	for _, duplicate := range []<-chan httpAnswer{second, third} {
		if got := await(t, "a duplicate's answer", duplicate); got != (httpAnswer{http.StatusCreated, "paid", true}) {
			t.Errorf("a duplicate got %+v", got)
		}
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("the handler ran %d times", n)
	}
}

// Behaviour 9. The server forgets the reservation under a running handler.
func TestHandlerIsCancelledWhenItsLeaseIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{
		Addr:   ownServer(t, redisserver.Options{}).Addr(),
		Config: redisstore.Config{Lease: time.Second},
	})
	cause := make(chan error, 1)
	started := make(chan struct{})
	server := w.serve(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		cause <- context.Cause(r.Context())
	})
	first := posted(t, server.URL)
	await(t, "the handler's start", started)
	if err := w.client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := await(t, "the handler's end", cause); !errors.Is(err, idem.ErrLeaseLost) {
		t.Errorf("the handler was cancelled with %v, want ErrLeaseLost", err)
	}
	await(t, "the answer", first)
}

// Behaviour 9. With a limit on the handler the renewing ends by itself, so that
// one which never returns does not hold its key for ever.
func TestRenewingEndsAfterMaxHandlerTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: redisstore.Config{Lease: time.Second}})
	a := w.attemptWith("k", idem.AttemptConfig{MaxHandlerTime: 300 * time.Millisecond}).mustBeFresh()
	next := w.attempt("k").mustBeFresh() // waits for the lease to end
	if err := a.commit("late"); !errors.Is(err, idem.ErrLeaseLost) {
		t.Errorf("Commit of the stale owner: %v, want ErrLeaseLost", err)
	}
	next.mustCommit("next")
}

// Behaviours 32, 40.
func TestWhatAClientIsTold(t *testing.T) {
	t.Parallel()
	server := ownServer(t, redisserver.Options{})
	w := newWorld(t, given{Addr: server.Addr()})
	var runs atomic.Int32
	site := w.serve(func(rw http.ResponseWriter, _ *http.Request) {
		runs.Add(1)
		rw.WriteHeader(http.StatusCreated)
	})
	if got := post(t, site.URL); got.status != http.StatusCreated {
		t.Fatalf("got %+v", got)
	}
	if got := post(t, site.URL+"/other"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("another request with the key got %+v, want 422", got)
	}
	if err := server.Halt(); err != nil {
		t.Fatal(err)
	}
	if got := post(t, site.URL); got.status != http.StatusServiceUnavailable {
		t.Errorf("without a server: %+v, want 503", got)
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("the handler ran %d times", n)
	}
}
