package idem

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime/debug"
	"time"
)

const (
	// handlerGrace is how long a handler whose context was cancelled may take
	// to return before it is abandoned: enough for one that listens, so that
	// the store can end its transaction in an orderly way.
	handlerGrace = 250 * time.Millisecond
	// maxSuperseded bounds how often one request meets another attempt's record
	// at Commit and yet does not find it at the next Reserve.
	maxSuperseded = 8
	// commitRetryTime bounds the Commit that goes on in the background after
	// the response of a leased attempt was delivered.
	commitRetryTime = 30 * time.Second
)

// execution is one request on its way through the protocol: reserve, then
// replay or reject, or run and commit.
type execution struct {
	store   Store
	key     string
	hash    string
	ttl     time.Duration
	attempt AttemptConfig

	// ticket is the request's place among those of its scope; nil: no limit.
	ticket *ticket
	// crowded: too many others of its scope wait for it to wait too.
	crowded bool

	waitUntil          time.Time
	maxRuns            int
	maxResponseBytes   int64
	cancelOnDisconnect bool

	// run calls the handler with the attempt's context and returns its
	// response. It may be called several times, one after the other.
	run func(ctx context.Context) Cached
	// policy decides about a response unless the handler did.
	policy func(response Cached, transactional bool) Disposition
	// notKept is the record that stands for a response too large to keep.
	notKept func() Cached
	// late is told the end of a Commit that went on in the background.
	late func(Outcome, error)
}

// executed is how an execution ended when the client has an answer.
type executed struct {
	response Cached
	outcome  Outcome
	runs     int
	reserve  time.Duration
	goesOn   bool  // its handler was abandoned, and is recorded when it returns
	err      error // what the observer should know beside the outcome
}

// do brings the request to its end. An error means that the client is refused;
// a panic of the handler passes through.
func (e *execution) do(ctx context.Context) (done executed, err error) {
	for superseded := 0; superseded < maxSuperseded; {
		actx, attempt, err := e.begin(ctx, done.runs > 0)
		if err != nil {
			return done, err
		}
		start := time.Now()
		existing, fresh, err := e.reserve(actx, done.runs > 0)
		done.reserve += time.Since(start)
		if err != nil {
			return done, err
		}
		if !fresh {
			return e.replay(done, existing)
		}
		if done.runs >= e.maxRuns {
			// Superseded by a record that is gone again. Another run is not ours
			// to make; the client may ask for one.
			return done, errors.Join(&CommitError{Retryable: true, Err: ErrSuperseded}, e.store.Release(context.WithoutCancel(actx), e.key))
		}
		done.runs++
		again, err := e.runAndCommit(actx, attempt, &done)
		switch {
		case again && done.runs < e.maxRuns:
			pause(done.runs)
		case errors.Is(err, ErrSuperseded):
			superseded++
		default:
			return done, err
		}
	}
	return done, fmt.Errorf("%w: superseded %d times", ErrStoreUnavailable, maxSuperseded)
}

// begin starts an attempt, unless this very key is being run further out. One
// for whose waiting there is no place is still made: it costs the Store one
// look, and may find a record to replay. A request whose handler ran already is
// not sent away.
func (e *execution) begin(ctx context.Context, again bool) (context.Context, *Attempt, error) {
	same := func(c claim) bool { return c.key == e.key && sameStore(c.store, e.store) }
	if _, nested := Bound(ctx, same); nested {
		return nil, nil, ErrNested
	}
	config := e.attempt
	e.crowded = !again && !config.NoWait && !e.ticket.beginWait()
	config.NoWait = config.NoWait || e.crowded
	ctx, attempt := WithAttempt(ctx, config)
	attempt.Bind(claim{store: e.store, key: e.key})
	return ctx, attempt, nil
}

// sameStore compares two stores; those of an uncomparable type are left for the
// store itself to tell apart.
func sameStore(a, b Store) bool {
	return reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

// reserve waits no longer than waitUntil. The deadline ends with Reserve: the
// handler's context must not inherit it.
func (e *execution) reserve(ctx context.Context, again bool) (*Cached, bool, error) {
	defer e.ticket.endWait()
	ctx, cancel := context.WithDeadline(ctx, e.reserveUntil(again))
	defer cancel()
	existing, fresh, err := e.store.Reserve(ctx, e.key, e.hash, e.ttl)
	switch {
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
	now, until := time.Now(), e.waitUntil
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

func (e *execution) replay(done executed, existing *Cached) (executed, error) {
	if existing.RequestHash != e.hash {
		return done, ErrHashMismatch
	}
	done.response, done.outcome = *existing, OutcomeReplayed
	return done, nil
}

// runAndCommit runs the handler once and does with its writes and its response
// what their disposition says. It tells whether the store has undone the run as
// the victim of a conflict, so that it may be run again; a handler that
// panicked or ran out of time is not.
func (e *execution) runAndCommit(ctx context.Context, attempt *Attempt, done *executed) (again bool, err error) {
	handler := e.start(ctx, attempt)
	response, err := e.await(handler, attempt)
	// From here on nothing may depend on the client's patience.
	ctx = context.WithoutCancel(ctx)
	switch {
	case err != nil && attempt.Abandoned() && !attempt.Transactional():
		// What it has done cannot be undone, so its key is not given to a retry:
		// whatever it says when it comes back is recorded.
		done.goesOn = true
		go e.settleLate(ctx, attempt, handler)
		return false, err
	case err != nil:
		return false, errors.Join(err, e.store.Release(ctx, e.key))
	}
	done.response = response
	err = e.settle(ctx, attempt, response, done)
	return attempt.RunAgain(), err
}

// settle commits or releases, as the disposition of the response demands.
func (e *execution) settle(ctx context.Context, attempt *Attempt, response Cached, done *executed) error {
	tooLarge := e.maxResponseBytes >= 0 && int64(len(response.Body)) > e.maxResponseBytes
	switch attempt.settleDisposition(e.policy(response, attempt.Transactional())) {
	case Discard:
		done.outcome = OutcomeDiscarded
		// Undone whether or not the store heard of it: a transaction ends with
		// its connection, a lease by its end. The client's answer stands.
		done.err = e.store.Release(ctx, e.key)
		return nil
	case CommitResponse:
		done.outcome = OutcomeResponseCommitted
	default:
		done.outcome = OutcomeCommitted
	}
	switch {
	case tooLarge && attempt.Transactional():
		return errors.Join(ErrResponseTooLarge, e.store.Release(ctx, e.key))
	case tooLarge:
		response, done.err = e.notKept(), ErrResponseTooLarge
	}
	return e.commit(ctx, attempt, response, done)
}

func (e *execution) commit(ctx context.Context, attempt *Attempt, response Cached, done *executed) error {
	err := e.store.Commit(ctx, e.key, e.hash, response)
	if err == nil || attempt.Transactional() {
		return err
	}
	// Under a lease the handler's effect is real, so its client hears of it;
	// what is missing is only the memory of it.
	done.outcome, done.err = OutcomeNotRecorded, err
	go e.commitLate(ctx, response)
	return nil
}

// commitLate repeats a failed Commit of a leased attempt until it succeeds, is
// refused for good, or commitRetryTime is over.
func (e *execution) commitLate(ctx context.Context, response Cached) {
	deadline := time.Now().Add(commitRetryTime)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		time.Sleep(wait)
		err := e.store.Commit(ctx, e.key, e.hash, response)
		switch {
		case err == nil:
			e.late(OutcomeRecordedLate, nil)
			return
		case isFinal(err) || time.Now().Add(wait).After(deadline):
			e.late(OutcomeRecordLost, err)
			return
		}
	}
}

// isFinal tells whether repeating a Commit is pointless.
func isFinal(err error) bool {
	return errors.Is(err, ErrHashMismatch) || errors.Is(err, ErrLeaseLost) ||
		errors.Is(err, ErrNotReserved) || errors.Is(err, ErrSuperseded) || errors.Is(err, ErrStoreClosed)
}

// handlerPanic carries a panic from the handler's goroutine to the request's.
type handlerPanic struct {
	value any
	stack []byte
}

func (p *handlerPanic) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

// handlerRun is a handler in a goroutine of its own, so that one which does not
// heed its context holds neither its client nor, in a transaction, its key.
type handlerRun struct {
	ctx   context.Context
	ended chan handlerEnd
}

type handlerEnd struct {
	response Cached
	late     error // why the context had ended when the handler returned
	panicked *handlerPanic
}

// start begins to run the handler. Its context ends with the handler.
func (e *execution) start(ctx context.Context, attempt *Attempt) *handlerRun {
	if !e.cancelOnDisconnect {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancelCause := attempt.handlerContext(ctx)
	cancel := cancelCause
	if limit := e.attempt.MaxHandlerTime; limit > 0 {
		var cancelLimit context.CancelFunc
		ctx, cancelLimit = context.WithTimeoutCause(ctx, limit, ErrHandlerTimeout)
		cancel = func() { cancelLimit(); cancelCause() }
	}
	h := &handlerRun{ctx: ctx, ended: make(chan handlerEnd, 1)}
	go func() {
		defer cancel()
		e.runHandler(h)
	}()
	return h
}

// runHandler tells h.ended however the handler ends: also after a panic, and
// after runtime.Goexit, which is passed on like one and has no value.
func (e *execution) runHandler(h *handlerRun) {
	var out handlerEnd
	returned := false
	defer func() {
		if !returned {
			out.panicked = &handlerPanic{value: recover(), stack: debug.Stack()}
		}
		h.ended <- out
	}()
	out.response = e.run(h.ctx)
	out.late = context.Cause(h.ctx)
	returned = true
}

// await waits for the handler, and when its context has ended a little longer.
func (e *execution) await(h *handlerRun, attempt *Attempt) (Cached, error) {
	var out handlerEnd
	select {
	case out = <-h.ended:
	case <-h.ctx.Done():
		select {
		case out = <-h.ended:
		case <-time.After(handlerGrace):
			attempt.Abandon()
			return Cached{}, context.Cause(h.ctx)
		}
	}
	switch {
	case out.panicked != nil:
		return Cached{}, out.panicked
	case out.late != nil && attempt.Transactional():
		// A handler that returned after its time said it too late, whichever of
		// the two this goroutine noticed first. Its writes are undone.
		return Cached{}, out.late
	}
	return out.response, nil
}

// settleLate ends the attempt of an abandoned handler when that one returns.
func (e *execution) settleLate(ctx context.Context, attempt *Attempt, h *handlerRun) {
	out := <-h.ended
	if out.panicked != nil || out.response.Status == 0 {
		e.late(OutcomeDiscarded, errors.Join(out.late, e.store.Release(ctx, e.key)))
		return
	}
	var done executed
	err := e.settle(ctx, attempt, out.response, &done)
	if done.outcome != OutcomeNotRecorded { // or else the Commit goes on, and tells
		e.late(done.outcome, errors.Join(err, done.err))
	}
}

// pause keeps the victims of one conflict from meeting again at once.
func pause(run int) {
	limit := min(5*time.Millisecond<<run, 100*time.Millisecond)
	time.Sleep(rand.N(limit))
}
