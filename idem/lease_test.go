package idem_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// A lease that is lost before the handler has begun is lost for it too.
func TestLeaseLostBeforeTheHandlerBegins(t *testing.T) {
	t.Parallel()
	var cause error
	store := hookedStore{Store: newMemory(t), reserve: func(ctx context.Context) error {
		attempt, _ := idem.AttemptFromContext(ctx)
		attempt.LoseLease()
		return nil
	}}
	srv := serve(t, idem.Config{Store: store}, func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		cause = context.Cause(r.Context())
		w.WriteHeader(500)
	})
	if a := send(t, srv, request{key: "k"}); a.status != 500 || !errors.Is(cause, idem.ErrLeaseLost) {
		t.Errorf("answer %+v, cause %v", a, cause)
	}
}
