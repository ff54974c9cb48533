package lease_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/lease"
)

const duration = 30 * time.Second

// counted is a lease whose renewals answer what err returns.
type counted struct {
	renewed, lost atomic.Int64
}

func (c *counted) config(err func(n int64) error) lease.Config {
	return lease.Config{
		Duration: duration,
		Renew:    func(context.Context) error { return err(c.renewed.Add(1)) },
		Lost:     func() { c.lost.Add(1) },
	}
}

func ok(int64) error { return nil }

// Behaviour 9.
func TestRenewsAtAThirdUntilStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c counted
		k := lease.Keep(time.Now(), c.config(ok))
		time.Sleep(5*duration + time.Second)
		if n := c.renewed.Load(); n != 15 || c.lost.Load() != 0 {
			t.Errorf("%d renewals, lost %d times", n, c.lost.Load())
		}
		k.Stop()
		k.Stop()
		time.Sleep(duration)
		if n := c.renewed.Load(); n != 15 {
			t.Errorf("renewed after Stop: %d", n)
		}
	})
}

// Behaviour 9.
func TestRefusedRenewalLosesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c counted
		lease.Keep(time.Now(), c.config(func(int64) error { return idem.ErrLeaseLost }))
		time.Sleep(duration/3 + time.Second)
		if c.renewed.Load() != 1 || c.lost.Load() != 1 {
			t.Errorf("%d renewals, lost %d times", c.renewed.Load(), c.lost.Load())
		}
		time.Sleep(duration)
		if c.renewed.Load() != 1 || c.lost.Load() != 1 {
			t.Errorf("then %d renewals, lost %d times", c.renewed.Load(), c.lost.Load())
		}
	})
}

// Behaviour 9.
func TestFailedRenewalIsTriedUntilTheLeaseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c counted
		start := time.Now()
		config := c.config(func(int64) error { return errors.New("cut off") })
		var lostAt atomic.Int64
		config.Lost = func() { lostAt.Store(int64(time.Since(start))) }
		lease.Keep(start, config)
		time.Sleep(2 * duration)
		if lost := time.Duration(lostAt.Load()); lost != duration || c.renewed.Load() < 5 {
			t.Errorf("lost after %v and %d renewals", lost, c.renewed.Load())
		}
	})
}

func TestOneFailureIsOvercome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c counted
		k := lease.Keep(time.Now(), c.config(func(n int64) error {
			if n == 1 {
				return errors.New("cut off")
			}
			return nil
		}))
		time.Sleep(3 * duration)
		k.Stop()
		if c.lost.Load() != 0 || c.renewed.Load() < 9 {
			t.Errorf("%d renewals, lost %d times", c.renewed.Load(), c.lost.Load())
		}
	})
}

func TestHungRenewalEndsWithTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c counted
		config := c.config(nil)
		config.Renew = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		lease.Keep(time.Now(), config)
		time.Sleep(duration + time.Second)
		if c.lost.Load() != 1 {
			t.Errorf("lost %d times", c.lost.Load())
		}
	})
}

func TestRenewingEndsByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c counted
		config := c.config(ok)
		config.Until = time.Now().Add(duration)
		lease.Keep(time.Now(), config)
		time.Sleep(3 * duration)
		if c.renewed.Load() > 3 || c.lost.Load() != 1 {
			t.Errorf("%d renewals, lost %d times", c.renewed.Load(), c.lost.Load())
		}
	})
}

func TestStopCutsARenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c counted
		cut := make(chan struct{})
		config := c.config(nil)
		config.Renew = func(ctx context.Context) error { <-ctx.Done(); close(cut); return ctx.Err() }
		k := lease.Keep(time.Now(), config)
		time.Sleep(duration/3 + time.Second)
		k.Stop()
		<-cut
		synctest.Wait()
		if c.lost.Load() != 0 {
			t.Error("a stopped lease was called lost")
		}
	})
}
