package idemtest

import (
	"errors"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// Tombstones describes a store that remembers the keys of expired records, for
// attempts with idem.AttemptConfig.RememberExpired.
type Tombstones struct {
	// Sweep removes from store, as its users have it removed, what has expired.
	// Defaults to nil: nobody needs to.
	Sweep func(tb TB, store idem.Store)
}

// remember is how long the cases have an expired key remembered: much longer
// than its record.
const remember = 100 * ttl

var tombstoneCases = []definition{
	{"RememberedKeyIsReplayedUntilItExpires", 8, attempts | tombstones, rememberedReplays},
	{"InstantOfExpiryOfARememberedKeyIsErrKeyExpired", 8, attempts | tombstones, rememberedExpires},
	{"RememberedKeyIsFreshOnceItIsForgotten", 8, attempts | tombstones, rememberedIsForgotten},
	{"RememberedKeyTellsAnotherHashErrHashMismatch", 8, attempts | tombstones, rememberedOtherHash},
	{"NoneOf32IsFreshOnARememberedKey", 8, attempts | tombstones, rememberedForAll},
	{"RefusedAttemptLeavesTheKeyRemembered", 8, attempts | tombstones, refusedChangesNothing},
	{"SecondCommitDoesNotBringARememberedRecordBack", 8, attempts | tombstones, secondCommitOfRemembered},
	{"KeyIsNotRememberedUnlessItsCommitWas", 8, attempts | tombstones, unaskedIsFresh},
	{"ReleasedKeyIsNotRemembered", 8, attempts | tombstones, releasedIsFresh},
	{"SweepKeepsWhatIsRememberedAndNoLonger", 8, attempts | sweeping, sweepKeepsTombstones},
}

// remembering returns an attempt whose record leaves a tombstone.
func (k *kit) remembering(key string) *attempt {
	return k.attemptOn(k.store, key, idem.AttemptConfig{RememberExpired: remember})
}

// remembered makes a completed record of key that leaves a tombstone.
func (k *kit) remembered(key string) {
	k.Helper()
	a := k.remembering(key)
	a.mustBeFresh()
	a.mustCommit(response("old"))
}

// mustBeExpired demands ErrKeyExpired.
func (a *attempt) mustBeExpired() {
	a.k.Helper()
	a.mustFail(idem.ErrKeyExpired)
}

func (a *attempt) mustFail(want error) {
	a.k.Helper()
	if r := a.reserve(); !errors.Is(r.err, want) {
		a.k.Fatalf("Reserve = %v, want error %v", r, want)
	}
}

func (k *kit) age(d time.Duration) {
	k.Helper()
	k.h.Age(k, k.store, d)
}

func rememberedReplays(k *kit) {
	k.remembered(theKey)
	k.age(ttl - tolerance)
	k.mustReplay(theKey, response("old"))
}

// rememberedExpires: what the record said decides, not what the caller says.
func rememberedExpires(k *kit) {
	k.remembered(theKey)
	k.age(ttl)
	k.attempt(theKey).mustBeExpired()
	k.remembering(theKey).mustBeExpired()
}

// rememberedIsForgotten: the time counts from the end of the record, not from
// the first caller who finds it ended.
func rememberedIsForgotten(k *kit) {
	k.remembered(theKey)
	k.age(2 * ttl)
	k.attempt(theKey).mustBeExpired()
	k.age(remember - ttl - tolerance)
	k.attempt(theKey).mustBeExpired()
	k.age(tolerance)
	k.recorded(theKey, response("new"))
	k.mustReplay(theKey, response("new"))
	k.age(ttl)
	k.mustBeFree(theKey)
}

func rememberedOtherHash(k *kit) {
	k.remembered(theKey)
	k.age(ttl)
	k.attempt(theKey).withHash(hashB).mustFail(idem.ErrHashMismatch)
	k.attempt(theKey).mustBeExpired()
}

func rememberedForAll(k *kit) {
	k.remembered(theKey)
	k.age(ttl)
	all := k.attempts(32, theKey)
	answers := make([]<-chan reserved, len(all))
	for i, a := range all {
		answers[i] = a.start()
	}
	for i, a := range all {
		if r := a.finish(answers[i]); !errors.Is(r.err, idem.ErrKeyExpired) {
			k.Fatalf("Reserve = %v, want ErrKeyExpired", r)
		}
	}
}

// refusedChangesNothing: an attempt that was refused has no reservation, so
// nothing that it does concerns the key.
func refusedChangesNothing(k *kit) {
	k.remembered(theKey)
	k.age(ttl)
	a := k.remembering(theKey)
	a.mustBeExpired()
	a.mustRelease()
	k.attempt(theKey).mustBeExpired()
	_ = a.commit(response("new")) // whatever it answers
	k.attempt(theKey).mustBeExpired()
}

// secondCommitOfRemembered: also the owner has no more than its key and hash,
// whether somebody has asked for the key in between or not.
func secondCommitOfRemembered(k *kit) {
	owner := k.remembering(theKey)
	owner.mustBeFresh()
	owner.mustCommit(response("old"))
	k.age(ttl)
	for range 2 {
		_ = owner.commit(response("late"))
		k.attempt(theKey).mustBeExpired()
	}
	k.attempt(theKey).withHash(hashB).mustFail(idem.ErrHashMismatch)
}

func unaskedIsFresh(k *kit) {
	k.recorded(theKey, response("old"))
	k.age(ttl)
	k.remembering(theKey).mustBeFresh()
}

func releasedIsFresh(k *kit) {
	a := k.remembering(theKey)
	a.mustBeFresh()
	a.mustRelease()
	k.mustBeFree(theKey)
	k.age(ttl)
	k.mustBeFree(theKey)
}

func sweepKeepsTombstones(k *kit) {
	k.remembered(theKey)
	k.recorded("not remembered", response("old"))
	k.age(ttl)
	sweep := func() { k.h.Tombstones.Sweep(k, k.store) }
	sweep()
	sweep()
	k.attempt(theKey).mustBeExpired()
	k.attempt(theKey).withHash(hashB).mustFail(idem.ErrHashMismatch)
	k.mustBeFree("not remembered")
	k.age(remember)
	sweep()
	k.mustBeFree(theKey)
}
