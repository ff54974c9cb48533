package inject

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/torture/ledger"
	"github.com/pgidem/pgidem/torture/plan"
	"github.com/pgidem/pgidem/torture/site"
)

const (
	anyBackend = `
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE usename = $1 ORDER BY state = 'idle', random() LIMIT 1`
	// A listener holds session locks in the mode that nobody else uses, or has
	// just said that it listens.
	aListener = `
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity a
		WHERE usename = $1 AND (query ILIKE 'listen%' OR EXISTS (
		    SELECT FROM pg_locks l WHERE l.pid = a.pid AND locktype = 'advisory' AND mode = 'ShareLock' AND granted))
		ORDER BY random() LIMIT 1`

	victimPoll = 20 * time.Millisecond
	// search bounds how long a victim is looked for.
	search = 8 * time.Second
)

// terminateBackend prefers one that does something.
func terminateBackend(ctx context.Context, s *site.Site, _ plan.Fault) (End, error) {
	return nil, terminate(ctx, func(ctx context.Context) (bool, error) { return terminateIn(ctx, s, anyBackend) })
}

func terminateListener(ctx context.Context, s *site.Site, f plan.Fault) (End, error) {
	if f.Redis {
		return nil, terminate(ctx, func(ctx context.Context) (bool, error) { return killSubscribed(ctx, s) })
	}
	return nil, terminate(ctx, func(ctx context.Context) (bool, error) { return terminateIn(ctx, s, aListener) })
}

// terminate tries until there is somebody to terminate: the database may be down
// at the moment, and nobody may listen.
func terminate(ctx context.Context, try func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, search)
	defer cancel()
	tick := time.NewTicker(victimPoll)
	defer tick.Stop()
	for {
		hit, err := try(ctx)
		if hit {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err == nil {
				err = ctx.Err()
			}
			return fmt.Errorf("%w: %w", ErrNoVictim, err)
		}
	}
}

func terminateIn(ctx context.Context, s *site.Site, query string) (bool, error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(ctx) }()
	tag, err := conn.Exec(ctx, query, ledger.Role)
	return tag.RowsAffected() > 0, err
}

func killSubscribed(ctx context.Context, s *site.Site) (bool, error) {
	client := redis.NewClient(&redis.Options{Addr: s.Redis.Addr(), PoolSize: 1})
	defer func() { _ = client.Close() }()
	killed, err := client.ClientKillByFilter(ctx, "TYPE", "pubsub").Result()
	return killed > 0, err
}
