package sealed_test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/sealed"
)

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
