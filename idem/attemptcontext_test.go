package idem_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/pgidem/pgidem/idem"
)

// A context is for all goroutines of a handler, and for what prints it.
func TestContextOfTheHandlerMayBePrinted(t *testing.T) {
	t.Parallel()
	srv := serve(t, idem.Config{}, func(_ http.ResponseWriter, r *http.Request) {
		done := make(chan bool)
		go func() { r.Context().Done(); close(done) }()
		_ = fmt.Sprint(r.Context())
		<-done
	})
	send(t, srv, request{key: "k"})
}
