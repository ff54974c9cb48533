package txstore_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
)

// Behaviour 37.
func TestMiddlewareUndoesAPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1})
	var calm atomic.Bool
	s := w.serve(idem.Config{}, func(rw http.ResponseWriter, r *http.Request) {
		w.answer(rw, r)
		if !calm.Load() {
			panic(http.ErrAbortHandler)
		}
	})
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/201", strings.NewReader("{}"))
	request.Header.Set("Idempotency-Key", "k")
	if response, err := http.DefaultClient.Do(request); err == nil {
		_ = response.Body.Close()
		t.Fatalf("the answer is %d, want none", response.StatusCode)
	}
	w.mustHold("k", 0, 0)
	calm.Store(true)
	if got := s.post("/201", "k"); got.status != 201 || got.replayed {
		t.Errorf("the retry got %+v", got)
	}
	w.mustHold("k", 1, 1)
}

// Behaviour 18.
func TestMiddlewareAnswersForAnAbortedTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1})
	s := w.serve(idem.Config{}, func(rw http.ResponseWriter, r *http.Request) {
		_ = w.store.InTx(r.Context(), func(tx pgx.Tx) error {
			_, err := tx.Exec(r.Context(), `SELECT 1 / 0`)
			return err
		})
		w.answerOnly(rw, r)
	})
	if got := s.post("/201", "k"); got.status != 500 || !strings.Contains(got.body, "transaction-failed") {
		t.Errorf("a success over an aborted transaction got %+v, want 500 transaction-failed", got)
	}
	w.mustHold("k", 0, 0)
	if got := s.post("/402", "k"); got.status != 402 {
		t.Errorf("a refusal over an aborted transaction got %+v, want 402", got)
	}
	if got := s.post("/402", "k"); got.status != 402 || !got.replayed {
		t.Errorf("its retry got %+v, want the replay", got)
	}
	w.mustHold("k", 0, 1)
}

func (w *world) answerOnly(rw http.ResponseWriter, r *http.Request) {
	var status int
	_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
	rw.WriteHeader(status)
}

// Behaviour 38.
func TestMiddlewareUndoesWhatItCannotKeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1})
	s := w.serve(idem.Config{MaxResponseBytes: 10}, w.answer)
	if got := s.post("/201", "k"); got.status != 201 {
		t.Errorf("10 bytes: got %+v, want 201", got)
	}
	s = w.serve(idem.Config{MaxResponseBytes: 9}, w.answer)
	if got := s.post("/201", "large"); got.status != 500 || !strings.Contains(got.body, "response-too-large") {
		t.Errorf("10 bytes of 9: got %+v, want 500 response-too-large", got)
	}
	w.mustHold("large", 0, 0)
}

// Behaviour 35. The writes of a handler that takes too long are undone.
func TestMiddlewareUndoesAHandlerThatRanTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 2})
	ended := make(chan error, 1)
	s := w.serve(idem.Config{MaxHandlerTime: 50e6}, func(_ http.ResponseWriter, r *http.Request) {
		ended <- w.store.InTx(r.Context(), func(tx pgx.Tx) error {
			_, err := tx.Exec(r.Context(), insertPayment, "k")
			_, slept := tx.Exec(r.Context(), `SELECT pg_sleep(60)`)
			return errors.Join(err, slept)
		})
	})
	if got := s.post("/201", "k"); got.status != 503 || !strings.Contains(got.body, "handler-timeout") {
		t.Errorf("got %+v, want 503 handler-timeout", got)
	}
	if err := await(t, "the handler", ended); err == nil {
		t.Error("the handler slept for a minute")
	}
	w.mustHold("k", 0, 0)
	w.attempt("k").mustBeFresh()
}
