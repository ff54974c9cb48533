package idem

import (
	"sync"
	"time"
)

// deadlines tells handlers that have run for too long. All have the same limit,
// so the one that began first is the next to be told, and a single timer does
// for all: one for each would cost more than the rest of what watches over a
// handler that returns in time, as nearly all do.
type deadlines struct {
	limit time.Duration

	// mu guards what follows and the places of all that is listed. It is held
	// for a few steps only.
	mu sync.Mutex
	// first and last are the ends of the list of the running, in the order in
	// which they began.
	first, last *handlerRun
	// armed: the timer is set, for no later than the deadline of first. It is
	// left alone when first returns, and set anew when it has fired.
	armed bool
}

// place is where a handler stands in the list.
type place struct {
	listed     bool
	prev, next *handlerRun
}

// newDeadlines returns nil if there is no limit.
func newDeadlines(limit time.Duration) *deadlines {
	if limit <= 0 {
		return nil
	}
	return &deadlines{limit: limit}
}

// add begins to watch h, which has just begun.
func (d *deadlines) add(h *handlerRun) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h.place = place{listed: true, prev: d.last}
	if d.last == nil {
		d.first = h
	} else {
		d.last.place.next = h
	}
	d.last = h
	if !d.armed {
		d.arm(time.Until(h.ctx.deadline))
	}
}

// remove ends the watch. It may be called for one that was told.
func (d *deadlines) remove(h *handlerRun) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unlink(h)
}

func (d *deadlines) unlink(h *handlerRun) {
	p := h.place
	if !p.listed {
		return
	}
	h.place = place{}
	if p.prev == nil {
		d.first = p.next
	} else {
		p.prev.place.next = p.next
	}
	if p.next == nil {
		d.last = p.prev
	} else {
		p.next.place.prev = p.prev
	}
}

func (d *deadlines) arm(after time.Duration) {
	d.armed = true
	time.AfterFunc(after, d.tell)
}

// tell tells all whose time is over, without the lock.
func (d *deadlines) tell() {
	for _, h := range d.overdue(time.Now()) {
		h.contextEnded()
	}
}

// overdue takes those whose time is over out of the list, and arms the timer for
// the next.
func (d *deadlines) overdue(now time.Time) (told []*handlerRun) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for h := d.first; h != nil && !now.Before(h.ctx.deadline); h = d.first {
		d.unlink(h)
		told = append(told, h)
	}
	d.armed = false
	if d.first != nil {
		d.arm(d.first.ctx.deadline.Sub(now))
	}
	return told
}
