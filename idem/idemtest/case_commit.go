package idemtest

import (
	"errors"

	"github.com/pgidem/pgidem/idem"
)

var commitCases = []definition{
	{"SecondCommitWithTheSameHashChangesNothing", 5, 0, secondCommit},
	{"SecondCommitWithAnotherHashIsErrHashMismatch", 5, 0, secondCommitOtherHash},
	{"CommitWithoutAReservationIsErrNotReserved", 5, 0, commitWithoutReservation},
	{"CommitAfterReleaseIsErrNotReserved", 5, 0, commitAfterRelease},
	{"OneOf32ConcurrentCommitsWins", 7, 0, concurrentCommits},
}

func secondCommit(k *kit) {
	a := k.recorded(theKey, response("first"))
	a.mustCommit(response("second"))
	k.mustReplay(theKey, response("first"))
}

func secondCommitOtherHash(k *kit) {
	a := k.recorded(theKey, response("first"))
	if err := a.withHash(hashB).commit(response("second")); !errors.Is(err, idem.ErrHashMismatch) {
		k.Errorf("second Commit with another hash: %v, want ErrHashMismatch", err)
	}
	k.mustReplay(theKey, response("first"))
}

func commitWithoutReservation(k *kit) {
	k.mustNotBeReserved(k.attempt(theKey).commit(response("none")))
	k.mustBeFree(theKey)
}

func (k *kit) mustNotBeReserved(err error) {
	k.Helper()
	if !errors.Is(err, idem.ErrNotReserved) {
		k.Errorf("Commit without a reservation: %v, want ErrNotReserved", err)
	}
}

func commitAfterRelease(k *kit) {
	a := k.fresh(theKey)
	a.mustRelease()
	k.mustNotBeReserved(a.commit(response("late")))
	k.mustBeFree(theKey)
}

// concurrentCommits: all belong to one attempt and one hash, so none is
// refused, and one response is there to stay.
func concurrentCommits(k *kit) {
	a := k.fresh(theKey)
	bodies := make(map[string]bool)
	var done []<-chan error
	for i := range 32 {
		r := response(string(rune('A' + i)))
		bodies[string(r.Body)] = true
		end := make(chan error, 1)
		done = append(done, end)
		go func() { end <- a.commitNow(r) }()
	}
	for _, end := range done {
		if err := await(k, "a concurrent Commit", end); err != nil {
			k.Errorf("concurrent Commit with the same hash: %v", err)
		}
	}
	r := k.attempt(theKey).reserve()
	if r.existing == nil || !bodies[string(r.existing.Body)] {
		k.Fatalf("Reserve = %v, want one of the responses", r)
	}
	k.mustReplay(theKey, *r.existing)
}

var releaseCases = []definition{
	{"ReleaseFreesTheKeyForAnotherHash", 6, 0, releaseFreesTheKey},
	{"ReleaseTwiceIsFine", 6, 0, releaseTwice},
	{"ReleaseWithoutAReservationIsFine", 6, 0, releaseWithoutReservation},
	{"ReleaseAfterCommitRemovesNothing", 6, 0, releaseAfterCommit},
}

func releaseFreesTheKey(k *kit) {
	k.fresh(theKey).mustRelease()
	a := k.attempt(theKey).withHash(hashB)
	a.mustBeFresh()
	a.mustCommit(response("b"))
	want := response("b")
	want.RequestHash = hashB
	k.mustReplay(theKey, want)
}

func releaseTwice(k *kit) {
	a := k.fresh(theKey)
	a.mustRelease()
	a.mustRelease()
	k.mustBeFree(theKey)
}

func releaseWithoutReservation(k *kit) {
	k.attempt(theKey).mustRelease()
	k.mustBeFree(theKey)
}

func releaseAfterCommit(k *kit) {
	a := k.recorded(theKey, response("kept"))
	a.mustRelease()
	k.attempt(theKey).mustRelease()
	k.mustReplay(theKey, response("kept"))
}
