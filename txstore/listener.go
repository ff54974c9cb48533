package txstore

import (
	"context"
	"sync"
)

// maxRegistered bounds the numbers that one Store waits for by notification:
// session locks fill the server's lock table for everybody. Beyond it waiters
// only poll.
const maxRegistered = 1000

// listener hears of the ends of other processes' attempts, for all waiters of a
// Store, on one connection outside the pool. It connects when the first waiter
// comes and disconnects some time after the last has gone.
//
// It decides what should be locked; the session (see session.go) is the only one
// to touch the connection, and makes it so.
type listener struct {
	store *Store

	// mu guards what follows. It is never held across a call on the connection.
	mu     sync.Mutex
	wanted map[int32]*entry
	// changed tells the session that wanted has changed since it last looked.
	changed bool
	// interrupt ends the session's wait; nil while it does not wait.
	interrupt context.CancelFunc
	// ended is closed when the session's goroutine has ended; nil if none runs.
	ended  chan struct{}
	closed bool
	// deaf: something between the store and the server answers in its name. A
	// LISTEN would seem to work there, and nothing would ever arrive.
	deaf bool
}

// entry is a number that somebody waits for.
type entry struct {
	// registered: the session holds its lock, so that the owner's wake check
	// cannot miss it any more.
	registered bool
	waiters    map[*registration]struct{}
}

// registration is one waiter's place. wake has a value when it is time to look:
// after the registration has come to hold, and after each notification, for
// which the value is true.
type registration struct {
	h    int32
	wake chan bool
}

func newListener(s *Store) *listener {
	return &listener{store: s, wanted: make(map[int32]*entry)}
}

func (r *registration) signal(told bool) {
	select {
	case r.wake <- told:
	default: // it has not yet heard the last one, and will look after this
	}
}

// register makes a waiter hear of h. Where that is not possible, its wake stays
// silent and its poll has to do.
func (l *listener) register(h int32) *registration {
	r := &registration{h: h, wake: make(chan bool, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.useless() || l.store.config.DisableListen {
		return r
	}
	e := l.wanted[h]
	if e == nil {
		if len(l.wanted) >= maxRegistered {
			return r
		}
		e = &entry{waiters: make(map[*registration]struct{})}
		l.wanted[h] = e
		l.change()
	}
	e.waiters[r] = struct{}{}
	if e.registered {
		r.signal(false)
	}
	if l.ended == nil {
		l.ended = make(chan struct{})
		go l.run(l.ended)
	}
	return r
}

// unregister gives a waiter's place up. It may be called more than once.
func (l *listener) unregister(r *registration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.wanted[r.h]
	if e == nil {
		return
	}
	delete(e.waiters, r)
	if len(e.waiters) == 0 {
		delete(l.wanted, r.h)
		l.change()
	}
}

// change makes the session look at what is wanted. The caller holds mu.
func (l *listener) change() {
	l.changed = true
	if l.interrupt != nil {
		l.interrupt()
	}
}

// notified wakes the waiters for h.
func (l *listener) notified(h int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.signalAll(l.wanted[h], true)
}

func (l *listener) signalAll(e *entry, told bool) {
	if e == nil {
		return
	}
	for r := range e.waiters {
		r.signal(told)
	}
}

// registered notes that the lock for h is held, and wakes its waiters for the
// probe that must follow.
func (l *listener) registered(h int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.wanted[h]; e != nil && !e.registered {
		e.registered = true
		l.signalAll(e, false)
	}
}

// disconnected notes that no lock is held any more.
func (l *listener) disconnected() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.wanted {
		e.registered = false
	}
	l.changed = true
}

// foundPooler makes waiters poll, unless a direct address was configured.
func (l *listener) foundPooler() {
	if l.store.config.ListenConn == nil {
		l.deafen()
	}
}

func (l *listener) deafen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.deaf {
		l.deaf = true
		l.change()
	}
}

// useless tells whether there is nothing to hear, ever. The caller holds mu.
func (l *listener) useless() bool { return l.closed || l.deaf }

// close ends the session and waits for it.
func (l *listener) close() {
	l.mu.Lock()
	l.closed = true
	l.change()
	ended := l.ended
	l.mu.Unlock()
	if ended != nil {
		<-ended
	}
}
