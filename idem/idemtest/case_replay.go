package idemtest

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/pgidem/pgidem/idem"
)

var replayCases = []definition{
	{"StatusComesBackEqual", 4, 0, statusComesBack},
	{"HeaderValuesComeBackInOrder", 4, 0, headersComeBack},
	{"BinaryBodyComesBackEqual", 4, 0, binaryBody},
	{"EmptyBodyComesBackEmpty", 4, 0, emptyBody},
	{"BodyOf1MiBComesBackEqual", 4, 0, largeBody},
	{"StoredAtIsTheMomentOfCommitOnTheStoresClock", 4, 0, storedAt},
	{"HashParameterWinsOverTheField", 4, 0, hashParameterWins},
	{"ChangingAReplayChangesNobodyElses", 59, 0, replaysAreCopies},
	{"ChangingACommittedResponseChangesNoReplay", 59, 0, commitCopies},
	{"WaitersGetCopiesOfTheirOwn", 59, 0, waitersGetCopies},
}

func statusComesBack(k *kit) {
	for _, status := range []int{200, 201, 204, 302, 404, 422, 599} {
		r := response("status")
		r.Status = status
		key := fmt.Sprint("status ", status)
		k.recorded(key, r)
		k.mustReplay(key, r)
	}
}

func headersComeBack(k *kit) {
	r := response("headers")
	r.Header = http.Header{
		"Link":         {"</b>; rel=next", "</a>; rel=prev", "</b>; rel=next"},
		"X-Empty":      {""},
		"X-Obs-Text":   {"caf\xe9"}, // allowed in a field value, and not UTF-8
		"X-Separators": {`a,b;c="d\e"`, "tab\there", "ünïcode"},
	}
	k.recorded(theKey, r)
	k.mustReplay(theKey, r)

	r.Header = nil
	k.recorded("no header", r)
	k.mustReplay("no header", r)
}

func binaryBody(k *kit) {
	r := response("binary")
	r.Body = make([]byte, 256)
	for i := range r.Body {
		r.Body[i] = byte(i)
	}
	k.recorded(theKey, r)
	k.mustReplay(theKey, r)
}

func emptyBody(k *kit) {
	for name, body := range map[string][]byte{"nil": nil, "empty": {}} {
		r := response(name)
		r.Body = body
		k.recorded(name, r)
		k.mustReplay(name, r)
	}
}

func largeBody(k *kit) {
	r := response("large")
	r.Body = bytes.Repeat([]byte{0, 0xff, 'x', '\n'}, 1<<18)
	k.recorded(theKey, r)
	k.mustReplay(theKey, r)
}

func storedAt(k *kit) {
	r := response("dated")
	r.StoredAt = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	k.recorded(theKey, r)
	first := k.mustReplay(theKey, r).StoredAt
	second := k.mustReplay(theKey, r).StoredAt
	switch {
	case first.IsZero():
		k.Errorf("StoredAt is zero")
	case first.Equal(r.StoredAt):
		k.Errorf("StoredAt is what the caller said, %v, want the store's clock", first)
	case !first.Equal(second):
		k.Errorf("StoredAt is %v in one replay and %v in the next", first, second)
	}
}

func hashParameterWins(k *kit) {
	r := response("hash")
	r.RequestHash = "not the hash"
	k.recorded(theKey, r)
	k.mustReplay(theKey, response("hash"))
}

func replaysAreCopies(k *kit) {
	k.recorded(theKey, response("kept"))
	scribble(k.mustReplay(theKey, response("kept")))
	k.mustReplay(theKey, response("kept"))
}

func scribble(c *idem.Cached) {
	for i := range c.Body {
		c.Body[i] = '!'
	}
	for _, values := range c.Header {
		values[0] = "!"
	}
	c.Header.Set("X-Scribble", "!")
}

func commitCopies(k *kit) {
	mine := response("kept")
	k.recorded(theKey, mine)
	scribble(&mine)
	k.mustReplay(theKey, response("kept"))
}

// waitersGetCopies compares and scribbles in turn: whoever shares memory with an
// earlier one sees the scribbles.
func waitersGetCopies(k *kit) {
	owner := k.fresh(theKey)
	waiters := k.attempts(4, theKey)
	var waiting []<-chan reserved
	for _, w := range waiters {
		waiting = append(waiting, w.start())
	}
	k.moment()
	mine := response("kept")
	owner.mustCommit(mine)
	scribble(&mine)
	for i, w := range waiters {
		scribble(w.mustHaveReplayed(w.finish(waiting[i]), response("kept")))
	}
	k.mustReplay(theKey, response("kept"))
}
