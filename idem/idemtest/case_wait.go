package idemtest

import (
	"errors"
	"sync/atomic"

	"github.com/pgidem/pgidem/idem"
)

var waitCases = []definition{
	{"DuplicateBlocksUntilCommitAndGetsTheResponse", 2, 0, duplicateBlocks},
	{"AllOf32WaitersGetTheResponse", 2, 0, allWaiters},
	{"AfterReleaseExactlyOneWaiterIsFresh", 2, 0, releaseWakesOne},
	{"WaitersTakeTurnsAfterEachRelease", 2, 0, waitersTakeTurns},
	{"NoWaitIsErrInFlight", 2, attempts, noWait},
	{"DuplicateWithAnotherHashNeverRuns", 2, 0, otherHashNeverRuns},
	{"InFlightHashMismatchIsToldAtOnce", 2, inFlightHash, inFlightHashMismatch},
}

func duplicateBlocks(k *kit) {
	owner := k.fresh(theKey)
	duplicate := k.attempt(theKey)
	waiting := duplicate.start()
	k.mustStillWait(waiting)
	owner.mustCommit(response("owner"))
	duplicate.mustHaveReplayed(duplicate.finish(waiting), response("owner"))
}

// mustStillWait demands that a Reserve has not returned after a moment.
func (k *kit) mustStillWait(waiting <-chan reserved) {
	k.Helper()
	k.moment()
	select {
	case r := <-waiting:
		k.Fatalf("Reserve of a key in flight returned %v, want it to wait", r)
	default:
	}
}

func allWaiters(k *kit) {
	owner := k.fresh(theKey)
	waiters := k.attempts(32, theKey)
	var waiting []<-chan reserved
	for _, w := range waiters {
		waiting = append(waiting, w.start())
	}
	k.moment()
	owner.mustCommit(response("owner"))
	for i, w := range waiters {
		w.mustHaveReplayed(w.finish(waiting[i]), response("owner"))
	}
}

func releaseWakesOne(k *kit) {
	owner := k.fresh(theKey)
	waiters := k.startRace(k.attempts(32, theKey), response("second"))
	k.moment()
	owner.mustRelease()
	waiters.finish()
	k.mustReplay(theKey, response("second"))
}

// waitersTakeTurns: each waiter runs and gives up; no two run at once, and no
// turn is lost.
func waitersTakeTurns(k *kit) {
	owner := k.fresh(theKey)
	var running, overlaps atomic.Int32
	var waiting []<-chan reserved
	for _, a := range k.attempts(12, theKey) {
		done := make(chan reserved, 1)
		waiting = append(waiting, done)
		go func() {
			r := a.reserveNow()
			if r.fresh {
				if running.Add(1) > 1 {
					overlaps.Add(1)
				}
				running.Add(-1)
				r.err = a.releaseNow()
			}
			done <- r
		}()
	}
	k.moment()
	owner.mustRelease()
	for _, w := range waiting {
		if r := await(k, "a waiter", w); !r.fresh || r.err != nil {
			k.Errorf("waiter got %v, want its turn", r)
		}
	}
	if n := overlaps.Load(); n > 0 {
		k.Errorf("the key was held by two attempts at once, %d times", n)
	}
	k.mustBeFree(theKey)
}

func noWait(k *kit) {
	owner := k.fresh(theKey)
	impatient := k.attemptOn(k.store, theKey, idem.AttemptConfig{NoWait: true})
	k.mustBe(impatient.reserve(), idem.ErrInFlight)
	owner.mustCommit(response("owner"))
	again := k.attemptOn(k.store, theKey, idem.AttemptConfig{NoWait: true})
	again.mustReplay(response("owner"))
}

// mustBe demands that Reserve has returned an error that is want.
func (k *kit) mustBe(r reserved, want error) {
	k.Helper()
	if !errors.Is(r.err, want) {
		k.Fatalf("Reserve = %v, want error %q", r, want)
	}
}

func otherHashNeverRuns(k *kit) {
	owner := k.fresh(theKey)
	other := k.attempt(theKey).withHash(hashB)
	waiting := other.start()
	k.moment()
	owner.mustCommit(response("owner"))
	r := other.finish(waiting)
	if r.existing != nil {
		other.mustHaveReplayed(r, response("owner"))
		return
	}
	k.mustBe(r, idem.ErrHashMismatch)
}

func inFlightHashMismatch(k *kit) {
	owner := k.fresh(theKey)
	k.mustBe(k.attempt(theKey).withHash(hashB).reserve(), idem.ErrHashMismatch)
	owner.mustCommit(response("owner"))
	k.mustReplay(theKey, response("owner"))
}
