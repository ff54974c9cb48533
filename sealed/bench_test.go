package sealed_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/sealed"
)

// What encryption adds to a Commit and to a replay of a body of a kilobyte.
func BenchmarkSealAndOpen(b *testing.B) {
	inner := &shelf{}
	stores := map[string]idem.Store{"Plain": inner, "Sealed": seal(b, inner, sealed.Config{Cipher: ring(b, "a", "a"), HashSecret: newKey()})}
	response := paid.Clone()
	response.Body = bytes.Repeat([]byte("x"), 1024)
	for name, store := range stores {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := store.Commit(b.Context(), name, "h", response); err != nil {
					b.Fatal(err)
				}
				if got, _, err := store.Reserve(b.Context(), name, "h", time.Hour); err != nil || got == nil {
					b.Fatal(got, err)
				}
			}
		})
	}
}
