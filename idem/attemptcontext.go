package idem

import (
	"context"
	"time"
)

type attemptKey struct{}

// WithAttempt returns a context that carries a new Attempt. An attempt that ctx
// carries already becomes its enclosing one.
func WithAttempt(ctx context.Context, config AttemptConfig) (context.Context, *Attempt) {
	c := new(attemptContext)
	c.begin(ctx, config)
	return c, &c.attempt
}

// attemptContext is a context with one value, the attempt.
type attemptContext struct {
	context.Context
	attempt Attempt
}

func (c *attemptContext) begin(ctx context.Context, config AttemptConfig) {
	c.Context = ctx
	c.attempt.config = config
	c.attempt.parent, _ = AttemptFromContext(ctx)
}

func (c *attemptContext) Value(key any) any {
	if _, ok := key.(attemptKey); ok {
		return &c.attempt
	}
	return c.Context.Value(key)
}

// String keeps package fmt from looking into an attempt that changes meanwhile.
func (c *attemptContext) String() string { return "idem.Attempt" }

// detachedAttempt is the same context, but that it never ends.
type detachedAttempt attemptContext

func (c *detachedAttempt) Deadline() (deadline time.Time, ok bool) { return deadline, false }
func (c *detachedAttempt) Done() <-chan struct{}                   { return nil }
func (c *detachedAttempt) Err() error                              { return nil }
func (c *detachedAttempt) String() string                          { return "idem.Attempt" }

func (c *detachedAttempt) Value(key any) any {
	if _, ok := key.(attemptKey); ok {
		return &c.attempt
	}
	return context.WithoutCancel(c.Context).Value(key)
}

// AttemptFromContext returns the innermost attempt that ctx carries, false if
// there is none.
func AttemptFromContext(ctx context.Context) (*Attempt, bool) {
	a, ok := ctx.Value(attemptKey{}).(*Attempt)
	return a, ok
}
