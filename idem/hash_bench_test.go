package idem

import (
	"crypto/sha256"
	"net/http/httptest"
	"testing"
)

// BenchmarkRequestHash compares the default request hash of a large body with
// what hashing alone costs.
func BenchmarkRequestHash(b *testing.B) {
	body := make([]byte, 1<<20)
	r := httptest.NewRequest("POST", "/payments", nil)
	b.Run("SHA256", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			sha256.Sum256(body)
		}
	})
	b.Run("Request", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			hashRequest(r, "", body)
		}
	})
}
