package idem_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
)

func TestDoEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	shutdown := errors.New("worker shuts down")
	var l ledger
	cfg := idem.DoConfig{Store: transactionalStore{newMemory(t)}}
	ctx, cancel := context.WithCancelCause(t.Context())
	eventually := time.AfterFunc(10*time.Millisecond, func() { cancel(shutdown) })
	defer eventually.Stop()
	_, err := idem.Do(ctx, cfg, "k", nil, untilDone(&l))
	if !errors.Is(err, context.Canceled) || !errors.Is(err, shutdown) {
		t.Errorf("Do = %v", err)
	}
	l.mustHold(t, 1, 0)
	if got, err := idem.Do(t.Context(), cfg, "k", nil, untilDone(&l)); err != nil || got.ID != 2 {
		t.Errorf("retry = %+v, %v", got, err)
	}
	l.mustHold(t, 2, 1)
}

// Behaviour 34.
func TestDoDetachedGoesOnWithoutItsCaller(t *testing.T) {
	t.Parallel()
	var l ledger
	cfg := idem.DoConfig{Store: transactionalStore{newMemory(t)}, Detach: true}
	ctx, cancel := context.WithCancel(t.Context())
	got, err := idem.Do(ctx, cfg, "k", nil, func(ctx context.Context) (receipt, error) {
		cancel()
		if ctx.Err() != nil {
			t.Error("the function was cancelled")
		}
		return charger(&l)(ctx)
	})
	if err != nil || got.ID != 1 {
		t.Errorf("Do = %+v, %v", got, err)
	}
	if got, err := idem.Do(t.Context(), cfg, "k", nil, charger(&l)); err != nil || got.ID != 1 {
		t.Errorf("retry = %+v, %v", got, err)
	}
	l.mustHold(t, 1, 1)
}

func TestDoWithAnEndedContextRunsNothing(t *testing.T) {
	t.Parallel()
	for name, detach := range map[string]bool{"Attached": false, "Detached": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			cfg := idem.DoConfig{Store: newMemory(t), Detach: detach}
			if _, err := idem.Do(ctx, cfg, "k", nil, charger(&l)); !errors.Is(err, context.Canceled) {
				t.Errorf("Do = %v", err)
			}
			l.mustHold(t, 0, 0)
		})
	}
}

// The context that ends just after Reserve finds the function not begun.
func TestDoCancelledAfterReserveRunsNothing(t *testing.T) {
	t.Parallel()
	var l ledger
	ctx, cancel := context.WithCancel(t.Context())
	inner := newMemory(t)
	cfg := idem.DoConfig{Store: afterReserve{inner, cancel}}
	if _, err := idem.Do(ctx, cfg, "k", nil, charger(&l)); !errors.Is(err, context.Canceled) {
		t.Errorf("Do = %v", err)
	}
	l.mustHold(t, 0, 0)
	if _, err := idem.Do(t.Context(), idem.DoConfig{Store: inner}, "k", nil, charger(&l)); err != nil {
		t.Errorf("retry: %v", err)
	}
}

type afterReserve struct {
	idem.Store
	then func()
}

func (s afterReserve) Reserve(ctx context.Context, key, hash string, ttl time.Duration) (*idem.Cached, bool, error) {
	defer s.then()
	return s.Store.Reserve(ctx, key, hash, ttl)
}
