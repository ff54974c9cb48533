package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// parallel is how many payments are being made at any moment, each by all of its
// duplicates.
const parallel = 24

// storm is a run of the plan.
type storm struct {
	plan    []payment
	servers []*server
	client  *client
	tally   *tally

	// mu guards answers.
	mu      sync.Mutex
	answers []history // one for each payment of the plan
}

// history is what the clients of one payment were told.
type history struct {
	answers []answer // final ones, to the order as planned
	reuse   *answer  // to the other amount under the same key
}

func newStorm(plan []payment, servers []*server) *storm {
	return &storm{
		plan:    plan,
		servers: servers,
		client:  newClient(),
		tally:   newTally(),
		answers: make([]history, len(plan)),
	}
}

// blow runs the plan to its end, or until ctx ends.
func (s *storm) blow(ctx context.Context) {
	var clients sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i := range s.plan {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		clients.Go(func() {
			s.makePayment(ctx, i)
			<-slots
		})
	}
	clients.Wait()
	s.client.http.CloseIdleConnections()
}

// makePayment lets the duplicates race. Afterwards some keys are used again.
func (s *storm) makePayment(ctx context.Context, i int) {
	p := &s.plan[i]
	var duplicates sync.WaitGroup
	for _, who := range p.senders {
		duplicates.Go(func() {
			if a, ok := s.send(ctx, p, who, 0); ok {
				s.note(i, func(h *history) { h.answers = append(h.answers, a) })
			}
		})
	}
	duplicates.Wait()
	if p.reuse {
		if a, ok := s.send(ctx, p, p.senders[0], 1); ok {
			s.note(i, func(h *history) { h.reuse = &a })
		}
	}
	if ctx.Err() == nil {
		s.tally.finished.Add(1)
	}
}

func (s *storm) note(i int, change func(*history)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.answers[i])
}

// send is one client: it tries on one server after the other, always with the
// same key, until it has a final answer. extra is added to the amount.
func (s *storm) send(ctx context.Context, p *payment, who sender, extra int64) (answer, bool) {
	order := p.order
	order.Amount += extra
	rest(ctx, who.delay)
	for n := 0; ctx.Err() == nil; n++ {
		var m mood
		if n < len(who.moods) {
			m = who.moods[n]
		}
		to := s.servers[(who.first+n)%len(s.servers)].target()
		s.tally.sent.Add(1)
		s.tally.inFlight.Add(1)
		a, err := s.client.try(ctx, to, p, order, m)
		s.tally.inFlight.Add(-1)
		if err != nil {
			s.tally.unanswered(err)
		} else {
			s.tally.answered(a.status)
			if a.final() {
				return a, true
			}
		}
		rest(ctx, backoff(n))
	}
	return answer{}, false
}

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
