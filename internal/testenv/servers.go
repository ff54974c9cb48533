package testenv

import (
	"context"
	"strings"

	"github.com/pgidem/pgidem/internal/pgserver"
	"github.com/pgidem/pgidem/internal/redisserver"
)

// Servers are all that the tests need.
type Servers struct {
	postgres *pgserver.Server
	redis    *redisserver.Server
	cluster  *redisserver.Cluster
}

// All finds or starts PostgreSQL, Redis and a Redis Cluster of three masters.
// After an error, too, the caller stops what is there.
func All(ctx context.Context, options pgserver.Options) (*Servers, error) {
	s := new(Servers)
	var err error
	if s.postgres, err = Postgres(ctx, options); err != nil {
		return s, err
	}
	if s.redis, err = redisserver.Find(ctx, redisserver.Options{Durable: options.Durable}); err != nil {
		return s, err
	}
	s.cluster, err = redisserver.FindCluster(ctx)
	return s, err
}

// Environment tells a command where the servers are.
func (s *Servers) Environment() []string {
	return []string{
		pgserver.URLVariable + "=" + s.postgres.URL(),
		redisserver.AddrVariable + "=" + s.redis.Addr(),
		redisserver.ClusterVariable + "=" + strings.Join(s.cluster.Addrs(), ","),
	}
}

// Origins says in a few words each what was found and where.
func (s *Servers) Origins() []string {
	return []string{
		"PostgreSQL: " + s.postgres.Origin(),
		"Redis: " + s.redis.Origin(),
		"Redis Cluster: " + s.cluster.Origin(),
	}
}

// Stop ends what was started, and says what goes wrong.
func (s *Servers) Stop(say func(format string, args ...any)) {
	var stops []func() error
	if s.postgres != nil {
		stops = append(stops, s.postgres.Stop)
	}
	if s.redis != nil {
		stops = append(stops, s.redis.Stop)
	}
	if s.cluster != nil {
		stops = append(stops, s.cluster.Stop)
	}
	for _, stop := range stops {
		if err := stop(); err != nil {
			say("%v", err)
		}
	}
}
