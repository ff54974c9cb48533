package idemtest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// model is a small store that is right, unless bug names one of its deliberate
// mistakes. It favours a plain sight of them over speed: one lock, one wake-up
// for all.
type model struct {
	*backend
	bug   string
	lease time.Duration // 0: none
	// running: the clock runs, and leases are renewed.
	running bool
	closed  bool // guarded by backend.mu, as broken
	broken  bool
}

// backend is what several models share as peers.
type backend struct {
	mu      sync.Mutex
	entries map[string]*entry
	changed chan struct{} // closed and renewed with every change
	clock   time.Time     // stands still but for age
	stopped chan struct{} // ends what a wrong model leaves behind
}

type entry struct {
	hash      string
	owner     string // attempt id
	ttl       time.Duration
	leasedTo  time.Time
	completed bool
	corrupt   bool
	remember  time.Duration
	handedOn  bool // only with a bug: kept for a waiter
	waiters   int  // only for a bug
	everyones bool // only for a bug
	response  *idem.Cached
	expires   time.Time
	fenceless bool   // only for a bug
	before    *entry // the expired one it replaces, only for a bug
}

func newBackend() *backend {
	return &backend{
		entries: make(map[string]*entry),
		changed: make(chan struct{}),
		clock:   time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
		stopped: make(chan struct{}),
	}
}

func (b *backend) age(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clock = b.clock.Add(d)
	b.wake()
}

// wake lets all waiters look again.
func (b *backend) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (m *model) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if !m.has("close wakes nobody") {
		m.wake()
	}
}

func (m *model) has(bug string) bool { return m.bug == bug }

// bound is what the model binds to an attempt.
type bound struct{ e *entry }

func (m *model) owner(ctx context.Context) string {
	if a, ok := idem.AttemptFromContext(ctx); ok {
		return a.ID()
	}
	return ""
}

// owns tells whether e was reserved in ctx's attempt.
func (m *model) owns(ctx context.Context, e *entry) bool {
	owner := m.owner(ctx)
	return e.owner == owner || e.fenceless || m.has("no fence") || owner == "" && m.has("no fence without attempt")
}

func (m *model) nested(ctx context.Context, e *entry) bool {
	switch m.bug {
	case "no ErrNested":
		return false
	case "ErrNested only in the same attempt":
		return e != nil && e.owner != "" && e.owner == m.owner(ctx)
	case "ErrNested whatever the key":
		_, ok := idem.Bound(ctx, func(bound) bool { return true })
		return ok
	}
	_, ok := idem.Bound(ctx, func(b bound) bool { return e != nil && b.e == e })
	return ok && !e.completed
}

func (m *model) expired(e *entry) bool {
	now := m.now()
	switch {
	case !e.completed:
		return m.lease > 0 && !now.Before(e.leasedTo) && !m.has("leases never end")
	case m.has("instant of expiry is alive"):
		return now.After(e.expires)
	case m.has("half the TTL"):
		return !now.Before(e.expires.Add(-e.ttl / 2))
	}
	return !now.Before(e.expires)
}

// refuse returns why a Reserve is not even looked at.
func (m *model) refuse(ctx context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed && !m.has("answers when closed"):
		return fmt.Errorf("model: %w", idem.ErrStoreClosed)
	case m.broken && m.has("nameless error"):
		return errors.New("connection refused")
	case m.broken && !m.has("answers when broken"):
		return fmt.Errorf("model: %w", idem.ErrStoreUnavailable)
	case m.has("accepts every key"):
		return nil
	}
	if err := ctx.Err(); err != nil && !m.has("does not look at ctx first") {
		return m.ended(ctx, false)
	}
	return idem.ValidateKey(key)
}

// ended is the error for a ctx that has ended.
func (m *model) ended(ctx context.Context, seen bool) error {
	err := ctx.Err()
	switch {
	case m.has("one error for every end"):
		return idem.ErrWaitTimeout
	case m.has("deadline is its own error"):
		return err
	case !errors.Is(err, context.DeadlineExceeded):
		return err
	case seen || m.has("ErrWaitTimeout unseen"):
		return idem.ErrWaitTimeout
	}
	return fmt.Errorf("model: %w: %w", idem.ErrStoreUnavailable, err)
}
