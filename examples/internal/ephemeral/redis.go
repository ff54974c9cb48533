package ephemeral

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/internal/redisserver"
)

// clearTime bounds what Close does on the Redis server.
const clearTime = 10 * time.Second

// scanBatch is how many keys one step of Close asks for.
const scanBatch = 500

// Redis is a part of a Redis server that is the program's own: all keys that
// begin with its prefix.
type Redis struct {
	server *redisserver.Server // nil: the URL was given
	url    string
	prefix string
}

// OpenRedis takes the server at url or, without one, finds or starts a server
// that keeps its data on disk. A server that was running already keeps running;
// what else is on it is not touched.
func OpenRedis(ctx context.Context, url string) (*Redis, error) {
	r := &Redis{url: url, prefix: "pgidem:{}:example_" + strings.ToLower(rand.Text()) + ":"}
	if url != "" {
		return r, nil
	}
	server, err := redisserver.Find(ctx, redisserver.Options{Durable: true})
	if err != nil {
		return nil, err
	}
	r.server, r.url = server, "redis://"+server.Addr()
	return r, nil
}

// Origin says where the server comes from.
func (r *Redis) Origin() string {
	if r.server == nil {
		return "server of REDIS_URL"
	}
	return r.server.Origin()
}

// URL leads to the server.
func (r *Redis) URL() string { return r.url }

// Prefix begins the name of each of the program's keys.
func (r *Redis) Prefix() string { return r.prefix }

// Close removes the program's keys, and stops the server if OpenRedis has
// started it. It may be called once.
func (r *Redis) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), clearTime)
	defer cancel()
	err := r.clear(ctx)
	if r.server != nil {
		err = errors.Join(err, r.server.Stop())
	}
	return err
}

func (r *Redis) clear(ctx context.Context) error {
	options, err := redis.ParseURL(r.url)
	if err != nil {
		return fmt.Errorf("ephemeral: %w", err)
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	keys := client.Scan(ctx, 0, r.prefix+"*", scanBatch).Iterator()
	for keys.Next(ctx) {
		if err := client.Unlink(ctx, keys.Val()).Err(); err != nil {
			return fmt.Errorf("ephemeral: %w", err)
		}
	}
	if err := keys.Err(); err != nil {
		return fmt.Errorf("ephemeral: %w", err)
	}
	return nil
}
