// Package idemtest is the conformance kit for idem.Store: the cases that every
// store must pass before requests that move money may rely on it.
//
// A store's own test fills a [Harness] and calls [Run]:
//
//	func TestConformance(t *testing.T) {
//		idemtest.Run(t, idemtest.Harness{
//			NewStore: func(tb idemtest.TB) idem.Store { … },
//			Age:      func(tb idemtest.TB, store idem.Store, d time.Duration) { … },
//		})
//	}
//
// Each case runs as a parallel subtest with a store of its own. The kit calls
// the verbs as the middleware does: each attempt in a context of its own made by
// idem.WithAttempt, Reserve under a deadline that is cancelled as soon as
// Reserve returns, Commit and Release without any. For stores that work without
// an attempt every case runs once more without.
//
// The cases are also data ([Cases]) over a narrow interface ([TB]), so that a
// deliberately wrong store can be seen failing: a kit that cannot fail proves
// nothing.
package idemtest
