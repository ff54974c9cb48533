package check

import (
	"math"
	"time"
)

// writtenFrom is the first moment at which a run may have written r that is not
// on record as a run in a transaction: one whose answer was delivered under a
// lease, also if nobody has read r since, or one whose end nobody knows. ok is false
// if there is none.
func (k *key) writtenFrom(r *record) (from time.Duration, ok bool) {
	own := k.where(func(a asked) bool { return a.effect == final && !a.Replayed && responseTo(a) == r.response })
	if len(own) > 0 {
		return own[0].Sent, !k.transactional()
	}
	// The first of them was sent first.
	for _, a := range k.where(func(a asked) bool { return a.Account == r.response.account && a.Amount == r.response.amount }) {
		unread := r.response.digest == "" && !k.transactional() && a.effect == final && !a.Replayed
		if a.effect == unknown || unread {
			return a.Sent, true
		}
	}
	return 0, false
}

// metOther tells whether an attempt for another request may have been in flight
// while a was.
func (k *key) metOther(a asked) bool {
	return len(k.where(func(b asked) bool {
		return others(a, b) && b.Sent < a.Ended && a.Sent < k.inFlightUntil(b)
	})) > 0
}

// inFlightUntil is when no attempt of b's is in flight any more. In a transaction
// any request may have made one, also one that was answered from a record or
// refused for its hash in the end: its attempt was undone, and another's took
// effect before it could run again. Under a lease such a request has made none,
// and in all other cases an attempt can be left behind.
func (k *key) inFlightUntil(b asked) time.Duration {
	switch {
	case k.transactional() && b.effect != unknown:
		return b.Ended
	case b.effect == mismatched || b.Replayed:
		return b.Sent
	}
	return math.MaxInt64
}
