package memory_test

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

func benchmarkResponse() idem.Cached {
	return idem.Cached{
		Status: http.StatusCreated,
		Header: http.Header{"Content-Type": {"application/json"}, "Location": {"/payments/1"}},
		Body:   make([]byte, 200),
	}
}

func unlimited() *memory.Store {
	return memory.New(memory.Config{MaxRecords: -1, MaxBytes: -1})
}

// run is the whole protocol of a fresh request but for its handler.
func run(b *testing.B, s *memory.Store, key string, response idem.Cached, bind bool) {
	ctx := context.Background()
	if bind {
		ctx, _ = idem.WithAttempt(ctx, idem.AttemptConfig{})
	}
	if _, fresh, err := s.Reserve(ctx, key, "hash", ttl); !fresh || err != nil {
		b.Fatalf("Reserve = (%t, %v)", fresh, err)
	}
	if err := s.Commit(ctx, key, "hash", response); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkFresh(b *testing.B) {
	for name, bind := range map[string]bool{"Plain": false, "Attempt": true} {
		b.Run(name, func(b *testing.B) {
			s, response := unlimited(), benchmarkResponse()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				run(b, s, strconv.Itoa(i), response, bind)
			}
		})
		b.Run(name+"Parallel", func(b *testing.B) {
			s, response := unlimited(), benchmarkResponse()
			var next atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					run(b, s, strconv.FormatInt(next.Add(1), 10), response, bind)
				}
			})
		})
	}
}

// BenchmarkReserveRelease keeps the store empty, so it shows the verbs alone.
func BenchmarkReserveRelease(b *testing.B) {
	s, ctx := unlimited(), context.Background()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		key := strconv.Itoa(int(keyCount.Add(1)))
		for pb.Next() {
			if _, fresh, err := s.Reserve(ctx, key, "hash", ttl); !fresh || err != nil {
				b.Fatalf("Reserve = (%t, %v)", fresh, err)
			}
			_ = s.Release(ctx, key)
		}
	})
}

var keyCount atomic.Int64

func BenchmarkReplay(b *testing.B) {
	s := unlimited()
	run(b, s, "key", benchmarkResponse(), false)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if existing, _, err := s.Reserve(context.Background(), "key", "hash", ttl); existing == nil {
				b.Fatal(err)
			}
		}
	})
}
