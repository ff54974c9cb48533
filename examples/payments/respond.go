package payments

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/pgidem/pgidem/idem"
)

// problem is an error that a client may read: a problem document of RFC 9457,
// in the same form as the middleware's own.
type problem idem.Problem

func (p problem) Error() string { return p.Title + ": " + p.Detail }

// The host of these types is reserved for examples: they identify and need not
// resolve.
const problemTypeBase = "https://payments.example/problems/"

func newProblem(status int, name, title, detail string) problem {
	return problem{Type: problemTypeBase + name, Title: title, Status: status, Detail: detail}
}

func badRequest(detail string) problem {
	return newProblem(http.StatusBadRequest, "bad-request", "Request is not valid", detail)
}

var (
	problemUnauthenticated = newProblem(http.StatusUnauthorized, "unauthenticated",
		"Caller is not known", "Name the tenant in the X-Tenant header.")
	problemInsufficientFunds = newProblem(http.StatusPaymentRequired, "insufficient-funds",
		"Funds are insufficient", "The account's balance is lower than the amount.")
	problemUnknownAccount = newProblem(http.StatusNotFound, "unknown-account",
		"Account does not exist", "")
	problemUnknownPayment = newProblem(http.StatusNotFound, "unknown-payment",
		"Payment does not exist", "")
	problemTooLarge = newProblem(http.StatusRequestEntityTooLarge, "request-too-large",
		"Request body is too large", "")
	problemInternal = newProblem(http.StatusInternalServerError, "internal",
		"Internal error", "Repeat the request with the same idempotency key.")
	problemUnhealthy = problem{
		Type: problemTypeBase + "unhealthy", Title: "Database is unreachable",
		Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
	}
)

// problemFor translates what can go wrong into what a client is told. What it
// does not know is internal.
func problemFor(err error) problem {
	var p problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, errUnknownAccount):
		return problemUnknownAccount
	case errors.Is(err, errUnknownPayment):
		return problemUnknownPayment
	case errors.Is(err, errInsufficientFunds):
		return problemInsufficientFunds
	}
	return problemInternal
}

// refuse answers with a problem. Its status is all that the middleware needs to
// know: under a 402 the answer is kept and the writes are undone, under a 404 or
// a 500 nothing is kept and the client may come again with the same key.
func (a *api) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problemFor(err)
	if p == problemInternal {
		a.logger.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	writeProblem(w, p)
}

func writeProblem(w http.ResponseWriter, p problem) {
	w.Header().Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(p.RetryAfter.Seconds())))
	}
	write(w, p.Status, "application/problem+json", p)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	write(w, status, "application/json", value)
}

func write(w http.ResponseWriter, status int, contentType string, value any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client is gone: nobody is left to tell
}
