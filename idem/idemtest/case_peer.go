package idemtest

import "github.com/pgidem/pgidem/idem"

var peerCases = []definition{
	{"PeerReplaysWhatAnotherCommitted", 2, peer, peerReplays},
	{"PeerWaitsForAnother", 2, peer, peerWaits},
	{"PeerGetsTheKeyAfterAnothersRelease", 2, peer, peerTakesOver},
	{"OneOf200ReservesThroughTwoPeersIsFresh", 1, peer, racingPeers},
	{"PeerReleasesNothingOfAnother", 7, peer | attempts, peerReleasesNothing},
}

// onPeer returns an attempt on theKey through a second store of the backend.
func (k *kit) onPeer() *attempt {
	return k.attemptOn(k.h.Peer(k, k.store), theKey, idem.AttemptConfig{})
}

func peerReplays(k *kit) {
	k.recorded(theKey, response("here"))
	k.onPeer().mustReplay(response("here"))
}

func peerWaits(k *kit) {
	owner := k.fresh(theKey)
	there := k.onPeer()
	waiting := there.start()
	k.mustStillWait(waiting)
	owner.mustCommit(response("here"))
	there.mustHaveReplayed(there.finish(waiting), response("here"))
}

func peerTakesOver(k *kit) {
	owner := k.fresh(theKey)
	there := k.onPeer()
	waiting := there.start()
	k.mustStillWait(waiting)
	owner.mustRelease()
	if r := there.finish(waiting); !r.fresh {
		k.Fatalf("Reserve after a release elsewhere = %v, want it fresh", r)
	}
	there.mustCommit(response("there"))
	k.mustReplay(theKey, response("there"))
}

func racingPeers(k *kit) {
	all := k.attempts(200, theKey)
	there := k.h.Peer(k, k.store)
	for i := range all {
		if i%2 == 1 {
			all[i].store = there
		}
	}
	k.startRace(all, response("the one")).finish()
}

func peerReleasesNothing(k *kit) {
	owner := k.fresh(theKey)
	k.onPeer().mustChangeNothing("an attempt elsewhere", owner)
}
