package idem

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// reserve waits no longer than waitUntil. The deadline ends with Reserve: the
// handler's context must not inherit it.
func (e *execution) reserve(t *try, again bool) (*Cached, bool, error) {
	defer e.ticket.endWait()
	t.reserving.parent = &t.attemptContext
	t.reserving.deadline, t.reserving.timeout = e.reserveUntil(again), context.DeadlineExceeded
	defer t.reserving.drop()
	existing, fresh, err := e.tryReserve(t)
	switch {
	case asPanic(err) != nil: // behind a reservation that was made, perhaps
		return nil, false, errors.Join(err, e.tryRelease(t.after()))
	case err == nil && !fresh && existing == nil:
		return nil, false, fmt.Errorf("%w: Reserve of %T returned nothing", ErrStoreUnavailable, e.store)
	case e.crowded && isInFlight(err):
		return nil, false, fmt.Errorf("%w: %w", ErrTooManyRequests, err)
	case err == nil, isReserveAnswer(err):
		return existing, fresh, err
	case e.attempt.NoWait && errors.Is(err, context.DeadlineExceeded):
		// A store that knows nothing of NoWait has waited for us instead.
		return nil, false, fmt.Errorf("%w: %w", ErrInFlight, err)
	}
	return nil, false, fmt.Errorf("%w: %w", ErrStoreUnavailable, err)
}

// reserveUntil returns when Reserve must end.
func (e *execution) reserveUntil(again bool) time.Time {
	until := e.waitUntil
	if !e.crowded && !again {
		return until
	}
	now := time.Now()
	if latest := now.Add(maxReserve); e.crowded && until.After(latest) {
		until = latest
	}
	if earliest := now.Add(minReserve); again && until.Before(earliest) {
		// The wait was spent on a run that was undone. The record that undid
		// it is there: reaching it needs time, not patience.
		until = earliest
	}
	return until
}

func isInFlight(err error) bool {
	return errors.Is(err, ErrInFlight) || errors.Is(err, ErrWaitTimeout)
}

// isReserveAnswer tells whether err is a statement about the key or the caller.
// Everything else that Reserve returns is trouble with the store.
func isReserveAnswer(err error) bool {
	for _, answer := range []error{
		ErrWaitTimeout, ErrInFlight, ErrHashMismatch, ErrKeyExpired, ErrKeyInvalid, ErrNested,
		ErrStoreUnavailable, ErrRecordUnreadable, context.Canceled,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}
