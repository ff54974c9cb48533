package idem

import (
	"net/http"
	"net/http/httptest"
	"slices"
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

// A look at the names alone must miss no trailer, whatever else the handler does
// to its header after WriteHeader.
func TestTrailersAreFoundBehindStorableHeaders(t *testing.T) {
	t.Parallel()
	const trailer = http.TrailerPrefix + "X-Sum"
	for name, after := range map[string]func(http.Header){
		"Added":      func(h http.Header) { h[trailer] = []string{"1"} },
		"InThePlace": func(h http.Header) { delete(h, "Content-Type"); h[trailer] = []string{"1"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var rec recorder
			rec.begin(httptest.NewRecorder(), http.MethodPost)
			rec.Header().Set("Content-Type", "text/plain")
			rec.WriteHeader(http.StatusCreated)
			after(rec.Header())
			rec.finish(func(int, http.Header) Disposition { return CommitAll })
			if got := rec.trailers[trailer]; !slices.Equal(got, []string{"1"}) {
				t.Errorf("trailers %v", rec.trailers)
			}
		})
	}
}
