package txstore_test

import (
	"context"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/txstore"
)

// A handler writes through InTx; its writes and its response are committed
// together, or neither is.
func ExampleStore_InTx() {
	pool, err := pgxpool.New(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	store, err := txstore.New(pool, txstore.Config{})
	if err != nil {
		log.Fatal(err)
	}
	once := idem.RESTMiddleware(idem.Config{Store: store})
	http.Handle("POST /orders", once(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := store.InTx(r.Context(), func(tx pgx.Tx) error {
			_, err := tx.Exec(r.Context(), "INSERT INTO orders DEFAULT VALUES")
			return err
		})
		if err != nil {
			http.Error(w, "try again", http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})))
}

// The verbs work inside a transaction of the caller's own.
func ExampleWithTx() {
	consume := func(ctx context.Context, pool *pgxpool.Pool, store *txstore.Store, messageID string) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			ctx := txstore.WithTx(ctx, tx)
			_, fresh, err := store.Reserve(ctx, messageID, "request-hash", 24*time.Hour)
			if err != nil || !fresh {
				return err
			}
			if _, err := tx.Exec(ctx, "INSERT INTO orders DEFAULT VALUES"); err != nil {
				return err
			}
			return store.Commit(ctx, messageID, "request-hash", idem.Cached{Status: 200})
		})
	}
	_ = consume
}

// A handler whose effect is outside the database reserves before it runs.
func ExampleStore_Leased() {
	protect := func(store *txstore.Store, charge http.Handler) http.Handler {
		return idem.RESTMiddleware(idem.Config{Store: store.Leased(), Required: true})(charge)
	}
	_ = protect
}
