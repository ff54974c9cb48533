package txstore

import (
	"context"
	"math/rand/v2"
	"time"
)

// pollGrowth bounds the poll interval, in multiples of the configured one.
const pollGrowth = 8

// wait is one leader's wait for an attempt in another process. It holds no pool
// connection.
//
// The order closes the race with the owner's end. The waiter registers first and
// probes then. The owner runs its wake check with the INSERT of its record and,
// when nobody has registered, keeps everybody from it until its COMMIT is over; or
// it rolls back first and runs the check then. So either the check sees the
// registration, and the owner notifies when it has ended; or the registration
// comes after that end, and the probe sees it.
type wait struct {
	store        *Store
	registration *registration
	interval     time.Duration
}

func (s *Store) newWait(h int32) *wait {
	return &wait{store: s, registration: s.listener.register(h), interval: s.config.PollInterval}
}

// next returns when it is time to look again: when the registration holds, on a
// notification, at the end of a foreign lease, or at the next poll. It returns an
// error when the waiter must give up. told: somebody has let go of the key, and
// mostly that is its owner, who has committed.
func (w *wait) next(ctx context.Context, leaseLeft time.Duration) (told bool, err error) {
	poll := time.NewTimer(w.pause(leaseLeft))
	defer poll.Stop()
	select {
	case told = <-w.registration.wake:
	case <-poll.C:
		w.interval = min(2*w.interval, pollGrowth*w.store.config.PollInterval)
	case <-ctx.Done():
		return false, waitEnded(ctx, true)
	case <-w.store.running.Closed():
		return false, errClosed()
	}
	return told, nil
}

// pause is the time to the next poll: the interval with half of it more or
// less, so that waiters do not poll in step, and no longer than a lease lasts.
func (w *wait) pause(leaseLeft time.Duration) time.Duration {
	d := w.interval/2 + rand.N(w.interval+1)
	if leaseLeft > 0 {
		d = min(d, leaseLeft+time.Millisecond)
	}
	return d
}

// stop ends the wait. It may be called more than once, and on nil.
func (w *wait) stop() {
	if w != nil {
		w.store.listener.unregister(w.registration)
	}
}
