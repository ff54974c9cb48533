package contend

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/internal/record"
	"github.com/pgidem/pgidem/migrations"
	"github.com/pgidem/pgidem/txstore"
)

// Prepare makes the tables of all contenders in the database, empty.
func Prepare(ctx context.Context, url string) error {
	if err := migrations.Up(ctx, url); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	for _, sql := range []string{payment.Schema, textbookSchema, "TRUNCATE " + payment.Table + ", pgidem_records, bench_textbook"} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// Pool opens a pool of so many connections, all of them open.
func Pool(ctx context.Context, url string, conns int) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(conns) //nolint:gosec // a few hundred
	config.MinConns = config.MaxConns
	return pgxpool.NewWithConfig(ctx, config)
}

// Postgres returns the family whose contenders share pool and the tables that
// Prepare has made.
func Postgres(pool *pgxpool.Pool) (*Family, error) {
	store, err := txstore.New(pool, txstore.Config{})
	if err != nil {
		return nil, err
	}
	plain := bare{pool}
	return &Family{
		Contenders: []Contender{
			&oracle{Contender: &plain},
			&oracle{Contender: &floor{bare: plain}},
			Store("txstore", store, store),
			Store("leased", store, store.Leased()),
			&reserveFirst{pool},
			&floor{bare: plain, notify: true},
			&blockOnRow{pool},
		},
		Bare: "bare", Floor: "floor", Distant: true,
		Reset: func(ctx context.Context, keys []string) error { return resetTables(ctx, pool, keys) },
		Close: store.Close,
	}, nil
}

// resetTables leaves records of keys, and no payments.
func resetTables(ctx context.Context, pool *pgxpool.Pool, keys []string) error {
	if _, err := pool.Exec(ctx, "TRUNCATE "+payment.Table+", pgidem_records, bench_textbook"); err != nil {
		return err
	}
	if err := fill(ctx, pool, keys); err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, textbookFill); err != nil {
		return err
	}
	_, err := pool.Exec(ctx, "VACUUM ANALYZE pgidem_records, bench_textbook")
	return err
}

// fillRecords writes records as the store does, fast.
const fillRecords = `INSERT INTO pgidem_records
	(attempt_id, stored_at, expires_at, status, format, key, request_hash, header, body)
SELECT gen_random_uuid(), clock_timestamp(), clock_timestamp() + interval '24 hours', $2, $3, key, $4, $5, $6
FROM unnest($1::text[]) AS key`

// fill records the answers of keys, in the table that the pool's search_path
// finds.
func fill(ctx context.Context, pool *pgxpool.Pool, keys []string) error {
	_, err := pool.Exec(ctx, fillRecords, keys, payment.Status, int16(record.Format), payment.Hash,
		record.EncodeHeader(payment.Header()), []byte(payment.Body))
	return err
}
