package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/examples/internal/ephemeral"
	"github.com/pgidem/pgidem/examples/payments"
	"github.com/pgidem/pgidem/redisstore"
)

// openRedis keeps the records on the server of REDIS_URL or, without one, on a
// server of our own.
func openRedis(ctx context.Context, s settings, pool *pgxpool.Pool, logger *slog.Logger) (stores, error) {
	warnOfTwoCommits(logger, s.store)
	if s.redisURL != "" {
		return connectRedis(s, pool, logger)
	}
	own, err := ephemeral.OpenRedis(ctx, "")
	if err != nil {
		return stores{}, err
	}
	logger.InfoContext(ctx, "no REDIS_URL: the records are removed at exit", "server", own.Origin(), "prefix", own.Prefix())
	s.redisURL, s.redisPrefix = own.URL(), own.Prefix()
	opened, err := connectRedis(s, pool, logger)
	if err != nil {
		return stores{}, errors.Join(err, own.Close())
	}
	disconnect := opened.close
	opened.close = func() error { return errors.Join(disconnect(), own.Close()) }
	return opened, nil
}

func connectRedis(s settings, pool *pgxpool.Pool, logger *slog.Logger) (stores, error) {
	options, err := redis.ParseURL(s.redisURL)
	if err != nil {
		return stores{}, err
	}
	client := redis.NewClient(options)
	store, err := redisstore.New(client, redisstore.Config{Prefix: s.redisPrefix, Lease: s.lease, OnError: report(logger)})
	if err != nil {
		return stores{}, errors.Join(err, client.Close())
	}
	return stores{
		records:    store,
		transactor: payments.PoolTransactor{Pool: pool},
		// The store first: the attempts that it waits for still need the client.
		close: func() error {
			store.Close()
			return client.Close()
		},
	}, nil
}
