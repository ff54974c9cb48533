package redisstore_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/idem/idemtest"
	"github.com/pgidem/pgidem/internal/redisserver/redistest"
	"github.com/pgidem/pgidem/sealed"
)

// Behaviours 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 59, 60.
func TestSealedConformance(t *testing.T) {
	t.Parallel()
	addr := redistest.Addr(t)
	cipher, err := sealed.NewAESGCM("kit", map[string][]byte{"kit": make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	ws := &kitWorlds{
		connect: func() redis.UniversalClient { return redis.NewClient(&redis.Options{Addr: addr}) },
		wrap: func(inner idem.Store) idem.Store {
			store, err := sealed.New(inner, sealed.Config{Cipher: cipher, HashSecret: make([]byte, 32)})
			if err != nil {
				t.Error(err)
			}
			return store
		},
		byStore: make(map[idem.Store]kitWorld),
	}
	h := ws.harness()
	h.Leases.NewShort = nil // renewal is the same as without
	idemtest.Run(t, h)
}
