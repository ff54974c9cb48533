package idem_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// Behaviour 40.
func TestRecordWithAStatusThatCannotBeSent(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, 5, 103, 1000} {
		store := oddStatus{newMemory(t), status}
		srv := serve(t, idem.Config{Store: store}, func(http.ResponseWriter, *http.Request) {})
		send(t, srv, request{key: "k"})
		if a := send(t, srv, request{key: "k"}); a.status != 500 || a.problem(t) != "record-unreadable" {
			t.Errorf("status %d: %+v", status, a)
		}
	}
}

type oddStatus struct {
	idem.Store
	status int
}

func (s oddStatus) Commit(ctx context.Context, key, hash string, response idem.Cached) error {
	response.Status = s.status
	return s.Store.Commit(ctx, key, hash, response)
}
