package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
)

const (
	policySetting = "maxmemory-policy"
	// keepsAll is the one policy under which a full server refuses writes
	// instead of forgetting what it has.
	keepsAll = "noeviction"
)

// errEvicts: a full server would forget records.
var errEvicts = errors.New("a full server would forget records, and their requests would run again")

// checkPolicy refuses a server that may evict records. A server that does not
// let us ask is not refused, but reported.
func (s *Store) checkPolicy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.CallTimeout)
	defer cancel()
	err := s.checkNodes(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errEvicts):
		return fmt.Errorf("redisstore: %w", err)
	case isRefused(err) && !repeats(err): // as for a wrong password
		return fmt.Errorf("redisstore: the server refuses the client: %w", err)
	}
	return fmt.Errorf("redisstore: %w: %w", idem.ErrStoreUnavailable, err)
}

func (s *Store) checkNodes(ctx context.Context) error {
	switch client := s.client.(type) {
	case *redis.ClusterClient:
		return client.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return s.checkNode(ctx, node) })
	case *redis.Ring:
		return client.ForEachShard(ctx, func(ctx context.Context, node *redis.Client) error { return s.checkNode(ctx, node) })
	}
	return s.checkNode(ctx, s.client)
}

// hasNoConfig tells whether the server has refused the command, and not the client.
// HasErrorPrefix takes an "ERR" away before it compares.
func hasNoConfig(err error) bool {
	var refused redis.Error
	return redis.HasErrorPrefix(err, "NOPERM") || errors.As(err, &refused) && strings.HasPrefix(refused.Error(), "ERR ") &&
		!redis.IsMaxClientsError(err)
}

func (s *Store) checkNode(ctx context.Context, node redis.Cmdable) error {
	settings, err := node.ConfigGet(ctx, policySetting).Result()
	if hasNoConfig(err) {
		if err := node.Ping(ctx).Err(); err != nil { // it was the connection that was refused
			return err
		}
		s.config.OnError(fmt.Errorf("redisstore: %s cannot be read, see that it is %s: %w", policySetting, keepsAll, err))
		return nil
	}
	if err != nil {
		return err
	}
	policy, known := settings[policySetting]
	switch {
	case !known:
		s.config.OnError(fmt.Errorf("redisstore: the server does not tell its %s, see that it is %s", policySetting, keepsAll))
	case policy != keepsAll && !s.config.AllowEviction:
		return fmt.Errorf("%s is %q: %w; set it to %s, or set Config.AllowEviction", policySetting, policy, errEvicts, keepsAll)
	}
	return nil
}
