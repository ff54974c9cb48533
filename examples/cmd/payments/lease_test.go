package main

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/internal/redisserver/redistest"
)

// redisOfItsOwn is a part of the shared server that no other test uses.
func redisOfItsOwn(t *testing.T) []string {
	t.Helper()
	prefix := "pgidem:{}:test_" + strings.ToLower(rand.Text()) + ":"
	client := redis.NewClient(&redis.Options{Addr: redistest.Addr(t)})
	t.Cleanup(func() { _ = client.Close() })
	t.Cleanup(func() { // before the client is closed, when the test's context has ended
		ctx := context.Background()
		for _, key := range keysOf(ctx, t, client, prefix) {
			client.Del(ctx, key)
		}
	})
	return []string{"REDIS_URL=redis://" + redistest.Addr(t), "REDIS_PREFIX=" + prefix}
}

func keysOf(ctx context.Context, t *testing.T, client *redis.Client, prefix string) (keys []string) {
	t.Helper()
	found := client.Scan(ctx, 0, prefix+"*", 1000).Iterator()
	for found.Next(ctx) {
		keys = append(keys, found.Val())
	}
	if err := found.Err(); err != nil {
		t.Error(err)
	}
	return keys
}

// What a lease does not promise: the payment was committed, its record was not.
func TestUnderALeaseARetryAfterAKillPaysAgainWhenTheLeaseEnds(t *testing.T) {
	t.Parallel()
	for _, store := range []string{storeLeased, storeRedis} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			const lease = time.Second
			processes, ledger := startTwo(t, store, "LEASE="+lease.String())
			first := make(chan reply, 1)
			go func() { first <- processes[0].pay("k", "2000") }()
			eventually(t, "the payment is made", func() bool { return ledger.number(`SELECT count(*) FROM payments`) == 1 })
			processes[0].kill()
			if r := <-first; r.err == nil {
				t.Errorf("the client of the killed process was answered %+v", r)
			}
			retry := processes[1].pay("k", "2000")
			if retry.status != http.StatusCreated || retry.replayed {
				t.Errorf("retry: %+v", retry)
			}
			if again := processes[1].pay("k", "2000"); again.body != retry.body || !again.replayed {
				t.Errorf("second retry: %+v", again)
			}
			if n := ledger.number(`SELECT count(*) FROM payments`); n != 2 {
				t.Errorf("%d payments", n)
			}
			const apart = `SELECT extract(epoch FROM max(created_at) - min(created_at)) * 1000 FROM payments`
			// At least two thirds of the lease were left when the payment was made.
			if ms := ledger.number(`SELECT floor((` + apart + `))::bigint`); ms < lease.Milliseconds()/2 {
				t.Errorf("the second payment came %d ms after the first, which had a lease of %v", ms, lease)
			}
		})
	}
}

func TestOwnRecordsInRedisAreGoneAfterwards(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: redistest.Addr(t)})
	t.Cleanup(func() { _ = client.Close() })
	p := start(t, "DATABASE_URL="+pgtest.EmptyURL(t), "STORE=redis", "REDIS_URL=",
		redisserver.AddrVariable+"="+redistest.Addr(t))
	if r := p.pay("k", "0"); r.status != http.StatusCreated {
		t.Errorf("%+v", r)
	}
	prefix := p.logged(`prefix=(\S+)`)[1]
	if keys := keysOf(t.Context(), t, client, prefix); len(keys) != 1 {
		t.Errorf("while it runs: keys %q", keys)
	}
	p.terminate()
	if code := p.wait(); code != 0 {
		t.Errorf("exit status %d\n%s", code, p.stderr)
	}
	if keys := keysOf(t.Context(), t, client, prefix); len(keys) != 0 {
		t.Errorf("left behind: keys %q", keys)
	}
}

func TestOwnRedisIsStartedAndStopped(t *testing.T) {
	t.Parallel()
	p := start(t, "DATABASE_URL="+pgtest.EmptyURL(t), "STORE=redis", "REDIS_URL=", redisserver.AddrVariable+"=")
	first, again := p.pay("k", "0"), p.pay("k", "0")
	if first.status != http.StatusCreated || !again.replayed || first.body != again.body {
		t.Errorf("%+v, then %+v", first, again)
	}
	p.terminate()
	if code := p.wait(); code != 0 {
		t.Errorf("exit status %d\n%s", code, p.stderr)
	}
}
