package idem

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// handlerGrace is how long a handler whose context was cancelled may take to
// return before it is abandoned: enough for one that listens, so that the store
// can end its transaction in an orderly way.
const handlerGrace = 250 * time.Millisecond

// execution is one request on its way through the protocol: reserve, then
// replay or reject, or run and commit.
type execution struct {
	claim
	hash    string
	ttl     time.Duration
	attempt AttemptConfig

	// deadlines watches over the handlers of all executions of one middleware;
	// nil: each has a timer of its own.
	deadlines *deadlines
	// ticket is the request's place among those of its scope; nil: no limit.
	ticket *ticket
	// crowded: too many others of its scope wait for it to wait too.
	crowded bool

	waitUntil          time.Time
	maxRuns            int
	maxResponseBytes   int64
	cancelOnDisconnect bool

	task task
	// firstTry is room for the one try that most executions need.
	firstTry try
}

// task is what an execution runs.
type task interface {
	// prepare is called before each run, in the goroutine of the request.
	prepare(ctx context.Context)
	// run calls the handler with the attempt's context and returns its
	// response. It may be called several times, one after the other.
	run(ctx context.Context) Cached
	// policy decides about a response unless the handler did.
	policy(response Cached, transactional bool) Disposition
	// notKept is the record that stands for a response too large to keep.
	notKept() Cached
	// late is told the end of a Commit that went on in the background.
	late(context.Context, Outcome, error)
}

// try is one attempt of an execution, and what its calls and its handler need.
type try struct {
	attemptContext
	reserving lazyContext
	handler   handlerRun
}

// after is the context of what follows the handler: nothing may depend on the
// client's patience then.
func (t *try) after() context.Context { return (*detachedAttempt)(&t.attemptContext) }

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
// a panic of the handler passes through. maxRuns bounds the loop: whatever leads
// to another turn has made a run. The clock is read between the steps only: that
// costs more than some of them.
func (e *execution) do(ctx context.Context, now time.Time) (done executed, err error) {
	var undone error // what the store said of the run before
	for ; ; now = time.Now() {
		t := e.begin(ctx, done.runs > 0)
		existing, fresh, err := e.reserve(t, done.runs > 0)
		took := time.Since(now)
		done.reserve += took
		if err != nil {
			return done, afterRuns(done.runs, undone, err)
		}
		if !fresh {
			return e.replay(done, existing)
		}
		if done.runs >= e.maxRuns {
			// Superseded by a record that is gone again. Another run is not ours
			// to make; the client may ask for one.
			return done, errors.Join(&CommitError{Retryable: true, Err: ErrSuperseded}, e.tryRelease(t.after()))
		}
		done.runs++
		again, err := e.runAndCommit(t, now.Add(took), &done)
		switch {
		case again && done.runs < e.maxRuns:
			pause(done.runs)
		case !errors.Is(err, ErrSuperseded):
			return done, err
		}
		undone = err
	}
}

// afterRuns is what a failed Reserve means to a request whose handler ran, and
// was undone. An unavailable store would say that nothing was run.
func afterRuns(runs int, undone, err error) error {
	switch {
	case runs == 0 || !errors.Is(err, ErrStoreUnavailable):
		return err
	case errors.Is(undone, ErrSuperseded): // the other attempt has taken effect
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return &CommitError{Retryable: true, Err: errors.Join(undone, err)}
}

// begin starts an attempt. One for whose waiting there is no place is still made:
// it costs the Store one look, and may find a record to replay. A request whose
// handler ran already is not sent away.
func (e *execution) begin(ctx context.Context, again bool) *try {
	t := &e.firstTry
	if t.Context != nil {
		t = new(try)
	}
	config := e.attempt
	e.crowded = !again && !config.NoWait && !e.ticket.beginWait()
	config.NoWait = config.NoWait || e.crowded
	t.begin(ctx, config)
	t.attempt.claim = &e.claim
	return t
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
// the victim of a conflict, so that it may be run again; after a panic, the
// handler's or the store's, and where its time ran out, it is not.
func (e *execution) runAndCommit(t *try, reserved time.Time, done *executed) (again bool, err error) {
	e.start(t, reserved)
	response, err := e.await(t)
	ctx, attempt := t.after(), &t.attempt
	switch {
	case err != nil && attempt.Abandoned() && !attempt.Transactional():
		// What it has done cannot be undone, so its key is not given to a retry:
		// whatever it says when it comes back is recorded.
		done.goesOn = true
		go e.settleLate(t)
		return false, err
	case err != nil:
		return false, errors.Join(err, e.tryRelease(ctx))
	}
	done.response = response
	err = e.settle(ctx, attempt, response, done)
	return attempt.RunAgain() && asPanic(err) == nil, err
}

// pause keeps the victims of one conflict from meeting again at once.
func pause(run int) {
	limit := min(5*time.Millisecond<<run, 100*time.Millisecond)
	time.Sleep(rand.N(limit))
}
