package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pgidem/pgidem/idem"
)

// reply is what a call of the server returned: a kind, and what belongs to it.
type reply struct {
	kind    string
	text    string // the record, or the hash of one
	attempt string // of the record whose hash is text
	number  int64  // the time of a Commit, or what is left of what was found; microseconds
}

// replyOf reads what a script has returned: a number if it has committed, or else
// a list that begins with the kind.
func replyOf(value any) (r reply) {
	if at, ok := value.(int64); ok {
		return reply{kind: replyCommitted, number: at}
	}
	words, _ := value.([]any)
	rest := []*string{&r.kind, &r.text, &r.attempt}
	for _, word := range words {
		switch w := word.(type) {
		case int64:
			r.number = w
		case string:
			if len(rest) > 0 {
				*rest[0], rest = w, rest[1:]
			}
		}
	}
	return r
}

// longest is as many microseconds as a time.Duration can hold.
const longest = math.MaxInt64 / int64(time.Microsecond)

// expiry is when what was found may have expired, if the call was asked at the given
// time, or zero if nothing was found.
func (r reply) expiry(asked time.Time) time.Time {
	if r.kind != replyHeld && r.kind != replyExpired {
		return time.Time{}
	}
	return asked.Add(time.Duration(min(r.number, longest)) * time.Microsecond)
}

// fresh tells whether the key is the caller's.
func (r reply) fresh() bool { return r.kind == replyFresh || r.kind == replyOwn }

// answer is the end of a call.
type answer struct {
	reply reply
	err   error
}

// call is a command on its way to the server.
type call struct {
	ctx context.Context // of the caller
	// stays: the caller waits for the answer even when ctx has ended.
	stays  bool
	script *script // nil: a plain command
	words  []any   // of the command
	// request is the one that the call may reserve for, or nil. An answer that
	// comes when nobody waits for it any more is told to it.
	request *request

	// over is set by whoever comes first: the caller that leaves, or the answer.
	over   atomic.Bool
	done   chan struct{} // has a value when the wait is over
	answer answer
	place  place // among those that are waited for
	// givenUp: there is no answer, its time was over.
	givenUp bool

	// notes takes the call, as owner's, when the caller leaves before the answer has
	// come; nil: nobody need know. settled is called when that has come.
	notes   *calls
	owner   owner
	settled func()
}

// scriptWords is how many words precede the arguments of a script's call.
const scriptWords = 4

// newCall makes a call of a script on the Redis key of that name, or without one of
// the plain command that args are. What goes from words to the client goes as it
// is: a pointer costs no copy.
func newCall(ctx context.Context, script *script, name any, args ...any) *call {
	c := spare.Get().(*call)
	c.ctx, c.script = ctx, script
	// Not kept for the next call: a hook of the client may look at them later.
	c.words = make([]any, 0, scriptWords+len(args))
	if script != nil {
		c.words = append(c.words, "evalsha", script.name, 1, name)
	}
	c.words = append(c.words, args...)
	return c
}

// spare are calls that have ended, and that nobody else has a hand on: nothing but
// their channels, which are empty.
var spare = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

// recycle lets c be used again for another call.
func (c *call) recycle() {
	*c = call{done: c.done}
	spare.Put(c)
}

// run makes c and returns its reply, or the error of its context.
func (s *Store) run(c *call) (reply, error) {
	a, ok := s.await(c)
	if !ok {
		return reply{}, context.DeadlineExceeded
	}
	return a.reply, a.err
}

// redisKey returns the name of key's record, as an argument of a command: a plain
// string, which tells the client of a Cluster where the record lies.
func (s *Store) redisKey(key string) any { return s.config.Prefix + key }

// await has c sent by another goroutine, because a client that is not told to heed
// contexts goes on reading when the caller's has ended. If that ends first, or the
// time for a call is over, await returns false.
func (s *Store) await(c *call) (a answer, ok bool) {
	s.running.More()
	s.patience.begin(c)
	s.sender.send(c)
	var left <-chan struct{}
	if !c.stays {
		left = c.ctx.Done()
	}
	select {
	case <-c.done:
	case <-left:
		if s.patience.end(c) && c.abandon() {
			s.sender.left()
			return answer{}, false
		}
		<-c.done // the answer came in this very moment, or the end of patience
	}
	if c.givenUp {
		s.sender.left()
		return answer{}, false // the answer may be coming in this very moment
	}
	a = c.answer
	// The sender has let go of it with its answer; patience may be looking at it.
	if s.patience.end(c) {
		c.recycle()
	}
	return a, true
}

// isLeft tells whether nobody waits for c any more, nor for what it does: who stays
// for the answer wants it done even if that comes too late for him.
func (c *call) isLeft() bool { return c.over.Load() && !c.stays }

// abandon returns false if there is an answer already.
func (c *call) abandon() bool {
	if c.notes == nil {
		return c.over.CompareAndSwap(false, true)
	}
	// Before the answer can meet it.
	c.settled = c.notes.begin(c.owner)
	if c.over.CompareAndSwap(false, true) {
		return true
	}
	c.settled()
	return false
}

// end gives c its answer.
func (s *Store) end(c *call, a answer) {
	if c.answer = a; c.over.CompareAndSwap(false, true) {
		c.done <- struct{}{}
		s.running.End()
		return
	}
	go func() {
		defer s.running.End()
		if c.request != nil {
			c.request.late(a)
		}
		if c.settled != nil {
			c.settled()
		}
	}()
}

// command is what a client sends for c.
func (c *call) command(ctx context.Context) *redis.Cmd { return redis.NewCmd(ctx, c.words...) }

// commandWithText sends the script itself, to a server that does not have it.
func (c *call) commandWithText(ctx context.Context, client redis.Scripter) *redis.Cmd {
	return c.script.Eval(ctx, client, []string{c.words[scriptWords-1].(string)}, c.words[scriptWords:]...)
}

// read takes the answer out of a command that was sent. A plain command, a SET
// that writes only where nothing is, answers like the script that reserves.
func (c *call) read(cmd *redis.Cmd) answer {
	switch value, err := cmd.Result(); {
	case c.script == nil && errors.Is(err, redis.Nil):
		return answer{reply: reply{kind: replyFresh}}
	case err != nil:
		return answer{err: err}
	case c.script == nil:
		record, _ := value.(string)
		return answer{reply: reply{kind: replyHeld, text: record}}
	}
	return answer{reply: replyOf(cmd.Val())}
}

// unavailable is the error of a call that has failed.
func unavailable(err error) error {
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return unreadable("%w", err)
	case errors.Is(err, redis.ErrClosed):
		return fmt.Errorf("%w: %w", errClosed(), err)
	}
	return fmt.Errorf("redisstore: %w: %w", idem.ErrStoreUnavailable, err)
}

// mayHaveRun tells whether a call that failed with err may have changed
// something: not if the server refused it or was never reached.
func mayHaveRun(err error) bool {
	var network *net.OpError
	switch {
	case errors.Is(err, redis.ErrClosed), errors.Is(err, errNeverSent):
		return false
	case isRefused(err):
		return repeats(err)
	case errors.As(err, &network):
		return network.Op != "dial"
	}
	return true
}

// repeats tells whether go-redis repeats a call that the server refuses so, as in a
// failover: the reply to an earlier try may have been lost.
func repeats(err error) bool {
	for _, state := range []string{"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS"} {
		if redis.HasErrorPrefix(err, state) {
			return true
		}
	}
	return redis.IsMaxClientsError(err)
}

// isRefused tells whether the server has answered with an error.
func isRefused(err error) bool {
	if err == nil {
		return false
	}
	var refused redis.Error
	return errors.As(err, &refused)
}
