package payment_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

// What contenders store without the middleware is as large as what it would
// store of the same request.
func TestStoredPartIsAsLargeAsTheMiddlewares(t *testing.T) {
	t.Parallel()
	store := memory.New(memory.Config{})
	t.Cleanup(store.Close)
	handler := idem.RESTMiddleware(idem.Config{Store: store})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range payment.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(payment.Status)
		_, _ = io.WriteString(w, payment.Body)
	}))
	key := payment.NewKey()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/payments", strings.NewReader(payment.RequestBody))
	request.Header.Set("Idempotency-Key", key)
	handler.ServeHTTP(httptest.NewRecorder(), request)
	kept, _, err := store.Reserve(t.Context(), key, payment.Hash, time.Minute)
	if err != nil || kept == nil {
		t.Fatalf("the key has no record: %v", err)
	}
	if len(kept.RequestHash) != len(payment.Hash) {
		t.Errorf("the hash is %q, as long as %q is wanted", payment.Hash, kept.RequestHash)
	}
	if kept.Status != payment.Status || string(kept.Body) != payment.Body || !reflect.DeepEqual(kept.Header, payment.Header()) {
		t.Errorf("kept: %d %v %s", kept.Status, kept.Header, kept.Body)
	}
}

func TestBodiesAreJSON(t *testing.T) {
	t.Parallel()
	for _, body := range []string{payment.Body, payment.RequestBody} {
		if !json.Valid([]byte(body)) {
			t.Errorf("%s is no JSON", body)
		}
	}
}

func TestKeysAreUUIDs(t *testing.T) {
	t.Parallel()
	one, other := payment.NewKey(), payment.NewKey()
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(one) || one == other {
		t.Errorf("keys: %s, %s", one, other)
	}
}
