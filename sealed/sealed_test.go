package sealed_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/sealed"
)

// paid is a response whose every part is recognized in any bytes.
var paid = idem.Cached{
	Status: 201,
	Header: http.Header{"Location": {"/payments/secret-location"}, "X-Many": {"", "two"}},
	Body:   []byte(`{"card":"4111111111111111"}`),
}

func TestWrongConfigIsRefused(t *testing.T) {
	t.Parallel()
	cipher := ring(t, "a", "a")
	for word, build := range map[string]func() error{
		"inner":         func() error { _, err := sealed.New(nil, sealed.Config{Cipher: cipher}); return err },
		"Config.Cipher": func() error { _, err := sealed.New(&shelf{}, sealed.Config{}); return err },
		"Config.HashSecret": func() error {
			_, err := sealed.New(&shelf{}, sealed.Config{Cipher: cipher, HashSecret: []byte("short")})
			return err
		},
		"among the 1 given": func() error { _, err := sealed.NewAESGCM("b", map[string][]byte{"a": newKey()}); return err },
		"size 31":           func() error { _, err := sealed.NewAESGCM("a", map[string][]byte{"a": newKey()[:31]}); return err },
	} {
		if err := build(); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v, want an error that says %q", err, word)
		}
	}
}

// Behaviour 4. What comes back is equal; what lies in the inner store shows
// status, request hash and the id of the encryption key, and nothing else.
func TestInnerStoreSeesNothingOfHeaderAndBody(t *testing.T) {
	t.Parallel()
	inner := &shelf{}
	s := seal(t, inner, sealed.Config{Cipher: ring(t, "a", "a")})
	record(t, s, "k", paid)
	got := mustReplay(t, s, "k", string(paid.Body))
	if got.Status != 201 || fmt.Sprint(got.Header) != fmt.Sprint(paid.Header) {
		t.Errorf("replayed %d %v, want %d %v", got.Status, got.Header, paid.Status, paid.Header)
	}
	kept := inner.get("k")
	for _, secret := range []string{"Location", "secret-location", "X-Many", "card", "4111"} {
		if strings.Contains(fmt.Sprintf("%s %s", kept.Header, kept.Body), secret) {
			t.Errorf("the inner store has %q in clear", secret)
		}
	}
	if kept.Status != 201 || kept.RequestHash != "h" || fmt.Sprint(kept.Header) != "map[Pgidem-Sealed:[1 a]]" {
		t.Errorf("the inner store has status %d, hash %q, header %v", kept.Status, kept.RequestHash, kept.Header)
	}
}

// The same response never looks the same.
func TestEqualResponsesDiffer(t *testing.T) {
	t.Parallel()
	inner := &shelf{}
	s := seal(t, inner, sealed.Config{Cipher: ring(t, "a", "a")})
	seen := make(map[string]bool)
	for i := range 1000 {
		key := fmt.Sprint(i)
		record(t, s, key, paid)
		seen[string(inner.get(key).Body[:12])] = true // the nonce
	}
	if len(seen) != 1000 {
		t.Errorf("1000 records have %d nonces", len(seen))
	}
}

// Rotation, step by step: no record is ever out of reach, until its encryption
// key is taken away.
func TestRotation(t *testing.T) {
	t.Parallel()
	inner := &shelf{}
	with := func(current string, ids ...string) idem.Store {
		return seal(t, inner, sealed.Config{Cipher: ring(t, current, ids...)})
	}
	before, added, switched, dropped := with("a", "a"), with("a", "a", "b"), with("b", "a", "b"), with("b", "b")
	record(t, before, "before", paid)
	record(t, added, "added", paid)
	record(t, switched, "switched", paid)
	for key, id := range map[string]string{"before": "a", "added": "a", "switched": "b"} {
		if got := inner.get(key).Header["Pgidem-Sealed"]; len(got) != 2 || got[1] != id {
			t.Errorf("%s: sealed as %v, want the id %q", key, got, id)
		}
		// Processes before and after each step run side by side.
		mustReplay(t, added, key, string(paid.Body))
		mustReplay(t, switched, key, string(paid.Body))
	}
	mustReplay(t, dropped, "switched", string(paid.Body))
	for _, key := range []string{"before", "added"} {
		mustBeUnreadable(t, "without its encryption key", dropped, key, sealed.ErrUnknownKey)
	}
	mustBeUnreadable(t, "on a process that does not have the new key yet", before, "switched")
}

// An id that was given to another key opens nothing.
func TestAnotherKeyOfTheSameIDOpensNothing(t *testing.T) {
	t.Parallel()
	inner := &shelf{}
	record(t, seal(t, inner, sealed.Config{Cipher: ring(t, "a", "a")}), "k", paid)
	other, err := sealed.NewAESGCM("a", map[string][]byte{"a": newKey()})
	if err != nil {
		t.Fatal(err)
	}
	mustBeUnreadable(t, "another key", seal(t, inner, sealed.Config{Cipher: other}), "k")
}

// The inner store cannot try bodies against what it sees, nor tell equal
// requests; and a completed record outlives a change of the secret.
func TestHashSecret(t *testing.T) {
	t.Parallel()
	inner := &shelf{}
	cipher := ring(t, "a", "a")
	s := seal(t, inner, sealed.Config{Cipher: cipher, HashSecret: newKey()})
	record(t, s, "k1", paid)
	record(t, s, "k2", paid)
	first, second := inner.get("k1").RequestHash, inner.get("k2").RequestHash
	if len(first) != 64 || first == second || strings.Contains(first+string(inner.get("k1").Body), "\x01h") {
		t.Errorf("equal requests are kept as %q and %q", first, second)
	}
	for _, secret := range [][]byte{newKey(), nil} {
		mustReplay(t, seal(t, inner, sealed.Config{Cipher: cipher, HashSecret: secret}), "k1", string(paid.Body))
	}
	secret := newKey()
	copied := seal(t, inner, sealed.Config{Cipher: cipher, HashSecret: secret})
	var hashes []string
	for range 2 {
		if err := copied.Commit(t.Context(), "k3", "h", paid); err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, inner.get("k3").RequestHash)
		secret[0]++
	}
	if hashes[0] != hashes[1] {
		t.Error("changing the slice that New was given changed the hash")
	}
}

// The documented growth of a record.
func TestSize(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string][]byte{"": nil, "HashSecret": newKey()} {
		inner := &shelf{}
		s := seal(t, inner, sealed.Config{Cipher: ring(t, "a", "a"), HashSecret: secret})
		hash := strings.Repeat("f", 64)
		if err := s.Commit(t.Context(), "k", hash, idem.Cached{Status: 200, Body: make([]byte, 1000)}); err != nil {
			t.Fatal(err)
		}
		const header, sealHeader = 1, 20 // encoded, of no field and of the seal
		growth := len(inner.get("k").Body) - 1000 - header + sealHeader
		want := 50
		if secret != nil {
			want += 64
		}
		if growth < want-2 || growth > want+2 {
			t.Errorf("%s: a record grows by %d bytes, documented are about %d", name, growth, want)
		}
	}
}
