package contend

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/bench/internal/payment"
	"github.com/pgidem/pgidem/internal/record"
	"github.com/pgidem/pgidem/redisstore"
)

// redisPrefix begins the names of redisBare's keys.
const redisPrefix = "bench:{}:"

// redisBare is the least that a client of Redis does for idempotency: SET NX to
// reserve, SET to record, GET to replay. It has neither fencing nor renewal, does
// not compare hashes, and wakes nobody.
type redisBare struct{ client *redis.Client }

func (b *redisBare) Name() string        { return "redis-bare" }
func (b *redisBare) Plays(Workload) bool { return true }

func (b *redisBare) Serve(ctx context.Context, r Request) (bool, error) {
	name := redisPrefix + r.Key
	if r.Retry {
		return false, b.get(ctx, name)
	}
	if err := b.client.SetNX(ctx, name, payment.Hash, maxHandlerTime).Err(); err != nil {
		return false, err
	}
	return true, b.client.Set(ctx, name, redisAnswer, ttl).Err()
}

func (b *redisBare) get(ctx context.Context, name string) error {
	got, err := b.client.Get(ctx, name).Bytes()
	if err == nil && string(got) != redisAnswer {
		return check(name, 0, got)
	}
	return err
}

// redisAnswer is a record as a client would keep it: hash, header and body.
var redisAnswer = payment.Hash + string(record.EncodeHeader(payment.Header())) + payment.Body

// Redis returns the family whose contenders share client.
func Redis(client *redis.Client) (*Family, error) {
	store, err := redisstore.New(client, redisstore.Config{})
	if err != nil {
		return nil, err
	}
	plain := &oracle{Contender: &redisBare{client}}
	stored := &protected{name: "redisstore", store: store, pay: payNothing}
	return &Family{
		Contenders: []Contender{plain, stored},
		Bare:       plain.Name(), Distant: true,
		Reset: func(ctx context.Context, keys []string) error {
			if err := client.FlushDB(ctx).Err(); err != nil {
				return err
			}
			return serveAll(ctx, keys, plain, stored)
		},
		Close: store.Close,
	}, nil
}
