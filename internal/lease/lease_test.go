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

// With a limit on the handler it is renewed for one lease longer, and lost when
// the last renewal is over.
func TestRenewingEndsByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c counted
		config := c.config(ok)
		config.Limit = duration
		lease.Keep(time.Now(), config)
		time.Sleep(3*duration - 1)
		synctest.Wait()
		if c.renewed.Load() != 6 || c.lost.Load() != 0 {
			t.Errorf("%d renewals, lost %d times", c.renewed.Load(), c.lost.Load())
		}
		time.Sleep(duration)
		if c.renewed.Load() != 6 || c.lost.Load() != 1 {
			t.Errorf("then %d renewals, lost %d times", c.renewed.Load(), c.lost.Load())
		}
	})
}

// A Commit that has failed is repeated for a while: the lease is renewed as long,
// be the handler's time over, or without limit, and no longer.
func TestFailedCommitBoundsTheRenewing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ limit, failsAfter time.Duration }{
		"Unlimited":         {0, duration},
		"LongBefore":        {time.Hour, duration},
		"WhileRenewed":      {duration, 2*duration - 1},
		"AfterTheRenewing":  {duration, 3*duration - time.Second},
		"AsTheRenewingEnds": {duration, 2*duration + duration/3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var lost atomic.Int64
				var counts counted
				config := counts.config(ok)
				config.Limit = c.limit
				begun := time.Now()
				config.Lost = func() { counts.lost.Add(1); lost.Store(int64(time.Since(begun))) }
				k := lease.Keep(begun, config)
				time.Sleep(c.failsAfter)
				k.CommitFailed()
				time.Sleep(time.Second)
				k.CommitFailed() // once more: what counts is the first
				time.Sleep(lease.CommitGrace - 2*time.Second)
				if counts.lost.Load() != 0 {
					t.Fatalf("lost after %v", time.Duration(lost.Load()))
				}
				time.Sleep(2 * duration)
				until := c.failsAfter + lease.CommitGrace
				if at := time.Duration(lost.Load()); counts.lost.Load() != 1 || at < until || at > until+duration {
					t.Errorf("lost %d times, after %v, want it at most one lease after %v", counts.lost.Load(), at, until)
				}
			})
		})
	}
}

// Stopped or lost, there is nothing that a failed Commit could prolong.
func TestFailedCommitRevivesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stopped, lost counted
		k := lease.Keep(time.Now(), stopped.config(ok))
		k.Stop()
		k.CommitFailed()
		config := lost.config(ok)
		config.Limit = duration
		k = lease.Keep(time.Now(), config)
		time.Sleep(4 * duration)
		k.CommitFailed()
		time.Sleep(4 * duration)
		if stopped.renewed.Load() != 0 || stopped.lost.Load() != 0 || lost.renewed.Load() != 6 || lost.lost.Load() != 1 {
			t.Errorf("stopped: %d renewals, lost %d times; lost: %d, %d",
				stopped.renewed.Load(), stopped.lost.Load(), lost.renewed.Load(), lost.lost.Load())
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
