package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/examples/payments"
	"github.com/pgidem/pgidem/migrations"
)

// poolSize is how many payments one process writes at a time. A request in
// flight has one connection; its waiting duplicates have none.
const poolSize = 20

// openPool connects and brings the schema up to date: pgidem's table first, then
// the ledger's. Both may be done by many processes at once.
func openPool(ctx context.Context, databaseURL string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	if !strings.Contains(databaseURL, "pool_max_conns") {
		config.MaxConns = poolSize
	}
	if err := migrations.Up(ctx, databaseURL); err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := payments.SetUp(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}
