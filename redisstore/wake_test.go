package redisstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/internal/redisserver/redistest"
	"github.com/pgidem/pgidem/redisstore"
)

// never is a poll interval that no test waits for.
const never = time.Hour

// deployments makes two processes with one set of records, which do not poll.
var deployments = map[string]func(*testing.T) (owner, waiter *world){
	"Standalone": func(t *testing.T) (owner, waiter *world) {
		w := newWorld(t, given{})
		return w, w.process(given{Config: redisstore.Config{PollInterval: never}})
	},
	"Cluster": func(t *testing.T) (owner, waiter *world) {
		connect := func() redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{Addrs: redistest.ClusterAddrs(t)})
		}
		w := newWorldOn(t, connect(), redisstore.Config{})
		return w, newWorldOn(t, connect(), redisstore.Config{Prefix: w.prefix, PollInterval: never})
	},
}

// A waiter in another process is told of every end; on a Cluster whatever slot the
// key is in, over no more than one connection a master.
func TestWaiterElsewhereIsTold(t *testing.T) {
	t.Parallel()
	for name, deploy := range deployments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			owner, waiter := deploy(t)
			best := time.Hour
			var holders []*attempt
			var waits []<-chan reserved
			for i := range 12 {
				key := fmt.Sprintf("k%d", i)
				holders = append(holders, owner.attempt(key).mustBeFresh())
				waits = append(waits, waiter.attempt(key).start())
				eventually(t, "the waiter has subscribed", func() bool { return waiter.store.Subscribed(key) })
			}
			if n := waiter.store.Sessions(); n > 3 || name == "Standalone" && n != 1 {
				t.Errorf("%d connections for notifications", n)
			}
			for i, a := range holders {
				ended := time.Now()
				if i%2 == 0 {
					a.mustCommit("paid")
				} else {
					a.mustRelease()
				}
				got := await(t, "the waiter", waits[i])
				best = min(best, time.Since(ended))
				if i%2 == 0 && got.body() != "paid" || i%2 == 1 && !got.fresh {
					t.Errorf("waiter %d got %s", i, got.body())
				}
			}
			if best > 50*time.Millisecond {
				t.Errorf("the fastest answer took %v", best)
			}
		})
	}
}

// Duplicates in one process share one wait, whoever runs the handler.
func TestDuplicatesShareOneWait(t *testing.T) {
	t.Parallel()
	p := newProxy(t, redistest.Addr(t))
	owner := newWorld(t, given{})
	waiter := newWorld(t, given{Addr: p.addr, Config: redisstore.Config{Prefix: owner.prefix, PollInterval: never}})
	a := owner.attempt("k").mustBeFresh()
	var waits []<-chan reserved
	trips := p.during(func() {
		for range 100 {
			waits = append(waits, waiter.attempt("k").start())
		}
		eventually(t, "the waiters have subscribed", func() bool { return waiter.store.Subscribed("k") })
		a.mustCommit("paid")
		for _, w := range waits {
			if got := await(t, "a waiter", w); got.body() != "paid" {
				t.Errorf("a waiter got %s", got.body())
			}
		}
	})
	// Connections and scripts included; 100 waiters alone would be 200.
	if trips > 60 {
		t.Errorf("100 duplicates took %d round trips", trips)
	}
}

// A cut connection for notifications is opened again, and all waiters look.
func TestCutNotificationsAreResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Addr: ownServer(t, redisserver.Options{}).Addr()})
	a := w.attempt("k").mustBeFresh()
	there := w.process(given{Config: redisstore.Config{PollInterval: never}})
	waiting := there.attempt("k").start()
	eventually(t, "the duplicate has subscribed", func() bool { return there.store.Subscribed("k") })
	if err := w.client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cut is reported", func() bool { return len(there.troubles()) > 0 })
	a.mustCommit("paid")
	if got := await(t, "the duplicate", waiting); got.body() != "paid" {
		t.Errorf("the duplicate got %s", got.body())
	}
}

// Who waits in the owner's process hears of its Commit also where that has another
// hash than the Reserve.
func TestCommitWithAnotherHashWakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{Config: redisstore.Config{PollInterval: time.Hour}})
	a := w.attempt("k").mustBeFresh()
	waiting := w.attempt("k").start()
	eventually(t, "a duplicate waits", func() bool { return w.store.Waiting("k") })
	if err := a.store.Commit(a.ctx, "k", "other", idem.Cached{Status: 201, Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	await(t, "the waiter", waiting)
}

// Many duplicates with another hash do not look one after the other.
func TestManyMismatchesAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	there, p := tapped(t, redis.Options{})
	there.attempt("warm").mustBeFresh().mustCommit("warm")
	there.process(given{Addr: redistest.Addr(t)}).attempt("k").mustBeFresh()
	const many = 1000
	n := p.during(func() {
		var all sync.WaitGroup
		for range many {
			all.Go(func() {
				ctx, _ := idem.WithAttempt(t.Context(), idem.AttemptConfig{})
				if _, _, err := there.store.Reserve(ctx, "k", "other", time.Hour); !errors.Is(err, idem.ErrHashMismatch) {
					t.Errorf("Reserve: %v, want ErrHashMismatch", err)
				}
			})
		}
		all.Wait()
	})
	if n > many/10 {
		t.Errorf("%d requests looked %d times", many, n)
	}
}
