package redisstore

import (
	"time"

	"github.com/redis/go-redis/v9"
)

// sharedFor is how long after a look with a plain command has been asked what it
// finds is given to those who come meanwhile: nobody knows when it expires. So what
// such a look shares may have expired up to this long before a request came, which
// is to the side on which nothing runs twice. It is more than a round trip takes, so
// that those who come at the same time do not look twice, and a reply that took
// longer is given only to who came early enough.
const sharedFor = 100 * time.Millisecond

// look asks the server for the key, and reserves it if it is free.
//
// What most requests find are a free key and a completed record, and for both a
// plain SET does that writes only where nothing is and returns what is there: it
// costs the server a small part of a script. It can tell neither when a lease
// ends nor whether a record in another state does, so for everything else, and on
// a server that does not know such a SET, there is the script.
func (q *request) look() (reply, error) {
	if q.plain() {
		a, err := q.reserveBy(q.plainCall())
		switch {
		case isRefused(err):
			q.store.scriptsOnly.CompareAndSwap(false, redis.HasErrorPrefix(err, "syntax error"))
		case err != nil, a.kind == replyFresh, isCompleted(a.text):
			a.number = sharedFor.Microseconds() // for want of what is left of the record
			return a, err
		}
	}
	return q.reserveBy(q.scriptCall())
}

// plain tells whether the look is to be one with a plain command. Only the first
// is: who looks again has seen the key in flight. And where records are remembered
// after their TTL, a record in such a state is what a retry finds.
func (q *request) plain() bool {
	first := !q.looked
	q.looked = true
	return first && !q.store.scriptsOnly.Load() && (q.attempt == nil || q.attempt.RememberExpired() <= 0)
}

// plainCall needs a server that takes NX and GET together.
func (q *request) plainCall() *call {
	return newCall(q.ctx, nil, nil, "set", q.name, &q.lease, "nx", "get", "px", q.store.leaseMillis)
}

func (q *request) scriptCall() *call {
	return newCall(q.ctx, reserveScript, q.name, &q.id, q.store.leaseMillis, staleTime.Milliseconds(), &q.lease, q.listens)
}

// isCompleted tells whether a record that a plain command has found is to be
// replayed. The server has then already decided that its time is not over: the
// key of a record in this state goes when the record expires.
func isCompleted(record string) bool {
	return len(record) >= headBytes && record[0] == version && record[1] == stateCompleted
}
