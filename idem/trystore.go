package idem

import (
	"context"
	"runtime/debug"
)

// A store may panic: a decorator of it, or what it calls, as the key service of a
// cipher or the tracer of a driver. That is the request's panic, as one of the
// handler is; but nothing may stay reserved behind it, and in the background, where
// nobody could recover, it is an error like any other. All three calls leave it to
// their callers what becomes of the reservation, and of an answer that is ready.

func (e *execution) tryReserve(t *try) (existing *Cached, fresh bool, err error) {
	returned := false
	defer panicAsError(&returned, &err)
	existing, fresh, err = e.store.Reserve(&t.reserving, e.key, e.hash, e.ttl)
	returned = true
	return existing, fresh, err
}

func (e *execution) tryCommit(ctx context.Context, response Cached) (err error) {
	returned := false
	defer panicAsError(&returned, &err)
	err = e.store.Commit(ctx, e.key, e.hash, response)
	returned = true
	return err
}

func (e *execution) tryRelease(ctx context.Context) (err error) {
	returned := false
	defer panicAsError(&returned, &err)
	err = e.store.Release(ctx, e.key)
	returned = true
	return err
}

// panicAsError is to be deferred; runtime.Goexit is a panic without a value.
func panicAsError(returned *bool, err *error) {
	if !*returned {
		*err = &handlerPanic{value: recover(), stack: debug.Stack()}
	}
}
