package idem_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

// agingMemory returns a store, and a function that makes its records older.
func agingMemory(t testing.TB) (*memory.Store, func(time.Duration)) {
	var offset atomic.Int64
	store := memory.New(memory.Config{Now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }})
	t.Cleanup(store.Close)
	return store, func(d time.Duration) { offset.Add(int64(d)) }
}

func TestVeryLateRetryIsKeyExpired(t *testing.T) {
	t.Parallel()
	store, age := agingMemory(t)
	var l ledger
	var seen events
	cfg := idem.Config{Store: store, DefaultTTL: time.Hour, RememberExpired: 30 * 24 * time.Hour, Observer: seen.observe}
	srv := serve(t, cfg, func(w http.ResponseWriter, r *http.Request) {
		l.runs.Add(1)
		l.insert(r.Context())
		w.WriteHeader(201)
	})
	for range 2 {
		if a := send(t, srv, request{key: "k"}); a.status != 201 {
			t.Errorf("answer %+v", a)
		}
	}
	age(time.Hour)
	a := send(t, srv, request{key: "k"})
	if a.status != 409 || a.problem(t) != "key-expired" || a.header.Get("Retry-After") != "" || a.replayed() {
		t.Errorf("late retry %+v", a)
	}
	if a := send(t, srv, request{key: "k", body: "another"}); a.status != 422 {
		t.Errorf("another request %+v", a)
	}
	l.mustHold(t, 1, 1)
	if e := seen.wait(t, 4)[2]; e.Outcome != "key-expired" || e.Runs != 0 || !errors.Is(e.Err, idem.ErrKeyExpired) {
		t.Errorf("event %+v", e)
	}
	age(30 * 24 * time.Hour)
	if a := send(t, srv, request{key: "k"}); a.status != 201 || a.replayed() {
		t.Errorf("after it was forgotten: %+v", a)
	}
}

// It is off unless asked for.
func TestExpiredKeyIsFreshByDefault(t *testing.T) {
	t.Parallel()
	store, age := agingMemory(t)
	var l ledger
	srv := serve(t, idem.Config{Store: store}, func(http.ResponseWriter, *http.Request) { l.runs.Add(1) })
	send(t, srv, request{key: "k"})
	age(24 * time.Hour)
	send(t, srv, request{key: "k"})
	l.mustHold(t, 2, 0)
}

func TestDoVeryLateRetryIsKeyExpired(t *testing.T) {
	t.Parallel()
	store, age := agingMemory(t)
	cfg := idem.DoConfig{Store: store, DefaultTTL: time.Hour, RememberExpired: time.Hour}
	runs := 0
	do := func() error {
		_, err := idem.Do(t.Context(), cfg, "k", nil, func(context.Context) (int, error) {
			runs++
			return 0, idem.Permanent(errors.New("declined"))
		})
		return err
	}
	first := do()
	age(time.Hour)
	err := do()
	if runs != 1 || first == nil || !errors.Is(err, idem.ErrKeyExpired) || errors.Is(err, idem.ErrStoreUnavailable) {
		t.Errorf("%d runs, %v, then %v", runs, first, err)
	}
	age(time.Hour)
	if err := do(); runs != 2 || errors.Is(err, idem.ErrKeyExpired) {
		t.Errorf("%d runs, %v", runs, err)
	}
}
