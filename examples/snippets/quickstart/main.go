// snippet: quickstart

package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/migrations"
	"github.com/pgidem/pgidem/txstore"
)

func main() {
	ctx, url := context.Background(), os.Getenv("DATABASE_URL")
	if err := migrations.Up(ctx, url); err != nil {
		log.Fatal(err)
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	store, err := txstore.New(pool, txstore.Config{})
	if err != nil {
		log.Fatal(err)
	}
	once := idem.RESTMiddleware(idem.Config{
		Store:    store,
		Scope:    func(r *http.Request) (string, error) { return tenant(r), nil },
		Required: true, // no key: 400
	})
	http.Handle("POST /orders", authenticated(once(createOrder(store))))
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
}

func createOrder(store *txstore.Store) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := store.InTx(r.Context(), func(tx pgx.Tx) error {
			_, err := tx.Exec(r.Context(), "INSERT INTO orders (tenant) VALUES ($1)", tenant(r))
			return err
		})
		if err != nil {
			http.Error(w, "try again", http.StatusInternalServerError) // a 5xx undoes the writes
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
}

// tenant and authenticated stand for your own authentication.
func tenant(r *http.Request) string { return r.Header.Get("X-Tenant") }

func authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tenant(r) == "" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// end snippet
