package redisstore

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// reserveBy makes a call that may reserve. Where its outcome stays unknown to the
// caller, who then runs no handler, what it may have reserved is given up in the
// background.
func (q *request) reserveBy(c *call) (reply, error) {
	s := q.store
	c.request, c.notes, c.owner = q, &s.calls, q.owner()
	plain := c.script == nil // once answered, c is another's
	a, ok := s.await(c)
	if !ok {
		return reply{}, context.DeadlineExceeded
	}
	// After a plain command that was refused the script follows, and takes as its own
	// what that may have reserved.
	if a.err != nil && mayHaveRun(a.err) && !(plain && isRefused(a.err)) {
		q.giveUp()
	}
	return a.reply, a.err
}

// giveUp gives up in the background what the request may have reserved.
func (q *request) giveUp() {
	settled := q.store.calls.begin(q.owner())
	q.store.running.More()
	go func() {
		defer q.store.running.End()
		defer settled()
		q.undo()
	}()
}

func (q *request) owner() owner { return owner{q.key, q.id} }

// late is given the answer to a call that may have reserved, and that nobody waits
// for any more.
func (q *request) late(a answer) {
	if a.err == nil && (a.reply.fresh() || q.isOwn(a.reply)) || a.err != nil && mayHaveRun(a.err) {
		q.undo()
	}
}

// undo gives up what the request may have reserved, unless its attempt holds the key.
func (q *request) undo() {
	if !q.holds() {
		q.store.undo(q.key, q.id)
	}
}

// isOwn tells whether a plain command that the client has repeated has found what
// its first try has reserved.
func (q *request) isOwn(a reply) bool {
	return a.kind == replyHeld && strings.HasPrefix(a.text, leaseHead(q.id))
}

// undo gives a reservation up that nobody holds. If that fails it ends with its
// lease, unless the call arrives in the end.
func (s *Store) undo(key, id string) {
	c := s.releaseCall(context.Background(), key, id)
	c.stays, c.notes, c.owner = true, &s.calls, owner{key, id}
	if _, err := s.run(c); err != nil {
		s.config.OnError(fmt.Errorf("redisstore: a reservation that nobody uses stays until its lease ends: %w", err))
	}
	s.flights.poke(key)
}

// calls are those whose caller has left before their outcome was known. An attempt
// that reserves the same key again must wait for the end of that, or the call would
// end, or complete, what it gets.
type calls struct {
	mu sync.Mutex // guards of
	of map[owner]*leftCalls
}

// leftCalls are the calls of one owner.
type leftCalls struct {
	count int
	ended chan struct{} // closed when count is 0 again
}

// owner is an attempt and one of its keys.
type owner struct{ key, id string }

// begin notes that o's call goes on, until done is called.
func (c *calls) begin(o owner) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = make(map[owner]*leftCalls)
	}
	l := c.of[o]
	if l == nil {
		l = &leftCalls{ended: make(chan struct{})}
		c.of[o] = l
	}
	l.count++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if l.count--; l.count == 0 {
			delete(c.of, o)
			close(l.ended)
		}
	}
}

// wait returns when no such call of o is under way.
func (c *calls) wait(ctx context.Context, o owner) error {
	c.mu.Lock()
	l := c.of[o]
	c.mu.Unlock()
	if l == nil {
		return nil
	}
	select {
	case <-l.ended:
		return nil
	case <-ctx.Done():
		return waitEnded(ctx, false)
	}
}
