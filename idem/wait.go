package idem

import (
	"net/http"
	"time"
)

const (
	// answerMargin is left between the end of the wait and the moment when an
	// answer would no longer reach the client.
	answerMargin = time.Second
	// minReserve is what Reserve gets to reach the Store where there is no time
	// to wait for another attempt.
	minReserve = time.Second
	// maxReserve bounds Reserve where waiting is switched off.
	maxReserve = 5 * time.Second
)

// waitUntil returns when a Reserve that begins now must end, and whether it may
// wait for another attempt at all. begun is when the request came. A request that has no time to
// wait is still tried once, since its key may be free.
func waitUntil(r *http.Request, begun, now time.Time, timeout time.Duration) (until time.Time, noWait bool) {
	until, noWait = now.Add(timeout), timeout < 0
	if noWait {
		until = now.Add(maxReserve)
	}
	if answerBy, bounded := answerBy(r, begun); bounded && answerBy.Before(until) {
		until, noWait = answerBy, noWait || !answerBy.After(now)
	}
	if earliest := now.Add(minReserve); noWait && until.Before(earliest) {
		until = earliest
	}
	return until, noWait
}

// answerBy returns when an answer must be begun, if anything bounds that: the
// server's WriteTimeout, which runs since the request came, or the request's
// own deadline. After it the client would see a closed connection.
func answerBy(r *http.Request, begun time.Time) (by time.Time, bounded bool) {
	by, bounded = r.Context().Deadline()
	if timeout := writeTimeout(r); timeout > 0 {
		if end := begun.Add(timeout); !bounded || end.Before(by) {
			by, bounded = end, true
		}
	}
	return by.Add(-answerMargin), bounded
}

// writeTimeout returns the WriteTimeout of r's server, zero without one.
func writeTimeout(r *http.Request) time.Duration {
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		return server.WriteTimeout
	}
	return 0
}
