package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pgidem/pgidem/examples/payments"
)

// Bounds of what is random.
const (
	minHold     = 20 * time.Millisecond
	maxHold     = 400 * time.Millisecond
	maxAmount   = 5000
	tenantCount = 3
	// reuseEvery: one key in so many is used again for another amount.
	reuseEvery = 20
)

// payment is one payment that somebody wants to be made exactly once: an order
// and the key under which all of its duplicates are sent.
type payment struct {
	tenant string
	key    string
	order  payments.Order
	// hold is how long the handler is kept busy, so that duplicates meet it in
	// flight.
	hold    time.Duration
	senders []sender
	// reuse: when the payment has been made, its key is sent with another
	// amount.
	reuse bool
}

// sender is one of the duplicates: a client that tries until it has an answer.
type sender struct {
	delay time.Duration // before the first try
	first int           // the server it tries first
	moods []mood        // of its first tries; afterwards it is patient
}

// mood is what a client does when its answer is not there in time.
type mood struct {
	hangUp bool // breaks off once the request is sent, instead of timing out
	after  time.Duration
}

// plan decides everything about the clients that is random. The same seed makes
// the same plan; how it then goes is up to the scheduler.
func plan(o options) []payment {
	random := rand.New(rand.NewPCG(o.seed, 0)) //nolint:gosec // a storm, no secret
	list := make([]payment, o.keys)
	for i := range list {
		list[i] = planPayment(random, i, o.duplicates)
	}
	return list
}

// planPayment lets all tenants use the same keys: it is the scope that keeps
// them apart.
func planPayment(random *rand.Rand, i, duplicates int) payment {
	hold := between(random, minHold, maxHold)
	p := payment{
		tenant: fmt.Sprintf("tenant_%d", i%tenantCount+1),
		key:    fmt.Sprintf("checkout-%d", i/tenantCount+1),
		order: payments.Order{
			Account:   fmt.Sprintf("acct_%d", random.IntN(payments.AccountCount)+1),
			Amount:    random.Int64N(maxAmount) + 1,
			Currency:  "usd",
			Reference: fmt.Sprintf("order-%d", i+1),
		},
		hold:  hold,
		reuse: i%reuseEvery == 0,
	}
	for n := range duplicates {
		p.senders = append(p.senders, planSender(random, n, hold))
	}
	return p
}

// planSender lets the first two clients start together on two servers; the
// others come while the handler runs, and some when it is done.
func planSender(random *rand.Rand, n int, hold time.Duration) sender {
	s := sender{first: n}
	if n >= serverCount {
		s.delay = between(random, 0, hold*3/2)
	}
	for random.IntN(3) == 0 && len(s.moods) < 3 {
		s.moods = append(s.moods, mood{
			hangUp: random.IntN(2) == 0,
			after:  between(random, time.Millisecond, hold),
		})
	}
	return s
}

// between returns a duration from low up to high, without high itself.
func between(random *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(random.Int64N(int64(high-low)))
}
