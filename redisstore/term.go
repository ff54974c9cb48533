package redisstore

import (
	"context"
	"sync"
	"time"
)

// term is the time that calls may take on the server, as a context. Calls that
// begin at nearly the same time share one: each with its own would have a timer set,
// nearly always in vain. So a call has the limit at least, and an eighth of it more
// at most; that its caller waits no longer than the limit is up to patience.
type term struct {
	limit time.Duration

	// mu guards what follows.
	mu      sync.Mutex
	ctx     context.Context
	entered time.Time // when the first call began that has ctx
}

// begin returns the context of a call that begins now.
func (t *term) begin() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); t.ctx == nil || now.Sub(t.entered) > t.limit/8 {
		// In two steps: the sum may be too long for a Duration.
		ctx, end := context.WithDeadline(context.Background(), now.Add(t.limit).Add(t.limit/8))
		// Nobody else ends it: each call that has it ends for itself.
		context.AfterFunc(ctx, end)
		t.ctx, t.entered = ctx, now
	}
	return t.ctx
}

// errand is the context of a call that goes alone: it has the values of the
// caller's, and does not end with it.
type errand struct {
	context.Context
	caller context.Context
}

// Value knows no other values of its own than those by which package context finds
// what ends it.
func (e errand) Value(key any) any {
	if own := e.Context.Value(key); own != nil {
		return own
	}
	return e.caller.Value(key)
}
