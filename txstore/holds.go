package txstore

import (
	"context"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// hold returns the caller's lease on key.
func (d *leasedStore) hold(ctx context.Context, key string) (*leaseHold, bool) {
	if _, ok := idem.AttemptFromContext(ctx); ok {
		return d.s.boundLease(ctx, key)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	l, ok := d.plain[key]
	return l, ok
}

// remember is what hold finds a lease by: its attempt or, without one, its key.
func (d *leasedStore) remember(l *leaseHold) {
	if l.attempt != nil {
		l.attempt.Bind(l)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plain[l.key] = l
}

// recall is how long a committed lease without an attempt stays known, for a
// second Commit.
const recall = time.Minute

// forget drops a lease that was reserved without an attempt.
func (d *leasedStore) forget(l *leaseHold) {
	switch {
	case l.attempt != nil:
	case l.committed:
		time.AfterFunc(min(l.ttl, recall), func() { d.drop(l) })
	default:
		d.drop(l)
	}
}

func (d *leasedStore) drop(l *leaseHold) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.plain[l.key] == l {
		delete(d.plain, l.key)
	}
}
