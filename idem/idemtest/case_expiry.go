package idemtest

var expiryCases = []definition{
	{"RecordIsKeptUntilItExpires", 8, 0, keptUntilExpiry},
	{"InstantOfExpiryCountsAsExpired", 8, 0, instantOfExpiry},
	{"ExpiredKeyIsFreshForExactlyOne", 8, 0, expiredForOne},
	{"RecordCommittedAfterExpiryIsKeptForItsOwnTTL", 8, 0, recommitted},
	{"ExpiredKeyIsFreshForAnotherHash", 8, 0, expiredOtherHash},
	{"ReleaseDoesNotBringAnExpiredRecordBack", 8, 0, expiredStaysExpired},
	{"SecondCommitDoesNotBringAnExpiredRecordBack", 8, 0, secondCommitAfterExpiry},
	{"TTLCountsFromCommit", 8, noLeases, ttlFromCommit},
}

func keptUntilExpiry(k *kit) {
	k.recorded(theKey, response("kept"))
	k.h.Age(k, k.store, ttl-tolerance)
	k.mustReplay(theKey, response("kept"))
}

// instantOfExpiry is exact if the harness' clock stands still.
func instantOfExpiry(k *kit) {
	k.recorded(theKey, response("old"))
	k.h.Age(k, k.store, ttl)
	k.mustBeFree(theKey)
}

func expiredForOne(k *kit) {
	k.recorded(theKey, response("old"))
	k.h.Age(k, k.store, ttl)
	k.startRace(k.attempts(32, theKey), response("new")).finish()
	k.mustReplay(theKey, response("new"))
}

func recommitted(k *kit) {
	k.recorded(theKey, response("old"))
	k.h.Age(k, k.store, ttl)
	k.recorded(theKey, response("new"))
	k.mustReplay(theKey, response("new"))
	k.h.Age(k, k.store, ttl-tolerance)
	k.mustReplay(theKey, response("new"))
	k.h.Age(k, k.store, tolerance)
	k.mustBeFree(theKey)
}

func expiredOtherHash(k *kit) {
	k.recorded(theKey, response("old"))
	k.h.Age(k, k.store, ttl)
	a := k.attempt(theKey).withHash(hashB)
	a.mustBeFresh()
	a.mustCommit(response("new"))
	want := response("new")
	want.RequestHash = hashB
	k.mustReplay(theKey, want)
}

func expiredStaysExpired(k *kit) {
	k.recorded(theKey, response("old"))
	k.h.Age(k, k.store, ttl)
	k.fresh(theKey).mustRelease()
	k.mustBeFree(theKey)
}

// secondCommitAfterExpiry: what the owner's late second Commit answers is not
// laid down; that nobody hears of it is.
func secondCommitAfterExpiry(k *kit) {
	owner := k.recorded(theKey, response("old"))
	k.h.Age(k, k.store, ttl)
	_ = owner.commit(response("late"))
	k.mustBeFree(theKey)
	k.recorded(theKey, response("new"))
	_ = owner.commit(response("late"))
	k.mustReplay(theKey, response("new"))
}

// ttlFromCommit: a handler that ran long does not shorten its record's life.
func ttlFromCommit(k *kit) {
	a := k.fresh(theKey)
	k.h.Age(k, k.store, ttl/2)
	a.mustCommit(response("slow"))
	k.h.Age(k, k.store, ttl-tolerance)
	k.mustReplay(theKey, response("slow"))
}
