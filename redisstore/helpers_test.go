package redisstore_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/internal/redisserver/redistest"
	"github.com/pgidem/pgidem/internal/waitfor"
	"github.com/pgidem/pgidem/redisstore"
)

// patience bounds every wait for what must happen.
const patience = 20 * time.Second

// world is one process: a Store on a client of its own, under a prefix that other
// worlds may share.
type world struct {
	testing.TB
	addr   string
	prefix string
	client redis.UniversalClient
	store  *redisstore.Store

	mu      sync.Mutex
	trouble []error // what the Store has told OnError
}

// given is what a test wants of its world; the zero value is good for most.
type given struct {
	Addr   string // "": the shared server
	Client redis.Options
	Config redisstore.Config
}

func newWorld(tb testing.TB, g given) *world {
	tb.Helper()
	if g.Addr == "" {
		g.Addr = redistest.Addr(tb)
	}
	g.Client.Addr = g.Addr
	w := newWorldOn(tb, redis.NewClient(&g.Client), g.Config)
	w.addr = g.Addr
	return w
}

func newWorldOn(tb testing.TB, client redis.UniversalClient, config redisstore.Config) *world {
	tb.Helper()
	if config.Prefix == "" {
		config.Prefix = "test:" + rand.Text() + ":{}:"
	}
	if config.CloseTimeout == 0 {
		config.CloseTimeout = 2 * time.Second // a test that failed half-way
	}
	w := &world{TB: tb, prefix: config.Prefix, client: client}
	config.OnError = w.note
	store, err := redisstore.New(client, config)
	if err != nil {
		tb.Fatal(err)
	}
	w.store = store
	tb.Cleanup(func() {
		store.Close()
		_ = client.Close()
		if tb.Failed() {
			tb.Logf("told to OnError: %v", w.troubles())
		}
	})
	return w
}

// process is another process with the records of w.
func (w *world) process(g given) *world {
	w.Helper()
	if g.Addr == "" {
		g.Addr = w.addr
	}
	g.Config.Prefix = w.prefix
	return newWorld(w.TB, g)
}

func (w *world) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble = append(w.trouble, err)
}

func (w *world) troubles() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]error(nil), w.trouble...)
}

// record returns the bytes of key's record.
func (w *world) record(key string) string {
	w.Helper()
	record, err := w.client.Get(w.Context(), w.prefix+key).Result()
	if err != nil {
		w.Fatal(err)
	}
	return record
}

func (w *world) set(key, record string) {
	w.Helper()
	if err := w.client.Set(w.Context(), w.prefix+key, record, time.Minute).Err(); err != nil {
		w.Fatal(err)
	}
}

func (w *world) age(d time.Duration) {
	w.Helper()
	if err := redisstore.Age(w.Context(), w.client, w.prefix, d); err != nil {
		w.Fatal(err)
	}
}

// attempt is one try to run a handler, step by step, as the middleware makes it.
type attempt struct {
	testing.TB
	store idem.Store
	ctx   context.Context
	core  *idem.Attempt
	key   string
}

func (w *world) attempt(key string) *attempt { return w.attemptWith(key, idem.AttemptConfig{}) }

func (w *world) attemptWith(key string, config idem.AttemptConfig) *attempt {
	ctx, core := idem.WithAttempt(w.Context(), config)
	return &attempt{TB: w.TB, store: w.store, ctx: ctx, core: core, key: key}
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

func (a *attempt) reserve() (r reserved) {
	ctx, cancel := context.WithTimeout(a.ctx, patience)
	defer cancel()
	r.existing, r.fresh, r.err = a.store.Reserve(ctx, a.key, "h", time.Hour)
	return r
}

// start reserves in a goroutine of its own.
func (a *attempt) start() <-chan reserved {
	done := make(chan reserved, 1)
	go func() { done <- a.reserve() }()
	return done
}

func (a *attempt) mustBeFresh() *attempt {
	a.Helper()
	if r := a.reserve(); !r.fresh || r.err != nil {
		a.Fatalf("Reserve: %s, want it fresh", r.body())
	}
	return a
}

func (a *attempt) mustReplay(body string) {
	a.Helper()
	if r := a.reserve(); r.body() != body {
		a.Fatalf("Reserve: %s, want the record %q", r.body(), body)
	}
}

func (a *attempt) commit(body string) error {
	return a.store.Commit(context.WithoutCancel(a.ctx), a.key, "h", idem.Cached{Status: 201, Body: []byte(body)})
}

func (a *attempt) mustCommit(body string) {
	a.Helper()
	if err := a.commit(body); err != nil {
		a.Fatalf("Commit: %v", err)
	}
}

func (a *attempt) mustRelease() {
	a.Helper()
	if err := a.store.Release(context.WithoutCancel(a.ctx), a.key); err != nil {
		a.Fatalf("Release: %v", err)
	}
}

// await returns what comes from done.
func await[T any](tb testing.TB, what string, done <-chan T) T {
	tb.Helper()
	select {
	case got := <-done:
		return got
	case <-time.After(patience):
		tb.Fatalf("%s took longer than %v", what, patience)
		panic("unreachable")
	}
}

// eventually polls until its condition holds.
var eventually = waitfor.Condition

// ownServer starts a server that the test may halt, flush and reconfigure.
func ownServer(tb testing.TB, options redisserver.Options) *redisserver.Server {
	tb.Helper()
	return redistest.OwnServer(tb, options)
}
