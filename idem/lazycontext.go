package idem

import (
	"context"
	"sync"
	"time"
)

// lazyContext is a context that is cancelled or runs out, and costs next to
// nothing until somebody waits for that. Then it becomes one of package context,
// so that whatever is derived from it ends with it and needs no goroutine.
type lazyContext struct {
	parent context.Context
	// deadline is when it ends by itself, with timeout as its cause; zero: never.
	deadline time.Time
	timeout  error
	// detached: it has the values of parent, and does not end with it.
	detached bool

	// mu guards what follows.
	mu     sync.Mutex
	ranOut bool         // the deadline was seen to have passed
	cause  error        // of a cancellation while real is nil
	real   *realContext // what it has become
}

type realContext struct {
	context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc // of its timer; nil without
}

// newRealContext returns a child of parent. stop is called by who calls cancel.
func newRealContext(parent context.Context, deadline time.Time, timeout error) *realContext {
	c := new(realContext)
	c.Context, c.cancel = context.WithCancelCause(parent)
	if !deadline.IsZero() {
		c.Context, c.stop = context.WithDeadlineCause(c.Context, deadline, timeout)
	}
	return c
}

// String keeps package fmt from looking into a context that changes meanwhile.
func (c *lazyContext) String() string { return "idem.Context" }

// Deadline implements context.Context.
func (c *lazyContext) Deadline() (time.Time, bool) {
	if !c.detached {
		if deadline, ok := c.parent.Deadline(); ok && (c.deadline.IsZero() || deadline.Before(c.deadline)) {
			return deadline, true
		}
	}
	return c.deadline, !c.deadline.IsZero()
}

// Done implements context.Context.
func (c *lazyContext) Done() <-chan struct{} { return c.become().Done() }

// Err implements context.Context.
func (c *lazyContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err()
}

func (c *lazyContext) err() error {
	switch {
	case c.real != nil:
		return c.real.Err()
	case c.cause != nil:
		return context.Canceled
	case c.expired():
		return context.DeadlineExceeded
	case !c.detached:
		return c.parent.Err()
	}
	return nil
}

func (c *lazyContext) expired() bool {
	if !c.ranOut && !c.deadline.IsZero() {
		c.ranOut = time.Until(c.deadline) <= 0 // no wall clock: half the price
	}
	return c.ranOut
}

// Value implements context.Context. Once the context has ended it is real:
// context.Cause finds the cause by way of a value.
func (c *lazyContext) Value(key any) any {
	if _, ok := key.(attemptKey); ok {
		return c.parent.Value(key)
	}
	c.mu.Lock()
	lazy := c.real == nil && c.err() == nil
	c.mu.Unlock()
	switch {
	case !lazy:
		return c.become().Value(key)
	case c.detached:
		return context.WithoutCancel(c.parent).Value(key)
	}
	return c.parent.Value(key)
}

// become returns the context of package context that this one stands for.
func (c *lazyContext) become() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real != nil {
		return c.real.Context
	}
	base := c.parent
	if c.detached {
		base = context.WithoutCancel(base)
	}
	if c.cause != nil {
		c.real = newRealContext(base, time.Time{}, nil)
		c.real.cancel(c.cause)
	} else {
		c.real = newRealContext(base, c.deadline, c.timeout)
	}
	return c.real.Context
}

// cancel ends the context, unless it has ended before.
func (c *lazyContext) cancel(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.causeOfEndLocked() == nil {
		c.cancelLocked(cause)
	}
}

func (c *lazyContext) cancelLocked(cause error) {
	if c.real == nil {
		c.cause = cause
		return
	}
	c.real.cancel(cause)
	if c.real.stop != nil {
		c.real.stop()
	}
}

// finish ends a context that is no longer needed, and returns why it had ended
// before, nil if it had not.
func (c *lazyContext) finish() (early error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if early = c.causeOfEndLocked(); early == nil || c.real != nil {
		c.cancelLocked(context.Canceled)
	}
	return early
}

// drop ends a context that is no longer needed, and does not ask why it may have
// ended before: that would need the time. One that was seen to have ended stays
// as it is.
func (c *lazyContext) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real != nil || c.cause == nil && !c.ranOut {
		c.cancelLocked(context.Canceled)
	}
}

// causeOfEnd returns why the context has ended, nil if it has not.
func (c *lazyContext) causeOfEnd() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.causeOfEndLocked()
}

func (c *lazyContext) causeOfEndLocked() error {
	cause := c.cause
	switch {
	case c.real != nil:
		cause = context.Cause(c.real.Context)
	case cause == nil && !c.detached:
		cause = context.Cause(c.parent)
	}
	if cause == nil && c.expired() {
		// Also where the timer of a real one is a moment late.
		return c.timeout
	}
	return cause
}
