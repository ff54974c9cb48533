package sealed_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/sealed"
)

// keys are the encryption keys of all tests, by their id.
var keys = map[string][]byte{"a": newKey(), "b": newKey()}

// ring returns a Cipher that seals with current and knows the keys of ids.
func ring(tb testing.TB, current string, ids ...string) *sealed.AESGCM {
	tb.Helper()
	known := make(map[string][]byte)
	for _, id := range ids {
		known[id] = keys[id]
	}
	c, err := sealed.NewAESGCM(current, known)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func seal(tb testing.TB, inner idem.Store, config sealed.Config) *sealed.Store {
	tb.Helper()
	s, err := sealed.New(inner, config)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// shelf is an inner store that a test can reach into, as somebody can who may
// write to the table.
type shelf struct {
	mu       sync.Mutex
	records  map[string]idem.Cached
	released []string
}

func (s *shelf) Reserve(_ context.Context, key, _ string, _ time.Duration) (*idem.Cached, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.records[key]; ok {
		r = r.Clone()
		return &r, false, nil
	}
	return nil, true, nil
}

func (s *shelf) Commit(_ context.Context, key, hash string, response idem.Cached) error {
	response = response.Clone()
	response.RequestHash = hash
	s.put(key, response)
	return nil
}

func (s *shelf) Release(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released = append(s.released, key)
	return nil
}

func (s *shelf) get(key string) idem.Cached {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records[key].Clone()
}

func (s *shelf) put(key string, r idem.Cached) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records == nil {
		s.records = make(map[string]idem.Cached)
	}
	s.records[key] = r
}

// record commits response under key with request hash "h".
func record(tb testing.TB, s idem.Store, key string, response idem.Cached) {
	tb.Helper()
	if _, fresh, err := s.Reserve(tb.Context(), key, "h", time.Hour); !fresh || err != nil {
		tb.Fatalf("Reserve: fresh %t, error %v; want it fresh", fresh, err)
	}
	if err := s.Commit(tb.Context(), key, "h", response); err != nil {
		tb.Fatal(err)
	}
}

// mustReplay demands that key has the response with that body.
func mustReplay(tb testing.TB, s idem.Store, key, body string) *idem.Cached {
	tb.Helper()
	existing, fresh, err := s.Reserve(tb.Context(), key, "h", time.Hour)
	if err != nil || fresh || existing == nil {
		tb.Fatalf("Reserve = %v, %t, %v; want the record", existing, fresh, err)
	}
	if string(existing.Body) != body || existing.RequestHash != "h" {
		tb.Fatalf("Reserve: body %q, hash %q; want %q, %q", existing.Body, existing.RequestHash, body, "h")
	}
	return existing
}

// mustBeUnreadable demands an error with these causes, and neither a record nor a
// reservation.
func mustBeUnreadable(tb testing.TB, what string, s idem.Store, key string, causes ...error) {
	tb.Helper()
	existing, fresh, err := s.Reserve(tb.Context(), key, "h", time.Hour)
	for _, cause := range append(causes, idem.ErrRecordUnreadable) {
		if existing != nil || fresh || !errors.Is(err, cause) {
			tb.Errorf("%s: Reserve = %v, %t, %v; want an error that is %v", what, existing, fresh, err, cause)
		}
	}
}
