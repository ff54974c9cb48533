package redisstore

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/internal/redisserver/redistest"
)

// The last waiter leaves and the next comes before the session has unsubscribed: it
// is told that the subscription holds, or it would not look, and mark the lease,
// before its poll.
func TestWaiterThatFollowsOnAnotherAtOnceIsConfirmed(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: redistest.Addr(t)})
	t.Cleanup(func() { _ = client.Close() })
	s, err := New(client, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	confirmed := func(r *registration) {
		t.Helper()
		select {
		case <-r.wake:
		case <-time.After(5 * time.Second):
			t.Fatal("the waiter is not told of its subscription")
		}
	}
	first := s.listener.register(t.Context(), t.Name())
	confirmed(first)
	next := &registration{channel: t.Name(), wake: make(chan struct{}, 1)}
	s.listener.mu.Lock()
	first.session.remove(first)
	first.session.add(next)
	s.listener.mu.Unlock()
	confirmed(next)
	s.listener.unregister(next)
}
