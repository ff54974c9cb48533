package idem

import (
	"fmt"
	"sync"
)

// admission bounds, scope by scope, the requests that one middleware has in
// hand. It decides before a body is read and before the Store is asked, so that
// a refused request costs next to nothing.
type admission struct {
	maxInFlight int // 0: no limit
	maxWaiting  int // 0: no limit

	// mu guards scopes and what it points to, and the fields of every ticket.
	// It is held for a few steps only, never while anything else is called.
	mu sync.Mutex
	// scopes has an entry for each scope with a request in hand, and no other.
	scopes map[string]*crowd
}

// crowd counts the requests of one scope.
type crowd struct {
	inFlight int
	waiting  int
}

// newAdmission returns nil, which admits everything, if cfg sets no limit.
func newAdmission(cfg Config) *admission {
	if cfg.MaxInFlightPerScope == 0 && cfg.MaxWaitingPerScope == 0 {
		return nil
	}
	return &admission{
		maxInFlight: cfg.MaxInFlightPerScope,
		maxWaiting:  cfg.MaxWaitingPerScope,
		scopes:      make(map[string]*crowd),
	}
}

// admit counts a request of scope in, or refuses it.
func (a *admission) admit(scope string) (*ticket, error) {
	if a == nil {
		return nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.scopes[scope]
	if c == nil {
		c = new(crowd)
		a.scopes[scope] = c
	}
	if a.maxInFlight > 0 && c.inFlight >= a.maxInFlight {
		return nil, fmt.Errorf("%w: %d are in flight", ErrTooManyRequests, c.inFlight)
	}
	c.inFlight++
	return &ticket{admission: a, crowd: c, scope: scope, holders: 1}, nil
}

// ticket is a request that was admitted. A nil ticket is one of a middleware
// without limits, and of Do: all its methods do nothing and allow everything.
type ticket struct {
	admission *admission
	crowd     *crowd
	scope     string
	// holders are the request itself and each of its handlers that has not
	// returned: one that was abandoned still takes what is bounded here.
	holders int
	waits   bool
}

// hold counts a handler in that begins to run.
func (t *ticket) hold() {
	if t == nil {
		return
	}
	t.admission.mu.Lock()
	defer t.admission.mu.Unlock()
	t.holders++
}

// drop counts a handler out, or the request itself.
func (t *ticket) drop() {
	if t == nil {
		return
	}
	t.admission.mu.Lock()
	defer t.admission.mu.Unlock()
	t.holders--
	if t.holders > 0 {
		return
	}
	t.crowd.inFlight--
	if t.crowd.inFlight == 0 {
		delete(t.admission.scopes, t.scope)
	}
}

// beginWait tells whether the request may block in the Store's Reserve, until
// endWait.
func (t *ticket) beginWait() bool {
	if t == nil || t.admission.maxWaiting == 0 {
		return true
	}
	t.admission.mu.Lock()
	defer t.admission.mu.Unlock()
	if t.crowd.waiting >= t.admission.maxWaiting {
		return false
	}
	t.crowd.waiting++
	t.waits = true
	return true
}

// endWait may be called without a beginWait, or after one that said no.
func (t *ticket) endWait() {
	if t == nil || t.admission.maxWaiting == 0 {
		return
	}
	t.admission.mu.Lock()
	defer t.admission.mu.Unlock()
	if t.waits {
		t.waits = false
		t.crowd.waiting--
	}
}
