package main

import (
	"context"
	"errors"
	"os"

	"github.com/pgidem/pgidem/examples/internal/ephemeral"
)

// backing is what the payments servers share: the database with the ledger and,
// for the store that needs it, Redis.
type backing struct {
	db    *ephemeral.Database
	redis *ephemeral.Redis // nil: not needed
}

func openBacking(ctx context.Context, s *screen, o options) (*backing, error) {
	db, err := ephemeral.Open(ctx)
	if err != nil {
		return nil, err
	}
	b := &backing{db: db}
	s.event("PostgreSQL is ready: %s", db.Origin())
	if o.store != storeRedis {
		return b, nil
	}
	if b.redis, err = ephemeral.OpenRedis(ctx, os.Getenv("REDIS_URL")); err != nil {
		return nil, errors.Join(err, b.close())
	}
	s.event("Redis is ready: %s", b.redis.Origin())
	return b, nil
}

// env tells a payments server where everything is.
func (b *backing) env() []string {
	env := []string{"DATABASE_URL=" + b.db.URL()}
	if b.redis != nil {
		env = append(env, "REDIS_URL="+b.redis.URL(), "REDIS_PREFIX="+b.redis.Prefix())
	}
	return env
}

// close removes what was written, and stops what was started.
func (b *backing) close() error {
	var err error
	if b.redis != nil {
		err = b.redis.Close()
	}
	return errors.Join(err, b.db.Close())
}
