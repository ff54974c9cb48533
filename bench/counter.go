package main

import (
	"context"
	"regexp"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/bench/internal/storm"
)

// counter counts what a server executes.
type counter interface {
	// reset begins to count.
	reset(ctx context.Context) error
	// read returns how much was executed since reset.
	read(ctx context.Context) (int64, error)
	close()
}

func (s *stage) counter(ctx context.Context, store string) (counter, error) {
	if store == storm.Redis {
		return &commands{client: redis.NewClient(&redis.Options{Addr: s.redis.Addr()})}, nil
	}
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
	return &statements{conn}, err
}

// statements counts with pg_stat_statements: BEGIN and COMMIT count too.
type statements struct{ conn *pgx.Conn }

func (s *statements) reset(ctx context.Context) error {
	_, err := s.conn.Exec(ctx, "SELECT pg_stat_statements_reset()")
	return err
}

// read leaves its own statements out.
func (s *statements) read(ctx context.Context) (n int64, err error) {
	err = s.conn.QueryRow(ctx, `SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
		WHERE query NOT LIKE '%pg_stat_statements%'`).Scan(&n)
	return n, err
}

func (s *statements) close() { _ = s.conn.Close(context.Background()) }

// commands counts with INFO: what scripts call counts too.
type commands struct{ client *redis.Client }

func (c *commands) reset(ctx context.Context) error { return c.client.ConfigResetStat(ctx).Err() }

var calls = regexp.MustCompile(`cmdstat_(\S+):calls=(\d+)`)

func (c *commands) read(ctx context.Context) (n int64, err error) {
	info, err := c.client.Info(ctx, "commandstats").Result()
	for _, m := range calls.FindAllStringSubmatch(info, -1) {
		if m[1] != "info" && m[1] != "config|resetstat" {
			count, _ := strconv.ParseInt(m[2], 10, 64)
			n += count
		}
	}
	return n, err
}

func (c *commands) close() { _ = c.client.Close() }
