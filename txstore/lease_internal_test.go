package txstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/pgserver/pgtest"
)

// A lease that was reserved without an attempt is remembered for a second
// Commit, and not for ever.
func TestCommittedLeasesWithoutAnAttemptAreForgotten(t *testing.T) {
	t.Parallel()
	s, err := New(pgtest.Pool(t), Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for i := range 20 {
		key := fmt.Sprint("k", i)
		if _, fresh, err := s.Reserve(t.Context(), key, "h", time.Millisecond); !fresh || err != nil {
			t.Fatalf("fresh %t, %v", fresh, err)
		}
		if err := s.Commit(t.Context(), key, "h", idem.Cached{Status: 200}); err != nil {
			t.Fatal(err)
		}
	}
	known := func() int {
		s.leased.mu.Lock()
		defer s.leased.mu.Unlock()
		return len(s.leased.plain)
	}
	for until := time.Now().Add(20 * time.Second); known() > 0; <-time.After(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d leases whose records have expired are still known", known())
		}
	}
}
