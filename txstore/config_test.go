package txstore_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/txstore"
)

// farPool is a pool that connects to nobody before it is asked to.
func farPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), "postgres://nobody@127.0.0.1:1/none")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func TestWrongConfigIsRefused(t *testing.T) {
	t.Parallel()
	pool := farPool(t)
	for field, config := range map[string]txstore.Config{
		"IsoLevel":             {IsoLevel: pgx.ReadUncommitted},
		"AcquireTimeout":       {AcquireTimeout: -1},
		"ReserveTimeout is 5n": {ReserveTimeout: 5},
		"CommitTimeout":        {CommitTimeout: 10},
		"Lease is 9.999ms":     {Lease: 9999 * time.Microsecond},
		"Lease is 24h0m0":      {Lease: 24*time.Hour + 1},
		"CloseTimeout":         {CloseTimeout: -1},
		"PollInterval is 250n": {PollInterval: 250},
		"ReplayCacheBytes":     {ReplayCacheBytes: -1},
		"ListenConn":           {ListenConn: &pgx.ConnConfig{}},
	} {
		if _, err := txstore.New(pool, config); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("New: %v, want an error that names Config.%s", err, field)
		}
	}
	if _, err := txstore.New(nil, txstore.Config{}); err == nil || !strings.Contains(err.Error(), "pool") {
		t.Errorf("New without a pool: %v", err)
	}
}

// Who writes the greatest duration means never, and is not to be told at once.
//
// Behaviour 23.
func TestPollIntervalThatMeansNever(t *testing.T) {
	t.Parallel()
	needsLocks(t, "a waiter in another process registers with one, and is told through it")
	w := newWorld(t, given{})
	a := w.attempt("k").mustBeFresh()
	waiter := w.process(given{Config: txstore.Config{PollInterval: math.MaxInt64}})
	waiting := waiter.attempt("k").start()
	waiter.mustRegister("k")
	a.mustCommit("paid")
	if got := await(t, "the waiter's answer", waiting).body(); got != "paid" {
		t.Errorf("the waiter got %s", got)
	}
}

// A pool that is exhausted is not a server that is down, and the error tells which.
func TestErrorOfAnExhaustedPoolNamesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Conns: 1, Config: txstore.Config{AcquireTimeout: time.Second}})
	w.attempt("k").mustBeFresh()
	got := await(t, "the refusal", w.attempt("other").start())
	if got.err == nil || !strings.Contains(got.err.Error(), "1 of the pool's 1 are in use, Config.AcquireTimeout is 1s") {
		t.Errorf("Reserve: %v", got.err)
	}
}
