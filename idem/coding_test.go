package idem_test

import (
	"compress/gzip"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// The length of what an outer writer makes of the body is not known here.
func TestCompressionFurtherOut(t *testing.T) {
	t.Parallel()
	inner := idem.RESTMiddleware(idem.Config{Store: newMemory(t)})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"id":1}`) //nolint:errcheck // recorded
	}))
	srv := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		defer zip.Close()
		inner.ServeHTTP(zipped{w, zip}, r)
	}))
	for range 2 {
		if a, err := trySend(t.Context(), t, srv, request{key: "k"}); err != nil || a.body != `{"id":1}` {
			t.Errorf("%d %q, %v", a.status, a.body, err)
		}
	}
}

type zipped struct {
	http.ResponseWriter
	zip *gzip.Writer
}

func (w zipped) Write(p []byte) (int, error) { return w.zip.Write(p) }

// Over HTTP/2 net/http finds a Content-Type whatever the handler has said of a
// Transfer-Encoding, and over HTTP/1.1 where it has said that there is none.
func TestTransferEncodingDoesNotCostTheContentType(t *testing.T) {
	t.Parallel()
	for _, two := range []bool{false, true} {
		for name, coding := range map[string][]string{"nil": nil, "identity": {"identity"}, "chunked": {"chunked"}} {
			srv := httptest.NewUnstartedServer(idem.RESTMiddleware(idem.Config{Store: newMemory(t)})(
				http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header()["Transfer-Encoding"] = coding
					io.WriteString(w, "text") //nolint:errcheck // recorded
				})))
			srv.EnableHTTP2, srv.TLS = two, new(tls.Config)
			srv.StartTLS()
			t.Cleanup(srv.Close)
			first, again := send(t, srv, request{key: "k"}), send(t, srv, request{key: "k"})
			if a, b := first.header.Get("Content-Type"), again.header.Get("Content-Type"); a != b {
				t.Errorf("HTTP/2 %t, %s: Content-Type %q, replayed as %q", two, name, a, b)
			}
		}
	}
}

// Two spellings of one name keep the order in which they reach the first client.
func TestSpellingsOfAHeaderNameKeepTheirOrder(t *testing.T) {
	t.Parallel()
	for range 30 {
		srv := serve(t, idem.Config{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["content-type"] = []string{"application/json"} // and one is found for it
			io.WriteString(w, "{}")                                   //nolint:errcheck // recorded
		})
		first, again := send(t, srv, request{key: "k"}), send(t, srv, request{key: "k"})
		if a, b := first.header["Content-Type"], again.header["Content-Type"]; !slices.Equal(a, b) {
			t.Fatalf("Content-Type %q, replayed as %q", a, b)
		}
	}
}
