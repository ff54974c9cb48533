package memory_test

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

// remembering is a context whose record is remembered for a day after its end.
func remembering(ctx context.Context) context.Context {
	ctx, _ = idem.WithAttempt(ctx, idem.AttemptConfig{RememberExpired: 24 * time.Hour})
	return ctx
}

func mustRecord(ctx context.Context, t *testing.T, s *memory.Store, key string, body []byte) {
	t.Helper()
	if _, fresh, err := s.Reserve(ctx, key, "h", time.Hour); !fresh {
		t.Fatalf("Reserve(%q) = %v", key, err)
	}
	if err := s.Commit(ctx, key, "h", idem.Cached{Status: 200, Body: body}); err != nil {
		t.Fatalf("Commit(%q) = %v", key, err)
	}
}

// What is remembered of a record is small, is dropped in its turn, and leaves
// the count as it was, whether its key is asked for or not.
func TestTombstoneIsSmallAndGoesAway(t *testing.T) {
	t.Parallel()
	c := new(clock)
	s := memory.New(memory.Config{Now: c.now})
	const keys = 300 // more than one in each shard
	for i := range keys {
		mustRecord(remembering(t.Context()), t, s, strconv.Itoa(i), bytes.Repeat([]byte("x"), 10_000))
	}
	c.move(time.Hour)
	for i := range keys / 2 {
		if _, _, err := s.Reserve(t.Context(), strconv.Itoa(i), "h", time.Hour); !errors.Is(err, idem.ErrKeyExpired) {
			t.Fatalf("Reserve = %v, want ErrKeyExpired", err)
		}
	}
	for i := range 10 * keys {
		touch(t, s, "other"+strconv.Itoa(i))
	}
	records, used := s.Usage()
	if held, expiring := s.Held(); held != keys || expiring != keys || records != keys || used > keys*1000 {
		t.Errorf("%d held, %d expiring, %d counted, %d bytes", held, expiring, records, used)
	}
	c.move(24 * time.Hour)
	for i := range 10 * keys {
		touch(t, s, "other"+strconv.Itoa(i))
	}
	records, used = s.Usage()
	if held, expiring := s.Held(); held != 0 || expiring != 0 || records != 0 || used != 0 {
		t.Errorf("%d held, %d expiring, %d counted, %d bytes", held, expiring, records, used)
	}
}

// touch reserves a key and gives it back, so that its shard looks for what has
// expired.
func touch(t *testing.T, s *memory.Store, key string) {
	t.Helper()
	if _, _, err := s.Reserve(t.Context(), key, "h", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := s.Release(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

// A full store drops responses for what remains of them, but forgets no key.
func TestFullStoreForgetsNoKey(t *testing.T) {
	t.Parallel()
	c := new(clock)
	s := memory.New(memory.Config{Now: c.now, MaxRecords: 2})
	mustRecord(remembering(t.Context()), t, s, "remembered", nil)
	mustRecord(t.Context(), t, s, "not remembered", nil)
	c.move(time.Hour)
	mustRecord(t.Context(), t, s, "new", nil)
	if _, _, err := s.Reserve(t.Context(), "one too many", "h", time.Hour); !errors.Is(err, idem.ErrStoreUnavailable) {
		t.Errorf("Reserve in a full store: %v", err)
	}
	if _, _, err := s.Reserve(t.Context(), "remembered", "h", time.Hour); !errors.Is(err, idem.ErrKeyExpired) {
		t.Errorf("Reserve = %v, want ErrKeyExpired", err)
	}
}

// A replay reads its response while the record becomes a tombstone.
func TestReplayRacesWithItsExpiry(t *testing.T) {
	t.Parallel()
	c := new(clock)
	s := memory.New(memory.Config{Now: c.now})
	for i := range 200 {
		key := strconv.Itoa(i)
		mustRecord(remembering(t.Context()), t, s, key, []byte("body"))
		done := make(chan bool)
		go func() {
			defer close(done)
			for {
				existing, fresh, err := s.Reserve(t.Context(), key, "h", time.Hour)
				if errors.Is(err, idem.ErrKeyExpired) {
					return
				}
				if fresh || err != nil || string(existing.Body) != "body" {
					t.Errorf("Reserve = %v, %t, %v", existing, fresh, err)
					return
				}
			}
		}()
		c.move(time.Hour)
		<-done
	}
}

// Of an expired record nobody knows any more who has committed it.
func TestCommitOnATombstoneIsWithoutAReservation(t *testing.T) {
	t.Parallel()
	now := time.Now()
	store := memory.New(memory.Config{Now: func() time.Time { return now }})
	ctx, _ := idem.WithAttempt(t.Context(), idem.AttemptConfig{RememberExpired: time.Hour})
	if _, fresh, err := store.Reserve(ctx, "k", "h", time.Second); !fresh {
		t.Fatal(err)
	}
	if err := store.Commit(ctx, "k", "h", idem.Cached{}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	if err := store.Commit(ctx, "k", "h", idem.Cached{}); !errors.Is(err, idem.ErrNotReserved) {
		t.Errorf("Commit: %v, want ErrNotReserved", err)
	}
}
