package idem

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// handlerPanic carries a panic from the handler's goroutine, or from the store, to
// the request's.
type handlerPanic struct {
	value any
	stack []byte
}

func (p *handlerPanic) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

func asPanic(err error) *handlerPanic {
	if err == nil {
		return nil
	}
	var panicked *handlerPanic
	errors.As(err, &panicked)
	return panicked
}

// handlerRun is a handler in a goroutine of its own, so that one which does not
// heed its context holds neither its client nor, in a transaction, its key.
type handlerRun struct {
	ctx     lazyContext
	place   place       // in the list of deadlines, whose lock guards it
	timer   *time.Timer // tells of ctx's end where there is no such list
	unwatch func() bool // ends the watch over the client; nil without

	// end is set by the handler's goroutine before ended.
	end handlerEnd

	// mu guards what follows; changed tells of it.
	mu       sync.Mutex
	changed  sync.Cond
	ended    bool // the handler has returned
	overtime bool // its context ended first
	givenUp  bool // and it did not return soon after
}

type handlerEnd struct {
	response Cached
	late     error // why the context had ended when the handler returned
	panicked *handlerPanic
}

// start begins to run the handler now. Its context ends with the handler.
func (e *execution) start(t *try, now time.Time) {
	h := &t.handler
	h.changed.L = &h.mu
	h.ctx.parent, h.ctx.detached = &t.attemptContext, !e.cancelOnDisconnect
	if limit := e.attempt.MaxHandlerTime; limit > 0 {
		h.ctx.deadline, h.ctx.timeout = now.Add(limit), ErrHandlerTimeout
		e.watchTime(h, limit)
	}
	if e.cancelOnDisconnect {
		h.unwatch = context.AfterFunc(h.ctx.parent, h.contextEnded)
	}
	t.attempt.runs(h)
	e.task.prepare(&h.ctx)
	go func() {
		growStack(-1)
		e.runHandler(h)
	}()
}

// watchTime tells the handler when its time is over, until unwatch.
func (e *execution) watchTime(h *handlerRun, limit time.Duration) {
	if e.deadlines != nil {
		e.deadlines.add(h)
		return
	}
	h.timer = time.AfterFunc(limit, h.contextEnded)
}

// runHandler tells however the handler ends: also after a panic, and after
// runtime.Goexit, which is passed on like one and has no value.
func (e *execution) runHandler(h *handlerRun) {
	returned := false
	defer func() {
		if !returned {
			h.end.panicked = &handlerPanic{value: recover(), stack: debug.Stack()}
		}
		h.end.late = h.ctx.finish()
		h.tell(&h.ended)
	}()
	h.end.response = e.task.run(&h.ctx)
	returned = true
}

// growStack makes the stack of the goroutine large enough for a usual handler.
// A new one begins small and is copied each time that it grows, frame by frame;
// here it is copied once, with hardly a frame on it. It grows as growStack is
// entered; the room is cleared only where it is used, which it never is.
//
//go:noinline
func growStack(i int) byte {
	if i < 0 {
		return 0
	}
	var room [4 << 10]byte
	return room[i]
}

// cancel ends the handler's context.
func (h *handlerRun) cancel(cause error) {
	h.ctx.cancel(cause)
	h.contextEnded()
}

func (h *handlerRun) contextEnded() { h.tell(&h.overtime) }

func (h *handlerRun) giveUp() { h.tell(&h.givenUp) }

func (h *handlerRun) tell(what *bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*what = true
	h.changed.Broadcast()
}

// wait waits for the end of the handler, or for something else before it.
func (h *handlerRun) wait(other *bool) (ended bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for !h.ended && !*other {
		h.changed.Wait()
	}
	return h.ended
}

// unwatch ends what tells of the end of the handler's context: the handler is at
// its end, or was given up.
func (e *execution) unwatch(h *handlerRun) {
	if e.deadlines != nil {
		e.deadlines.remove(h)
	}
	if h.timer != nil {
		h.timer.Stop()
	}
	if h.unwatch != nil {
		h.unwatch()
	}
}

// await waits for the handler, and when its context has ended a little longer.
func (e *execution) await(t *try) (Cached, error) {
	h := &t.handler
	defer e.unwatch(h)
	if !h.wait(&h.overtime) {
		grace := time.AfterFunc(handlerGrace, h.giveUp)
		defer grace.Stop()
		if !h.wait(&h.givenUp) {
			t.attempt.Abandon()
			return Cached{}, h.ctx.causeOfEnd()
		}
	}
	switch {
	case h.end.panicked != nil:
		return Cached{}, h.end.panicked
	case h.end.late != nil && t.attempt.Transactional():
		// A handler that returned after its time said it too late, whichever of
		// the two this goroutine noticed first. Its writes are undone.
		return Cached{}, h.end.late
	}
	return h.end.response, nil
}

// settleLate ends the attempt of an abandoned handler when that one returns.
func (e *execution) settleLate(t *try) {
	never := false
	t.handler.wait(&never)
	ctx, out := t.after(), &t.handler.end
	switch {
	case out.panicked != nil:
		e.task.late(ctx, OutcomePanicked, errors.Join(out.late, out.panicked, e.tryRelease(ctx)))
		return
	case out.response.Status == 0:
		e.task.late(ctx, OutcomeDiscarded, errors.Join(out.late, e.tryRelease(ctx)))
		return
	}
	var done executed
	err := e.settle(ctx, &t.attempt, out.response, &done)
	if done.outcome != OutcomeNotRecorded { // or else the Commit goes on, and tells
		e.task.late(ctx, done.outcome, errors.Join(err, done.err))
	}
}
