package memory_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

const ttl = time.Hour

func answer(body string) idem.Cached {
	return idem.Cached{Status: http.StatusCreated, Body: []byte(body)}
}

// tryReserve gives up in time to tell what went wrong.
func tryReserve(t testing.TB, s *memory.Store, key string) (*idem.Cached, bool, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return s.Reserve(ctx, key, "hash", ttl)
}

// reserve demands that key is fresh.
func reserve(t testing.TB, s *memory.Store, key string) {
	t.Helper()
	if existing, fresh, err := tryReserve(t, s, key); !fresh || err != nil {
		t.Fatalf("Reserve(%q) = (%v, %t, %v), want it fresh", key, existing, fresh, err)
	}
}

func commit(t testing.TB, s *memory.Store, key string, response idem.Cached) {
	t.Helper()
	if err := s.Commit(t.Context(), key, "hash", response); err != nil {
		t.Fatalf("Commit(%q): %v", key, err)
	}
}

func release(t testing.TB, s *memory.Store, key string) {
	t.Helper()
	if err := s.Release(t.Context(), key); err != nil {
		t.Fatalf("Release(%q): %v", key, err)
	}
}

func mustReplay(t testing.TB, s *memory.Store, key string) {
	t.Helper()
	if existing, _, err := tryReserve(t, s, key); existing == nil || err != nil {
		t.Fatalf("Reserve(%q) = (%v, %v), want the recorded response", key, existing, err)
	}
}

// mustBeFull demands that a new key is refused, and that the error names limit.
func mustBeFull(t testing.TB, s *memory.Store, limit string) {
	t.Helper()
	_, fresh, err := tryReserve(t, s, "one too many")
	if fresh || !errors.Is(err, idem.ErrStoreUnavailable) || !strings.Contains(err.Error(), limit) {
		t.Fatalf("Reserve in a full store = (%t, %v), want an ErrStoreUnavailable that names %s", fresh, err, limit)
	}
}

func TestFullOfRecordsRefusesNewKeysAndEvictsNothing(t *testing.T) {
	t.Parallel()
	c := new(clock)
	s := memory.New(memory.Config{MaxRecords: 3, Now: c.now})
	reserve(t, s, "completed")
	commit(t, s, "completed", answer("kept"))
	reserve(t, s, "in flight 1")
	reserve(t, s, "in flight 2")

	mustBeFull(t, s, "MaxRecords (3)")
	mustReplay(t, s, "completed")
	commit(t, s, "in flight 1", answer("kept too"))
	mustReplay(t, s, "in flight 1")
	mustBeFull(t, s, "MaxRecords (3)")

	release(t, s, "in flight 2")
	reserve(t, s, "takes the released place")
}

// TestFullStoreDropsWhatHasExpired wherever it is: each key's shard is most
// likely not that of the one before.
func TestFullStoreDropsWhatHasExpired(t *testing.T) {
	t.Parallel()
	c := new(clock)
	s := memory.New(memory.Config{MaxRecords: 1, Now: c.now})
	for i := range 50 {
		key := fmt.Sprint(i)
		reserve(t, s, key)
		commit(t, s, key, answer("old"))
		mustBeFull(t, s, "MaxRecords (1)")
		c.move(ttl)
	}
	reserve(t, s, "new")
	if records, expiring := s.Held(); records != 1 || expiring != 0 {
		t.Errorf("%d records held, %d expiring, want only the new one", records, expiring)
	}
}

func TestFullOfBytesRefusesNewKeysButKeepsWhatWasLetIn(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Config{MaxBytes: 64 << 10})
	reserve(t, s, "large")
	reserve(t, s, "larger")
	commit(t, s, "large", answer(strings.Repeat("x", 64<<10)))
	mustBeFull(t, s, "MaxBytes (65536)")
	// Its handler has run: to refuse its Commit would run it again.
	commit(t, s, "larger", answer(strings.Repeat("x", 128<<10)))
	mustReplay(t, s, "large")
	mustReplay(t, s, "larger")
}

func TestNegativeLimitsAreNone(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Config{MaxRecords: -1, MaxBytes: -1})
	for i := range 100 {
		reserve(t, s, fmt.Sprint(i))
	}
}

// TestLimitHoldsUnderConcurrency: no more than MaxRecords are ever fresh.
func TestLimitHoldsUnderConcurrency(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Config{MaxRecords: 50})
	var fresh atomic.Int32
	var callers sync.WaitGroup
	for i := range 200 {
		callers.Go(func() {
			if _, ok, _ := s.Reserve(t.Context(), fmt.Sprint(i), "hash", ttl); ok {
				fresh.Add(1)
			}
		})
	}
	callers.Wait()
	// A caller that is refused may for an instant take a place from another,
	// but never gives one away twice.
	if n := fresh.Load(); n > 50 || n < 25 {
		t.Errorf("%d fresh reservations with MaxRecords 50", n)
	}
	if records, _ := s.Usage(); records != int64(fresh.Load()) {
		t.Errorf("usage counts %d records, %d are there", records, fresh.Load())
	}
}

// TestExpiredRecordsGoWithoutBeingLookedUp: other keys' calls drop them.
func TestExpiredRecordsGoWithoutBeingLookedUp(t *testing.T) {
	t.Parallel()
	c := new(clock)
	s := memory.New(memory.Config{Now: c.now})
	for round := range 50 {
		for i := range 200 {
			key := fmt.Sprint(round, " ", i)
			reserve(t, s, key)
			commit(t, s, key, answer("old"))
		}
		c.move(ttl)
	}
	// 10 000 records were made; those of the last round or two remain.
	if records, expiring := s.Held(); records > 600 || expiring != records {
		t.Errorf("%d records held, %d of them expiring, want a few hundred", records, expiring)
	}
}

// TestUsageReturnsToNothing: whatever way a record ends, it is counted out.
func TestUsageReturnsToNothing(t *testing.T) {
	t.Parallel()
	c := new(clock)
	s := memory.New(memory.Config{Now: c.now})
	for i := range 300 {
		key := fmt.Sprint(i)
		reserve(t, s, key)
		if i%3 == 0 {
			release(t, s, key)
			continue
		}
		commit(t, s, key, idem.Cached{Header: http.Header{"A": {"b", "c"}}, Body: []byte("body")})
	}
	c.move(ttl)
	for i := range 300 {
		reserve(t, s, fmt.Sprint(i))
		release(t, s, fmt.Sprint(i))
	}
	if records, bytes := s.Usage(); records != 0 || bytes != 0 {
		t.Errorf("usage is %d records and %d bytes when nothing is left", records, bytes)
	}
}

// TestEstimateIsNearTheHeap: MaxBytes would mean nothing otherwise. It runs
// alone, since it measures the whole process.
func TestEstimateIsNearTheHeap(t *testing.T) {
	s := memory.New(memory.Config{})
	response := idem.Cached{
		Status: http.StatusCreated,
		Header: http.Header{"Content-Type": {"application/json"}, "Location": {"/payments/1"}},
		Body:   []byte(strings.Repeat("x", 200)),
	}
	before := heap()
	const records = 50_000
	for i := range records {
		key := fmt.Sprintf("tenant-%08d\x1fkey-%08d", i, i)
		reserve(t, s, key)
		commit(t, s, key, response)
	}
	grown := heap() - before
	_, estimate := s.Usage()
	t.Logf("heap grew by %d bytes a record, the estimate is %d", grown/records, estimate/records)
	if ratio := float64(estimate) / float64(grown); ratio < 0.8 || ratio > 1.6 {
		t.Errorf("estimate %d is %.2f of the heap's growth %d", estimate, ratio, grown)
	}
	runtime.KeepAlive(s)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestReserveRefusesATTLThatIsNotPositive(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Config{})
	for i, d := range []time.Duration{0, -1} {
		key := fmt.Sprint(i)
		if _, fresh, err := s.Reserve(t.Context(), key, "hash", d); fresh || err == nil {
			t.Errorf("Reserve with ttl %v = (%t, %v), want an error", d, fresh, err)
		}
		reserve(t, s, key)
	}
}
