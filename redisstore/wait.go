package redisstore

import (
	"math/rand/v2"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// pollGrowth bounds the poll interval, in multiples of the configured one.
const pollGrowth = 8

// wait is a leader's wait for the attempt in flight.
//
// The owner publishes only where a waiter has marked its lease, and the order
// closes the race with the owner's end. The waiter subscribes, hears that the
// server has its subscription, and probes then, in one script that looks and marks;
// the owner commits, finds the mark and publishes, in one script too. So either the
// commit came before the probe, which sees it, or it comes after the mark, and its
// message finds the subscription. A lease that follows on a marked one without a
// message, because that has ended by itself, is marked from the beginning.
type wait struct {
	request      *request
	flight       *flight
	registration *registration // nil while the attempt in flight runs here
	interval     time.Duration
}

func (q *request) newWait(f *flight) *wait {
	return &wait{request: q, flight: f, interval: q.store.config.PollInterval}
}

// next returns nil when it is time to probe again: when the server has confirmed
// the subscription, when a message has come, when the attempt has ended here, at
// the end of the lease, or at the next poll. It returns a response that was
// committed here, or an error when the waiter must give up.
func (w *wait) next(found finding) (*idem.Cached, error) {
	q := w.request
	if w.registration == nil && !q.store.live.holds(q.key, found.attempt) {
		w.registration = q.store.listener.register(q.ctx, q.store.config.Prefix+q.key)
		q.listens = w.registration.session != nil
	}
	poll := time.NewTimer(w.pause(found.leaseLeft))
	defer poll.Stop()
	select {
	case <-w.flight.done:
		return w.flight.result()
	case <-w.flight.poked:
	case <-w.wake():
	case <-poll.C:
		w.interval = min(2*w.interval, pollGrowth*q.store.config.PollInterval)
	case <-q.ctx.Done():
		return nil, waitEnded(q.ctx, true)
	case <-q.store.running.Closed():
		return nil, errClosed()
	}
	return nil, nil
}

// wake is the registration's channel; nothing comes where there is none.
func (w *wait) wake() <-chan struct{} {
	if w.registration == nil {
		return nil
	}
	return w.registration.wake
}

// pause is the time to the next poll: the interval with half of it more or less,
// so that waiters do not poll in step, and no longer than the lease lasts.
func (w *wait) pause(leaseLeft time.Duration) time.Duration {
	d := w.interval/2 + rand.N(w.interval+1)
	return min(d, leaseLeft+time.Millisecond)
}

// stop ends the wait. It may be called on nil.
func (w *wait) stop() {
	if w != nil && w.registration != nil {
		w.request.store.listener.unregister(w.registration)
	}
}
