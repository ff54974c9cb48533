package idem

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// ProblemTypeBase is what every problem type of this package begins with. The
// rest is the problem's name, which is also the [Outcome] of the request.
const ProblemTypeBase = "https://pgidem.dev/problems/"

const problemContentType = "application/problem+json"

// Problem is a problem document of RFC 9457: what a refused client reads. It
// holds nothing internal.
type Problem struct {
	// Type is a stable URI: [ProblemTypeBase] and a name.
	Type string `json:"type"`
	// Title says in a few words what the type means. It is the same for all
	// problems of one type.
	Title string `json:"title"`
	// Status is the HTTP status code.
	Status int `json:"status"`
	// Detail says what is wrong with this request and what can be done.
	Detail string `json:"detail,omitempty"`
	// Instance identifies the occurrence. This package leaves it empty.
	Instance string `json:"instance,omitempty"`
	// RetryAfter is when the request may be sent again, in whole seconds, for
	// the Retry-After header; 0 if there is none.
	RetryAfter time.Duration `json:"-"`
}

// problemKind is the part of a Problem that all errors of one type share.
type problemKind struct {
	name   string
	status int
	title  string
	detail string
}

const retrySameKey = "Repeat the request with the same key."

// Problems that are referred to by more than their error.
var (
	inFlight = problemKind{
		"in-flight", 409, "Request with this idempotency key is in flight", retrySameKey,
	}
	tooManyRequests = problemKind{
		"too-many-requests", 429, "Too many requests", "The request was not run. " + retrySameKey,
	}
	storeUnavailable = problemKind{
		"store-unavailable", 503, "Store is unavailable", retrySameKey,
	}
	requestCancelled = problemKind{
		"request-cancelled", 503, "Request was cancelled", retrySameKey,
	}
	commitRetryable = problemKind{
		"commit-failed", 503, "Commit failed", "Nothing was kept. " + retrySameKey,
	}
	commitFailed = problemKind{
		"commit-failed", 500, "Commit failed", "Nothing was kept.",
	}
	responseNotKept = problemKind{
		"response-not-kept", 409, "Response was not kept",
		"The request with this key has taken effect. Its response was too large to be kept and cannot be sent again.",
	}
	internal = problemKind{
		"internal", 500, "Internal error",
		"Whether the request has taken effect is not known. " + retrySameKey,
	}
)

type kindOfError struct {
	err  error
	kind problemKind
}

// refusalKinds maps errors to problems. The first match counts: what happened
// first is told, and not the failed Release that may be joined to it.
var refusalKinds = []kindOfError{
	{ErrScopeDenied, problemKind{"scope-denied", 403, "No scope for this request", ""}}, // before what it wraps
	{ErrKeyMissing, problemKind{
		"key-missing", 400, "Idempotency key is missing", "This request needs an idempotency key.",
	}},
	{ErrKeyInvalid, problemKind{"key-invalid", 400, "Idempotency key is invalid", ""}},
	{ErrRequestTooLarge, problemKind{"request-too-large", 413, "Request body is too large", ""}},
	{errBodyRead, problemKind{
		"request-unreadable", 500, "Request body could not be read", "The request was not run.",
	}},
	{ErrRequestUnreadable, problemKind{"request-unreadable", 400, "Request body could not be read", ""}},
	{ErrTooManyRequests, tooManyRequests}, // before what it wraps
	{ErrHashMismatch, problemKind{
		"hash-mismatch", 422, "Idempotency key was used with another request",
		"Use a new key for a new request, and the same key only to repeat the same request.",
	}},
	{ErrKeyExpired, problemKind{
		"key-expired", 409, "Idempotency key has expired",
		"The request with this key was answered before, and its response is no longer kept. It was not run again.",
	}},
	{ErrWaitTimeout, inFlight},
	{ErrInFlight, inFlight},
	{ErrHandlerTimeout, problemKind{"handler-timeout", 503, "Request took too long", retrySameKey}},
	{ErrLeaseLost, problemKind{
		"lease-lost", 503, "Reservation of the idempotency key was lost", retrySameKey,
	}},
	{ErrOutcomeUnknown, problemKind{
		"outcome-unknown", 503, "Outcome is unknown",
		"The request may have taken effect. Repeat it with the same key: it will not take effect twice.",
	}},
	{ErrNested, problemKind{"nested", 500, "Idempotency key is reserved by an enclosing request", ""}},
	{ErrResponseTooLarge, problemKind{
		"response-too-large", 500, "Response is too large to be kept", "Nothing was kept.",
	}},
	{ErrTransactionEnded, problemKind{
		"transaction-ended", 500, "Transaction was ended early", "Nothing was recorded for this key.",
	}},
	{ErrTransactionFailed, problemKind{
		"transaction-failed", 500, "Transaction could not be committed", "Nothing was kept.",
	}},
	{ErrRecordUnreadable, problemKind{
		"record-unreadable", 500, "Recorded response cannot be read", "The request was not run again.",
	}},
}

// causeKinds are looked at last: other errors wrap these to tell a cause.
var causeKinds = []kindOfError{
	{ErrStoreUnavailable, storeUnavailable},
	{context.Canceled, requestCancelled},
	{context.DeadlineExceeded, requestCancelled},
}

func kindOf(err error) problemKind {
	if kind, ok := lookUpKind(refusalKinds, err); ok {
		return kind
	}
	var commit *CommitError
	switch kind, ok := lookUpKind(causeKinds, err); {
	case errors.As(err, &commit) && commit.Retryable:
		return commitRetryable
	case commit != nil:
		return commitFailed
	case ok:
		return kind
	}
	return internal
}

func lookUpKind(kinds []kindOfError, err error) (problemKind, bool) {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.kind, true
		}
	}
	return problemKind{}, false
}

func (k problemKind) problem() Problem {
	p := Problem{Type: ProblemTypeBase + k.name, Title: k.title, Status: k.status, Detail: k.detail}
	switch {
	case k.status == http.StatusServiceUnavailable, k == inFlight, k == tooManyRequests:
		p.RetryAfter = time.Second
	}
	return p
}

// ProblemFor returns the problem document for an error that Config.ErrorHandler
// is given. The text of the error itself is never in it, except for what the
// client has caused: the form of its key and the size of its body.
func ProblemFor(err error) Problem {
	p := kindOf(err).problem()
	var told *refusal
	if p.Status < http.StatusInternalServerError && !errors.Is(err, ErrScopeDenied) && errors.As(err, &told) {
		p.Detail = told.detail
	}
	return p
}

// WriteProblem answers with the problem document for err. It is the default of
// Config.ErrorHandler.
func WriteProblem(w http.ResponseWriter, _ *http.Request, err error) {
	p := ProblemFor(err)
	h := w.Header()
	h.Del("Content-Length")
	h.Set("Content-Type", problemContentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(p.RetryAfter/time.Second), 10))
	}
	w.WriteHeader(p.Status)
	w.Write(p.encode()) //nolint:errcheck // the client is gone: nobody is left to tell
}

func (p Problem) encode() []byte {
	b, _ := json.Marshal(p) // strings and an int: it cannot fail
	return append(b, '\n')
}
