package crowd

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/plan"
)

// Unusable is how long a key was asked for in vain.
type Unusable struct {
	Tenant, Key string
	Length      time.Duration
}

// AskAll asks for every key that was ever sent, once more and until there is a
// final answer or ctx ends, beginning with those that have none. It returns the
// key that was unusable for the longest, and by that how long: until an answer
// shows that a handler ran for it, or had run. Where that is all that is known of
// the key any more, it is its final answer.
func (c *Crowd) AskAll(ctx context.Context) Unusable {
	var mu sync.Mutex
	var longest Unusable
	var clients sync.WaitGroup
	todo := make(chan plan.Operation)
	for range c.config.Parallel {
		clients.Go(func() {
			for o := range todo {
				took := c.askUntilFinal(ctx, o)
				mu.Lock()
				if took > longest.Length {
					longest = Unusable{Tenant: o.Tenant, Key: o.Key, Length: took}
				}
				mu.Unlock()
			}
		})
	}
	for _, o := range c.Begun() {
		todo <- o
	}
	close(todo)
	clients.Wait()
	return longest
}

// Begun returns the operations that were begun, those without an answer first.
func (c *Crowd) Begun() []plan.Operation {
	c.mu.Lock()
	defer c.mu.Unlock()
	begun := slices.Clone(c.begun)
	slices.SortStableFunc(begun, func(a, b plan.Operation) int {
		switch x, y := c.answered[a.Index], c.answered[b.Index]; {
		case x == y:
			return 0
		case y:
			return -1
		}
		return 1
	})
	return begun
}

// askUntilFinal asks for the operation's own payment, and for the other one if
// that turns out to have the key. Then it asks for the one that has not, once,
// which is to be refused.
func (c *Crowd) askUntilFinal(ctx context.Context, o plan.Operation) (unusable time.Duration) {
	began, usable, other := c.config.Recorder.Now(), false, false
	for i := 0; ctx.Err() == nil; i++ {
		a := c.ask(ctx, o.As(other), len(o.Senders)+1, (o.Index+i)%c.config.Servers+1, patient)
		if !usable {
			unusable = a.Ended - began
		}
		usable = usable || ran(a)
		if isOver(a) {
			break
		}
		other = other != isMismatch(a)
		rest(ctx, backoff(i))
	}
	if o.Other != nil {
		c.ask(ctx, o.As(!other), len(o.Senders)+1, o.Index%c.config.Servers+1, patient)
	}
	return unusable
}

// ran tells whether a handler ran behind an answer, now or before. One that ran
// too long has had the key for itself; that it shall answer in time is not the
// store's promise.
func ran(a history.Request) bool {
	return a.Answered && (a.Problem == "" || a.Problem == "handler-timeout" || isMismatch(a) || isExpired(a))
}
