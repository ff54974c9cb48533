// Package snippets is the code that the README shows, so that it compiles. A
// test compares the two.
package snippets

import (
	"context"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/riverqueue/river"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/migrations"
	"github.com/pgidem/pgidem/redisstore"
	"github.com/pgidem/pgidem/sealed"
	"github.com/pgidem/pgidem/txstore"
)

// ReceiptJob is a job that a payment leaves behind.
type ReceiptJob struct{ Order string }

// Kind names the job for River.
func (ReceiptJob) Kind() string { return "receipt" }

// querier is the DBTX of the code that sqlc generates.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Queries has the form of what sqlc generates.
type Queries struct{ db querier }

// New is what sqlc generates for every package of queries.
func New(db querier) *Queries { return &Queries{db: db} }

// InsertOrder stands for a query.
func (q *Queries) InsertOrder(ctx context.Context, tenant string) error {
	_, err := q.db.Exec(ctx, "INSERT INTO orders (tenant) VALUES ($1)", tenant)
	return err
}

// Passing hands the transaction of a request on.
func Passing(ctx context.Context, store *txstore.Store, jobs *river.Client[pgx.Tx], tenant string) error {
	// snippet: passing
	err := store.InTx(ctx, func(tx pgx.Tx) error {
		if err := New(tx).InsertOrder(ctx, tenant); err != nil { // sqlc
			return err
		}
		if _, err := jobs.InsertTx(ctx, tx, ReceiptJob{Order: "42"}, nil); err != nil { // River
			return err
		}
		return pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error { // a savepoint
			_, err := savepoint.Exec(ctx, "UPDATE tenants SET orders = orders + 1 WHERE id = $1", tenant)
			return err
		})
	})
	// end snippet
	return err
}

// Consume records the response to a message in a transaction of its own.
func Consume(ctx context.Context, pool *pgxpool.Pool, store *txstore.Store, messageID, hash string) error {
	// snippet: withtx
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		ctx := txstore.WithTx(ctx, tx)
		recorded, fresh, err := store.Reserve(ctx, messageID, hash, 24*time.Hour)
		if err != nil || !fresh {
			return answer(recorded, err)
		}
		if err := New(tx).InsertOrder(ctx, "acme"); err != nil {
			return err
		}
		return store.Commit(ctx, messageID, hash, idem.Cached{Status: 200})
	})
	// end snippet
	return err
}

func answer(_ *idem.Cached, err error) error { return err }

// Stores protects two routes with two stores.
func Stores(mux *http.ServeMux, store *txstore.Store, redisClient redis.UniversalClient, pay, preview http.Handler) error {
	scope := tenantOf
	// snippet: stores
	cheap, err := redisstore.New(redisClient, redisstore.Config{})
	if err != nil {
		return err
	}
	mux.Handle("POST /payments", idem.RESTMiddleware(idem.Config{Store: store, Scope: scope})(pay))
	mux.Handle("POST /previews", idem.RESTMiddleware(idem.Config{Store: cheap, Scope: scope})(preview))
	// end snippet
	return nil
}

// Order is a message from a queue.
type Order struct {
	ID     string
	Tenant string
}

// Job runs a message's work once.
func Job(ctx context.Context, store *txstore.Store, order Order) (string, error) {
	// snippet: do
	receipt, err := idem.Do(ctx, idem.DoConfig{Store: store, Scope: order.Tenant}, order.ID, order,
		func(ctx context.Context) (string, error) {
			err := store.InTx(ctx, func(tx pgx.Tx) error { return New(tx).InsertOrder(ctx, order.Tenant) })
			return "receipt-" + order.ID, err
		})
	// end snippet
	return receipt, err
}

// Encrypt protects a route with a store whose records are encrypted.
func Encrypt(store *txstore.Store, key []byte, pay http.Handler) (http.Handler, error) {
	// snippet: sealed
	cipher, err := sealed.NewAESGCM("2025-01", map[string][]byte{"2025-01": key}) // 32 random bytes
	if err != nil {
		return nil, err
	}
	encrypted, err := sealed.New(store, sealed.Config{Cipher: cipher})
	if err != nil {
		return nil, err
	}
	return idem.RESTMiddleware(idem.Config{Store: encrypted, Scope: tenantOf})(pay), nil
	// end snippet
}

func tenantOf(r *http.Request) (string, error) { return r.Header.Get("X-Tenant"), nil }

// Migrate makes the table of the records.
func Migrate(ctx context.Context, databaseURL string) error {
	// snippet: migrate
	err := migrations.Up(ctx, databaseURL) // at start; any number of processes at once
	// end snippet
	return err
}
