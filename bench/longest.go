package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// longest is a pgx tracer that remembers how long the longest statement took.
type longest struct{ took atomic.Int64 }

type startKey struct{}

func (l *longest) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, startKey{}, time.Now())
}

func (l *longest) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	began, ok := ctx.Value(startKey{}).(time.Time)
	if !ok {
		return
	}
	took := int64(time.Since(began))
	for {
		before := l.took.Load()
		if took <= before || l.took.CompareAndSwap(before, took) {
			return
		}
	}
}

func (l *longest) get() time.Duration { return time.Duration(l.took.Load()) }

// tracedPool opens a pool like another, of one connection that is traced.
func tracedPool(ctx context.Context, config *pgxpool.Config, tracer pgx.QueryTracer) (*pgxpool.Pool, error) {
	config.ConnConfig.Tracer = tracer
	config.MaxConns, config.MinConns = 1, 1
	return pgxpool.NewWithConfig(ctx, config)
}
