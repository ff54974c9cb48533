package redisstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// listener hears of the ends of other processes' attempts, for all waiters of a
// Store: on one connection, or on a Cluster on one for each master that keeps a
// key that is waited for. A session opens when the first waiter comes and closes
// some time after the last has gone.
type listener struct {
	store   *Store
	publish any // the command that a script wakes with
	closed  chan struct{}
	ctx     context.Context // ends with it
	end     context.CancelFunc
	ended   sync.WaitGroup // all sessions

	// mu guards what follows, and the entries of all sessions. It is never held
	// across a call on a connection.
	mu       sync.Mutex
	shut     bool
	sessions map[string]*session
}

// registration is one waiter's place. wake has a value when it is time to probe:
// after the subscription is confirmed, and after each message.
type registration struct {
	session *session // nil: nothing will come
	channel string
	wake    chan struct{}
}

// entry is a channel that somebody waits on, or did until just now.
type entry struct {
	// confirmed: the server has the subscription, so that no message that is
	// published from now on is missed.
	confirmed bool
	waiters   map[*registration]struct{}
}

func newListener(s *Store) *listener {
	l := &listener{store: s, publish: "PUBLISH", closed: make(chan struct{}), sessions: make(map[string]*session)}
	l.ctx, l.end = context.WithCancel(context.Background())
	if l.sharded() {
		l.publish = "SPUBLISH"
	}
	return l
}

// sharded tells whether messages stay on the node that keeps the key.
func (l *listener) sharded() bool {
	_, ok := l.store.client.(*redis.ClusterClient)
	return ok
}

// register makes a waiter hear of channel. Where that is not possible its wake
// stays silent, and its poll has to do.
func (l *listener) register(ctx context.Context, channel string) *registration {
	r := &registration{channel: channel, wake: make(chan struct{}, 1)}
	if l.store.config.DisableListen {
		return r
	}
	node, client, err := l.node(ctx, channel)
	if err != nil {
		l.store.config.OnError(fmt.Errorf("redisstore: waiters poll: %w", err))
		return r
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return r
	}
	s := l.sessions[node]
	if s == nil {
		s = newSession(l, node, client)
		l.sessions[node] = s
		l.ended.Go(s.run)
	}
	s.add(r)
	return r
}

// node returns the node that hears the messages of channel, and its name.
func (l *listener) node(ctx context.Context, channel string) (string, subscriber, error) {
	switch client := l.store.client.(type) {
	case *redis.ClusterClient:
		ctx, cancel := context.WithTimeout(ctx, l.store.config.CallTimeout)
		defer cancel()
		node, err := client.MasterForKey(ctx, channel)
		if err != nil {
			return "", nil, err
		}
		return node.Options().Addr, node, nil
	case *redis.Ring:
		return "", nil, fmt.Errorf("a Ring has no connection that hears of all keys")
	}
	return "", l.store.client, nil
}

// unregister gives a waiter's place up.
func (l *listener) unregister(r *registration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.session != nil {
		r.session.remove(r)
	}
}

// close ends all sessions. It may be called more than once.
func (l *listener) close() {
	l.mu.Lock()
	if !l.shut {
		l.shut = true
		close(l.closed)
		l.end()
	}
	l.mu.Unlock()
	l.ended.Wait()
}

// pause returns false if the listener is closed before d is over.
func (l *listener) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.closed:
		return false
	}
}
