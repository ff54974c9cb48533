package redisstore_test

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/idem/idemtest"
	"github.com/pgidem/pgidem/internal/redisserver"
	"github.com/pgidem/pgidem/internal/redisserver/redistest"
	"github.com/pgidem/pgidem/redisstore"
)

const (
	// kitLease is the lease of the kit's stores.
	kitLease = 30 * time.Second
	// shortLease is that of the cases that watch renewals: longer than a busy
	// machine keeps one waiting.
	shortLease = time.Second
)

// kitWorlds remembers where each of the kit's stores has its records.
type kitWorlds struct {
	connect func() redis.UniversalClient
	wrap    func(idem.Store) idem.Store // nil: the kit gets the Store itself

	mu      sync.Mutex
	byStore map[idem.Store]kitWorld
}

type kitWorld struct {
	client redis.UniversalClient
	prefix string
	store  *redisstore.Store
}

func (ws *kitWorlds) of(store idem.Store) kitWorld {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.byStore[store]
}

// open returns a Store of the records under prefix, with a client of its own.
func (ws *kitWorlds) open(tb idemtest.TB, prefix string, lease time.Duration) idem.Store {
	tb.Helper()
	w := kitWorld{client: ws.connect(), prefix: prefix}
	tb.Cleanup(func() { _ = w.client.Close() }) // Break may have closed it
	store, err := redisstore.New(w.client, redisstore.Config{Prefix: prefix, CloseTimeout: time.Second, Lease: lease})
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	tb.Cleanup(store.Close)
	w.store = store
	opened := idem.Store(store)
	if ws.wrap != nil {
		opened = ws.wrap(store)
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.byStore[opened] = w
	return opened
}

// newPrefix returns a prefix that nobody else uses. What is under it is removed
// after the case.
func (ws *kitWorlds) newPrefix(tb idemtest.TB) string {
	tb.Helper()
	prefix := "kit:" + rand.Text() + ":{}:"
	tb.Cleanup(func() {
		client := ws.connect()
		defer func() { _ = client.Close() }()
		keys, _ := redisstore.Keys(context.Background(), client, prefix)
		for _, key := range keys {
			client.Del(context.Background(), key)
		}
	})
	return prefix
}

func (ws *kitWorlds) harness() idemtest.Harness {
	return idemtest.Harness{
		NewStore: func(tb idemtest.TB) idem.Store { return ws.open(tb, ws.newPrefix(tb), kitLease) },
		Peer: func(tb idemtest.TB, store idem.Store) idem.Store {
			return ws.open(tb, ws.of(store).prefix, kitLease)
		},
		Age: func(tb idemtest.TB, store idem.Store, d time.Duration) {
			w := ws.of(store)
			if err := redisstore.Age(context.Background(), w.client, w.prefix, d); err != nil {
				tb.Fatalf("age: %v", err)
			}
		},
		Corrupt: func(tb idemtest.TB, store idem.Store, key string) {
			w := ws.of(store)
			// Cuts the response off and leaves the head.
			record := w.client.GetRange(context.Background(), w.prefix+key, 0, 60).Val()
			if err := w.client.Set(context.Background(), w.prefix+key, record, time.Hour).Err(); err != nil {
				tb.Fatalf("corrupt: %v", err)
			}
		},
		Close: func(_ idemtest.TB, store idem.Store) { ws.of(store).store.Close() },
		Break: func(_ idemtest.TB, store idem.Store) { _ = ws.of(store).client.Close() },
		Leases: &idemtest.Leases{
			Duration: kitLease,
			Short:    shortLease,
			NewShort: func(tb idemtest.TB) idem.Store { return ws.open(tb, ws.newPrefix(tb), shortLease) },
		},
		InFlightHash: true,
		Tombstones:   &idemtest.Tombstones{},
		Name:         "redisstore",
	}
}

// runKit runs the kit on stores whose clients connect makes.
func runKit(t *testing.T, connect func() redis.UniversalClient) {
	t.Helper()
	ws := &kitWorlds{connect: connect, byStore: make(map[idem.Store]kitWorld)}
	idemtest.Run(t, ws.harness())
}

// Behaviours 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 59, 60.
func TestConformanceStandalone(t *testing.T) {
	t.Parallel()
	addr := redistest.Addr(t)
	runKit(t, func() redis.UniversalClient { return redis.NewClient(&redis.Options{Addr: addr}) })
}

// Behaviours 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 59, 60.
func TestConformanceCluster(t *testing.T) {
	t.Parallel()
	addrs := redistest.ClusterAddrs(t)
	runKit(t, func() redis.UniversalClient {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	})
}

// Behaviours 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 59, 60.
func TestConformanceFailover(t *testing.T) {
	t.Parallel()
	addr := redistest.SentinelAddr(t)
	runKit(t, func() redis.UniversalClient {
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName:    redisserver.MasterName,
			SentinelAddrs: []string{addr},
		})
	})
}
