package idem

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Do runs fn, records its result under key and returns it; a retry gets the
// recorded result, and runs nothing. It is RESTMiddleware for code that is not
// HTTP: consumers of a queue, jobs, handlers of an RPC. What it guarantees
// depends on cfg.Store in the same way.
//
// request is what fn is asked to do. It is hashed, so that a key which comes
// with another request is [ErrHashMismatch]: by its JSON form, or by the caller
// if it is a [RequestHash]. Fields that are not exported do not count, but a
// request that holds a struct of which JSON shows no field, or whose embedded
// fields hide others, or a string that is not UTF-8, is
// [ErrRequestUnreadable]: another one would look like it. A request that is a
// string may be any. With nil the key alone says what is asked for.
//
// The result is what its record decodes to (see [Codec]), in the first call as
// in a replay: what the codec loses is lost at once, and not on the retry that
// no test has tried. With JSON the nil, the empty and the zero value of T each
// come back as they were. A result that cannot be encoded is
// [ErrResultUnencodable]; a record that cannot be decoded into T is
// [ErrRecordUnreadable], and fn is not run.
//
// An error of fn is returned as it is and not kept: its writes are undone and a
// retry runs fn again. One that is marked by [Permanent] is kept, its writes
// are undone, and each call returns an equal [PermanentError]. [SetDisposition]
// overrides what becomes of a result and of a permanent error.
//
// fn runs in a goroutine of its own. Its context carries the [Attempt], and with
// a transactional store the transaction. It ends with ctx, unless cfg.Detach
// says otherwise, and after cfg.MaxHandlerTime. An fn that does not return soon
// after that is abandoned: Do returns the reason, and in a transaction nothing
// of it is kept; without one, what it returns at last is recorded all the same.
// Once fn has returned in time, the end of ctx no longer stops its Commit. fn
// may run more than once in one call (see DoConfig.MaxRuns). A panic of fn is
// passed on with the same value.
//
// Inside a protected handler Do is an attempt of its own, with a transaction and a
// connection of its own: what it commits stays when the outer one is undone, and
// the pool must have two connections for each such request.
//
// Where the caller brings a transaction, as with txstore.WithTx, its end is the
// caller's: after any error of Do, roll it back; and a permanent error commits
// whatever fn has written before it.
//
// A call that waited in vain returns [ErrWaitTimeout] or [ErrInFlight]. The
// other errors are those of the [Store]; [ProblemFor] knows them all. An invalid
// cfg is an error that names the field.
func Do[T any](ctx context.Context, cfg DoConfig, key string, request any, fn func(ctx context.Context) (T, error)) (T, error) {
	c := &call{
		config: cfg,
		begun:  time.Now(),
		blank:  func() any { return new(T) },
		fn: func(ctx context.Context) (any, error) {
			result, err := fn(ctx)
			return &result, err
		},
	}
	result, err := c.do(ctx, key, request)
	if err != nil {
		var none T
		return none, err
	}
	return *result.(*T), nil
}

// call is one call of Do. Its results are pointers to a T.
type call struct {
	config DoConfig
	begun  time.Time
	fn     func(context.Context) (any, error)
	blank  func() any

	key  string
	hash string

	last atomic.Pointer[returned]
}

// returned is what a run of the function comes to for the caller of Do.
type returned struct {
	result any
	err    error
}

func (c *call) do(ctx context.Context, key string, request any) (any, error) {
	var done executed
	err := c.identify(key, request)
	if err == nil {
		now := time.Now()
		e := c.execution(now)
		if err = e.refuseNested(ctx); err == nil {
			done, err = e.do(ctx, now)
		}
	}
	return c.answer(ctx, done, err)
}

// identify finds out what is to be done, and whether it can be.
func (c *call) identify(key string, request any) (err error) {
	if c.config, err = c.config.withDefaults(); err != nil {
		return err
	}
	if c.key, err = c.config.storedKey(key); err != nil {
		return err
	}
	c.hash, err = hashDoRequest(request)
	return err
}

func (c *call) execution(now time.Time) *execution {
	until, noWait := c.config.waitUntil(now)
	return &execution{
		claim: claim{store: c.config.Store, key: c.key},
		hash:  c.hash,
		ttl:   c.config.DefaultTTL,
		attempt: AttemptConfig{
			NoWait:          noWait,
			MaxHandlerTime:  max(c.config.MaxHandlerTime, 0),
			RememberExpired: c.config.RememberExpired,
		},
		waitUntil:          until,
		maxRuns:            c.config.MaxRuns,
		maxResponseBytes:   c.config.MaxResultBytes,
		cancelOnDisconnect: !c.config.Detach,
		task:               c,
	}
}

func (*call) prepare(context.Context) {}

func (c *call) notKept() Cached { return Cached{Status: statusNotKept} }

func (c *call) late(ctx context.Context, outcome Outcome, err error) {
	c.observe(ctx, Event{Outcome: outcome, Late: true, Err: err})
}

// run calls the function and returns its record; one without a status if
// nothing is to be kept. A function whose context has ended before it got a
// processor does not begin any more.
func (c *call) run(ctx context.Context) Cached {
	if cause := context.Cause(ctx); cause != nil {
		return c.discard(ctx, cause)
	}
	result, err := c.fn(ctx)
	var record Cached
	switch permanent, ok := asPermanent(err); {
	case ok:
		record = recordPermanent(permanent)
		result, err = c.read(record)
	case err != nil:
		return c.discard(ctx, err)
	default:
		if record, result, err = c.encode(result); err != nil {
			return c.keepNothing(ctx, err)
		}
	}
	// What the record says, so that the caller hears the same as a retry.
	c.last.Store(&returned{result, err})
	return record
}

// discard remembers err, and undoes what fn did, whatever it chose: there is
// nothing that a record could say.
func (c *call) discard(ctx context.Context, err error) Cached {
	c.last.Store(&returned{err: err})
	SetDisposition(ctx, Discard)
	return Cached{}
}

// keepNothing ends a run whose result cannot be recorded. Without a transaction
// its effect is real, and a retry would repeat it: a record takes its place.
func (c *call) keepNothing(ctx context.Context, err error) Cached {
	if attempt, _ := AttemptFromContext(ctx); attempt.Transactional() {
		return c.discard(ctx, err)
	}
	c.last.Store(&returned{err: err})
	SetDisposition(ctx, CommitAll)
	return Cached{Status: statusNotKept}
}

// answer is what the caller gets. The observer is told it too.
func (c *call) answer(ctx context.Context, done executed, err error) (result any, _ error) {
	event := Event{Outcome: done.outcome, Runs: done.runs, Reserve: done.reserve, Err: done.err}
	defer func() { c.observe(ctx, event) }()
	panicked := asPanic(err)
	switch {
	case panicked != nil:
		event.Outcome, event.Err = OutcomePanicked, err
		panicked.resume()
	case err != nil:
		err = withContextError(ctx, err)
		event.Outcome = Outcome(kindOf(err).name)
	case done.outcome == OutcomeReplayed:
		if result, err = c.read(done.response); errors.Is(err, ErrRecordUnreadable) {
			event.Outcome = Outcome(kindOf(err).name)
		}
	default:
		last := c.last.Load()
		result, err = last.result, last.err
	}
	if err != nil {
		event.Err = err
	}
	return result, err
}

// withContextError makes an error that is the cause of ctx's end also the error
// of ctx, which callers look for.
func withContextError(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}
