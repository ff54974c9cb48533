package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// ageScript moves the end of a record, the time it is forgotten at, and the end
// of its key back by ARGV[1] microseconds, and by two milliseconds more: ends are
// full milliseconds, and are rounded up.
var ageScript = redis.NewScript(recordLua + `
local r = look(KEYS[1])
if not r or r.unreadable then
  return 0
end
local by = ARGV[1] + 2000
if r.state ~= 'L' then
  redis.call('SETRANGE', KEYS[1], 2, struct.pack('>I8', math.max(0, r.ends - by)))
end
if r.forgotten then
  redis.call('SETRANGE', KEYS[1], HEAD, struct.pack('>I8', math.max(0, r.forgotten - by)))
end
redis.call('PEXPIRE', KEYS[1], redis.call('PTTL', KEYS[1]) - math.ceil(by / 1000))
return 1
`)

// Age makes the records under prefix older by d.
func Age(ctx context.Context, client redis.UniversalClient, prefix string, d time.Duration) error {
	keys, err := Keys(ctx, client, prefix)
	for _, key := range keys {
		err = errors.Join(err, ageScript.Run(ctx, client, []string{key}, d.Microseconds()).Err())
	}
	return err
}

// Keys returns the Redis keys under prefix.
func Keys(ctx context.Context, client redis.UniversalClient, prefix string) (keys []string, err error) {
	scan := func(ctx context.Context, node redis.Cmdable) error {
		found, err := node.Keys(ctx, prefix+"*").Result()
		keys = append(keys, found...)
		return err
	}
	if cluster, ok := client.(*redis.ClusterClient); ok {
		found := make(chan []string, 64)
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			some, err := node.Keys(ctx, prefix+"*").Result()
			found <- some
			return err
		})
		close(found)
		for some := range found {
			keys = append(keys, some...)
		}
		return keys, err
	}
	return keys, scan(ctx, client)
}

// LoadScripts spares what is counted the first call's NOSCRIPT.
func LoadScripts(ctx context.Context, client redis.UniversalClient) error {
	var err error
	for _, script := range []*script{reserveScript, commitScript, renewScript, releaseScript} {
		err = errors.Join(err, script.Load(ctx, client).Err())
	}
	return err
}

// Subscribed tells whether the server has confirmed a subscription for key.
func (s *Store) Subscribed(key string) bool {
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	for _, session := range s.listener.sessions {
		if e := session.wanted[s.config.Prefix+key]; e != nil && e.confirmed && len(e.waiters) > 0 {
			return true
		}
	}
	return false
}

// Waiting tells whether a request for key has seen it in flight here.
func (s *Store) Waiting(key string) bool {
	s.flights.mu.Lock()
	defer s.flights.mu.Unlock()
	f := s.flights.byKey[key]
	return f != nil && f.seen
}

// Sessions returns how many connections for notifications there are.
func (s *Store) Sessions() int {
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	return len(s.listener.sessions)
}

// Looking returns for how many keys somebody leads a flight.
func (s *Store) Looking() int {
	s.flights.mu.Lock()
	defer s.flights.mu.Unlock()
	return len(s.flights.byKey)
}
