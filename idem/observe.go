package idem

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"
)

// observation is what all events of one request share.
type observation struct {
	observer func(context.Context, Event)
	begun    time.Time
	key      string
	inClear  bool
}

// tell completes event and tells it. A panic of the observer must not cost the
// client an answer that was earned already.
func (o observation) tell(ctx context.Context, event Event) {
	if o.observer == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			slog.ErrorContext(ctx, "idem: Observer panicked", "panic", v)
		}
	}()
	event.KeyDigest = keyDigest(o.key)
	if o.inClear {
		event.Key = o.key
	}
	event.Duration = time.Since(o.begun)
	o.observer(ctx, event)
}

func (x *exchange) observe(ctx context.Context, event Event) {
	observation{x.config.Observer, x.begun, x.execution.key, x.config.ObserveKeys}.tell(ctx, event)
}

// late tells the end of what went on after the answer.
func (x *exchange) late(ctx context.Context, outcome Outcome, err error) {
	x.observe(ctx, Event{Outcome: outcome, Late: true, Err: err})
}

func (c *call) observe(ctx context.Context, event Event) {
	observation{c.config.Observer, c.begun, c.key, c.config.ObserveKeys}.tell(ctx, event)
}

func keyDigest(key string) string {
	if key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}
