package txstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// attempt is one try to run a handler, step by step, as the middleware makes it.
type attempt struct {
	testing.TB
	store idem.Store
	ctx   context.Context
	core  *idem.Attempt
	key   string
	hash  string
	ttl   time.Duration
}

func (w *world) attempt(key string) *attempt {
	return newAttempt(w.TB, w.Context(), w.store, key, idem.AttemptConfig{MaxHandlerTime: patience})
}

func newAttempt(tb testing.TB, ctx context.Context, store idem.Store, key string, config idem.AttemptConfig) *attempt {
	ctx, core := idem.WithAttempt(ctx, config)
	a := &attempt{TB: tb, store: store, ctx: ctx, core: core, key: key, hash: "h", ttl: time.Hour}
	tb.Cleanup(func() { _ = a.release() }) // a test that failed half-way
	return a
}

// withHash returns a with another request hash.
func (a *attempt) withHash(hash string) *attempt {
	a.hash = hash
	return a
}

// reserve calls Reserve under a deadline that ends with it.
func (a *attempt) reserve() (*idem.Cached, bool, error) {
	ctx, cancel := context.WithTimeout(a.ctx, patience)
	defer cancel()
	return a.store.Reserve(ctx, a.key, a.hash, a.ttl)
}

func (a *attempt) mustBeFresh() *attempt {
	a.Helper()
	existing, fresh, err := a.reserve()
	if err != nil || !fresh || existing != nil {
		a.Fatalf("Reserve = %v, %v, %v; want it fresh", existing, fresh, err)
	}
	return a
}

func (a *attempt) mustReplay(body string) *idem.Cached {
	a.Helper()
	existing, fresh, err := a.reserve()
	if err != nil || fresh || existing == nil {
		a.Fatalf("Reserve = %v, %v, %v; want the record", existing, fresh, err)
	}
	if string(existing.Body) != body {
		a.Fatalf("replayed body %q, want %q", existing.Body, body)
	}
	return existing
}

// tx is the transaction that a handler of the attempt gets.
func (a *attempt) tx() pgx.Tx {
	a.Helper()
	tx, ok := txstore.TxFromContext(a.ctx)
	if !ok {
		a.Fatal("the context has no transaction")
	}
	return tx
}

// exec executes sql as the handler.
func (a *attempt) exec(sql string, args ...any) error {
	a.Helper()
	_, err := a.tx().Exec(a.ctx, sql, args...)
	return err
}

// pay writes a business row as the handler.
func (a *attempt) pay() {
	a.Helper()
	if err := a.exec(insertPayment, a.key); err != nil {
		a.Fatal(err)
	}
}

const insertPayment = `INSERT INTO payments (key, n) VALUES ($1, 1)`

func (a *attempt) commit(body string) error {
	response := idem.Cached{Status: 201, Body: []byte(body)}
	return a.store.Commit(context.WithoutCancel(a.ctx), a.key, a.hash, response)
}

func (a *attempt) mustCommit(body string) {
	a.Helper()
	if err := a.commit(body); err != nil {
		a.Fatalf("Commit: %v", err)
	}
}

func (a *attempt) release() error {
	return a.store.Release(context.WithoutCancel(a.ctx), a.key)
}

func (a *attempt) mustRelease() {
	a.Helper()
	if err := a.release(); err != nil {
		a.Fatalf("Release: %v", err)
	}
}

// start reserves in a goroutine of its own.
func (a *attempt) start() <-chan reserved {
	done := make(chan reserved, 1)
	go func() {
		var r reserved
		r.existing, r.fresh, r.err = a.reserve()
		done <- r
	}()
	return done
}

// reserved is what Reserve answered.
type reserved struct {
	existing *idem.Cached
	fresh    bool
	err      error
}

func (r reserved) body() string {
	if r.existing == nil {
		return fmt.Sprintf("no record (fresh %t, error %v)", r.fresh, r.err)
	}
	return string(r.existing.Body)
}

// await returns what comes from done.
func await[T any](tb testing.TB, what string, done <-chan T) T {
	tb.Helper()
	return within(tb, patience, what, func() T { return <-done })
}

// run plays a whole request: it reserves, runs handler in the transaction if the
// key is fresh, and commits or releases as the disposition says. The returned
// response is the handler's or the replayed one.
func run(tb testing.TB, store *txstore.Store, key string, handler func(context.Context, pgx.Tx) idem.Cached) (response idem.Cached, ran bool, err error) {
	tb.Helper()
	a := newAttempt(tb, tb.Context(), store, key, idem.AttemptConfig{MaxHandlerTime: patience})
	existing, fresh, err := a.reserve()
	if err != nil {
		return response, false, err
	}
	if !fresh {
		return *existing, false, nil
	}
	err = store.InTx(a.ctx, func(tx pgx.Tx) error {
		response = handler(a.ctx, tx)
		return nil
	})
	if err != nil || a.core.Disposition() == idem.Discard {
		return response, true, errors.Join(err, a.release())
	}
	return response, true, store.Commit(context.WithoutCancel(a.ctx), key, a.hash, response)
}

// pay is a handler for run that writes a business row.
func pay(tb testing.TB, key, body string) func(context.Context, pgx.Tx) idem.Cached {
	return func(ctx context.Context, tx pgx.Tx) idem.Cached {
		if _, err := tx.Exec(ctx, insertPayment, key); err != nil {
			tb.Errorf("insert: %v", err)
		}
		return idem.Cached{Status: 201, Body: []byte(body)}
	}
}
