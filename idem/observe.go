package idem

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"
)

// observe completes event and tells it. A panic of the observer must not cost
// the client an answer that was earned already.
func (x *exchange) observe(ctx context.Context, event Event) {
	if x.config.Observer == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			slog.ErrorContext(ctx, "idem: Config.Observer panicked", "panic", v)
		}
	}()
	event.KeyDigest = keyDigest(x.key)
	if x.config.ObserveKeys {
		event.Key = x.key
	}
	event.Duration = time.Since(x.begun)
	x.config.Observer(ctx, event)
}

// observeLate tells the end of a Commit that went on after the answer.
func (x *exchange) observeLate(outcome Outcome, err error) {
	x.observe(context.WithoutCancel(x.r.Context()), Event{
		Outcome: outcome,
		Status:  x.rec.status,
		Runs:    x.runs,
		Err:     err,
	})
}

func keyDigest(key string) string {
	if key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}
