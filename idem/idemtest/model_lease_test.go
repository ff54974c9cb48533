package idemtest_test

import (
	"context"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// modelShortLease is long enough for a machine that runs many cases at once.
const modelShortLease = 400 * time.Millisecond

// now is the model's clock. The caller holds mu.
func (m *model) now() time.Time {
	if m.running {
		return m.clock.Add(time.Since(modelStart))
	}
	return m.clock
}

var modelStart = time.Now()

// poll is when a waiter looks again by itself: only a running clock ends a lease
// without anybody's doing.
func (m *model) poll() <-chan time.Time {
	if m.running {
		return time.After(m.lease / 4)
	}
	return nil
}

// keep renews e at a third of its lease while it is held.
func (m *model) keep(ctx context.Context, key string, e *entry) {
	if !m.running || m.has("does not renew") {
		return
	}
	attempt, _ := idem.AttemptFromContext(ctx)
	var renew func()
	renew = func() {
		select {
		case <-m.stopped:
			return
		default:
		}
		if m.renew(attempt, key, e) {
			time.AfterFunc(m.lease/3, renew)
		}
	}
	time.AfterFunc(m.lease/3, renew)
}

// renew prolongs e, and tells whether to go on.
func (m *model) renew(attempt *idem.Attempt, key string, e *entry) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	current := m.entries[key]
	switch {
	case m.has("renews what has ended") && (current == nil || current == e):
		m.entries[key] = e
		e.expires = m.now().Add(1000 * time.Hour)
	case current == e && e.completed, current == nil:
		return false
	case current != e:
		if attempt != nil && !m.has("keeps a lost lease to itself") {
			attempt.LoseLease()
		}
		return false
	}
	e.leasedTo = m.now().Add(m.lease)
	return true
}
