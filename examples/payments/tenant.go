package payments

import (
	"context"
	"errors"
	"net/http"
)

type tenantKey struct{}

// authenticate takes the caller's word for who it is. That is for an example
// only; a real service verifies a signature or a token in this place.
func authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tenant := r.Header.Get("X-Tenant")
		if tenant == "" {
			writeProblem(w, problemUnauthenticated)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tenantKey{}, tenant)))
	})
}

// tenantScope keeps the keys of one tenant apart from those of another. It uses
// what authentication has found out, never what the request claims by itself.
func tenantScope(r *http.Request) (string, error) {
	tenant, ok := r.Context().Value(tenantKey{}).(string)
	if !ok {
		return "", errors.New("payments: request was not authenticated")
	}
	return tenant, nil
}
