package idem

import "time"

// Outcome names how a protected request ended. The set is closed, so it can
// label a metric.
type Outcome string

// Outcomes of requests that were answered. A request that was refused has the
// name of its problem type (see [Problem]) as its outcome instead.
const (
	// OutcomeCommitted: the handler ran; writes and response are kept.
	OutcomeCommitted Outcome = "committed"
	// OutcomeResponseCommitted: the handler ran; only its response is kept.
	OutcomeResponseCommitted Outcome = "response-committed"
	// OutcomeDiscarded: the handler ran; nothing is kept.
	OutcomeDiscarded Outcome = "discarded"
	// OutcomeReplayed: the recorded response was sent. The handler did not run,
	// or its run was undone in favour of another attempt's record.
	OutcomeReplayed Outcome = "replayed"
	// OutcomeUnprotected: the store was unavailable and Config.FailOpen let the
	// handler run without protection.
	OutcomeUnprotected Outcome = "unprotected"
	// OutcomeNotRecorded: under a lease the handler ran and its response was
	// delivered, but the Commit failed. Commit is tried again in the background.
	OutcomeNotRecorded Outcome = "not-recorded"
	// OutcomeRecordedLate: the Commit behind an OutcomeNotRecorded succeeded.
	OutcomeRecordedLate Outcome = "recorded-late"
	// OutcomeRecordLost: under a lease the handler ran, but its response will not
	// be recorded: its Commit was refused for good, as after a lost lease, or the
	// one behind an OutcomeNotRecorded was given up. Event.Err is why. A retry may
	// run the handler again, or has done so. Unless the event is late, the response
	// was delivered.
	OutcomeRecordLost Outcome = "record-lost"
	// OutcomePanicked: the handler panicked; nothing is kept.
	OutcomePanicked Outcome = "panicked"
)

// Event tells an observer how one protected request ended.
type Event struct {
	// Outcome is the end of the request; one of a closed set.
	Outcome Outcome
	// Late: the end, in the background, of a request whose client has an event of
	// its own: of a Commit that was repeated, or of a handler that returned after its
	// time. It is mostly told after the other. Status, Runs and Reserve are zero
	// here, so that sums over all events are right.
	Late bool
	// Status is the HTTP status that was sent, 0 after a panic and from Do.
	Status int
	// KeyDigest identifies the stored key without showing it: the first 16
	// hexadecimal digits of its SHA-256. Whoever can guess a key can recognize it.
	// Empty if the request has no valid key.
	KeyDigest string
	// Key is the stored key in clear, only with Config.ObserveKeys.
	Key string
	// Runs counts how often the handler ran: 0 for most replays, more than 1
	// when it was run again.
	Runs int
	// Reserve is the time spent in the store's Reserve: reaching the store and
	// waiting for another attempt.
	Reserve time.Duration
	// Duration is the whole time from the first step of the middleware, or of
	// Do, to its last.
	Duration time.Duration
	// Err is what went wrong, with internal detail; nil if nothing did. After a
	// panic it has the value and the stack as text, and does not wrap the value.
	Err error
}
