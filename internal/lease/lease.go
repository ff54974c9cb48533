// Package lease keeps a reservation alive while its handler runs.
package lease

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pgidem/pgidem/idem"
)

const (
	// Shortest leaves room for the round trips of a renewal.
	Shortest = 10 * time.Millisecond
	// Longest bounds for how long a crash can keep its key in flight.
	Longest = 24 * time.Hour

	// renewals is how many renewals fit into one lease: two may fail before it
	// ends.
	renewals = 3
	// tries is how many times as fast a failed renewal is tried again.
	tries = 4
	// afterHandler is how much longer than its handler may run a lease is renewed,
	// in leases. A handler that is cancelled at its limit gets a moment to return,
	// and its response is committed then: the last renewal alone would leave it
	// two thirds of a lease. More would only keep the key of a handler that never
	// returns for longer; a Commit that has to be repeated has its own time.
	afterHandler = 1
)

// CommitGrace is how long a lease is renewed after its first Commit has failed:
// as long as the core repeats it, which is half a minute, and as the last
// repetition may take. Then nobody will settle it any more, and its key must not
// stay in flight until the process ends.
const CommitGrace = 45 * time.Second

// Config says what is kept alive, and how.
type Config struct {
	// Duration is how long the lease lasts from its reservation or its last
	// renewal.
	Duration time.Duration
	// Limit is how long the handler may run; zero: without limit. One lease
	// after that the renewing ends even if nobody stops it, and when the lease
	// has ended too it is lost.
	Limit time.Duration
	// CommitGrace is what the constant says, which is the default.
	CommitGrace time.Duration
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
	failed  bool      // a Commit has
	until   time.Time // when the renewing ends by itself; zero: never
	// safe is until when the lease lasts on this process's clock, counted from
	// before the call that prolonged it: never later than on the store's.
	safe time.Time
}

// Keep begins to renew a lease that was reserved by a call which began at
// reserved.
func Keep(reserved time.Time, config Config) *Keeper {
	k := &Keeper{config: config, safe: reserved.Add(config.Duration)}
	k.config.CommitGrace = cmp.Or(config.CommitGrace, CommitGrace)
	if config.Limit > 0 { // their sum may be more than a Duration holds
		k.until = reserved.Add(config.Limit).Add(afterHandler * config.Duration)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timer = time.AfterFunc(time.Until(reserved.Add(config.Duration/renewals)), k.renew)
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

// CommitFailed says that the handler has returned and that its Commit, which has
// failed, will be repeated: CommitGrace from the first such call on bounds the
// renewing now, whatever the handler's limit was.
func (k *Keeper) CommitFailed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed || k.stopped {
		return
	}
	now := time.Now()
	if k.over(now) && k.cancel == nil {
		k.timer.Reset(0) // it waited for the lease to end
	}
	k.failed, k.until = true, now.Add(k.config.CommitGrace)
}

// over tells whether the lease was renewed for long enough.
func (k *Keeper) over(now time.Time) bool { return !k.until.IsZero() && now.After(k.until) }

func (k *Keeper) renew() {
	ctx, lost := k.begin()
	if ctx != nil {
		began := time.Now()
		lost = k.next(began, k.config.Renew(ctx))
	}
	if lost {
		k.config.Lost()
	}
}

// begin returns the context of a renewal, which must be over when the lease is.
// Without one, the lease may have been renewed for long enough, and be lost when
// it has ended.
func (k *Keeper) begin() (ctx context.Context, lost bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	switch {
	case k.stopped || k.cancel != nil: // CommitFailed has set the timer as it fired
		return nil, false
	case !k.over(now):
		ctx, k.cancel = context.WithDeadline(context.Background(), k.safe)
		return ctx, false
	case now.Before(k.safe):
		k.timer.Reset(k.safe.Sub(now))
		return nil, false
	}
	k.stopped = true
	return nil, true
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
