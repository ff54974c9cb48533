package idem

import (
	"context"
	"errors"
)

// Errors of the protocol. Test for them with errors.Is: what a Store or the
// middleware returns may wrap them with detail.
var (
	// ErrHashMismatch: the key was used before with another request.
	ErrHashMismatch = errors.New("idem: idempotency key was used with another request")
	// ErrKeyExpired: the key was used before with the same request, and only
	// that is remembered (see Config.RememberExpired). The handler is not run.
	ErrKeyExpired = errors.New("idem: response for this idempotency key has expired")
	// ErrInFlight: another attempt holds the key, and the caller does not wait.
	ErrInFlight = errors.New("idem: another request with this idempotency key is in flight")
	// ErrWaitTimeout: another attempt held the key until the wait was over. It
	// is also a [context.DeadlineExceeded].
	ErrWaitTimeout error = waitTimeoutError{}
	// ErrLeaseLost: the reservation ran out or was taken over while the handler
	// ran. It is the cause of the handler's cancelled context.
	ErrLeaseLost = errors.New("idem: lease on the idempotency key was lost")
	// ErrNested: the key was reserved again inside its own attempt, for example
	// by a middleware that is mounted twice.
	ErrNested = errors.New("idem: idempotency key is reserved by an enclosing attempt")
	// ErrNotReserved: Commit was called without a reservation.
	ErrNotReserved = errors.New("idem: commit without a reservation of the idempotency key")
	// ErrSuperseded: another attempt's record is the answer for this key; the
	// writes of the caller's attempt were undone. Reserve again to get it.
	ErrSuperseded = errors.New("idem: another attempt has committed this idempotency key")

	// ErrKeyMissing: a protected request has no idempotency key.
	ErrKeyMissing = errors.New("idem: idempotency key is missing")
	// ErrKeyInvalid: the idempotency key breaks the rules for keys.
	ErrKeyInvalid = errors.New("idem: idempotency key is invalid")
	// ErrScopeDenied: Config.Scope failed or returned no usable scope.
	ErrScopeDenied = errors.New("idem: no scope for this request")
	// ErrTooManyRequests: the scope of the request has as many requests in hand
	// as Config allows. Nothing was run.
	ErrTooManyRequests = errors.New("idem: too many requests of this scope")
	// ErrRequestUnreadable: the request body could not be read to its end,
	// something further out has read it already, or Config.RequestHash failed;
	// or Do was given a request of which its hash would not show everything.
	ErrRequestUnreadable = errors.New("idem: request could not be read")
	// ErrRequestTooLarge: the request body exceeds Config.MaxRequestBytes.
	ErrRequestTooLarge = errors.New("idem: request body is larger than its limit")
	// ErrResponseTooLarge: the response exceeds Config.MaxResponseBytes, or the
	// result DoConfig.MaxResultBytes. In a transaction nothing was kept.
	ErrResponseTooLarge = errors.New("idem: response is larger than MaxResponseBytes, or MaxResultBytes of Do")
	// ErrHandlerTimeout: the handler ran longer than MaxHandlerTime. It
	// is the cause of the handler's cancelled context.
	ErrHandlerTimeout = errors.New("idem: handler ran longer than MaxHandlerTime")

	// ErrStoreUnavailable: the store could not be reached; nothing was run,
	// unless a [CommitError] or [ErrOutcomeUnknown] wraps it.
	ErrStoreUnavailable = errors.New("idem: store is unavailable")
	// ErrStoreClosed: the store was closed by its owner. It is also an
	// [ErrStoreUnavailable].
	ErrStoreClosed error = storeClosedError{}
	// ErrRecordUnavailable: a record exists, and what is needed to read it, as a
	// key service, is not there now. It is also an [ErrStoreUnavailable], but the
	// handler has run: Config.FailOpen does not run it again.
	ErrRecordUnavailable error = recordUnavailableError{}
	// ErrRecordUnreadable: a record exists but cannot be decoded. The handler
	// is not run.
	ErrRecordUnreadable = errors.New("idem: stored record cannot be read")
	// ErrTransactionEnded: the handler ended the transaction that belongs to the
	// store, so that its record could not be committed with the writes. Nothing
	// was recorded; what the handler has committed itself stays.
	ErrTransactionEnded = errors.New("idem: handler ended the store's transaction")
	// ErrTransactionFailed: the handler reported success but left the
	// transaction aborted, a savepoint open or rows unread. Nothing was kept.
	ErrTransactionFailed = errors.New("idem: handler left the store's transaction unusable")
	// ErrOutcomeUnknown: whether a Commit happened could not be learned in time.
	// A retry with the same key does not run twice.
	ErrOutcomeUnknown = errors.New("idem: outcome of the commit is unknown")
)

// CommitError says that a store refused a Commit: nothing was kept.
type CommitError struct {
	// Retryable tells whether the same request can succeed when it is sent
	// again, as after a serialization failure or a server restart.
	Retryable bool
	// Err is what the store said.
	Err error
}

func (e *CommitError) Error() string { return "idem: commit refused: " + e.Err.Error() }

// Unwrap returns what the store said.
func (e *CommitError) Unwrap() error { return e.Err }

type waitTimeoutError struct{}

func (waitTimeoutError) Error() string {
	return "idem: another request with this idempotency key is still in flight"
}

func (waitTimeoutError) Unwrap() error { return context.DeadlineExceeded }

type recordUnavailableError struct{}

func (recordUnavailableError) Error() string { return "idem: stored record cannot be read now" }

func (recordUnavailableError) Unwrap() error { return ErrStoreUnavailable }

type storeClosedError struct{}

func (storeClosedError) Error() string { return "idem: store is closed" }

func (storeClosedError) Unwrap() error { return ErrStoreUnavailable }
