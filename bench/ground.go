package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/migrations"
	"github.com/pgidem/pgidem/txstore"
)

// ground is what all contenders stand on: one pool, one business table, one
// records table, one store.
type ground struct {
	pool  *pgxpool.Pool
	store *txstore.Store
}

func newGround(ctx context.Context, url string, clients int) (*ground, error) {
	if err := migrations.Up(ctx, url); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(clients + 4) //nolint:gosec // a few dozen
	config.MinConns = config.MaxConns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	_, err = pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS bench_payments (
		id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		reference  text NOT NULL,
		amount     bigint NOT NULL,
		created_at timestamptz NOT NULL DEFAULT now()
	)`)
	if err != nil {
		pool.Close()
		return nil, err
	}
	store, err := txstore.New(pool, txstore.Config{})
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &ground{pool: pool, store: store}, nil
}

// clear empties both tables, so that every round begins alike.
func (g *ground) clear(ctx context.Context) error {
	if _, err := g.pool.Exec(ctx, "TRUNCATE bench_payments, pgidem_records"); err != nil {
		return fmt.Errorf("emptying the tables: %w", err)
	}
	return nil
}

func (g *ground) close() {
	g.store.Close()
	g.pool.Close()
}
