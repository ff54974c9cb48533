package check

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/pgidem/pgidem/torture/history"
)

// effect is what an answer says about the request: what the service's contract
// lets its client conclude.
type effect int

const (
	// unknown: it may have run, may be running, and may take effect whenever.
	unknown effect = iota
	// untouched: its handler did not run.
	untouched
	// inFlight: its handler did not run, since another's did.
	inFlight
	// discarded: its handler ran and nothing was kept of its answer; in a
	// transaction its writes were undone, too.
	discarded
	// mismatched: its handler did not run, since the key stood for another
	// request.
	mismatched
	// expired: its handler did not run, since it had run for the same request so
	// long ago that nobody knows its answer any more.
	expired
	// final: the answer is the last word on the key.
	final
	// unexpected: no fault leads to such an answer.
	unexpected
)

// problems are the middleware's own answers that faults can lead to. Those of
// commit-failed and handler-timeout are told of a transaction.
var problems = map[string]effect{
	"in-flight":         inFlight,
	"hash-mismatch":     mismatched,
	"key-expired":       expired,
	"store-unavailable": untouched,
	"request-cancelled": unknown,
	"commit-failed":     discarded,
	"handler-timeout":   discarded,
	"lease-lost":        unknown,
	"outcome-unknown":   unknown,
}

func effectOf(mode string, r history.Request) effect {
	switch transactional := mode == history.Transactional; {
	case !r.Answered:
		return unknown
	case r.Replayed:
		return final // whatever it says: it claims to be the record
	case r.Problem == "handler-timeout" && !transactional:
		// The handler goes on, and what it says in the end is recorded.
		return unknown
	case r.Problem == "lease-lost" && transactional:
		return unexpected
	case r.Problem != "":
		return effectOfProblem(r.Problem)
	case isFinal(r.Status):
		return final
	}
	return discarded
}

func effectOfProblem(name string) effect {
	if e, ok := problems[name]; ok {
		return e
	}
	return unexpected
}

// invitesRetry are the 4xx that are not kept: in a transaction as a rule, under
// a lease because the handler says so.
var invitesRetry = []int{
	401, 403, 404, 405, 406, 407, 408, 409, 411, 412, 413, 414, 415, 417, 421, 423, 424, 425, 426, 428, 429, 431, 451,
}

func isFinal(status int) bool {
	return status >= 200 && status < 500 && !slices.Contains(invitesRetry, status)
}

// paid tells whether a final answer says that there is a payment.
func paid(r history.Request) bool { return r.Status < 400 }

// perAnswer are the headers that belong to one answer and not to the record.
var perAnswer = []string{
	"Connection", "Content-Length", "Date", "Idempotent-Replayed", "Set-Cookie", "Traceparent", "X-Request-Id",
}

// digest is equal for two answers exactly if status, body and recorded headers
// are.
func digest(r history.Request) string {
	header := maps.Clone(r.Header)
	for _, name := range perAnswer {
		delete(header, name)
	}
	encoded, _ := json.Marshal(header) // sorted by name; strings cannot fail
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %s %s", r.Status, len(encoded), encoded, r.Body)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// receiptOf is the payment that a final answer names, or refuses.
func receiptOf(r history.Request) (receipt history.Row) {
	_ = json.Unmarshal(r.Body, &receipt) // what is not there is zero, and of nobody
	return receipt
}

func owner(h http.Header) string { return h.Get(history.OwnerHeader) }
