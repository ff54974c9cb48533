package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// idleTime is how long a session stays open that nobody waits on.
	idleTime = 10 * time.Second
	// pingInterval finds a connection that was cut without a word; silenceLimit
	// is when it is given up.
	pingInterval = 10 * time.Second
	silenceLimit = 25 * time.Second
	// minReconnect and maxReconnect bound the pause before a broken connection
	// is opened again.
	minReconnect = 50 * time.Millisecond
	maxReconnect = 5 * time.Second
)

// subscriber is what opens a session's connection.
type subscriber interface {
	Subscribe(ctx context.Context, channels ...string) *redis.PubSub
	SSubscribe(ctx context.Context, channels ...string) *redis.PubSub
}

// session is the listener's connection to one node. Its goroutine alone
// subscribes and unsubscribes; another one receives.
type session struct {
	listener *listener
	node     string
	client   subscriber
	wanted   map[string]*entry // guarded by listener.mu; some without waiters, for a moment
	changed  chan struct{}     // has a value when wanted has changed
}

func newSession(l *listener, node string, client subscriber) *session {
	return &session{listener: l, node: node, client: client, wanted: make(map[string]*entry), changed: make(chan struct{}, 1)}
}

// add gives r a place. The caller holds listener.mu.
func (s *session) add(r *registration) {
	e := s.wanted[r.channel]
	if e == nil {
		e = &entry{waiters: make(map[*registration]struct{})}
		s.wanted[r.channel] = e
		signal(s.changed)
	}
	r.session = s
	e.waiters[r] = struct{}{}
	if e.confirmed {
		signal(r.wake)
	}
}

// remove takes r's place away. The caller holds listener.mu.
func (s *session) remove(r *registration) {
	e := s.wanted[r.channel]
	if e == nil {
		return
	}
	delete(e.waiters, r)
	if len(e.waiters) == 0 {
		// What is known of the subscription stays until that ends: another waiter
		// may come before.
		signal(s.changed)
	}
}

// errIdle ends a session that nobody waits on any more.
var errIdle = errors.New("idle")

// run keeps a connection open, and a broken one is opened again. A connection
// that go-redis has renewed by itself is not relied on: on a Cluster it would
// subscribe to channels of several slots in one command, which is refused.
func (s *session) run() {
	for reconnect := minReconnect; ; reconnect = min(2*reconnect, maxReconnect) {
		began := time.Now()
		err := s.serve()
		select {
		case <-s.listener.closed:
			return
		default:
		}
		if errors.Is(err, errIdle) {
			return
		}
		if s.leave() {
			return
		}
		s.listener.store.config.OnError(fmt.Errorf("redisstore: the connection for notifications broke, waiters poll: %w", err))
		if time.Since(began) > maxReconnect {
			reconnect = minReconnect
		}
		if !s.listener.pause(reconnect) {
			return
		}
	}
}

// serve makes the connection hear what is wanted, until it breaks, nobody wants
// anything, or the listener is closed.
func (s *session) serve() error {
	connection := s.open()
	received := make(chan error, 1)
	go func() { received <- s.receive(connection) }()
	defer func() {
		_ = connection.Close() // what it says does not matter any more
		<-received             //nolint:errcheck // it only has to have ended
		s.forget()
	}()
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	subscribed := make(map[string]bool)
	for {
		if err := s.follow(connection, subscribed); err != nil {
			return err
		}
		if len(subscribed) > 0 {
			idle.Reset(idleTime)
		}
		select {
		case <-s.changed:
		case err := <-received:
			received <- err
			return err
		case <-ping.C:
			if err := connection.Ping(s.listener.ctx); err != nil {
				return err
			}
		case <-idle.C:
			if s.leave() {
				return errIdle
			}
		case <-s.listener.closed:
			return nil
		}
	}
}

func (s *session) open() *redis.PubSub {
	if s.listener.sharded() {
		return s.client.SSubscribe(s.listener.ctx)
	}
	return s.client.Subscribe(s.listener.ctx)
}

// follow subscribes to what is wanted and is not subscribed, one channel at a
// time, and the reverse.
func (s *session) follow(connection *redis.PubSub, subscribed map[string]bool) error {
	ctx := s.listener.ctx
	subscribe, unsubscribe := connection.Subscribe, connection.Unsubscribe
	if s.listener.sharded() {
		subscribe, unsubscribe = connection.SSubscribe, connection.SUnsubscribe
	}
	more, fewer := s.difference(subscribed)
	for _, channel := range fewer {
		delete(subscribed, channel)
		if err := unsubscribe(ctx, channel); err != nil {
			return err
		}
	}
	for _, channel := range more {
		subscribed[channel] = true
		if err := subscribe(ctx, channel); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) difference(subscribed map[string]bool) (more, fewer []string) {
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	for channel, e := range s.wanted {
		switch {
		case len(e.waiters) == 0:
			delete(s.wanted, channel)
		case !subscribed[channel]:
			more = append(more, channel)
		}
	}
	for channel := range subscribed {
		if s.wanted[channel] == nil {
			fewer = append(fewer, channel)
		}
	}
	return more, fewer
}

// leave takes the session out of the listener unless somebody waits again.
func (s *session) leave() bool {
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	for _, e := range s.wanted {
		if len(e.waiters) > 0 {
			return false
		}
	}
	delete(s.listener.sessions, s.node)
	return true
}
