package idem_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

// sink is a writer that costs next to nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

var benchAnswer = []byte(`{"id":1,"amount":1250,"currency":"usd"}`)

func benchHandler(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(http.StatusCreated)
	w.Write(benchAnswer) //nolint:errcheck // recorded
}

func freshKey(i int) string { return "key-" + strconv.Itoa(i) }

func benchmark(b *testing.B, h http.Handler, keyOf func(i int) string) {
	b.Helper()
	const body = `{"account":"acct_1","amount":1250,"currency":"usd"}`
	r := httptest.NewRequest(http.MethodPost, "/payments", nil)
	r.ContentLength = int64(len(body))
	r.Header["Idempotency-Key"] = []string{""}
	reader := &benchBody{}
	w := &sink{header: make(http.Header)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		reader.Reset(body)
		r.Body = reader
		r.Header["Idempotency-Key"][0] = keyOf(i)
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

type benchBody struct{ strings.Reader }

func (*benchBody) Close() error { return nil }

func BenchmarkBareHandler(b *testing.B) {
	benchmark(b, http.HandlerFunc(benchHandler), freshKey)
}

func newBenchmarked(b *testing.B) http.Handler {
	store := memory.New(memory.Config{MaxRecords: -1, MaxBytes: -1})
	b.Cleanup(store.Close)
	return idem.RESTMiddleware(idem.Config{Store: store})(http.HandlerFunc(benchHandler))
}

func BenchmarkFresh(b *testing.B) {
	h := newBenchmarked(b)
	benchmark(b, h, freshKey)
}

func BenchmarkReplay(b *testing.B) {
	h := newBenchmarked(b)
	benchmark(b, h, func(int) string { return "key" })
}
