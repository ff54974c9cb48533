package sealed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

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

// Behaviour 13. Each bit of what is kept counts.
func TestChangedRecordIsUnreadable(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]sealed.Config{
		"strict": {}, "AcceptPlain": {AcceptPlain: true}, "HashSecret": {HashSecret: newKey()},
	} {
		config.Cipher = ring(t, "a", "a", "b")
		inner := &shelf{}
		s := seal(t, inner, config)
		record(t, s, "k", paid)
		good := inner.get("k")
		tampered := func(what string, change func(*idem.Cached)) {
			bad := good.Clone()
			change(&bad)
			inner.put("k", bad)
			mustBeUnreadable(t, name+": "+what, s, "k")
		}
		for i := range good.Body {
			tampered(fmt.Sprintf("byte %d", i), func(r *idem.Cached) { r.Body[i] ^= 1 << (i % 8) })
			tampered(fmt.Sprintf("cut to %d bytes", i), func(r *idem.Cached) { r.Body = r.Body[:i] })
		}
		tampered("a byte more", func(r *idem.Cached) { r.Body = append(r.Body, 0) })
		tampered("another status", func(r *idem.Cached) { r.Status = 200 })
		tampered("another request hash", func(r *idem.Cached) { r.RequestHash = "H" })
		for _, seal := range [][]string{{"1", "b"}, {"1", "c"}, {"2", "a"}, {"1"}, {}, {"1", "a", "a"}} {
			tampered(fmt.Sprint("seal ", seal), func(r *idem.Cached) { r.Header["Pgidem-Sealed"] = seal })
		}
		tampered("a header beside the seal", func(r *idem.Cached) { r.Header.Set("Location", "/elsewhere") })
		inner.put("k", good)
		mustReplay(t, s, "k", string(paid.Body)) // the test itself can succeed
	}
}

// Behaviour 33. A record opens in its own place alone.
func TestRecordInAnothersPlaceIsUnreadable(t *testing.T) {
	t.Parallel()
	inner := &shelf{}
	s := seal(t, inner, sealed.Config{Cipher: ring(t, "a", "a")})
	places := []string{"acme\x1fk", "evil\x1fk", "acme\x1fk2", "acmek", "acme", "k"}
	for _, place := range places {
		record(t, s, place, idem.Cached{Status: 200, Body: []byte("of " + place)})
	}
	for _, from := range places {
		moved := inner.get(from)
		for _, to := range places {
			own := inner.get(to)
			if inner.put(to, moved); from == to {
				mustReplay(t, s, to, "of "+from)
			} else {
				mustBeUnreadable(t, fmt.Sprintf("%q in the place of %q", from, to), s, to)
			}
			inner.put(to, own)
		}
	}
	// The fields of a place do not run into each other.
	hashes := seal(t, inner, sealed.Config{Cipher: ring(t, "a", "a")})
	if err := hashes.Commit(t.Context(), "key", "hash", paid); err != nil {
		t.Fatal(err)
	}
	r := inner.get("key")
	r.RequestHash = "ash"
	inner.put("keyh", r)
	mustBeUnreadable(t, "a letter moved from hash to key", hashes, "keyh")
}

// What was recorded before encryption was switched on is a matter of choice.
func TestPlainRecord(t *testing.T) {
	t.Parallel()
	inner := &shelf{}
	record(t, inner, "k", paid)
	cipher := ring(t, "a", "a")
	mustBeUnreadable(t, "a plain record", seal(t, inner, sealed.Config{Cipher: cipher}), "k")
	for _, config := range []sealed.Config{
		{Cipher: cipher, AcceptPlain: true}, {Cipher: cipher, AcceptPlain: true, HashSecret: newKey()},
	} {
		s := seal(t, inner, config)
		mustReplay(t, s, "k", string(paid.Body))
		key := fmt.Sprint("new, with a secret of ", len(config.HashSecret))
		record(t, s, key, paid)
		if bytes.Contains(inner.get(key).Body, []byte("4111")) {
			t.Error("a new record is plain as well")
		}
		mustReplay(t, s, key, string(paid.Body))
	}
}

// Switched on and off again in steps, each of which is rolled out while the one
// before still runs somewhere: no record is ever out of reach of either.
func TestSwitchingOnAndOff(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string][]byte{"": nil, "HashSecret": newKey()} {
		inner := &shelf{}
		with := func(config sealed.Config) idem.Store {
			config.Cipher, config.HashSecret = ring(t, "a", "a"), secret
			return seal(t, inner, config)
		}
		openOnly, accepting, strict := with(sealed.Config{OpenOnly: true}), with(sealed.Config{AcceptPlain: true}), with(sealed.Config{})
		steps := []idem.Store{inner, openOnly, accepting, strict, accepting, openOnly, inner}
		for i := range len(steps) - 1 {
			for _, writer := range steps[i : i+2] {
				key := fmt.Sprintf("%s %d %p", name, i, writer)
				record(t, writer, key, paid)
				for _, reader := range steps[i : i+2] {
					mustReplay(t, reader, key, string(paid.Body))
				}
				if plain := bytes.Equal(inner.get(key).Body, paid.Body); plain != (writer == idem.Store(inner) || writer == openOnly) {
					t.Errorf("step %d: written in clear is %t", i, plain)
				}
				if i == len(steps)/2-1 || i == len(steps)/2 {
					mustReplay(t, strict, key, string(paid.Body))
				}
			}
		}
	}
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

// brokenCipher is a key service that does not answer.
type brokenCipher struct{ err error }

func (c brokenCipher) Seal(context.Context, []byte, []byte) (string, []byte, error) {
	return "", nil, c.err
}

func (c brokenCipher) Open(context.Context, string, []byte, []byte) ([]byte, error) {
	return nil, c.err
}

// Behaviours 13, 40. Nothing is recorded, the transactional attempt is ended and
// the leased one is not; what cannot be opened runs no handler.
func TestCipherThatFails(t *testing.T) {
	t.Parallel()
	down := errors.New("the key service is down")
	for _, transactional := range []bool{false, true} {
		inner := &shelf{}
		s := seal(t, inner, sealed.Config{Cipher: brokenCipher{down}})
		ctx, attempt := idem.WithAttempt(t.Context(), idem.AttemptConfig{})
		if transactional {
			attempt.MarkTransactional()
		}
		err := s.Commit(ctx, "k", "h", paid)
		var refused *idem.CommitError
		if !errors.As(err, &refused) || !refused.Retryable || !errors.Is(err, down) {
			t.Errorf("Commit: %v, want a retryable CommitError", err)
		}
		if released := len(inner.released) == 1; released != transactional || len(inner.records) != 0 {
			t.Errorf("transactional %t: released %v, %d records", transactional, inner.released, len(inner.records))
		}
		record(t, seal(t, inner, sealed.Config{Cipher: ring(t, "a", "a")}), "k", paid)
		mustBeUnreadable(t, "the cipher fails", s, "k", down)
	}
}

// away is a key service that can be out of reach.
type away struct {
	sealed.Cipher
	is bool
}

func (a *away) Open(ctx context.Context, keyID string, ciphertext, additional []byte) ([]byte, error) {
	if a.is {
		return nil, fmt.Errorf("key service: %w", idem.ErrStoreUnavailable)
	}
	return a.Cipher.Open(ctx, keyID, ciphertext, additional)
}

// A retry helps when the key service is back: the record is not unreadable.
func TestKeyServiceIsAway(t *testing.T) {
	t.Parallel()
	cipher := &away{Cipher: ring(t, "a", "a")}
	s := seal(t, &shelf{}, sealed.Config{Cipher: cipher})
	record(t, s, "k", paid)
	cipher.is = true
	_, _, err := s.Reserve(t.Context(), "k", "h", time.Hour)
	if p := idem.ProblemFor(err); p.Status != http.StatusServiceUnavailable {
		t.Errorf("the client is told %d %s: %v", p.Status, p.Type, err)
	}
}

// A handler's own header of the marker's name is not taken for a seal.
func TestHandlerSetsTheMarker(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]sealed.Config{"Sealing": {}, "OpenOnly": {OpenOnly: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config.Cipher = ring(t, "a", "a")
			s := seal(t, &shelf{}, config)
			marked := paid
			marked.Header = http.Header{"Pgidem-Sealed": {"1"}, "Location": {"/a"}}
			record(t, s, "k", marked)
			existing, _, err := s.Reserve(t.Context(), "k", "h", time.Hour)
			if err != nil || existing.Header.Get("Location") != "/a" || !bytes.Equal(existing.Body, paid.Body) {
				t.Errorf("Reserve = %+v, %v", existing, err)
			}
		})
	}
}
