package idem

import (
	"net/http"
	"testing"
)

// What is usual must be nothing that a closer look would refuse.
func TestUsualHeadersAreStorable(t *testing.T) {
	t.Parallel()
	found := 0
	for _, name := range []string{
		"Cache-Control", "Content-Type", "Etag", "Location",
		"Content-Length", "Date", "Set-Cookie", "Trailer", "X-Request-Id", "content-type", "",
	} {
		if !usual(name) {
			continue
		}
		found++
		if http.CanonicalHeaderKey(name) != name || !storable(name) {
			t.Errorf("%q is usual, and cannot be stored as it is", name)
		}
	}
	if found != 4 {
		t.Errorf("%d of the names are usual, want 4", found)
	}
}
