package redisstore

import (
	"context"
	"testing"
	"time"
)

// A Release that is answered does not make a Commit of the same attempt forgotten
// that is still under way.
func TestCallsOfOneAttemptAreAllWaitedFor(t *testing.T) {
	t.Parallel()
	var c calls
	o := owner{"k", "a"}
	commit, release := c.begin(o), c.begin(o)
	release()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.wait(ctx, o); err == nil {
		t.Error("the Commit is still under way, and nobody waits for it")
	}
	commit()
	if err := c.wait(t.Context(), o); err != nil || len(c.of) != 0 {
		t.Errorf("%v, and %d are kept", err, len(c.of))
	}
}
