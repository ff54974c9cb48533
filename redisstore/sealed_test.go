package redisstore_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/sealed"
)

// Behaviours 13, 33. Redis has nothing of the response in clear; what is changed
// there, or moved to another key, is unreadable and runs nothing.
func TestSealedRecordIsNotInClearAndNotMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given{})
	cipher, err := sealed.NewAESGCM("kit", map[string][]byte{"kit": make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	store, err := sealed.New(w.store, sealed.Config{Cipher: cipher, HashSecret: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	const secret = "4111-1111-1111-1111"
	attempt := func(key string) *attempt {
		a := w.attempt(key)
		a.store = store
		return a
	}
	for _, key := range []string{"acme\x1fk", "evil\x1fk"} {
		a := attempt(key).mustBeFresh()
		response := idem.Cached{Status: 201, Header: http.Header{"X-Card": {secret}}, Body: []byte(secret)}
		if err := store.Commit(a.ctx, key, "h", response); err != nil {
			t.Fatal(err)
		}
		attempt(key).mustReplay(secret)
		for _, text := range []string{secret, "X-Card"} {
			if strings.Contains(w.record(key), text) {
				t.Errorf("the record shows %q", text)
			}
		}
	}
	record := w.record("acme\x1fk")
	w.set("evil\x1fk", record)
	w.set("acme\x1fk", record[:len(record)-1]+"!")
	for _, key := range []string{"acme\x1fk", "evil\x1fk"} {
		if r := attempt(key).reserve(); r.fresh || !errors.Is(r.err, idem.ErrRecordUnreadable) {
			t.Errorf("%q: %s, want ErrRecordUnreadable", key, r.body())
		}
	}
}
