package redisstore

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/internal/redisserver/redistest"
)

// Two carriers are under way on connections that have just gone silent, after
// the server was always quick. A call that comes at that moment, and after which
// nobody else comes, does not wait for them.
func TestCallDoesNotWaitForCarriersThatAreStuck(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: redistest.Addr(t)})
	t.Cleanup(func() { _ = client.Close() })
	s, err := New(client, Config{})
	if err != nil {
		t.Fatal(err)
	}
	key := t.Name()
	t.Cleanup(func() {
		_ = s.Release(context.Background(), key)
		s.Close()
	})
	s.sender.mu.Lock()
	s.sender.carriers, s.sender.near, s.sender.left = nearCarriers, true, time.Now()
	s.sender.mu.Unlock()
	answered := make(chan error, 1)
	go func() {
		_, _, err := s.Reserve(t.Context(), key, "h", time.Hour)
		answered <- err
	}()
	select {
	case err := <-answered:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(s.config.CallTimeout / 2):
		t.Error("it waits for them")
	}
}
