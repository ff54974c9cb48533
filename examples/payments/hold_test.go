package payments

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestHoldEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("too long")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		begun := time.Now()
		if err := pause(ctx, maxHold); !errors.Is(err, cause) {
			t.Errorf("pause: %v", err)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("it took %v", took)
		}
		if err := pause(t.Context(), maxHold); err != nil || time.Since(begun) != time.Second+maxHold {
			t.Errorf("whole hold: %v after %v", err, time.Since(begun))
		}
	})
}
