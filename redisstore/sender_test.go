package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/redisstore"
)

// paused makes the server answer nobody until the returned function is called.
func paused(t *testing.T, addr string) (resume func()) {
	t.Helper()
	other := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = other.Close() })
	if err := other.Do(t.Context(), "CLIENT", "PAUSE", "20000", "WRITE").Err(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := other.Do(t.Context(), "CLIENT", "UNPAUSE").Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// Calls that come at the same time travel together, and each has its own answer:
// one that the server refuses spoils no other, and neither do scripts that the
// server has forgotten.
func TestCallsTravelTogether(t *testing.T) {
	t.Parallel()
	const many = 300
	addr := ownServer(t, redisserver.Options{}).Addr()
	p := newProxy(t, addr)
	w := newWorld(t, given{Addr: p.addr})
	key := func(i int) string { return fmt.Sprint("k", i) }
	if err := w.client.HSet(t.Context(), w.prefix+key(7), "some", "hash").Err(); err != nil {
		t.Fatal(err)
	}
	attempts := make([]*attempt, many)
	trips := p.during(func() {
		resume := paused(t, addr)
		waits := make([]<-chan reserved, many)
		for i := range many {
			attempts[i] = w.attempt(key(i))
			waits[i] = attempts[i].start()
		}
		eventually(t, "all calls are under way", func() bool { return w.store.Looking() == many })
		resume()
		for i, waiting := range waits {
			got := await(t, key(i), waiting)
			if refused := errors.Is(got.err, idem.ErrRecordUnreadable); got.fresh == refused || refused != (i == 7) {
				t.Errorf("%s: %s", key(i), got.body())
			}
		}
	})
	if trips > many/4 {
		t.Errorf("%d calls took %d round trips", many, trips)
	}
	committed := make(chan error, many)
	for i, a := range attempts {
		if i == 7 {
			continue
		}
		go func() { committed <- a.commit("of " + a.key) }()
	}
	for range many - 1 {
		if err := await(t, "a Commit", committed); err != nil {
			t.Errorf("Commit: %v", err)
		}
	}
	w.attempt(key(8)).mustReplay("of " + key(8))
}

// A pool of one connection serves everybody.
func TestCallsShareOneConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Client: redis.Options{PoolSize: 1}, Config: redisstore.Config{DisableListen: true}})
	done := make(chan error, 100)
	for i := range cap(done) {
		a := w.attempt(fmt.Sprint("k", i))
		go func() {
			if r := a.reserve(); !r.fresh {
				done <- fmt.Errorf("Reserve: %s", r.body())
				return
			}
			done <- a.commit("paid")
		}()
	}
	for range cap(done) {
		if err := await(t, "a request", done); err != nil {
			t.Error(err)
		}
	}
}

// tracer is a client's hook that notes the commands in whose context it finds a
// value of the caller's.
type tracer struct {
	moments
	mu   sync.Mutex
	seen []string
}

type span struct{}

func (r *tracer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if ctx.Value(span{}) == "caller's" {
			r.mu.Lock()
			r.seen = append(r.seen, cmd.Name())
			r.mu.Unlock()
		}
		return next(ctx, cmd)
	}
}

// A call that goes alone can be traced to the request that made it.
func TestHooksOfTheClientSeeTheCallersValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	var hook tracer
	w.client.AddHook(&hook)
	a := w.attempt("k")
	a.ctx = context.WithValue(a.ctx, span{}, "caller's")
	a.mustBeFresh().mustCommit("paid")
	hook.mu.Lock()
	defer hook.mu.Unlock()
	if !slices.Contains(hook.seen, "set") || !slices.Contains(hook.seen, evalsha) {
		t.Errorf("calls with the value: %v, want Reserve's and Commit's", hook.seen)
	}
}
