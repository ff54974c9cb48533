package idemtest

import (
	"github.com/pgidem/pgidem/idem"
)

var fenceCases = []definition{
	{"AnotherAttemptCommitsAndReleasesNothing", 7, attempts, anotherAttempt},
	{"MissingAttemptCommitsAndReleasesNothing", 7, attempts, missingAttempt},
	{"StaleAttemptChangesNothingWhileTheNextRuns", 7, attempts, staleWhileNextRuns},
	{"StaleAttemptChangesNothingWhileAWaiterRunsAfterIt", 7, attempts, staleWhileWaiterRuns},
	{"StaleAttemptChangesNothingAfterTheNextCommitted", 7, attempts, staleAfterCommit},
	{"OneOf32AttemptsThatCommitIsTheOwner", 7, attempts, onlyTheOwnerCommits},
}

func anotherAttempt(k *kit) {
	owner := k.fresh(theKey)
	k.attempt(theKey).mustChangeNothing("another attempt", owner)
}

func missingAttempt(k *kit) {
	owner := k.fresh(theKey)
	none := &attempt{k: k, store: k.store, ctx: k.Context(), key: theKey, hash: hashA}
	none.mustChangeNothing("no attempt", owner)
}

// mustChangeNothing lets a stranger Commit and Release while owner runs. What
// Release returns to a stranger is not laid down.
func (a *attempt) mustChangeNothing(who string, owner *attempt) {
	k := a.k
	k.Helper()
	a.mustNotCommit(who, response("stranger"))
	k.mustBeInFlight()
	_ = a.release()
	k.mustBeInFlight()
	owner.mustCommit(response("owner"))
	k.mustReplay(theKey, response("owner"))
}

func (k *kit) mustBeInFlight() {
	k.Helper()
	probe := k.attemptOn(k.store, theKey, idem.AttemptConfig{NoWait: true})
	k.mustBe(probe.reserve(), idem.ErrInFlight)
}

func staleWhileNextRuns(k *kit) {
	stale := k.fresh(theKey)
	stale.mustRelease()
	stale.mustChangeNothing("a stale attempt", k.fresh(theKey))
}

// staleWhileWaiterRuns: the key never was free between the two, so a store may
// be tempted to hand the reservation itself on.
func staleWhileWaiterRuns(k *kit) {
	stale := k.fresh(theKey)
	next := k.attempt(theKey)
	waiting := next.start()
	k.mustStillWait(waiting)
	stale.mustRelease()
	if r := next.finish(waiting); !r.fresh {
		k.Fatalf("Reserve of a waiter after Release = %v, want it fresh", r)
	}
	stale.mustChangeNothing("a stale attempt", next)
}

func staleAfterCommit(k *kit) {
	stale := k.fresh(theKey)
	stale.mustRelease()
	k.recorded(theKey, response("next"))
	_ = stale.commit(response("stale")) // a no-op or an error, as the store sees it
	_ = stale.release()
	k.mustReplay(theKey, response("next"))
	stale.withHash(hashB).mustNotCommit("a stale attempt with another hash", response("stale"))
	k.mustReplay(theKey, response("next"))
}

// onlyTheOwnerCommits: half of the strangers come before the owner, half with it.
func onlyTheOwnerCommits(k *kit) {
	owner := k.fresh(theKey)
	strangers := k.attempts(31, theKey)
	for _, end := range commitAll(strangers[:16]) {
		if err := await(k, "Commit of a stranger", end); err == nil {
			k.Errorf("Commit of a stranger succeeded while the owner runs")
		}
	}
	ends := commitAll(strangers[16:])
	owner.mustCommit(response("owner"))
	for _, end := range ends {
		// Nil is allowed after the owner's Commit: then it is a second one.
		_ = await(k, "Commit of a stranger", end)
	}
	k.mustReplay(theKey, response("owner"))
}

// commitAll lets all attempts commit at once.
func commitAll(attempts []*attempt) []<-chan error {
	gun := make(chan struct{})
	defer close(gun)
	var ends []<-chan error
	for _, a := range attempts {
		end := make(chan error, 1)
		ends = append(ends, end)
		go func() {
			<-gun
			end <- a.commitNow(response("stranger"))
		}()
	}
	return ends
}

var leaseCases = []definition{
	{"StaleLeaseIsTakenOverByExactlyOne", 7, leases, staleLease},
	{"OwnerOfAStaleLeaseIsFencedOff", 7, leases | attempts, staleOwner},
}

func staleLease(k *kit) {
	k.fresh(theKey)
	k.h.Age(k, k.store, k.h.Leases.Duration)
	k.startRace(k.attempts(32, theKey), response("next")).finish()
}

func staleOwner(k *kit) {
	stale := k.fresh(theKey)
	k.h.Age(k, k.store, k.h.Leases.Duration)
	next := k.fresh(theKey)
	stale.mustChangeNothing("the owner of a stale lease", next)
	_ = stale.release()
	k.mustReplay(theKey, response("owner"))
}
