// Package crowd is the clients of a torture run: they send the operations of a
// plan, again and again until they have an answer, and everything that they send
// and are told is recorded.
package crowd

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgidem/pgidem/torture/history"
	"github.com/pgidem/pgidem/torture/plan"
)

// Config says who the clients are.
type Config struct {
	Seed     uint64
	Servers  int
	Parallel int // operations at any moment
	// URL is where the server of that number, from 1, is now.
	URL      func(number int) string
	Recorder *history.Recorder
}

// Crowd is the clients of one run.
type Crowd struct {
	config Config
	http   *http.Client

	// Sent counts requests, TimedOut and HungUp those that their clients gave up.
	Sent     atomic.Int64
	TimedOut atomic.Int64
	HungUp   atomic.Int64

	next atomic.Int64 // index of the next operation

	mu       sync.Mutex
	begun    []plan.Operation // guarded by mu
	answered map[int]bool     // by index; guarded by mu
}

// New returns a crowd that does nothing yet.
func New(c Config) *Crowd {
	transport := &http.Transport{MaxIdleConnsPerHost: 4 * c.Parallel, IdleConnTimeout: time.Minute}
	return &Crowd{config: c, http: &http.Client{Transport: transport}, answered: make(map[int]bool)}
}

// Close ends idle connections.
func (c *Crowd) Close() { c.http.CloseIdleConnections() }

// Storm runs one operation after the other until ctx ends. Requests that are
// under way then are given up.
func (c *Crowd) Storm(ctx context.Context) {
	var clients, returning sync.WaitGroup
	for range c.config.Parallel {
		clients.Go(func() {
			for ctx.Err() == nil {
				o := plan.NewOperation(c.config.Seed, int(c.next.Add(1)-1), c.config.Servers)
				c.begin(o)
				c.run(ctx, o)
				returning.Go(func() { c.comeBack(ctx, o) })
			}
		})
	}
	clients.Wait()
	returning.Wait()
}

func (c *Crowd) begin(o plan.Operation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = append(c.begun, o)
}

func (c *Crowd) run(ctx context.Context, o plan.Operation) {
	var senders sync.WaitGroup
	for n, sender := range o.Senders {
		senders.Go(func() { c.send(ctx, o, n, sender) })
	}
	senders.Wait()
}

// send is one client: it tries on one server after the other, always with the
// same key, until it has a final answer, or knows that it comes too late for one or
// has misused the key.
func (c *Crowd) send(ctx context.Context, o plan.Operation, n int, s plan.Sender) {
	rest(ctx, s.Delay)
	for i := 0; ctx.Err() == nil; i++ {
		try := patient
		if i < len(s.Tries) {
			try = s.Tries[i]
		}
		a := c.ask(ctx, o.As(s.Other), n, (s.First+i)%c.config.Servers+1, try)
		if isOver(a) || isMismatch(a) {
			return
		}
		if s.GivesUp && i+1 >= len(s.Tries) {
			return
		}
		rest(ctx, backoff(i))
	}
}

// comeBack asks again long after the answer, to have it replayed; of those who
// use the key for something else, some do so only now.
func (c *Crowd) comeBack(ctx context.Context, o plan.Operation) {
	for i, pause := range o.Returns {
		rest(ctx, pause)
		if ctx.Err() != nil {
			return
		}
		c.ask(ctx, o.As(i%2 > 0), len(o.Senders), (o.Index+i)%c.config.Servers+1, patient)
	}
}

// isOver tells whether a client takes the answer as the last word.
func isOver(a history.Request) bool {
	return isExpired(a) || a.Answered && a.Problem == "" && a.Status < 500 && a.Status != http.StatusTooManyRequests
}

// isExpired tells whether the payment was once answered, and nobody knows how.
func isExpired(a history.Request) bool { return a.Problem == "key-expired" }

// isMismatch tells whether the key is known to stand for another payment.
func isMismatch(a history.Request) bool { return a.Problem == "hash-mismatch" }

// backoff grows with the tries, and is random so that duplicates do not come
// back in step.
func backoff(n int) time.Duration {
	limit := min(20*time.Millisecond<<min(n, 5), 250*time.Millisecond)
	return limit/2 + rand.N(limit/2) //nolint:gosec // no secret
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
