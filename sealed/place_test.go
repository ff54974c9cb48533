package sealed_test

import (
	"fmt"
	"testing"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/sealed"
)

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
