package idem_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

// sink is a writer that costs next to nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

// benchAnswer has 130 bytes.
var benchAnswer = []byte(`{"id":"pay_0123456789abcdef","object":"payment","amount":1250,"currency":"usd","status":"succeeded","created":1767225600,"live":true}`)[:130]

func benchHandler(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(http.StatusCreated)
	w.Write(benchAnswer) //nolint:errcheck // recorded
}

func freshKey(i int) string { return "key-" + strconv.Itoa(i) }

// benchClient sends requests that cost nothing to make.
type benchClient struct {
	r    *http.Request
	body benchBody
	w    sink
}

func newBenchClient() *benchClient {
	const body = `{"account":"acct_1","amount":1250,"currency":"usd"}`
	c := &benchClient{r: httptest.NewRequest(http.MethodPost, "/payments", nil), w: sink{make(http.Header)}}
	c.r.ContentLength = int64(len(body))
	c.r.Header["Idempotency-Key"] = []string{""}
	c.body.text = body
	c.r.Body = &c.body
	return c
}

func (c *benchClient) post(h http.Handler, key string) {
	c.body.Reset(c.body.text)
	c.r.Header["Idempotency-Key"][0] = key
	clear(c.w.header)
	h.ServeHTTP(&c.w, c.r)
}

func benchmark(b *testing.B, h http.Handler, keyOf func(i int) string) {
	b.Helper()
	c := newBenchClient()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.post(h, keyOf(i))
	}
}

type benchBody struct {
	strings.Reader
	text string
}

func (*benchBody) Close() error { return nil }

func newBenchmarked(b *testing.B, ttl time.Duration) http.Handler {
	store := memory.New(memory.Config{MaxRecords: -1, MaxBytes: -1})
	b.Cleanup(store.Close)
	return idem.RESTMiddleware(idem.Config{Store: store, DefaultTTL: ttl})(http.HandlerFunc(benchHandler))
}

// BenchmarkMiddleware compares a handler that does nothing but answer with the
// same behind the middleware and the store that costs least.
func BenchmarkMiddleware(b *testing.B) {
	b.Run("Bare", func(b *testing.B) {
		benchmark(b, http.HandlerFunc(benchHandler), freshKey)
	})
	b.Run("Fresh", func(b *testing.B) {
		// Records expire at once, so that what a store of millions costs the
		// garbage collector is not measured here.
		benchmark(b, newBenchmarked(b, time.Microsecond), freshKey)
	})
	b.Run("Replay", func(b *testing.B) {
		benchmark(b, newBenchmarked(b, 0), func(int) string { return "key" })
	})
}
