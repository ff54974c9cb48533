package redisstore

import (
	"github.com/redis/go-redis/v9"
)

// receive hands on what arrives until the connection breaks.
func (s *session) receive(connection *redis.PubSub) error {
	for {
		message, err := connection.ReceiveTimeout(s.listener.ctx, silenceLimit)
		if err != nil {
			return err
		}
		switch m := message.(type) {
		case *redis.Message:
			s.notify(m.Channel)
		case *redis.Subscription:
			if err := s.subscription(m); err != nil {
				return err
			}
		}
	}
}

// subscription hears that the server has made a subscription, or has ended one
// because the key's slot moves to another node.
func (s *session) subscription(m *redis.Subscription) error {
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	e := s.wanted[m.Channel]
	switch {
	case e == nil:
		return nil
	case m.Kind == "unsubscribe" || m.Kind == "sunsubscribe":
		// Either the slot has moved, or the channel was wanted again just now.
		// Its waiters are told too often rather than never.
		e.signal()
		return nil
	}
	e.confirmed = true
	e.signal()
	return nil
}

func (s *session) notify(channel string) {
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	if e := s.wanted[channel]; e != nil {
		e.signal()
	}
}

// signal tells all waiters to probe. The caller holds listener.mu.
func (e *entry) signal() {
	for r := range e.waiters {
		signal(r.wake)
	}
}

// forget notes that no subscription holds any more.
func (s *session) forget() {
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	for _, e := range s.wanted {
		e.confirmed = false
	}
}
