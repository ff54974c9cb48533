package redisstore_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/internal/redisserver/redistest"
	"github.com/pgidem/pgidem/redisstore"
)

// tapped is a world that reaches its server through a proxy.
func tapped(t *testing.T, options redis.Options) (*world, *proxy) {
	t.Helper()
	p := newProxy(t, redistest.Addr(t))
	return newWorld(t, given{Addr: p.addr, Client: options}), p
}

func TestFreshTakesTwoRoundTripsAndReplayOne(t *testing.T) {
	t.Parallel()
	w, p := tapped(t, redis.Options{PoolSize: 1})
	if err := redisstore.LoadScripts(t.Context(), w.client); err != nil {
		t.Fatal(err)
	}
	w.attempt("warm").mustBeFresh().mustCommit("warm")
	if n := p.during(func() { w.attempt("k").mustBeFresh().mustCommit("paid") }); n != 2 {
		t.Errorf("a fresh request took %d round trips, want 2", n)
	}
	if n := p.during(func() { w.attempt("k").mustReplay("paid") }); n != 1 {
		t.Errorf("a replay took %d round trips, want 1", n)
	}
	if n := p.during(func() { w.attempt("r").mustBeFresh().mustRelease() }); n != 2 {
		t.Errorf("a released request took %d round trips, want 2", n)
	}
}
