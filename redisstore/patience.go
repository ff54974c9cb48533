package redisstore

import (
	"sync"
	"time"
)

// patience bounds how long callers wait for their answers. A timer for each call
// would cost as much as a good part of the call itself, nearly always in vain; so
// there is one, for the call that has been waiting longest when it is set. It goes
// off later than that call is due only by what the timer is late.
type patience struct {
	limit   time.Duration
	mu      sync.Mutex // guards what follows, and the places of the calls
	waiting bool       // the timer is set
	// The calls that are waited for, in the order in which they began, which is
	// that in which they are due.
	oldest, newest *call
}

// place is where a call stands among those that are waited for.
type place struct {
	taken        bool
	due          time.Time
	older, newer *call
}

// begin has c given up when its time is over.
func (p *patience) begin(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.place = place{taken: true, due: time.Now().Add(p.limit), older: p.newest}
	if p.newest != nil {
		p.newest.place.newer = c
	} else {
		p.oldest = c
	}
	p.newest = c
	if !p.waiting {
		p.waiting = true
		time.AfterFunc(p.limit, p.giveUp)
	}
}

// end takes c out, and returns false if somebody has done that.
func (p *patience) end(c *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.place.taken {
		return false
	}
	p.remove(c)
	return true
}

// remove takes c out. The caller holds mu.
func (p *patience) remove(c *call) {
	older, newer := c.place.older, c.place.newer
	c.place = place{}
	if older != nil {
		older.place.newer = newer
	} else {
		p.oldest = newer
	}
	if newer != nil {
		newer.place.older = older
	} else {
		p.newest = older
	}
}

// giveUp ends the wait for all calls that are due, and sets the timer for the one
// that is due next, if there is one.
func (p *patience) giveUp() {
	for {
		c := p.overdue()
		if c == nil {
			return
		}
		if c.abandon() {
			c.givenUp = true
			c.done <- struct{}{}
		}
	}
}

// overdue takes a call out that is due, or sets the timer and returns nil.
func (p *patience) overdue() *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.oldest
	if c == nil {
		p.waiting = false
		return nil
	}
	if left := time.Until(c.place.due); left > 0 {
		time.AfterFunc(left, p.giveUp)
		return nil
	}
	p.remove(c)
	return c
}
