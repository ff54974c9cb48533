package txstore_test

import (
	"context"
	"log"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/txstore"
)

// Behind a pooler in transaction mode waiters poll, unless they are given a way
// past it to listen on.
func ExampleConfig_listenConn() {
	config, err := pgxpool.ParseConfig("postgres://app@pgbouncer:6432/shop?default_query_exec_mode=cache_describe")
	if err != nil {
		log.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	direct, err := pgx.ParseConfig("postgres://app@database:5432/shop")
	if err != nil {
		log.Fatal(err)
	}
	store, err := txstore.New(pool, txstore.Config{ListenConn: direct})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
}
