package idemtest

import (
	"fmt"

	"github.com/pgidem/pgidem/idem"
)

var reserveCases = []definition{
	{"FirstReserveIsFreshAndLaterOnesReplay", 1, 0, firstReserveIsFresh},
	{"OneOf200ConcurrentReservesIsFresh", 1, 0, oneOf200},
	{"DifferentKeysDoNotDisturbEachOther", 1, 0, differentKeys},
	{"CompletedRecordTellsItsHash", 1, 0, completedRecordTellsItsHash},
}

func firstReserveIsFresh(k *kit) {
	k.recorded(theKey, response("first"))
	for range 3 {
		k.mustReplay(theKey, response("first"))
	}
}

func oneOf200(k *kit) {
	k.startRace(k.attempts(200, theKey), response("the one")).finish()
	k.mustReplay(theKey, response("the one"))
}

// differentKeys uses keys that a careless comparison takes for one.
func differentKeys(k *kit) {
	held := k.fresh(theKey)
	others := []string{
		theKey + " ", " " + theKey, theKey + "\n", theKey + "2", theKey[1:], "KIT-KEY",
		"kit_key", "kit-ke%", "kit-ke?", "kit-*", "kit\x1fkey", "kit\x1f\x1fkey",
	}
	for i, key := range others {
		k.recorded(key, response(fmt.Sprint(i)))
	}
	for i, key := range others {
		k.mustReplay(key, response(fmt.Sprint(i)))
	}
	held.mustCommit(response("held"))
	k.mustReplay(theKey, response("held"))
}

// completedRecordTellsItsHash: the comparison is the caller's, so it needs the
// hash of the record, not its own.
func completedRecordTellsItsHash(k *kit) {
	k.recorded(theKey, response("first"))
	r := k.attempt(theKey).withHash(hashB).reserve()
	if r.existing == nil {
		k.Fatalf("Reserve with another hash = %v, want the record", r)
	}
	if r.existing.RequestHash != hashA {
		k.Errorf("record has hash %q, want the one it was committed with, %q", r.existing.RequestHash, hashA)
	}
}

var nestedCases = []definition{
	{"SameKeyInsideItsOwnAttemptIsErrNested", 60, attempts, nestedInOwnAttempt},
	{"SameKeyInsideAnInnerAttemptIsErrNested", 60, attempts, nestedInInnerAttempt},
	{"OtherKeyInsideAnAttemptIsFresh", 60, attempts, otherKeyInside},
}

func nestedInOwnAttempt(k *kit) {
	a := k.fresh(theKey)
	again := &attempt{k: k, store: a.store, ctx: a.ctx, key: theKey, hash: hashA}
	k.mustBe(again.reserve(), idem.ErrNested)
	a.mustCommit(response("outer"))
	k.mustReplay(theKey, response("outer"))
}

func nestedInInnerAttempt(k *kit) {
	a := k.fresh(theKey)
	k.mustBe(a.inner(theKey).reserve(), idem.ErrNested)
	a.mustRelease()
	// What it held is over, so its context is no obstacle any more.
	a.inner(theKey).mustBeFresh()
}

func otherKeyInside(k *kit) {
	outer := k.fresh(theKey)
	inner := outer.inner("another key")
	inner.mustBeFresh()
	inner.mustCommit(response("inner"))
	outer.mustCommit(response("outer"))
	k.mustReplay(theKey, response("outer"))
	k.mustReplay("another key", response("inner"))
}

// inner returns an attempt on key that a's handler makes.
func (a *attempt) inner(key string) *attempt {
	ctx, _ := idem.WithAttempt(a.ctx, idem.AttemptConfig{})
	return &attempt{k: a.k, store: a.store, ctx: ctx, key: key, hash: hashA}
}
