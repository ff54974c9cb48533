package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgidem/pgidem/txstore"
)

// sweepRows is how many expired records the sweep is measured with.
const sweepRows = 1_000_000

// statementTimes is a pgx tracer that remembers the longest statement.
type statementTimes struct{ longest atomic.Int64 }

type startKey struct{}

func (s *statementTimes) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, startKey{}, time.Now())
}

func (s *statementTimes) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	began, ok := ctx.Value(startKey{}).(time.Time)
	if !ok {
		return
	}
	took := int64(time.Since(began))
	for {
		longest := s.longest.Load()
		if took <= longest || s.longest.CompareAndSwap(longest, took) {
			return
		}
	}
}

// sweep fills the table with expired records and sweeps it while fresh requests
// go on, and says what that cost them.
func (g *ground) sweep(ctx context.Context, url string, turn time.Duration) error {
	if err := g.clear(ctx); err != nil {
		return err
	}
	fmt.Printf("inserting %d expired records\n", sweepRows)
	_, err := g.pool.Exec(ctx, `INSERT INTO pgidem_records
			(attempt_id, stored_at, expires_at, status, format, key, request_hash, header, body)
		SELECT gen_random_uuid(), now() - interval '2 days', now() - interval '1 day', 201, 1, gen_random_uuid()::text, $1, $2, $3
		FROM generate_series(1, $4::int)`, requestHash, responseBody[:40], responseBody, sweepRows)
	if err != nil {
		return err
	}
	payments := contender{"pgidem", g.payProtected}
	alone, err := rate(ctx, payments, 16, 5*turn)
	if err != nil {
		return err
	}
	times := &statementTimes{}
	sweeper, err := tracedPool(ctx, url, times)
	if err != nil {
		return err
	}
	defer sweeper.Close()
	store, err := txstore.New(sweeper, txstore.Config{})
	if err != nil {
		return err
	}
	defer store.Close()
	swept := make(chan error, 1)
	began := time.Now()
	var removed int64
	go func() {
		var err error
		removed, err = store.Sweep(ctx)
		swept <- err
	}()
	beside, err := rate(ctx, payments, 16, 5*turn)
	if err != nil {
		return err
	}
	if err := <-swept; err != nil {
		return err
	}
	fmt.Printf("swept %d records in %.1f s; longest statement %.0f ms\n", removed, time.Since(began).Seconds(),
		time.Duration(times.longest.Load()).Seconds()*1000)
	fmt.Printf("fresh requests with 16 clients: %.0f/s alone, %.0f/s in the %v that began with the sweep (%.2f)\n",
		alone, beside, 5*turn, beside/alone)
	return nil
}

func tracedPool(ctx context.Context, url string, tracer pgx.QueryTracer) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.Tracer = tracer
	config.MaxConns = 1
	return pgxpool.NewWithConfig(ctx, config)
}
