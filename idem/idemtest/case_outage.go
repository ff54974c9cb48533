package idemtest

import (
	"errors"
	"strings"

	"github.com/pgidem/pgidem/idem"
)

var outageCases = []definition{
	{"ClosedStoreIsErrStoreClosed", 11, closing, closedStore},
	{"CloseEndsWaitsAndLetsTheRunningAttemptCommit", 11, closing, closeEndsWaits},
	{"UnreachableStoreIsAnErrorThatNamesIt", 11, breaking, unreachableStore},
	{"CorruptRecordIsErrRecordUnreadable", 13, corrupting, corruptRecord},
}

func closedStore(k *kit) {
	k.recorded("before", response("before"))
	k.close()
	for _, key := range []string{theKey, "before"} {
		r := k.attempt(key).reserve()
		k.mustBe(r, idem.ErrStoreClosed)
		k.mustName(r.err)
	}
	k.close()
}

func (k *kit) close() {
	k.Helper()
	within(k, "Close", func() struct{} {
		k.h.Close(k, k.store)
		return struct{}{}
	})
}

// mustName demands that an error tells which store is in trouble.
func (k *kit) mustName(err error) {
	k.Helper()
	if !strings.Contains(err.Error(), k.h.Name) {
		k.Errorf("error %q does not name the store, %q", err, k.h.Name)
	}
}

// closeEndsWaits: requests that wait must not hold up a shutdown, and one whose
// handler runs must not be thrown away by it.
func closeEndsWaits(k *kit) {
	owner := k.fresh(theKey)
	duplicate := k.attempt(theKey)
	waiting := duplicate.start()
	k.mustStillWait(waiting)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		k.h.Close(k, k.store)
	}()
	k.mustBe(duplicate.finish(waiting), idem.ErrStoreClosed)
	owner.mustCommit(response("owner"))
	await(k, "Close", closed)
}

func unreachableStore(k *kit) {
	k.recorded("before", response("before"))
	k.h.Break(k, k.store)
	for _, key := range []string{theKey, "before"} {
		r := k.attempt(key).reserve()
		if r.err == nil || errors.Is(r.err, idem.ErrWaitTimeout) || errors.Is(r.err, idem.ErrInFlight) {
			k.Fatalf("Reserve of an unreachable store = %v, want an error that says nothing of the key", r)
		}
		k.mustName(r.err)
	}
}

func corruptRecord(k *kit) {
	k.recorded(theKey, response("lost"))
	k.h.Corrupt(k, k.store, theKey)
	k.mustBe(k.attempt(theKey).reserve(), idem.ErrRecordUnreadable)
}
