package redisstore

import (
	"context"
	"fmt"
	"sync"
)

// reserveBy makes a call that may reserve. Where its outcome stays unknown to the
// caller, who then runs no handler, what it may have reserved is given up in the
// background.
func (q *request) reserveBy(c *call) (reply, error) {
	s := q.store
	c.request = q
	a, ok := s.await(c)
	if !ok {
		return reply{}, context.DeadlineExceeded
	}
	if a.err != nil && mayHaveRun(a.err) {
		settled := q.leave()
		s.running.More()
		go func() {
			defer s.running.End()
			defer settled()
			s.undo(q.key, q.id)
		}()
	}
	return a.reply, a.err
}

// leave notes that the request's caller has left, until settled is called.
func (q *request) leave() (settled func()) { return q.store.calls.begin(q.id) }

// late is given the answer to a call that may have reserved, and that nobody waits
// for any more.
func (q *request) late(a answer) {
	if a.err == nil && a.reply.kind == replyFresh || a.err != nil && mayHaveRun(a.err) {
		q.store.undo(q.key, q.id)
	}
}

// undo gives a reservation up that nobody holds. If that fails it ends with its
// lease.
func (s *Store) undo(key, id string) {
	if _, err := s.run(s.releaseCall(context.Background(), key, id)); err != nil {
		s.config.OnError(fmt.Errorf("redisstore: a reservation that nobody uses stays until its lease ends: %w", err))
	}
	s.flights.poke(key)
}

// calls are the attempts whose caller has left before the outcome of a call that
// reserves was known. An attempt that reserves again must wait for the end of that,
// or it would lose what it gets.
type calls struct {
	mu   sync.Mutex // guards byID
	byID map[string]chan struct{}
}

// begin notes that id's call goes on, until done is called.
func (c *calls) begin(id string) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil {
		c.byID = make(map[string]chan struct{})
	}
	ended := make(chan struct{})
	c.byID[id] = ended
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.byID[id] == ended {
			delete(c.byID, id)
		}
		close(ended)
	}
}

// wait returns when no such call of id is under way.
func (c *calls) wait(ctx context.Context, id string) error {
	c.mu.Lock()
	ended := c.byID[id]
	c.mu.Unlock()
	if ended == nil {
		return nil
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return waitEnded(ctx, false)
	}
}
