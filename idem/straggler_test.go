package idem_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// What a handler has left to a goroutine may go on using its header map when it
// has returned. As with net/http that changes nothing of a response whose status
// was written: neither the answer, nor the record, nor the replay.
//
// Behaviours 30, 59.
func TestHeaderMapOfAHandlerThatHasReturnedIsDead(t *testing.T) {
	t.Parallel()
	var left http.Header
	store := hookedStore{Store: newMemory(t), commit: func(context.Context) error {
		left.Set("X-Late", "1")
		left.Set("X-Kept", "late")
		return nil
	}}
	srv := serve(t, idem.Config{Store: store}, func(w http.ResponseWriter, _ *http.Request) {
		left = w.Header()
		left.Set("X-Kept", "first")
		w.WriteHeader(201)
	})
	for i := range 2 {
		a := send(t, srv, request{key: "k"})
		if a.header.Get("X-Late") != "" || a.header.Get("X-Kept") != "first" || a.replayed() != (i == 1) {
			t.Errorf("answer %d: %v", i, a.header)
		}
	}
}
