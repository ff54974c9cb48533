package idemtest_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/idem/idemtest"
)

// harness handles models with one bug; "" is the right one.
func harness(bug string, lease time.Duration) idemtest.Harness {
	h := idemtest.Harness{
		NewStore: func(tb idemtest.TB) idem.Store {
			b := newBackend()
			tb.Cleanup(func() { b.age(0) })
			return &model{backend: b, bug: bug, lease: lease}
		},
		Age: func(_ idemtest.TB, s idem.Store, d time.Duration) { s.(*model).age(d) },
		Peer: func(_ idemtest.TB, s idem.Store) idem.Store {
			m := s.(*model)
			p := &model{backend: m.backend, bug: bug, lease: lease}
			if bug == "peers share nothing" {
				p.backend = newBackend()
			}
			return p
		},
		Close: func(_ idemtest.TB, s idem.Store) { s.(*model).close() },
		Break: func(_ idemtest.TB, s idem.Store) {
			m := s.(*model)
			m.mu.Lock()
			defer m.mu.Unlock()
			m.broken = true
		},
		Corrupt: func(_ idemtest.TB, s idem.Store, key string) {
			m := s.(*model)
			m.mu.Lock()
			defer m.mu.Unlock()
			m.entries[key].corrupt = true
		},
		InFlightHash: true,
		Name:         "model",
		Tombstones: &idemtest.Tombstones{
			Sweep: func(_ idemtest.TB, s idem.Store) { s.(*model).sweep() },
		},
	}
	if lease > 0 {
		newStore := h.NewStore
		h.Leases = &idemtest.Leases{Duration: lease, Short: modelShortLease, NewShort: func(tb idemtest.TB) idem.Store {
			m := newStore(tb).(*model)
			m.lease, m.running = modelShortLease, true
			return m
		}}
	}
	return h
}

// Behaviours 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 59, 60.
func TestRightStorePassesEveryCase(t *testing.T) {
	t.Parallel()
	t.Run("Reservations", func(t *testing.T) {
		t.Parallel()
		idemtest.Run(t, harness("", 0))
	})
	t.Run("Leases", func(t *testing.T) {
		t.Parallel()
		idemtest.Run(t, harness("", 30*time.Second))
	})
}

// wrong lists for each case the deliberate mistakes that it must catch.
var wrong = map[string][]string{
	"FirstReserveIsFreshAndLaterOnesReplay": {"forgets"},
	"OneOf200ConcurrentReservesIsFresh":     {"looks, then writes"},
	"DifferentKeysDoNotDisturbEachOther":    {"folds case"},
	"CompletedRecordTellsItsHash":           {"tells the caller's own hash"},

	"DuplicateBlocksUntilCommitAndGetsTheResponse": {"does not wait", "wakes nobody"},
	"AllOf32WaitersGetTheResponse":                 {"one waiter only"},
	"AfterReleaseExactlyOneWaiterIsFresh":          {"released key is everyone's"},
	"WaitersTakeTurnsAfterEachRelease":             {"release wakes nobody"},
	"NoWaitIsErrInFlight":                          {"ignores NoWait"},
	"DuplicateWithAnotherHashNeverRuns":            {"another hash need not wait"},
	"InFlightHashMismatchIsToldAtOnce":             {"ignores the hash in flight"},

	"DeadlineWhileWaitingIsErrWaitTimeoutAndDeadlineExceeded": {"deadline is its own error"},
	"CancelWhileWaitingIsCanceled":                            {"one error for every end"},
	"CancelledContextReservesNothing":                         {"does not look at ctx first"},
	"PassedDeadlineOnAFreeKeyIsNoErrWaitTimeout":              {"ErrWaitTimeout unseen"},
	"PassedDeadlineOnAKeyInFlightIsAnError":                   {"fresh after the deadline"},
	"KeyIsNotHandedToAWaiterThatGaveUp":                       {"hands the key to the gone"},
	"WaitersThatGaveUpLeaveNoGoroutine":                       {"leaves a goroutine"},

	"StatusComesBackEqual":                        {"every success is 200"},
	"HeaderValuesComeBackInOrder":                 {"sorts header values", "keeps one value a header"},
	"BinaryBodyComesBackEqual":                    {"body is text"},
	"EmptyBodyComesBackEmpty":                     {"empty body is null"},
	"BodyOf1MiBComesBackEqual":                    {"cuts long bodies"},
	"StoredAtIsTheMomentOfCommitOnTheStoresClock": {"StoredAt is zero", "StoredAt is the caller's"},
	"HashParameterWinsOverTheField":               {"the field's hash wins"},
	"ChangingAReplayChangesNobodyElses":           {"shares what it replays"},
	"ChangingACommittedResponseChangesNoReplay":   {"keeps the caller's memory"},
	"WaitersGetCopiesOfTheirOwn":                  {"shares what it replays"},

	"SecondCommitWithTheSameHashChangesNothing":    {"last commit wins"},
	"SecondCommitWithAnotherHashIsErrHashMismatch": {"commit ignores the hash"},
	"CommitWithoutAReservationIsErrNotReserved":    {"commits unreserved keys"},
	"CommitAfterReleaseIsErrNotReserved":           {"commits unreserved keys"},
	"OneOf32ConcurrentCommitsWins":                 {"refuses a second commit"},
	"ReleaseFreesTheKeyForAnotherHash":             {"release keeps the hash"},
	"ReleaseTwiceIsFine":                           {"release must find something"},
	"ReleaseWithoutAReservationIsFine":             {"release must find something"},
	"ReleaseAfterCommitRemovesNothing":             {"release removes records"},

	"AnotherAttemptCommitsAndReleasesNothing":           {"no fence"},
	"MissingAttemptCommitsAndReleasesNothing":           {"no fence without attempt"},
	"StaleAttemptChangesNothingWhileTheNextRuns":        {"no fence"},
	"StaleAttemptChangesNothingWhileAWaiterRunsAfterIt": {"hands the reservation on"},
	"StaleAttemptChangesNothingAfterTheNextCommitted":   {"last commit wins", "release removes records"},
	"OneOf32AttemptsThatCommitIsTheOwner":               {"no fence"},
	"LeaseIsRenewedUnderASlowHandler":                   {"does not renew"},
	"RenewalEndsWithCommit":                             {"renews what has ended"},
	"RenewalEndsWithRelease":                            {"renews what has ended"},
	"RenewalEndsWithAPanic":                             {"renews what has ended"},
	"LostLeaseCancelsTheHandler":                        {"keeps a lost lease to itself"},

	"StaleLeaseIsTakenOverByExactlyOne":      {"leases never end", "looks, then writes"},
	"OwnerOfAStaleLeaseIsFencedOff":          {"no fence"},
	"SameKeyInsideItsOwnAttemptIsErrNested":  {"no ErrNested"},
	"SameKeyInsideAnInnerAttemptIsErrNested": {"ErrNested only in the same attempt"},
	"OtherKeyInsideAnAttemptIsFresh":         {"ErrNested whatever the key"},

	"RecordIsKeptUntilItExpires":                   {"half the TTL"},
	"InstantOfExpiryCountsAsExpired":               {"instant of expiry is alive"},
	"ExpiredKeyIsFreshForExactlyOne":               {"looks, then writes"},
	"RecordCommittedAfterExpiryIsKeptForItsOwnTTL": {"keeps the first expiry"},
	"ExpiredKeyIsFreshForAnotherHash":              {"compares with the expired"},
	"ReleaseDoesNotBringAnExpiredRecordBack":       {"expired comes back"},
	"SecondCommitDoesNotBringAnExpiredRecordBack":  {"commit revives the expired"},
	"TTLCountsFromCommit":                          {"TTL from Reserve"},

	"RememberedKeyIsReplayedUntilItExpires":          {"remembered is never replayed"},
	"InstantOfExpiryOfARememberedKeyIsErrKeyExpired": {"forgets what has expired", "remembers for those who ask", "instant of expiry is alive"},
	"RememberedKeyIsFreshOnceItIsForgotten":          {"remembers from Commit", "remembers for ever"},
	"RememberedKeyTellsAnotherHashErrHashMismatch":   {"tombstone without its hash"},
	"NoneOf32IsFreshOnARememberedKey":                {"one look forgets"},
	"RefusedAttemptLeavesTheKeyRemembered":           {"release removes records", "commit revives the expired"},
	"SecondCommitDoesNotBringARememberedRecordBack":  {"commit revives the expired"},
	"KeyIsNotRememberedUnlessItsCommitWas":           {"remembers unasked"},
	"ReleasedKeyIsNotRemembered":                     {"remembers what was released"},
	"SweepKeepsWhatIsRememberedAndNoLonger":          {"sweep forgets", "remembers for ever"},

	"EveryPrintableByteIsAKeyOfItsOwn": {"folds case"},
	"LongKeysAreKept":                  {"cuts long keys"},
	"UnicodeKeysAreToldApart":          {"drops what is not ASCII"},
	"InvalidKeysAreErrKeyInvalid":      {"accepts every key"},

	"ClosedStoreIsErrStoreClosed":                  {"answers when closed"},
	"CloseEndsWaitsAndLetsTheRunningAttemptCommit": {"close wakes nobody"},
	"UnreachableStoreIsAnErrorThatNamesIt":         {"answers when broken", "nameless error"},
	"CorruptRecordIsErrRecordUnreadable":           {"runs on a corrupt record"},

	"PeerReplaysWhatAnotherCommitted":        {"peers share nothing"},
	"PeerWaitsForAnother":                    {"peers share nothing"},
	"PeerGetsTheKeyAfterAnothersRelease":     {"release wakes nobody"},
	"OneOf200ReservesThroughTwoPeersIsFresh": {"peers share nothing"},
	"PeerReleasesNothingOfAnother":           {"no fence"},
}

// Behaviour 12.
func TestEveryCaseCatchesItsWrongStore(t *testing.T) {
	t.Parallel()
	// Many at once, since most of them fail by using up the kit's patience; not
	// all, or they would rob each other of the overlap that races need.
	var running sync.WaitGroup
	defer running.Wait()
	places := make(chan struct{}, 12)
	for _, c := range idemtest.Cases() {
		name := strings.TrimPrefix(c.Name, "WithoutAttempt/")
		if len(wrong[name]) == 0 {
			t.Errorf("no wrong store for case %s: it has never been seen failing", name)
		}
		for _, bug := range wrong[name] {
			running.Go(func() {
				places <- struct{}{}
				defer func() { <-places }()
				failures := observe(t, c, wrongHarness(t, c, bug))
				t.Logf("%s: a store with %q: %q", c.Name, bug, failures)
				if len(failures) == 0 {
					t.Errorf("case %s passes a store with %q", c.Name, bug)
				}
			})
		}
	}
}

// wrongHarness handles models with bug, and supports c.
func wrongHarness(t *testing.T, c idemtest.Case, bug string) idemtest.Harness {
	h := harness(bug, 0)
	if !c.Applies(h) {
		h = harness(bug, 30*time.Second)
	}
	h.Patience = time.Second // wrong stores do use it up
	h.NewStore = stopping(t, h.NewStore)
	if h.Leases != nil {
		h.Leases.NewShort = stopping(t, h.Leases.NewShort)
	}
	return h
}

// stopping makes newStore's models end with t what they leave behind.
func stopping(t *testing.T, newStore func(idemtest.TB) idem.Store) func(idemtest.TB) idem.Store {
	return func(tb idemtest.TB) idem.Store {
		s := newStore(tb)
		t.Cleanup(func() { close(s.(*model).stopped) })
		return s
	}
}

// Behaviour 12.
func TestEveryWrongStoreIsForACaseThatExists(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range idemtest.Cases() {
		names = append(names, c.Name)
	}
	for name := range wrong {
		if !slices.Contains(names, name) {
			t.Errorf("no case %s", name)
		}
	}
}
