package txstore_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// service is a world behind the middleware. The request's path is the status
// that the handler answers after it has paid.
type service struct {
	*world
	ran atomic.Int32
	url string
}

func (w *world) serve(config idem.Config, handler func(http.ResponseWriter, *http.Request)) *service {
	w.Helper()
	s := &service{world: w}
	config.Store = w.store
	server := httptest.NewServer(idem.RESTMiddleware(config)(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.ran.Add(1)
		handler(rw, r)
	})))
	w.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// answer pays and then answers the status that the path names.
func (w *world) answer(rw http.ResponseWriter, r *http.Request) {
	if err := payIn(r.Context(), w.store, r.Header.Get("Idempotency-Key")); err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	var status int
	_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
	rw.WriteHeader(status)
	_, _ = fmt.Fprintf(rw, "answer %d", status)
}

// reply is what a client has got.
type reply struct {
	status   int
	body     string
	replayed bool
}

func (s *service) post(path, key string) reply {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.url+path, strings.NewReader("{}"))
	if err != nil {
		s.Fatal(err)
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Error(err)
		return reply{}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.Error(err)
	}
	return reply{response.StatusCode, string(body), response.Header.Get("Idempotent-Replayed") == "true"}
}

// Behaviours 30, 37.
func TestMiddlewareKeepsWhatThePolicySays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ status, payments, records, runs int }{
		{status: 200, payments: 1, records: 1, runs: 1},
		{status: 201, payments: 1, records: 1, runs: 1},
		{status: 303, payments: 1, records: 1, runs: 1},
		{status: 400, records: 1, runs: 1},
		{status: 402, records: 1, runs: 1},
		{status: 422, records: 1, runs: 1},
		{status: 404, runs: 2},
		{status: 409, runs: 2},
		{status: 500, runs: 2},
		{status: 503, runs: 2},
	} {
		t.Run(http.StatusText(c.status), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Conns: 1})
			s := w.serve(idem.Config{}, w.answer)
			path := fmt.Sprintf("/%d", c.status)
			want := reply{status: c.status, body: fmt.Sprintf("answer %d", c.status)}
			if got := s.post(path, "k"); got != want {
				t.Fatalf("the first answer is %+v, want %+v", got, want)
			}
			want.replayed = c.records > 0
			if got := s.post(path, "k"); got != want {
				t.Fatalf("the second answer is %+v, want %+v", got, want)
			}
			w.mustHold("k", c.payments, c.records)
			if n := int(s.ran.Load()); n != c.runs {
				t.Errorf("the handler ran %d times, want %d", n, c.runs)
			}
		})
	}
}

// Behaviours 1, 2, 30.
func TestMiddlewareRunsOneOfManyDuplicates(t *testing.T) {
	t.Parallel()
	needsLocks(t, "only they keep attempts of two processes apart before the first commits")
	w := newWorld(t, given{Conns: 2})
	another := w.process(given{Conns: 2})
	services := []*service{w.serve(idem.Config{}, w.answer), another.serve(idem.Config{}, another.answer)}
	var all sync.WaitGroup
	var first atomic.Int32
	for i := range 40 {
		all.Go(func() {
			got := services[i%2].post("/201", "k")
			if got.status != 201 || got.body != "answer 201" {
				t.Errorf("a duplicate got %+v", got)
			}
			if !got.replayed {
				first.Add(1)
			}
		})
	}
	all.Wait()
	if runs := services[0].ran.Load() + services[1].ran.Load(); runs != 1 || first.Load() != 1 {
		t.Errorf("the handler ran %d times and %d answers were no replay, want 1 and 1", runs, first.Load())
	}
	w.mustHold("k", 1, 1)
}

// Behaviour 17.
func TestMiddlewareRunsTheVictimOfAConflictAgain(t *testing.T) {
	t.Parallel()
	for _, iso := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable} {
		t.Run(string(iso), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given{Conns: 12, Config: txstore.Config{IsoLevel: iso}})
			w.exec(`CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)`)
			w.exec(`INSERT INTO accounts VALUES (1, 0), (2, 0)`)
			s := w.serve(idem.Config{MaxRuns: 50}, func(rw http.ResponseWriter, r *http.Request) {
				if err := w.transfer(r); err != nil {
					http.Error(rw, err.Error(), http.StatusInternalServerError)
					return
				}
				rw.WriteHeader(http.StatusCreated)
			})
			var all sync.WaitGroup
			for i := range 16 {
				all.Go(func() {
					// Each key twice; one half goes the other way round, into deadlocks.
					if got := s.post(fmt.Sprintf("/%d", i/2%2), fmt.Sprint(i/2)); got.status != 201 {
						t.Errorf("got %+v, want 201", got)
					}
				})
			}
			all.Wait()
			if n := w.count(`SELECT count(*) FROM payments`); n != 8 {
				t.Errorf("%d payments, want one for each of 8 keys", n)
			}
			if n := w.count(`SELECT sum(balance) FROM accounts`); n != 16 {
				t.Errorf("the accounts moved by %d, want 2 for each of 8 keys", n)
			}
		})
	}
}

// transfer touches both accounts, in an order that the path names.
func (w *world) transfer(r *http.Request) error {
	ctx := r.Context()
	return w.store.InTx(ctx, func(tx pgx.Tx) error {
		ids := []int{1, 2}
		if r.URL.Path == "/1" {
			ids = []int{2, 1}
		}
		_, err := tx.Exec(ctx, insertPayment, r.Header.Get("Idempotency-Key"))
		for _, id := range ids {
			if err == nil {
				_, err = tx.Exec(ctx, `UPDATE accounts SET balance = balance + 1 WHERE id = $1`, id)
			}
		}
		return err
	})
}

// Behaviour 60.
func TestMiddlewareMountedTwiceDoesNotWaitForItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1})
	inner := idem.RESTMiddleware(idem.Config{Store: w.store})(http.HandlerFunc(w.answer))
	s := w.serve(idem.Config{}, inner.ServeHTTP)
	got := s.post("/201", "k")
	if got.status != 500 && got.status != 201 {
		t.Errorf("got %+v, want a clear 500 or the answer", got)
	}
	if got.status == 500 {
		w.mustHold("k", 0, 0)
	}
}

// A request that bypasses the middleware runs the same code.
func TestMiddlewareIsNotNeeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1})
	s := w.serve(idem.Config{}, w.answer)
	for range 2 {
		if got := s.post("/201", ""); got.status != 201 || got.replayed {
			t.Errorf("got %+v, want 201", got)
		}
	}
	w.mustHold("", 2, 0)
}
