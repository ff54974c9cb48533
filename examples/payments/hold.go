package payments

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// maxHold is also the middleware's default MaxHandlerTime, so the longest hold
// shows what happens to a handler that takes too long.
const maxHold = 30 * time.Second

// holdTime reads ?sleep_ms=N: how long the handler waits after its writes and
// before its answer, so that races, disconnects and crashes can be tried.
func holdTime(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get("sleep_ms")
	if text == "" {
		return 0, nil
	}
	ms, err := strconv.ParseUint(text, 10, 32)
	hold := time.Duration(ms) * time.Millisecond
	if err != nil || hold > maxHold {
		return 0, badRequest("sleep_ms must be a whole number from 0 to 30000.")
	}
	return hold, nil
}

// pause returns early, with an error, when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
