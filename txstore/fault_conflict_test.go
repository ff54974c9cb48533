package txstore_test

import (
	"context"
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

// service serves handler behind the middleware on w's store. What the handler
// returns as an error is a 500, as in most programs.
func (w *world) service(maxRuns int, handler func(context.Context, pgx.Tx, string) error) func(key, body string) (int, string) {
	protected := idem.RESTMiddleware(idem.Config{Store: w.store, MaxRuns: maxRuns})(
		http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			err := w.store.InTx(r.Context(), func(tx pgx.Tx) error { return handler(r.Context(), tx, string(body)) })
			if err != nil {
				http.Error(rw, err.Error(), http.StatusInternalServerError)
				return
			}
			rw.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(rw, "done "+string(body))
		}))
	return func(key, body string) (int, string) {
		request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		request.Header.Set("Idempotency-Key", key)
		answer := httptest.NewRecorder()
		protected.ServeHTTP(answer, request)
		return answer.Code, answer.Body.String()
	}
}

// Behaviour 17. Duplicates race in two processes.
func TestDuplicatesUnderStrictIsolation(t *testing.T) {
	t.Parallel()
	for _, iso := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		for _, locks := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/locks=%t", iso, locks), func(t *testing.T) {
				t.Parallel()
				config := txstore.Config{IsoLevel: iso, DisableLocks: !locks}
				w := newWorld(t, given{Config: config})
				p := w.process(given{Config: config})
				insert := func(ctx context.Context, tx pgx.Tx, body string) error {
					_, err := tx.Exec(ctx, insertPayment, body)
					return err
				}
				services := []func(key, body string) (int, string){w.service(10, insert), p.service(10, insert)}
				var all sync.WaitGroup
				const keys = 10
				for i := range keys * 10 {
					all.Go(func() {
						key := fmt.Sprintf("k-%d", i%keys)
						if code, body := services[i%2](key, key); code != http.StatusCreated || body != "done "+key {
							t.Errorf("answered %d %s", code, body)
						}
					})
				}
				await(t, "all", closed(&all))
				for i := range keys {
					w.mustHold(fmt.Sprintf("k-%d", i), 1, 1)
				}
			})
		}
	}
}

// Behaviour 17. Two requests that each read what the other writes: one of them
// is undone and run again, and neither client hears of it.
func TestWriteSkewIsRunAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: txstore.Config{IsoLevel: pgx.Serializable}})
	w.exec(`CREATE TABLE doctors (name text PRIMARY KEY, on_call boolean NOT NULL)`)
	w.exec(`INSERT INTO doctors VALUES ('a', true), ('b', true)`)
	var runs atomic.Int32
	var bothRead sync.WaitGroup
	bothRead.Add(2)
	serve := w.service(3, func(ctx context.Context, tx pgx.Tx, name string) error {
		first := runs.Add(1) <= 2
		var onCall int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM doctors WHERE on_call`).Scan(&onCall); err != nil {
			return err
		}
		if first {
			bothRead.Done()
			bothRead.Wait()
		}
		if onCall < 2 {
			return nil // the last one stays
		}
		_, err := tx.Exec(ctx, `UPDATE doctors SET on_call = false WHERE name = $1`, name)
		return err
	})
	var all sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		all.Go(func() {
			if code, body := serve(name, name); code != http.StatusCreated {
				t.Errorf("answered %d %s", code, body)
			}
		})
	}
	await(t, "both", closed(&all))
	if n := w.count(`SELECT count(*) FROM doctors WHERE on_call`); n != 1 {
		t.Errorf("%d doctors are on call, want 1", n)
	}
	if n := runs.Load(); n != 3 {
		t.Errorf("the handlers ran %d times, want 3", n)
	}
}

// Behaviour 17. Two requests that lock two rows in opposite order.
func TestDeadlockIsRunAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	w.exec(`CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)`)
	w.exec(`INSERT INTO accounts VALUES (1, 0), (2, 0)`)
	var runs atomic.Int32
	var bothLocked sync.WaitGroup
	bothLocked.Add(2)
	serve := w.service(3, func(ctx context.Context, tx pgx.Tx, body string) error {
		first := runs.Add(1) <= 2
		ids := []int{1, 2}
		if body == "back" {
			ids = []int{2, 1}
		}
		for i, id := range ids {
			if _, err := tx.Exec(ctx, `UPDATE accounts SET balance = balance + 1 WHERE id = $1`, id); err != nil {
				return err
			}
			if first && i == 0 {
				bothLocked.Done()
				bothLocked.Wait()
			}
		}
		return nil
	})
	var all sync.WaitGroup
	for _, body := range []string{"forth", "back"} {
		all.Go(func() {
			if code, answer := serve(body, body); code != http.StatusCreated {
				t.Errorf("answered %d %s", code, answer)
			}
		})
	}
	await(t, "both", closed(&all))
	if n := w.count(`SELECT sum(balance) FROM accounts`); n != 4 {
		t.Errorf("the balances make %d, want 4", n)
	}
	if n := runs.Load(); n != 3 {
		t.Errorf("the handlers ran %d times, want 3", n)
	}
}

// Behaviour 17. Write skew among many, read and written in one small table, in
// two processes: no client hears of a conflict, and no effect is lost or
// doubled. A conflict can strike a look-up too.
func TestManyConflictsUnderSerializable(t *testing.T) {
	t.Parallel()
	config := txstore.Config{IsoLevel: pgx.Serializable}
	w := newWorld(t, given{Config: config})
	p := w.process(given{Config: config})
	add := func(ctx context.Context, tx pgx.Tx, key string) error {
		var n int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM payments`).Scan(&n); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO payments (key, n) VALUES ($1, $2)`, key, n)
		return err
	}
	services := []func(key, body string) (int, string){w.service(100, add), p.service(100, add)}
	var all sync.WaitGroup
	const workers, each = 6, 15
	for i := range workers {
		all.Go(func() {
			for j := range each {
				key := fmt.Sprintf("k-%d-%d", i/2, j) // two workers share a key
				if code, body := services[i%2](key, key); code != http.StatusCreated {
					t.Errorf("answered %d %s", code, body)
				}
			}
		})
	}
	await(t, "all", closed(&all))
	if n := w.count(`SELECT count(DISTINCT n) FROM payments`); n != workers/2*each {
		t.Errorf("%d different numbers, want %d: the transactions were not serializable", n, workers/2*each)
	}
	if n := w.count(`SELECT count(*) FROM payments`); n != workers/2*each {
		t.Errorf("%d payments, want %d", n, workers/2*each)
	}
}
