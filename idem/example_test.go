package idem_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

// post sends one payment and prints the answer.
func post(h http.Handler, key, body string) {
	r := httptest.NewRequest(http.MethodPost, "/payments", strings.NewReader(body))
	r.Header.Set("X-Tenant", "acme")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	replayed := w.Header().Get("Idempotent-Replayed") == "true"
	fmt.Println(w.Code, "replayed:", replayed, strings.TrimSpace(w.Body.String()))
}

func ExampleRESTMiddleware() {
	store := memory.New(memory.Config{})
	defer store.Close()
	payments := 0
	pay := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		payments++
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "payment %d", payments)
	})
	protect := idem.RESTMiddleware(idem.Config{
		Store:    store,
		Required: true,
		// The tenant that authentication has found further out.
		Scope: func(r *http.Request) (string, error) { return r.Header.Get("X-Tenant"), nil },
	})
	server := protect(pay)

	post(server, "order-42", `{"amount":1250}`)
	post(server, "order-42", `{"amount":1250}`)
	post(server, "order-43", `{"amount":1250}`)
	fmt.Println("payments:", payments)
	// Output:
	// 201 replayed: false payment 1
	// 201 replayed: true payment 1
	// 201 replayed: false payment 2
	// payments: 2
}

func ExampleRESTMiddleware_errorHandler() {
	store := memory.New(memory.Config{})
	defer store.Close()
	protect := idem.RESTMiddleware(idem.Config{
		Store:    store,
		Required: true,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			p := idem.ProblemFor(err)
			http.Error(w, p.Title, p.Status)
		},
	})
	post(protect(http.NotFoundHandler()), "", `{"amount":1250}`)
	// Output:
	// 400 replayed: false Idempotency key is missing
}

func ExampleRESTMiddleware_observer() {
	store := memory.New(memory.Config{})
	defer store.Close()
	protect := idem.RESTMiddleware(idem.Config{
		Store: store,
		Observer: func(_ context.Context, e idem.Event) {
			fmt.Println("observed:", e.Outcome, e.Status, e.Runs)
		},
	})
	server := protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body) //nolint:errcheck // an example
	}))
	post(server, "order-42", "1250")
	post(server, "order-42", "1250")
	post(server, "order-42", "9999")
	// Output:
	// observed: committed 200 1
	// 200 replayed: false 1250
	// observed: replayed 200 0
	// 200 replayed: true 1250
	// observed: hash-mismatch 422 0
	// 422 replayed: false {"type":"https://pgidem.dev/problems/hash-mismatch","title":"Idempotency key was used with another request","status":422,"detail":"Use a new key for a new request, and the same key only to repeat the same request."}
}

func ExampleSetDisposition() {
	store := memory.New(memory.Config{})
	defer store.Close()
	attempts := 0
	server := idem.RESTMiddleware(idem.Config{Store: store})(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			attempts++
			if attempts == 1 {
				// A 202 that must not be taken for the final answer.
				idem.SetDisposition(r.Context(), idem.Discard)
				w.WriteHeader(http.StatusAccepted)
			}
			fmt.Fprint(w, "attempt ", attempts)
		}))
	post(server, "order-42", "")
	post(server, "order-42", "")
	post(server, "order-42", "")
	// Output:
	// 202 replayed: false attempt 1
	// 200 replayed: false attempt 2
	// 200 replayed: true attempt 2
}
