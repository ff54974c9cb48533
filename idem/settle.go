package idem

import (
	"context"
	"errors"
	"time"
)

// commitRetryTime bounds the Commit that goes on in the background after the
// response of a leased attempt was delivered. Stores keep a lease alive for it.
const commitRetryTime = 30 * time.Second

// settle commits or releases, as the disposition of the response demands.
func (e *execution) settle(ctx context.Context, attempt *Attempt, response Cached, done *executed) error {
	tooLarge := e.maxResponseBytes >= 0 && int64(len(response.Body)) > e.maxResponseBytes
	switch attempt.settleDisposition(e.task.policy(response, attempt.Transactional())) {
	case Discard:
		done.outcome = OutcomeDiscarded
		// Undone whether or not the store heard of it: a transaction ends with
		// its connection, a lease by its end. The client's answer stands.
		done.err = e.tryRelease(ctx)
		return nil
	case CommitResponse:
		done.outcome = OutcomeResponseCommitted
	default:
		done.outcome = OutcomeCommitted
	}
	switch {
	case tooLarge && attempt.Transactional():
		return errors.Join(ErrResponseTooLarge, e.tryRelease(ctx))
	case tooLarge:
		response, done.err = e.task.notKept(), ErrResponseTooLarge
	}
	return e.commit(ctx, attempt, response, done)
}

func (e *execution) commit(ctx context.Context, attempt *Attempt, response Cached, done *executed) error {
	err := e.tryCommit(ctx, response)
	switch {
	case err == nil:
		return nil
	case attempt.Transactional() && asPanic(err) != nil:
		return errors.Join(err, e.tryRelease(ctx))
	case attempt.Transactional():
		return err
	}
	// Under a lease the handler's effect is real, so its client hears of it;
	// what is missing is only the memory of it.
	done.outcome, done.err = OutcomeNotRecorded, errors.Join(done.err, err)
	if isFinal(err) {
		// The first reason is the true one: a store that has refused a Commit for
		// good has forgotten the reservation, and would say that to the next.
		done.outcome = OutcomeRecordLost
		return nil
	}
	// The client's answer has the same memory, and outer middlewares may change
	// its header.
	go e.commitLate(ctx, response.Clone())
	return nil
}

// commitLate repeats a failed Commit of a leased attempt until it succeeds, is
// refused for good, or commitRetryTime is over.
func (e *execution) commitLate(ctx context.Context, response Cached) {
	deadline := time.Now().Add(commitRetryTime)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		time.Sleep(wait)
		err := e.tryCommit(ctx, response)
		switch {
		case err == nil:
			e.task.late(ctx, OutcomeRecordedLate, nil)
			return
		case isFinal(err) || time.Now().Add(wait).After(deadline):
			e.task.late(ctx, OutcomeRecordLost, err)
			return
		}
	}
}

// isFinal tells whether repeating a Commit is pointless.
func isFinal(err error) bool {
	for _, final := range []error{
		ErrHashMismatch, ErrLeaseLost, ErrNotReserved, ErrSuperseded, ErrStoreClosed, ErrRecordUnreadable,
	} {
		if errors.Is(err, final) {
			return true
		}
	}
	var refused *CommitError
	return errors.As(err, &refused) && !refused.Retryable
}
