// Package lease keeps a reservation alive while its handler runs.
package lease

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
)

const (
	// renewals is how many renewals fit into one lease: two may fail before it
	// ends.
	renewals = 3
	// tries is how many times as fast a failed renewal is tried again.
	tries = 4
)

// Config says what is kept alive, and how.
type Config struct {
	// Duration is how long the lease lasts from its reservation or its last
	// renewal.
	Duration time.Duration
	// Until is when renewing ends even if nobody stops it; zero: never. The lease
	// is lost then as soon as it has ended.
	Until time.Time
	// Renew prolongs the lease. An error that is idem.ErrLeaseLost says that
	// there is nothing left to prolong; after any other it is tried again.
	Renew func(context.Context) error
	// Lost is called once when the lease has ended against the holder's will.
	Lost func()
}

// Keeper renews one lease at a third of its duration. There is no goroutine
// between two renewals.
type Keeper struct {
	config Config

	// mu guards what follows. It is not held while Renew or Lost run.
	mu      sync.Mutex
	timer   *time.Timer
	cancel  context.CancelFunc // of the renewal under way
	stopped bool
	// safe is until when the lease lasts on this process's clock, counted from
	// before the call that prolonged it: never later than on the store's.
	safe time.Time
}

// Keep begins to renew a lease that was reserved by a call which began at
// reserved.
func Keep(reserved time.Time, config Config) *Keeper {
	k := &Keeper{config: config, safe: reserved.Add(config.Duration)}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timer = time.AfterFunc(config.Duration/renewals, k.renew)
	return k
}

// Stop ends the renewing and cuts a renewal under way. It may be called more
// than once.
func (k *Keeper) Stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	k.timer.Stop()
	if k.cancel != nil {
		k.cancel()
	}
}

func (k *Keeper) renew() {
	ctx, ok := k.begin()
	if !ok {
		return
	}
	began := time.Now()
	err := k.config.Renew(ctx)
	if k.next(began, err) {
		k.config.Lost()
	}
}

// begin returns the context of a renewal, which must be over when the lease is.
func (k *Keeper) begin() (context.Context, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return nil, false
	}
	if !k.config.Until.IsZero() && time.Now().After(k.config.Until) {
		k.timer = time.AfterFunc(time.Until(k.safe), k.expire)
		return nil, false
	}
	ctx, cancel := context.WithDeadline(context.Background(), k.safe)
	k.cancel = cancel
	return ctx, true
}

// expire is the end of a lease that was renewed long enough.
func (k *Keeper) expire() {
	k.mu.Lock()
	stopped := k.stopped
	k.stopped = true
	k.mu.Unlock()
	if !stopped {
		k.config.Lost()
	}
}

// next plans the next renewal, or tells that the lease is lost.
func (k *Keeper) next(began time.Time, err error) (lost bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cancel()
	k.cancel = nil
	if k.stopped {
		return false
	}
	pause := k.config.Duration / renewals
	switch {
	case err == nil:
		k.safe = began.Add(k.config.Duration)
	case errors.Is(err, idem.ErrLeaseLost) || !time.Now().Before(k.safe):
		k.stopped = true
		return true
	default:
		pause = min(pause/tries, time.Until(k.safe))
	}
	k.timer.Reset(pause)
	return false
}
