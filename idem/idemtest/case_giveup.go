package idemtest

import (
	"context"
	"errors"
	"time"

	"github.com/pgidem/pgidem/idem"
)

var giveUpCases = []definition{
	{"DeadlineWhileWaitingIsErrWaitTimeoutAndDeadlineExceeded", 3, 0, deadlineWhileWaiting},
	{"CancelWhileWaitingIsCanceled", 3, 0, cancelWhileWaiting},
	{"CancelledContextReservesNothing", 3, 0, cancelledContext},
	{"PassedDeadlineOnAFreeKeyIsNoErrWaitTimeout", 3, 0, passedDeadlineOnFreeKey},
	{"PassedDeadlineOnAKeyInFlightIsAnError", 3, 0, passedDeadlineInFlight},
	{"KeyIsNotHandedToAWaiterThatGaveUp", 3, 0, notHandedToTheGone},
	{"WaitersThatGaveUpLeaveNoGoroutine", 3, 0, noGoroutineLeft},
}

// deadlineWhileWaiting: the error is both, and the owner does not notice.
func deadlineWhileWaiting(k *kit) {
	owner := k.fresh(theKey)
	r := k.attempt(theKey).withDeadline(k.h.shortWait()).reserve()
	k.mustBe(r, idem.ErrWaitTimeout)
	k.mustBe(r, context.DeadlineExceeded)
	owner.mustCommit(response("owner"))
	k.mustReplay(theKey, response("owner"))
}

// withDeadline returns a with a context that ends in d.
func (a *attempt) withDeadline(d time.Duration) *attempt {
	ctx, cancel := context.WithTimeout(a.ctx, d)
	a.k.Cleanup(cancel)
	a.ctx = ctx
	return a
}

// withCancel returns a with a context that the returned function cancels.
func (a *attempt) withCancel() (*attempt, context.CancelFunc) {
	ctx, cancel := context.WithCancel(a.ctx)
	a.k.Cleanup(cancel)
	a.ctx = ctx
	return a, cancel
}

func cancelWhileWaiting(k *kit) {
	owner := k.fresh(theKey)
	duplicate, cancel := k.attempt(theKey).withCancel()
	waiting := duplicate.start()
	k.mustStillWait(waiting)
	cancel()
	k.mustBeCanceled(duplicate.finish(waiting))
	owner.mustCommit(response("owner"))
	k.mustReplay(theKey, response("owner"))
}

func (k *kit) mustBeCanceled(r reserved) {
	k.Helper()
	k.mustBe(r, context.Canceled)
	if errors.Is(r.err, idem.ErrWaitTimeout) {
		k.Errorf("a cancelled Reserve says ErrWaitTimeout: %v", r.err)
	}
}

func cancelledContext(k *kit) {
	gone, cancel := k.attempt(theKey).withCancel()
	cancel()
	k.mustBeCanceled(gone.reserve())
	k.mustBeFree(theKey)
}

// passedDeadlineOnFreeKey: nobody has seen the key in flight, so nobody may say
// so.
func passedDeadlineOnFreeKey(k *kit) {
	late := k.attempt(theKey).withDeadline(-time.Second)
	r := late.reserve()
	if r.err == nil || errors.Is(r.err, idem.ErrWaitTimeout) || errors.Is(r.err, idem.ErrInFlight) {
		k.Errorf("Reserve after the deadline = %v, want an error that says nothing of the key", r)
	}
	k.mustBeFree(theKey)
}

// passedDeadlineInFlight: what the error says depends on whether the store has
// looked.
func passedDeadlineInFlight(k *kit) {
	owner := k.fresh(theKey)
	if r := k.attempt(theKey).withDeadline(-time.Second).reserve(); r.err == nil {
		k.Errorf("Reserve after the deadline = %v, want an error", r)
	}
	owner.mustCommit(response("owner"))
	k.mustReplay(theKey, response("owner"))
}

func notHandedToTheGone(k *kit) {
	owner := k.fresh(theKey)
	gone, cancel := k.attempt(theKey).withCancel()
	waiting := gone.start()
	k.mustStillWait(waiting)
	cancel()
	gone.finish(waiting)
	owner.mustRelease()
	k.recorded(theKey, response("next"))
	k.mustReplay(theKey, response("next"))
}

// noGoroutineLeft relies on the check that ends every case.
func noGoroutineLeft(k *kit) {
	owner := k.fresh(theKey)
	var waiting []<-chan reserved
	var ends []context.CancelFunc
	for _, a := range k.attempts(16, theKey) {
		a, cancel := a.withCancel()
		waiting, ends = append(waiting, a.start()), append(ends, cancel)
	}
	for _, a := range k.attempts(16, theKey) {
		waiting = append(waiting, a.withDeadline(k.h.shortWait()).start())
	}
	k.moment()
	for _, end := range ends {
		end()
	}
	for _, w := range waiting {
		if r := await(k, "a waiter whose context has ended", w); r.err == nil {
			k.Errorf("waiter got %v, want an error", r)
		}
	}
	owner.mustCommit(response("owner"))
}
